"""Pieces of generated source: lines, names, values, scopes.

A `Value` is a piece of Python source that gives a field's value in the generated function, and the
value itself where it is known when the code is made. A `Scope` mirrors one of construct's contexts:
the fields of a struct that ``this`` can name, with ``this._`` as its parent.
"""

from __future__ import annotations

import builtins
import contextlib
import keyword
import re
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

PLAIN = {int, float, str, bytes, bool, type(None)}


class UnsupportedError(Exception):
    """The generator does not know this node, or not here: construct has to do it."""


@dataclass(frozen=True, eq=False)
class Value:
    """Source that gives a value as construct has it; "" if it is nowhere to be had.

    ``scope``   the fields, if it is a struct whose fields are at hand
    ``scalar``  it is certainly an int, str or bytes, and so has a hash
    ``plain``   source of the value as messages show it, where that is another
    ``murky``   what is inside it is as messages show it, and that is another
    ``wire``    while encoding: source of what decoding it again would give; None if that is not known
    """

    source: str
    known: bool = False
    constant: Any = None
    scope: Scope | None = None
    scalar: bool = False
    plain: str | None = None
    murky: bool = False
    wire: str | None = None

    @property
    def shown(self) -> str:
        """Source of the value as messages show it."""
        return self.source if self.plain is None else self.plain

    @property
    def odd(self) -> bool:
        """Whether it shows, as a whole or inside, what construct has otherwise."""
        return self.murky or self.plain is not None


def adapted(name: str) -> Value:
    """The value of a variable with what a function of the schema gave."""
    is_plain = f"{name}.__class__ in PLAIN or is_plain({name})"
    return Value(name, plain=f"{name} if {is_plain} else normalize({name})")


def literal(constant: Any) -> Value:
    """The value of a plain constant."""
    constant = plain(constant)
    scalar = isinstance(constant, int | str | bytes)
    return Value(repr(constant), True, constant, scalar=scalar, wire=repr(constant))


def plain(constant: Any) -> Any:
    """``constant`` as one of Python's own types; UnsupportedError if it is none."""
    kind = type(constant)
    if kind is float:
        # repr() of nan and inf is no Python source.
        if constant != constant or abs(constant) == float("inf"):
            raise UnsupportedError("a constant that is not finite")
        return constant
    if kind in PLAIN:
        return constant
    if isinstance(constant, str):
        return str.__str__(constant)
    if isinstance(constant, int):
        return int.__int__(constant)
    raise UnsupportedError(f"{kind.__name__} is no plain constant")


NONE = literal(None)
UNKNOWN = Value("")
"""What is nowhere to be had."""


@dataclass(eq=False)
class Scope:
    """The names that ``this`` has in a struct.

    ``fields`` are those already done. While encoding, ``source`` is the mapping that the struct is built
    from, where ``this`` finds those still to come; ``allowed`` limits which, and ``defaults`` are what stands
    for those that are missing. ``top`` is what construct puts around the message; ``sealed``: or around an
    alternative, whose ``_root`` is elsewhere. ``outside``: it is seen from data within the data, whose
    offsets are not those of its stream. ``unlike`` are fields still to come whose values construct may have
    otherwise than ``source``.
    """

    parent: Scope | None = None
    fields: dict[str, Value] = field(default_factory=dict)
    source: str | None = None
    allowed: frozenset[str] | None = None
    defaults: dict[str, Value] = field(default_factory=dict)
    top: bool = False
    sealed: bool = False
    outside: bool = False
    unlike: frozenset[str] = frozenset()

    def lookup(self, name: str, guard: str = "scalar") -> Value:
        """A field; ``guard`` is a function of `runtime` for what construct may have otherwise."""
        if name in self.fields:
            value = self.fields[name]
            if not value.source and value.scope is None:
                raise UnsupportedError(f"this.{name} is not known here")
            return value
        if self.source is None or (self.allowed is not None and name not in self.allowed):
            raise UnsupportedError(f"this.{name} is not known")
        source = f"{self.source}[{name!r}]"
        if name in self.unlike:
            source = f"{guard}({source})"
        if (default := self.defaults.get(name)) is not None:
            source = f"({default.source} if {self.source}.get({name!r}) is None else {source})"
        return Value(source)


def copied(scope: Scope) -> Scope:
    """``scope``, whose fields may differ from now on."""
    return replace(scope, fields=dict(scope.fields))


# Names that generated code must not shadow.
_RESERVED = {*keyword.kwlist, *dir(builtins), "data", "message", "this"}


class Writer:
    """Collects the lines of a function, and the objects that they name."""

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self.reserved = _RESERVED | set(reserved)
        self.lines: list[str] = []
        self.depth = 0
        self.bindings: dict[str, Any] = {}
        self.notes: dict[str, str] = {}
        self._used: set[str] = set()
        self._bound: dict[Any, str] = {}

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextlib.contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Lines below ``header``; an empty block gets a ``pass``."""
        self.line(header)
        self.depth += 1
        start = len(self.lines)
        try:
            yield
        finally:
            if len(self.lines) == start:
                self.line("pass")
            self.depth -= 1

    @contextlib.contextmanager
    def names(self) -> Iterator[None]:
        """Local names made inside may be made again afterwards: for branches that return."""
        saved = set(self._used)
        try:
            yield
        finally:
            self._used = saved

    def new(self, hint: str) -> str:
        """A local name that is not taken."""
        base = re.sub(r"\W", "_", hint, flags=re.ASCII).strip("_").lower() or "value"
        if base[0].isdigit() or base in self.reserved:
            base = f"v_{base}"
        name, number = base, 1
        while name in self._used:
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def let(self, hint: str, source: str) -> str:
        """A new local name for what ``source`` gives."""
        name = self.new(hint)
        self.line(f"{name} = {source}")
        return name

    def bind(self, prefix: str, value: Any, note: str = "", key: Any = None) -> str:
        """A global name for an object; the same for the same ``key``. No local is upper case."""
        key = (prefix, id(value)) if key is None else (prefix, key)
        if key not in self._bound:
            number = (
                sum(1 for name in self.bindings if name.rpartition("_")[0] == prefix.upper()) + 1
            )
            name = f"{prefix.upper()}_{number}"
            self.bindings[name] = value
            self.notes[name] = note or repr(value)
            self._bound[key] = name
        return self._bound[key]

    def struct(self, method: str, form: str) -> str:
        """The name of a method of the struct.Struct of a format."""
        bound = getattr(struct.Struct(form), method)
        return self.bind(method, bound, f"Struct({form!r}).{method}", form)

    def source(self) -> str:
        """The names and the lines, for people."""
        notes = [f"{name} = {note}" for name, note in self.notes.items()]
        return "\n".join([*notes, *([""] if notes else []), *self.lines])
