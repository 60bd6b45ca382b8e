"""Kinds of single values: what type a construct has in Python, and how it travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import (
    BitsInteger,
    Bytes,
    BytesInteger,
    Computed,
    Enum,
    Flag,
    FlagsEnum,
    FormatField,
    GreedyBytes,
    Index,
    NullTerminated,
    Pass,
    Prefixed,
    Sequence,
    StringEncoded,
    Subconstruct,
    Tell,
    VarInt,
    ZigZag,
)
from construct import Mapping as ConstructMapping

from iotsim.protocol.tree import unnamed

if TYPE_CHECKING:
    from collections.abc import Mapping


_FORMATS = {
    **dict.fromkeys("BHLQ", "uint"),
    **dict.fromkeys("bhlq", "int"),
    **dict.fromkeys("efd", "float"),
}


def scalar_kind(node: Any) -> tuple[str, str, Mapping[str, int], str]:
    """Kind, wire, names and float format of a node that is one value."""
    none: Mapping[str, int] = {}
    if isinstance(node, Enum):
        wire = scalar_kind(unnamed(node.subcon))[1]
        return "enum", wire, {str(k): v for k, v in node.encmapping.items()}, ""
    if isinstance(node, FlagsEnum):
        return "flags", scalar_kind(unnamed(node.subcon))[1], dict(node.flags), ""
    if isinstance(node, ConstructMapping):
        wire = scalar_kind(unnamed(node.subcon))[1]
        keys = list(node.encmapping)
        if all(isinstance(key, str) for key in keys):
            return "enum", wire, dict(node.encmapping), ""
        plain = all(isinstance(key, int | float | bool) for key in keys)
        return ("int" if plain else "any"), wire, none, ""
    if isinstance(node, FormatField):
        order, code = node.fmtstr[0], node.fmtstr[1]
        if code == "?":
            return "bool", "a byte, 0 or not", none, ""
        base = _FORMATS[code]
        wire = f"{base}{8 * node.length}" + _order(node.length, order == "<")
        is_float = base == "float"
        return ("float" if is_float else "int"), wire, none, node.fmtstr if is_float else ""
    if isinstance(node, BytesInteger):
        base = "int" if node.signed else "uint"
        bits = str(8 * node.length) if isinstance(node.length, int) else " of varying length"
        return "int", f"{base}{bits}" + _order(2, bool(node.swapped)), none, ""
    if isinstance(node, BitsInteger):
        bits = f"{node.length} bit" + ("" if node.length == 1 else "s")
        return "int", bits + (", signed" if node.signed else ""), none, ""
    if node is Flag:
        return "bool", "a flag", none, ""
    if node is VarInt or node is ZigZag:
        return "int", "VarInt" if node is VarInt else "ZigZag", none, ""
    if isinstance(node, StringEncoded):
        text: Any = node
        return "string", f"{text.encoding} text{_extent(unnamed(text.subcon))}", none, ""
    if isinstance(node, Bytes) or node is GreedyBytes:
        return "bytes", f"bytes{_extent(node)}", none, ""
    if isinstance(node, Computed):
        value = node.func
        kinds = {bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes"}
        return kinds.get(type(value), "any"), "computed", none, ""
    if node is Tell or node is Index:
        return "int", "computed", none, ""
    if node is Pass or (isinstance(node, Subconstruct) and unnamed(node.subcon) is Pass):
        return "none", "nothing", none, ""
    if type(node).__name__ in {"Hex", "HexDump", "ExprValidator"}:
        return scalar_kind(unnamed(node.subcon))
    if isinstance(node, Sequence):
        return "any", "a sequence", none, ""
    return "any", type(node).__name__, none, ""


def _order(length: int, little: bool) -> str:
    if length == 1:
        return ""
    return " little-endian" if little else " big-endian"


def _extent(node: Any) -> str:
    length = getattr(node, "length", None)
    if isinstance(length, int):
        return f", {length} byte" + ("" if length == 1 else "s")
    if isinstance(node, Prefixed):
        return ", length first"
    if isinstance(node, NullTerminated):
        return ", up to a zero"
    if length is None:
        return ", up to the end"
    return f", {length} bytes" if not hasattr(length, "__code__") else ", of varying length"
