"""`Decoder`: generates the function that decodes, bytes to a dict.

Fields of fixed size are not read at once: they are collected into a *run*, which one struct.Struct
unpacks when something else comes up (`Decoder.flush`); what is to be done with its values, tables,
shifts, checks, the dicts of nested structs, is kept until then (`after`). The position in the data
is a number as long as all before it is of fixed size, then a variable and a number.

The function may raise whatever it likes for bytes that are no message: its caller then asks the
reference engine. But it must raise for nothing that construct accepts, since inside a GreedyRange
or an Optional a failure is no failure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from construct import BitsInteger, Bytes, BytesInteger, FormatField, Renamed

from iotsim.protocol.generate.expressions import is_expression, translate
from iotsim.protocol.generate.nodes import find_member, kind_name
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, Writer, literal
from iotsim.protocol.tree import unnamed

if TYPE_CHECKING:
    from iotsim.protocol.traced import Tracer

Handler = Callable[["Decoder", Any, str, Scope], Value]


@dataclass(frozen=True)
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


@dataclass
class Run:
    """Fields that one Struct will unpack, and what to do then."""

    start: Position = Position()
    order: str = ""
    codes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass
class Place:
    """The data that is being read: its variable, the position, where in the message it begins."""

    data: str = "data"
    position: Position = Position()
    origin: Position = Position()


class Decoder:
    """Writes the body of ``decode(data)`` for one schema.

    ``known`` are fields of the root whose value is given: see `iotsim.protocol.generate.compiler`.
    ``fallbacks`` collects what was left to construct, as (path, reason).
    """

    def __init__(
        self,
        writer: Writer,
        handlers: Mapping[Any, Handler],
        tracer: Tracer,
        strict: bool,
        fallbacks: dict[str, str],
        known: dict[str, Value] | None = None,
    ) -> None:
        self.w = writer
        self.handlers = handlers
        self.tracer = tracer
        self.strict = strict
        self.fallbacks = fallbacks
        self.known = known or {}
        self.place = Place()
        self.run = Run()
        self.path: list[str] = []
        self.embedded = False

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

    def variable(self, hint: str) -> str:
        return self.w.new(hint)

    def move(self, source: str) -> None:
        """The position is from now on what ``source`` gives."""
        name = self.variable("p")
        self.w.line(f"{name} = {source}")
        self.place.position = Position(name)

    # -- helpers --------------------------------------------------------------------------------

    def require(self, condition: str) -> None:
        """Refuse the data once the run is unpacked, unless ``condition``."""
        self.after(f"if not ({condition}): raise Mismatch")

    def refuse_if(self, condition: str) -> None:
        self.after(f"if {condition}: raise Mismatch")

    def evaluate(self, parameter: Any, scope: Scope) -> Value:
        """A construct parameter: constant, expression or lambda. Flushes if it is not constant."""
        if not callable(parameter):
            return literal(parameter)
        if is_expression(parameter):
            try:
                value = translate(parameter, scope)
            except UnsupportedError:
                pass
            else:
                if not value.known:
                    self.flush()
                return value
        self.flush()
        context = self.context(scope)
        self.note("a lambda" if not is_expression(parameter) else "an expression")
        return Value(f"{self.w.bind('function', parameter)}({context})")

    def note(self, reason: str) -> None:
        self.fallbacks.setdefault(".".join(self.path) or "(message)", reason)

    def stream(self) -> str:
        name = self.variable("stream")
        place = self.place
        self.w.line(f"{name} = open_stream({place.data}, {place.position}, {place.origin})")
        return name

    def context(self, scope: Scope, stream: str | None = None) -> str:
        """A variable with construct's context for ``scope``."""
        levels: list[str] = []
        here: Scope | None = scope
        while here is not None:
            entries = [
                f"{name!r}: {self.native(here.node, name, value)}"
                for name, value in here.fields.items()
                if value.source and not value.maybe
            ]
            for spread, source in here.spreads:
                bound = self.w.bind("node", spread)
                entries.append(f"**native_fields({bound}, {source})")
            fields = ", ".join(entries)
            if here.node is not None:
                node = self.w.bind("node", here.node)
                levels.insert(0, f"({node}, {{{fields}}}, {here.index})")
            here = here.parent
        name = self.variable("context")
        arguments = ", ".join([stream or self.stream(), "True", *levels])
        self.w.line(f"{name} = enter({arguments})")
        return name

    def native(self, struct_: Any, name: str, value: Value) -> str:
        member = find_member(struct_, name)
        if isinstance(unnamed(member), FormatField | Bytes | BytesInteger | BitsInteger):
            return value.source
        return f"native({self.w.bind('node', member) if member else 'Pass'}, {value.source})"

    # -- dispatch -------------------------------------------------------------------------------

    def decode(self, node: Any, hint: str, scope: Scope) -> Value:
        """Read ``node``; the value holds once the run is flushed."""
        if isinstance(node, Renamed):
            if node.name:
                hint = node.name
                self.path.append(node.name)
            try:
                return self.decode(node.subcon, hint, scope)
            finally:
                if node.name:
                    self.path.pop()
        saved, fields, index = self.snapshot(), dict(scope.fields), scope.index
        spreads = len(scope.spreads)
        try:
            handler = self.handlers.get(type(node)) or self.handlers.get(id(node))
            if handler is None:
                raise UnsupportedError(kind_name(node))
            return handler(self, node, hint, scope)
        except UnsupportedError as error:
            self.restore(saved)
            scope.fields.clear()
            scope.fields.update(fields)
            scope.index = index
            del scope.spreads[spreads:]
            return self.fallback(node, hint, scope, str(error))

    def snapshot(self) -> Any:
        run = self.run
        copied = Run(run.start, run.order, [*run.codes], [*run.names], [*run.after])
        return len(self.w.lines), self.w.depth, copied, replace(self.place), [*self.path]

    def restore(self, saved: Any) -> None:
        lines, self.w.depth, self.run, self.place, self.path = saved
        del self.w.lines[lines:]

    def fallback(self, node: Any, hint: str, scope: Scope, reason: str) -> Value:
        """Leave ``node`` to construct."""
        self.note(reason)
        self.flush()
        stream = self.stream()
        context = self.context(scope, stream)
        name, end = self.variable(hint), self.variable("p")
        traced = self.w.bind("traced", self.tracer.copy(node, self.embedded), repr(node), id(node))
        self.w.line(
            f"{name}, {end} = run_parse({traced}, {stream}, {context}, {self.place.origin})"
        )
        self.place.position = Position(end)
        return Value(name)

    # -- numbers, bytes, strings ----------------------------------------------------------------

    def slice(self, length: str, hint: str = "chunk") -> str:
        """Source of the next ``length`` bytes, which it checks to be there. Flushed already."""
        count, name, start = self.variable("count"), self.variable(hint), self.place.position
        self.w.line(f"{count} = {length}")
        self.move(f"{start} + {count}")
        self.w.line(f"{name} = {self.place.data}[{start}:{self.place.position}]")
        self.w.line(f"if len({name}) != {count}: raise Mismatch")
        return name

    # -- mappings -------------------------------------------------------------------------------

    # -- structs --------------------------------------------------------------------------------

    # -- constants and computed values ----------------------------------------------------------

    # -- alternatives ---------------------------------------------------------------------------

    # -- arrays ---------------------------------------------------------------------------------

    # -- data within data -----------------------------------------------------------------------

    # -- bits -----------------------------------------------------------------------------------


def _merge(codes: list[str]) -> str:
    """Codes as a format; pads joined."""
    merged: list[str] = []
    for code in codes:
        if code.endswith("x") and merged and merged[-1].endswith("x"):
            merged[-1] = f"{int(merged[-1][:-1]) + int(code[:-1])}x"
        else:
            merged.append(code)
    return "".join(merged)
