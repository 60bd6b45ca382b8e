"""Numbers, bits of numbers, and names for them."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.reading import Decoder, Word, decode
from iotsim.protocol.generate.source import PLAIN, Scope, UnsupportedError, Value, literal, plain
from iotsim.protocol.generate.writing import Encoder, encode

if TYPE_CHECKING:
    from collections.abc import Callable

WORD_CODES = {1: "B", 2: "H", 4: "L", 8: "Q"}
"""The struct codes of numbers of so many bytes."""

# -- numbers ----------------------------------------------------------------------------------------


@decode.register(n.Number)
def decode_number(node: n.Number, d: Decoder, hint: str, scope: Scope) -> Value:
    name = d.w.new(hint)
    assert node.size is not None
    d.take(node.code, node.size, name, node.order)
    return Value(name, scalar=node.code not in "efd")


@encode.register(n.Number)
def encode_number(node: n.Number, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    assert node.size is not None
    e.push(node.code, node.size, value, node.order)
    if not e.told:
        return value
    form = (node.order or ">") + node.code
    if value.known:
        try:
            return replace(
                value, wire=repr(struct.unpack(form, struct.pack(form, value.constant))[0])
            )
        except struct.error:
            return replace(value, wire=None)
    if node.code == "?":
        return replace(value, wire=f"(True if {value.source} else False)")
    if node.code not in "efd":
        return e.integer(value)
    pack, unpack = e.w.struct("pack", form), e.w.struct("unpack", form)
    return replace(value, wire=f"{unpack}({pack}({value.source}))[0]")


@decode.register(n.Integer)
def decode_integer(node: n.Integer, d: Decoder, hint: str, scope: Scope) -> Value:
    name = d.w.new(hint)
    assert node.size is not None
    d.take(f"{node.size}s", node.size, name)
    signed = ", signed=True" if node.signed else ""
    d.after(f"{name} = int.from_bytes({name}, {_order(node)!r}{signed})")
    return Value(name, scalar=True)


@encode.register(n.Integer)
def encode_integer(node: n.Integer, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    assert node.size is not None
    if value.known:
        constant = _integer(value, node.signed, 8 * node.size)
        e.push_bytes(constant.to_bytes(node.size, _order(node), signed=node.signed))
        return literal(constant)
    source = e.variable(value, hint)
    signed = ", signed=True" if node.signed else ""
    packed = Value(f"{source}.to_bytes({node.size}, {_order(node)!r}{signed})")
    e.push(f"{node.size}s", node.size, Value(e.variable(packed, f"{hint}_bytes")))
    return e.integer(Value(source))


def _order(node: n.Integer) -> Literal["little", "big"]:
    return "little" if node.little else "big"


def _integer(value: Value, signed: bool, bits: int) -> int:
    """A constant, if it is an integer of so many bits."""
    low, high = _range(signed, bits)
    if not isinstance(value.constant, int) or not low <= value.constant <= high:
        raise UnsupportedError("a constant that does not fit")
    return int(value.constant)


def _range(signed: bool, bits: int) -> tuple[int, int]:
    half = 1 << (bits - 1)
    return (-half, half - 1) if signed else (0, 2 * half - 1)


@decode.register(n.VarInteger)
def decode_varint(node: n.VarInteger, d: Decoder, hint: str, scope: Scope) -> Value:
    d.flush()
    function = "read_zigzag" if node.zigzag else "read_varint"
    return Value(d.read(f"{function}({d.place.data}, {d.place.position})", hint), scalar=True)


@encode.register(n.VarInteger)
def encode_varint(node: n.VarInteger, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    function = "zigzag_bytes" if node.zigzag else "varint_bytes"
    e.part(e.w.let(f"{hint}_bytes", f"{function}({value.source})"))
    return e.integer(value)


# -- bits -------------------------------------------------------------------------------------------


@decode.register(n.BitWord)
def decode_bit_word(node: n.BitWord, d: Decoder, hint: str, scope: Scope) -> Value:
    value: Value = read_word(node, d, lambda: d.decode(node.inner, hint, scope))
    return value


def read_word(node: n.BitWord, d: Decoder, read: Callable[[], Any]) -> Any:
    """What ``read`` makes of the bits of one number."""
    size = node.size
    assert size is not None
    name = d.w.new("bits")
    if size in WORD_CODES:
        d.take(WORD_CODES[size], size, name, ">" if size > 1 else "")
    else:
        d.take(f"{size}s", size, name)
        d.after(f"{name} = int.from_bytes({name}, 'big')")
    d.word = Word(name, 8 * size, 8 * size)
    found = read()
    d.word = None
    return found


@encode.register(n.BitWord)
def encode_bit_word(node: n.BitWord, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    built: Value = write_word(node, e, lambda: e.encode(node.inner, value, hint, scope))
    return built


def write_word(node: n.BitWord, e: Encoder, write: Callable[[], Any]) -> Any:
    """What ``write`` gives; the bits that it put are added as one number."""
    size = node.size
    assert size is not None
    terms: list[tuple[Value, int]] = []
    e.terms = terms
    built = write()
    e.terms = None
    left, constant = 8 * size, 0
    sources: list[str] = []
    for value, count in terms:
        left -= count
        if value.known:
            constant |= int(value.constant) << left
        else:
            sources.append(f"{value.source} << {left}" if left else value.source)
    if constant or not sources:
        sources.append(str(constant))
    word = literal(constant) if sources == [str(constant)] else Value(" | ".join(sources))
    if size in WORD_CODES:
        e.push(WORD_CODES[size], size, word, ">" if size > 1 else "")
    else:
        packed = e.w.let("bits", f"({word.source}).to_bytes({size}, 'big')")
        e.push(f"{size}s", size, Value(packed))
    return built


@decode.register(n.Bits)
def decode_bits(node: n.Bits, d: Decoder, hint: str, scope: Scope) -> Value:
    word, count = d.word, node.size
    assert word is not None
    assert count is not None
    first = word.left == word.width
    d.skip(node)
    source = f"({word.name} >> {word.left})" if word.left else word.name
    if not first:
        source = f"({source} & {(1 << count) - 1})"
    if node.flag:
        source = f"({source} != 0)"
    elif node.signed:
        sign = 1 << (count - 1)
        source = f"(({source} ^ {sign}) - {sign})"
    return Value(source, scalar=True)


@encode.register(n.Bits)
def encode_bits(node: n.Bits, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    count, terms = node.size, e.terms
    assert count is not None
    assert terms is not None
    if node.flag and value.known:
        terms.append((literal(1 if value.constant else 0), 1))
        return literal(bool(value.constant))
    if node.flag:
        terms.append((Value(f"(1 if {value.source} else 0)"), 1))
        return replace(value, wire=f"(True if {value.source} else False)")
    mask = (1 << count) - 1
    if value.known:
        constant = _integer(value, node.signed, count)
        terms.append((literal(constant & mask), count))
        return literal(constant)
    source = e.variable(value, hint)
    low, high = _range(node.signed, count)
    e.refuse_if(f"not {low} <= {source} <= {high}")
    # A float passes the comparison, but none of what is done with the bits then.
    terms.append((Value(f"({source} & {mask})" if node.signed else source), count))
    return e.integer(Value(source))


# -- names ------------------------------------------------------------------------------------------


@decode.register(n.Names)
def decode_names(node: n.Names, d: Decoder, hint: str, scope: Scope) -> Value:
    number = d.decode(node.inner, hint, scope).source
    values = _how_many(node.inner)
    if node.kind == "enum" and values is not None:
        row = tuple(node.decoded.get(number, number) for number in range(values))
        bound = d.w.bind("names", row, f"{node.decoded!r}, by index", id(node))
        return Value(f"{bound}[{number}]", scalar=True)
    name = d.w.new(hint)
    if node.kind == "enum":
        bound = d.w.bind("names", node.decoded, key=id(node))
        d.after(f"{name} = {bound}.get({number}, {number})")
        return Value(name, scalar=True)
    if node.kind == "flags":
        d.after(f"{name} = {_flags(node, number)}")
        return Value(name, scope=_flags_scope(node, name), murky=True)
    names = {plain(number): item for number, item in node.decoded.items()}
    d.after(f"{name} = {d.w.bind('names', names, key=id(node))}[{number}]")
    scalar = all(type(item) in PLAIN for item in names.values())
    return Value(name, scalar=scalar, plain=None if scalar else f"normalize({name})")


def _flags_scope(node: n.Names, name: str) -> Scope:
    """The flags in the variable ``name``. construct's own value of them all has one more member."""
    return Scope(None, {flag: Value(f"{name}[{flag!r}]", scalar=True) for flag in node.encoded})


def _flags(node: n.Names, number: str) -> str:
    """Source of the dict of flags that a number stands for."""
    flags = ((flag, mask) for flag, mask in node.encoded.items() if not flag.startswith("_"))
    return f"{{{', '.join(f'{flag!r}: ({number} & {mask}) == {mask}' for flag, mask in flags)}}}"


def _how_many(node: n.Node) -> int | None:
    """The number of values that a small unsigned integer can have."""
    if isinstance(node, n.Number):
        return 256 if node.code == "B" else None
    if isinstance(node, n.Bits) and not node.signed and node.size is not None and node.size <= 8:
        return 1 << node.size
    return None


@encode.register(n.Names)
def encode_names(node: n.Names, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and node.kind == "enum":
        number = _number_of(node, value)
    else:
        numbers = node.encoded
        if node.kind == "mapping":
            numbers = {plain(key): plain(item) for key, item in numbers.items()}
        bound, source = e.w.bind("numbers", numbers, key=id(node)), value.source
        calls = {
            "flags": f"flags_value({bound}, {source})",
            "mapping": f"{bound}[{source}]",
            "enum": f"{bound}.get({source}, {source})",
        }
        number = Value(e.w.let(f"{hint}_number", calls[node.kind]))
    wire = e.encode(node.inner, number, hint, scope).wire
    wire = _names_wire(node, e, value, wire) if wire is not None and e.told else None
    if node.kind == "flags" and not value.known:
        return Value(value.source, scope=_flags_scope(node, value.source), murky=True, wire=wire)
    return replace(value, wire=wire)


def _number_of(node: n.Names, value: Value) -> Value:
    if isinstance(value.constant, int):
        return value
    if value.constant not in node.encoded:
        raise UnsupportedError(f"{value.constant!r} is no name")
    return literal(node.encoded[value.constant])


def _names_wire(node: n.Names, e: Encoder, value: Value, number: str) -> str | None:
    """What a number becomes again. Where that is another name, other alternatives may be taken with it."""
    if node.kind == "flags":
        return _flags(node, number)
    if node.kind == "mapping":
        return None
    if value.known:
        constant = node.encoded.get(value.constant, value.constant)
        told = node.decoded.get(constant, constant)
        return repr(told) if told == value.constant else None
    names = e.w.bind("names", node.decoded, key=("told", id(node)))
    name = e.w.let("name", f"{names}.get({number}, {number})")
    e.w.line(f"if {name} != {value.source}: raise Unusual")
    return name
