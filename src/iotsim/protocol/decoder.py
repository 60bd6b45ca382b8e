"""Generates the function that decodes: bytes to a dict.

Fields of fixed size are not read at once: they are collected into a *run*, which one struct.Struct
unpacks when something else comes up (`_Decoder.flush`); what is to be done with its values, tables,
shifts, checks, the dicts of nested structs, is kept until then (`after`). The position in the data
is a number as long as all before it is of fixed size, then a variable and a number.

The function may raise whatever it likes for bytes that are no message: its caller then asks the
reference engine. But it must raise for nothing that construct accepts, since inside a GreedyRange
or an Optional a failure is no failure.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from construct import (
    Aligned,
    Array,
    BitsInteger,
    Bytes,
    BytesInteger,
    Check,
    Computed,
    Const,
    Construct,
    Default,
    Enum,
    Error,
    FixedSized,
    Flag,
    FlagsEnum,
    FocusedSeq,
    FormatField,
    GreedyBytes,
    GreedyRange,
    Hex,
    HexDump,
    IfThenElse,
    NullStripped,
    NullTerminated,
    Padded,
    Pass,
    Prefixed,
    Rebuild,
    Renamed,
    Select,
    Sequence,
    StopIf,
    StringEncoded,
    Struct,
    Switch,
    Tell,
    Terminated,
    Transformed,
    VarInt,
    ZigZag,
)
from construct import Mapping as ConstructMapping
from construct.lib import bits2bytes, bytes2bits

from . import runtime
from .checksums import INLINE
from .codegen import (
    NONE,
    UNMATCHED,
    Scope,
    Unmatched,
    UnsupportedError,
    Value,
    Writer,
    find_member,
    hidden,
    is_expression,
    is_int_node,
    literal,
    plain,
    static_size,
    struct_code,
    translate,
    unwrap,
)
from .constructs import Checksum, FlatStruct, Length, flat_names
from .interpreted import EMPTY_ELEMENTS, Tracer, normalize

_BIT_CODES = {1: "B", 2: "H", 4: "L", 8: "Q"}
_TRANSPARENT: tuple[Any, ...] = (Rebuild, Default, Hex, HexDump)


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
class _Run:
    """Fields that one Struct will unpack, and what to do then."""

    start: Position = Position()
    order: str = ""
    codes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass
class _Place:
    """The data that is being read: its variable, the position, where in the message it begins."""

    data: str = "data"
    position: Position = Position()
    origin: Position = Position()


class Decoder:
    """Writes the body of ``decode(data)`` for one schema.

    ``known`` are fields of the root whose value is given: see `iotsim.protocol.compiler`.
    ``fallbacks`` collects what was left to construct, as (path, reason).
    """

    def __init__(
        self,
        writer: Writer,
        tracer: Tracer,
        strict: bool,
        fallbacks: dict[str, str],
        known: dict[str, Value] | None = None,
    ) -> None:
        self.w = writer
        self.tracer = tracer
        self.strict = strict
        self.fallbacks = fallbacks
        self.known = known or {}
        self.place = _Place()
        self.run = _Run()
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
        run, self.run = self.run, _Run()
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
        if isinstance(_bare(member), FormatField | Bytes | BytesInteger | BitsInteger):
            return value.source
        return f"native({self.w.bind('node', member) if member else 'Pass'}, {value.source})"

    # -- dispatch -------------------------------------------------------------------------------

    def decode(self, node: Any, hint: str, scope: Scope) -> Value:
        """Read ``node``; the value holds once the run is flushed."""
        if isinstance(node, Renamed) and node.parsed is None:
            if node.name:
                hint = node.name
                self.path.append(node.name)
            try:
                return self.decode(node.subcon, hint, scope)
            finally:
                if node.name:
                    self.path.pop()
        if isinstance(node, Renamed):
            return self.fallback(node, hint, scope, "it has a hook")
        saved, fields, index = self.snapshot(), dict(scope.fields), scope.index
        spreads = len(scope.spreads)
        try:
            handler = _HANDLERS.get(type(node)) or _SINGLETONS.get(id(node))
            if handler is None:
                raise UnsupportedError(_name(node))
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
        copied = _Run(run.start, run.order, [*run.codes], [*run.names], [*run.after])
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

    def format_field(self, node: Any, hint: str, scope: Scope) -> Value:
        name = self.variable(hint)
        order, code = struct_code(node) or ("", "")
        self.take(code, node.length, name, order)
        return Value(name, scalar=code not in "efd")

    def flag(self, node: Any, hint: str, scope: Scope) -> Value:
        name = self.variable(hint)
        self.take("?", 1, name)
        return Value(name, scalar=True)

    def bytes_integer(self, node: Any, hint: str, scope: Scope) -> Value:
        if not isinstance(node.length, int) or node.length <= 0 or callable(node.swapped):
            raise UnsupportedError("an integer of varying length or order")
        name = self.variable(hint)
        self.take(f"{node.length}s", node.length, name)
        order = "little" if node.swapped else "big"
        signed = ", signed=True" if node.signed else ""
        self.after(f"{name} = int.from_bytes({name}, {order!r}{signed})")
        return Value(name, scalar=True)

    def varint(self, node: Any, hint: str, scope: Scope) -> Value:
        self.flush()
        name, end = self.variable(hint), self.variable("p")
        read = "read_varint" if node is VarInt else "read_zigzag"
        self.w.line(f"{name}, {end} = {read}({self.place.data}, {self.place.position})")
        self.place.position = Position(end)
        return Value(name, scalar=True)

    def bytes_(self, node: Any, hint: str, scope: Scope) -> Value:
        length = self.evaluate(node.length, scope)
        if length.known:
            name = self.variable(hint)
            self.fixed(length, name)
        else:
            name = self.slice(length.source, hint)
        return Value(name, scalar=True)

    def fixed(self, length: Value, name: str) -> None:
        if not isinstance(length.constant, int) or length.constant < 0:
            raise UnsupportedError("a length that is none")
        self.take(f"{length.constant:d}s", length.constant, name)

    def slice(self, length: str, hint: str = "chunk") -> str:
        """Source of the next ``length`` bytes, which it checks to be there. Flushed already."""
        count, name, start = self.variable("count"), self.variable(hint), self.place.position
        self.w.line(f"{count} = {length}")
        self.move(f"{start} + {count}")
        self.w.line(f"{name} = {self.place.data}[{start}:{self.place.position}]")
        self.w.line(f"if len({name}) != {count}: raise Mismatch")
        return name

    def greedy_bytes(self, node: Any, hint: str, scope: Scope) -> Value:
        self.flush()
        name = self.variable(hint)
        start = str(self.place.position)
        self.w.line(f"{name} = {self.place.data}" + ("" if start == "0" else f"[{start}:]"))
        self.place.position = Position(f"len({self.place.data})")
        return Value(name, scalar=True)

    def string(self, node: Any, hint: str, scope: Scope) -> Value:
        value = self.decode(node.subcon, hint, scope)
        if value.known:
            raise UnsupportedError("text of a constant")
        self.after(f"{value.source} = {value.source}.decode({node.encoding!r})")
        return Value(value.source, scalar=True)

    # -- mappings -------------------------------------------------------------------------------

    def integer(self, node: Any, hint: str, scope: Scope) -> tuple[Value, int | None]:
        """An int and, if it is small and unsigned, the number of values that it can have."""
        bare = unwrap(node)
        if not (is_int_node(bare) or isinstance(bare, BytesInteger) or bare in (VarInt, ZigZag)):
            raise UnsupportedError(f"names for {_name(bare)}")
        small = 256 if isinstance(bare, FormatField) and bare.fmtstr[1] == "B" else None
        return self.decode(node, hint, scope), small

    def enum(self, node: Any, hint: str, scope: Scope) -> Value:
        value, values = self.integer(node.subcon, hint, scope)
        return self.enum_of(node, value, values)

    def enum_of(self, node: Any, value: Value, values: int | None) -> Value:
        table = {int(number): plain(name) for number, name in node.decmapping.items()}
        name = value.source
        if values is not None:
            row = tuple(table.get(number, number) for number in range(values))
            bound = self.w.bind("names", row, f"{table!r}, by index", id(node))
            self.after(f"{name} = {bound}[{name}]")
        else:
            bound = self.w.bind("names", table, key=id(node))
            self.after(f"{name} = {bound}.get({name}, {name})")
        return Value(name, scalar=True)

    def flags(self, node: Any, hint: str, scope: Scope) -> Value:
        return self.flags_of(node, self.integer(node.subcon, hint, scope)[0])

    def flags_of(self, node: Any, value: Value) -> Value:
        items = ", ".join(
            f"{plain(name)!r}: ({value.source} & {int(bits)}) == {int(bits)}"
            for name, bits in node.flags.items()
            if not name.startswith("_")
        )
        self.after(f"{value.source} = {{{items}}}")
        return Value(value.source)

    def mapping(self, node: Any, hint: str, scope: Scope) -> Value:
        return self.mapping_of(node, self.decode(node.subcon, hint, scope))

    def mapping_of(self, node: Any, value: Value) -> Value:
        if value.known:
            raise UnsupportedError("names for a constant")
        table = {plain(key): plain(item) for key, item in node.decmapping.items()}
        bound = self.w.bind("names", table, key=id(node))
        self.after(f"{value.source} = {bound}[{value.source}]")
        return Value(value.source, scalar=True)

    # -- structs --------------------------------------------------------------------------------

    def struct(self, node: Any, hint: str, scope: Scope | None) -> Value:
        inner = Scope(scope, node, index=scope.index if scope else None)
        entries = self.members(node, inner)
        name = self.variable(hint)
        self.after(f"{name} = {{{', '.join(entries)}}}")
        return Value(name, scope=inner)

    def members(self, node: Any, scope: Scope) -> list[str]:
        """Read the members of a struct; the entries of a dict display."""
        if any(isinstance(_bare(member), StopIf) for member in node.subcons):
            raise UnsupportedError("StopIf")
        flat = isinstance(node, FlatStruct)
        entries: list[str] = []
        lengths: list[tuple[Length, str, Position]] = []
        start = self.place.position
        for member in node.subcons:
            if flat and not member.name and flat_names(member):
                self.embed(member, scope, entries)
                continue
            if member.name in self.known and scope.parent is None:
                value = self.skip(member)
            else:
                value = self.decode(member, "unnamed", scope)
            bare = _bare(member)
            if isinstance(bare, Length) and flat:
                lengths.append((bare, value.source, self.place.position))
            if member.name:
                scope.fields[member.name] = value
                if not hidden(member):
                    entries.append(f"{member.name!r}: {value.source}")
        for length, source, after in lengths:
            self.check_length(length, source, start, after)
        return entries

    def skip(self, member: Any) -> Value:
        """A field whose value is known already."""
        size = static_size(member)
        assert size is not None
        self.take(f"{size}x", size, None)
        return self.known[member.name]

    def check_length(self, length: Length, source: str, start: Position, after: Position) -> None:
        end = self.place.position
        begin = after if length.of == "rest" else start
        if begin.base == end.base:
            expected = str(end.offset - begin.offset + length.adjust)
        else:
            expected = f"{end} - {begin.offset - length.adjust}"
            if begin.base:
                expected = f"{end} - ({begin}) + {length.adjust}"
        self.refuse_if(f"{source} != {expected}")

    def embed(self, member: Any, scope: Scope, entries: list[str]) -> None:
        """An unnamed member of a FlatStruct, whose fields become entries."""
        bare = self.resolve(unwrap(member), scope)
        if bare is Pass:
            return
        if isinstance(bare, Struct):
            inner = Scope(scope, bare, index=scope.index)
            added = self.members(bare, inner)
        elif isinstance(bare, Transformed) and isinstance(_bare(bare.subcon), Struct):
            inner, added = self.bits(bare, scope)
        else:
            self.embedded = True
            try:
                value = self.decode(bare, "fields", scope)
            finally:
                self.embedded = False
            self.flush()
            for name in flat_names(member):
                scope.fields[name] = Value(f"{value.source}[{name!r}]", maybe=True)
            scope.spreads.append((bare, value.source))
            entries.append(f"**({value.source} or {{}})")
            return
        entries.extend(added)
        scope.fields.update(inner.fields)

    def resolve(self, node: Any, scope: Scope) -> Any:
        """The case of a Switch or If that is certain, where it is; else ``node``."""
        if isinstance(node, Switch | IfThenElse):
            chosen = self.certain(node, scope)
            return node if chosen is None else self.resolve(unwrap(chosen), scope)
        return node

    def certain(self, node: Any, scope: Scope) -> Any:
        """The case of a Switch or If whose key is known when the code is made, or None."""
        parameter = node.keyfunc if isinstance(node, Switch) else node.condfunc
        try:
            key = translate(parameter, scope)
        except UnsupportedError:
            return None
        if not key.known:
            return None
        if isinstance(node, IfThenElse):
            return node.thensubcon if key.constant else node.elsesubcon
        if key.constant not in node.cases and self.strict and node.default is Pass:
            return UNMATCHED
        return node.cases.get(key.constant, node.default)

    def sequence(self, node: Any, hint: str, scope: Scope) -> Value:
        inner = Scope(scope, node, index=scope.index)
        if any(isinstance(_bare(member), StopIf) for member in node.subcons):
            raise UnsupportedError("StopIf")
        values = []
        for index, member in enumerate(node.subcons):
            value = self.decode(member, f"{hint}_{index}", inner)
            values.append(value.source)
            if member.name:
                inner.fields[member.name] = value
        name = self.variable(hint)
        self.after(f"{name} = [{', '.join(values)}]")
        return Value(name)

    def focused(self, node: Any, hint: str, scope: Scope) -> Value:
        if not isinstance(node.parsebuildfrom, str):
            raise UnsupportedError("FocusedSeq of a varying member")
        inner = Scope(scope, node, index=scope.index)
        found: Value | None = None
        path = [*self.path]
        for member in node.subcons:
            selected = member.name == node.parsebuildfrom
            value = self.decode(
                member.subcon if isinstance(member, Renamed) and not member.parsed else member,
                hint if selected else member.name or "unnamed",
                inner,
            )
            if member.name:
                inner.fields[member.name] = value
            if selected:
                found = value
        self.path = path
        if found is None:
            raise UnsupportedError("FocusedSeq of no member")
        return found

    # -- constants and computed values ----------------------------------------------------------

    def const(self, node: Any, hint: str, scope: Scope) -> Value:
        raw = _injective(node)
        if raw is not None:
            name = self.variable(hint)
            self.take(f"{len(raw)}s", len(raw), name)
            self.refuse_if(f"{name} != {raw!r}")
            return literal(node.value)
        value = self.decode(node.subcon, hint, scope)
        self.refuse_if(f"{value.source} != {literal(node.value).source}")
        return value

    def computed(self, node: Any, hint: str, scope: Scope) -> Value:
        if not callable(node.func):
            try:
                return literal(node.func)
            except UnsupportedError:
                constant = self.w.bind("constant", node.func)
                return Value(f"normalize({constant})")
        value = self.evaluate(node.func, scope)
        if value.known:
            return value
        name = self.variable(hint)
        self.flush()
        self.w.line(f"{name} = normalize({value.source})")
        return Value(name)

    def transparent(self, node: Any, hint: str, scope: Scope) -> Value:
        return self.decode(node.subcon, hint, scope)

    def checksum(self, node: Any, hint: str, scope: Scope) -> Value:
        start = self.evaluate(node.start, scope)
        position, data = self.place.position, self.place.data
        if not start.known:
            self.require(f"0 <= {start.source} <= {position}")
        elif not isinstance(start.constant, int) or start.constant < 0:
            raise UnsupportedError("a start before the message")
        elif start.constant and (position.base or start.constant > position.offset):
            self.require(f"{start.constant} <= {position}")
        first = "" if start.source == "0" else start.source
        covered = f"{data}[{first}:{position}]"
        value = self.decode(node.subcon, hint, scope)
        self.refuse_if(f"{value.source} != {checksum_call(self.w, node.function, covered)}")
        return value

    def check(self, node: Any, hint: str, scope: Scope) -> Value:
        passed = self.evaluate(node.func, scope)
        self.require(passed.source)
        return NONE

    def error(self, node: Any, hint: str, scope: Scope) -> Value:
        self.flush()
        self.w.line("raise ExplicitError")
        return NONE

    def unmatched(self, node: Any, hint: str, scope: Scope) -> Value:
        self.flush()
        self.w.line("raise Mismatch")
        return NONE

    def nothing(self, node: Any, hint: str, scope: Scope) -> Value:
        return NONE

    def terminated(self, node: Any, hint: str, scope: Scope) -> Value:
        self.require(f"len({self.place.data}) <= {self.place.position}")
        return NONE

    def tell(self, node: Any, hint: str, scope: Scope) -> Value:
        place = self.place
        if not place.origin.base and not place.position.base:
            return literal(place.origin.offset + place.position.offset)
        name = self.variable(hint)
        self.after(f"{name} = {place.origin} + {place.position}")
        return Value(name, scalar=True)

    # -- alternatives ---------------------------------------------------------------------------

    def branches(self, name: str, tests: list[tuple[str, Any]], hint: str, scope: Scope) -> Value:
        """``name`` from the first node whose header (``if x:``, ``else:``) holds. Flushed."""
        place, index = replace(self.place), scope.index
        ends: list[Position] = []
        marks: list[tuple[int, int]] = []
        for header, node in tests:
            self.place, scope.index = replace(place), index
            with self.w.block(header):
                if node is UNMATCHED:
                    self.w.line("raise Mismatch")
                    continue
                value = self.decode(node, hint, scope)
                self.flush()
                if value.source != name:
                    self.w.line(f"{name} = {value.source}")
                ends.append(self.place.position)
                marks.append((len(self.w.lines), self.w.depth))
        self.place, scope.index = place, index
        self.meet(ends, marks)
        return Value(name)

    def meet(self, ends: list[Position], marks: list[tuple[int, int]]) -> None:
        """The position after alternatives that ended at ``ends``."""
        if all(end == ends[0] for end in ends):
            self.place.position = ends[0]
            return
        position = self.variable("p")
        for end, (line, depth) in reversed(list(zip(ends, marks, strict=True))):
            self.w.lines.insert(line, "    " * depth + f"{position} = {end}")
        self.place.position = Position(position)

    def if_then_else(self, node: Any, hint: str, scope: Scope) -> Value:
        chosen = self.certain(node, scope)
        if chosen is not None:
            return self.decode(chosen, hint, scope)
        condition = self.evaluate(node.condfunc, scope)
        self.flush()
        tests = [(f"if {condition.source}:", node.thensubcon), ("else:", node.elsesubcon)]
        return self.branches(self.variable(hint), tests, hint, scope)

    def switch(self, node: Any, hint: str, scope: Scope) -> Value:
        chosen = self.certain(node, scope)
        if chosen is not None:
            return self.decode(chosen, hint, scope)
        key = self.evaluate(node.keyfunc, scope)
        self.flush()
        default = UNMATCHED if self.strict and node.default is Pass else node.default
        if not node.cases:
            return self.decode(default, hint, scope)
        tests = [
            (f"{'el' if index else ''}if {test}:", case)
            for index, (test, case) in enumerate(switch_tests(self.w, node, key, self.variable))
        ]
        return self.branches(self.variable(hint), [*tests, ("else:", default)], hint, scope)

    def select(self, node: Any, hint: str, scope: Scope) -> Value:
        self.flush()
        name = self.variable(hint)
        place, index = replace(self.place), scope.index
        ends: list[Position] = []
        marks: list[tuple[int, int]] = []
        depth = self.w.depth
        for choice in node.subcons:
            self.place = replace(place)
            if choice is Pass:
                self.w.line(f"{name} = None")
                ends.append(self.place.position)
                marks.append((len(self.w.lines), self.w.depth))
                break
            with self.w.block("try:"):
                value = self.decode(choice, hint, scope)
                self.flush()
                self.w.line(f"{name} = {value.source}")
                ends.append(self.place.position)
                marks.append((len(self.w.lines), self.w.depth))
            self.w.line("except ExplicitError:")
            self.w.line("    raise")
            self.w.line("except Exception:")
            self.w.depth += 1
        else:
            self.w.line("raise Mismatch")
        self.w.depth = depth
        self.place, scope.index = place, index
        self.meet(ends, marks)
        return Value(name)

    # -- arrays ---------------------------------------------------------------------------------

    def array(self, node: Any, hint: str, scope: Scope) -> Value:
        if node.discard:
            raise UnsupportedError("discard")
        count = self.evaluate(node.count, scope)
        element = unwrap(node.subcon)
        code = struct_code(element)
        if count.known and (not isinstance(count.constant, int) or count.constant < 0):
            raise UnsupportedError("a count that is none")
        self.flush()
        name = self.variable(hint)
        if code is not None:
            number = self.variable("count")
            self.w.line(f"{number} = {count.source}")
            self.require(f"{number} >= 0")
            form, size = self.variable("form"), struct.calcsize(">" + code[1])
            start = self.place.position
            self.move(f"{start} + {size} * {number}" if size > 1 else f"{start} + {number}")
            self.w.line(f"{form} = f'{code[0] or '>'}{{{number}:d}}{code[1]}'")
            self.w.line(f"{name} = list(unpack_from({form}, {self.place.data}, {start}))")
            scope.index = f"({number} - 1 if {number} else {scope.index})"
            return Value(name)
        number = self.variable("count")
        self.w.line(f"{number} = {count.source}")
        self.require(f"{number} >= 0")
        if static_size(element) == 0:
            raise UnsupportedError("elements of no bytes")
        index = self.variable("index")
        with self.loop(name, f"for {index} in range({number}):", scope, index):
            start = self.place.position
            value = self.decode(node.subcon, re.sub(r"s\Z", "", hint), scope)
            self.flush()
            if self.place.position.base != start.base:
                same = f"{self.place.position} == {start}"
                self.w.line(f"if {index} >= {EMPTY_ELEMENTS} and {same}: raise Unusual")
            self.w.line(f"{name}.append({value.source})")
        return Value(name)

    def loop(self, name: str, header: str, scope: Scope, index: str) -> Any:
        return _Loop(self, name, header, scope, index)

    def greedy_range(self, node: Any, hint: str, scope: Scope) -> Value:
        if node.discard:
            raise UnsupportedError("discard")
        self.flush()
        name, index = self.variable(hint), self.variable("index")
        with self.loop(name, f"for {index} in count_up():", scope, index):
            start = self.place.position
            with self.w.block("try:"):
                value = self.decode(node.subcon, re.sub(r"s\Z", "", hint), scope)
                self.flush()
                end = self.place.position
            self.w.line("except ExplicitError:")
            self.w.line("    raise")
            self.w.line("except Exception:")
            self.w.line("    break")
            if end.base == start.base and end.offset <= start.offset:
                raise UnsupportedError("elements of no bytes")
            if end.base != start.base:
                self.w.line(f"if {end} == {start}: raise Unusual")
            self.w.line(f"{name}.append({value.source})")
        return Value(name)

    # -- data within data -----------------------------------------------------------------------

    def inside(self, chunk: str, start: Position, read: Callable[[], Value]) -> Value:
        """What ``read`` reads from a chunk that began at ``start``."""
        outer = self.place
        if outer.origin.base or start.base:
            origin = self.variable("origin")
            self.w.line(f"{origin} = {outer.origin} + {start}")
            self.place = _Place(chunk, Position(), Position(origin))
        else:
            self.place = _Place(chunk, Position(), outer.origin + start.offset)
        try:
            value = read()
            self.flush()
        finally:
            self.place = outer
        return value

    def prefixed(self, node: Any, hint: str, scope: Scope) -> Value:
        length = self.decode(node.lengthfield, "length", scope)
        self.flush()
        source = length.source
        if node.includelength:
            size = static_size(node.lengthfield)
            if size is None:
                raise UnsupportedError("a length of varying length")
            source = f"{source} - {size}"
        start = self.place.position
        chunk = self.slice(source, hint)
        if _bare(node.subcon) is GreedyBytes:
            return Value(chunk, scalar=True)
        return self.inside(chunk, start, lambda: self.decode(node.subcon, hint, scope))

    def fixed_sized(self, node: Any, hint: str, scope: Scope) -> Value:
        length = self.evaluate(node.length, scope)
        inner = _bare(node.subcon)
        stripped = isinstance(inner, NullStripped) and _bare(inner.subcon) is GreedyBytes
        if length.known and stripped and len(inner.pad) == 1:
            name = self.variable(hint)
            self.fixed(length, name)
            self.after(f"{name} = {name}.rstrip({inner.pad!r})")
            return Value(name, scalar=True)
        self.flush()
        start = self.place.position
        chunk = self.slice(length.source)
        return self.inside(chunk, start, lambda: self.decode(node.subcon, hint, scope))

    def null_terminated(self, node: Any, hint: str, scope: Scope) -> Value:
        if len(node.term) != 1 or node.include or not node.consume or not node.require:
            raise UnsupportedError("NullTerminated of an uncommon kind")
        self.flush()
        start, data = self.place.position, self.place.data
        end, chunk = self.variable("end"), self.variable("chunk")
        self.w.line(f"{end} = {data}.index({node.term!r}, {start})")
        self.w.line(f"{chunk} = {data}[{start}:{end}]")
        if _bare(node.subcon) is GreedyBytes:
            value = Value(chunk, scalar=True)
        else:
            value = self.inside(chunk, start, lambda: self.decode(node.subcon, hint, scope))
        self.place.position = Position(end, 1)
        return value

    def null_stripped(self, node: Any, hint: str, scope: Scope) -> Value:
        if len(node.pad) != 1:
            raise UnsupportedError("NullStripped of several bytes")
        self.flush()
        start, data, chunk = self.place.position, self.place.data, self.variable("chunk")
        self.w.line(f"{chunk} = {data}[{start}:].rstrip({node.pad!r})")
        if _bare(node.subcon) is GreedyBytes:
            value = Value(chunk, scalar=True)
        else:
            value = self.inside(chunk, start, lambda: self.decode(node.subcon, hint, scope))
        self.place.position = Position(f"len({data})")
        return value

    def padded(self, node: Any, hint: str, scope: Scope) -> Value:
        length = self.evaluate(node.length, scope)
        if node.subcon is Pass and length.known and isinstance(length.constant, int):
            if length.constant < 0:
                raise UnsupportedError("a negative length")
            self.take(f"{length.constant:d}x", length.constant, None)
            return NONE
        if not length.known:
            name = self.variable("padded")
            self.w.line(f"{name} = {length.source}")
            length = Value(name)
            self.require(f"{name} >= 0")
        elif not isinstance(length.constant, int) or length.constant < 0:
            raise UnsupportedError("a length that is none")
        start = self.place.position
        value = self.decode(node.subcon, hint, scope)
        end = self.place.position
        if length.known and end.base == start.base:
            pad = length.constant - (end.offset - start.offset)
            if pad < 0:
                raise UnsupportedError("a length that is too short")
            self.take(f"{pad:d}x", pad, None)
            return value
        self.flush()
        stop = self.variable("p")
        self.w.line(f"{stop} = {start} + {length.source}")
        self.w.line(f"if not {end} <= {stop} <= len({self.place.data}): raise Mismatch")
        self.place.position = Position(stop)
        return value

    def aligned(self, node: Any, hint: str, scope: Scope) -> Value:
        if not isinstance(node.modulus, int) or node.modulus < 2:
            raise UnsupportedError("a modulus that is none")
        start = self.place.position
        value = self.decode(node.subcon, hint, scope)
        end = self.place.position
        if end.base == start.base:
            pad = -(end.offset - start.offset) % node.modulus
            self.take(f"{pad}x", pad, None)
            return value
        self.flush()
        stop = self.variable("p")
        self.w.line(f"{stop} = {end} + -({end} - ({start})) % {node.modulus}")
        self.w.line(f"if {stop} > len({self.place.data}): raise Mismatch")
        self.place.position = Position(stop)
        return value

    # -- bits -----------------------------------------------------------------------------------

    def transformed(self, node: Any, hint: str, scope: Scope) -> Value:
        if isinstance(_bare(node.subcon), Struct):
            inner, entries = self.bits(node, scope)
            name = self.variable(hint)
            self.after(f"{name} = {{{', '.join(entries)}}}")
            return Value(name, scope=inner)
        word, width = self.word(node)
        reader = _Bits(self, word, width)
        value = reader.decode(node.subcon, hint, scope)
        reader.finish()
        return value

    def bits(self, node: Any, scope: Scope) -> tuple[Scope, list[str]]:
        """The fields of a BitStruct."""
        word, width = self.word(node)
        reader = _Bits(self, word, width)
        inner = Scope(scope, _bare(node.subcon), index=scope.index)
        entries = reader.members(_bare(node.subcon), inner)
        reader.finish()
        return inner, entries

    def word(self, node: Any) -> tuple[str, int]:
        """A variable with all bits of a Bitwise as one number, and how many they are."""
        if node.decodefunc is not bytes2bits or node.encodefunc is not bits2bytes:
            raise UnsupportedError("Transformed")
        size = node.decodeamount
        if not isinstance(size, int) or size < 1:
            raise UnsupportedError("Bitwise of varying length")
        word = self.variable("bits")
        if size in _BIT_CODES:
            self.take(_BIT_CODES[size], size, word, ">" if size > 1 else "")
        else:
            self.take(f"{size}s", size, word)
            self.after(f"{word} = int.from_bytes({word}, 'big')")
        return word, 8 * size


class _Bits:
    """Reads fields out of the bits of a number."""

    def __init__(self, decoder: Decoder, word: str, width: int) -> None:
        self.d = decoder
        self.word = word
        self.width = width
        self.left = width

    def finish(self) -> None:
        # What a Bitwise leaves unread is dropped by construct, too.
        if self.left < 0:
            raise UnsupportedError("more bits than there are")

    def field(self, count: Any) -> str:
        if not isinstance(count, int) or count < 1:
            raise UnsupportedError("bits of varying length")
        self.left -= count
        if self.left < 0:
            raise UnsupportedError("more bits than there are")
        source = f"{self.word} >> {self.left}" if self.left else self.word
        if self.left + count == self.width:
            return source
        mask = (1 << count) - 1
        return f"({source}) & {mask}" if self.left else f"{source} & {mask}"

    def members(self, node: Any, scope: Scope) -> list[str]:
        if type(node) not in (Struct, FlatStruct):
            raise UnsupportedError(_name(node))
        entries: list[str] = []
        for member in node.subcons:
            if isinstance(node, FlatStruct) and not member.name and flat_names(member):
                raise UnsupportedError("a struct without a name")
            value = self.decode(member, "unnamed", scope)
            if member.name:
                scope.fields[member.name] = value
                if not hidden(member):
                    entries.append(f"{member.name!r}: {value.source}")
        return entries

    def decode(self, node: Any, hint: str, scope: Scope) -> Value:
        hint = node.name or hint
        node = unwrap(node)
        d = self.d
        kind = type(node)
        if kind is BitsInteger:
            if node.swapped or callable(node.signed):
                raise UnsupportedError("swapped bits")
            name = d.variable(hint)
            d.after(f"{name} = {self.field(node.length)}")
            if node.signed:
                sign = 1 << (node.length - 1)
                d.after(f"{name} = ({name} ^ {sign}) - {sign}")
            return Value(name, scalar=True)
        if node is Flag:
            name = d.variable(hint)
            d.after(f"{name} = ({self.field(1)}) != 0")
            return Value(name, scalar=True)
        if kind is Enum or kind is FlagsEnum:
            bare: Any = unwrap(node.subcon)
            if type(bare) is not BitsInteger:
                raise UnsupportedError(f"names for {_name(bare)}")
            value = self.decode(bare, hint, scope)
            if kind is FlagsEnum:
                return d.flags_of(node, value)
            length: Any = bare.length
            small = not bare.signed and length <= 8
            return d.enum_of(node, value, 1 << length if small else None)
        if kind is ConstructMapping:
            return d.mapping_of(node, self.decode(node.subcon, hint, scope))
        if kind is Const:
            value = self.decode(node.subcon, hint, scope)
            d.refuse_if(f"{value.source} != {literal(node.value).source}")
            return value
        if kind in _TRANSPARENT:
            return self.decode(node.subcon, hint, scope)
        if kind is Padded and node.subcon is Pass:
            if not isinstance(node.length, int) or node.length < 0:
                raise UnsupportedError("padding of varying length")
            self.left -= node.length
            return NONE
        if kind is Computed:
            return d.computed(node, hint, scope)
        if node is Pass:
            return NONE
        if kind is Struct:
            inner = Scope(scope, node, index=scope.index)
            entries = self.members(node, inner)
            name = d.variable(hint)
            d.after(f"{name} = {{{', '.join(entries)}}}")
            return Value(name, scope=inner)
        raise UnsupportedError(f"{_name(node)} in bits")


class _Loop:
    """A loop that fills a list; the position is a variable that it carries along."""

    def __init__(self, decoder: Decoder, name: str, header: str, scope: Scope, index: str) -> None:
        self.d, self.name, self.header, self.scope = decoder, name, header, scope
        self.index = index

    def __enter__(self) -> None:
        d = self.d
        d.w.line(f"{self.name} = []")
        self.position = d.variable("p")
        d.w.line(f"{self.position} = {d.place.position}")
        d.place.position = Position(self.position)
        d.w.line(f"{self.index} = {self.scope.index}")
        d.w.line(self.header)
        d.w.depth += 1
        # construct, too, leaves the last index in the context.
        self.scope.index = self.index
        self.fields = dict(self.scope.fields)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        d = self.d
        if kind is None:
            d.flush()
            if str(d.place.position) != self.position:
                d.w.line(f"{self.position} = {d.place.position}")
        d.w.depth -= 1
        d.place.position = Position(self.position)
        self.scope.fields = self.fields


def _merge(codes: list[str]) -> str:
    """Codes as a format; pads joined."""
    merged: list[str] = []
    for code in codes:
        if code.endswith("x") and merged and merged[-1].endswith("x"):
            merged[-1] = f"{int(merged[-1][:-1]) + int(code[:-1])}x"
        else:
            merged.append(code)
    return "".join(merged)


def _bare(node: Any) -> Any:
    while isinstance(node, Renamed):
        node = node.subcon
    return node


def _name(node: Any) -> str:
    name = type(node).__name__
    return "a lambda" if name == "function" else name


def _injective(node: Any) -> bytes | None:
    """The bytes of a Const that no other value shares, if that is certain; else None."""
    bare = unwrap(node.subcon)
    if isinstance(bare, StringEncoded):
        size = static_size(bare)
        encoded = node.value.encode(bare.encoding) if isinstance(node.value, str) else b""
        ascii_only = bare.encoding.replace("-", "").lower() in {"ascii", "utf8"}
        return encoded if size and ascii_only and len(encoded) == size else None
    if isinstance(bare, Bytes) and isinstance(node.value, bytes):
        return node.value if bare.length == len(node.value) else None
    return None


def checksum_call(writer: Writer, function: Any, covered: str) -> str:
    """Source that calls ``function`` on the source ``covered``."""
    inline = INLINE.get(function)
    if inline is not None:
        return inline.format(covered)
    name = getattr(function, "__name__", "checksum")
    return f"{writer.bind('checksum', function, name)}({covered})"


def switch_tests(
    writer: Writer, node: Any, key: Value, variable: Callable[[str], str]
) -> list[tuple[str, Any]]:
    """The condition of each case, as source. Writes a line if the key has to be looked up."""
    cases = list(node.cases.items())
    try:
        constants = [literal(constant) for constant, _ in cases]
    except UnsupportedError:
        constants = []
    if key.scalar and len(cases) <= 8 and constants:
        return [
            (f"{key.source} == {constant.source}", case)
            for constant, (_, case) in zip(constants, cases, strict=True)
        ]
    # A dict finds equal keys as construct does, and refuses those without a hash.
    index = {constant: number for number, (constant, _) in enumerate(cases)}
    table = writer.bind("cases", index, key=id(node))
    case_ = variable("case")
    writer.line(f"{case_} = {table}.get({key.source}, -1)")
    return [(f"{case_} == {number}", case) for number, (_, case) in enumerate(cases)]


_Handler = Callable[[Decoder, Any, str, Scope], Value]
_HANDLERS: dict[type[Any], _Handler] = {
    FormatField: Decoder.format_field,
    BytesInteger: Decoder.bytes_integer,
    Bytes: Decoder.bytes_,
    StringEncoded: Decoder.string,
    Enum: Decoder.enum,
    FlagsEnum: Decoder.flags,
    ConstructMapping: Decoder.mapping,
    Struct: Decoder.struct,
    FlatStruct: Decoder.struct,
    Sequence: Decoder.sequence,
    FocusedSeq: Decoder.focused,
    Const: Decoder.const,
    Computed: Decoder.computed,
    Rebuild: Decoder.transparent,
    Default: Decoder.transparent,
    Hex: Decoder.transparent,
    HexDump: Decoder.transparent,
    Length: Decoder.transparent,
    Checksum: Decoder.checksum,
    Check: Decoder.check,
    IfThenElse: Decoder.if_then_else,
    Switch: Decoder.switch,
    Select: Decoder.select,
    Array: Decoder.array,
    GreedyRange: Decoder.greedy_range,
    Prefixed: Decoder.prefixed,
    FixedSized: Decoder.fixed_sized,
    NullTerminated: Decoder.null_terminated,
    NullStripped: Decoder.null_stripped,
    Padded: Decoder.padded,
    Aligned: Decoder.aligned,
    Transformed: Decoder.transformed,
    Unmatched: Decoder.unmatched,
}
_SINGLETONS: dict[int, _Handler] = {
    id(Flag): Decoder.flag,
    id(VarInt): Decoder.varint,
    id(ZigZag): Decoder.varint,
    id(GreedyBytes): Decoder.greedy_bytes,
    id(Pass): Decoder.nothing,
    id(Error): Decoder.error,
    id(Terminated): Decoder.terminated,
    id(Tell): Decoder.tell,
}


def root(decoder: Decoder, message: Construct[Any, Any]) -> None:
    """Write the whole of decode: its last line returns the message."""
    w = decoder.w
    bare = unwrap(message)
    if isinstance(bare, Struct) and type(bare) in (Struct, FlatStruct):
        scope = Scope(None, bare)
        entries = decoder.members(bare, scope)
        result = f"{{{', '.join(entries)}}}"
    else:
        value = decoder.decode(bare, "value", Scope())
        decoder.flush()
        w.line(f"if {value.source}.__class__ is not dict: raise Mismatch")
        result = value.source
    exact = decoder.flush(exact=decoder.strict)
    end = decoder.place.position
    if decoder.strict and not exact and str(end) != "len(data)":
        w.line(f"if len(data) != {end}: raise Mismatch")
    w.line(f"return {result}")


HELPERS: dict[str, Any] = {
    "Mismatch": runtime.Mismatch,
    "Unusual": runtime.Unusual,
    "open_stream": runtime.open_stream,
    "enter": runtime.enter,
    "native": runtime.native,
    "native_fields": runtime.native_fields,
    "normalize": normalize,
    "run_parse": runtime.run_parse,
    "read_varint": runtime.read_varint,
    "read_zigzag": runtime.read_zigzag,
    "Pass": Pass,
    "unpack_from": struct.unpack_from,
    "count_up": itertools.count,
}
