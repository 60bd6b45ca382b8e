"""What strict refuses is an error of the message; nothing around it swallows it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED

NO_CASE = "Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub, 2: Int16ub}))"
AROUND = [
    f"Struct('x' / GreedyRange({NO_CASE}), 'z' / GreedyBytes)",
    f"Struct('o' / Optional({NO_CASE}), 'z' / GreedyBytes)",
    f"Struct('s' / Select({NO_CASE}, Int8ub), 'z' / GreedyBytes)",
    f"Struct('o' / Optional(Struct('i' / {NO_CASE})), 'z' / GreedyBytes)",
    f"Struct('p' / FixedSized(2, GreedyRange({NO_CASE})), 'z' / GreedyBytes)",
    f"Struct('x' / Array(1, Optional({NO_CASE})), 'z' / GreedyBytes)",
    f"Struct('p' / Peek({NO_CASE}), 'z' / GreedyBytes)",
]


@pytest.mark.parametrize("source", AROUND)
def test_a_switch_without_a_case(source: str) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        assert law.decode(b"\1\7") is not REFUSED
        assert (law.decode(b"\x09\7") is REFUSED) == strict


def test_a_switch_without_a_case_on_encode() -> None:
    for source in AROUND[1:3]:
        name = source[8]
        for strict in (False, True):
            law = Law(source, strict)
            message = {name: {"k": 1, "v": 7}, "z": b""}
            assert law.encode(message) == b"\1\7"
            message = {name: {"k": 9, "v": None}, "z": b""}
            assert (law.encode(message) is REFUSED) == strict


def test_a_switch_in_a_list_on_encode() -> None:
    law = Law(AROUND[0], True)
    assert law.encode({"x": [{"k": 1, "v": 7}], "z": b""}) == b"\1\7"
    assert law.encode({"x": [{"k": 1, "v": 7}, {"k": 9, "v": 7}], "z": b""}) is REFUSED


def test_a_switch_that_is_not_reached_refuses_nothing() -> None:
    source = f"Struct('s' / Select(Struct(Const(b'x'), 'b' / {NO_CASE}), Struct('n' / Int8ub)))"
    agree(source, [b"\x09", b"x\1\7"])


UNKNOWN = [
    ("Struct('a' / Int8ub, 'o' / Optional(Struct('b' / Int8ub)))", {"a": 1, "o": {"b": 2}},
     {"a": 1, "o": {"b": 2, "c": 3}}),
    ("Struct('a' / Int8ub, 's' / Select(Struct('b' / Int8ub), Struct('c' / Int8ub)))",
     {"a": 1, "s": {"c": 2}}, {"a": 1, "s": {"b": 2, "d": 3}}),
    ("Struct('x' / GreedyRange(Struct('b' / Int8ub)))", {"x": [{"b": 1}]},
     {"x": [{"b": 1}, {"b": 2, "c": 3}]}),
    ("Struct('o' / Optional(Struct('i' / Struct('b' / Int8ub))))", {"o": {"i": {"b": 1}}},
     {"o": {"i": {"b": 1, "c": 2}}}),
    ("FlatStruct('a' / Int8ub, Optional(Struct('b' / Int8ub)))", {"a": 1, "b": 2},
     {"a": 1, "b": 2, "c": 3}),
    ("FlatStruct('a' / Int8ub, Optional(Struct('b' / Int8ub)))", {"a": 1}, {"a": 1, "c": 3}),
    ("Struct('o' / Optional(Array(1, Struct('b' / Int8ub))))", {"o": [{"b": 1}]},
     {"o": [{"b": 1, "c": 2}]}),
    # What else is wrong does not hide that a field is not known.
    ("Struct('o' / Optional(Struct('c' / Const(b'x'), 'a' / Int8ub)))", {"o": {"a": 1}},
     {"o": {"c": b"y", "a": 1, "b": 2}}),
    ("Struct('o' / Optional(Struct('a' / Int8ub)))", {"o": {"a": 1}}, {"o": {"a": 300, "b": 2}}),
    ("Struct('o' / Optional(Struct('a' / Bytes(1))))", {"o": {"a": b"a"}}, {"o": {"a": b"", "b": 2}}),
    ("LazyStruct('a' / Int8ub)", {"a": 1}, {"a": 1, "b": 2}),
    ("Struct('o' / Optional(BitStruct('a' / BitsInteger(8))))", {"o": {"a": 1}},
     {"o": {"a": 1, "b": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "known", "unknown"), UNKNOWN)
def test_unknown_keys_on_encode(source: str, known: Any, unknown: Any) -> None:
    agree(source, [known])
    lax, strict = Law(source, False), Law(source, True)
    assert lax.encode(unknown) is not REFUSED
    assert strict.encode(unknown) is REFUSED


def test_the_alternative_that_knows_all_keys_is_taken() -> None:
    """What was decoded is encoded: construct would take the first, and lose a key."""
    source = "Struct('s' / Select(Struct('a' / Int8ub, Const(b'x')), Struct('a' / Int8ub, 'b' / Int8ub)))"
    law = Law(source, True)
    for data in (b"\1x", b"\1\2"):
        assert law.encode(law.decode(data)) == data


def test_keys_of_alternatives_by_their_kind() -> None:
    source = (
        "Struct('s' / Select(Struct('k' / Const(1, Int8ub), 'a' / Int8ub), Struct('k' / Const(2, "
    )
    agree(source + "Int8ub), 'b' / Int8ub)))", [b"\1\7", b"\2\7"], [b"\3\7"])


LEFT_OVER = [
    ("Struct('x' / GreedyRange(Struct('a' / Int8ub, 'b' / Int8ub)))", b"\1\2\3"),
    ("Struct('a' / Int8ub, 'o' / Optional(Int16ub))", b"\1\2"),
    ("Struct('s' / Select(Int16ub, Int8ub), 'o' / Optional(Int32ub))", b"\1\2\3"),
    ("FlatStruct('a' / Int8ub, Optional(Struct('b' / Int16ub)))", b"\1\2"),
]


@pytest.mark.parametrize(("source", "data"), LEFT_OVER)
def test_bytes_that_are_left_over(source: str, data: bytes) -> None:
    assert Law(source, False).decode(data) is not REFUSED
    assert Law(source, True).decode(data) is REFUSED


DEFAULTS = [
    "Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub}, default=Pass))",
    "Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub}, Pass))",
    "FlatStruct('k' / Int8ub, Switch(this.k, {1: Struct('v' / Int8ub)}, default=Pass))",
    "Struct('k' / Int8ub, 'v' / Optional(Switch(this.k, {1: Int8ub}, default=Pass)))",
]


@pytest.mark.parametrize("source", DEFAULTS)
def test_pass_written_out_is_a_default(source: str) -> None:
    agree(source, [b"\1\7", b"\2"])


def test_a_default_is_one_for_each_switch() -> None:
    """Two Switches that are alike but for the default, which construct makes the same Pass."""
    source = "Struct('a' / Int8ub, 'v' / Switch(this.a, {1: Int8ub}, Pass), 'b' / Int8ub, "
    source += "'w' / Switch(this.b, {1: Int8ub}))"
    agree(source, [b"\2\1\7", b"\1\7\1\7"])
    assert Law(source, True).decode(b"\2\2") is REFUSED
