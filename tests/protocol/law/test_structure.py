"""Where members stop, how deep they nest, and which alternative is taken."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED
from tests.protocol.law.source import load

from iotsim.protocol.codec import Codec

STOPS = [
    ("Struct('n' / Int8ub, 'x' / If(this.n, StopIf(True)), 'z' / Int8ub)", [b"\1", b"\0\2"]),
    ("Struct('n' / Int8ub, If(this.n, StopIf(True)), 'z' / Int8ub)", [b"\1", b"\0\2"]),
    ("Struct('n' / Int8ub, Switch(this.n, {1: StopIf(True)}, Pass), 'z' / Int8ub)", [b"\1", b"\0\2"]),
    ("Struct('n' / Int8ub, 's' / Struct('a' / Int8ub, StopIf(this._.n == 1), 'b' / Int8ub))",
     [b"\1\2", b"\0\2\3"]),
    ("Struct('x' / GreedyRange(Struct('n' / Int8ub, StopIf(this.n == 1), 'b' / Int8ub)))",
     [b"\1", b"\2\3\1"]),
    (("Struct('n' / Int8ub, 'x' / GreedyRange(FocusedSeq('v', StopIf(this._.n == 1), 'v' / Int8ub)),"
     " 'z' / GreedyBytes)"), [b"\1ab"]),
    ("Struct('q' / Sequence(Int8ub, StopIf(lambda c: c._io.tell() % 2), Int8ub), 'z' / Int8ub)",
     []),
    ("Struct('n' / Int8ub, 'p' / Prefixed(Int8ub, If(this.n == 1, StopIf(True))), 'z' / Int8ub)",
     [b"\0\0\2"]),
    (("FlatStruct('n' / Int8ub, If(this.n == 1, Struct('a' / Int8ub, StopIf(True), 'b' / Int8ub)), "
     "'z' / Int8ub)"), [b"\1\2\3", b"\0\3"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), STOPS)
def test_stop_if_wherever_it_stands(source: str, data: list[Any]) -> None:
    agree(source, data)
    for strict in (False, True):
        law = Law(source, strict)
        for given in (b"\1\0\2", b"\1\1\2", b"\0\0\0", b"\1\0", b""):
            law.decode(given)


ENDED = [
    "Struct('x' / GreedyRange(FocusedSeq('v', 'v' / Int8ub, StopIf(this.v == 0))), 'z' / GreedyBytes)",
    "Struct('x' / GreedyRange(FocusedSeq('v', StopIf(True), 'v' / Int8ub)), 'z' / GreedyBytes)",
    "Struct('x' / GreedyRange(Prefixed(Int8ub, StopIf(True))), 'z' / GreedyBytes)",
    "Struct('x' / GreedyRange(Optional(FocusedSeq('v', 'v' / Int8ub, StopIf(this.v == 0)))))",
    "Struct('x' / Optional(FocusedSeq('v', 'v' / Int8ub, StopIf(this.v == 0))), 'z' / GreedyBytes)",
    "Struct('x' / Select(Array(2, FocusedSeq('v', 'v' / Int8ub, StopIf(this.v == 0))), Int16ub))",
    "Sequence('v' / FocusedSeq('v', 'v' / Int8ub, StopIf(this.v == 0)), GreedyBytes)",
    "Struct('s' / Sequence(FocusedSeq('v', 'v' / Int8ub, StopIf(this.v == 0))), 'z' / GreedyBytes)",
]


@pytest.mark.parametrize("source", ENDED)
def test_a_stop_ends_what_is_around(source: str) -> None:
    """The list, the struct, the sequence: where it is met, with what is read by then."""
    for strict in (False, True):
        law = Law(source, strict)
        for data in (b"\1\0\7\7", b"\0\7", b"\1\2\3", b"\1\0", b"\0", b""):
            message = law.decode(data)
            if message is not REFUSED:
                law.encode(message)
        for values in ([1, 0, 7], [0], [], None, 0):
            law.encode({"x": values, "z": b"z"})


def nested(outer: str, inner: str, depth: int) -> str:
    return outer * depth + inner + ")" * depth


@pytest.mark.parametrize("depth", [1, 5, 10])
def test_optional_in_optional(depth: int) -> None:
    source = f"Struct('a' / Int8ub, 'o' / {nested('Optional(', 'Int16ub', depth)})"
    agree(source, [b"\1\2\3", b"\1", {"a": 1}, {"a": 1, "o": None}])


def test_optional_structs_ten_deep() -> None:
    source = "Int8ub"
    for _ in range(10):
        source = f"Optional(Struct('n' / Int8ub, 'o' / {source}))"
    agree(f"Struct('o' / {source})", [b"", b"\1", bytes(11), bytes(5)])


SELECT_OF_TEN = ", ".join(f"Struct('k' / Const({k}, Int8ub), 'v{k}' / Int16ub)" for k in range(10))


def test_select_of_ten() -> None:
    source = f"Struct('a' / Int8ub, 's' / Select({SELECT_OF_TEN}))"
    good: list[Any] = [bytes([7, k, 0, k]) for k in range(10)]
    agree(source, good, [b"\7\x0a\0\0", {"a": 1}, {"a": 1, "s": {}}])


def test_select_of_ten_with_fields_of_the_struct_around() -> None:
    source = f"FlatStruct('a' / Int8ub, Select({SELECT_OF_TEN}))"
    good: list[Any] = [bytes([7, k, 0, k]) for k in range(10)]
    agree(source, good, [b"\7\x0a\0\0"])


def test_select_in_select() -> None:
    source = "Struct('s' / "
    source += "Select(Const(b'ab'), " * 8 + "Int8ub" + ")" * 8 + ")"
    agree(source, [b"ab", b"\1"], [b""])


@pytest.mark.parametrize("length", [3, 20, 120])
def test_chains_of_conditions(length: int) -> None:
    chain = "Int32ub"
    for number in range(length):
        chain = f"IfThenElse(this.k == {number}, Struct('v{number}' / Int8ub), {chain})"
    source = f"Struct('k' / Int8ub, 'b' / {chain})"
    agree(source, [b"\0\7", bytes([length - 1, 7]), b"\xfe\0\0\0\7"], [b"\0"])


def test_a_chain_of_conditions_in_a_flat_struct() -> None:
    chain = "Pass"
    for number in range(120):
        chain = f"IfThenElse(this.k == {number}, Struct('v{number}' / Int8ub), {chain})"
    agree(f"FlatStruct('k' / Int8ub, {chain})", [b"\0\7", b"\x77\7", b"\xfe"], [b"\0"])


def test_switches_in_switches() -> None:
    source = "Int16ub"
    for _ in range(12):
        source = f"Switch(this.k, {{1: {source}}}, Int8ub)"
    agree(f"Struct('k' / Int8ub, 'v' / {source})", [b"\1\0\7", b"\2\7"])


def test_structs_fifty_deep() -> None:
    source = "Int8ub"
    for _ in range(50):
        source = f"Struct('s' / {source})"
    agree(source, [b"\1"], [b""])


def test_arrays_in_arrays() -> None:
    source = "Int8ub"
    for _ in range(25):
        source = f"Array(1, {source})"
    agree(f"Struct('x' / {source})", [b"\1"], [b""])


@pytest.mark.parametrize(
    ("source", "good"),
    [
        ("Struct('q' / Sequence())", [b"", {"q": []}]),
        (
            "Struct('a' / Int8ub, 'q' / Sequence(), 'b' / Int8ub)",
            [b"\1\2", {"a": 1, "b": 2, "q": []}],
        ),
        ("Struct('x' / Array(2, Sequence()))", [b""]),
        ("Struct('q' / Sequence(Sequence(), Int8ub))", [b"\1"]),
        ("Struct('s' / Struct())", [b"", {}, {"s": {}}]),
        ("Struct('a' / Int8ub, 'x' / Array(0, Int8ub))", [b"\1"]),
    ],
)
def test_nothing_inside(source: str, good: list[Any]) -> None:
    agree(source, good)


LEFT = [
    # The failed alternative's array has set _index.
    ("Struct('s' / Select(Array(2, Int16ub), Int8ub), 'i' / Computed(lambda c: c._index))", b"\1"),
    # It has written its fields into the context of the struct around.
    ("FlatStruct('a' / Int8ub, Optional(Struct('b' / Int8ub, 'x' / Int32ub)), 'c' / GreedyBytes)",
     b"\1\2\3"),
    (("FlatStruct('a' / Int8ub, Select(Struct('b' / Int8ub, 'x' / Const(b'x')), "
     "Struct('d' / Int8ub)), 'c' / GreedyBytes)"), b"\1\2\3"),
    (("Struct('a' / Int8ub, 's' / Select(Struct('b' / Int8ub, Check(False)), Struct('d' / Int8ub)), "
     "'k' / Computed(lambda c: sorted(k for k in c.keys() if k[0] != '_')))"), b"\1\2"),
    (("Struct('r' / Select(Remember(Struct('n' / Int8ub, Check(False))), Int8ub), "
     "'k' / Computed(lambda c: 'remembered' in c))"), b"\1"),
    (("Struct('r' / Select(Sequence(Remember(Int8ub), Check(False)), Int8ub), "
     "'k' / Computed(lambda c: 'remembered' in c))"), b"\1"),
    ("Struct('o' / Optional(Struct('n' / Int8ub, Seek(0), Check(False))), 'z' / Int8ub)", b"\1"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), LEFT)
def test_a_failed_alternative_leaves_what_construct_leaves(source: str, data: bytes) -> None:
    agree(source, [data])


def test_a_failed_alternative_writes_nothing() -> None:
    source = "Struct('s' / Select(Struct('a' / Int8ub, 'b' / Int8ub), Struct('a' / Int16ub)))"
    for strict in (False, True):
        law = Law(source, strict)
        assert law.encode({"s": {"a": 300}}) == b"\1\x2c"
        assert law.encode({"s": {"a": 1, "b": 2}}) == b"\1\2"
        assert law.encode({"s": {"a": 1, "b": 300}}) is REFUSED or not strict


def test_a_schema_that_loads_works() -> None:
    """What is too deep for Python is left to construct, or refused when it is loaded, never later."""
    source = "Int8ub"
    for number in range(90):
        source = f"Struct('n' / Int8ub, 'v' / If(this.n == {number}, {source}))"
    for strict in (False, True):
        codec = Codec(load(source), strict)
        assert codec.decode(b"\7") == {"n": 7, "v": None}
        assert codec.encode({"n": 7, "v": None}) == b"\7"
