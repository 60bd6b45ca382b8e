"""Reading numbers, flags, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.source import UnsupportedError
from iotsim.protocol.wireshark.lua import LARGEST, constant, quoted
from iotsim.protocol.wireshark.readers import boolean, join, read

if TYPE_CHECKING:
    from iotsim.protocol.wireshark.readers import Readers

NATIVE_INTEGERS = 8
"""Bytes of the largest integer that Wireshark has a type for."""
BITS_OF_A_MASK = 32


@read.register(n.Number)
@read.register(n.Integer)
@read.register(n.Bits)
@read.register(n.VarInteger)
def number(node: n.Node, readers: Readers, path: str | None) -> str:
    return numeric(node, readers, path, {})


def numeric(node: n.Node, readers: Readers, path: str | None, names: dict[int, str]) -> str:
    """A number, with names of its values."""
    if isinstance(node, n.VarInteger):
        kind = "int64" if node.zigzag else "uint64"
        field = readers.field(path, kind, names=names)
        return f"varint({boolean(node.zigzag)}, {field})"
    if isinstance(node, n.Bits):
        return some_bits(node, readers, path, names)
    size = node.size or 0
    if isinstance(node, n.Number) and node.code == "?":
        return f"flag({readers.field(path, 'bool')})"
    little = isinstance(node, n.Number) and node.order == "<"
    little = little or (isinstance(node, n.Integer) and node.little)
    if isinstance(node, n.Number) and node.code in "efd":
        field = readers.field(path, "double" if node.code == "d" else "float")
        return f"float({size}, {boolean(little)}, {field})"
    signed = node.signed if isinstance(node, n.Integer) else _signed(node)
    if size > NATIVE_INTEGERS:
        readers.missing[path or "(unnamed)"] = f"an integer of {size} bytes, shown as bytes"
    field = readers.field(path, _integer_type(size, signed), names=names)
    return f"integer({size}, {boolean(little)}, {boolean(signed)}, {field})"


def some_bits(node: n.Bits, readers: Readers, path: str | None, names: dict[int, str]) -> str:
    size = node.size or 0
    masked = False
    if readers.bit is not None and readers.bit // 8 + 4 >= -(-(readers.bit + size) // 8):
        whole = 8 * (-(-(readers.bit + size) // 8) - readers.bit // 8)
        mask = ((1 << size) - 1) << (whole - readers.bit % 8 - size)
        masked = True
        if node.flag:
            field = readers.field(path, "bool", mask=mask, width=whole)
        else:
            kind = f"{'int' if node.signed else 'uint'}{whole}"
            field = readers.field(path, kind, names=names, mask=mask)
    elif node.flag:
        field = readers.field(path, "bool")
    elif size <= BITS_OF_A_MASK:
        field = readers.field(path, "int32" if node.signed else "uint32", names=names)
    elif size <= 53:
        field = readers.field(path, "int64" if node.signed else "uint64")
    else:
        raise UnsupportedError(f"a number of {size} bits")
    signed, flag = boolean(node.signed), boolean(node.flag)
    return f"bitfield({size}, {signed}, {flag}, {field}, {boolean(masked)})"


@read.register(n.Names)
def names(node: n.Names, readers: Readers, path: str | None) -> str:
    if node.kind == "flags":
        return flags(node, readers, path)
    decoded = {number: value for number, value in node.decoded.items() if abs(number) < LARGEST}
    shown = {int(number): str(value) for number, value in decoded.items()}
    inner = numeric(node.inner, readers, path, shown)
    table = ", ".join(f"[{int(key)}] = {constant(value)}" for key, value in decoded.items())
    return f"{'mapped' if node.kind == 'mapping' else 'named'}({inner}, {{{table}}})"


def flags(node: n.Names, readers: Readers, path: str | None) -> str:
    inner, size = node.inner, node.inner.size or 0
    word = isinstance(inner, n.Number) and inner.code in "BHL"
    little = isinstance(inner, n.Number) and inner.order == "<"
    masks = []
    for name, mask in node.encoded.items():
        if not 0 <= mask < LARGEST:
            raise UnsupportedError(f"the flag {mask}")
        masked = word and mask.bit_count() == 1 and mask < 1 << 8 * size
        more = {"mask": mask, "width": 8 * size} if masked else {}
        field = readers.field(join(path or None, name), "bool", **more)
        masks.append(f"{{{quoted(name)}, {mask}, {field}, {boolean(masked)}}}")
    read = numeric(inner, readers, "", {})
    if isinstance(inner, n.Bits):
        kind = "uint64" if size > BITS_OF_A_MASK else "uint32"
    elif isinstance(inner, n.VarInteger):
        kind = "uint64"
    else:
        kind = _integer_type(size, _signed(inner))
    whole, table = readers.field(path, kind), ", ".join(masks)
    return f"flags({read}, {{{table}}}, {whole}, {boolean(little)})"


def _signed(node: n.Node) -> bool:
    return isinstance(node, n.Number) and node.code in "bhlq"


def _integer_type(size: int, signed: bool) -> str:
    if size > NATIVE_INTEGERS:
        return "bytes"
    bits = 8 * size if size <= 4 else 64
    return f"{'int' if signed else 'uint'}{bits}"
