"""The walk through a schema that notes its fields: their places, and what they depend on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from construct import (
    Adapter,
    Aligned,
    Array,
    Const,
    Construct,
    Default,
    FixedSized,
    FocusedSeq,
    GreedyRange,
    IfThenElse,
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
    Struct,
    Subconstruct,
    Switch,
    Transformed,
    Tunnel,
)
from construct.lib import bytes2bits

from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.verified import Checksum, Length

if TYPE_CHECKING:
    from collections.abc import Mapping


from iotsim.protocol.field import Field
from iotsim.protocol.kinds import scalar_kind
from iotsim.protocol.native import Derived, Native
from iotsim.protocol.tree import unnamed


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
        self.opaque = False

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
                cases=_both(old.cases, field_.cases),
            )
        self.fields[field_.path] = field_

    # -- the walk -------------------------------------------------------------------------------

    def root(self, node: Any) -> None:
        node = unnamed(node)
        if isinstance(node, Struct | Transformed | Restreamed | Switch | Select | IfThenElse):
            self.embed(node, _Place())
        elif isinstance(node, Prefixed):
            self.advance(self.size(node.lengthfield, _Place()))
            self.root(node.subcon)
        elif isinstance(node, Native | Tunnel):
            self.offset = None
            self.root(node.subcon)
        elif isinstance(node, Subconstruct) and not isinstance(node, Adapter | Array | GreedyRange):
            self.root(node.subcon)
        else:
            self.opaque = True

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
        node = unnamed(node)
        if isinstance(node, Struct):
            self.members(node, place)
        elif isinstance(node, Transformed | Restreamed) and _is_bits(node):
            self.embed(node.subcon, replace(place, bits=True))
        elif isinstance(node, Native | Tunnel):
            self.offset = None
            self.embed(node.subcon, place)
            self.offset = None
        elif (cases := _cases(node)) is not None:
            self.branches(cases, place, self.embed)
        else:
            self.advance(self.size(node, place))

    def branches(self, cases: list[_Case], place: _Place, walk: Any) -> None:
        """Alternatives: a field that not all of them have is optional."""
        start = self.offset
        ends: set[int | None] = set()
        before = dict(self.fields)
        seen: list[dict[str, Field]] = []
        for _, case in cases:
            self.offset = start
            self.fields.clear()
            walk(case, place)
            seen.append(dict(self.fields))
            ends.add(self.offset)
        self.fields.clear()
        self.fields.update(before)
        for (label, _), fields in zip(cases, seen, strict=True):
            for path, field_ in fields.items():
                everywhere = all(path in other for other in seen)
                self.add(field_ if everywhere else _within(field_, label))
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
            isinstance(node, Transformed | Restreamed) and isinstance(unnamed(node.subcon), Struct)
        ):
            inner: Any = node
            while not isinstance(inner, Struct):
                if not _is_bits(inner):
                    break
                place, inner = replace(place, bits=True), unnamed(inner.subcon)
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
            self.branches(cases, place, self.field)
            return
        if isinstance(node, FocusedSeq):
            self.focused(node, place)
            return
        if isinstance(node, Native | Derived | Tunnel):
            self.apart(node, place)
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
            covered = {"before": "the bytes before", "rest": "what follows", "message": "all bytes"}
            what = "a part" if isinstance(node.over, tuple) else covered[node.over]
            note += f", {getattr(node.function, '__name__', 'checksum')} of {what}"
        elif isinstance(node, Length):
            what = "what follows" if node.of == "rest" else "the message"
            note += f", the length of {what}" + (f" {node.adjust:+d}" if node.adjust else "")
        self.fields[place.path] = replace(field_, wire=note)

    def apart(self, node: Any, place: _Place) -> None:
        """A node whose fields are not where they are in the message, if they are in it at all."""
        start, self.offset = self.offset, None
        self.field(node.subcon, place)
        field_ = self.fields.get(place.path)
        if isinstance(node, Derived):
            self.offset = start
        if field_ is not None:
            note = type(node).__name__.lower()
            wire = note if isinstance(node, Derived) else f"{field_.wire}, {note}"
            self.fields[place.path] = replace(field_, wire=wire, size=None)

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
        kind, wire, names, format_ = scalar_kind(node)
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


def _is_bits(node: Any) -> bool:
    return getattr(node, "decodefunc", getattr(node, "decoder", None)) is bytes2bits


_Case: TypeAlias = "tuple[str, Any]"
"""An alternative, and what it is called; "" where that is not known."""


def _cases(node: Any) -> list[_Case] | None:
    """The alternatives of a node that has such; a Switch without a default has no other."""
    if isinstance(node, Switch):
        cases = [(_label(node, key), case) for key, case in node.cases.items()]
        return cases if node.default is Pass and node.cases else [*cases, ("", node.default)]
    if isinstance(node, IfThenElse):
        return [("", node.thensubcon), ("", node.elsesubcon)]
    if isinstance(node, Select):
        return [("", case) for case in node.subcons]
    return None


def _label(node: Any, key: Any) -> str:
    """``REPORT``, or ``type=3`` where the key says nothing by itself."""
    if isinstance(key, str):
        return str.__str__(key)
    names = re.findall(r"\['(\w+)'\]", repr(node.keyfunc)) if callable(node.keyfunc) else []
    return f"{names[-1]}={key}" if names else ""


def _within(field: Field, label: str) -> Field:
    """`field` as it is in the case `label` of a Switch that has others without it."""
    if not label or (field.optional and not field.cases and "[]" not in field.path):
        cases: tuple[str, ...] = ()
    elif field.cases:
        cases = tuple(f"{label} with {case}" for case in field.cases)
    else:
        cases = (label,)
    return replace(field, optional=True, cases=cases)


def _both(cases: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*cases, *others])) if cases and others else ()


def walk(message: Construct[Any, Any]) -> tuple[dict[str, Field], bool]:
    """The fields of a schema by path, and whether it hides others that have no name."""
    fields: dict[str, Field] = {}
    walker = _Walker(fields)
    walker.root(message)
    return fields, walker.opaque
