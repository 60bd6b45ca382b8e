"""Exceptions out of the author's own functions: errors of the message, wherever they stand.

construct takes any exception in a GreedyRange, Optional or Select for "this does not match". A function
that is wrong would so make a list empty, for ever and without a word. Only a ConstructError says that.
"""

from __future__ import annotations

from typing import Any

import construct as c
import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED
from tests.protocol.law.source import load

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.codec import Codec


class Wrong(c.Adapter):
    """An adapter with a mistake in it, on decode and on encode."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return nonsuch(obj)  # noqa: F821

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return nonsuch(obj)  # noqa: F821


class Careful(c.Adapter):
    """An adapter that says in construct's way that it is not meant."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        if obj > 9:
            raise c.ValidationError("no digit", path)
        return str(obj)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        if not isinstance(obj, str) or not obj.isdigit():
            raise c.ValidationError("no digit", path)
        return int(obj)


FUNCTIONS = {"Wrong": Wrong, "Careful": Careful}
WRONG = [
    "Bytes(mistaken)",
    "Bytes(lambda c: c.nonsuch)",
    "Bytes(lambda c: 1 // 0)",
    "Bytes(lambda c: {}['key'])",
    "Bytes(lambda c: [][0])",
    "Struct('n' / Int8ub, 'b' / Bytes(lambda c: c.n + 'a'))",
    "If(mistaken, Int8ub)",
    "Switch(mistaken, {1: Int8ub}, Pass)",
    "Array(mistaken, Int8ub)",
    "RepeatUntil(lambda o, l, c: nonsuch, Int8ub)",
    "Computed(mistaken)",
    "FocusedSeq('v', Check(mistaken), 'v' / Int8ub)",
    "FocusedSeq('v', Padding(mistaken), 'v' / Int8ub)",
    "Padded(mistaken, Int8ub)",
    "FixedSized(mistaken, Int8ub)",
    "Aligned(mistaken, Int8ub)",
    "ExprAdapter(Int8ub, lambda o, c: nonsuch, lambda o, c: nonsuch)",
    "ExprValidator(Int8ub, lambda o, c: nonsuch)",
    "Wrong(Int8ub)",
    "Struct('n' / Int8ub, 'c' / Checksum(Int8ub, lambda d: nonsuch, this.n))",
    "Struct('n' / Int8ub, 'c' / Checksum(Int8ub, total, mistaken))",
    "Pointer(mistaken, Int8ub)",
    "BytesInteger(mistaken)",
    "LazyBound(lambda: nonsuch)",
    "Prefixed(Int8ub, Bytes(mistaken))",
    "ProcessXor(mistaken, Int8ub)",
    "Struct('s' / Struct('b' / Bytes(mistaken)))",
]


AROUND = [
    "Struct('x' / {}, 'z' / GreedyBytes)",
    "Struct('x' / GreedyRange(FocusedSeq('v', Int8ub, 'v' / {})), 'z' / GreedyBytes)",
    "Struct('x' / Optional({}), 'z' / GreedyBytes)",
    "Struct('x' / Select({}, Int8ub), 'z' / GreedyBytes)",
    "Struct('x' / Optional(GreedyRange(FocusedSeq('v', Int8ub, 'v' / {}))), 'z' / GreedyBytes)",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_decode_refuses(wrong: str) -> None:
    for around in AROUND:
        for strict in (False, True):
            codec = Codec(load(around.replace("{}", wrong), FUNCTIONS), strict)
            with pytest.raises(DecodeError):
                codec.decode(b"\1\1\1\1")


ON_ENCODE = {
    "Rebuild(Int8ub, mistaken)": None,
    "Default(Int8ub, mistaken)": None,
    "Bytes(mistaken)": b"a",
    "Array(mistaken, Int8ub)": [1],
    "If(mistaken, Int8ub)": 1,
    "Wrong(Int8ub)": 1,
    "ExprAdapter(Int8ub, lambda o, c: o, lambda o, c: nonsuch)": 1,
    "FocusedSeq('v', Check(mistaken), 'v' / Int8ub)": 1,
    "Struct('n' / Int8ub, 'c' / Checksum(Int8ub, lambda d: nonsuch, this.n))": {"n": 1},
}


@pytest.mark.parametrize("wrong", ON_ENCODE)
def test_encode_refuses_a_name_that_is_none(wrong: str) -> None:
    for around in (
        "Struct('x' / {})",
        "Struct('x' / Optional({}))",
        "Struct('x' / Select({}, Pass))",
    ):
        for strict in (False, True):
            codec = Codec(load(around.replace("{}", wrong), FUNCTIONS), strict)
            with pytest.raises(EncodeError):
                codec.encode({"x": ON_ENCODE[wrong]})


LOST = [
    ("Struct('o' / Optional(Tenths(Int16ub)))", {"o": "text"}),
    ("Struct('o' / Optional(ModeAdapter(Int8ub)))", {"o": "text"}),
    ("Struct('o' / Optional(Pair(Int8ub)))", {"o": 7}),
    (
        "Struct('o' / Optional(ExprAdapter(Int8ub, lambda o, c: o * 2, lambda o, c: o // 2)))",
        {"o": "text"},
    ),
    ("Struct('o' / Optional(Upper(CString('utf8'))))", {"o": 7}),
]


@pytest.mark.parametrize(("source", "message"), LOST)
def test_a_value_that_an_adapter_cannot_take_is_not_lost(source: str, message: Any) -> None:
    for strict in (False, True):
        assert Law(source, strict).encode(message) is REFUSED


@pytest.mark.parametrize("source", [case[0] for case in LOST])
def test_an_optional_adapter_can_be_absent(source: str) -> None:
    """The author's function is not made for None, which says that there is nothing to encode."""
    agree(source, [b"", {"o": None}, {}])


@pytest.mark.parametrize(
    "source",
    [
        "Struct('o' / Optional(Struct('n' / Rebuild(Int8ub, lambda c: len(c.d)), 'd' / Bytes(this.n))))",
        "Struct('o' / Optional(Struct('n' / Rebuild(Int8ub, lambda c: max(v for v in c.x)), 'x' / Int8ub)))",
        "Struct('o' / Optional(Struct('n' / Default(Int8ub, lambda c: c.d[0]), 'd' / Bytes(1))))",
        "Struct('o' / Optional(Struct(Check(lambda c: c.d[0] > 1), 'd' / Bytes(1))))",
        "Struct('o' / Optional(StopIf(lambda c: c.d[0])))",
        "Struct('o' / Optional(If(lambda c: sum(v for v in c.x), Int8ub)))",
        "FlatStruct('a' / Int8ub, Optional(Struct('n' / Rebuild(Int8ub, lambda c: len(c.d)), 'd' / Int8ub)))",
        "FlatStruct(Optional(StopIf(lambda c: c.d[0])))",
    ],
)
def test_functions_of_what_is_absent(source: str) -> None:
    """They fail, of course: of an optional part that is not given, this is no mistake."""
    for strict in (False, True):
        law = Law(source, strict)
        given = {"a": 1} if "'a'" in source else {}
        assert law.encode(given) == bytes([1] * len(given))
        if "'o'" in source:
            assert law.encode({"o": None}) == b""


@pytest.mark.parametrize(
    "source",
    [
        "Struct('o' / Optional(FocusedSeq(lambda c: 'w', 'v' / Const(b'v'))), 'z' / GreedyBytes)",
        "Struct('x' / GreedyRange(FocusedSeq(lambda c: 'w', 'v' / Const(b'v'))), 'z' / GreedyBytes)",
        "Struct('s' / Select(FocusedSeq(lambda c: 'w', 'v' / Const(b'v')), Int8ub), 'z' / GreedyBytes)",
    ],
)
def test_a_member_that_is_not_there_cannot_be_selected(source: str) -> None:
    for strict in (False, True):
        law = Law(source, strict)
        assert law.decode(b"v") is REFUSED
        message = {"o": b"v", "x": [b"v"], "s": b"v", "z": b""}
        assert law.encode({k: v for k, v in message.items() if f"'{k}'" in source}) is REFUSED


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('s' / Select(Tenths(Int32ub), FlagsEnum(Int8ub, a=1)))", b"\1"),
        ("Struct('s' / Select(Pair(FocusedSeq('v', Const(b'x'), 'v' / Int8ub)), Int8ub))", b"\1"),
        ("Struct('s' / Select(Upper(PascalString(Int16ub, 'ascii')), Int8ub))", b"\1"),
    ],
)
def test_another_alternative_takes_what_an_adapter_cannot(source: str, data: bytes) -> None:
    agree(source, [data])


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("Struct('x' / GreedyRange(Careful(Int8ub)), 'z' / GreedyBytes)", b"\1\2\x0a\3"),
        ("Struct('o' / Optional(Careful(Int8ub)), 'z' / GreedyBytes)", b"\x0a"),
        ("Struct('s' / Select(Careful(Int8ub), Int8ub), 'z' / GreedyBytes)", b"\x0a\1"),
        ("Struct('o' / Optional(Even(Int8ub)), 'z' / GreedyBytes)", b"\3"),
        ("Struct('o' / Optional(FocusedSeq('v', Check(declines), 'v' / Int8ub)), 'z' / GreedyBytes)",
         b"\1"),
        ("Struct('n' / Int8ub, 'o' / Optional(Bytes(declines)), 'z' / GreedyBytes)", b"\1\2"),
        ("Struct('o' / Optional(Struct('n' / Int8ub, 'b' / Bytes(this.nonsuch))), 'z' / GreedyBytes)",
         b"\1"),
        ("Struct('o' / Optional(Bytes(this.z)), 'z' / GreedyBytes)", b"\1"),
    ],
)  # fmt: skip
def test_what_says_in_constructs_way_that_it_does_not_match(source: str, data: bytes) -> None:
    """A ConstructError out of a function, and a failing ``this``, are construct's own."""
    for strict in (False, True):
        law = Law(source, strict, FUNCTIONS)
        message = law.decode(data)
        assert message is not REFUSED
        law.encode(message)


def test_an_explicit_error_ends_the_message() -> None:
    source = (
        "Struct('o' / Optional(Struct('k' / Int8ub, If(this.k == 9, Error))), 'z' / GreedyBytes)"
    )
    agree(source, [b"\1"], [b"\x09"])
