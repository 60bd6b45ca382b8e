"""Members that need a value and those that do not: private ones, conditional ones, constants."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED
from tests.protocol.law.source import load

from iotsim.protocol.codec import Codec
from iotsim.protocol.fields import Schema

PRIVATE = [
    ("Struct('a' / Int8ub, '_reserved' / Int16ub, 'b' / Int8ub)", b"\1\2\3\4"),
    ("Struct('a' / Int8ub, '_reserved' / Bytes(2), 'b' / Int8ub)", b"\1\2\3\4"),
    ("BitStruct('a' / BitsInteger(4), '_reserved' / BitsInteger(4))", b"\x12"),
    ("Struct('n' / Int8ub, '_reserved' / Bytes(this.n), 'b' / Int8ub)", b"\2ab\4"),
    ("Struct('a' / Int8ub, '_reserved' / Float32b)", b"\1\x3f\xc0\0\0"),
    ("Struct('a' / Int8ub, '_reserved' / Flag)", b"\1\1"),
    ("Struct('a' / Int8ub, '_reserved' / Int24ul)", b"\1\1\2\3"),
    ("Struct('a' / Int8ub, '_reserved' / VarInt)", b"\1\x81\1"),
    ("Struct('a' / Int8ub, '_reserved' / Enum(Int8ub, X=1))", b"\1\1"),
    ("FlatStruct('a' / Int8ub, '_reserved' / Int16ub, 'b' / Int8ub)", b"\1\2\3\4"),
    ("FlatStruct('a' / Int8ub, Struct('_reserved' / Int16ub, 'b' / Int8ub))", b"\1\2\3\4"),
    ("Struct('s' / Struct('_reserved' / Int8ub, 'b' / Int8ub))", b"\1\2"),
    ("Struct('x' / Array(2, Struct('_reserved' / Int8ub, 'b' / Int8ub)))", b"\1\2\3\4"),
    ("Struct('o' / Optional(Struct('_reserved' / Int8ub, 'b' / Int8ub)))", b"\1\2"),
    ("Struct('s' / FocusedSeq('s', 's' / Struct('_reserved' / Int8ub), StopIf(False)))", b"\1"),
    ("Struct('q' / Sequence(Struct('_reserved' / Int8ub, 'b' / Int8ub), StopIf(False)))", b"\1\2"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), PRIVATE)
def test_private_members_are_kept(source: str, data: bytes) -> None:
    agree(source, [data])


UNNAMED = [
    "Struct('a' / Int8ub, Flag)",
    "FlatStruct('a' / Int8ub, Flag, 'b' / Int8ub)",
    "FlatStruct('a' / Int8ub, FlagsEnum(Int8ub, x=1))",
    "FlatStruct('a' / Int8ub, Enum(Int8ub, x=1))",
    "FlatStruct('a' / Int8ub, Bytes(1))",
    "Struct('s' / Struct('a' / Int8ub, Flag))",
    "Struct('s' / Struct('a' / Int8ub, IfThenElse(this.a, Flag, Int8ub)))",
    "BitStruct('a' / BitsInteger(7), Flag)",
]


@pytest.mark.parametrize("source", UNNAMED)
def test_nothing_can_be_given_for_what_has_no_name(source: str) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        message = law.decode(b"\1\1\1"[: 3 if "'b'" in source else 1 if "Bit" in source else 2])
        assert message is not REFUSED
        assert law.encode(message) is REFUSED


def without_private(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_private(v) for k, v in value.items() if not k.startswith("_")}
    if isinstance(value, list):
        return [without_private(v) for v in value]
    return value


@pytest.mark.parametrize(("source", "data"), PRIVATE)
def test_private_members_that_are_missing_are_zero(source: str, data: bytes) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        message = without_private(law.decode(data))
        built = law.encode(message)
        assert built is not REFUSED
        assert len(built) == len(data) or "VarInt" in source
        assert without_private(law.decode(built)) == message
        assert law.encode(law.decode(built)) == built


HIDDEN = [
    ("Struct('a' / Int8ub, '_at' / Tell, 'b' / Int8ub)", b"\1\2"),
    ("Struct('a' / Int8ub, '_sum' / Computed(this.a + 1), 'b' / Int8ub)", b"\1\2"),
    ("Struct('a' / Int8ub, '_pad' / Padding(1), 'b' / Int8ub)", b"\1\0\2"),
    ("Struct('_magic' / Const(b'M'), 'b' / Int8ub)", b"M\2"),
    ("Struct('_n' / Rebuild(Int8ub, len_(this.b)), 'b' / Bytes(this._n))", b"\2ab"),
    ("Struct('a' / Int8ub, '_check' / Check(this.a < 9), 'b' / Int8ub)", b"\1\2"),
    ("Struct('a' / Int8ub, '_next' / Peek(Int8ub), 'b' / Int8ub)", b"\1\2"),
    ("FlatStruct('_n' / Length(Int8ub), 'b' / Int8ub)", b"\1\2"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), HIDDEN)
def test_private_members_that_need_no_value_stay_hidden(source: str, data: bytes) -> None:
    agree(source, [data])
    for strict in (False, True):
        assert not [k for k in Codec(load(source), strict).decode(data) if k.startswith("_")]


CONDITIONAL = [
    ("Struct('a' / Int8ub, 'b' / If(this.a == 1, Int8ub))", [{"a": 0}, {"a": 1, "b": 2}], [{"a": 1}]),
    ("FlatStruct('a' / Int8ub, 'b' / If(this.a == 1, Int8ub))", [{"a": 0}, {"a": 1, "b": 2}],
     [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / If(lambda c: c.a == 1, Bytes(1)))", [{"a": 0}, {"a": 1, "b": b"x"}],
     [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / IfThenElse(this.a == 1, Int8ub, Pass))", [{"a": 0}], [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / IfThenElse(this.a == 1, Pass, Int8ub))", [{"a": 1}], [{"a": 0}]),
    ("Struct('a' / Int8ub, 'b' / Switch(this.a, {1: Int8ub, 2: Pass}))", [{"a": 2}], [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / Switch(this.a, {1: Int8ub}, Pass))", [{"a": 2}], [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / If(this.a > 0, If(this.a > 1, Int8ub)))", [{"a": 0}, {"a": 1}],
     [{"a": 2}]),
    ("Struct('a' / Int8ub, 's' / Struct('b' / If(this._.a == 1, Int8ub)))",
     [{"a": 0, "s": {}}, {"a": 1, "s": {"b": 2}}], [{"a": 1, "s": {}}]),
    ("Struct('x' / Array(2, Struct('a' / Int8ub, 'b' / If(this.a, Int8ub))))",
     [{"x": [{"a": 0}, {"a": 1, "b": 2}]}], [{"x": [{"a": 0}, {"a": 1}]}]),
    ("Struct('a' / Int8ub, 'b' / If(this.a == 1, Flag))", [{"a": 0}, {"a": 1, "b": True}],
     [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / If(this.a == 1, Struct('c' / Int8ub)))",
     [{"a": 0}, {"a": 1, "b": {"c": 1}}], [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / If(this.a == 1, LazyBound(lambda: Int8ub)))", [{"a": 0}], [{"a": 1}]),
    ("Struct('a' / Int8ub, 'b' / If(this.a == 1, LazyBound(lambda: Computed(7))))",
     [{"a": 0}, {"a": 1}, {"a": 1, "b": None}], []),
]  # fmt: skip


@pytest.mark.parametrize(("source", "good", "bad"), CONDITIONAL)
def test_a_conditional_member_that_is_missing_is_none(
    source: str, good: list[Any], bad: list[Any]
) -> None:
    agree(source, good, bad)


CONSTANT_CASES = [
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Const(b'x')}))",
     [b"\1\7", b"\2x", {"k": 2}, {"k": 2, "v": b"x"}], [{"k": 1}, {"k": 2, "v": b"y"}]),
    ("Struct('k' / Int8ub, 'v' / IfThenElse(this.k == 1, Int8ub, Const(b'x')))",
     [b"\1\7", b"\2x", {"k": 2}], [{"k": 1}]),
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Computed(5)}))",
     [b"\1\7", b"\2", {"k": 2}], [{"k": 1}]),
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Default(Int8ub, 5)}))",
     [b"\1\7", b"\2\5", {"k": 2}, {"k": 2, "v": 6}], [{"k": 1}]),
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Optional(Int8ub)}))",
     [b"\1\7", b"\2", b"\2\7", {"k": 2}], [{"k": 1}]),
    ("FlatStruct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Const(b'x')}))",
     [b"\1\7", b"\2x", {"k": 2}], [{"k": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "good", "bad"), CONSTANT_CASES)
def test_cases_that_need_a_value_and_cases_that_do_not(
    source: str, good: list[Any], bad: list[Any]
) -> None:
    agree(source, good, bad)


REQUIRED = [
    ("Struct('a' / Int8ub, '_reserved' / Int16ub, 'b' / Int8ub)", {"a": 1, "b": 1}),
    ("Struct('a' / Int8ub, 'b' / If(this.a == 1, Int8ub))", {"a": 1, "b": 1}),
    ("Struct('a' / Int8ub, 'c' / Const(b'x'), 'd' / Default(Int8ub, 1))", {"a": 1}),
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Const(b'x')}))", {"k": 1, "v": 1}),
    ("Struct('o' / Optional(Int8ub), 'n' / Rebuild(Int8ub, 1))", {}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), REQUIRED)
def test_what_the_field_table_requires_is_taken_and_suffices(
    source: str, message: dict[str, Any]
) -> None:
    """Never required and refused at once."""
    fields = Schema(load(source)).fields
    for strict in (False, True):
        codec = Codec(load(source), strict)
        codec.encode(message)
        codec.encode({k: v for k, v in message.items() if k in fields and fields[k].required})
