"""Generates the function that encodes: a dict to bytes.

The mirror of `iotsim.protocol.decoder`: fields of fixed size are collected into a run that one
struct.Struct packs, constants among them folded into bytes when the code is made. What has been
packed, and what is of varying size, are the *parts* of the output, joined at the end.

A length stands before the bytes that it counts. It is a `_Slot` in its run, which is packed only
when the sizes of the parts after it are known: at the end of its struct, or at a checksum.

What construct might accept although it is not what the code is made for (a bytearray, say) raises
Unusual, which no part of the generated code takes for a failure; the caller then asks construct.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from construct import (
    Adapter,
    Aligned,
    Array,
    BitsInteger,
    Bytes,
    BytesInteger,
    Check,
    Computed,
    Const,
    Construct,
    Container,
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
from .codegen import (
    NONE,
    UNMATCHED,
    Scope,
    Unmatched,
    UnsupportedError,
    Value,
    Writer,
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
from .decoder import checksum_call, switch_tests
from .interpreted import Tracer

_BIT_CODES = {1: "B", 2: "H", 4: "L", 8: "Q"}
UNKNOWN = Value("")
"""A field whose built value, with its defaults and rebuilt values, is nowhere as a whole."""
LATER = Value("")
"""A length: no value yet."""


@dataclass(eq=False)
class _Slot:
    """A length in a run, before it is known: the sizes counted so far, and its place in them."""

    length: Length
    fixed: int
    varying: int
    source: str = ""


@dataclass
class _Item:
    code: str
    value: Value
    order: str = ""
    slot: _Slot | None = None


@dataclass
class _Part:
    """Bytes of the output: a run still to be packed, or source that gives them."""

    items: list[_Item] | None
    source: str = ""


@dataclass
class _Output:
    """What has been encoded into one stream.

    Its size is ``fixed`` and the lengths of ``varying``. ``isolated``: it is only a piece of a
    stream, so that nothing in it can look back at what is before.
    """

    isolated: bool = False
    parts: list[_Part] = field(default_factory=list)
    fixed: int = 0
    varying: list[str] = field(default_factory=list)
    slots: list[_Slot] = field(default_factory=list)
    rewritten: bool = False

    def copy(self) -> _Output:
        parts = [
            _Part(None if part.items is None else [*part.items], part.source) for part in self.parts
        ]
        return _Output(
            self.isolated, parts, self.fixed, [*self.varying], [*self.slots], self.rewritten
        )


class Encoder:
    """Writes the body of ``encode(message)`` for one schema.

    ``known`` are fields of the root whose value is given. If ``bare``, the message has only the
    fields that it must have.
    """

    def __init__(
        self,
        writer: Writer,
        tracer: Tracer,
        strict: bool,
        fallbacks: dict[str, str],
        known: dict[str, Value] | None = None,
        bare: bool = False,
    ) -> None:
        self.w = writer
        self.tracer = tracer
        self.strict = strict
        self.fallbacks = fallbacks
        self.known = known or {}
        self.bare = bare
        self.out = _Output()
        self.path: list[str] = []
        self.required: set[str] = set()
        """The fields of the message that the code has taken without asking whether they are there."""
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
            parts.append(_Part(last))
        last.append(_Item(code, value, order, slot))
        self.out.fixed += size

    def push_bytes(self, constant: bytes) -> None:
        if constant:
            self.push(f"{len(constant)}s", len(constant), literal(constant))

    def part(self, source: str) -> None:
        """Add bytes of varying size; ``source`` is a variable."""
        self.out.parts.append(_Part(None, source))
        self.out.varying.append(f"len({source})")

    def pack(self, items: list[_Item]) -> Value:
        """A run, packed."""
        order = next((item.order for item in items if item.order), ">")
        codes: list[str] = []
        arguments: list[str] = []
        constant = b""
        for item in [*items, None]:
            if item is not None and item.slot is not None:
                item = _Item(item.code, self.slot_value(item.slot), item.order)
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

    def slot_value(self, slot: _Slot) -> Value:
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
        self.out.parts = [_Part(None, name)]
        return name

    @contextmanager
    def output(self, isolated: bool) -> Iterator[_Output]:
        """A stream of its own for what is encoded inside."""
        outer, self.out = self.out, _Output(isolated)
        try:
            yield self.out
        finally:
            self.out = outer

    def resolve_slots(self, slots: list[_Slot], start: tuple[int, int], rest: int) -> None:
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
                    if value is not LATER
                ]
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

    def whole(self, value: Value) -> str:
        """Source of a value that may be a struct just built."""
        if value is UNKNOWN:
            raise UnsupportedError("what it may need of the fields before it is not known")
        if value.scope is None:
            return value.source
        fields = [
            f"{name!r}: {self.whole(item)}"
            for name, item in value.scope.fields.items()
            if item is not LATER
        ]
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
        index = scope.index
        try:
            handler = _HANDLERS.get(type(node)) or _SINGLETONS.get(id(node))
            if handler is None:
                raise UnsupportedError(type(node).__name__)
            return handler(self, node, value, hint, scope)
        except UnsupportedError as error:
            del self.w.lines[lines:]
            self.w.depth, self.path, self.required = depth, path, required
            vars(out).update(vars(saved))
            self.out = out
            scope.index = index
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

    def format_field(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        order, code = struct_code(node) or ("", "")
        self.push(code, node.length, value, order)
        return value

    def flag(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        self.push("?", 1, value)
        return value

    def bytes_integer(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if not isinstance(node.length, int) or node.length <= 0 or callable(node.swapped):
            raise UnsupportedError("an integer of varying length or order")
        order: Literal["little", "big"] = "little" if node.swapped else "big"
        if value.known:
            if not isinstance(value.constant, int):
                raise UnsupportedError("a constant that is no integer")
            try:
                raw = int(value.constant).to_bytes(node.length, order, signed=bool(node.signed))
            except OverflowError as error:
                raise UnsupportedError(str(error)) from error
            self.push_bytes(raw)
            return value
        source = self.variable(value, hint)
        signed = ", signed=True" if node.signed else ""
        packed = Value(f"{source}.to_bytes({node.length}, {order!r}{signed})")
        self.push(f"{node.length}s", node.length, Value(self.variable(packed, f"{hint}_bytes")))
        return value

    def varint(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        function = "varint_bytes" if node is VarInt else "zigzag_bytes"
        self.part(self.variable(Value(f"{function}({value.source})"), f"{hint}_bytes"))
        return value

    def bytes_(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        length = self.evaluate(node.length, scope)
        if value.known and length.known and isinstance(value.constant, bytes):
            if len(value.constant) != length.constant:
                raise UnsupportedError("a constant of another length")
            self.push_bytes(value.constant)
            return value
        source = self.variable(value, hint)
        self.w.line(f"if {source}.__class__ is not bytes: raise not_bytes({source}, True)")
        self.refuse_if(f"len({source}) != {length.source}")
        if length.known and isinstance(length.constant, int) and length.constant >= 0:
            self.push(f"{length.constant:d}s", length.constant, Value(source))
        else:
            self.part(source)
        return Value(source, scalar=True)

    def greedy_bytes(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if value.known and isinstance(value.constant, bytes):
            self.push_bytes(value.constant)
            return value
        source = self.variable(value, hint)
        self.w.line(f"if {source}.__class__ is not bytes: raise not_bytes({source}, False)")
        self.part(source)
        return Value(source, scalar=True)

    def string(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if value.known and isinstance(value.constant, str):
            try:
                encoded = literal(value.constant.encode(node.encoding) if value.constant else b"")
            except UnicodeEncodeError as error:
                raise UnsupportedError(str(error)) from error
            self.encode(node.subcon, encoded, hint, scope)
            return value
        source = self.variable(value, hint)
        self.refuse_if(f"not isinstance({source}, str)")
        encoding = Value(f"{source}.encode({node.encoding!r}) if {source} else b''")
        self.encode(node.subcon, Value(self.variable(encoding, f"{hint}_bytes")), hint, scope)
        return Value(source, scalar=True)

    # -- mappings -------------------------------------------------------------------------------

    def enum(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        bare = unwrap(node.subcon)
        if not (is_int_node(bare) or isinstance(bare, BytesInteger) or bare in (VarInt, ZigZag)):
            raise UnsupportedError(f"names for {type(bare).__name__}")
        self.encode(node.subcon, self.enum_number(node, value, hint), hint, scope)
        return value

    def enum_number(self, node: Any, value: Value, hint: str) -> Value:
        table = {plain(name): int(number) for name, number in node.encmapping.items()}
        if value.known:
            if isinstance(value.constant, int):
                return value
            if value.constant not in table:
                raise UnsupportedError(f"{value.constant!r} is no name")
            return literal(table[value.constant])
        bound = self.w.bind("numbers", table, key=id(node))
        number = Value(f"{bound}.get({value.source}, {value.source})")
        return Value(self.variable(number, f"{hint}_number"))

    def flags(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        bare = unwrap(node.subcon)
        if not (is_int_node(bare) or isinstance(bare, BytesInteger) or bare in (VarInt, ZigZag)):
            raise UnsupportedError(f"flags of {type(bare).__name__}")
        self.encode(node.subcon, self.flags_number(node, value, hint), hint, scope)
        return value

    def flags_number(self, node: Any, value: Value, hint: str) -> Value:
        flags = {plain(name): int(bits) for name, bits in node.flags.items()}
        bound = self.w.bind("flags", flags, key=id(node))
        number = Value(f"flags_value({bound}, {value.source})")
        return Value(self.variable(number, f"{hint}_number"))

    def mapping(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        self.encode(node.subcon, self.mapped(node, value, hint), hint, scope)
        return value

    def mapped(self, node: Any, value: Value, hint: str) -> Value:
        table = {plain(key): plain(item) for key, item in node.encmapping.items()}
        bound = self.w.bind("numbers", table, key=id(node))
        return Value(self.variable(Value(f"{bound}[{value.source}]"), f"{hint}_number"))

    # -- structs --------------------------------------------------------------------------------

    def struct(self, node: Any, value: Value, hint: str, scope: Scope | None) -> Value:
        if value.known and value.constant is None:
            inner = Scope(scope, node, index=scope.index if scope else None)
        else:
            source = self.variable(value, hint)
            if scope is not None:
                self.w.line(f"if {source} is None: {source} = {{}}")
            inner = Scope(scope, node, source=source, index=scope.index if scope else None)
        names: list[str] = []
        sets: list[str] = []
        self.require_dict(node, inner.source)
        self.members(node, inner, names, sets)
        self.refuse_unknown(inner.source, names, sets)
        return Value("", scope=inner)

    def require_dict(self, node: Any, source: str | None) -> None:
        """Where nothing is taken from a struct's value, see that it is one that can be."""
        taken = (m for m in node.subcons if m.name and not isinstance(_bare(m), _IGNORES_VALUE))
        if source is not None and not any(taken):
            self.refuse_if(f"not isinstance({source}, Mapping)")

    def refuse_unknown(self, source: str | None, names: list[str], sets: list[str]) -> None:
        if source is None or not self.strict:
            return
        if sets:
            # `sets` are variables: frozensets of the names that a branch knows.
            known = " | ".join(
                [self.w.bind("fields", frozenset(names), key=frozenset(names)), *sets]
            )
            self.refuse_if(f"not ({known}).issuperset({source})")
            return
        known_names = frozenset(names)
        bound = self.w.bind(
            "known", known_names.issuperset, f"{set(names)!r}.issuperset", known_names
        )
        self.refuse_if(f"not {bound}({source})")

    def members(self, node: Any, scope: Scope, names: list[str], sets: list[str]) -> None:
        """Encode the members of a struct; add the names that it has to ``names`` or ``sets``."""
        if any(isinstance(_bare(member), StopIf) for member in node.subcons):
            raise UnsupportedError("StopIf")
        flat = isinstance(node, FlatStruct)
        start = self.out.fixed, len(self.out.varying)
        slots: list[_Slot] = []
        for index, member in enumerate(node.subcons):
            bare = _bare(member)
            if member.name:
                names.append(member.name)
            if isinstance(bare, Checksum) and any(not slot.source for slot in slots):
                sizes = [static_size(rest) for rest in node.subcons[index:]]
                rest = sum(size for size in sizes if size is not None)
                if None in sizes:
                    raise UnsupportedError("a Length with a varying size after the Checksum")
                self.resolve_slots(slots, start, rest)
            if flat and isinstance(bare, Length):
                slots.append(self.length(bare))
                if member.name:
                    scope.fields[member.name] = LATER
                continue
            if flat and not member.name and flat_names(member):
                self.embed(member, scope, names, sets)
                continue
            value = self.fetch(member, scope)
            built = self.encode(member, value, "unnamed", scope)
            if member.name:
                scope.fields[member.name] = built
        self.resolve_slots([slot for slot in slots if not slot.source], start, 0)

    def length(self, node: Length) -> _Slot:
        code = struct_code(node.subcon)
        size = static_size(node.subcon)
        if code is None or size is None:
            raise UnsupportedError("a Length that is no plain integer")
        slot = _Slot(node, 0, 0)
        self.push(code[1], size, LATER, code[0], slot)
        slot.fixed, slot.varying = self.out.fixed, len(self.out.varying)
        self.out.slots.append(slot)
        return slot

    def fetch(self, member: Any, scope: Scope) -> Value:
        """The value that is given for a member."""
        name, source = member.name, scope.source
        bare = _bare(member)
        if scope.parent is None and name in self.known:
            self.required.add(name)
            return self.known[name]
        if not name or isinstance(bare, _IGNORES_VALUE):
            return NONE
        if source is None:
            if not member.flagbuildnone:
                raise UnsupportedError(f"{name} is needed and not given")
            return NONE
        if self.bare and self.at_root(scope) and member.flagbuildnone:
            return NONE
        variable = self.w.new(name)
        if member.flagbuildnone:
            self.w.line(f"{variable} = {source}.get({name!r})")
        else:
            self.w.line(f"{variable} = {source}[{name!r}]")
            if self.at_root(scope):
                self.required.add(name)
        return Value(variable)

    def at_root(self, scope: Scope) -> bool:
        return scope.source == "message"

    def embed(self, member: Any, scope: Scope, names: list[str], sets: list[str]) -> None:
        """An unnamed member of a FlatStruct, built from the same mapping."""
        bare = self.resolve(_bare(member), scope)
        if bare is Pass:
            return
        allowed = frozenset(flat_names(member))
        if isinstance(bare, Struct):
            inner = Scope(scope, bare, source=scope.source, allowed=allowed, index=scope.index)
            self.members(bare, inner, names, sets)
        elif isinstance(bare, Transformed) and isinstance(_bare(bare.subcon), Struct):
            struct_ = _bare(bare.subcon)
            inner = Scope(scope, struct_, source=scope.source, allowed=allowed, index=scope.index)
            writer = _Bits(self)
            writer.members(struct_, inner)
            writer.finish(bare)
            names.extend(m.name for m in struct_.subcons if m.name)
        elif isinstance(bare, Switch | IfThenElse):
            self.embed_branches(bare, scope, allowed, sets)
            for name in allowed:
                scope.fields[name] = UNKNOWN
            return
        else:
            raise UnsupportedError(f"{type(bare).__name__} of fields")
        scope.fields.update(inner.fields)

    def embed_branches(
        self, node: Any, scope: Scope, allowed: frozenset[str], sets: list[str]
    ) -> None:
        self.branched = True
        data, known = self.w.new("body"), self.w.new("known_here")
        for header, case in self.tests(node, scope):
            names: list[str] = []
            inner_sets: list[str] = []
            with self.w.block(header), self.output(isolated=True):
                if case is UNMATCHED:
                    self.w.line("raise Mismatch")
                    continue
                struct_ = _bare(case)
                if struct_ is not Pass:
                    inner = Scope(
                        scope, struct_, source=scope.source, allowed=allowed, index=scope.index
                    )
                    if isinstance(struct_, Struct):
                        self.members(struct_, inner, names, inner_sets)
                    else:
                        self.embed(case, scope.copy(), names, inner_sets)
                self.w.line(f"{data} = {self.joined().source}")
                bound = self.w.bind("fields", frozenset(names), key=frozenset(names))
                self.w.line(f"{known} = {' | '.join([bound, *inner_sets])}")
        self.part(data)
        sets.append(known)

    def resolve(self, node: Any, scope: Scope) -> Any:
        if isinstance(node, Switch | IfThenElse):
            chosen = self.certain(node, scope)
            return node if chosen is None else self.resolve(_bare(chosen), scope)
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

    def sequence(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if value.known:
            raise UnsupportedError("a Sequence of nothing")
        if any(isinstance(_bare(member), StopIf) for member in node.subcons):
            raise UnsupportedError("StopIf")
        inner = Scope(scope, node, index=scope.index)
        names = [self.w.new(f"{hint}_{index}") for index in range(len(node.subcons))]
        self.w.line(f"{', '.join([*names, '*_'])} = {value.source}")
        for name, member in zip(names, node.subcons, strict=True):
            built = self.encode(member, Value(name), hint, inner)
            if member.name:
                inner.fields[member.name] = built
        return UNKNOWN

    def focused(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if not isinstance(node.parsebuildfrom, str):
            raise UnsupportedError("FocusedSeq of a varying member")
        inner = Scope(scope, node, index=scope.index)
        source = Value(self.variable(value, hint))
        inner.fields[node.parsebuildfrom] = source
        path = [*self.path]
        built = UNKNOWN
        for member in node.subcons:
            selected = member.name == node.parsebuildfrom
            child = member.subcon if isinstance(member, Renamed) else member
            result = self.encode(child, source if selected else NONE, member.name or hint, inner)
            if member.name:
                inner.fields[member.name] = result
            if selected:
                built = result
        self.path = path
        return built

    # -- constants and computed values ----------------------------------------------------------

    def const(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        constant = literal(node.value)
        if not (value.known and value.constant is None):
            self.refuse_if(f"{value.source} is not None and {value.source} != {constant.source}")
        self.encode(node.subcon, constant, hint, scope)
        return constant

    def computed(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if not callable(node.func):
            return Value(self.w.bind("constant", node.func))
        result = self.evaluate(node.func, scope)
        return result if result.known else Value(self.variable(result, hint))

    def rebuild(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        result = self.evaluate(node.func, scope)
        if not result.known:
            result = Value(self.variable(result, hint))
        return self.encode(node.subcon, result, hint, scope)

    def default(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if value.known and value.constant is None:
            return self.encode(node.subcon, self.default_value(node, hint, scope), hint, scope)
        source = self.variable(value, hint)
        with self.w.block(f"if {source} is None:"):
            self.w.line(f"{source} = {self.default_value(node, hint, scope).source}")
        return self.encode(node.subcon, Value(source), hint, scope)

    def default_value(self, node: Any, hint: str, scope: Scope) -> Value:
        if not callable(node.value):
            try:
                return literal(node.value)
            except UnsupportedError:
                return Value(self.w.bind("default", node.value))
        result = self.evaluate(node.value, scope)
        return result if result.known else Value(self.variable(result, hint))

    def transparent(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        self.encode(node.subcon, value, hint, scope)
        return value

    def checksum(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if self.out.isolated:
            raise UnsupportedError("a Checksum whose bytes are not all here")
        start = self.evaluate(node.start, scope)
        head = self.settle("head")
        if not start.known:
            self.refuse_if(f"not 0 <= {start.source} <= len({head})")
        elif not isinstance(start.constant, int) or start.constant < 0:
            raise UnsupportedError("a start before the message")
        elif start.constant:
            self.refuse_if(f"len({head}) < {start.constant}")
        covered = head if start.source == "0" else f"{head}[{start.source}:]"
        result = self.variable(Value(checksum_call(self.w, node.function, covered)), hint)
        self.encode(node.subcon, Value(result), hint, scope)
        return Value(result, scalar=True)

    def check(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        self.refuse_if(f"not ({self.evaluate(node.func, scope).source})")
        return NONE

    def error(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        self.w.line("raise ExplicitError")
        return NONE

    def unmatched(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        self.w.line("raise Mismatch")
        return NONE

    def nothing(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        return value

    def tell(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if self.out.isolated:
            raise UnsupportedError("Tell, where the position is not known")
        if not self.out.varying:
            return literal(self.out.fixed)
        terms = [*self.out.varying, str(self.out.fixed)]
        return Value(self.variable(Value(" + ".join(terms)), hint), scalar=True)

    # -- alternatives ---------------------------------------------------------------------------

    def tests(self, node: Any, scope: Scope) -> list[tuple[str, Any]]:
        """The headers and nodes of the branches of a Switch or an If."""
        if isinstance(node, IfThenElse):
            condition = self.evaluate(node.condfunc, scope)
            return [(f"if {condition.source}:", node.thensubcon), ("else:", node.elsesubcon)]
        key = self.evaluate(node.keyfunc, scope)
        default = UNMATCHED if self.strict and node.default is Pass else node.default
        if not node.cases:
            return [("if True:", default)]
        tests = switch_tests(self.w, node, key, self.w.new)
        headers = [f"{'el' if index else ''}if {test}:" for index, (test, _) in enumerate(tests)]
        cases = [case for _, case in tests]
        return [*zip(headers, cases, strict=True), ("else:", default)]

    def alternatives(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        chosen = self.certain(node, scope)
        if chosen is not None:
            return self.encode(chosen, value, hint, scope)
        if not value.known:
            value = Value(self.variable(value, hint))
        data = self.w.new(f"{hint}_bytes")
        tests, index = self.tests(node, scope), scope.index
        for header, case in tests:
            scope.index = index
            with self.w.block(header), self.output(isolated=True):
                self.encode(case, value, hint, scope)
                self.w.line(f"{data} = {self.joined().source}")
        self.part(data)
        scope.index = index
        simple = all(_returns_value(case) for _, case in tests)
        return value if simple else UNKNOWN

    def select(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if len(node.subcons) != 2 or node.subcons[1] is not Pass:
            raise UnsupportedError("Select")
        if not value.known:
            value = Value(self.variable(value, hint))
        data = self.w.new(f"{hint}_bytes")
        if _uses_context(node.subcons[0], set()):
            raise UnsupportedError("Optional of what depends on other fields")
        with self.w.block("try:"), self.output(isolated=True):
            self.encode(node.subcons[0], value, hint, scope)
            self.w.line(f"{data} = {self.joined().source}")
        self.w.line("except ExplicitError:")
        self.w.line("    raise")
        self.w.line("except Exception:")
        self.w.line(f"    {data} = b''")
        self.part(data)
        return value if _returns_value(node.subcons[0]) else UNKNOWN

    # -- arrays ---------------------------------------------------------------------------------

    def array(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if value.known or node.discard:
            raise UnsupportedError("an array of nothing")
        source = self.variable(value, hint)
        if isinstance(node, Array):
            count = self.evaluate(node.count, scope)
            self.refuse_if(f"len({source}) != {count.source}")
        code = struct_code(unwrap(node.subcon))
        data = self.w.new(f"{hint}_bytes")
        if code is not None and isinstance(node, Array):
            form = f"f'{code[0] or '>'}{{len({source})}}{code[1]}'"
            self.w.line(f"{data} = pack({form}, *{source})")
            scope.index = f"(len({source}) - 1 if {source} else {scope.index})"
        else:
            self.elements(node, source, data, hint, scope)
        self.part(data)
        return Value(source) if _returns_value(node.subcon) else UNKNOWN

    def elements(self, node: Any, source: str, data: str, hint: str, scope: Scope) -> None:
        parts = self.w.new(f"{hint}_parts")
        index, item = self.w.new("index"), self.w.new(re.sub(r"s\Z", "", hint))
        self.w.line(f"{parts} = []")
        self.w.line(f"{index} = {scope.index}")
        # construct, too, leaves the last index in the context.
        scope.index = index
        header = f"for {index}, {item} in enumerate({source}):"
        with self.w.block(header), self.output(isolated=True):
            self.encode(node.subcon, Value(item), hint, scope)
            self.w.line(f"{parts}.append({self.joined().source})")
        self.w.line(f"{data} = b''.join({parts})")

    # -- data within data -----------------------------------------------------------------------

    def inside(
        self, node: Any, value: Value, hint: str, scope: Scope, isolated: bool
    ) -> tuple[Value, Value]:
        """Encode into bytes of their own: those, and the built value."""
        with self.output(isolated):
            built = self.encode(node, value, hint, scope)
            return self.joined(), built

    def prefixed(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        inner, built = self.inside(node.subcon, value, hint, scope, isolated=False)
        data = self.variable(inner, f"{hint}_bytes")
        length = f"len({data})"
        if node.includelength:
            size = static_size(node.lengthfield)
            if size is None:
                raise UnsupportedError("a length of varying length")
            length += f" + {size}"
        self.encode(node.lengthfield, Value(length), "length", scope)
        self.part(data)
        return built

    def fixed_sized(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        length = self.evaluate(node.length, scope)
        inner, built = self.inside(node.subcon, value, hint, scope, isolated=False)
        self.fill(inner, length, b"\x00", hint)
        return built

    def fill(self, value: Value, length: Value, pattern: bytes, hint: str) -> None:
        """Add bytes padded to a length, which they must not exceed."""
        if value.known and length.known and len(value.constant) <= length.constant:
            self.push_bytes(value.constant.ljust(length.constant, pattern))
            return
        data = self.variable(value, f"{hint}_bytes")
        self.refuse_if(f"len({data}) > {length.source}")
        if length.known and isinstance(length.constant, int) and length.constant >= 0:
            padded = Value(f"{data}.ljust({length.constant}, {pattern!r})")
            filled = Value(self.variable(padded, f"{hint}_bytes"))
            self.push(f"{length.constant:d}s", length.constant, filled)
            return
        self.part(
            self.variable(Value(f"{data}.ljust({length.source}, {pattern!r})"), f"{hint}_bytes")
        )

    def null_terminated(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        built = self.encode(node.subcon, value, hint, scope)
        self.push_bytes(node.term)
        return built

    def null_stripped(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        return self.encode(node.subcon, value, hint, scope)

    def padded(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        length = self.evaluate(node.length, scope)
        if node.subcon is Pass and length.known and isinstance(length.constant, int):
            if length.constant < 0:
                raise UnsupportedError("a negative length")
            self.push_bytes(node.pattern * length.constant)
            return NONE
        inner, built = self.inside(node.subcon, value, hint, scope, isolated=True)
        self.fill(inner, length, node.pattern, hint)
        return built

    def aligned(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        if not isinstance(node.modulus, int) or node.modulus < 2:
            raise UnsupportedError("a modulus that is none")
        inner, built = self.inside(node.subcon, value, hint, scope, isolated=True)
        data = self.variable(inner, f"{hint}_bytes")
        padding = f"{node.pattern!r} * (-len({data}) % {node.modulus})"
        self.part(self.variable(Value(f"{data} + {padding}"), f"{hint}_bytes"))
        return built

    # -- bits -----------------------------------------------------------------------------------

    def transformed(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        writer = _Bits(self)
        inner = _bare(node.subcon)
        if not isinstance(inner, Struct):
            built = writer.encode(node.subcon, value, hint, scope)
            writer.finish(node)
            return built
        if value.known and value.constant is None:
            fields = Scope(scope, inner, index=scope.index)
            writer.members(inner, fields)
            writer.finish(node)
            return Value("", scope=fields)
        source = self.variable(value, hint)
        self.w.line(f"if {source} is None: {source} = {{}}")
        fields = Scope(scope, inner, source=source, index=scope.index)
        self.require_dict(inner, source)
        writer.members(inner, fields)
        writer.finish(node)
        self.refuse_unknown(source, [m.name for m in inner.subcons if m.name], [])
        return Value("", scope=fields)


class _Bits:
    """Puts fields into the bits of a number."""

    def __init__(self, encoder: Encoder) -> None:
        self.e = encoder
        self.terms: list[tuple[Value, int]] = []

    def finish(self, node: Any) -> None:
        """Add the number to the run of the encoder."""
        if node.decodefunc is not bytes2bits or node.encodefunc is not bits2bytes:
            raise UnsupportedError("Transformed")
        size = node.encodeamount
        left = sum(count for _, count in self.terms)
        if not isinstance(size, int) or size < 1 or left != 8 * size:
            raise UnsupportedError("Bitwise of varying length")
        constant = 0
        sources: list[str] = []
        for value, count in self.terms:
            left -= count
            if value.known:
                constant |= int(value.constant) << left
            else:
                sources.append(f"{value.source} << {left}" if left else value.source)
        if constant or not sources:
            sources.append(str(constant))
        word = literal(constant) if sources == [str(constant)] else Value(" | ".join(sources))
        code = _BIT_CODES.get(size)
        if code is not None:
            self.e.push(code, size, word, ">" if size > 1 else "")
            return
        packed = self.e.variable(Value(f"({word.source}).to_bytes({size}, 'big')"), "bits")
        self.e.push(f"{size}s", size, Value(packed))

    def members(self, node: Any, scope: Scope) -> None:
        if type(node) not in (Struct, FlatStruct):
            raise UnsupportedError(type(node).__name__)
        for member in node.subcons:
            if isinstance(node, FlatStruct) and (
                (not member.name and flat_names(member)) or isinstance(_bare(member), Length)
            ):
                raise UnsupportedError("a FlatStruct of bits")
            built = self.encode(member, self.e.fetch(member, scope), "unnamed", scope)
            if member.name:
                scope.fields[member.name] = built

    def put(self, value: Value, count: Any, signed: bool = False) -> None:
        if not isinstance(count, int) or count < 1:
            raise UnsupportedError("bits of varying length")
        low, high = (
            (-(1 << (count - 1)), (1 << (count - 1)) - 1) if signed else (0, (1 << count) - 1)
        )
        mask = (1 << count) - 1
        if value.known:
            if not isinstance(value.constant, int) or not low <= value.constant <= high:
                raise UnsupportedError("a constant that does not fit")
            self.terms.append((literal(int(value.constant) & mask), count))
            return
        source = self.e.variable(value, "bits")
        self.e.refuse_if(f"not {low} <= {source} <= {high}")
        # A float passes the comparison, but none of what is done with the bits then.
        self.terms.append((Value(f"({source} & {mask})" if signed else source), count))

    def encode(self, node: Any, value: Value, hint: str, scope: Scope) -> Value:
        hint = node.name or hint
        node = _bare(node)
        e = self.e
        kind = type(node)
        if kind is BitsInteger:
            if node.swapped or callable(node.signed):
                raise UnsupportedError("swapped bits")
            self.put(value, node.length, bool(node.signed))
            return value
        if node is Flag:
            if value.known:
                self.terms.append((literal(1 if value.constant else 0), 1))
            else:
                self.terms.append((Value(f"(1 if {value.source} else 0)"), 1))
            return value
        if kind in (Enum, FlagsEnum, ConstructMapping):
            if kind is not ConstructMapping and type(_bare(node.subcon)) is not BitsInteger:
                raise UnsupportedError(f"names for {type(_bare(node.subcon)).__name__}")
            number = {
                Enum: e.enum_number,
                FlagsEnum: e.flags_number,
                ConstructMapping: e.mapped,
            }[kind](node, value, hint)
            self.encode(node.subcon, number, hint, scope)
            return value
        if kind is Const:
            constant = literal(node.value)
            if not (value.known and value.constant is None):
                e.refuse_if(f"{value.source} is not None and {value.source} != {constant.source}")
            self.encode(node.subcon, constant, hint, scope)
            return constant
        if kind is Default:
            if value.known and value.constant is None:
                return self.encode(node.subcon, e.default_value(node, hint, scope), hint, scope)
            source = e.variable(value, hint)
            with e.w.block(f"if {source} is None:"):
                e.w.line(f"{source} = {e.default_value(node, hint, scope).source}")
            return self.encode(node.subcon, Value(source), hint, scope)
        if kind is Rebuild:
            result = e.evaluate(node.func, scope)
            if not result.known:
                result = Value(e.variable(result, hint))
            return self.encode(node.subcon, result, hint, scope)
        if kind in (Hex, HexDump):
            return self.encode(node.subcon, value, hint, scope)
        if kind is Padded and node.subcon is Pass:
            if not isinstance(node.length, int) or node.length < 0 or node.pattern != b"\x00":
                raise UnsupportedError("padding of an uncommon kind")
            if node.length:
                self.terms.append((literal(0), node.length))
            return NONE
        if kind is Computed:
            return e.computed(node, value, hint, scope)
        if node is Pass:
            return value
        raise UnsupportedError(f"{type(node).__name__} in bits")


_IGNORES_VALUE = (Computed, Rebuild, Checksum, Length, Check)


def _bare(node: Any) -> Any:
    while isinstance(node, Renamed):
        node = node.subcon
    return node


def root(encoder: Encoder, message: Construct[Any, Any]) -> None:
    """Write the whole of encode: its last line returns the bytes."""
    bare = unwrap(message)
    if type(bare) in (Struct, FlatStruct):
        names: list[str] = []
        sets: list[str] = []
        scope = Scope(None, bare, source="message")
        encoder.members(bare, scope, names, sets)
        if not encoder.bare:
            encoder.refuse_unknown("message", names, sets)
    else:
        encoder.encode(bare, Value("message"), "value", Scope())
    encoder.w.line(f"return {encoder.joined().source}")


def _pack_constant(order: str, item: _Item) -> bytes | None:
    """The bytes of a constant in a run, or None if it is none, or does not fit."""
    if not item.value.known:
        return None
    try:
        return struct.pack(order + item.code, item.value.constant)
    except struct.error:
        return None


def _returns_value(node: Any) -> bool:
    """Whether building ``node`` gives back what it was given."""
    bare = _bare(node)
    if bare is Pass or struct_code(bare) is not None or bare in (VarInt, ZigZag):
        return True
    return isinstance(bare, BytesInteger | BitsInteger | Enum | FlagsEnum | StringEncoded)


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


def _children(node: Any) -> Iterator[Any]:
    for value in vars(node).values():
        values = value if isinstance(value, list) else [value]
        if isinstance(value, dict):
            values = list(value.values())
        yield from (child for child in values if isinstance(child, Construct))


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
    return any(_looks_at_stream(child, seen) for child in _children(node))


def _uses_context(node: Any, seen: set[int]) -> bool:
    """Whether a parameter in ``node`` is an expression or a lambda."""
    if id(node) in seen:
        return False
    seen.add(id(node))
    own = any(
        callable(value)
        for name, value in vars(node).items()
        if name in {"length", "count", "keyfunc", "condfunc", "func", "value", "start"}
    )
    return own or any(_uses_context(child, seen) for child in _children(node))


_Handler = Callable[[Encoder, Any, Value, str, Scope], Value]
_HANDLERS: dict[type[Any], _Handler] = {
    FormatField: Encoder.format_field,
    BytesInteger: Encoder.bytes_integer,
    Bytes: Encoder.bytes_,
    StringEncoded: Encoder.string,
    Enum: Encoder.enum,
    FlagsEnum: Encoder.flags,
    ConstructMapping: Encoder.mapping,
    Struct: Encoder.struct,
    FlatStruct: Encoder.struct,
    Sequence: Encoder.sequence,
    FocusedSeq: Encoder.focused,
    Const: Encoder.const,
    Computed: Encoder.computed,
    Rebuild: Encoder.rebuild,
    Default: Encoder.default,
    Hex: Encoder.transparent,
    HexDump: Encoder.transparent,
    Checksum: Encoder.checksum,
    Check: Encoder.check,
    IfThenElse: Encoder.alternatives,
    Switch: Encoder.alternatives,
    Select: Encoder.select,
    Array: Encoder.array,
    GreedyRange: Encoder.array,
    Prefixed: Encoder.prefixed,
    FixedSized: Encoder.fixed_sized,
    NullTerminated: Encoder.null_terminated,
    NullStripped: Encoder.null_stripped,
    Padded: Encoder.padded,
    Aligned: Encoder.aligned,
    Transformed: Encoder.transformed,
    Unmatched: Encoder.unmatched,
}
_SINGLETONS: dict[int, _Handler] = {
    id(Flag): Encoder.flag,
    id(VarInt): Encoder.varint,
    id(ZigZag): Encoder.varint,
    id(GreedyBytes): Encoder.greedy_bytes,
    id(Pass): Encoder.nothing,
    id(Error): Encoder.error,
    id(Terminated): Encoder.nothing,
    id(Tell): Encoder.tell,
}


HELPERS: dict[str, Any] = {
    "BytesIO": io.BytesIO,
    "Container": Container,
    "Mapping": Mapping,
    "pack": struct.pack,
    "run_build": runtime.run_build,
    "varint_bytes": runtime.varint_bytes,
    "zigzag_bytes": runtime.zigzag_bytes,
    "flags_value": runtime.flags_value,
    "not_bytes": runtime.not_bytes,
}
