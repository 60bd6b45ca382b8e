"""Constructs that the first codec took for something else."""

from __future__ import annotations

import copy
import gc
import itertools
import tracemalloc
from typing import Any

import construct as c
import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED
from tests.protocol.law.source import load

from iotsim import FlatStruct
from iotsim.errors import DecodeError, ProtocolError
from iotsim.protocol.codec import Codec
from iotsim.protocol.fields import Schema

ABSENT = [
    "Struct('o' / Optional(Sequence(Const(b'a'), Int8ub)))",
    "Struct('o' / Optional(Sequence(Const(b'a'))))",
    "Struct('o' / Optional(Sequence(Const(1, Int8ub), Const(b'b'))))",
    "Struct('o' / Optional(Struct('a' / Const(b'a'))))",
    "Struct('o' / Optional(Const(b'a')))",
    "Struct('o' / Optional(Array(2, Int8ub)))",
    "Struct('o' / Optional(Flag))",
    "Struct('o' / Optional(Default(Int8ub, 7)))",
]


@pytest.mark.parametrize("source", ABSENT)
def test_an_optional_that_is_given_none(source: str) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        law.encode({"o": None})
        law.encode({})
        for data in (b"", b"a", b"a\1", b"\1b", b"ab", b"\7", b"b"):
            message = law.decode(data)
            if message is not REFUSED:
                law.encode(message)


CONSTANTS = [
    ("Struct('n' / Int8ub, 'm' / Const(b'ab', Bytes(this.n)))", [b"\2ab"],
     [b"\2ac", b"\1a", b"\3abc", {"n": 3}, {"n": 1}]),
    ("Struct('n' / Int8ub, Const(b'ab', Bytes(this.n)), 'z' / Int8ub)", [b"\2ab\7"],
     [b"\2ac\7", b"\1a\7", {"n": 3, "z": 1}]),
    ("Struct('n' / Int8ub, 'm' / Const(b'ab', Bytes(lambda c: c.n)))", [b"\2ab"],
     [b"\2xx", b"\3abc", {"n": 2, "m": b"xx"}]),
    ("Struct('m' / Const(b'ab', GreedyBytes))", [b"ab"], [b"abc", b"a", {"m": b"x"}]),
    ("Struct('m' / Const(b'ab', Prefixed(Int8ub, GreedyBytes)))", [b"\2ab"], [b"\1a", b"\2ac"]),
    ("Struct('m' / Const('ab', CString('utf8')))", [b"ab\0"], [b"ac\0", {"m": "x"}]),
    ("Struct('m' / Const([1, 2], Array(2, Int8ub)))", [b"\1\2", {}], [b"\1\3", {"m": [1, 3]}]),
    ("Struct('m' / Const('B', Enum(Int8ub, A=1, B=2)))", [b"\2", {}, {"m": "B"}], [b"\1", {"m": "A"}]),
    ("Struct('m' / Const(2, Enum(Int8ub, A=1)))", [b"\2"], [b"\1"]),
    ("Struct('m' / Const(1.5, Float32b))", [b"\x3f\xc0\0\0"], [b"\x3f\xc1\0\0"]),
    ("BitStruct('m' / Const(5, BitsInteger(3)), 'v' / BitsInteger(5))", [b"\xa1"], [b"\xc1"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "good", "bad"), CONSTANTS)
def test_constants_of_any_construct(source: str, good: list[Any], bad: list[Any]) -> None:
    agree(source, good, bad)


SIZES_KNOWN_BEFOREHAND = [
    "Struct('n' / Computed(2), 'a' / Int16ub, 'd' / Bytes(this.n), 'z' / Int8ub)",
    "Struct('n' / Computed(2), 'a' / Int8ub, 's' / FixedSized(this.n, GreedyBytes), 'z' / Int16ub)",
    "Struct('n' / Computed(2), 'a' / Int8ub, 'p' / Padded(this.n, Int8ub), 'z' / Int16ub)",
    "Struct('n' / Computed(2), 'a' / Int8ub, Padding(this.n), 'z' / Int16ub)",
    "Struct('n' / Computed(2), 'a' / Int8ub, 'x' / Array(this.n, Int8ub), 'z' / Int16ub)",
    "Struct('n' / Computed(1), 'a' / Int8ub, 'x' / Array(2, Bytes(this.n)), 'z' / Int16ub)",
    "FlatStruct('n' / Computed(2), 'a' / Int8ub, Struct('d' / Bytes(this._.n), 'z' / Int16ub))",
    "Struct('t' / Tell, 'a' / Int16ub, 'u' / Tell, 'd' / Bytes(this.u - this.t), 'z' / Int8ub)",
]


@pytest.mark.parametrize("source", SIZES_KNOWN_BEFOREHAND)
def test_a_size_that_is_the_same_in_all_messages(source: str) -> None:
    agree(source, [b"\1\0\0\4\5"], [b"\1\0\0\4", b""])


@pytest.mark.parametrize(
    "source",
    [
        "Struct('r' / RawCopy(BytesInteger(-1)))",
        "Struct('a' / Int8ub, 'r' / RawCopy(Bitwise(BitsInteger(-8))))",
        "Struct('r' / Aligned(4, BytesInteger(-1)))",
        "Struct('r' / Padded(0, Select(Int8ub)))",
        "Struct('r' / Padded(1, Optional(Int16ub)), 'a' / Check(False))",
    ],
)
def test_no_message_has_a_size_below_zero(source: str) -> None:
    agree(source, [], [b"\1", b"", {"a": 1, "r": {"value": 1}}, {"r": 1}])


COMPILED = [
    ("Struct('a' / Int8ub, 'd' / Bytes(this.a), 'e' / Enum(Int8ub, ON=1))COMPILE", b"\2ab\1"),
    ("Struct('s' / Struct('a' / Int16ub)COMPILE, 'x' / GreedyRange(Int16ubCOMPILE))", b"\0\1\0\2"),
    ("FlatStruct('a' / Int8ub, Struct('b' / Int8ub)COMPILE)", b"\1\2"),
    ("Struct('p' / NamedTuple('P', 'x y', Array(2, Int8ub))COMPILE, 'c' / Const(b'C')COMPILE)",
     b"\1\2C"),
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Check(True)COMPILE}, Int8ubCOMPILE))", b"\1"),
    ("Struct('k' / Int8ub, StopIf(this.k == 1)COMPILE, 'v' / Int8ub)", b"\1"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), COMPILED)
def test_what_is_compiled_is_what_it_was_compiled_from(source: str, data: bytes) -> None:
    """construct's compiled code leaves out what it checks otherwise, and shows no fields."""
    compiled, plain = (load(source.replace("COMPILE", how)) for how in (".compile()", ""))
    assert list(Schema(compiled).fields) == list(Schema(plain).fields)
    for strict in (False, True):
        law = Law(source.replace("COMPILE", ""), strict)
        codec = Codec(compiled, strict)
        message = law.decode(data)
        assert codec.decode(data) == message
        assert codec.encode(message) == law.encode(message) == data
        assert not codec.fallbacks or law.codec.fallbacks
        for end in range(len(data)):
            if law.decode(data[:end]) is REFUSED:
                with pytest.raises(DecodeError):
                    codec.decode(data[:end])


REFUSED_WHEN_LOADED = [
    ("Struct('x' / Pickled)", "would execute what a datagram says"),
    ("Struct('x' / Pickled.compile())", "would execute what a datagram says"),
    ("Struct('x' / Rebuffered(Int8ub))", "waits for ever"),
    ("Struct('x' / Optional(FocusedSeq('w', 'v' / Int8ub)))", "has no member 'w'"),
    ("Struct(b'x' / Int8ub)", "the name b'x' of a member is no text"),
]


@pytest.mark.parametrize(("source", "reason"), REFUSED_WHEN_LOADED)
def test_what_no_message_can_be_of_is_refused_when_it_is_loaded(source: str, reason: str) -> None:
    for strict in (False, True):
        with pytest.raises(ProtocolError, match=reason):
            Codec(load(source), strict)


LAZY = [
    ("LazyStruct('a' / Int8ub, 'b' / Int16ub)", b"\1\0\2"),
    ("Struct('s' / LazyStruct('a' / Int8ub, 'b' / Int16ub), 'z' / Int8ub)", b"\1\0\2\3"),
    ("Struct('n' / Int8ub, 's' / LazyStruct('a' / Int8ub, 'b' / CString('utf8')), 'z' / Int8ub)",
     b"\1\2ab\0\3"),
    ("Struct('x' / Array(2, LazyStruct('a' / Int8ub, 'b' / Int8ub)), 'z' / Int8ub)", b"\1\2\3\4\5"),
    ("Struct('s' / LazyStruct('n' / VarInt, 'b' / Bytes(this.n)), 'z' / Int8ub)", b"\2ab\3"),
    ("Struct('x' / LazyArray(3, Int8ub), 'z' / Int8ub)", b"\1\2\3\4"),
    ("Struct('x' / LazyArray(2, CString('utf8')), 'z' / Int8ub)", b"a\0b\0\4"),
    ("Struct('v' / Lazy(Int16ub), 'z' / Int8ub)", b"\1\2\3"),
    ("Struct('s' / Struct('v' / Lazy(Int16ub)), 'z' / Int8ub)", b"\1\2\3"),
    ("Struct('p' / Prefixed(Int8ub, LazyStruct('a' / Int8ub, 'b' / GreedyBytes)), 'z' / Int8ub)",
     b"\3\1ab\4"),
    ("Struct('s' / LazyStruct('a' / Int8ub, Padding(2), 'b' / Int8ub), 'z' / Int8ub)", b"\1\0\0\2\3"),
    # How long its members are cannot be told before they are read.
    ("LazyStruct('s' / Struct('n' / Int8ub, 'b' / Bytes(lambda c: c.n % 4)), 'z' / Int8ub)", b"\2ab\3"),
    ("LazyStruct('s' / Struct('n' / Int8ub, 'b' / Bytes(lambda c: 0 if 'm' in c else c.n % 4)))",
     b"\2ab"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), LAZY)
def test_lazy_constructs(source: str, data: bytes) -> None:
    agree(source, [data])


def test_lazy_elements_where_construct_sees_them() -> None:
    """It steps over a Prefixed by a byte too many, and so does not begin where the last one ended."""
    law = Law("Struct('x' / GreedyRange(Lazy(Prefixed(Int8ub, Int8ub))))", strict=False)
    assert law.decode(b"\1\2\1\2\1\2") == {"x": [2, 1]}


TWICE = [
    ("Struct('a' / Int8ub, 'a' / Int16ub)", b"\1\0\1", b"\1\0\2"),
    ("Struct('a' / Int8ub, 'b' / Int8ub, 'a' / Bytes(this.b))", b"\1\2ab", b""),
    ("Struct('n' / Int8ub, 'n' / Int8ub, 'b' / Bytes(this.n))", b"\2\2ab", b"\1\2ab"),
    ("Struct('a' / Computed(1), 'a' / Int8ub)", b"\7", b""),
    ("Struct('_a' / Tell, 'x' / Int8ub, '_a' / Tell, 'y' / Bytes(this._a))", b"\7a", b""),
    ("FlatStruct('a' / Int8ub, Struct('a' / Int8ub))", b"\1\1", b"\1\2"),
    ("FlatStruct('k' / Int8ub, Switch(this.k, {1: Struct('k' / Int16ub)}, Pass))", b"\2", b"\1\0\1"),
    ("Struct('s' / Struct('a' / Int8ub, 'a' / Int8ub), 'b' / Bytes(this.s.a))", b"\1\1a", b"\2\1a"),
    ("FlatStruct('a' / Int8ub, 'd' / Bytes(this.a), 'a' / Bytes(this.a % 4))", b"\1xy", b"\0"),
    ("Struct('n' / Rebuild(Int8ub, len_(this.d)), 'd' / Bytes(this.n), 'n' / Default(Bytes(this.n), b''))",
     b"\0", b"\1x\1"),
    ("Struct('k' / Int8ub, 'c' / Const('x', PascalString(Int8ub, 'utf8')), 'c' / Int8ub)", b"\1\1x\2", b""),
    (("FlatStruct('k' / Int8ub, Switch(this.k, {1: Struct('c' / Const(b'x'), 'c' / Int8ub), "
     "2: Struct('c' / Default(Int8ub, 1), 'c' / Bytes(1))}))"), b"\1x\2", b"\2\1a"),
    # A field that tells messages apart.
    ("Struct('k' / Enum(Int8ub, A=1), 'v' / If(this.k == 'A', Int8ub), 'k' / Bytes(this.v))", b"\1\1a", b""),
    ("Struct('k' / Int8ub, 'v' / Switch(this.k, {1: Int8ub}, Pass), 'k' / Int8ub)", b"\1\2\1", b"\2\1"),
    ("FlatStruct('k' / Int8ub, Switch(this.k, {1: Struct('k' / Int16ub)}, Pass), 'z' / Int8ub)", b"\2\3",
     b"\1\0\2\3"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data", "other"), TWICE)
def test_one_name_twice(source: str, data: bytes, other: bytes) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        for given in (data, other):
            message = law.decode(given)
            if message is not REFUSED:
                law.encode(message)
        assert law.decode(data) is not REFUSED


def grown(codec: Codec, data: bytes, rounds: int) -> int:
    """How much more memory is in use when `codec` has read and written `data` that often, in bytes."""
    message = codec.decode(data)
    tracemalloc.start()
    for _ in range(rounds):
        codec.decode(data)
        codec.encode(message)
    gc.collect()  # construct's contexts contain themselves
    growth = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return growth


def test_a_construct_made_anew_each_time_takes_no_memory() -> None:
    numbers = itertools.count()

    def fresh() -> Any:
        return c.Struct("n" / c.Int8ub, f"_{next(numbers)}" / c.Tell, "b" / c.Bytes(c.this.n))

    for made in (
        c.Struct("s" / c.LazyBound(fresh)),
        c.Struct("x" / c.GreedyRange(c.LazyBound(fresh))),
        FlatStruct(c.Struct("s" / c.LazyBound(fresh))),
    ):
        codec = Codec(made)
        # What is kept once is less than this, and 200 constructs are far more.
        assert any(grown(codec, b"\2ab", rounds=200) < 20_000 for _ in range(3))


def test_recursive_schemas() -> None:
    def tree() -> Any:
        return node

    node: Any = c.Struct("v" / c.Int8ub, "x" / c.PrefixedArray(c.Int8ub, c.LazyBound(tree)))
    for strict in (False, True):
        codec = Codec(node, strict)
        data = b"\1\2\2\0\3\1\4\0"
        message = codec.decode(data)
        assert message["x"][1]["x"][0] == {"v": 4, "x": []}
        assert codec.encode(message) == data
        with pytest.raises(DecodeError):
            codec.decode(b"\1\1" * 100_000)


CHANGES = [
    "Struct('s' / Struct('a' / Int8ub, 'n' / Rebuild(Int8ub, 7)))",
    "Struct('x' / Array(1, Struct('a' / Int8ub, 'd' / Default(Int8ub, 7))))",
    "Struct('s' / ExprAdapter(Struct('a' / Int8ub), lambda o, c: o, lambda o, c: {**o, 'a': o['a']}))",
    "Struct('s' / RawCopy(Struct('a' / Int8ub)))",
    "FlatStruct('k' / Int8ub, Struct('a' / Int8ub), 'n' / Rebuild(Int8ub, 7))",
    "Struct('s' / ExprAdapter(Struct('a' / Int8ub), lambda o, c: o, lambda o, c: o.update({'a': 9}) or o))",
    "Struct('x' / ExprAdapter(Array(1, Int8ub), lambda o, c: o, lambda o, c: [o.pop()]))",
]


@pytest.mark.parametrize("source", CHANGES)
def test_encoding_changes_nothing_that_is_given(source: str) -> None:
    messages: list[dict[str, Any]] = [
        {"s": {"a": 1}},
        {"x": [{"a": 1}]},
        {"s": {"value": {"a": 1}}},
        {"k": 1, "a": 2},
        {"x": [1]},
    ]
    encoded = 0
    for strict in (False, True):
        codec = Codec(load(source), strict)
        for message in messages:
            before = copy.deepcopy(message)
            try:
                codec.encode(message)
                encoded += 1
            except Exception:
                pass
            assert message == before
    assert encoded
