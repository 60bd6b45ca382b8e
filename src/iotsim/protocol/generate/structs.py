"""Structs, with the `Length`s and the unnamed structs of a `FlatStruct`, and sequences; the whole message."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from iotsim.protocol import nodes as n
from iotsim.protocol.generate.choices import encode_choice
from iotsim.protocol.generate.computed import write_native
from iotsim.protocol.generate.numeric import read_word, write_word
from iotsim.protocol.generate.reading import Decoder, Position, decode
from iotsim.protocol.generate.source import (
    NONE,
    UNKNOWN,
    Scope,
    UnsupportedError,
    Value,
    copied,
    literal,
)
from iotsim.protocol.generate.writing import IGNORES_VALUE, Encoder, Slot, encode
from iotsim.protocol.values import is_alike

# -- decoding ---------------------------------------------------------------------------------------


def decode_message(d: Decoder, message: n.Node) -> None:
    """Write the whole of decode: its last line returns the message."""
    if isinstance(message, n.Struct):
        result = _Reading(d, message, Scope(None)).display()
    else:
        value = d.decode(message, "value", Scope(top=True))
        d.flush()
        d.w.line(f"if {value.source}.__class__ is not dict: raise Mismatch")
        result = value.shown
    if not d.strict:
        d.flush()
    elif not d.flush_whole() and (end := str(d.place.position)) != "len(data)":
        d.w.line(f"if len(data) != {end}: raise Mismatch")
    d.w.line(f"return {result}")


@decode.register(n.Struct)
def decode_struct(node: n.Struct, d: Decoder, hint: str, scope: Scope) -> Value:
    inner = Scope(scope)
    reading = _Reading(d, node, inner)
    name = d.w.new(hint)
    d.after(f"{name} = {reading.display()}")
    return Value(name, scope=inner, murky=reading.odd)


class _Reading:
    """The members of a struct, which it reads: those that are shown, and whether any of them is odd."""

    def __init__(self, d: Decoder, node: n.Struct, scope: Scope) -> None:
        self.d = d
        self.scope = scope
        self.shown: list[str] = []
        """Source of the entries of its dict."""
        self.odd = False
        start = d.place.position
        lengths: list[tuple[n.Length, str, Position]] = []
        for member in node.members:
            if member.flat:
                self.embed(member)
                continue
            value = self.member(member)
            if isinstance(member.node, n.Length) and node.flat:
                lengths.append((member.node, value.source, d.place.position))
        for length, source, after in lengths:
            _check_length(d, length, source, after if length.rest else start)

    def display(self) -> str:
        return f"{{{', '.join(self.shown)}}}"

    def member(self, member: n.Member) -> Value:
        d, name = self.d, member.name
        if name in d.known and self.scope.parent is None:
            value = d.known[name]
            d.skip(member.node)
        else:
            d.path.append(name)
            value = d.decode(member.node, name or "unnamed", self.scope)
            d.path.pop()
        if name:
            self.scope.fields[name] = value
        if d.shows(member):
            self.shown.append(f"{name!r}: {value.shown}")
            self.odd |= value.odd
        return value

    def embed(self, member: n.Member) -> None:
        """Read an unnamed member of a FlatStruct, whose fields become those of the struct."""
        d, scope = self.d, self.scope
        node = d.decided(member.node, scope)
        inner = Scope(scope)
        if isinstance(node, n.Nothing | n.Fail):
            d.decode(node, "unnamed", scope)
        elif isinstance(node, n.Struct):
            self.merge(_Reading(d, node, inner))
        elif isinstance(node, n.BitWord) and isinstance(node.inner, n.Struct):
            struct = node.inner
            self.merge(read_word(node, d, lambda: _Reading(d, struct, inner)))
        else:
            value = d.decode(node, "fields", scope)
            d.flush()
            for name in member.flat:
                scope.fields[name] = Value("" if value.odd else f"{value.source}[{name!r}]")
            self.shown.append(f"**({value.shown} or {{}})")
            self.odd |= value.odd

    def merge(self, inner: _Reading) -> None:
        self.scope.fields.update(inner.scope.fields)
        self.shown += inner.shown
        self.odd |= inner.odd


def _check_length(d: Decoder, length: n.Length, source: str, begin: Position) -> None:
    """See that a length is what lies between ``begin`` and here."""
    end = d.place.position
    if begin.base == end.base:
        expected = str(end.offset - begin.offset + length.adjust)
    elif begin.base:
        expected = f"{end} - ({begin}) + {length.adjust}"
    else:
        expected = f"{end} - {begin.offset - length.adjust}"
    d.refuse_if(f"{source} != {expected}")


@decode.register(n.Focused)
def decode_focused(node: n.Focused, d: Decoder, hint: str, scope: Scope) -> Value:
    inner = Scope(scope)
    for member in node.members:
        selected = member.name == node.selected
        value = d.decode(member.node, hint if selected else member.name or "unnamed", inner)
        if member.name:
            inner.fields[member.name] = value
    return inner.fields[node.selected]


# -- encoding ---------------------------------------------------------------------------------------


def encode_message(e: Encoder, message: n.Node) -> None:
    """Write the whole of encode: its last line returns the bytes, and the message if it is told."""
    if isinstance(message, n.Struct):
        writing = _Writing(e, message, Scope(None, source="message"))
        wire = writing.members()
        if not e.bare:
            writing.refuse_unknown()
        elif e.required & e.omitted:
            raise UnsupportedError("a name that is there twice")
    elif e.bare:
        raise UnsupportedError("a message of which no field is known")
    else:
        wire = e.wire_of(e.encode(message, Value("message"), "value", Scope(top=True)))
    result = e.joined().source
    e.w.line(f"return {result}, {wire}" if e.told else f"return {result}")


@encode.register(n.Struct)
def encode_struct(node: n.Struct, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    if value.known and value.constant is None:
        inner = Scope(scope)
    else:
        source = e.variable(value, hint)
        e.w.line(f"if {source} is None: {source} = {{}}")
        inner = Scope(scope, source=source)
        taken = (m for m in node.members if m.name and not isinstance(m.node, IGNORES_VALUE))
        if not any(taken):
            # Nothing else sees to it that there is a mapping.
            e.refuse_if(f"not isinstance({source}, Mapping)")
    writing = _Writing(e, node, inner)
    if not node.flat:
        # Before anything that might be taken for a failed alternative.
        writing.refuse_unknown()
    wire = writing.members()
    if node.flat:
        writing.refuse_unknown()
    return Value("", scope=inner, wire=wire)


class _Writing:
    """A struct that is built from the mapping ``scope.source``."""

    def __init__(self, e: Encoder, node: n.Struct, scope: Scope) -> None:
        self.e = e
        self.node = node
        self.scope = scope
        self.names = [member.name for member in node.members if member.name]
        """The names that the struct has."""
        self.sets: list[str] = []
        """Variables with frozensets of further names."""
        self.start = e.out.fixed, len(e.out.varying)
        self.slots: list[Slot] = []
        unlike = (m for m in node.members if not is_alike(m.node))
        scope.unlike |= frozenset(name for m in unlike for name in m.flat or (m.name,))
        for member in node.members if node.flat else ():
            public = member.name and not member.name.startswith("_")
            if public and isinstance(member.node, n.Default) and not callable(member.node.value):
                with suppress(UnsupportedError):
                    scope.defaults[member.name] = literal(member.node.value)

    def members(self) -> str:
        """Encode them; what the wire shows of them, if that is told."""
        entries = [self.member(index, one) for index, one in enumerate(self.node.members)]
        self.resolve_slots(0)
        shown = ", ".join(filter(None, entries)) if self.e.told else ""
        for number, slot in enumerate(self.slots):
            shown = shown.replace(_LENGTH.format(number), slot.source)
        return f"{{{shown}}}"

    def member(self, index: int, member: n.Member) -> str:
        """Encode a member; its entry in the dict that the wire shows, or nothing."""
        e, scope, node, name = self.e, self.scope, member.node, member.name
        if member.flat:
            return self.embed(member)
        if isinstance(node, n.Length) and self.node.flat:
            return self.length(node, member)
        if isinstance(node, n.Checksum):
            self.resolve_slots(index)
        if member.kept and e.swallows:
            raise UnsupportedError("a private member of an alternative")
        e.path.append(name)
        value, hint = e.fetch(member, scope), name or "unnamed"
        if name in scope.fields:
            # While it is built, construct has what is given for it, not the one before.
            scope.fields[name] = UNKNOWN if isinstance(node, IGNORES_VALUE) else value
        if isinstance(node, n.Choice):
            built = encode_choice(node, e, value, hint, scope, member=True)
        else:
            built = e.encode(node, value, hint, scope)
        e.path.pop()
        if name:
            scope.fields[name] = built
        return f"{name!r}: {e.wire_of(built)}" if e.shows(member) else ""

    # -- lengths --------------------------------------------------------------------------------

    def length(self, node: n.Length, member: n.Member) -> str:
        name, number, out = member.name, node.inner, self.e.out
        if not isinstance(number, n.Number) or number.size is None:
            raise UnsupportedError("a Length that is no plain integer")
        slot = Slot(node, 0, 0)
        self.e.push(number.code, number.size, UNKNOWN, number.order, slot)
        slot.fixed, slot.varying = out.fixed, len(out.varying)
        self.slots.append(slot)
        if name:
            self.scope.fields[name] = UNKNOWN
        return f"{name!r}: {_LENGTH.format(len(self.slots) - 1)}" if self.e.shows(member) else ""

    def resolve_slots(self, index: int) -> None:
        """Fill in the lengths, at the end of the struct, or before its member ``index``."""
        slots = [slot for slot in self.slots if not slot.source]
        rest = [member.node.size for member in self.node.members[index:]] if index else []
        if slots and None in rest:
            raise UnsupportedError("a Length with a varying size after the Checksum")
        self.e.resolve_slots(slots, self.start, sum(size for size in rest if size is not None))

    # -- unnamed members ------------------------------------------------------------------------

    def embed(self, member: n.Member) -> str:
        """Encode an unnamed member of a FlatStruct, built from the same mapping."""
        e, scope = self.e, self.scope
        node = e.decided(member.node, scope)
        if isinstance(node, n.Choice):
            return self.embed_branches(node, member)
        inner = Scope(scope, source=scope.source, allowed=frozenset(member.flat))
        if isinstance(node, n.Struct):
            writing = _Writing(e, node, inner)
            wire = writing.members()
        elif isinstance(node, n.BitWord) and isinstance(node.inner, n.Struct):
            writing = _Writing(e, node.inner, inner)
            wire = write_word(node, e, writing.members)
        elif isinstance(node, n.Nothing | n.Fail):
            e.encode(node, NONE, "unnamed", scope)
            return ""
        elif isinstance(node, n.Native):
            return self.embed_native(node, member)
        else:
            raise UnsupportedError(f"{type(node).__name__} of fields")
        self.names += writing.names
        self.sets += writing.sets
        scope.fields.update(inner.fields)
        return wire[1:-1]

    def embed_native(self, node: n.Native, member: n.Member) -> str:
        e, scope = self.e, self.scope
        names = e.w.bind("own", frozenset(member.flat), repr(set(member.flat)), member.flat)
        own = f"{{name: value for name, value in {scope.source}.items() if name in {names}}}"
        built = write_native(node, e, e.variable(Value(own), "own"), "unnamed")
        self.names += member.flat
        for name in member.flat:
            scope.fields[name] = UNKNOWN
        return f"**{e.wire_of(built)}"

    def embed_branches(self, node: n.Choice, member: n.Member) -> str:
        e = self.e
        e.branched = True
        data, known, told = e.w.new("body"), e.w.new("known_here"), e.w.new("told")
        for header, case in e.alternatives(node, self.scope):
            with e.branch(header), e.piece(data):
                only = n.Struct(origin=case.origin, members=[replace(member, node=case)])
                branch = _Writing(e, only, copied(self.scope))
                e.keep_wire(told, Value("", wire=branch.members()))
                e.w.line(f"{known} = {branch.known_names()}")
        e.part(data)
        self.sets.append(known)
        for name in member.flat:
            self.scope.fields[name] = UNKNOWN
        return f"**{told}"

    # -- names ----------------------------------------------------------------------------------

    def known_names(self) -> str:
        names = frozenset(self.names)
        return " | ".join([self.e.w.bind("fields", names, key=names), *self.sets])

    def refuse_unknown(self) -> None:
        """Refuse names that the struct does not have, if that is to be."""
        e, source, names = self.e, self.scope.source, frozenset(self.names)
        if source is None or not e.strict:
            return
        if self.sets:
            known = f"({self.known_names()}).issuperset"
        else:
            known = e.w.bind("known", names.issuperset, f"{set(names)!r}.issuperset", names)
        # A name too many is refused for good, also where an alternative might be tried.
        e.w.line(f"if not {known}({source}): raise {'Unusual' if e.swallows else 'Mismatch'}")


_LENGTH = "\0{}\0"
"""Stands in source for a length that is not known yet."""


@encode.register(n.Focused)
def encode_focused(node: n.Focused, e: Encoder, value: Value, hint: str, scope: Scope) -> Value:
    source = Value(e.variable(value, hint))
    inner = Scope(scope, {node.selected: source})
    for member in node.members:
        given = source if member.name == node.selected else NONE
        built = e.encode(member.node, given, member.name or hint, inner)
        if member.name:
            inner.fields[member.name] = built
    return inner.fields[node.selected]
