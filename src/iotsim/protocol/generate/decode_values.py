"""Decoding single values: numbers, bytes, strings, names, constants, checksums."""

from __future__ import annotations

from typing import Any

from construct import Bytes, BytesInteger, FormatField, StringEncoded, VarInt, ZigZag

from iotsim.protocol.generate.decoder import Decoder, Position
from iotsim.protocol.generate.nodes import (
    checksum_call,
    is_int_node,
    kind_name,
    static_size,
    struct_code,
)
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value, literal, plain
from iotsim.protocol.tree import unnamed


def format_field(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    name = d.variable(hint)
    order, code = struct_code(node) or ("", "")
    d.take(code, node.length, name, order)
    return Value(name, scalar=code not in "efd")


def flag(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    name = d.variable(hint)
    d.take("?", 1, name)
    return Value(name, scalar=True)


def bytes_integer(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if not isinstance(node.length, int) or node.length <= 0 or callable(node.swapped):
        raise UnsupportedError("an integer of varying length or order")
    name = d.variable(hint)
    d.take(f"{node.length}s", node.length, name)
    order = "little" if node.swapped else "big"
    signed = ", signed=True" if node.signed else ""
    d.after(f"{name} = int.from_bytes({name}, {order!r}{signed})")
    return Value(name, scalar=True)


def varint(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    d.flush()
    name, end = d.variable(hint), d.variable("p")
    read = "read_varint" if node is VarInt else "read_zigzag"
    d.w.line(f"{name}, {end} = {read}({d.place.data}, {d.place.position})")
    d.place.position = Position(end)
    return Value(name, scalar=True)


def bytes_(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    length = d.evaluate(node.length, scope)
    if length.known:
        name = d.variable(hint)
        fixed(d, length, name)
    else:
        name = d.slice(length.source, hint)
    return Value(name, scalar=True)


def fixed(d: Decoder, length: Value, name: str) -> None:
    if not isinstance(length.constant, int) or length.constant < 0:
        raise UnsupportedError("a length that is none")
    d.take(f"{length.constant:d}s", length.constant, name)


def greedy_bytes(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    d.flush()
    name = d.variable(hint)
    start = str(d.place.position)
    d.w.line(f"{name} = {d.place.data}" + ("" if start == "0" else f"[{start}:]"))
    d.place.position = Position(f"len({d.place.data})")
    return Value(name, scalar=True)


def string(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    value = d.decode(node.subcon, hint, scope)
    if value.known:
        raise UnsupportedError("text of a constant")
    d.after(f"{value.source} = {value.source}.decode({node.encoding!r})")
    return Value(value.source, scalar=True)


def integer(d: Decoder, node: Any, hint: str, scope: Scope) -> tuple[Value, int | None]:
    """An int and, if it is small and unsigned, the number of values that it can have."""
    bare = unnamed(node)
    if not (is_int_node(bare) or isinstance(bare, BytesInteger) or bare in (VarInt, ZigZag)):
        raise UnsupportedError(f"names for {kind_name(bare)}")
    small = 256 if isinstance(bare, FormatField) and bare.fmtstr[1] == "B" else None
    return d.decode(node, hint, scope), small


def enum(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    value, values = integer(d, node.subcon, hint, scope)
    return enum_of(d, node, value, values)


def enum_of(d: Decoder, node: Any, value: Value, values: int | None) -> Value:
    table = {int(number): plain(name) for number, name in node.decmapping.items()}
    name = value.source
    if values is not None:
        row = tuple(table.get(number, number) for number in range(values))
        bound = d.w.bind("names", row, f"{table!r}, by index", id(node))
        d.after(f"{name} = {bound}[{name}]")
    else:
        bound = d.w.bind("names", table, key=id(node))
        d.after(f"{name} = {bound}.get({name}, {name})")
    return Value(name, scalar=True)


def flags(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    return flags_of(d, node, integer(d, node.subcon, hint, scope)[0])


def flags_of(d: Decoder, node: Any, value: Value) -> Value:
    items = ", ".join(
        f"{plain(name)!r}: ({value.source} & {int(bits)}) == {int(bits)}"
        for name, bits in node.flags.items()
        if not name.startswith("_")
    )
    d.after(f"{value.source} = {{{items}}}")
    return Value(value.source)


def mapping(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    return mapping_of(d, node, d.decode(node.subcon, hint, scope))


def mapping_of(d: Decoder, node: Any, value: Value) -> Value:
    if value.known:
        raise UnsupportedError("names for a constant")
    table = {plain(key): plain(item) for key, item in node.decmapping.items()}
    bound = d.w.bind("names", table, key=id(node))
    d.after(f"{value.source} = {bound}[{value.source}]")
    return Value(value.source, scalar=True)


def const(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    raw = injective(node)
    if raw is not None:
        name = d.variable(hint)
        d.take(f"{len(raw)}s", len(raw), name)
        d.refuse_if(f"{name} != {raw!r}")
        return literal(node.value)
    value = d.decode(node.subcon, hint, scope)
    d.refuse_if(f"{value.source} != {literal(node.value).source}")
    return value


def computed(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if not callable(node.func):
        try:
            return literal(node.func)
        except UnsupportedError:
            constant = d.w.bind("constant", node.func)
            return Value(f"normalize({constant})")
    value = d.evaluate(node.func, scope)
    if value.known:
        return value
    name = d.variable(hint)
    d.flush()
    d.w.line(f"{name} = normalize({value.source})")
    return Value(name)


def transparent(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    return d.decode(node.subcon, hint, scope)


def checksum(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    start = d.evaluate(node.start, scope)
    position, data = d.place.position, d.place.data
    if not start.known:
        d.require(f"0 <= {start.source} <= {position}")
    elif not isinstance(start.constant, int) or start.constant < 0:
        raise UnsupportedError("a start before the message")
    elif start.constant and (position.base or start.constant > position.offset):
        d.require(f"{start.constant} <= {position}")
    first = "" if start.source == "0" else start.source
    covered = f"{data}[{first}:{position}]"
    value = d.decode(node.subcon, hint, scope)
    d.refuse_if(f"{value.source} != {checksum_call(d.w, node.function, covered)}")
    return value


def check(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    passed = d.evaluate(node.func, scope)
    d.require(passed.source)
    return NONE


def error(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    d.flush()
    d.w.line("raise ExplicitError")
    return NONE


def unmatched(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    d.flush()
    d.w.line("raise Mismatch")
    return NONE


def nothing(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    return NONE


def terminated(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    d.require(f"len({d.place.data}) <= {d.place.position}")
    return NONE


def tell(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    place = d.place
    if not place.origin.base and not place.position.base:
        return literal(place.origin.offset + place.position.offset)
    name = d.variable(hint)
    d.after(f"{name} = {place.origin} + {place.position}")
    return Value(name, scalar=True)


def injective(node: Any) -> bytes | None:
    """The bytes of a Const that no other value shares, if that is certain; else None."""
    bare = unnamed(node.subcon)
    if isinstance(bare, StringEncoded):
        size = static_size(bare)
        encoded = node.value.encode(bare.encoding) if isinstance(node.value, str) else b""
        ascii_only = bare.encoding.replace("-", "").lower() in {"ascii", "utf8"}
        return encoded if size and ascii_only and len(encoded) == size else None
    if isinstance(bare, Bytes) and isinstance(node.value, bytes):
        return node.value if bare.length == len(node.value) else None
    return None
