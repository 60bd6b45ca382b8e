"""`Readers`: a pass over the nodes of a schema that writes what reads them, in Lua.

A reader is an expression: a call of a function of ``runtime/`` with the readers inside. What Lua cannot
say is read as bytes, and noted in `Readers.missing`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import construct

from iotsim.protocol.functions import is_expression
from iotsim.protocol.generate.source import UnsupportedError
from iotsim.protocol.native import Derived
from iotsim.protocol.tree import children
from iotsim.protocol.verified import Checksum

if TYPE_CHECKING:
    from iotsim.protocol import nodes as n
    from iotsim.protocol.wireshark.fields import Fields

FLAT = "\0"
"""Before the path of what an unnamed member gives its fields to."""


class Readers:
    """Writes readers; their fields are added to ``fields``.

    ``missing`` are the paths of what is shown as bytes only, or is not verified, with the reasons.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.missing: dict[str, str] = {}
        self.natives = False
        """Whether a `Native` is among these."""
        self.bit: int | None = None
        """The offset in the word whose bits are being read; None if it is not known."""
        self.word = 0
        """The bits of that word; 0 outside of one."""

    def reader(self, node: n.Node, path: str | None) -> str:
        """What reads ``node``; a field if ``path`` is not ""."""
        bit = self.bit
        try:
            found = self.read(node, path)
        except UnsupportedError as error:
            self.bit = bit
            found = self.unknown(node, path, str(error))
        if self.word and bit is not None and node.size is not None:
            self.bit = bit + node.size
        elif self.word:
            self.bit = None
        return found

    def read(self, node: n.Node, path: str | None) -> str:
        """The same, but UnsupportedError for what Lua cannot say."""
        return read(node, self, path)

    def alternative(self, node: n.Node, path: str | None) -> str:
        """What reads ``node``, which may be another instead, from the same place."""
        bit = self.bit
        found = self.reader(node, path)
        self.bit = bit
        return found

    def unknown(self, node: n.Node, path: str | None, reason: str) -> str:
        if path is not None and (not path or path.startswith(FLAT)):
            path = join(path.removeprefix(FLAT), "rest")
        self.missing[path or "(unnamed)"] = reason
        known = node.size is not None and is_sized(node.origin)
        if self.word:
            if not known:
                return "unknown()"
            return f"bitfield({node.size}, false, false, {self.field(path, 'uint64')})"
        return f"unknown({node.size if known else 'nil'}, {self.field(path, 'bytes')})"

    def field(self, path: str | None, type_: str, **more: Any) -> str:
        return self.fields.add(path, type_, **more) if path else "nil"


@singledispatch
def read(node: n.Node, readers: Readers, path: str | None) -> str:
    """What reads a node; the other modules of this package register a function for each kind."""
    raise UnsupportedError(f"{type(node.origin).__name__} has no counterpart in Lua")


def is_sized(it: Any) -> bool:
    """Whether the size that a construct says it has is what it takes: a function that has a say in it may say
    something else without a message, and a tunnel takes all that is left."""
    if isinstance(it, _UNSIZED):
        return False
    if not isinstance(it, _AS_INSIDE):
        for value in vars(it).values():
            if (
                callable(value)
                and not isinstance(value, construct.Construct)
                and not is_expression(value)
            ):
                return False
    return all(map(is_sized, children(it)))


_UNSIZED = construct.LazyBound, construct.Tunnel, construct.ProcessXor, construct.ProcessRotateLeft
_AS_INSIDE = (
    construct.Adapter,
    construct.Check,
    construct.Checksum,
    construct.Computed,
    construct.Default,
    construct.Rebuild,
    construct.Renamed,
    Checksum,
    Derived,
)
"""What has functions, none of which has a say in its size."""


def join(path: str | None, name: str) -> str | None:
    return f"{path}.{name}" if path else None if path is None else name


def boolean(value: object) -> str:
    return "true" if value else "false"
