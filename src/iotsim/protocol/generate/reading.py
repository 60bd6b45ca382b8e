"""`Decoder`: generates the function that decodes, bytes to a dict.

Fields of fixed size are not read at once: they are collected into a *run*, which one struct.Struct
unpacks when something else comes up (`Decoder.flush`); what is to be done with its values, tables,
shifts, checks, the dicts of nested structs, is kept until then (`Decoder.after`). The position in the
data is a number as long as all before it is of fixed size, then a variable and a number.

The function may raise whatever it likes for bytes that are no message: its caller then asks the reference
engine. But it must raise for nothing that construct accepts; and inside a Repeat or a Select, where a
failure is no failure, what the reference has to decide raises Unusual, which nothing there takes for one.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from iotsim.protocol.functions import Simple
from iotsim.protocol.generate.expressions import evaluate
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, Writer, copied, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotsim.protocol import nodes as n

    Handler = Callable[["Decoder", Any, str, Scope], Value]

BIT_CODES = {1: "B", 2: "H", 4: "L", 8: "Q"}
"""The struct codes of numbers of so many bytes."""


@dataclass(frozen=True, eq=False)
class Position:
    """A place in the data: a variable (or none) plus a number."""

    base: str = ""
    offset: int = 0

    def __str__(self) -> str:
        if not self.base:
            return str(self.offset)
        return f"{self.base} + {self.offset}" if self.offset else self.base

    def __add__(self, count: int) -> Position:
        return Position(self.base, self.offset + count)


@dataclass(eq=False)
class Run:
    """Fields that one Struct will unpack, and what to do then."""

    start: Position = Position()
    order: str = ""
    codes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Place:
    """The data that is being read: its variable, the position, where in the message it begins."""

    data: str = "data"
    position: Position = Position()
    origin: Position = Position()


@dataclass(eq=False)
class Word:
    """The bits that are being read, as one number: its variable, and how many are left."""

    name: str
    width: int
    left: int


class Decoder:
    """Writes the body of ``decode(data)`` for one schema.

    ``handlers``  by kind of node, what writes its part
    ``strict``    whether a Switch without a case is refused
    ``shown``     whether a member is part of the messages
    ``known``     fields of the root whose value is given: see `iotsim.protocol.generate.compiler`
    """

    def __init__(
        self,
        writer: Writer,
        handlers: Mapping[type, Handler],
        *,
        strict: bool,
        shown: Callable[[n.Member], bool],
        native: Callable[[n.Opaque], Any],
        notes: dict[str, str],
        known: dict[str, Value],
    ) -> None:
        self.w = writer
        self.handlers = handlers
        self.strict = strict
        self.shown = shown
        self.native = native
        self.notes = notes
        self.known = known
        self.place = Place()
        self.run = Run()
        self.word: Word | None = None
        self.path: list[str] = []
        self.swallows = 0
        """In how many nodes it is that take a failure for the end, or for another alternative."""

    def decode(self, node: n.Node, hint: str, scope: Scope) -> Value:
        """Read ``node``; the value holds once the run is flushed."""
        handler = self.handlers.get(type(node))
        if handler is None:
            raise UnsupportedError(type(node).__name__)
        return handler(self, node, hint, scope)

    # -- the run --------------------------------------------------------------------------------

    def take(self, code: str, size: int, name: str | None, order: str = "") -> None:
        """Add a field to the run; ``name`` is the variable for its value."""
        run = self.run
        if order and run.order and order != run.order:
            self.flush()
            run = self.run
        if not run.codes:
            run.start = self.place.position
        run.order = run.order or order
        run.codes.append(code)
        if name is not None:
            run.names.append(name)
        self.place.position += size

    def after(self, line: str) -> None:
        """Write ``line`` once the run has been unpacked."""
        if self.run.codes:
            self.run.after.append(line)
        else:
            self.w.line(line)

    def flush(self, exact: bool = False) -> bool:
        """Unpack the run. If ``exact``, and the run is all there is, check that; tell if so."""
        run, self.run = self.run, Run()
        done = False
        if run.codes:
            codes = _merge(run.codes)
            data = self.place.data
            whole = exact and str(run.start) == "0"
            if codes == "B" and not whole:
                self.w.line(f"{run.names[0]} = {data}[{run.start}]")
            else:
                form = (run.order or ">") + codes
                method = "unpack" if whole else "unpack_from"
                call = self.w.bind(
                    method, getattr(struct.Struct(form), method), f"Struct({form!r}).{method}", form
                )
                targets = ", ".join(run.names) + ("," if len(run.names) == 1 else "")
                where = "" if str(run.start) == "0" else f", {run.start}"
                self.w.line(
                    f"{targets} = {call}({data}{where})" if targets else f"{call}({data}{where})"
                )
                done = whole
        for line in run.after:
            self.w.line(line)
        return done

    def move(self, source: str) -> None:
        """The position is from now on what ``source`` gives."""
        name = self.w.new("p")
        self.w.line(f"{name} = {source}")
        self.place.position = Position(name)

    # -- helpers --------------------------------------------------------------------------------

    def refuse_if(self, condition: str) -> None:
        """Refuse the data once the run is unpacked, if ``condition``."""
        self.after(f"if {condition}: raise Mismatch")

    def refusal(self) -> str:
        """What refuses a message for good, also where an alternative might be tried."""
        return "raise Unusual" if self.swallows else "raise Mismatch"

    def evaluate(self, parameter: Any, scope: Scope) -> Value:
        """A parameter. Flushes if it is not constant."""
        value = evaluate(parameter, scope, self.tell)
        if not value.known:
            self.flush()
        return guard(self, parameter, value)

    def tell(self) -> Value:
        """The offset in the message."""
        if self.word is not None:
            raise UnsupportedError("an offset among bits")
        origin, here = self.place.origin, self.place.position
        if not origin.base and not here.base:
            return literal(origin.offset + here.offset)
        return Value(f"({origin} + {here})", scalar=True)

    def call(self, function: Any, argument: str, hint: str) -> str:
        """Source that calls a function of the user's, whose errors are never a failed alternative."""
        if self.swallows:
            return f"guarded({self.w.bind(hint, function)}, {argument})"
        return f"{self.w.bind(hint, function)}({argument})"

    def slice(self, length: str, hint: str = "chunk") -> str:
        """A variable with the next ``length`` bytes, which it checks to be there. Flushes."""
        self.flush()
        count, name, start = self.w.new("count"), self.w.new(hint), self.place.position
        self.w.line(f"{count} = {length}")
        self.move(f"{start} + {count}")
        self.w.line(f"{name} = {self.place.data}[{start}:{self.place.position}]")
        self.w.line(f"if len({name}) != {count}: raise Mismatch")
        return name

    def inside(self, chunk: str, start: Position, read: Callable[[], Value]) -> Value:
        """What ``read`` reads from a chunk that began at ``start``."""
        outer = self.place
        if outer.origin.base or start.base:
            origin = self.w.new("origin")
            self.w.line(f"{origin} = {outer.origin} + {start}")
            self.place = Place(chunk, Position(), Position(origin))
        else:
            self.place = Place(chunk, Position(), outer.origin + start.offset)
        value = read()
        self.flush()
        self.place = outer
        return value

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """A ``try`` whose failure is none, whatever failed but what construct itself lets pass."""
        self.swallows += 1
        with self.w.block("try:"):
            yield
        self.swallows -= 1
        self.w.line("except ExplicitError:")
        self.w.line("    raise")
        self.w.line("except Exception:")

    def branches(
        self, name: str, tests: list[tuple[str, n.Node | None]], hint: str, scope: Scope
    ) -> Value:
        """``name`` from the first node whose header (``if x:``, ``else:``) holds. Flushed."""
        meeting = Meeting(self, name)
        for header, node in tests:
            with self.w.block(header):
                if node is None:
                    self.w.line(self.refusal())
                else:
                    meeting.alternative(node, hint, scope)
        return meeting.meet()


def guard(made: Any, parameter: Any, value: Value) -> Value:
    """``value``, computed now if it comes of a function whose errors must not be swallowed."""
    if not made.swallows or value.known or not isinstance(parameter, Simple):
        return value
    name = made.w.new("value")
    with made.w.block("try:"):
        made.w.line(f"{name} = {value.source}")
    made.w.line("except Exception: raise Unusual from None")
    return replace(value, source=name)


class Meeting:
    """Alternatives, of which one gives ``name``; they begin at one place, and end where each does."""

    def __init__(self, decoder: Decoder, name: str) -> None:
        self.d = decoder
        self.name = name
        self.place = replace(decoder.place)
        self.ends: list[tuple[Position, int, int]] = []
        self.plain = True
        self.murky = False

    def alternative(self, node: n.Node, hint: str, scope: Scope) -> None:
        """Read ``node``, whose names nobody outside of it sees."""
        d = self.d
        d.place = replace(self.place)
        value = d.decode(node, hint, copied(scope))
        d.flush()
        if value.source != self.name:
            d.w.line(f"{self.name} = {value.source}")
        self.plain &= value.plain is None
        self.murky |= value.murky
        self.ends.append((d.place.position, len(d.w.lines), d.w.depth))

    def meet(self) -> Value:
        """The value, at the place that is after them all."""
        d = self.d
        d.place = replace(self.place)
        positions = {str(end) for end, _, _ in self.ends}
        if len(positions) == 1:
            d.place.position = self.ends[0][0]
        elif positions:
            position = d.w.new("p")
            for end, line, depth in reversed(self.ends):
                d.w.lines.insert(line, "    " * depth + f"{position} = {end}")
            d.place.position = Position(position)
        plain = None if self.plain else f"normalize({self.name})"
        return Value(self.name, plain=plain, murky=self.murky)


def _merge(codes: list[str]) -> str:
    """Codes as a format; pads joined."""
    merged: list[str] = []
    for code in codes:
        if code.endswith("x") and merged and merged[-1].endswith("x"):
            merged[-1] = f"{int(merged[-1][:-1]) + int(code[:-1])}x"
        else:
            merged.append(code)
    return "".join(merged)
