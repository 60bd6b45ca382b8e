from typing import Any

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Computed,
    Const,
    Default,
    Enum,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16ub,
    LazyArray,
    Padding,
    PrefixedArray,
    Struct,
    Switch,
    this,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim import Checksum, FlatStruct, Length, Protocol, crc16_ccitt, this_device
from iotsim.protocol.device import StandIn
from iotsim.protocol.dissection import dissect
from iotsim.protocol.examine import check, field_rows
from iotsim.protocol.registry import LoadedProtocol, Vector, load_protocol

MESSAGE = FlatStruct(
    Const(b"Z"),
    "kind" / Enum(Int8ub, A=1, B=2),
    BitStruct("hi" / BitsInteger(3), Padding(5)),
    Switch(
        this.kind,
        {"A": Struct(), "B": Struct("list" / PrefixedArray(Int8ub, Struct("x" / Int8ub)))},
    ),
    "crc" / Checksum(Int16ub, crc16_ccitt),
)


def loaded(*vectors: tuple[Any, ...], message: Any = MESSAGE, **more: Any) -> LoadedProtocol:
    protocol = Protocol(name="p", message=message, port=7, **more)
    return LoadedProtocol(protocol, tuple(Vector(*vector) for vector in vectors), None)


def a_vector(fields: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    return MESSAGE.build(fields), fields


B = {"kind": "B", "hi": 5, "list": [{"x": 1}, {"x": 2}]}


def test_field_rows() -> None:
    rows = field_rows(loaded().protocol.schema)
    assert [(row.place, row.path) for row in rows] == [
        ("1", "kind"),
        ("2", "hi"),
        ("3", "list"),
        ("", "list[]"),
        ("", "list[].x"),
        ("", "crc"),
    ]
    assert rows[0].note == "A=1, B=2"


def test_field_rows_name_the_messages_that_have_a_field() -> None:
    value = Switch(
        this.type, {1: Struct("low" / Int8ub, "both" / Int8ub), 2: Struct("both" / Int8ub)}
    )
    many = {f"C{number}": Struct("common" / Int8ub) for number in range(10)}
    message = FlatStruct(
        "kind" / Enum(Int8ub, A=1, B=2),
        Switch(
            this.kind,
            {
                "A": Struct("a" / Int8ub, "ab" / Int8ub),
                "B": FlatStruct("type" / Int8ub, "ab" / Int8ub, "value" / value),
                **many,
            },
        ),
    )
    rows = field_rows(Protocol("cases", message, port=1).schema)
    assert {row.path: row.note for row in rows} == {
        "kind": "A=1, B=2",
        "a": "in A",
        "ab": "in A, B",
        "type": "in B",
        "value": "in B",
        "value.low": "in B with type=1",
        "value.both": "in B",
        "common": "in C0, C1, C2, C3, C4, C5, C6, C7 and 2 more",
    }


def test_dissect() -> None:
    data, _ = a_vector(B)
    found = dissect(loaded().protocol, data)
    assert found.message == B | {"crc": int.from_bytes(data[-2:], "big")}
    assert [(row.offset, row.size, row.path, row.value) for row in found.rows] == [
        (0, 8, "", b"Z"),
        (8, 8, "kind", "B"),
        (16, 3, "hi", 5),
        (19, 5, "", "0b00000"),
        (24, 24, "list", [{"x": 1}, {"x": 2}]),
        (24, 8, "", b"\x02"),
        (32, 8, "list.0.x", 1),
        (40, 8, "list.1.x", 2),
        (48, 16, "crc", int.from_bytes(data[-2:], "big")),
    ]
    assert "hi" in "\n".join(found.lines())


ASK = Struct("function" / Const(3, Int8ub), "address" / Int8ub, "count" / Int8ub)
TELL = FlatStruct(
    "function" / Const(3, Int8ub), "values" / PrefixedArray(Int8ub, Int16ub), "end" / GreedyBytes
)


def test_an_answer_has_vectors_rows_and_offsets_of_its_own() -> None:
    vectors = [
        (b"\x03\x01\x02", {"address": 1, "count": 2}),
        (b"\x03\x01\x00\x02z", {"values": [2], "end": b"z"}, True),
    ]
    good = loaded(*vectors, message=ASK, answer=TELL)
    assert check(good) == []
    assert [row.path for row in field_rows(good.protocol.schema)] == [
        "function",
        "address",
        "count",
    ]
    rows = field_rows(good.protocol.answer_schema)
    assert [row.path for row in rows] == ["function", "values", "values[]", "end"]
    found = dissect(good.protocol, b"\x03\x01\x00\x02z", answer=True)
    assert found.message == {"function": 3, "values": [2], "end": b"z"}
    assert [row.offset // 8 for row in found.rows if row.path == "end"] == [4]
    bad = loaded((b"\x03\x01\x02", {"values": [3], "end": b""}, True), message=ASK, answer=TELL)
    assert str(check(bad)[0]).startswith("VECTORS[0]: values.0: does not")


def test_error_replies_are_answers() -> None:
    def complain(error: Exception, data: bytes) -> dict[str, Any]:
        return {"values": [], "end": b"!"}

    vector = (b"\x03\x01\x02", {"address": 1, "count": 2})
    assert check(loaded(vector, message=ASK, answer=TELL, error_reply=complain)) == []
    (finding,) = check(loaded(vector, message=ASK, error_reply=complain))
    assert finding.where == "error_reply"


def test_a_vector_that_only_decodes() -> None:
    spare = FlatStruct("a" / Int8ub, BitStruct("b" / BitsInteger(4), Padding(4)))
    vector = (b"\x01\x2f", {"a": 1, "b": 2})
    (finding, _, *_) = check(loaded(vector, message=spare))
    assert "the vector's fields encode to 20, expected 2f" in str(finding)
    assert check(loaded((*vector, False, True), message=spare)) == []
    (finding,) = check(loaded((b"\x01\x2f", {"a": 2}, False, True), message=spare))
    assert str(finding) == "VECTORS[0]: a: expected 2, decoded 1 (at byte 0)"


def test_a_vector_may_need_a_device() -> None:
    message = FlatStruct("a" / Bytes(this_device.data.size), "b" / GreedyBytes)
    vector = (b"abc", {"a": b"ab", "b": b"c"}, False, False)
    assert check(loaded((*vector, StandIn(data={"size": 2})), message=message)) == []
    findings = [str(finding) for finding in check(loaded(vector, message=message))]
    assert (
        findings[0]
        == "VECTORS[0]: a: does not decode: device[0] has no 'size' in its data (at byte 0)"
    )
    found = dissect(Protocol("p", message, port=1), b"abc", device=StandIn(data={"size": 1}))
    assert found.message == {"a": b"a", "b": b"bc"}


def test_dissect_what_is_wrong() -> None:
    data, _ = a_vector(B)
    found = dissect(loaded().protocol, data[:-1] + b"\x00")
    assert found.message is None
    assert found.error is not None
    assert found.error.path == "crc"
    assert [row.path for row in found.rows][-2:] == ["list.1.x", ""]
    assert list(found.lines())[-1].startswith("error: crc: wrong checksum")


@given(st.binary(max_size=30))
def test_dissect_accounts_for_every_byte(data: bytes) -> None:
    rows = [row for row in dissect(SENSORNET, data).rows if not row.nested]
    assert sum(row.size for row in rows) == 8 * len(data)


SENSORNET = load_protocol("sensornet").protocol


def test_dissect_what_is_lazy_and_not_there() -> None:
    lazy = loaded(message=Struct("a" / Int8ub, "b" / LazyArray(2, Int16ub)))
    found = dissect(lazy.protocol, b"\1\0\2\3")
    assert [(row.path, row.value) for row in found.rows] == [("a", 1), ("", b"\0\2\3")]
    assert found.error is not None


def test_check_of_good_ones() -> None:
    assert check(loaded(a_vector(B), a_vector({"kind": "A", "hi": 0}))) == []


def test_check_of_a_wrong_field() -> None:
    data, _ = a_vector(B)
    found = check(loaded((data, B | {"hi": 4})))
    built, expected = MESSAGE.build(B | {"hi": 4})[2:].hex(" "), data[2:].hex(" ")
    assert [str(finding) for finding in found] == [
        "VECTORS[0]: hi: expected 4, decoded 5 (at byte 2)",
        f"VECTORS[0]: hi: the vector's fields encode to {built}, expected {expected} (at byte 2)",
    ]


def test_check_of_wrong_bytes() -> None:
    data, fields = a_vector({"kind": "A", "hi": 0})
    found = check(loaded((data[:-1] + b"\x00", fields)))
    assert [(finding.where, finding.path, finding.offset) for finding in found] == [
        ("VECTORS[0]", "crc", 3),
        ("VECTORS[0]", "crc", 4),
    ]


def test_check_of_an_unknown_field() -> None:
    data, fields = a_vector({"kind": "A", "hi": 0})
    texts = [str(finding) for finding in check(loaded((data, fields | {"nope": 1})))]
    assert "VECTORS[0]: nope: expected 1, but the message has no such field" in texts


def test_check_of_a_table_of_which_nothing_is_said() -> None:
    message = Struct("kind" / Int8ub, "flags" / Struct("spare" / Default(Int8ub, 0)))
    assert check(loaded((b"\x01\x00", {"kind": 1, "flags": {}}), message=message)) == []
    (finding, *_) = check(loaded((b"\x01\x00", {"kind": 1, "flags": {}, "x": {}}), message=message))
    assert str(finding) == "VECTORS[0]: x: expected {}, but the message has no such field"


def test_check_of_no_vectors() -> None:
    assert [finding.where for finding in check(loaded())] == ["VECTORS"]


def test_check_of_a_schema_that_makes_no_sense() -> None:
    lengths = Struct("n" / Struct("len" / Length(Int8ub)), "a" / GreedyRange(Computed(1)))
    texts = [str(finding) for finding in check(loaded(message=lengths))]
    assert "n.len: a Length stands in a Struct: use FlatStruct" in texts
    assert "a: an element may take no bytes: it would repeat for ever" in texts


def test_check_of_an_error_reply_that_fails() -> None:
    data, fields = a_vector({"kind": "A", "hi": 0})
    found = check(loaded((data, fields), error_reply=lambda error, data: {"kind": data[5]}))
    assert [finding.where for finding in found] == ["error_reply"]
    assert "IndexError" in found[0].message
