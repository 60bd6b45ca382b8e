"""The law's oracle: construct itself, with what the law adds to it.

A schema is source, evaluated twice: for the codec with construct's own names, for the oracle with those
of `guards`, which are construct's classes with a guard here and there. What the oracle adds besides: in
strict mode, bytes that are left over are an error.

Values are plain: what `normalize` makes of construct's, but with private members that need a value
kept, and with lazy ones called. By the tests' convention the names of the former begin with ``_r``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import construct as c
from tests.protocol.law.guards import (
    NAMES,
    RefusalError,
    Stream,
    known_names,
    view,
    viewed,
)
from tests.protocol.law.native import native

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
        own = type(value).__module__.partition(".")[0] == "construct"
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
