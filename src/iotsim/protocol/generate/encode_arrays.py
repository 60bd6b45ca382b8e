"""Encoding repeated elements, and data within data: prefixed, padded, terminated."""

from __future__ import annotations

import re
from typing import Any

from construct import Array, Pass

from iotsim.protocol.generate.encode_structs import returns_value
from iotsim.protocol.generate.encoder import UNKNOWN, Encoder
from iotsim.protocol.generate.nodes import static_size, struct_code
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value
from iotsim.protocol.tree import unnamed


def array(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if value.known or node.discard:
        raise UnsupportedError("an array of nothing")
    source = e.variable(value, hint)
    if isinstance(node, Array):
        count = e.evaluate(node.count, scope)
        e.refuse_if(f"len({source}) != {count.source}")
    code = struct_code(unnamed(node.subcon))
    data, kept = e.w.new(f"{hint}_bytes"), e.w.new(f"{hint}_built")
    if code is not None and isinstance(node, Array):
        form = f"f'{code[0] or '>'}{{len({source})}}{code[1]}'"
        e.w.line(f"{data} = pack({form}, *{source})")
        scope.index = f"(len({source}) - 1 if {source} else {scope.index})"
    else:
        elements(e, node, source, data, kept, hint, scope)
    e.part(data)
    if returns_value(node.subcon):
        return Value(source)
    return Value(f"ListContainer({kept})") if e.keep else UNKNOWN


def elements(
    e: Encoder, node: Any, source: str, data: str, kept: str, hint: str, scope: Scope
) -> None:
    parts = e.w.new(f"{hint}_parts")
    index, item = e.w.new("index"), e.w.new(re.sub(r"s\Z", "", hint))
    e.w.line(f"{parts} = []")
    if e.keep:
        e.w.line(f"{kept} = []")
    e.w.line(f"{index} = {scope.index}")
    # construct, too, leaves the last index in the context.
    scope.index = index
    header = f"for {index}, {item} in enumerate({source}):"
    with e.w.block(header), e.output(isolated=True):
        built = e.encode(node.subcon, Value(item), hint, scope)
        e.w.line(f"{parts}.append({e.joined().source})")
        if e.keep and not returns_value(node.subcon):
            e.w.line(f"{kept}.append({e.whole(built)})")
    e.w.line(f"{data} = b''.join({parts})")


def inside(
    e: Encoder, node: Any, value: Value, hint: str, scope: Scope, isolated: bool
) -> tuple[Value, Value]:
    """Encode into bytes of their own: those, and the built value."""
    with e.output(isolated):
        built = e.encode(node, value, hint, scope)
        return e.joined(), built


def prefixed(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    inner, built = inside(e, node.subcon, value, hint, scope, isolated=False)
    data = e.variable(inner, f"{hint}_bytes")
    length = f"len({data})"
    if node.includelength:
        size = static_size(node.lengthfield)
        if size is None:
            raise UnsupportedError("a length of varying length")
        length += f" + {size}"
    e.encode(node.lengthfield, Value(length), "length", scope)
    e.part(data)
    return built


def fixed_sized(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    length = e.evaluate(node.length, scope)
    inner, built = inside(e, node.subcon, value, hint, scope, isolated=False)
    fill(e, inner, length, b"\x00", hint)
    return built


def fill(e: Encoder, value: Value, length: Value, pattern: bytes, hint: str) -> None:
    """Add bytes padded to a length, which they must not exceed."""
    if value.known and length.known and len(value.constant) <= length.constant:
        e.push_bytes(value.constant.ljust(length.constant, pattern))
        return
    data = e.variable(value, f"{hint}_bytes")
    e.refuse_if(f"len({data}) > {length.source}")
    if length.known and isinstance(length.constant, int) and length.constant >= 0:
        padded = Value(f"{data}.ljust({length.constant}, {pattern!r})")
        filled = Value(e.variable(padded, f"{hint}_bytes"))
        e.push(f"{length.constant:d}s", length.constant, filled)
        return
    e.part(e.variable(Value(f"{data}.ljust({length.source}, {pattern!r})"), f"{hint}_bytes"))


def null_terminated(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    built = e.encode(node.subcon, value, hint, scope)
    e.push_bytes(node.term)
    return built


def null_stripped(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    return e.encode(node.subcon, value, hint, scope)


def padded(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    length = e.evaluate(node.length, scope)
    if node.subcon is Pass and length.known and isinstance(length.constant, int):
        if length.constant < 0:
            raise UnsupportedError("a negative length")
        e.push_bytes(node.pattern * length.constant)
        return NONE
    inner, built = inside(e, node.subcon, value, hint, scope, isolated=True)
    fill(e, inner, length, node.pattern, hint)
    return built


def aligned(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if not isinstance(node.modulus, int) or node.modulus < 2:
        raise UnsupportedError("a modulus that is none")
    inner, built = inside(e, node.subcon, value, hint, scope, isolated=True)
    data = e.variable(inner, f"{hint}_bytes")
    padding = f"{node.pattern!r} * (-len({data}) % {node.modulus})"
    e.part(e.variable(Value(f"{data} + {padding}"), f"{hint}_bytes"))
    return built
