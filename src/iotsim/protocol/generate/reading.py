"""`Decoder`: generates the function that decodes, bytes to a dict.

Fields of fixed size are not read at once: they are collected into a *run*, which one struct.Struct
unpacks when something else comes up (`Decoder.flush`); what is to be done with its values, tables,
shifts, checks, the dicts of nested structs, is kept until then (`Decoder.after`). The position in the
data is a number as long as all before it is of fixed size, then a variable and a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import TYPE_CHECKING

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.generator import Generator, Task
from iotsim.protocol.generate.source import UnsupportedError, Value, literal

if TYPE_CHECKING:
    from iotsim.protocol.generate.source import Scope


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


class Decoder(Generator):
    """Writes the body of ``decode(data)`` for one schema."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.place = Place()
        self.run = Run()
        self.word: Word | None = None

    def decode(self, node: n.Node, hint: str, scope: Scope) -> Value:
        """Read ``node``; the value holds once the run is flushed."""
        return decode(node, self, hint, scope)

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

    def flush(self) -> None:
        """Unpack the run."""
        self._unpack(whole=False)

    def flush_whole(self) -> bool:
        """Unpack the run and, if it is all there is of the message, check that; tell if so."""
        whole = bool(self.run.codes) and str(self.run.start) == "0"
        self._unpack(whole)
        return whole

    def _unpack(self, whole: bool) -> None:
        run, self.run = self.run, Run()
        data, start = self.place.data, str(run.start)
        codes = _merge(run.codes)
        if codes == "B" and not whole:
            self.w.line(f"{run.names[0]} = {data}[{start}]")
        elif codes:
            form, method = (run.order or ">") + codes, "unpack" if whole else "unpack_from"
            call = self.w.struct(method, form)
            targets = ", ".join(run.names) + ("," if len(run.names) == 1 else "")
            where = "" if start == "0" else f", {start}"
            self.w.line(
                f"{targets} = {call}({data}{where})" if targets else f"{call}({data}{where})"
            )
        for line in run.after:
            self.w.line(line)

    def skip(self, node: n.Node) -> None:
        """Pass over a node of fixed size."""
        assert node.size is not None
        if self.word is not None:
            self.word.left -= node.size
        else:
            self.take(f"{node.size}x", node.size, None)

    # -- the position ---------------------------------------------------------------------------

    def move(self, source: str) -> None:
        """The position is from now on what ``source`` gives."""
        self.place.position = Position(self.w.let("p", source))

    def tell(self) -> Value:
        """The offset in the message."""
        if self.word is not None:
            raise UnsupportedError("an offset among bits")
        origin, here = self.place.origin, self.place.position
        if not origin.base and not here.base:
            return literal(origin.offset + here.offset)
        return Value(f"({origin} + {here})", scalar=True)

    def read(self, call: str, hint: str) -> str:
        """A variable with what ``call`` reads, which also gives the place after it."""
        name, end = self.w.new(hint), self.w.new("p")
        self.w.line(f"{name}, {end} = {call}")
        self.place.position = Position(end)
        return name

    def slice(self, length: str, hint: str = "chunk") -> str:
        """A variable with the next ``length`` bytes, which it checks to be there. Flushes."""
        self.flush()
        start, name = self.place.position, self.w.new(hint)
        if not length.isidentifier():
            length = self.w.let("count", length)
        self.move(f"{start} + {length}")
        self.w.line(f"{name} = {self.place.data}[{start}:{self.place.position}]")
        self.refuse_if(f"len({name}) != {length}")
        return name

    def inside(self, chunk: str, start: Position, node: n.Node, hint: str, scope: Scope) -> Value:
        """What ``node`` reads from the variable ``chunk``, which began at ``start``."""
        if is_rest(node):
            return Value(chunk, scalar=True)
        outer = self.place
        if outer.origin.base or start.base:
            origin = self.w.let("origin", f"{outer.origin} + {start}")
            self.place = Place(chunk, Position(), Position(origin))
        else:
            self.place = Place(chunk, Position(), outer.origin + start.offset)
        value = self.decode(node, hint, replace(scope, outside=True))
        self.flush()
        self.place = outer
        return value


def is_rest(node: n.Node) -> bool:
    """Whether it is all bytes that are left."""
    return isinstance(node, n.Data) and node.length is None


@singledispatch
def decode(node: n.Node, d: Decoder, hint: str, scope: Scope) -> Value:
    """What reads a node; the other modules of this package register a function for each kind.

    A node that has none is left to construct, if that can do it alone.
    """
    native = d.native(node, among_bits=d.word is not None)
    d.flush()
    name = d.read(f"parse({native}, {d.place.data}, {d.place.position})", hint)
    return Value(name, plain=f"normalize({name})")


def _merge(codes: list[str]) -> str:
    """Codes as a format; pads joined."""
    merged: list[str] = []
    for code in codes:
        if code.endswith("x") and merged and merged[-1].endswith("x"):
            merged[-1] = f"{int(merged[-1][:-1]) + int(code[:-1])}x"
        else:
            merged.append(code)
    return "".join(merged)
