"""Values of messages: as construct has them, and as messages show them.

A message is made of dict, list, str, int, float, bool, bytes and None, and of whatever else an adapter of
the schema gives (a datetime, say). `normalize` makes that of what construct parsed; `Restorer` turns it
back before construct builds it, so that functions of the schema see their own kind of values both ways.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

from construct import Container, ListContainer, NamedTuple
from construct.core import EnumInteger, EnumIntegerString

from iotsim.protocol import nodes as n

if TYPE_CHECKING:
    from collections.abc import Set

PLAIN = frozenset({int, str, float, bytes, bool, type(None)})


def normalize(value: Any, kept: Set[str] = frozenset()) -> Any:
    """``value`` as construct parsed it, in plain types: dict, list, str, int, bytes, ...

    Names that begin with an underscore are private to the schema, as construct's own ``_io``, but for those
    in ``kept``. A named tuple becomes a dict, another one a list; what is lazy is parsed now.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {
            str(name): normalize(inner, kept)
            for name, inner in value.items()
            if not str(name).startswith("_") or name in kept
        }
    if isinstance(value, list | tuple):
        names = getattr(value, "_fields", None)
        if names is not None:
            return {name: normalize(getattr(value, name), kept) for name in names}
        return [normalize(inner, kept) for inner in value]
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, FunctionType) and value.__qualname__.startswith("Lazy."):
        return normalize(value(), kept)
    return value


def restore(node: n.Node | None, value: Any) -> Any:
    """A plain ``value`` for ``node`` as construct itself would have parsed it."""
    if isinstance(node, n.Default | n.Rebuilt | n.Const | n.Prefixed | n.Window | n.Padded):
        return restore(node.inner, value)
    if isinstance(node, n.Aligned | n.Terminated | n.Stripped | n.BitWord):
        return restore(node.inner, value)
    if isinstance(node, n.Names) and node.kind == "enum":
        return _name(node, value)
    if isinstance(node, n.Focused):
        return restore(next(m.node for m in node.members if m.name == node.selected), value)
    if isinstance(node, n.Struct | n.Opaque) and isinstance(value, Mapping):
        if isinstance(node, n.Opaque) and node.inner is not None:
            return _adapted(node, value)
        members = {name: inner for member in node.members for name, inner in _named(member)}
        return Container({name: restore(members.get(name), v) for name, v in value.items()})
    if isinstance(node, n.RawCopy) and isinstance(value, Mapping):
        return Container(
            {
                name: restore(node.inner if name == "value" else None, inner)
                for name, inner in value.items()
            }
        )
    if isinstance(node, n.Opaque) and node.shows == "same":
        return restore(node.inner, value)
    if isinstance(node, n.Sequence) and isinstance(value, list):
        inner_nodes = [*(member.node for member in node.members), *([None] * len(value))]
        return ListContainer(map(restore, inner_nodes, value))
    if isinstance(value, list):
        inner = node.inner if isinstance(node, n.Repeat) else None
        if isinstance(node, n.Opaque) and node.shows == "list":
            inner = node.inner
        return ListContainer(restore(inner, element) for element in value)
    if isinstance(value, Mapping):
        return Container({name: restore(None, inner) for name, inner in value.items()})
    return value


def _adapted(node: n.Opaque, value: Mapping[str, Any]) -> Any:
    construct = node.origin
    if isinstance(construct, NamedTuple):
        try:
            return construct.factory(**{name: restore(None, v) for name, v in value.items()})
        except TypeError:
            pass
    return restore(node.inner if node.shows == "same" else None, value)


def _name(node: n.Names, value: Any) -> Any:
    enum_ = node.origin
    if isinstance(value, str):
        known = value in enum_.encmapping
        return EnumIntegerString.new(enum_.encmapping[value], value) if known else value
    if isinstance(value, int) and not isinstance(value, bool):
        return EnumInteger(value)
    return value


def _named(member: n.Member) -> list[tuple[str, n.Node | None]]:
    """The names that a member has in its struct, with their nodes where these are certain."""
    if member.name:
        return [(member.name, member.node)]
    if isinstance(member.node, n.Struct) and member.flat:
        return [pair for inner in member.node.members for pair in _named(inner)]
    return [(name, None) for name in member.flat]


def kept_names(node: n.Node) -> frozenset[str]:
    """The private names of members that building must be given: messages show them, too."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting: list[n.Node] = [node]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for member in getattr(node, "members", ()):
            if member.kept:
                found.add(member.name)
        waiting += n.children(node)
    return frozenset(found)
