"""The law's oracle: construct itself, with what the law adds to it.

A schema is source, evaluated twice: for the codec with construct's own names, for the oracle with those
of `guards`, which are construct's classes with a guard here and there. What the oracle adds besides: in
strict mode, bytes that are left over are an error.

Values are plain: what `normalize` makes of construct's, but with private members that need a value
kept, and with lazy ones called. By the tests' convention the names of the former begin with ``_r``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import construct as c
from tests.protocol.law.guards import (
    NAMES,
    FlatStruct,
    RefusalError,
    Stream,
    bare,
    known_names,
    view,
    viewed,
)

from iotsim.protocol.interpreted import normalize

REFUSED = type("Refused", (), {"__repr__": lambda self: "REFUSED"})()
"""What decoding or encoding gives where the law refuses."""


class Oracle:
    """What the law says of the messages of a schema, given a function that makes it of names."""

    def __init__(self, make: Callable[[Mapping[str, Any]], Any], strict: bool) -> None:
        self.strict = strict
        self.schema = make(NAMES[strict])

    def parse(self, data: bytes) -> Any:
        """The message as construct has it, or REFUSED."""
        stream = Stream(data)
        try:
            value = self.schema.parse_stream(stream)
            if self.strict and max(stream.tell(), stream.reached) < len(data):
                return REFUSED
            return settled(value)
        except (Exception, RefusalError):
            return REFUSED

    def decode(self, data: bytes) -> Any:
        value = self.parse(data)
        if value is REFUSED:
            return REFUSED
        message = plain(value)
        return message if isinstance(message, dict) else REFUSED

    def build(self, value: Any) -> Any:
        """The bytes, or REFUSED."""
        known_names.clear()
        try:
            return self.schema.build(value)
        except (Exception, RefusalError):
            return REFUSED

    def encodings(self, message: Any) -> list[Any]:
        """What `encode` may give for a plain message, best first.

        They differ only in what a user's function sees of it: construct's own values, as far as the
        schema tells what they were; the plain ones as they are given; an adapter's value as it would
        be decoded. Last, a refusal because of an author's function in a Select, even if another
        alternative takes the value, and what follows from refusing odd values.
        """
        view.odd = False
        value = native(self.schema, message)
        found = [self.build(value), self.build(copy.deepcopy(message))]
        with viewed(decoded=True):
            found.append(self.build(value))
        with viewed(hard=True):
            if self.build(value) is REFUSED:
                found.append(REFUSED)
        if view.odd:
            with viewed(firm=True):
                found.append(self.build(value))
        return found


def settled(value: Any) -> Any:
    """A parsed value with all that is lazy called, and without streams."""
    if callable(value) and not isinstance(value, type):
        return settled(value())
    if isinstance(value, c.core.LazyContainer):
        return c.Container({name: settled(value[name]) for name in value})
    if type(value) is c.Container:
        return c.Container({name: settled(v) for name, v in value.items() if name != "_io"})
    if isinstance(value, c.core.LazyListContainer) or type(value) is c.ListContainer:
        return c.ListContainer(settled(v) for v in value)
    return value


def plain(value: Any) -> Any:
    """`normalize`, but private members that need a value are kept."""
    if isinstance(value, Mapping):
        own = isinstance(value, c.Container)
        return {
            str(name): plain(v)
            for name, v in value.items()
            if not own or not str(name).startswith("_") or str(name).startswith("_r")
        }
    if isinstance(value, tuple) and isinstance(normalize(value), dict):
        return {name: plain(getattr(value, name)) for name in normalize(value)}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return normalize(value)


def native(node: Any, value: Any) -> Any:
    """A plain value as construct itself would have parsed it, as far as the schema tells."""
    if isinstance(node, c.Enum):
        if type(value) is str and value in node.encmapping:
            return c.core.EnumIntegerString.new(node.encmapping[value], value)
        return c.core.EnumInteger(value) if type(value) is int else value
    if isinstance(node, c.Struct | c.LazyStruct | c.Union) and isinstance(value, Mapping):
        members = _members(node)
        return c.Container(
            {k: native(members[k], v) if k in members else _container(v) for k, v in value.items()}
        )
    if isinstance(node, c.Sequence) and isinstance(value, list):
        nodes = [*node.subcons, *[None] * len(value)]
        return c.ListContainer(native(m, v) for m, v in zip(nodes, value, strict=False))
    if isinstance(node, c.Array | c.GreedyRange | c.RepeatUntil) and isinstance(value, list):
        return c.ListContainer(native(node.subcon, v) for v in value)
    if isinstance(node, c.FocusedSeq):
        for member in node.subcons:
            if member.name == node.parsebuildfrom:
                return native(member, value)
    if isinstance(node, c.RawCopy) and isinstance(value, Mapping):
        return c.Container(
            {k: native(node.subcon, v) if k == "value" else v for k, v in value.items()}
        )
    if isinstance(node, c.NamedTuple) and isinstance(value, list | dict):
        return _named_tuple(node, value)
    if isinstance(node, c.LazyBound):
        return native(node.subconfunc(), value)
    if isinstance(node, c.Subconstruct) and not isinstance(node, c.Adapter | c.RawCopy):
        return native(node.subcon, value)
    for choice in _choices(node):
        if type(found := native(choice, value)) is not type(_container(value)):
            return found
    return _container(value)


def _members(node: Any) -> dict[str, Any]:
    """The members of a struct by name; those of unnamed structs too, as a FlatStruct has them."""
    node = bare(node)
    if not isinstance(node, c.Struct | c.LazyStruct | c.Union):
        inner = [node.subcon] if isinstance(node, c.Subconstruct) else _choices(node)
        return {name: found for part in inner for name, found in _members(part).items()}
    members: dict[str, Any] = {}
    for member in node.subcons:
        if member.name:
            members[member.name] = member
        elif isinstance(node, FlatStruct):
            members = _members(member) | members
    return members


def _choices(node: Any) -> list[Any]:
    if isinstance(node, c.Switch):
        return [*node.cases.values(), node.default]
    if isinstance(node, c.IfThenElse):
        return [node.thensubcon, node.elsesubcon]
    return list(node.subcons) if isinstance(node, c.Select) else []


def _named_tuple(node: Any, value: Any) -> Any:
    names = node.factory._fields
    if isinstance(value, dict) and set(names) <= set(value):
        view.odd |= len(value) > len(names)  # construct takes no mapping for it
        value = [value[name] for name in names]
    if not isinstance(value, list) or len(value) != len(names):
        return value
    if isinstance(node.subcon, c.Struct):
        return node.factory(**native(node.subcon, dict(zip(names, value, strict=True))))
    return node.factory(*native(node.subcon, value))


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
