"""`Encoder`: generates the function that encodes, a dict to bytes.

As in `iotsim.protocol.generate.decoder`, fields of fixed size are collected into a run that one
struct.Struct packs, constants among them folded into bytes when the code is made. What has been
packed, and what is of varying size, are the *parts* of the output, joined at the end.

A length stands before the bytes that it counts. It is a `Slot` in its run, which is packed only
when the sizes of the parts after it are known: at the end of its struct, or at a checksum.

What construct might accept although it is not what the code is made for (a bytearray, say) raises
Unusual, which no part of the generated code takes for a failure; the caller then asks construct.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from construct import Adapter, Padded, Pass, Renamed

from iotsim.protocol.generate.expressions import is_expression, translate
from iotsim.protocol.generate.source import Scope, UnsupportedError, Value, Writer, literal
from iotsim.protocol.tree import children

if TYPE_CHECKING:
    from iotsim.protocol.traced import Tracer
    from iotsim.protocol.verified import Length

Handler = Callable[["Encoder", Any, Value, str, Scope], Value]


UNKNOWN = Value("")
"""A field whose built value, with its defaults and rebuilt values, is nowhere as a whole."""
LATER = Value("")
"""A length: no value yet."""


@dataclass(eq=False)
class Slot:
    """A length in a run, before it is known: the sizes counted so far, and its place in them."""

    length: Length
    fixed: int
    varying: int
    source: str = ""


@dataclass
class Item:
    code: str
    value: Value
    order: str = ""
    slot: Slot | None = None


@dataclass
class Part:
    """Bytes of the output: a run still to be packed, or source that gives them."""

    items: list[Item] | None
    source: str = ""


@dataclass
class Output:
    """What has been encoded into one stream.

    Its size is ``fixed`` and the lengths of ``varying``. ``isolated``: it is only a piece of a
    stream, so that nothing in it can look back at what is before.
    """

    isolated: bool = False
    parts: list[Part] = field(default_factory=list)
    fixed: int = 0
    varying: list[str] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    rewritten: bool = False

    def copy(self) -> Output:
        parts = [
            Part(None if part.items is None else [*part.items], part.source) for part in self.parts
        ]
        return Output(
            self.isolated, parts, self.fixed, [*self.varying], [*self.slots], self.rewritten
        )


class Encoder:
    """Writes the body of ``encode(message)`` for one schema.

    ``known`` are fields of the root whose value is given. If ``bare``, the message has only the
    fields that it must have. If ``keep``, the code also collects built values that no expression
    names, for lambdas and nodes left to construct, which may look at all of them.
    """

    def __init__(
        self,
        writer: Writer,
        handlers: Mapping[Any, Handler],
        tracer: Tracer,
        strict: bool,
        fallbacks: dict[str, str],
        known: dict[str, Value] | None = None,
        bare: bool = False,
        keep: bool = False,
    ) -> None:
        self.w = writer
        self.handlers = handlers
        self.tracer = tracer
        self.strict = strict
        self.fallbacks = fallbacks
        self.known = known or {}
        self.bare = bare
        self.out = Output()
        self.path: list[str] = []
        self.required: set[str] = set()
        """The fields of the message that the code has taken without asking whether they are there."""
        self.keep = keep
        self.bytes: set[str] = set()
        """Variables that certainly are bytes."""
        self.branched = False
        """Whether which fields the message has depends on their values."""

    # -- output ---------------------------------------------------------------------------------

    def push(self, code: str, size: int, value: Value, order: str = "", slot: Any = None) -> None:
        """Add a field to the run."""
        parts = self.out.parts
        last = parts[-1].items if parts else None
        orders = {item.order for item in last or () if item.order}
        if last is None or (order and orders - {order}):
            last = []
            parts.append(Part(last))
        last.append(Item(code, value, order, slot))
        self.out.fixed += size

    def push_bytes(self, constant: bytes) -> None:
        if constant:
            self.push(f"{len(constant)}s", len(constant), literal(constant))

    def part(self, source: str) -> None:
        """Add bytes of varying size; ``source`` is a variable."""
        self.out.parts.append(Part(None, source))
        self.out.varying.append(f"len({source})")

    def pack(self, items: list[Item]) -> Value:
        """A run, packed."""
        order = next((item.order for item in items if item.order), ">")
        codes: list[str] = []
        arguments: list[str] = []
        constant = b""
        for item in [*items, None]:
            if item is not None and item.slot is not None:
                item = Item(item.code, self.slot_value(item.slot), item.order)
            raw = None if item is None else _pack_constant(order, item)
            if raw is not None:
                constant += raw
                continue
            if constant:
                codes.append(f"{len(constant)}s")
                arguments.append(repr(constant))
                constant = b""
            if item is not None:
                codes.append(item.code)
                arguments.append(item.value.source)
        if not codes:
            return literal(b"")
        if len(codes) == 1 and codes[0].endswith("s"):
            raw = _pack_constant(order, items[0]) if len(items) == 1 else None
            return Value(arguments[0]) if raw is None else literal(raw)
        form = order + "".join(codes)
        call = self.w.bind("pack", struct.Struct(form).pack, f"Struct({form!r}).pack", form)
        return Value(f"{call}({', '.join(arguments)})")

    def slot_value(self, slot: Slot) -> Value:
        if not slot.source:
            raise UnsupportedError("a length that is not known yet")
        return literal(int(slot.source)) if slot.source.isdigit() else Value(slot.source)

    def joined(self) -> Value:
        """All bytes so far."""
        values = [
            Value(part.source) if part.items is None else self.pack(part.items)
            for part in self.out.parts
        ]
        values = [value for value in values if value.source != "b''"]
        if not values:
            return literal(b"")
        if len(values) == 1:
            return values[0]
        sources = [value.source for value in values]
        if len(sources) <= 3:
            return Value(" + ".join(sources))
        return Value(f"b''.join(({', '.join(sources)}))")

    def settle(self, hint: str) -> str:
        """A variable with all bytes so far, which becomes the only part."""
        parts = self.out.parts
        if len(parts) == 1 and parts[0].items is None:
            return parts[0].source
        name = self.w.new(hint)
        self.w.line(f"{name} = {self.joined().source}")
        self.out.parts = [Part(None, name)]
        return name

    @contextmanager
    def output(self, isolated: bool) -> Iterator[Output]:
        """A stream of its own for what is encoded inside."""
        outer, self.out = self.out, Output(isolated)
        try:
            yield self.out
        finally:
            self.out = outer

    def resolve_slots(self, slots: list[Slot], start: tuple[int, int], rest: int) -> None:
        """Fill in lengths, ``rest`` bytes before the end of their struct."""
        out = self.out
        if slots and out.rewritten:
            raise UnsupportedError("a Length beside what construct has to do")
        for slot in slots:
            fixed, varying = (slot.fixed, slot.varying) if slot.length.of == "rest" else start
            number = out.fixed - fixed + rest + slot.length.adjust
            terms = out.varying[varying:]
            if not terms:
                if number < 0:
                    raise UnsupportedError("a negative length")
                slot.source = str(number)
            elif number:
                slot.source = " + ".join(terms) + (
                    f" + {number}" if number > 0 else f" - {-number}"
                )
            else:
                slot.source = " + ".join(terms)

    # -- helpers --------------------------------------------------------------------------------

    def refuse_if(self, condition: str) -> None:
        self.w.line(f"if {condition}: raise Mismatch")

    def variable(self, value: Value, hint: str) -> str:
        """A variable with ``value``."""
        if re.fullmatch(r"[A-Za-z_]\w*", value.source) and not value.known:
            return value.source
        name = self.w.new(hint)
        self.w.line(f"{name} = {value.source}")
        return name

    def evaluate(self, parameter: Any, scope: Scope) -> Value:
        """A construct parameter: constant, expression or lambda."""
        if not callable(parameter):
            return literal(parameter)
        if is_expression(parameter):
            try:
                return translate(parameter, scope)
            except UnsupportedError:
                pass
        context = self.context(scope)
        self.note("a lambda" if not is_expression(parameter) else "an expression")
        return Value(f"{self.w.bind('function', parameter)}({context})")

    def note(self, reason: str) -> None:
        self.fallbacks.setdefault(".".join(self.path) or "(message)", reason)

    def context(self, scope: Scope) -> str:
        levels: list[str] = []
        here: Scope | None = scope
        while here is not None:
            if here.node is not None:
                fields = [
                    f"{name!r}: {self.whole(value)}"
                    for name, value in here.fields.items()
                    if value is not LATER and not value.maybe
                ]
                fields += [f"**{source}" for _, source in here.spreads]
                if here.source is not None:
                    allowed = here.allowed
                    given = here.source
                    if allowed is not None:
                        names = self.w.bind("allowed", allowed, key=allowed)
                        given = f"{{k: v for k, v in {given}.items() if k in {names}}}"
                    fields.insert(0, f"**{given}")
                node = self.w.bind("node", here.node)
                levels.insert(0, f"({node}, {{{', '.join(fields)}}}, {here.index})")
            here = here.parent
        name = self.w.new("context")
        self.w.line(f"{name} = enter({', '.join(['BytesIO()', 'False', *levels])})")
        return name

    def kept(self, name: str, built: Value) -> None:
        """Write that the variable ``name`` is ``built``, if that may be wanted."""
        if self.keep:
            self.w.line(f"{name} = {self.whole(built)}")

    def whole(self, value: Value) -> str:
        """Source of a value that may be a struct just built."""
        if value is UNKNOWN:
            raise UnsupportedError("what it may need of the fields before it is not known")
        if value.scope is None:
            return value.source
        fields = [
            f"{name!r}: {self.whole(item)}"
            for name, item in value.scope.fields.items()
            if item is not LATER and not item.maybe
        ]
        fields += [f"**{source}" for _, source in value.scope.spreads]
        return f"Container({{{', '.join(fields)}}})"

    # -- dispatch -------------------------------------------------------------------------------

    def encode(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        """Encode ``value`` as ``node``; what construct calls the built value."""
        if isinstance(node, Renamed):
            if node.name:
                hint = node.name
                self.path.append(node.name)
            try:
                return self.encode(node.subcon, value, hint, scope)
            finally:
                if node.name:
                    self.path.pop()
        lines, depth, out, path = len(self.w.lines), self.w.depth, self.out, [*self.path]
        saved, fields, required = out.copy(), dict(scope.fields), set(self.required)
        index, spreads = scope.index, len(scope.spreads)
        try:
            handler = self.handlers.get(type(node)) or self.handlers.get(id(node))
            if handler is None:
                raise UnsupportedError(type(node).__name__)
            return handler(self, node, value, hint, scope)
        except UnsupportedError as error:
            del self.w.lines[lines:]
            self.w.depth, self.path, self.required = depth, path, required
            vars(out).update(vars(saved))
            self.out = out
            scope.index = index
            del scope.spreads[spreads:]
            scope.fields.clear()
            scope.fields.update(fields)
            return self.fallback(node, value, hint, scope, str(error))

    def fallback(self, node: Any, value: Value, hint: str, scope: Scope, reason: str) -> Value:
        """Leave ``node`` to construct."""
        looks = _looks_at_stream(node, set())
        if looks and (self.out.isolated or any(not s.source for s in self.out.slots)):
            raise UnsupportedError(f"{type(node).__name__} looks at the bytes before it")
        self.note(reason)
        context = self.context(scope)
        traced = self.w.bind("traced", self.tracer.copy(node), repr(node), id(node))
        built, data = self.w.new(f"{hint}_built"), self.w.new(f"{hint}_bytes")
        call = f"{traced}, {value.source}, {context}"
        if looks and self.out.parts:
            call += f", {self.settle('head')}"
            self.out.parts, self.out.fixed, self.out.varying = [], 0, []
            self.out.rewritten = True
        self.w.line(f"{built}, {data} = run_build({call})")
        self.part(data)
        return Value(built)

    # -- numbers, bytes, strings ----------------------------------------------------------------

    # -- mappings -------------------------------------------------------------------------------

    # -- structs --------------------------------------------------------------------------------

    # -- constants and computed values ----------------------------------------------------------

    # -- alternatives ---------------------------------------------------------------------------

    # -- arrays ---------------------------------------------------------------------------------

    # -- data within data -----------------------------------------------------------------------

    # -- bits -----------------------------------------------------------------------------------


def _pack_constant(order: str, item: Item) -> bytes | None:
    """The bytes of a constant in a run, or None if it is none, or does not fit."""
    if not item.value.known:
        return None
    try:
        return struct.pack(order + item.code, item.value.constant)
    except struct.error:
        return None


_LOOKS = {
    "Checksum",
    "Tell",
    "Seek",
    "Pointer",
    "Peek",
    "OffsettedEnd",
    "RawCopy",
    "Union",
    "LazyBound",
    "Padded",
    "Aligned",
}


def _looks_at_stream(node: Any, seen: set[int]) -> bool:
    """Whether ``node`` may look at, or move in, the stream that it is built into."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    kind = type(node)
    if kind.__name__ in _LOOKS and not (kind is Padded and node.subcon is Pass):
        return True
    ours = kind.__module__.startswith(("construct", "iotsim"))
    if not ours and not isinstance(node, Adapter):
        return True
    return any(_looks_at_stream(child, seen) for child in children(node))
