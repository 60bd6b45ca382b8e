"""Encoding single values: numbers, bytes, strings, names, constants, checksums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from construct import BytesInteger, VarInt, ZigZag

from iotsim.protocol.generate.nodes import checksum_call, is_int_node, struct_code
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value, literal, plain
from iotsim.protocol.tree import unnamed

if TYPE_CHECKING:
    from iotsim.protocol.generate.encoder import Encoder


def format_field(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    order, code = struct_code(node) or ("", "")
    e.push(code, node.length, value, order)
    return value


def flag(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    e.push("?", 1, value)
    return value


def bytes_integer(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if not isinstance(node.length, int) or node.length <= 0 or callable(node.swapped):
        raise UnsupportedError("an integer of varying length or order")
    order: Literal["little", "big"] = "little" if node.swapped else "big"
    if value.known:
        if not isinstance(value.constant, int):
            raise UnsupportedError("a constant that is no integer")
        try:
            raw = int(value.constant).to_bytes(node.length, order, signed=bool(node.signed))
        except OverflowError as error:
            raise UnsupportedError(str(error)) from error
        e.push_bytes(raw)
        return value
    source = e.variable(value, hint)
    signed = ", signed=True" if node.signed else ""
    packed = Value(f"{source}.to_bytes({node.length}, {order!r}{signed})")
    e.push(f"{node.length}s", node.length, Value(e.variable(packed, f"{hint}_bytes")))
    return value


def varint(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    function = "varint_bytes" if node is VarInt else "zigzag_bytes"
    e.part(e.variable(Value(f"{function}({value.source})"), f"{hint}_bytes"))
    return value


def bytes_(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    length = e.evaluate(node.length, scope)
    if value.known and length.known and isinstance(value.constant, bytes):
        if len(value.constant) != length.constant:
            raise UnsupportedError("a constant of another length")
        e.push_bytes(value.constant)
        return value
    source = e.variable(value, hint)
    if source not in e.bytes:
        e.w.line(f"if {source}.__class__ is not bytes: raise not_bytes({source}, True)")
    e.refuse_if(f"len({source}) != {length.source}")
    if length.known and isinstance(length.constant, int) and length.constant >= 0:
        e.push(f"{length.constant:d}s", length.constant, Value(source))
    else:
        e.part(source)
    return Value(source, scalar=True)


def greedy_bytes(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and isinstance(value.constant, bytes):
        e.push_bytes(value.constant)
        return value
    source = e.variable(value, hint)
    if source not in e.bytes:
        e.w.line(f"if {source}.__class__ is not bytes: raise not_bytes({source}, False)")
    e.part(source)
    return Value(source, scalar=True)


def string(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and isinstance(value.constant, str):
        try:
            encoded = literal(value.constant.encode(node.encoding) if value.constant else b"")
        except UnicodeEncodeError as error:
            raise UnsupportedError(str(error)) from error
        e.encode(node.subcon, encoded, hint, scope)
        return value
    source = e.variable(value, hint)
    e.refuse_if(f"not isinstance({source}, str)")
    encoding = Value(f"{source}.encode({node.encoding!r}) if {source} else b''")
    encoded_name = e.variable(encoding, f"{hint}_bytes")
    e.bytes.add(encoded_name)
    e.encode(node.subcon, Value(encoded_name), hint, scope)
    return Value(source, scalar=True)


def enum(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    bare = unnamed(node.subcon)
    if not (is_int_node(bare) or isinstance(bare, BytesInteger) or bare in (VarInt, ZigZag)):
        raise UnsupportedError(f"names for {type(bare).__name__}")
    e.encode(node.subcon, enum_number(e, node, value, hint), hint, scope)
    return value


def enum_number(e: Encoder, node: Any, value: Value, hint: str) -> Value:
    table = {plain(name): int(number) for name, number in node.encmapping.items()}
    if value.known:
        if isinstance(value.constant, int):
            return value
        if value.constant not in table:
            raise UnsupportedError(f"{value.constant!r} is no name")
        return literal(table[value.constant])
    bound = e.w.bind("numbers", table, key=id(node))
    number = Value(f"{bound}.get({value.source}, {value.source})")
    return Value(e.variable(number, f"{hint}_number"))


def flags(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    bare = unnamed(node.subcon)
    if not (is_int_node(bare) or isinstance(bare, BytesInteger) or bare in (VarInt, ZigZag)):
        raise UnsupportedError(f"flags of {type(bare).__name__}")
    e.encode(node.subcon, flags_number(e, node, value, hint), hint, scope)
    return value


def flags_number(e: Encoder, node: Any, value: Value, hint: str) -> Value:
    flags = {plain(name): int(bits) for name, bits in node.flags.items()}
    bound = e.w.bind("flags", flags, key=id(node))
    number = Value(f"flags_value({bound}, {value.source})")
    return Value(e.variable(number, f"{hint}_number"))


def mapping(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    e.encode(node.subcon, mapped(e, node, value, hint), hint, scope)
    return value


def mapped(e: Encoder, node: Any, value: Value, hint: str) -> Value:
    table = {plain(key): plain(item) for key, item in node.encmapping.items()}
    bound = e.w.bind("numbers", table, key=id(node))
    return Value(e.variable(Value(f"{bound}[{value.source}]"), f"{hint}_number"))


def const(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    constant = literal(node.value)
    if not (value.known and value.constant is None):
        e.refuse_if(f"{value.source} is not None and {value.source} != {constant.source}")
    e.encode(node.subcon, constant, hint, scope)
    return constant


def computed(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if not callable(node.func):
        return Value(e.w.bind("constant", node.func))
    result = e.evaluate(node.func, scope)
    return result if result.known else Value(e.variable(result, hint))


def rebuild(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    result = e.evaluate(node.func, scope)
    if not result.known:
        result = Value(e.variable(result, hint))
    return e.encode(node.subcon, result, hint, scope)


def default(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and value.constant is None:
        return e.encode(node.subcon, default_value(e, node, hint, scope), hint, scope)
    source = e.variable(value, hint)
    with e.w.block(f"if {source} is None:"):
        e.w.line(f"{source} = {default_value(e, node, hint, scope).source}")
    return e.encode(node.subcon, Value(source), hint, scope)


def default_value(e: Encoder, node: Any, hint: str, scope: Scope) -> Value:
    if not callable(node.value):
        try:
            return literal(node.value)
        except UnsupportedError:
            return Value(e.w.bind("default", node.value))
    result = e.evaluate(node.value, scope)
    return result if result.known else Value(e.variable(result, hint))


def transparent(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    e.encode(node.subcon, value, hint, scope)
    return value


def checksum(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if e.out.isolated:
        raise UnsupportedError("a Checksum whose bytes are not all here")
    start = e.evaluate(node.start, scope)
    head = e.settle("head")
    if not start.known:
        e.refuse_if(f"not 0 <= {start.source} <= len({head})")
    elif not isinstance(start.constant, int) or start.constant < 0:
        raise UnsupportedError("a start before the message")
    elif start.constant:
        e.refuse_if(f"len({head}) < {start.constant}")
    covered = head if start.source == "0" else f"{head}[{start.source}:]"
    result = e.variable(Value(checksum_call(e.w, node.function, covered)), hint)
    e.encode(node.subcon, Value(result), hint, scope)
    return Value(result, scalar=True)


def check(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    e.refuse_if(f"not ({e.evaluate(node.func, scope).source})")
    return NONE


def error(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    e.w.line("raise ExplicitError")
    return NONE


def unmatched(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    e.w.line("raise Mismatch")
    return NONE


def nothing(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    return value


def tell(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    if e.out.isolated:
        raise UnsupportedError("Tell, where the position is not known")
    if not e.out.varying:
        return literal(e.out.fixed)
    terms = [*e.out.varying, str(e.out.fixed)]
    return Value(e.variable(Value(" + ".join(terms)), hint), scalar=True)
