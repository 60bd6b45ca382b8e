"""Nothing repeats for ever, and nothing fills the memory."""

from __future__ import annotations

import time
from typing import Any

import construct as c
import pytest
from tests.protocol.law.fuzz import limited
from tests.protocol.law.law import agree
from tests.protocol.law.source import load

from iotsim.errors import DecodeError
from iotsim.protocol.codec import Codec

FOR_EVER = [
    "Struct('x' / GreedyRange(Pass))",
    "Struct('x' / GreedyRange(Computed(1)))",
    "Struct('x' / GreedyRange(Optional(Int16ub)), 'z' / GreedyBytes)",
    "Struct('x' / GreedyRange(Struct('t' / Tell)))",
    "Struct('x' / GreedyRange(GreedyBytes))",
    "Struct('x' / GreedyRange(Bytes(lambda c: 0)))",
    "Struct('x' / GreedyRange(Peek(Int8ub)))",
    "Struct('x' / GreedyRange(Struct('n' / Int8ub, Seek(-1, 1))))",
    "Struct('x' / GreedyRange(Pointer(0, Int8ub)))",
    "Struct('x' / GreedyRange(Array(0, Int8ub)))",
    "Struct('x' / Optional(GreedyRange(Pass)))",
    "Struct('x' / RepeatUntil(lambda o, l, c: False, Pass))",
    "Struct('x' / RepeatUntil(lambda o, l, c: False, Peek(Int8ub)))",
    # What is inside has an index of its own.
    "Struct('x' / RepeatUntil(lambda o, l, c: c._index == 1, Bitwise(GreedyRange(Nibble))))",
    "Struct('x' / RepeatUntil(lambda o, l, c: False, Array(1, Pass)))",
    "Struct('x' / Array(2 ** 40, Array(1, Pass)))",
    "Struct('x' / Array(2 ** 40, Pass))",
    "Struct('n' / Int32ub, 'x' / Array(this.n, Computed(1)))",
    "Struct('n' / Int32ub, 'x' / Array(this.n, Bytes(0)))",
    "Struct('x' / PrefixedArray(Int32ub, Struct()))",
]


@pytest.mark.parametrize("source", FOR_EVER)
def test_elements_of_no_bytes(source: str) -> None:
    for strict in (False, True):
        codec = Codec(load(source), strict)
        with limited(3), pytest.raises(DecodeError):
            codec.decode(b"\xff\xff\xff\xff\1\2\3\4")


@pytest.mark.parametrize(
    "source",
    [
        "Struct('x' / Array(2, Struct()))",
        "Struct('x' / Array(1000, Computed(1)))",
        "Struct('x' / PrefixedArray(Int8ub, Pass))",
        "Struct('x' / RepeatUntil(lambda o, l, c: len(l) == 3, Index))",
    ],
)
def test_some_elements_of_no_bytes_are_fine(source: str) -> None:
    agree(source, [b"\2" if "Prefixed" in source else b""])


FORTH_AND_BACK = [
    # Each element moves, and no element moves on.
    "Struct('x' / GreedyRange(Struct('n' / Int8ub, Seek(lambda c: 1 - c._index % 2))))",
    "Struct('n' / Int8ub, 'x' / GreedyRange(Struct('n' / Int8ub, Seek(lambda c: 2 * (c._index % 2)))))",
    (
        "Struct('x' / RepeatUntil(lambda o, l, c: False, Struct('n' / Int8ub, Seek(lambda c: "
        "1 - c._index % 2))))"
    ),
]


@pytest.mark.parametrize("source", FORTH_AND_BACK)
def test_elements_that_move_and_take_nothing(source: str) -> None:
    codec = Codec(load(source))
    with limited(3), pytest.raises(DecodeError):
        codec.decode(b"\1\2\3\4")


DEEP: dict[str, Any] = {
    "Optional": c.Struct("n" / c.Int8ub, "x" / c.Optional(c.LazyBound(lambda: DEEP["Optional"]))),
    "Select": c.Struct("n" / c.Int8ub, "x" / c.Select(c.LazyBound(lambda: DEEP["Select"]), c.Pass)),
    "GreedyRange": c.Struct(
        "n" / c.Int8ub, "x" / c.GreedyRange(c.LazyBound(lambda: DEEP["GreedyRange"]))
    ),
}


@pytest.mark.parametrize("kind", DEEP)
def test_what_nests_too_deeply_is_an_error_of_the_message(kind: str) -> None:
    """construct ends where Python's stack does: a list, or an Optional, and all after it is lost."""
    for strict in (False, True):
        codec = Codec(DEEP[kind], strict)
        with limited(10), pytest.raises(DecodeError):
            codec.decode(b"\1" * 50_000)


@pytest.mark.parametrize(
    "source",
    [
        "Struct('n' / VarInt)",
        "Struct('n' / VarInt, 'b' / Bytes(this.n))",
        "Struct('s' / PascalString(VarInt, 'utf8'))",
        "Struct('n' / Int32ub, 'b' / Padding(this.n))",
        "Struct('n' / Int32ub, 'x' / Array(this.n, Int8ub))",
        "Struct('n' / Int32ub, 'x' / FixedSized(this.n, GreedyBytes))",
        "Struct('s' / CString('utf8'))",
    ],
)
def test_large_messages_take_no_time(source: str) -> None:
    codec = Codec(load(source))
    start = time.process_time()
    with pytest.raises(DecodeError):
        codec.decode(b"\xff" * 65_000)
    assert time.process_time() - start < 5
