"""Decoding bit fields: shifts and masks over one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import BitsInteger, Computed, Const, Enum, Flag, FlagsEnum, Padded, Pass, Struct
from construct import Mapping as ConstructMapping
from construct.lib import bits2bytes, bytes2bits

from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.generate.decode_values import computed, enum_of, flags_of, mapping_of
from iotsim.protocol.generate.nodes import BIT_CODES, TRANSPARENT, hidden, kind_name
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value, literal
from iotsim.protocol.tree import unnamed

if TYPE_CHECKING:
    from iotsim.protocol.generate.decoder import Decoder


def transformed(d: Decoder, node: Any, hint: str, scope: Scope) -> Value:
    if isinstance(unnamed(node.subcon), Struct):
        inner, entries = bits(d, node, scope)
        name = d.variable(hint)
        d.after(f"{name} = {{{', '.join(entries)}}}")
        return Value(name, scope=inner)
    word, width = word_of(d, node)
    reader = Bits(d, word, width)
    value = reader.decode(node.subcon, hint, scope)
    reader.finish()
    return value


def bits(d: Decoder, node: Any, scope: Scope) -> tuple[Scope, list[str]]:
    """The fields of a BitStruct."""
    word, width = word_of(d, node)
    reader = Bits(d, word, width)
    inner = Scope(scope, unnamed(node.subcon), index=scope.index)
    entries = reader.members(unnamed(node.subcon), inner)
    reader.finish()
    return inner, entries


def word_of(d: Decoder, node: Any) -> tuple[str, int]:
    """A variable with all bits of a Bitwise as one number, and how many they are."""
    if node.decodefunc is not bytes2bits or node.encodefunc is not bits2bytes:
        raise UnsupportedError("Transformed")
    size = node.decodeamount
    if not isinstance(size, int) or size < 1:
        raise UnsupportedError("Bitwise of varying length")
    word = d.variable("bits")
    if size in BIT_CODES:
        d.take(BIT_CODES[size], size, word, ">" if size > 1 else "")
    else:
        d.take(f"{size}s", size, word)
        d.after(f"{word} = int.from_bytes({word}, 'big')")
    return word, 8 * size


class Bits:
    """Reads fields out of the bits of a number."""

    def __init__(self, decoder: Decoder, word: str, width: int) -> None:
        self.d = decoder
        self.word = word
        self.width = width
        self.left = width

    def finish(self) -> None:
        # What a Bitwise leaves unread is dropped by construct, too.
        if self.left < 0:
            raise UnsupportedError("more bits than there are")

    def field(self, count: Any) -> str:
        if not isinstance(count, int) or count < 1:
            raise UnsupportedError("bits of varying length")
        self.left -= count
        if self.left < 0:
            raise UnsupportedError("more bits than there are")
        source = f"{self.word} >> {self.left}" if self.left else self.word
        if self.left + count == self.width:
            return source
        mask = (1 << count) - 1
        return f"({source}) & {mask}" if self.left else f"{source} & {mask}"

    def members(self, node: Any, scope: Scope) -> list[str]:
        if type(node) not in (Struct, FlatStruct):
            raise UnsupportedError(kind_name(node))
        entries: list[str] = []
        for member in node.subcons:
            if isinstance(node, FlatStruct) and not member.name and flat_names(member):
                raise UnsupportedError("a struct without a name")
            value = self.decode(member, "unnamed", scope)
            if member.name:
                scope.fields[member.name] = value
                if not hidden(member):
                    entries.append(f"{member.name!r}: {value.source}")
        return entries

    def decode(self, node: Any, hint: str, scope: Scope) -> Value:
        hint = node.name or hint
        node = unnamed(node)
        d = self.d
        kind = type(node)
        if kind is BitsInteger:
            if node.swapped or callable(node.signed):
                raise UnsupportedError("swapped bits")
            name = d.variable(hint)
            d.after(f"{name} = {self.field(node.length)}")
            if node.signed:
                sign = 1 << (node.length - 1)
                d.after(f"{name} = ({name} ^ {sign}) - {sign}")
            return Value(name, scalar=True)
        if node is Flag:
            name = d.variable(hint)
            d.after(f"{name} = ({self.field(1)}) != 0")
            return Value(name, scalar=True)
        if kind is Enum or kind is FlagsEnum:
            bare: Any = unnamed(node.subcon)
            if type(bare) is not BitsInteger:
                raise UnsupportedError(f"names for {kind_name(bare)}")
            value = self.decode(bare, hint, scope)
            if kind is FlagsEnum:
                return flags_of(d, node, value)
            length: Any = bare.length
            small = not bare.signed and length <= 8
            return enum_of(d, node, value, 1 << length if small else None)
        if kind is ConstructMapping:
            return mapping_of(d, node, self.decode(node.subcon, hint, scope))
        if kind is Const:
            value = self.decode(node.subcon, hint, scope)
            d.refuse_if(f"{value.source} != {literal(node.value).source}")
            return value
        if kind in TRANSPARENT:
            return self.decode(node.subcon, hint, scope)
        if kind is Padded and node.subcon is Pass:
            if not isinstance(node.length, int) or node.length < 0:
                raise UnsupportedError("padding of varying length")
            self.left -= node.length
            return NONE
        if kind is Computed:
            return computed(d, node, hint, scope)
        if node is Pass:
            return NONE
        if kind is Struct:
            inner = Scope(scope, node, index=scope.index)
            entries = self.members(node, inner)
            name = d.variable(hint)
            d.after(f"{name} = {{{', '.join(entries)}}}")
            return Value(name, scope=inner)
        raise UnsupportedError(f"{kind_name(node)} in bits")
