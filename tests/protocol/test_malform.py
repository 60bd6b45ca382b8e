"""Messages with fields that they cannot have."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Default,
    Enum,
    ExprAdapter,
    FlagsEnum,
    Float32b,
    GreedyBytes,
    Int8ub,
    Int16sl,
    Int16ub,
    Int24ub,
    PascalString,
    Prefixed,
    PrefixedArray,
    Rebuild,
    Struct,
    Switch,
    len_,
    this,
)

from iotsim import Cbor, Checksum, FlatStruct, Json, Length, Native, sum8
from iotsim.errors import EncodeError
from iotsim.protocol.anyvalue import WRONG
from iotsim.protocol.malform import Malformer, malformer
from iotsim.protocol.registry import list_protocols, load_protocol

MESSAGE = FlatStruct(
    "magic" / Const(b"SN"),
    "version" / Const(1, Int8ub),
    "kind" / Enum(Int8ub, READ=1, REPORT=2),
    "length" / Length(Int16ub),
    "status"
    / BitStruct("level" / BitsInteger(3), "alarm" / BitsInteger(1), "rest" / BitsInteger(4)),
    Switch(
        this.kind,
        {
            "READ": Struct("point" / Int8ub),
            "REPORT": Struct("value" / Float32b, "low" / Int16sl, "wide" / Int24ub),
        },
    ),
    "crc" / Checksum(Int8ub, sum8),
)
REPORT = {
    "kind": "REPORT",
    "status": {"level": 2, "alarm": 0, "rest": 0},
    "value": 1.5,
    "low": 3,
    "wide": 5,
}
RIGHT = bytes.fromhex("534e 01 02 000b 40 3fc00000 0300 000005".replace(" ", ""))


def built(**values: Any) -> bytes:
    return Malformer(MESSAGE).encode(
        REPORT, {name.replace("__", "."): v for name, v in values.items()}
    )


def summed(data: bytes) -> bytes:
    return data + bytes([sum8(data)])


def changed(at: int, new: str) -> bytes:
    """The right message with other bytes at a place, and with the checksum of these."""
    data = bytes.fromhex(new)
    return summed(RIGHT[:at] + data + RIGHT[at + len(data) :])


def test_without_values_it_is_the_right_message() -> None:
    assert built() == summed(RIGHT)


@pytest.mark.parametrize(
    ("values", "bytes_"),
    [
        ({"value": -999}, changed(7, struct.pack(">f", -999).hex())),
        ({"value": 1e300}, changed(7, struct.pack(">f", math.inf).hex())),
        ({"value": math.nan}, changed(7, struct.pack(">f", math.nan).hex())),
        ({"low": -999}, changed(11, struct.pack("<h", -999).hex())),
        ({"low": 70_000}, changed(11, (70_000 & 0xFFFF).to_bytes(2, "little").hex())),
        ({"wide": -1}, changed(13, "ffffff")),
        ({"kind": "READ"}, changed(3, "01")),
        ({"kind": 99}, changed(3, "63")),
        ({"version": 7}, changed(2, "07")),
        ({"magic": b"XX"}, changed(0, "5858")),
        ({"length": 3}, changed(4, "0003")),
        ({"length": -1}, changed(4, "ffff")),
        ({"length": WRONG}, changed(4, "000c")),
        ({"status.alarm": 1}, changed(6, "50")),
        ({"status.level": 9}, changed(6, "20")),
        ({"version": 7, "wide": 1}, summed(changed(2, "07")[:13] + b"\0\0\1")),
        ({"crc": 0}, RIGHT + b"\0"),
        ({"crc": WRONG}, RIGHT + bytes([sum8(RIGHT) + 1])),
        ({"crc": WRONG, "version": 7}, changed(2, "07")[:-1] + bytes([changed(2, "07")[-1] + 1])),
    ],
)
def test_the_bytes_have_the_value_and_all_else_is_right(
    values: dict[str, Any], bytes_: bytes
) -> None:
    assert Malformer(MESSAGE).encode(REPORT, values).hex(" ") == bytes_.hex(" ")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"nothing": 1}, "no such field"),
        ({"point": 1}, "no such field"),
        ({"status.nothing": 1}, "no such field"),
        ({"low": "x"}, "it is a number"),
        ({"low": WRONG}, "never wrong"),
        ({"kind": "NOTHING"}, "no value"),
    ],
)
def test_what_no_bytes_are_for_is_an_error_with_its_path(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(EncodeError, match=reason) as caught:
        Malformer(MESSAGE).encode(REPORT, values)
    assert caught.value.path == next(iter(values))


def test_a_wrong_value_is_never_the_right_one() -> None:
    schema = FlatStruct("n" / Int8ub, "sum" / Checksum(Int8ub, lambda data: data[0]))
    malform = Malformer(schema)
    for number in range(256):
        assert malform.encode({"n": number}, {"sum": WRONG})[1] != number


def test_a_checksum_of_what_follows_it_and_one_with_a_key_of_bytes_can_be_wrong() -> None:
    schema = FlatStruct(
        "sum" / Checksum(Int16ub, sum, over="rest"),
        "data" / Bytes(3),
        "mac"
        / Checksum(Bytes(2), lambda data, key: bytes([sum(data) & 255]) + key, start=2, key=b"k"),
    )
    right = Malformer(schema).encode({"data": b"abc"}, {})
    for name, place in (("sum", slice(0, 2)), ("mac", slice(5, 7))):
        wrong = Malformer(schema).encode({"data": b"abc"}, {name: WRONG})
        assert wrong[place] != right[place]
        assert len(wrong) == len(right)


def test_a_field_that_is_computed_of_others_can_be_wrong_or_have_any_value() -> None:
    schema = Struct("count" / Rebuild(Int8ub, len_(this.items)), "items" / Int8ub[this.count])
    malform = Malformer(schema)
    assert malform.encode({"items": [1, 2]}, {"count": WRONG}) == b"\3\1\2"
    assert malform.encode({"items": [1, 2]}, {"count": 200}) == b"\xc8\1\2"


def test_elements_of_arrays_have_their_index_in_the_path() -> None:
    schema = Struct("readings" / PrefixedArray(Int8ub, Struct("point" / Int8ub, "value" / Int8ub)))
    message = {"readings": [{"point": 1, "value": 2}, {"point": 3, "value": 4}]}
    assert Malformer(schema).encode(message, {"readings.1.value": 260}) == b"\2\1\2\3\4"
    assert Malformer(schema).encode(message, {"readings.1.point": -1}) == b"\2\1\2\xff\4"
    with pytest.raises(EncodeError, match="no such field"):
        Malformer(schema).encode(message, {"readings.2.point": -1})


def test_flags_bytes_texts_and_adapters() -> None:
    schema = Struct(
        "flags" / FlagsEnum(Int8ub, a=1, b=2),
        "name" / PascalString(Int8ub, "utf8"),
        "id" / Bytes(2),
        "celsius" / ExprAdapter(Int16ub, lambda v, c: v / 100, lambda v, c: round(v * 100)),
        "kept" / Default(Prefixed(Int8ub, GreedyBytes), b"x"),
    )
    message = {"flags": {"a": True}, "name": "hi", "id": b"12", "celsius": 1.0}
    malform = Malformer(schema)
    right = b"\x01\x02hi12\x00\x64\x01x"
    assert malform.encode(message, {}) == right
    assert malform.encode(message, {"flags.b": True, "flags.a": False})[:1] == b"\x02"
    assert malform.encode(message, {"name": "longer"}) == b"\x01\x06longer12\x00\x64\x01x"
    assert malform.encode(message, {"id": b"123"}) == b"\x01\x02hi123\x00\x64\x01x"
    cut = (-100 & 0xFFFF).to_bytes(2, "big")
    assert malform.encode(message, {"celsius": -1})[6:8] == cut
    assert malform.encode(message, {"kept": b""})[-1:] == b"\0"


def test_what_is_inside_of_json_and_cbor_is_a_value_as_any() -> None:
    schema = Struct("json" / Json(Prefixed(Int8ub, GreedyBytes)), "cbor" / Cbor(GreedyBytes))
    message = {"json": {"a": {"b": 1}}, "cbor": [1, 2]}
    data = Malformer(schema).encode(message, {"json.a.b": "x", "cbor.1": 9})
    assert data == b'\x0f{"a":{"b":"x"}}\x82\x01\x09'


def test_what_functions_write_is_built_by_them_and_cut_to_the_declared_size() -> None:
    def write(value: dict[str, int]) -> bytes:
        return value["a"].to_bytes(1, "big") + bytes([value["a"] ^ 0xFF])

    native = Native(lambda data, at: ({"a": data[at]}, at + 2), write, like=Struct("a" / Int8ub))
    schema = FlatStruct("head" / Int8ub, native)
    malform = Malformer(schema)
    assert malform.encode({"head": 1, "a": 2}, {"a": 3}) == b"\x01\x03\xfc"
    assert malform.encode({"head": 1, "a": 2}, {"a": -1}) == b"\x01\xff\x00"
    with pytest.raises(EncodeError, match="known to be computed"):
        malform.encode({"head": 1, "a": 2}, {"a": WRONG})


@pytest.mark.parametrize("name", [name for name, _ in list_protocols()])
def test_without_values_messages_of_bundled_protocols_are_as_their_codec_writes_them(
    name: str,
) -> None:
    loaded = load_protocol(name, [Path(__file__).parent])
    protocol = loaded.protocol
    malform = malformer(protocol)
    tried = 0
    for vector in loaded.vectors:
        if protocol.answer is not None and not vector.answer:
            continue
        try:
            right = protocol.answer_codec.encode(vector.fields)
        except EncodeError:
            continue
        assert malform.encode(vector.fields, {}) == right
        tried += 1
    assert tried
