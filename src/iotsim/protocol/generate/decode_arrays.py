"""Decoding repeated elements, and data within data: prefixed, padded, terminated."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from construct import GreedyBytes, NullStripped, Pass

from iotsim.protocol.generate.decode_values import fixed
from iotsim.protocol.generate.decoder import Decoder, Place, Position
from iotsim.protocol.generate.nodes import static_size, struct_code
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value
from iotsim.protocol.traced import EMPTY_ELEMENTS
from iotsim.protocol.tree import unnamed

if TYPE_CHECKING:
    from collections.abc import Callable


def array(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if node.discard:
        raise UnsupportedError("discard")
    count = d.evaluate(node.count, scope)
    element = unnamed(node.subcon)
    code = struct_code(element)
    if count.known and (not isinstance(count.constant, int) or count.constant < 0):
        raise UnsupportedError("a count that is none")
    d.flush()
    name = d.variable(hint)
    if code is not None:
        number = d.variable("count")
        d.w.line(f"{number} = {count.source}")
        d.require(f"{number} >= 0")
        form, size = d.variable("form"), struct.calcsize(">" + code[1])
        start = d.place.position
        d.move(f"{start} + {size} * {number}" if size > 1 else f"{start} + {number}")
        d.w.line(f"{form} = f'{code[0] or '>'}{{{number}:d}}{code[1]}'")
        d.w.line(f"{name} = list(unpack_from({form}, {d.place.data}, {start}))")
        scope.index = f"({number} - 1 if {number} else {scope.index})"
        return Value(name)
    number = d.variable("count")
    d.w.line(f"{number} = {count.source}")
    d.require(f"{number} >= 0")
    if static_size(element) == 0:
        raise UnsupportedError("elements of no bytes")
    index = d.variable("index")
    with loop(d, name, f"for {index} in range({number}):", scope, index):
        start = d.place.position
        value = d.decode(node.subcon, re.sub(r"s\Z", "", hint), scope)
        d.flush()
        if d.place.position.base != start.base:
            same = f"{d.place.position} == {start}"
            d.w.line(f"if {index} >= {EMPTY_ELEMENTS} and {same}: raise Unusual")
        d.w.line(f"{name}.append({value.source})")
    return Value(name)


def greedy_range(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if node.discard:
        raise UnsupportedError("discard")
    d.flush()
    name, index = d.variable(hint), d.variable("index")
    with loop(d, name, f"for {index} in count_up():", scope, index):
        start = d.place.position
        with d.w.block("try:"):
            value = d.decode(node.subcon, re.sub(r"s\Z", "", hint), scope)
            d.flush()
            end = d.place.position
        d.w.line("except ExplicitError:")
        d.w.line("    raise")
        d.w.line("except Exception:")
        d.w.line("    break")
        if end.base == start.base and end.offset <= start.offset:
            raise UnsupportedError("elements of no bytes")
        if end.base != start.base:
            d.w.line(f"if {end} == {start}: raise Unusual")
        d.w.line(f"{name}.append({value.source})")
    return Value(name)


def loop(d: Decoder, name: str, header: str, scope: Scope, index: str) -> Any:
    return Loop(d, name, header, scope, index)


class Loop:
    """A loop that fills a list; the position is a variable that it carries along."""

    def __init__(self, decoder: Decoder, name: str, header: str, scope: Scope, index: str) -> None:
        self.d, self.name, self.header, self.scope = decoder, name, header, scope
        self.index = index

    def __enter__(self) -> None:
        d = self.d
        d.w.line(f"{self.name} = []")
        self.position = d.variable("p")
        d.w.line(f"{self.position} = {d.place.position}")
        d.place.position = Position(self.position)
        d.w.line(f"{self.index} = {self.scope.index}")
        d.w.line(self.header)
        d.w.depth += 1
        # construct, too, leaves the last index in the context.
        self.scope.index = self.index
        self.fields = dict(self.scope.fields)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        d = self.d
        if kind is None:
            d.flush()
            if str(d.place.position) != self.position:
                d.w.line(f"{self.position} = {d.place.position}")
        d.w.depth -= 1
        d.place.position = Position(self.position)
        self.scope.fields = self.fields


def inside(d: Decoder, chunk: str, start: Position, read: Callable[[], Value]) -> Value:
    """What ``read`` reads from a chunk that began at ``start``."""
    outer = d.place
    if outer.origin.base or start.base:
        origin = d.variable("origin")
        d.w.line(f"{origin} = {outer.origin} + {start}")
        d.place = Place(chunk, Position(), Position(origin))
    else:
        d.place = Place(chunk, Position(), outer.origin + start.offset)
    try:
        value = read()
        d.flush()
    finally:
        d.place = outer
    return value


def prefixed(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    length = d.decode(node.lengthfield, "length", scope)
    d.flush()
    source = length.source
    if node.includelength:
        size = static_size(node.lengthfield)
        if size is None:
            raise UnsupportedError("a length of varying length")
        source = f"{source} - {size}"
    start = d.place.position
    chunk = d.slice(source, hint)
    if unnamed(node.subcon) is GreedyBytes:
        return Value(chunk, scalar=True)
    return inside(d, chunk, start, lambda: d.decode(node.subcon, hint, scope))


def fixed_sized(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    length = d.evaluate(node.length, scope)
    inner = unnamed(node.subcon)
    stripped = isinstance(inner, NullStripped) and unnamed(inner.subcon) is GreedyBytes
    if length.known and stripped and len(inner.pad) == 1:
        name = d.variable(hint)
        fixed(d, length, name)
        d.after(f"{name} = {name}.rstrip({inner.pad!r})")
        return Value(name, scalar=True)
    d.flush()
    start = d.place.position
    chunk = d.slice(length.source)
    return inside(d, chunk, start, lambda: d.decode(node.subcon, hint, scope))


def null_terminated(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if len(node.term) != 1 or node.include or not node.consume or not node.require:
        raise UnsupportedError("NullTerminated of an uncommon kind")
    d.flush()
    start, data = d.place.position, d.place.data
    end, chunk = d.variable("end"), d.variable("chunk")
    d.w.line(f"{end} = {data}.index({node.term!r}, {start})")
    d.w.line(f"{chunk} = {data}[{start}:{end}]")
    if unnamed(node.subcon) is GreedyBytes:
        value = Value(chunk, scalar=True)
    else:
        value = inside(d, chunk, start, lambda: d.decode(node.subcon, hint, scope))
    d.place.position = Position(end, 1)
    return value


def null_stripped(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if len(node.pad) != 1:
        raise UnsupportedError("NullStripped of several bytes")
    d.flush()
    start, data, chunk = d.place.position, d.place.data, d.variable("chunk")
    d.w.line(f"{chunk} = {data}[{start}:].rstrip({node.pad!r})")
    if unnamed(node.subcon) is GreedyBytes:
        value = Value(chunk, scalar=True)
    else:
        value = inside(d, chunk, start, lambda: d.decode(node.subcon, hint, scope))
    d.place.position = Position(f"len({data})")
    return value


def padded(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    length = d.evaluate(node.length, scope)
    if node.subcon is Pass and length.known and isinstance(length.constant, int):
        if length.constant < 0:
            raise UnsupportedError("a negative length")
        d.take(f"{length.constant:d}x", length.constant, None)
        return NONE
    if not length.known:
        name = d.variable("padded")
        d.w.line(f"{name} = {length.source}")
        length = Value(name)
        d.require(f"{name} >= 0")
    elif not isinstance(length.constant, int) or length.constant < 0:
        raise UnsupportedError("a length that is none")
    start = d.place.position
    value = d.decode(node.subcon, hint, scope)
    end = d.place.position
    if length.known and end.base == start.base:
        pad = length.constant - (end.offset - start.offset)
        if pad < 0:
            raise UnsupportedError("a length that is too short")
        d.take(f"{pad:d}x", pad, None)
        return value
    d.flush()
    stop = d.variable("p")
    d.w.line(f"{stop} = {start} + {length.source}")
    d.w.line(f"if not {end} <= {stop} <= len({d.place.data}): raise Mismatch")
    d.place.position = Position(stop)
    return value


def aligned(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if not isinstance(node.modulus, int) or node.modulus < 2:
        raise UnsupportedError("a modulus that is none")
    start = d.place.position
    value = d.decode(node.subcon, hint, scope)
    end = d.place.position
    if end.base == start.base:
        pad = -(end.offset - start.offset) % node.modulus
        d.take(f"{pad}x", pad, None)
        return value
    d.flush()
    stop = d.variable("p")
    d.w.line(f"{stop} = {end} + -({end} - ({start})) % {node.modulus}")
    d.w.line(f"if {stop} > len({d.place.data}): raise Mismatch")
    d.place.position = Position(stop)
    return value
