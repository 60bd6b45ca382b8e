"""The tree of constructs that a schema is: nodes without their names, and those below them.

Also what iotsim adds to what construct says of a node: private members that are kept, Switches that refuse.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import construct as c
from construct import Construct, Renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    AnyConstruct = c.Construct[Any, Any]
    AnyLazyBound = c.LazyBound[Any, Any]
    AnyNamedTuple = c.NamedTuple[Any, Any]
    AnyRenamed = c.Renamed[Any, Any]
    AnySubconstruct = c.Subconstruct[Any, Any, Any, Any]
    AnySwitch = c.Switch[Any, Any]
else:
    # Without the parameters of their types, which they have for a type checker only.
    AnyConstruct = c.Construct
    AnyLazyBound = c.LazyBound
    AnyNamedTuple = c.NamedTuple
    AnyRenamed = c.Renamed
    AnySubconstruct = c.Subconstruct
    AnySwitch = c.Switch


class Transparent(AnyRenamed):
    """Around a construct. A Renamed, so that who looks for a node behind its names looks through it."""

    def __init__(self, subcon: Any, name: str | None = None) -> None:
        super().__init__(subcon, name)
        self.parsed = None  # the hook is called by the node inside

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._build(obj, stream, context, path)


def unnamed(node: Any) -> Any:
    """`node` without its names, docs and hooks, and as it was before ``compile()``."""
    while isinstance(node, Renamed | c.Compiled):
        node = node.subcon if isinstance(node, Renamed) else node.defersubcon
    return node


def children(node: Any) -> Iterator[Any]:
    """The constructs directly below `node`, whatever its class calls them."""
    for value in vars(node).values():
        if isinstance(value, dict):
            values = list(value.values())
        else:
            values = value if isinstance(value, list) else [value]
        yield from (child for child in values if isinstance(child, Construct))


def only_named(node: Any) -> Any:
    """As `unnamed`, but for a node with a hook, which is itself."""
    bare = node
    while isinstance(bare, Renamed):
        if bare.parsed is not None:
            return node
        bare = bare.subcon
    return bare


_OWN_NAMES = frozenset({"_", "_io", "_root", "_index", "_params", "_subcons"})


def is_kept(member: Any) -> bool:
    """Whether a member's name is private although building it takes a value."""
    name = member.name or ""
    return name.startswith("_") and name not in _OWN_NAMES and not member.flagbuildnone


def zeroed(member: Any) -> Any:
    """A member that is built of zeros where no value is given, if it has such."""
    bare = unnamed(member)
    try:
        return c.Default(bare, bare.parse(bytes(bare.sizeof())))
    except Exception:  # of a varying size, or zeros are no value of it
        integers = c.Bytes | c.BytesInteger | c.BitsInteger | type(c.VarInt) | type(c.ZigZag)
        return c.Default(bare, 0) if isinstance(bare, integers) else member


def _remember_defaults() -> None:
    """Let a Switch know whether it was given a default.

    construct puts Pass where none is given, so that afterwards ``default=Pass`` looks the same.
    """
    switch: Any = c.Switch
    make = switch.__init__

    @functools.wraps(make)
    def init(self: Any, keyfunc: Any, cases: Any, default: Any = None) -> None:
        make(self, keyfunc, cases, default)
        self.default_given = default is not None

    switch.__init__ = init


_remember_defaults()


def refuses_others(switch: Any) -> bool:
    """Whether a Switch has no default, so that a strict protocol refuses keys without a case."""
    return switch.default is c.Pass and not getattr(switch, "default_given", False)
