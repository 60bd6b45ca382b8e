"""Paths are the message's own: in errors, and in a datagram taken apart."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.law.source import load

from iotsim import Protocol
from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.codec import Codec
from iotsim.protocol.dissection import dissect

LOGIN = "'login' / Struct('user' / Int16ub)"
DECODING = [
    (f"Struct('k' / Int8ub, 'body' / Switch(this.k, {{1: {LOGIN}}}))", b"\1\2", "body.user", 1),
    (f"FlatStruct('k' / Int8ub, Switch(this.k, {{1: {LOGIN}}}))", b"\1\2", "user", 1),
    ("Struct('x' / Array(2, 'item' / Struct('v' / Int16ub)))", b"\0\1\2", "x.1.v", 2),
    ("Struct('x' / Array(2, 'item' / Int16ub))", b"\0\1\2", "x.1", 2),
    ("Struct('x' / PrefixedArray(Int8ub, 'item' / Struct('v' / Int16ub)))", b"\2\0\1\2", "x.1.v", 3),
    ("Struct('x' / RepeatUntil(obj_ == 0, 'item' / Int16ub))", b"\0\1\2", "x.1", 2),
    ("Struct('h' / RawCopy(Struct('n' / Int8ub, 'v' / Int16ub)))", b"\1\2", "h.value.v", 1),
    ("Struct('h' / RawCopy('inner' / Struct('v' / Int16ub)))", b"\2", "h.value.v", 0),
    ("RawCopy(Struct('n' / Int8ub, 'v' / Int16ub))", b"\1\2", "value.v", 1),
    ("Struct('a' / Int8ub, 'b' / If(this.a, 'then' / Struct('v' / Int16ub)))", b"\1\2", "b.v", 1),
    ("Struct('a' / Int8ub, 'b' / IfThenElse(this.a, 'then' / Int16ub, 'other' / Int32ub))", b"\0\2",
     "b", 1),
    ("Struct('f' / FocusedSeq('v', 'v' / Int16ub, 'n' / Int8ub))", b"\2", "f", 0),
    ("Struct('p' / Prefixed(Int8ub, 'inner' / Struct('v' / Int16ub)))", b"\1\2", "p.v", 1),
    ("Struct('q' / Sequence('one' / Int8ub, 'two' / Int16ub))", b"\1\2", "q.1", 1),
    ("Struct('q' / Sequence(Int8ub, Struct('v' / Int16ub)))", b"\1\2", "q.1.v", 1),
    ("Struct('s' / Struct('u' / Union(None, 'v' / Int16ub)))", b"\1", "s.u.v", 0),
    ("Struct('d' / Default('inner' / Int16ub, 5))", b"\1", "d", 0),
    ("Struct('s' / LazyBound(lambda: 'inner' / Struct('v' / Int16ub)))", b"\1", "s.v", 0),
    ("Struct('s' / Aligned(4, 'inner' / Struct('v' / Int16ub)))", b"\1", "s.v", 0),
    ("Prefixed(Int8ub, 'message' / Struct('v' / Int16ub))", b"\1\2", "v", 1),
    ("Struct('m' / NullTerminated('inner' / Struct('v' / Int16ub)))", b"\1\0", "m.v", 0),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data", "path", "offset"), DECODING)
def test_where_decoding_fails(source: str, data: bytes, path: str, offset: int) -> None:
    for strict in (False, True):
        with pytest.raises(DecodeError) as caught:
            Codec(load(source), strict).decode(data)
        assert (caught.value.path, caught.value.offset) == (path, offset)


ENCODING = [
    (f"Struct('k' / Int8ub, 'body' / Switch(this.k, {{1: {LOGIN}}}))", {"k": 1, "body": {"user": "x"}},
     "body.user"),
    (f"FlatStruct('k' / Int8ub, Switch(this.k, {{1: {LOGIN}}}))", {"k": 1, "user": "x"}, "user"),
    (f"FlatStruct('k' / Int8ub, Switch(this.k, {{1: {LOGIN}}}))", {"k": 1}, "user"),
    ("Struct('x' / Array(2, 'item' / Struct('v' / Int8ub)))", {"x": [{"v": 1}, {"v": 300}]}, "x.1.v"),
    ("Struct('x' / Array(2, 'item' / Int8ub))", {"x": [1, 300]}, "x.1"),
    ("Struct('x' / PrefixedArray(Int8ub, 'item' / Int8ub))", {"x": [1, 300]}, "x.1"),
    ("Struct('h' / RawCopy(Struct('v' / Int8ub)))", {"h": {"value": {"v": 300}}}, "h.value.v"),
    ("Struct('h' / RawCopy('inner' / Struct('v' / Int8ub)))", {"h": {"value": {}}}, "h.value.v"),
    ("RawCopy(Struct('v' / Int8ub))", {"value": {"v": 300}}, "value.v"),
    ("Struct('a' / Int8ub, 'b' / If(this.a, 'then' / Struct('v' / Int8ub)))",
     {"a": 1, "b": {"v": 300}}, "b.v"),
    ("Struct('q' / Sequence('one' / Int8ub, 'two' / Int8ub))", {"q": [1, 300]}, "q.1"),
    ("Struct('f' / FocusedSeq('v', 'n' / Int8ub, 'v' / Int8ub))", {"f": 1}, "f"),
    ("Struct('p' / Prefixed(Int8ub, 'inner' / Struct('v' / Int8ub)))", {"p": {"v": 300}}, "p.v"),
    ("Struct('k' / Int8ub, 'v' / Default('inner' / Int8ub, 5))", {"k": 1, "v": 300}, "v"),
    ("Struct('s' / Struct('v' / Int8ub), 't' / Int8ub)", {"s": {"v": 1}}, "t"),
    ("Struct('s' / Struct('v' / Int8ub))", {"s": {"v": 1, "w": 2}}, "s.w"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message", "path"), ENCODING)
def test_where_encoding_fails(source: str, message: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        Codec(load(source)).encode(message)
    assert caught.value.path == path


TAKEN_APART = [
    (f"Struct('k' / Int8ub, 'body' / Switch(this.k, {{1: {LOGIN}}}))", b"\1\0\2"),
    (f"FlatStruct('k' / Int8ub, Switch(this.k, {{1: {LOGIN}}}))", b"\1\0\2"),
    ("Struct('x' / Array(2, 'item' / Struct('v' / Int8ub)))", b"\1\2"),
    ("Struct('x' / GreedyRange('item' / Int8ub))", b"\1\2"),
    ("Struct('h' / RawCopy(Struct('n' / Int8ub, 'v' / Int16ub)), 'z' / Int8ub)", b"\1\0\2\3"),
    ("Struct('h' / RawCopy(Int16ub), 'z' / Int8ub)", b"\0\2\3"),
    ("RawCopy(Struct('n' / Int8ub, 'v' / Int16ub))", b"\1\0\2"),
    ("Struct('q' / Sequence('one' / Int8ub, 'two' / Struct('v' / Int8ub)))", b"\1\2"),
    ("Struct('f' / FocusedSeq('v', 'n' / Int8ub, 'v' / Bytes(this.n)), 'z' / Int8ub)", b"\2ab\3"),
    ("Struct('p' / Prefixed(Int8ub, 'inner' / Struct('v' / Int8ub)))", b"\1\2"),
    ("Prefixed(Int8ub, 'message' / Struct('v' / Int8ub))", b"\1\2"),
    ("Struct('a' / Int8ub, 'b' / If(this.a, 'then' / Struct('v' / Int8ub)))", b"\1\2"),
    ("Struct('o' / Optional('inner' / Struct('v' / Int16ub)), 'z' / GreedyBytes)", b"\1"),
    ("Struct('b' / BitStruct('h' / BitsInteger(4), 'l' / BitsInteger(4)))", b"\x12"),
    ("Struct('u' / Union('w', 'v' / Int8ub, 'w' / Int16ub))", b"\1\2"),
    ("Struct('s' / LazyStruct('v' / Int8ub, 'w' / Int16ub), 'z' / Int8ub)", b"\1\0\2\3"),
    ("Struct('n' / Int8ub * 'a doc', 's' / (Struct('v' / Int8ub) * 'another'))", b"\1\2"),
    ("Struct('s' / Select(Struct('a' / Int8ub, 'b' / Int16ub), Struct('c' / Int8ub)))", b"\1"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "data"), TAKEN_APART)
def test_a_datagram_taken_apart(source: str, data: bytes) -> None:
    """Each row's path leads to its value in the message, and each plain value has a row."""
    protocol = Protocol(name="p", message=load(source), port=7)
    dissection = dissect(protocol, data)
    assert dissection.message == protocol.codec.decode(data)
    rows = {row.path: row for row in dissection.rows if row.path}
    for path, row in rows.items():
        assert found(dissection.message, path) == row.value, path
    whole = tuple(f"{path}." for path, row in rows.items() if not row.nested)
    copied = {"data", "offset1", "offset2", "length"} if "RawCopy" in source else set()
    for path, value in leaves(dissection.message):
        shown = path in rows or path.startswith(whole)
        assert shown or value is None or path.rpartition(".")[2] in copied, path


def found(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = message[int(name)] if isinstance(message, list) else message[name]
    return message


def leaves(value: Any, path: str = "") -> Any:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from leaves(item, f"{path}.{name}" if path else str(name))
    else:
        yield path, value
