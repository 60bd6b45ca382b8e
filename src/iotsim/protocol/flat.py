"""`FlatStruct`: a Struct whose unnamed structs give it their fields, and in which `Length` can stand.

A `Length` stands before the bytes that it counts, so its value is known only when they are built.
construct's Struct builds its members in order and has no step after the last one; this one has: it
writes zero, and fills the lengths in when their value is known, which is at its end or, since a
checksum covers the lengths before it, at the first checksum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import (
    Adapter,
    Array,
    Construct,
    Container,
    Default,
    GreedyRange,
    IfThenElse,
    RawCopy,
    RepeatUntil,
    Select,
    StopFieldError,
    Struct,
    Subconstruct,
    Switch,
)
from construct.core import stream_seek, stream_tell

from iotsim.protocol.tree import unnamed
from iotsim.protocol.verified import AnyConstruct, Checksum, LateChecksums, Length, LengthError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class FlatStruct(Struct):
    """A Struct of flat fields: its unnamed structs give it their fields, as in C.

    An unnamed member that is a Struct or BitStruct, or a Switch, If or Optional of them, is built
    from the fields of this struct, and what it parses becomes fields of this struct::

        FlatStruct(
            "kind" / Enum(Int8ub, READ=1, REPORT=2),
            Switch(this.kind, {"READ": Struct(), "REPORT": Struct("value" / Float32b)}),
            "crc" / Checksum(Int16ub, crc16_ccitt),
        )

    parses to ``{"kind": "REPORT", "value": 20.5, "crc": 4711}``. Inside such a member ``this`` is
    its own context, and ``this._`` the one of this struct.
    """

    def __init__(self, *subcons: Construct[Any, Any], **subconskw: Construct[Any, Any]) -> None:
        super().__init__(*subcons, **subconskw)
        self._plan()

    def _plan(self) -> None:
        """Note what each member is; to be called again when ``subcons`` was changed."""
        self._flat = [() if m.name else flat_names(m) for m in self.subcons]
        self._lengths = [find_length(m) for m in self.subcons]
        named = {m.name: unnamed(m) for m in self.subcons if m.name}
        self._defaults = {
            name: member.value
            for name, member in named.items()
            if isinstance(member, Default) and not callable(member.value) and name[0] != "_"
        }

    def _enter(self, stream: Any, outer: Any) -> Any:
        """The context of this struct inside ``outer``, as construct's Struct makes it."""
        context: Any = Container(
            _=outer,
            _params=outer._params,
            _root=None,
            _parsing=outer._parsing,
            _building=outer._building,
            _sizing=outer._sizing,
            _subcons=self._subcons,
            _io=stream,
            _index=outer.get("_index", None),
        )
        context._root = outer.get("_root", context)
        return context

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        stream_tell(stream, path)
        obj: Any = Container()
        obj._io = stream
        context = self._enter(stream, context)
        lengths = Lengths(self, stream, path)
        try:
            for index, member in enumerate(self.subcons):
                value = member._parsereport(stream, context, path)
                if member.name:
                    obj[member.name] = context[member.name] = value
                elif self._flat[index]:
                    merge(value, obj, context)
                if self._lengths[index] is not None:
                    lengths.found(index, value)
        except StopFieldError:
            pass
        lengths.verify()
        return obj

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if obj is None:
            obj = {}
        around = LateChecksums.around(stream, context)
        context = self._enter(stream, context)
        context.update(obj)
        for name, value in self._defaults.items():
            if context.get(name) is None:
                context[name] = value
        if around is None:
            context["_late"] = LateChecksums(path)
        lengths = Lengths(self, stream, path)
        try:
            for index, member in enumerate(self.subcons):
                names = self._flat[index]
                if self._lengths[index] is not None:
                    lengths.reserve(index, context)
                    continue
                if _is_early(member):
                    lengths.fill_in(context, index)
                if names:
                    value = choose(names, obj)
                elif member.flagbuildnone:
                    value = obj.get(member.name)
                else:
                    value = obj[member.name]
                if member.name:
                    context[member.name] = value
                built: Any = member._build(value, stream, context, path)
                if member.name:
                    context[member.name] = built
                elif names and built is not None:
                    context.update(choose(names, built))
        except StopFieldError:
            pass
        lengths.fill_in(context)
        if around is None:
            context["_late"].fill_in(stream)
        return context

    def _emitparse(self, code: Any) -> str:
        """So construct's ``compile()`` calls `_parse`: the code that Struct gives it would be wrong."""
        raise NotImplementedError

    def _emitbuild(self, code: Any) -> str:
        """As `_emitparse`."""
        raise NotImplementedError


def merge(value: Any, obj: Any, context: Any) -> None:
    """Make the fields that an unnamed member gave those of the struct and of its context."""
    if value is not None:
        fields = {k: v for k, v in value.items() if k != "_io"}
        obj.update(fields)
        context.update(fields)


def choose(names: tuple[str, ...], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``fields`` that have one of ``names``."""
    return {name: fields[name] for name in names if name in fields}


class Lengths:
    """The `Length` members of a struct that is being parsed or built, from its first byte on."""

    def __init__(self, struct: FlatStruct, stream: Any, path: str) -> None:
        self.struct = struct
        self.stream = stream
        self.path = path
        self.start = stream_tell(stream, path)
        self.seen: list[tuple[int, int, Any]] = []
        """For each: its index in the struct, an offset (after it, or of it), the value found."""

    def found(self, index: int, value: Any) -> None:
        """A length was parsed."""
        self.seen.append((index, stream_tell(self.stream, self.path), value))

    def verify(self) -> None:
        """At the end of the struct: raise LengthError if a length is wrong."""
        for index, after, found in self.seen:
            length: Any = self.struct._lengths[index]
            expected = length.value(self.start, after, stream_tell(self.stream, self.path))
            if found != expected:
                raise LengthError(
                    f"wrong length: the message says {found}, its fields take {expected} bytes",
                    self.where(index),
                )

    def reserve(self, index: int, context: Any) -> None:
        """Build a length as zero."""
        self.seen.append((index, stream_tell(self.stream, self.path), None))
        length: Any = self.struct._lengths[index]
        length.subcon._build(0, self.stream, context, self.where(index))

    def fill_in(self, context: Any, index: int | None = None) -> None:
        """Build the lengths, at the end of the struct, or before its member ``index``."""
        if not self.seen:
            return
        here = end = stream_tell(self.stream, self.path)
        if index is not None:
            end += sum(m._sizeof(context, self.path) for m in self.struct.subcons[index:])
        for place, offset, _ in self.seen:
            length: Any = self.struct._lengths[place]
            after = offset + length.subcon._sizeof(context, self.path)
            stream_seek(self.stream, offset, 0, self.path)
            value = length.value(self.start, after, end)
            length.subcon._build(value, self.stream, context, self.where(place))
            name = self.struct.subcons[place].name
            if name:
                context[name] = value
        stream_seek(self.stream, here, 0, self.path)

    def where(self, index: int) -> str:
        name = self.struct.subcons[index].name
        return f"{self.path} -> {name}" if name else self.path


def find_length(member: AnyConstruct) -> Length | None:
    node = unnamed(member)
    return node if isinstance(node, Length) else None


def _is_early(member: AnyConstruct) -> bool:
    """Whether it is a checksum of the bytes before it."""
    node = unnamed(member)
    return isinstance(node, Checksum) and node.over == "before"


_NO_STRUCT = (Adapter, Array, GreedyRange, RepeatUntil, RawCopy)


def flat_names(node: AnyConstruct) -> tuple[str, ...]:
    """The names that an unnamed member of a `FlatStruct` may give it; () if it is no struct."""
    return tuple(dict.fromkeys(_flat_names(node)))


def _flat_names(node: AnyConstruct) -> Iterator[str]:
    node = unnamed(node)
    if isinstance(node, Struct):
        for member in node.subcons:
            if member.name:
                yield member.name
            elif isinstance(node, FlatStruct):
                yield from _flat_names(member)
    elif isinstance(node, Switch):
        for case in (*node.cases.values(), node.default):
            yield from _flat_names(case)
    elif isinstance(node, IfThenElse):
        yield from _flat_names(node.thensubcon)
        yield from _flat_names(node.elsesubcon)
    elif isinstance(node, Select):
        for choice in node.subcons:
            yield from _flat_names(choice)
    elif isinstance(node, Subconstruct) and not isinstance(node, _NO_STRUCT):
        yield from _flat_names(node.subcon)
