"""What fields are called in Wireshark, whatever they are called in a schema."""

from pathlib import Path

import pytest
from construct import (
    BytesInteger,
    Enum,
    FocusedSeq,
    GreedyRange,
    Int8ub,
    Int16ub,
    Prefixed,
    ProcessXor,
    RawCopy,
    Struct,
    Switch,
    this,
)
from tests.protocol.wireshark.shown import Case, Sent, differences, tshark

from iotsim import Checksum, FlatStruct, Native, Payload, Protocol, Text, crc16_ccitt
from iotsim.errors import ProtocolError
from iotsim.protocol.registry import load_protocol
from iotsim.protocol.wireshark import dissector

pytestmark = pytest.mark.needs("tshark")

ODD = Protocol(
    name="odd",
    message=Struct(
        "a b" / Int8ub,
        "a_b" / Int16ub,
        'quoted"]]\n--' / Enum(Int8ub, **{'"\\': 1}),
        "größe" / Int8ub,
        "value" / Switch(this.a_b, {1: Int8ub, 2: Struct("x" / Int8ub)}),
    ),
    port=4711,
    description='-- "hostile"\nos.exit(1)',
)


def test_odd_names_become_others(tmp_path: Path) -> None:
    sent = [Sent(bytes.fromhex("01 0001 01 04 05")), Sent(bytes.fromhex("01 0002 02 04 05"))]
    case = Case(ODD, sent)
    found, count = differences(case, *tshark(tmp_path, [case]))
    assert found == []
    assert count == 10
    names = {name for named in dissector(ODD).abbreviations.values() for name in named}
    assert {"a_b", "a_b_2", "gr__e", "value", "value_2", "value.x"} <= names


def test_texts_end_before_their_zeros_and_bodies_have_the_name_they_are_given(
    tmp_path: Path,
) -> None:
    protocol = Protocol(
        name="texts",
        message=Struct(
            "a" / Text(6, "latin-1"),
            "b" / Text(4, "utf-8"),
            "c" / FocusedSeq("inner", "unseen" / Prefixed(Int8ub, Payload()), "inner" / Payload()),
        ),
        port=4711,
    )
    said = [b"gr\xfcn\0\0", b"\xc3\xbc\0\0", b"\x01h", b"rest"]
    case = Case(protocol, [Sent(b"".join(said)), Sent(b"".join([said[0], b"\xfcxxx", *said[2:]]))])
    (shown,) = tshark(tmp_path, [case])
    found, count = differences(case, shown)
    assert found == []
    assert count == 3
    assert {name for name, values in shown[0].fields.items() if values} == {"a", "b", "c"}


def test_what_is_wrong_is_marked_and_the_rest_shown(tmp_path: Path) -> None:
    protocol = Protocol(
        name="summed",
        message=FlatStruct("a" / Int8ub, "crc" / Checksum(Int16ub, crc16_ccitt)),
        port=4711,
    )
    right = protocol.codec.encode({"a": 7})
    sent = [Sent(right), Sent(b"\x08" + right[1:]), Sent(right + b"!"), Sent(right[:2])]
    (shown,) = tshark(tmp_path, [Case(protocol, sent)])
    assert [one.fields["a"][0].get("show") for one in shown] == ["7", "8", "7", "7"]
    expected = ["", "checksum is wrong", "left over", "ends early"]
    for one, words in zip(shown, expected, strict=True):
        assert len(one.experts) == bool(words)
        assert words in "".join(one.experts)


def test_a_size_that_a_function_has_a_say_in_is_not_known(tmp_path: Path) -> None:
    varying = Struct("a" / Int8ub, "b" / BytesInteger(lambda c: c.get("a", 1) % 4), "c" / Int8ub)
    scrambled = Struct("a" / ProcessXor(lambda c: c.get("key", 1), Int16ub))
    protocols = [
        Protocol(name=f"sized{i}", message=one, port=4711)
        for i, one in enumerate((varying, scrambled))
    ]
    cases = [
        Case(
            protocols[0], [Sent(bytes.fromhex("01 02 03")), Sent(bytes.fromhex("03 01 02 03 04"))]
        ),
        Case(protocols[1], [Sent(bytes.fromhex("01 02 03"))]),
    ]
    for case, shown in zip(cases, tshark(tmp_path, cases), strict=True):
        assert [one.experts for one in shown] == [[]] * len(shown)
        assert differences(case, shown)[0] == []


def test_places_in_a_prefixed_are_those_in_the_message(tmp_path: Path) -> None:
    message = Struct("a" / Int8ub, "b" / Prefixed(Int8ub, GreedyRange(RawCopy(Int8ub))))
    case = Case(
        Protocol(name="placed", message=message, port=4711), [Sent(bytes.fromhex("07 02 08 09"))]
    )
    found, count = differences(case, *tshark(tmp_path, [case]))
    assert found == []
    assert count >= 9


def test_wireshark_shows_what_we_have_no_lua_for_if_it_knows_the_protocol(tmp_path: Path) -> None:
    """BACnet's dissector for UDP has another name than BACnet's."""
    loaded = load_protocol("bacnet")
    assert dissector(loaded.protocol).missing
    case = Case(loaded.protocol, [Sent(vector.data) for vector in loaded.vectors])
    (shown,) = tshark(tmp_path, [case])
    assert any(one.fields["parameters"] for one in shown)
    assert all(one.fields["function"] and not one.experts for one in shown)
    assert {"bvlc", "bacnet", "bacapp"} <= {name for one in shown for name in one.others}


def test_lua_that_is_not_there_is_a_fault_of_the_protocol() -> None:
    value = Native(
        lambda data, at: (data[at], at + 1),
        lambda one: bytes([one]),
        like=Int8ub,
        lua=Path("nowhere.lua"),
    )
    protocol = Protocol(name="lost", message=Struct("value" / value), port=4711)
    with pytest.raises(ProtocolError, match=r"cannot be read.*nowhere\.lua"):
        dissector(protocol)


def test_json_behind_a_header_is_shown_by_the_dissector_of_it(tmp_path: Path) -> None:
    loaded = load_protocol("semtech")
    case = Case(loaded.protocol, [Sent(vector.data) for vector in loaded.vectors])
    (shown,) = tshark(tmp_path, [case])
    assert any(one.fields["json"] for one in shown)
    for one in shown:
        assert one.fields["kind"]
        assert bool(one.fields["json"]) == ("json" in one.others)
