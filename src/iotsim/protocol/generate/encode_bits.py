"""Encoding bit fields: shifts into one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import (
    BitsInteger,
    Computed,
    Const,
    Default,
    Enum,
    Flag,
    FlagsEnum,
    Hex,
    HexDump,
    Padded,
    Pass,
    Rebuild,
    Struct,
)
from construct import Mapping as ConstructMapping
from construct.lib import bits2bytes, bytes2bits

from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.generate.encode_fields import fetch, refuse_unknown, require_dict
from iotsim.protocol.generate.encode_values import (
    computed,
    default_value,
    enum_number,
    flags_number,
    mapped,
)
from iotsim.protocol.generate.nodes import BIT_CODES
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value, literal
from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import Length

if TYPE_CHECKING:
    from iotsim.protocol.generate.encoder import Encoder


def transformed(e: Encoder, node: Any, value: Value, hint: str, scope: Scope) -> Value:
    writer = Bits(e)
    inner = unnamed(node.subcon)
    if not isinstance(inner, Struct):
        built = writer.encode(node.subcon, value, hint, scope)
        writer.finish(node)
        return built
    if value.known and value.constant is None:
        fields = Scope(scope, inner, index=scope.index)
        writer.members(inner, fields)
        writer.finish(node)
        return Value("", scope=fields)
    source = e.variable(value, hint)
    e.w.line(f"if {source} is None: {source} = {{}}")
    fields = Scope(scope, inner, source=source, index=scope.index)
    require_dict(e, inner, source)
    writer.members(inner, fields)
    writer.finish(node)
    refuse_unknown(e, source, [m.name for m in inner.subcons if m.name], [])
    return Value("", scope=fields)


class Bits:
    """Puts fields into the bits of a number."""

    def __init__(self, encoder: Encoder) -> None:
        self.e = encoder
        self.terms: list[tuple[Value, int]] = []

    def finish(self, node: Any) -> None:
        """Add the number to the run of the encoder."""
        if node.decodefunc is not bytes2bits or node.encodefunc is not bits2bytes:
            raise UnsupportedError("Transformed")
        size = node.encodeamount
        left = sum(count for _, count in self.terms)
        if not isinstance(size, int) or size < 1 or left != 8 * size:
            raise UnsupportedError("Bitwise of varying length")
        constant = 0
        sources: list[str] = []
        for value, count in self.terms:
            left -= count
            if value.known:
                constant |= int(value.constant) << left
            else:
                sources.append(f"{value.source} << {left}" if left else value.source)
        if constant or not sources:
            sources.append(str(constant))
        word = literal(constant) if sources == [str(constant)] else Value(" | ".join(sources))
        code = BIT_CODES.get(size)
        if code is not None:
            self.e.push(code, size, word, ">" if size > 1 else "")
            return
        packed = self.e.variable(Value(f"({word.source}).to_bytes({size}, 'big')"), "bits")
        self.e.push(f"{size}s", size, Value(packed))

    def members(self, node: Any, scope: Scope) -> None:
        if type(node) not in (Struct, FlatStruct):
            raise UnsupportedError(type(node).__name__)
        for member in node.subcons:
            if isinstance(node, FlatStruct) and (
                (not member.name and flat_names(member)) or isinstance(unnamed(member), Length)
            ):
                raise UnsupportedError("a FlatStruct of bits")
            built = self.encode(member, fetch(self.e, member, scope), "unnamed", scope)
            if member.name:
                scope.fields[member.name] = built

    def put(self, value: Value, count: Any, signed: bool = False) -> None:
        if not isinstance(count, int) or count < 1:
            raise UnsupportedError("bits of varying length")
        low, high = (
            (-(1 << (count - 1)), (1 << (count - 1)) - 1) if signed else (0, (1 << count) - 1)
        )
        mask = (1 << count) - 1
        if value.known:
            if not isinstance(value.constant, int) or not low <= value.constant <= high:
                raise UnsupportedError("a constant that does not fit")
            self.terms.append((literal(int(value.constant) & mask), count))
            return
        source = self.e.variable(value, "bits")
        self.e.refuse_if(f"not {low} <= {source} <= {high}")
        # A float passes the comparison, but none of what is done with the bits then.
        self.terms.append((Value(f"({source} & {mask})" if signed else source), count))

    def encode(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        hint = node.name or hint
        node = unnamed(node)
        e = self.e
        kind = type(node)
        if kind is BitsInteger:
            if node.swapped or callable(node.signed):
                raise UnsupportedError("swapped bits")
            self.put(value, node.length, bool(node.signed))
            return value
        if node is Flag:
            if value.known:
                self.terms.append((literal(1 if value.constant else 0), 1))
            else:
                self.terms.append((Value(f"(1 if {value.source} else 0)"), 1))
            return value
        if kind in (Enum, FlagsEnum, ConstructMapping):
            if kind is not ConstructMapping and type(unnamed(node.subcon)) is not BitsInteger:
                raise UnsupportedError(f"names for {type(unnamed(node.subcon)).__name__}")
            number = {
                Enum: enum_number,
                FlagsEnum: flags_number,
                ConstructMapping: mapped,
            }[kind](e, node, value, hint)
            self.encode(node.subcon, number, hint, scope)
            return value
        if kind is Const:
            constant = literal(node.value)
            if not (value.known and value.constant is None):
                e.refuse_if(f"{value.source} is not None and {value.source} != {constant.source}")
            self.encode(node.subcon, constant, hint, scope)
            return constant
        if kind is Default:
            if value.known and value.constant is None:
                return self.encode(node.subcon, default_value(e, node, hint, scope), hint, scope)
            source = e.variable(value, hint)
            with e.w.block(f"if {source} is None:"):
                e.w.line(f"{source} = {default_value(e, node, hint, scope).source}")
            return self.encode(node.subcon, Value(source), hint, scope)
        if kind is Rebuild:
            result = e.evaluate(node.func, scope)
            if not result.known:
                result = Value(e.variable(result, hint))
            return self.encode(node.subcon, result, hint, scope)
        if kind in (Hex, HexDump):
            return self.encode(node.subcon, value, hint, scope)
        if kind is Padded and node.subcon is Pass:
            if not isinstance(node.length, int) or node.length < 0 or node.pattern != b"\x00":
                raise UnsupportedError("padding of an uncommon kind")
            if node.length:
                self.terms.append((literal(0), node.length))
            return NONE
        if kind is Computed:
            return computed(e, node, value, hint, scope)
        if node is Pass:
            return value
        raise UnsupportedError(f"{type(node).__name__} in bits")
