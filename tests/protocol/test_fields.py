import math
from typing import Any

import pytest
from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Computed,
    Const,
    Default,
    Enum,
    ExprAdapter,
    Flag,
    FlagsEnum,
    Float32b,
    Float64l,
    GreedyBytes,
    If,
    Int8ub,
    Int16sl,
    Int16ub,
    Int24ub,
    Optional,
    PaddedString,
    Padding,
    PascalString,
    Pass,
    Prefixed,
    PrefixedArray,
    Rebuild,
    Struct,
    Switch,
    Tell,
    VarInt,
    len_,
    this,
)

from iotsim import Checksum, FlatStruct, Length, sum8
from iotsim.protocol.fields import Schema

MESSAGE = FlatStruct(
    Const(b"ZZ"),
    "kind" / Enum(Int8ub, A=1, B=2),
    "length" / Length(Int16ub),
    BitStruct("hi" / BitsInteger(3), Padding(1), "lo" / Default(BitsInteger(4), 2)),
    "status" / BitStruct("q" / Enum(BitsInteger(2), GOOD=0), Padding(6)),
    "_mark" / Tell,
    Switch(
        this.kind,
        {
            "A": Struct("value" / Float32b * "in volts", "only_a" / Int16sl),
            "B": Struct("value" / Float32b, "list" / PrefixedArray(Int8ub, Struct("x" / Int24ub))),
        },
    ),
    "flags" / FlagsEnum(Int8ub, on=1, hot=2),
    "sum" / Checksum(Int8ub, sum8),
)


def test_paths_stand_in_the_order_of_the_wire() -> None:
    assert list(Schema(MESSAGE).fields) == [
        "kind",
        "length",
        "hi",
        "lo",
        "status",
        "status.q",
        "value",
        "only_a",
        "list",
        "list[]",
        "list[].x",
        "flags",
        "flags.on",
        "flags.hot",
        "sum",
    ]


@pytest.mark.parametrize(
    ("path", "kind", "wire", "offset", "size", "optional", "required"),
    [
        ("kind", "enum", "uint8", 16, 8, False, True),
        ("length", "int", "uint16 big-endian, the length of what follows", 24, 16, False, False),
        ("hi", "int", "3 bits", 40, 3, False, True),
        ("lo", "int", "4 bits, 2 by default", 44, 4, False, False),
        ("status.q", "enum", "2 bits", 48, 2, False, True),
        ("value", "float", "float32 big-endian", 56, 32, False, True),
        ("only_a", "int", "int16 little-endian", 88, 16, True, True),
        ("list", "array", "struct, repeated", 88, None, True, True),
        ("flags", "flags", "uint8", None, 8, False, True),
        ("sum", "int", "uint8, sum8 of the bytes before", None, 8, False, False),
    ],
)
def test_a_field(
    path: str,
    kind: str,
    wire: str,
    offset: int | None,
    size: int | None,
    optional: bool,
    required: bool,
) -> None:
    field = Schema(MESSAGE).fields[path]
    assert (field.kind, field.wire, field.offset, field.size) == (kind, wire, offset, size)
    assert (field.optional, field.required) == (optional, required)


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        (Int8ub, "int"),
        (VarInt, "int"),
        (Float64l, "float"),
        (Bytes(3), "bytes"),
        (Prefixed(Int8ub, GreedyBytes), "bytes"),
        (PascalString(Int8ub, "utf8"), "string"),
        (PaddedString(4, "ascii"), "string"),
        (Int8ub[3], "array"),
        (Struct("a" / Int8ub), "struct"),
        (If(this.x, Int8ub), "int"),
        (Optional(Float32b), "float"),
        (Switch(this.x, {1: Int8ub, 2: VarInt}), "int"),
        (Switch(this.x, {1: Int8ub, 2: Float32b}), "any"),
        (Computed(5), "int"),
        (Computed(this.x), "any"),
        (Rebuild(Int8ub, len_(this.x)), "int"),
        (Pass, "none"),
        (Const(b"x"), "bytes"),
    ],
)
def test_kinds(node: object, kind: str) -> None:
    assert Schema(Struct("f" / node)).fields["f"].kind == kind  # type: ignore[operator]


def test_find_takes_indexes() -> None:
    schema = Schema(MESSAGE)
    for path in ("list.0.x", "list[3].x", "list[].x"):
        found = schema.find(path)
        assert found is not None
        assert found.path == "list[].x"
    assert schema.find("list.x") is None
    assert schema.find("nope") is None


def test_nearest() -> None:
    schema = Schema(MESSAGE)
    assert schema.nearest("valeu") == "value"
    assert schema.nearest("q") == "status.q"
    assert schema.nearest("zzzzzz") is None


def test_round() -> None:
    fields = Schema(MESSAGE).fields
    assert fields["value"].round(20.1) == 20.100000381469727
    assert fields["value"].round(1e300) == 1e300
    assert math.isnan(fields["value"].round(math.nan))
    assert fields["kind"].round(2) == "B"
    assert fields["kind"].round("B") == "B"
    assert fields["kind"].round(9) == 9
    assert fields["hi"].round(3) == 3


def test_docs() -> None:
    assert Schema(MESSAGE).fields["value"].doc == "in volts"


def test_odd_fields() -> None:
    assert Schema(MESSAGE).odd_fields == ()
    assert Schema(Struct("a" / Bytes(1))).odd_fields == ("a",)
    assert Schema(Struct("a" / Switch(this.x, {1: Int8ub, 2: GreedyBytes}))).odd_fields == ("a",)
    mixed = Switch(this.x, {1: Int8ub, 2: Float32b, 3: PascalString(Int8ub, "utf8")})
    assert Schema(Struct("a" / mixed)).odd_fields == ()
    assert Schema(Struct("_private" / Computed(b"x"), "a" / Int8ub)).odd_fields == ()


@pytest.mark.parametrize(
    ("cases", "found"),
    [
        ({1: Struct("x" / Int8ub), 2: GreedyBytes}, False),
        ({1: Struct("x" / Int8ub), 2: Int8ub[2], 3: GreedyBytes}, False),
        ({1: Struct("x" / Int8ub), 2: Struct("y" / Int8ub)}, False),
        ({1: Int8ub, 2: ExprAdapter(Int8ub, str, int)}, True),
        ({1: Struct("x" / Int8ub), 2: ExprAdapter(Int8ub, str, int)}, True),
        ({1: ExprAdapter(Int8ub, str, int), 2: GreedyBytes, 3: Struct("x" / Int8ub)}, True),
        ({1: Struct("x" / Int8ub), 2: Switch(this.k, {1: Int8ub, 2: Flag})}, False),
    ],
)
def test_what_is_below_a_field_of_several_kinds_is_known_if_these_are(
    cases: dict[int, Any], found: bool
) -> None:
    schema = Schema(Struct("k" / Int8ub, "body" / Switch(this.k, cases)))
    assert (schema.find("body.unheard_of") is not None) is found
    assert (schema.find("body[0].unheard_of") is not None) is found


def test_aliases() -> None:
    enum = Enum(Int8ub, OLD=1, NEW=1, LATER=2)
    (field,) = Schema(Struct("x" / enum)).fields.values()
    assert field.aliases == {"OLD": "NEW"}
    assert [field.round(value) for value in (1, "OLD", "NEW", 2, 3)] == [
        *("NEW", "NEW", "NEW", "LATER", 3)
    ]
    other = Enum(Int8ub, OLD=5, NONE=1)
    field = Schema(Struct("k" / Int8ub, "x" / Switch(this.k, {1: enum, 2: other}))).fields["x"]
    assert field.aliases == {}
