"""What a schema says about its fields, read off the constructs: names, types, places, docs.

`Schema.fields` maps dotted paths to `Field`, in the order of the wire. The fields of a nested
struct follow it (``status``, ``status.alarm``), those of an array's elements have ``[]`` in their
path (``readings[].value``). A field that stands in several cases of a Switch appears once.
"""

from __future__ import annotations

import difflib
import re
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from construct import (
    Adapter,
    Aligned,
    Array,
    BitsInteger,
    Bytes,
    BytesInteger,
    Computed,
    Const,
    Construct,
    Default,
    Enum,
    FixedSized,
    Flag,
    FlagsEnum,
    FocusedSeq,
    FormatField,
    GreedyBytes,
    GreedyRange,
    IfThenElse,
    Index,
    NullStripped,
    NullTerminated,
    Padded,
    Pass,
    Prefixed,
    Rebuild,
    Renamed,
    RepeatUntil,
    Restreamed,
    Select,
    Sequence,
    StringEncoded,
    Struct,
    Subconstruct,
    Switch,
    Tell,
    Transformed,
    VarInt,
    ZigZag,
)
from construct import Mapping as ConstructMapping
from construct.lib import bytes2bits

from .flat import FlatStruct
from .verified import Checksum, Length

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    ``kind``      int, float, bool, enum, flags, bytes, string, array, struct, none, or any
    ``wire``      how it travels, for people: "uint16 big-endian", "4 bits", "float32"
    ``names``     the names of an enum or of flags, with their values on the wire
    ``optional``  the message may be without it: it stands in a Switch, an If or an Optional
    ``required``  an encoder must be given it, if the message has it at all
    ``offset``    its place in the message in bits, if that is the same in all messages
    ``size``      its length in bits, likewise
    """

    path: str
    kind: str
    wire: str = ""
    names: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False
    required: bool = True
    offset: int | None = None
    size: int | None = None
    doc: str = ""
    format: str = ""
    """The struct format of a float."""

    def round(self, value: Any) -> Any:
        """``value`` as it would be after a journey in this field.

        A float of 32 bits comes back as its nearest; the number of an enum as its name. What the
        field cannot carry comes back as it is.
        """
        if isinstance(value, list | tuple):
            return [self.round(item) for item in value] if self.kind == "array" else value
        if self.format and isinstance(value, int | float):
            try:
                return struct.unpack(self.format, struct.pack(self.format, value))[0]
            except (OverflowError, struct.error):
                return value
        if self.kind == "enum" and isinstance(value, int) and not isinstance(value, bool):
            for name, number in self.names.items():
                if number == value:
                    return name
        return value


class Schema:
    """The fields of a construct schema.

    ``json_safe`` tells whether all values in messages are of JSON's types: no bytes.
    """

    def __init__(self, message: Construct[Any, Any]) -> None:
        self.fields: dict[str, Field] = {}
        walker = _Walker(self.fields)
        walker.root(message)
        self.json_safe = not walker.unsafe

    def find(self, path: str) -> Field | None:
        """The field that ``path`` names; an index in it, as in ``readings.0.value``, is any."""
        if path in self.fields:
            return self.fields[path]
        generic = re.sub(r"\.\d+(?=\.|\Z)|\[\d+\]", "[]", path)
        return self.fields.get(generic)

    def nearest(self, name: str) -> str | None:
        """The field whose path is most like ``name``, if one is."""
        close = difflib.get_close_matches(name, self.fields, n=1, cutoff=0.5)
        if close:
            return close[0]
        for path in self.fields:
            if path.rpartition(".")[2].lower() == name.rpartition(".")[2].lower():
                return path
        return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walker is: path, and what the nodes around say of the field to come."""

    path: str = ""
    optional: bool = False
    required: bool = True
    doc: str = ""
    bits: bool = False

    def name(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


class _Walker:
    def __init__(self, fields: dict[str, Field]) -> None:
        self.fields = fields
        self.offset: int | None = 0
        self.unsafe = False

    # -- places ---------------------------------------------------------------------------------

    def advance(self, size: int | None) -> None:
        if self.offset is not None:
            self.offset = None if size is None else self.offset + size

    def size(self, node: Any, place: _Place) -> int | None:
        """The length of ``node`` in bits, if it is fixed."""
        try:
            size = node.sizeof()
        except Exception:
            return None
        return int(size) * (1 if place.bits else 8)

    def add(self, field_: Field) -> None:
        old = self.fields.get(field_.path)
        if old is not None:
            field_ = replace(
                old,
                kind=old.kind if old.kind == field_.kind else "any",
                wire=old.wire if field_.wire in old.wire else f"{old.wire} or {field_.wire}",
                names={**old.names, **field_.names},
                optional=old.optional and field_.optional,
                required=old.required and field_.required,
                offset=old.offset if old.offset == field_.offset else None,
                size=old.size if old.size == field_.size else None,
                format=old.format if old.format == field_.format else "",
                doc=old.doc or field_.doc,
            )
        self.fields[field_.path] = field_

    # -- the walk -------------------------------------------------------------------------------

    def root(self, node: Any) -> None:
        node = _through(node)
        if isinstance(node, Struct | Transformed | Restreamed | Switch | Select | IfThenElse):
            self.embed(node, _Place())
        elif isinstance(node, Prefixed):
            self.advance(self.size(node.lengthfield, _Place()))
            self.root(node.subcon)
        elif isinstance(node, Subconstruct) and not isinstance(node, Adapter | Array | GreedyRange):
            self.root(node.subcon)
        else:
            self.unsafe = True

    def members(self, node: Any, place: _Place) -> None:
        """The members of a Struct: fields of ``place``."""
        for member in node.subcons:
            if member.name:
                if member.name.startswith("_"):
                    self.advance(self.size(member, place))
                    continue
                self.field(member, replace(place, path=place.name(member.name)))
            elif isinstance(node, FlatStruct):
                self.embed(member, place)
            else:
                self.advance(self.size(member, place))

    def embed(self, node: Any, place: _Place) -> None:
        """An unnamed node whose structs give their fields to ``place``."""
        node = _through(node)
        if isinstance(node, Struct):
            self.members(node, place)
        elif isinstance(node, Transformed | Restreamed) and _is_bits(node):
            self.embed(node.subcon, replace(place, bits=True))
        elif (cases := _cases(node)) is not None:
            self.branches(cases, place, self.embed, place.path)
        else:
            self.advance(self.size(node, place))

    def branches(self, cases: list[Any], place: _Place, walk: Any, prefix: str) -> None:
        """Alternatives: a field that not all of them have is optional."""
        start = self.offset
        ends: set[int | None] = set()
        before = dict(self.fields)
        seen: list[dict[str, Field]] = []
        for case in cases:
            self.offset = start
            self.fields.clear()
            walk(case, place)
            seen.append(dict(self.fields))
            ends.add(self.offset)
        self.fields.clear()
        self.fields.update(before)
        for fields in seen:
            for path, field_ in fields.items():
                everywhere = all(path in other for other in seen)
                self.add(field_ if everywhere else replace(field_, optional=True))
        self.offset = ends.pop() if len(ends) == 1 else None

    def field(self, node: Any, place: _Place) -> None:
        """A named node."""
        while isinstance(node, Renamed):
            place = replace(place, doc=place.doc or str(node.docs or ""))
            node = node.subcon
        start = self.offset
        if node.flagbuildnone and not isinstance(node, Struct):
            place = replace(place, required=False)
        if isinstance(node, Struct) or (
            isinstance(node, Transformed | Restreamed) and isinstance(_through(node.subcon), Struct)
        ):
            inner: Any = node
            while not isinstance(inner, Struct):
                if not _is_bits(inner):
                    break
                place, inner = replace(place, bits=True), _through(inner.subcon)
            required = place.required and not node.flagbuildnone
            self.add(self.make(node, place, "struct", "struct", required=required))
            if isinstance(inner, Struct):
                self.members(inner, place)
                if self.offset is not None and inner is not node and start is not None:
                    self.offset = start + (self.size(node, _Place()) or 0)
            return
        if isinstance(node, Default | Rebuild | Const | Checksum | Length):
            self.wrapped(node, place)
            return
        if (cases := _cases(node)) is not None:
            self.branches(cases, place, self.field, place.path)
            return
        if isinstance(node, FocusedSeq):
            self.focused(node, place)
            return
        if isinstance(node, Array | GreedyRange | RepeatUntil):
            self.array(node, place)
            return
        if isinstance(node, _TRANSPARENT):
            if isinstance(node, Prefixed):
                self.advance(self.size(node.lengthfield, place))
            self.field(node.subcon, place)
            size = self.size(node, place)
            self.offset = None if start is None or size is None else start + size
            return
        self.scalar(node, place)

    def wrapped(self, node: Any, place: _Place) -> None:
        self.field(node.subcon, replace(place, required=False))
        field_ = self.fields[place.path]
        note = field_.wire
        if isinstance(node, Const):
            note += f", always {node.value!r}"
        elif isinstance(node, Default) and not callable(node.value):
            note += f", {node.value!r} by default"
        elif isinstance(node, Checksum):
            note += f", {getattr(node.function, '__name__', 'checksum')} of the bytes before"
        elif isinstance(node, Length):
            what = "what follows" if node.of == "rest" else "the message"
            note += f", the length of {what}" + (f" {node.adjust:+d}" if node.adjust else "")
        self.fields[place.path] = replace(field_, wire=note)

    def focused(self, node: Any, place: _Place) -> None:
        start = self.offset
        for member in node.subcons:
            if member.name == node.parsebuildfrom:
                self.field(member.subcon, place)
                # What comes before it, a count, is part of it.
                field_ = self.fields[place.path]
                self.fields[place.path] = replace(field_, offset=start)
            else:
                self.advance(self.size(member, place))

    def array(self, node: Any, place: _Place) -> None:
        count = getattr(node, "count", None)
        note = f"{count} times" if isinstance(count, int) else "repeated"
        self.add(self.make(node, place, "array", note))
        start = self.offset
        self.offset = None
        element = replace(place, path=f"{place.path}[]", required=True, doc="", optional=True)
        self.field(node.subcon, element)
        inner = self.fields.get(element.path)
        if inner is not None:
            array = self.fields[place.path]
            self.fields[place.path] = replace(
                array, wire=f"{inner.wire}, {array.wire}", format=inner.format
            )
        size = self.size(node, place)
        self.offset = None if start is None or size is None else start + size

    def scalar(self, node: Any, place: _Place) -> None:
        kind, wire, names, format_ = _scalar(node)
        if kind in {"bytes", "any"}:
            self.unsafe = True
        self.add(self.make(node, place, kind, wire, names=names, format_=format_))
        if kind == "flags":
            for name in names:
                path = f"{place.path}.{name}"
                self.add(Field(path, "bool", "a flag", optional=place.optional, required=False))
        self.advance(self.size(node, place))

    def make(
        self,
        node: Any,
        place: _Place,
        kind: str,
        wire: str,
        *,
        names: Mapping[str, int] | None = None,
        format_: str = "",
        required: bool | None = None,
    ) -> Field:
        outside = replace(place, bits=False) if isinstance(node, Transformed) else place
        return Field(
            place.path,
            kind,
            wire,
            names or {},
            place.optional,
            place.required if required is None else required,
            self.offset,
            self.size(node, outside),
            place.doc,
            format_,
        )


_TRANSPARENT = (Padded, Aligned, Prefixed, FixedSized, NullTerminated, NullStripped)


def _through(node: Any) -> Any:
    while isinstance(node, Renamed):
        node = node.subcon
    return node


def _is_bits(node: Any) -> bool:
    return getattr(node, "decodefunc", getattr(node, "decoder", None)) is bytes2bits


def _cases(node: Any) -> list[Any] | None:
    """The alternatives of a node that has such; a Switch without a default has no other."""
    if isinstance(node, Switch):
        default = [] if node.default is Pass and node.cases else [node.default]
        return [*node.cases.values(), *default]
    if isinstance(node, IfThenElse):
        return [node.thensubcon, node.elsesubcon]
    if isinstance(node, Select):
        return list(node.subcons)
    return None


_FORMATS = {
    **dict.fromkeys("BHLQ", "uint"),
    **dict.fromkeys("bhlq", "int"),
    **dict.fromkeys("efd", "float"),
}


def _scalar(node: Any) -> tuple[str, str, Mapping[str, int], str]:
    """Kind, wire, names and float format of a node that is one value."""
    none: Mapping[str, int] = {}
    if isinstance(node, Enum):
        wire = _scalar(_through(node.subcon))[1]
        return "enum", wire, {str(k): v for k, v in node.encmapping.items()}, ""
    if isinstance(node, FlagsEnum):
        return "flags", _scalar(_through(node.subcon))[1], dict(node.flags), ""
    if isinstance(node, ConstructMapping):
        wire = _scalar(_through(node.subcon))[1]
        keys = list(node.encmapping)
        if all(isinstance(key, str) for key in keys):
            return "enum", wire, dict(node.encmapping), ""
        plain = all(isinstance(key, int | float | bool) for key in keys)
        return ("int" if plain else "any"), wire, none, ""
    if isinstance(node, FormatField):
        order, code = node.fmtstr[0], node.fmtstr[1]
        if code == "?":
            return "bool", "a byte, 0 or not", none, ""
        base = _FORMATS[code]
        wire = f"{base}{8 * node.length}" + _order(node.length, order == "<")
        is_float = base == "float"
        return ("float" if is_float else "int"), wire, none, node.fmtstr if is_float else ""
    if isinstance(node, BytesInteger):
        base = "int" if node.signed else "uint"
        bits = str(8 * node.length) if isinstance(node.length, int) else " of varying length"
        return "int", f"{base}{bits}" + _order(2, bool(node.swapped)), none, ""
    if isinstance(node, BitsInteger):
        bits = f"{node.length} bit" + ("" if node.length == 1 else "s")
        return "int", bits + (", signed" if node.signed else ""), none, ""
    if node is Flag:
        return "bool", "a flag", none, ""
    if node is VarInt or node is ZigZag:
        return "int", "VarInt" if node is VarInt else "ZigZag", none, ""
    if isinstance(node, StringEncoded):
        text: Any = node
        return "string", f"{text.encoding} text{_extent(_through(text.subcon))}", none, ""
    if isinstance(node, Bytes) or node is GreedyBytes:
        return "bytes", f"bytes{_extent(node)}", none, ""
    if isinstance(node, Computed):
        value = node.func
        kinds = {bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes"}
        return kinds.get(type(value), "any"), "computed", none, ""
    if node is Tell or node is Index:
        return "int", "computed", none, ""
    if node is Pass or (isinstance(node, Subconstruct) and _through(node.subcon) is Pass):
        return "none", "nothing", none, ""
    if type(node).__name__ in {"Hex", "HexDump", "ExprValidator"}:
        return _scalar(_through(node.subcon))
    if isinstance(node, Sequence):
        return "any", "a sequence", none, ""
    return "any", type(node).__name__, none, ""


def _order(length: int, little: bool) -> str:
    if length == 1:
        return ""
    return " little-endian" if little else " big-endian"


def _extent(node: Any) -> str:
    length = getattr(node, "length", None)
    if isinstance(length, int):
        return f", {length} byte" + ("" if length == 1 else "s")
    if isinstance(node, Prefixed):
        return ", length first"
    if isinstance(node, NullTerminated):
        return ", up to a zero"
    if length is None:
        return ", up to the end"
    return f", {length} bytes" if not hasattr(length, "__code__") else ", of varying length"
