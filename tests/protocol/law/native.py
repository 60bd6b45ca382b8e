"""`native`: a plain value as construct has it, which is what the author's functions see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import construct as c

import iotsim
from iotsim.protocol.interpreted import normalize


class Transparent(c.Subconstruct):
    """A node that is only around another, as a name is."""


def bare(node: Any) -> Any:
    while isinstance(node, c.Renamed | Transparent):
        node = node.subcon
    return node


def native(node: Any, value: Any) -> Any:
    """A plain value as construct itself would have parsed it.

    That of a branch or an alternative is left for when it is known which is taken.
    """
    if isinstance(node, c.Enum):
        if type(value) is str and value in node.encmapping:
            return c.core.EnumIntegerString.new(node.encmapping[value], value)
        return c.core.EnumInteger(value) if type(value) is int else value
    if isinstance(node, c.Mapping) and isinstance(value, list | dict):
        return next((own for own in node.encmapping if normalize(own) == value), value)
    if isinstance(node, c.FlagsEnum) and isinstance(value, Mapping):
        return c.Container({"_flagsenum": True, **value})
    if isinstance(node, c.Struct | c.LazyStruct | c.Union) and isinstance(value, Mapping):
        members = _members(node)
        return c.Container(
            {k: native(members[k], v) if k in members else _container(v) for k, v in value.items()}
        )
    if isinstance(node, c.Sequence) and isinstance(value, list):
        nodes = [*node.subcons, *[None] * len(value)]
        return c.ListContainer(native(m, v) for m, v in zip(nodes, value, strict=False))
    if isinstance(node, c.Array | c.GreedyRange | c.RepeatUntil | c.LazyArray):
        if not isinstance(value, list):
            return _container(value)
        return c.ListContainer(native(node.subcon, v) for v in value)
    if isinstance(node, c.FocusedSeq):
        for member in node.subcons:
            if member.name == node.parsebuildfrom:
                return native(member, value)
    if isinstance(node, c.RawCopy) and isinstance(value, Mapping):
        return c.Container(
            {k: native(node.subcon if k == "value" else None, v) for k, v in value.items()}
        )
    if isinstance(node, c.NamedTuple) and isinstance(value, dict):
        return _named_tuple(node, value)
    if isinstance(node, c.LazyBound):
        return native(node.subconfunc(), value)
    if isinstance(node, c.Hex | c.HexDump):
        return native(node.subcon, value)
    authors = type(node).__module__.partition(".")[0] != "construct"
    if isinstance(node, c.Adapter) and authors and isinstance(value, list):
        return _adapted(node, value)
    if isinstance(node, c.Subconstruct) and not isinstance(node, c.Adapter | c.RawCopy):
        return native(node.subcon, value)
    return _container(value)


def _members(node: Any) -> dict[str, Any]:
    """The members of a struct by name; those of unnamed structs too, as a FlatStruct has them."""
    node = bare(node)
    if isinstance(node, c.Subconstruct):
        return _members(node.subcon)
    if not isinstance(node, c.Struct | c.LazyStruct | c.Union):
        return {}
    members: dict[str, Any] = {}
    for member in node.subcons:
        if member.name:
            members[member.name] = member
        elif isinstance(node, iotsim.FlatStruct):
            members = _members(member) | members
    return members


def _named_tuple(node: Any, value: Any) -> Any:
    names = node.factory._fields
    if set(names) != set(value):
        return _container(value)
    if isinstance(node.subcon, c.Struct):
        return node.factory(**native(node.subcon, value))
    return node.factory(*native(node.subcon, [value[name] for name in names]))


def _adapted(node: Any, value: Any) -> Any:
    """A list may have been a tuple, which an adapter that needs nothing but its value tells."""
    try:
        return node._decode(node._encode(value, c.Container(), ""), c.Container(), "")
    except Exception:
        return _container(value)


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return c.Container({k: _container(v) for k, v in value.items()})
    if isinstance(value, list):
        return c.ListContainer(_container(v) for v in value)
    return value


def same(a: Any, b: Any) -> bool:
    """Equal values of equal types, in equal order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)
