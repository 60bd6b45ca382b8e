"""`Encoder`: generates the function that encodes, a dict to bytes.

As in `iotsim.protocol.generate.reading`, fields of fixed size are collected into a run that one
struct.Struct packs, constants among them folded into bytes when the code is made. What has been packed,
and what is of varying size, are the *parts* of the output, joined at the end.

A length stands before the bytes that it counts. It is a `Slot` in its run, which is packed only when the
sizes of the parts after it are known: at the end of its struct, or at a checksum.

What construct might accept although it is not what the code is made for (a bytearray, say) raises Unusual,
which no part of the generated code takes for a failure; the caller then asks construct.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import TYPE_CHECKING

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.generator import Generator, Task
from iotsim.protocol.generate.source import NONE, Scope, UnsupportedError, Value, literal

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(eq=False)
class Slot:
    """A length in a run, before it is known: the sizes counted so far, and its place in them."""

    length: n.Length
    fixed: int
    varying: int
    source: str = ""


@dataclass(eq=False)
class Item:
    code: str
    value: Value
    order: str = ""
    slot: Slot | None = None


@dataclass(eq=False)
class Part:
    """Bytes of the output: a run still to be packed, or source that gives them."""

    items: list[Item] | None
    source: str = ""


@dataclass(eq=False)
class Output:
    """What has been encoded into one stream.

    Its size is ``fixed`` and the lengths of ``varying``. ``isolated``: it is only a piece of a stream, so
    that nothing in it can look back at what is before. ``full``: its last part is read up to the end of the
    stream, whatever comes after it.
    """

    isolated: bool = False
    full: bool = False
    parts: list[Part] = field(default_factory=list)
    fixed: int = 0
    varying: list[str] = field(default_factory=list)


class Encoder(Generator):
    """Writes the body of ``encode(message)`` for one schema.

    ``bare``  whether the message has only the fields that it must have
    ``told``  whether the code also gives what decoding its bytes would
    """

    def __init__(self, task: Task, *, bare: bool, told: bool) -> None:
        super().__init__(task)
        self.bare = bare
        self.told = told
        self.out = Output()
        self.terms: list[tuple[Value, int]] | None = None
        """The bits of a word so far, and how many each is."""
        self.required: set[str] = set()
        """The fields of the message that the code has taken without asking whether they are there."""
        self.omitted: set[str] = set()
        """Those that a bare message does not have."""
        self.bytes: set[str] = set()
        """Variables that certainly are bytes."""
        self.branched = False
        """Whether which fields the message has depends on their values."""
        self.greedy: set[str] = set()
        """Variables with pieces, still to be added, that are read up to the end of the stream."""

    def encode(self, node: n.Node, value: Value, hint: str, scope: Scope) -> Value:
        """Encode ``value`` as ``node``; what construct calls the built value."""
        return encode(node, self, value, hint, scope)

    # -- output ---------------------------------------------------------------------------------

    def push(
        self, code: str, size: int, value: Value, order: str = "", slot: Slot | None = None
    ) -> None:
        """Add a field to the run."""
        self.go_on()
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

    def part(self, source: str, full: bool = False) -> None:
        """Add bytes of varying size; ``source`` is a variable, ``full`` as in `Output`."""
        self.go_on()
        self.out.parts.append(Part(None, source))
        self.out.varying.append(f"len({source})")
        self.out.full = full or source in self.greedy
        self.greedy.discard(source)

    def go_on(self) -> None:
        """There is more to come in this stream."""
        if self.told and self.out.full:
            raise UnsupportedError("bytes after those that are read up to the end")

    def pack(self, items: list[Item]) -> Value:
        """A run, packed."""
        order = next((item.order for item in items if item.order), ">")
        codes: list[str] = []
        arguments: list[str] = []
        constant = b""
        for item in [*items, None]:
            if item is not None and item.slot is not None:
                item = Item(item.code, _slot_value(item.slot), item.order)
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
        call = self.w.struct("pack", order + "".join(codes))
        return Value(f"{call}({', '.join(arguments)})")

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
        name = self.w.let(hint, self.joined().source)
        self.out.parts = [Part(None, name)]
        return name

    @contextmanager
    def output(self, isolated: bool) -> Iterator[None]:
        """A stream of its own for what is encoded inside."""
        outer, self.out = self.out, Output(isolated)
        yield
        self.out = outer

    @contextmanager
    def piece(self, data: str) -> Iterator[None]:
        """What is encoded inside becomes the variable ``data``, to be added to the output later."""
        with self.output(isolated=True):
            yield
            self.w.line(f"{data} = {self.joined().source}")
            if self.out.full:
                self.greedy.add(data)

    @contextmanager
    def branch(self, header: str) -> Iterator[None]:
        """A block for one of several alternatives. If what this one writes cannot be told, all is as if it
        had not been begun, and a message that takes it is decoded again; for the others that need not be."""
        state = {
            name: value.copy() if isinstance(value, list | set) else value
            for name, value in vars(self).items()
        }
        with self.w.block(header):
            lines, depth = len(self.w.lines), self.w.depth
            try:
                yield
            except UnsupportedError:
                if not self.told:
                    raise
                vars(self).update(state)
                del self.w.lines[lines:]
                self.w.depth = depth
                self.w.line("raise Unusual")

    def inside(
        self, node: n.Node, value: Value, hint: str, scope: Scope, isolated: bool = False
    ) -> tuple[Value, Value]:
        """Encode into bytes of their own: those, and the built value."""
        with self.output(isolated):
            built = self.encode(node, value, hint, replace(scope, outside=True))
            return self.joined(), built

    def resolve_slots(self, slots: list[Slot], start: tuple[int, int], rest: int) -> None:
        """Fill in lengths, ``rest`` bytes before the end of their struct."""
        out = self.out
        for slot in slots:
            fixed, varying = (slot.fixed, slot.varying) if slot.length.rest else start
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

    # -- values --------------------------------------------------------------------------------

    def tell(self) -> Value:
        """The offset in the stream."""
        if self.out.isolated or self.terms is not None:
            raise UnsupportedError("an offset that is not known")
        if not self.out.varying:
            return literal(self.out.fixed)
        return Value(f"({' + '.join([*self.out.varying, str(self.out.fixed)])})", scalar=True)

    def integer(self, value: Value) -> Value:
        """An integer that has been encoded, and comes back from the wire as it is; a line sees to that."""
        wire: str | None = value.source
        if value.known:
            wire = repr(int(value.constant)) if isinstance(value.constant, int) else None
        elif self.told:
            self.w.line(f"if {value.source}.__class__ is not int: raise Unusual")
        return replace(value, wire=wire)

    def wire_of(self, built: Value) -> str:
        """Source of what decoding the encoded value gives, if that is to be told."""
        if not self.told:
            return ""
        if built.wire is None:
            raise UnsupportedError("what the wire carries is not known")
        return built.wire

    def keep_wire(self, name: str, built: Value) -> None:
        """Let the variable ``name`` be what decoding the encoded value gives, if that is to be told."""
        wire = self.wire_of(built)
        if wire:
            self.w.line(f"{name} = {wire}")

    def fetch(self, member: n.Member, scope: Scope) -> Value:
        """The value that is given for a member."""
        name, source, node = member.name, scope.source, member.node
        at_root = source == "message"
        if scope.parent is None and name in self.known:
            self.required.add(name)
            return self.known[name]
        if isinstance(node, IGNORES_VALUE):
            return NONE
        chosen = self.decided(node, scope)
        needed = chosen.given and not isinstance(chosen, n.Choice)
        if not name:
            if needed:
                self.w.line("raise Mismatch  # nothing can be given for it")
            return NONE
        if source is None:
            if needed:
                raise UnsupportedError(f"{name} is needed and not given")
            return NONE
        if self.bare and at_root and not needed:
            self.omitted.add(name)
            return NONE
        variable = self.w.new(name)
        if needed:
            self.w.line(f"{variable} = {source}[{name!r}]")
            if at_root:
                self.required.add(name)
        else:
            self.w.line(f"{variable} = {source}.get({name!r})")
        return Value(variable)


@singledispatch
def encode(node: n.Node, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    """What writes a node; the other modules of this package register a function for each kind.

    A node that has none is left to construct, if that can do it alone.
    """
    native = e.native(node, among_bits=e.terms is not None)
    built, data = e.w.new(f"{hint}_built"), e.w.new(f"{hint}_bytes")
    e.w.line(f"{built}, {data} = build({native}, {value.source})")
    e.part(data)
    return Value(built)


IGNORES_VALUE = (
    n.Computed,
    n.Rebuilt,
    n.Checksum,
    n.Hashed,
    n.Length,
    n.Check,
    n.Nothing,
    n.Fail,
    n.End,
    n.Tell,
)
"""Nodes to which it is all the same what they are given."""


def _slot_value(slot: Slot) -> Value:
    if not slot.source:
        raise UnsupportedError("a length that is not known yet")
    return literal(int(slot.source)) if slot.source.isdigit() else Value(slot.source)


def _pack_constant(order: str, item: Item) -> bytes | None:
    """The bytes of a constant in a run, or None if it is none, or does not fit."""
    if not item.value.known:
        return None
    try:
        return struct.pack(order + item.code, item.value.constant)
    except struct.error:
        return None
