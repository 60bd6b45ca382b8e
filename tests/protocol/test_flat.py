from typing import Any

import pytest
from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Default,
    Enum,
    Flag,
    Float32b,
    If,
    Int8ub,
    Int16ub,
    Optional,
    Padding,
    Rebuild,
    Struct,
    Switch,
    len_,
    this,
)
from construct.lib import Container

from iotsim import Checksum, FlatStruct, Length, crc16_ccitt
from iotsim.protocol.codec import Codec
from iotsim.protocol.flat import flat_names
from iotsim.protocol.interpreted import normalize
from iotsim.protocol.verified import LengthError

MESSAGE = FlatStruct(
    BitStruct("version" / Const(1, BitsInteger(4)), "urgent" / Default(Flag, False), Padding(3)),
    "kind" / Enum(Int8ub, READ=1, REPORT=2, LIST=3),
    "length" / Length(Int8ub),
    Switch(
        this.kind,
        {
            "READ": Struct(),
            "REPORT": Struct("value" / Float32b, "unit" / Default(Int8ub, 7)),
            "LIST": FlatStruct(
                "count" / Rebuild(Int8ub, len_(this.items)),
                "items" / Int16ub[this.count],
                If(this._.urgent, Struct("reason" / Int8ub)),
            ),
        },
    ),
    "crc" / Checksum(Int16ub, crc16_ccitt),
)
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"kind": "READ"}, {"length": 2}),
    ({"kind": "REPORT", "value": 1.5}, {"length": 7, "unit": 7}),
    ({"kind": "LIST", "items": [1, 2]}, {"length": 7, "count": 2}),
    ({"kind": "LIST", "items": [], "urgent": True, "reason": 9}, {"length": 4, "count": 0}),
]


@pytest.mark.parametrize(("given", "computed"), CASES)
def test_unnamed_structs_give_their_fields(given: dict[str, Any], computed: dict[str, Any]) -> None:
    data = MESSAGE.build(given)
    parsed = normalize(MESSAGE.parse(data))
    crc = int.from_bytes(data[-2:], "big")
    assert parsed == {"version": 1, "urgent": False, "crc": crc} | given | computed
    assert MESSAGE.build(parsed) == data
    assert normalize(MESSAGE.compile().parse(data)) == parsed


def test_compiled_by_construct_it_is_called_as_it_is() -> None:
    message = FlatStruct(
        "kind" / Int8ub,
        "length" / Length(Int8ub),
        Switch(this.kind, {1: Struct("x" / Int8ub), 2: Struct("y" / Default(Int16ub, 7))}),
        "crc" / Checksum(Int16ub, crc16_ccitt),
    )
    compiled = message.compile()
    for fields in [{"kind": 1, "x": 5}, {"kind": 2}, {"kind": 2, "y": 3}]:
        data = message.build(fields)
        assert compiled.build(fields) == data
        assert normalize(compiled.parse(data)) == normalize(message.parse(data))
    with pytest.raises(LengthError):
        compiled.parse(b"\x01\x04\x05" + crc16_ccitt(b"\x01\x04\x05").to_bytes(2, "big"))


def test_fields_stand_in_the_order_of_the_wire() -> None:
    parsed = normalize(MESSAGE.parse(MESSAGE.build({"kind": "REPORT", "value": 0})))
    assert list(parsed) == ["version", "urgent", "kind", "length", "value", "unit", "crc"]


def test_later_fields_see_those_of_unnamed_structs() -> None:
    message = FlatStruct(
        BitStruct("a" / BitsInteger(4), "b" / BitsInteger(4)), "c" / Int8ub[this.b]
    )
    data = message.build({"a": 0, "b": 2, "c": [8, 9]})
    assert data == b"\x02\x08\x09"
    assert normalize(message.parse(data)) == {"a": 0, "b": 2, "c": [8, 9]}


def test_a_rebuilt_field_is_not_overwritten_by_what_was_given() -> None:
    message = FlatStruct(
        "count" / Rebuild(Int8ub, len_(this.items)),
        Struct("x" / Int8ub),
        "items" / Int8ub[this.count],
    )
    assert message.build({"count": 99, "x": 1, "items": [5]}) == b"\x01\x01\x05"


def test_an_optional_struct_may_be_missing() -> None:
    message = FlatStruct("a" / Int8ub, Optional(Struct("b" / Int16ub)))
    assert normalize(message.parse(b"\x01\x00\x02")) == {"a": 1, "b": 2}
    assert normalize(message.parse(b"\x01")) == {"a": 1}


def test_it_nests() -> None:
    element = FlatStruct("length" / Length(Int8ub), Switch(this.length, {1: Struct("x" / Int8ub)}))
    message = Struct("e" / FlatStruct("length" / Length(Int8ub, of="message"), "x" / Int8ub))
    assert message.build({"e": {"x": 3}}) == b"\x02\x03"
    assert message.parse(b"\x02\x03").e.x == 3
    assert normalize(element.parse(b"\x01\x07")) == {"length": 1, "x": 7}


def test_flat_names() -> None:
    assert flat_names(Switch(this.a, {1: Struct("x" / Int8ub), 2: Struct("y" / Int8ub)})) == (
        "x",
        "y",
    )
    assert flat_names(Int8ub) == ()
    assert flat_names(Struct("x" / Int8ub)[2]) == ()


def test_parsed_as_by_a_struct_of_construct() -> None:
    members = ["a" / Int8ub, "b" / Struct("c" / Int8ub), Padding(1)]
    data = b"\x01\x02\x03"
    flat, plain = FlatStruct(*members), Struct(*members)
    assert isinstance(flat.parse(data), Container)
    assert normalize(flat.parse(data)) == normalize(plain.parse(data))
    assert flat.build({"a": 1, "b": {"c": 2}}) == plain.build({"a": 1, "b": {"c": 2}})


def test_a_constant_default_is_known_before_its_field() -> None:
    schema = FlatStruct(
        BitStruct("kind" / BitsInteger(4), "size" / Rebuild(BitsInteger(4), len_(this._.token))),
        "token" / Default(Bytes(this.size), b""),
    )
    codec = Codec(schema)
    assert codec.fallbacks == {}
    for given, data in (
        ({"kind": 1}, b"\x10"),
        ({"kind": 1, "token": None}, b"\x10"),
        ({"kind": 1, "token": b"ab"}, b"\x12ab"),
    ):
        assert schema.build(given) == data
        assert codec.encode(given) == data
