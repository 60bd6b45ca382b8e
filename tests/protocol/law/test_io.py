"""Functions that read the stream: `_io` is construct's, on parse and on build."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.law.law import Law, agree
from tests.protocol.law.oracle import REFUSED

PADDED = [
    ("Struct('s' / PascalString(Int8ub, 'utf8'), Padding(padding), 'n' / Int8ub)", {"s": "ab", "n": 7}),
    ("Struct('s' / CString('utf8'), Padding(padding), 'n' / Int8ub)", {"s": "abcd", "n": 7}),
    ("Struct('s' / Bytes(3), Padding(padding), 'n' / Int8ub)", {"s": b"abc", "n": 7}),
    ("Struct('x' / PrefixedArray(Int8ub, Int16ub), Padding(padding), 'n' / Int8ub)",
     {"x": [1, 2], "n": 7}),
    ("Struct('h' / Struct('s' / CString('utf8'), Padding(padding)), 'n' / Int8ub)",
     {"h": {"s": "a"}, "n": 7}),
    ("Struct('n' / Int8ub, 'x' / Array(2, Struct('a' / Int8ub, Padding(padding))))",
     {"n": 7, "x": [{"a": 1}, {"a": 2}]}),
    ("Struct('n' / Int8ub, 'b' / Padded(lambda c: 5 + padding(c), Bytes(2)))", {"n": 7, "b": b"ab"}),
    (("FlatStruct('k' / Int8ub, Switch(this.k, {1: Struct('a' / Int16ub, Padding(padding))}), "
     "'n' / Int8ub)"), {"k": 1, "a": 2, "n": 7}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message"), PADDED)
def test_padding_to_where_the_stream_is(source: str, message: dict[str, Any]) -> None:
    agree(source, [message])


CHECKED = [
    ("Struct('s' / CString('utf8'), 'c' / Rebuild(Int8ub, written))",
     {"s": "ab"}, []),
    (("Struct('s' / CString('utf8'), '_check' / Tell, 'c' / Checksum(Int8ub, total, "
     "lambda c: before(c, c._check)))"),
     {"s": "ab"}, [b"ab\0\0"]),
    (("Struct('h' / Int16ub, 's' / Struct('v' / Int8ub, 'c' / Rebuild(Int8ub, "
     "written)), 'n' / Int8ub)"), {"h": 258, "s": {"v": 3}, "n": 7}, []),
    (("Struct('s' / Prefixed(Int8ub, Struct('v' / Int16ub, '_check' / Tell, "
     "'c' / Rebuild(Int8ub, written))))"), {"s": {"v": 258}}, []),
    (("FlatStruct('v' / Bytes(2), '_check' / Tell, 'c' / Checksum(Int8ub, total, "
     "lambda c: before(c, c._check)))"), {"v": b"ab"}, [b"ab\0"]),
    (("Struct('v' / Bytes(2), '_check' / Tell, 'c' / Checksum(Bytes(2), lambda d: bytes(d[:2]), "
     "lambda c: before(c, c._check)))"), {"v": b"ab"}, [b"abba"]),
    (("Struct('x' / Array(2, Struct('v' / Int8ub, 'c' / Rebuild(Int8ub, "
     "written))))"), {"x": [{"v": 1}, {"v": 2}]}, []),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message", "bad"), CHECKED)
def test_checksums_that_seek_back_and_read(
    source: str, message: dict[str, Any], bad: list[Any]
) -> None:
    agree(source, [message], bad)


TRIED = [
    "Struct('o' / Optional(Checksum(Int8ub, total, lambda c: before(c, 0))), 'z' / Bytes(0))",
    "FlatStruct(Optional(Struct('v' / Int8ub, 'c' / Checksum(Int8ub, total, lambda c: before(c, 0)))))",
    "Struct('x' / GreedyRange(Sequence(Checksum(Int8ub, total, lambda c: before(c, 0)), Check(False))))",
    "Struct('s' / Select(Sequence(Checksum(Int8ub, total, lambda c: before(c, 0)), Check(False)), Pass))",
]


@pytest.mark.parametrize("source", TRIED)
def test_what_only_a_failed_alternative_has_read_is_left_over(source: str) -> None:
    for data in (b"\3", b"\1\2", b"\1\2\3"):
        Law(source, strict=False).decode(data)
        assert Law(source, strict=True).decode(data) is REFUSED


READ = [
    ("Struct('p' / Computed(following), 'b' / Int16ub)", b"\1\2"),
    ("Struct('n' / Int8ub, 'p' / Computed(following), 'b' / Int8ub)", b"\1\2"),
    ("Struct('n' / Int8ub, 'at' / Computed(lambda c: c._io.tell()), 'b' / Int8ub)", b"\1\2"),
    ("Struct('x' / GreedyRange(Struct('at' / Computed(lambda c: c._io.tell()), 'b' / Int8ub)))",
     b"\1\2\3"),
    ("Struct('n' / Int8ub, 'v' / If(lambda c: len(following(c)) == 2, Int16ub))", b"\1"),
    ("Struct('x' / RepeatUntil(lambda o, l, c: c._io.tell() >= 2, Int8ub), 'n' / Int8ub)",
     b"\1\2\3"),
    ("Struct('n' / Int8ub, 'b' / Bytes(lambda c: c._io.tell() + 1))", b"\1ab"),
]  # fmt: skip


OUTSIDE = [
    ("Struct('p' / Prefixed(Int16ub, {}), 'z' / Int8ub)", b"\0\1\7\7"),
    ("Struct('p' / Prefixed(Int8ub, {}), 'z' / Int8ub)", b"\1\7\7"),
    ("Struct('n' / Int8ub, 'p' / FixedSized(1, {}), 'z' / Int8ub)", b"\1\7\7"),
    ("Struct('n' / Int16ub, 'p' / FixedSized(1, {}), 'z' / Int8ub)", b"\1\1\7\7"),
    ("Struct('p' / NullTerminated({}), 'z' / Int8ub)", b"\7\0\7"),
    ("Struct('p' / Prefixed(Int8ub, Prefixed(Int8ub, {})), 'z' / Int8ub)", b"\2\1\7\7"),
    ("Struct('p' / Prefixed(Int8ub, Struct('v' / {})), 'z' / Int8ub)", b"\1\7\7"),
]
READERS = [
    "If(lambda c: c._io.tell() % 2 == 0, Int8ub)",
    "IfThenElse(lambda c: c._io.tell() % 2, Int8ub, Bytes(1))",
    "Bytes(lambda c: c._io.tell() % 2)",
    "Struct('t' / Tell, 'a' / Int8ub, 'at' / Computed(lambda c: c._io.tell()))",
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("around", "data"), OUTSIDE)
def test_the_stream_around_data_within_the_data(around: str, data: bytes, reader: str) -> None:
    """A context's stream is that of its struct; what is read from inside of another has its own."""
    for strict in (False, True):
        Law(around.format(reader), strict).decode(data)


@pytest.mark.parametrize(("source", "data"), READ)
def test_functions_that_look_at_the_stream(source: str, data: bytes) -> None:
    agree(source, [data])


def test_a_computed_that_takes_bytes_of_the_message() -> None:
    source = "Struct('n' / Int8ub, 'raw' / Computed(lambda c: bytes(c._io.read(2))), 'z' / Int8ub)"
    for strict in (False, True):
        law = Law(source, strict)
        assert law.decode(b"\1\2\3\4") == {"n": 1, "raw": b"\2\3", "z": 4}
        assert law.decode(b"\1\2\3") is REFUSED
        assert law.encode({"n": 1, "z": 4}) == b"\1\4"


ROOT = [
    (("Struct('n' / Int8ub, 's' / Prefixed(Int8ub, Struct('at' / Computed(lambda c: "
     "c._root._io.tell()), 'v' / Int8ub)))"), b"\1\1\2"),
    (("Struct('n' / Int8ub, 'x' / Array(2, Struct('v' / Int8ub, 'at' / Computed(lambda c: "
     "c._root._io.tell()))))"), b"\1\2\3"),
    (("Struct('n' / Int8ub, 's' / FixedSized(3, Struct('v' / Int8ub, 'at' / Computed(lambda c: "
     "c._io.tell()), 'up' / Computed(lambda c: c._._io.tell()))), 'z' / Int8ub)"), b"\1\2\0\0\3"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), ROOT)
def test_the_roots_stream(source: str, data: bytes) -> None:
    agree(source, [data])


REBUILT = [
    "Struct('a' / Int8ub, 'n' / Rebuild(Int8ub, lambda c: c._io.tell() * 16))",
    "Struct('a' / Int8ub, 'n' / Default(Int8ub, lambda c: c._io.tell() * 16))",
    "Struct('a' / Int8ub, 'n' / Rebuild(Int8ub, lambda c: written(c) + 1))",
    "Struct('a' / Int8ub, 's' / Struct('n' / Rebuild(Int8ub, lambda c: c._io.tell() * 16)))",
    (
        "Struct('a' / Int8ub, 's' / Prefixed(Int8ub, Struct('n' / Rebuild(Int8ub, "
        "lambda c: 16 + c._io.tell() + c._root._io.tell() * 2))))"
    ),
    "FlatStruct('a' / Int8ub, Struct('n' / Rebuild(Int8ub, lambda c: c._io.tell() * 16)))",
]


@pytest.mark.parametrize("source", REBUILT)
def test_rebuilt_from_the_stream_on_encode(source: str) -> None:
    message: dict[str, Any] = {"a": 5, "s": {}} if "'s'" in source else {"a": 5}
    agree(source, [message])


ADAPTED = [
    (
        "Struct('n' / Int8ub, 'v' / ExprAdapter(Int8ub, lambda o, c: o + c._io.tell(), "
        "lambda o, c: o - c._io.tell() - 1))"
    ),
    (
        "Struct('x' / Array(2, ExprAdapter(Int8ub, lambda o, c: o + c._io.tell(), "
        "lambda o, c: o - c._io.tell() - 1)))"
    ),
    (
        "Struct('n' / Int8ub, 's' / Prefixed(Int8ub, ExprAdapter(GreedyBytes, lambda o, c: "
        "[c._io.tell(), o], lambda o, c: o[1])))"
    ),
]


@pytest.mark.parametrize(
    ("source", "data"), list(zip(ADAPTED, [b"\1\2", b"\1\2", b"\1\1a"], strict=True))
)
def test_adapters_that_look_at_the_stream(source: str, data: bytes) -> None:
    agree(source, [data])


def test_bits_have_a_stream_of_their_own() -> None:
    source = "BitStruct('a' / BitsInteger(3), Padding(lambda c: -c._io.tell() % 8))"
    agree(source, [{"a": 5}])
