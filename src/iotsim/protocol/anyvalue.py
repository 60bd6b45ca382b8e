"""Values that no encoder would write, as bytes: as far as bytes allow."""

from __future__ import annotations

import io
import math
import struct
import sys
from typing import Any, Final

import construct as c
from construct.core import evaluate, stream_write

from iotsim.protocol.strict import Branch, Conditional, LazyBound
from iotsim.protocol.tree import unnamed


class _Wrong:
    def __repr__(self) -> str:
        return "wrong"


WRONG: Final = _Wrong()
"""In place of a value: any that is not the right one."""


class Scratch:
    """A node built aside, as it should be: ``data``, and ``value``, what construct makes of it."""

    def __init__(self, node: Any, context: Any, path: str) -> None:
        self._node, self._context, self._path = node, context, path
        self.value: Any = None
        self.data = b""

    def build(self, obj: Any) -> Scratch:
        stream = io.BytesIO()
        self.value = self._node._build(obj, stream, self._context, self._path)
        self.data = stream.getvalue()
        return self


def refused(reason: str) -> c.ExplicitError:
    return c.ExplicitError(reason)


def write(node: Any, value: Any, stream: Any, context: Any, path: str, right: Scratch) -> None:
    """Write `value` where `node` stands, whatever that takes; `right` is what it should be."""
    if value is WRONG:
        _check_computed(node, context)
        value = another(right.value)
    data = Writer(context, path).data(node, value)
    stream_write(stream, data, len(data), path)


def _check_computed(node: Any, context: Any) -> None:
    """Only what is computed can be wrong."""
    if not isinstance(chosen(node, context), c.Checksum | c.Rebuild):
        raise refused(
            "it is not computed, so that it is never wrong: name the value that it shall have"
        )


def another(value: Any) -> Any:
    """Another value than this, as near as it may be, of as many bytes once it is cut to them."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, bytes | bytearray) and value:
        return bytes(value[:-1]) + bytes([value[-1] ^ 1])
    if isinstance(value, str) and value:
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    raise refused("there is no other value for it")


def chosen(node: Any, context: Any) -> Any:
    """`node` without names, and the branch that it takes if it is an If or a Switch."""
    while True:
        node = unnamed(node)
        if isinstance(node, Branch | Conditional):
            node = node.subcon
        elif isinstance(node, LazyBound):
            node = node.traced()
        elif isinstance(node, c.IfThenElse):
            taken = evaluate(node.condfunc, context)
            node = node.thensubcon if taken else node.elsesubcon
        elif isinstance(node, c.Switch):
            node = node.cases.get(evaluate(node.keyfunc, context), node.default)
        else:
            return node


class Writer:
    """Makes bytes of values that a construct may refuse."""

    def __init__(self, context: Any, path: str) -> None:
        self._context = context
        self._path = path

    def data(self, node: Any, value: Any) -> bytes:
        node = chosen(node, self._context)
        if isinstance(node, c.Const | c.Default | c.Rebuild | c.Hex | c.HexDump):
            return self.data(node.subcon, value)
        if isinstance(node, c.Checksum):
            return self.data(node.checksumfield, value)
        if isinstance(node, c.FormatField):
            return self._number(node, value)
        if isinstance(node, c.BytesInteger):
            return self._integer(node, value)
        if isinstance(node, c.BitsInteger):
            return self._bits(node, value)
        if isinstance(node, c.Enum | c.FlagsEnum | c.Mapping):
            return self._named(node, value)
        if isinstance(value, bytes):
            if isinstance(node, c.Bytes | type(c.GreedyBytes)):
                return value
            if isinstance(node, c.StringEncoded):
                return self.data(vars(node)["subcon"], value)
        try:
            return Scratch(node, self._context, self._path).build(value).data
        except (c.ConstructError, TypeError, ValueError, ArithmeticError, KeyError, AttributeError):
            if isinstance(node, c.Adapter):
                inner = node._encode(value, self._context, self._path)
                return self.data(node.subcon, inner)
            raise

    def _number(self, node: Any, value: Any) -> bytes:
        code = node.fmtstr[-1]
        if code == "?" and isinstance(value, int):
            return bytes([value & 0xFF])
        _needs_number(value)
        if code in "efd":
            try:
                return struct.pack(node.fmtstr, value)
            except OverflowError:
                return struct.pack(node.fmtstr, math.copysign(math.inf, value))
        little = node.fmtstr[0] == "<" or (node.fmtstr[0] == "=" and sys.byteorder == "little")
        return _cut(value, node.length, little=little)

    def _integer(self, node: Any, value: Any) -> bytes:
        _needs_number(value)
        length = evaluate(node.length, self._context)
        return _cut(value, length, little=bool(evaluate(node.swapped, self._context)))

    def _bits(self, node: Any, value: Any) -> bytes:
        _needs_number(value)
        length = evaluate(node.length, self._context)
        cut = int(value) & ((1 << length) - 1)
        data = bytes(int(bit) for bit in f"{cut:0{length}b}") if length else b""
        if evaluate(node.swapped, self._context):
            eights = [data[at : at + 8] for at in range(0, len(data), 8)]
            data = b"".join(reversed(eights))
        return data

    def _named(self, node: Any, value: Any) -> bytes:
        try:
            return Scratch(node, self._context, self._path).build(value).data
        except c.ConstructError:
            if not isinstance(value, int):
                raise
            return self.data(node.subcon, value)


def _needs_number(value: Any) -> None:
    if not isinstance(value, int | float):
        raise refused(f"it is a number, and {value!r} is none")


def _cut(value: float, length: int, *, little: bool) -> bytes:
    """As many of the bits of a number as there are bytes for."""
    if isinstance(value, float) and not math.isfinite(value):
        raise refused("an integer is finite")
    cut = int(value) & ((1 << 8 * length) - 1)
    return cut.to_bytes(length, "little" if little else "big")
