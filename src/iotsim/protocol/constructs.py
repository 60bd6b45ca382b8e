"""Constructs of our own, for what construct's own cannot say: checksums, lengths, flat messages.

They are ordinary construct classes: a schema made of them parses and builds without iotsim.

`Checksum`     a field with a checksum of the bytes before it; computed on build, verified on parse
`Length`       a field with the number of bytes that follow, or of all; likewise
`FlatStruct`   a Struct whose unnamed structs give it their fields, and in which `Length` can stand

construct's own Checksum needs RawCopy, which nests the fields under ``value``; its Rebuild computes
a length but does not verify it. And a Struct with a Switch nests the fields of each case.

A `Length` stands before the bytes that it counts, so its value is known only when they are built.
construct's Struct builds its members in order and has no step after the last one; `FlatStruct` has:
it writes zero, and fills the lengths in when their value is known, which is at its end or, since
a checksum covers the lengths before it, at the first checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from construct import (
    Adapter,
    Array,
    ChecksumError,
    Construct,
    ConstructError,
    Container,
    GreedyRange,
    IfThenElse,
    RawCopy,
    RepeatUntil,
    Select,
    SizeofError,
    StopFieldError,
    Struct,
    Subconstruct,
    Switch,
)
from construct.core import evaluate, stream_read, stream_seek, stream_tell

if TYPE_CHECKING:
    AnyConstruct = Construct[Any, Any]
    AnySubconstruct = Subconstruct[Any, Any, Any, Any]
else:
    AnyConstruct = Construct
    AnySubconstruct = Subconstruct

ChecksumFunction = Callable[[bytes], int]


class LengthError(ConstructError):
    """A length field disagrees with the bytes that it counts."""


class Checksum(AnySubconstruct):
    """An integer field with ``function`` of all bytes before it in the message.

    ``start`` leaves out that many bytes at the beginning; it may be an expression, so that a
    checksum can begin at a field: ``"_begin" / Tell, ..., Checksum(Int16ub, sum8, this._begin)``.
    Inside a Prefixed or FixedSized, "the message" is what these contain. On build, a value that
    is given is ignored.

    Raises construct's ChecksumError on parse if the two differ.
    """

    def __init__(
        self,
        int_field: AnyConstruct,
        function: ChecksumFunction,
        start: int | Callable[[Any], int] = 0,
    ) -> None:
        super().__init__(int_field)
        self.function = function
        self.start = start
        self.flagbuildnone = True

    def _covered(self, stream: Any, context: Any, path: str) -> bytes:
        end = stream_tell(stream, path)
        origin = getattr(stream, "parent_stream_offset", 0)
        first = origin + evaluate(self.start, context)
        stream_seek(stream, first, 0, path)
        return stream_read(stream, end - first, path)

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        expected = self.function(self._covered(stream, context, path))
        found = self.subcon._parsereport(stream, context, path)
        if found != expected:
            digits = 2 * _size(self.subcon, context, path)
            raise ChecksumError(
                f"wrong checksum: the message has 0x{found:0{digits}x}, "
                f"its bytes give 0x{expected:0{digits}x}",
                path=path,
            )
        return found

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        value = self.function(self._covered(stream, context, path))
        self.subcon._build(value, stream, context, path)
        return value


def _size(field: AnyConstruct, context: Any, path: str) -> int:
    try:
        return field._sizeof(context, path)
    except SizeofError:
        return 0


class Length(AnySubconstruct):
    """An integer field with a number of bytes, in a `FlatStruct`.

    It counts what follows it in its struct (``of="rest"``), or the whole struct
    (``of="message"``), and adds ``adjust``: -2 where a checksum of two bytes at the end is not
    counted. On build, a value that is given is ignored.

    Raises `LengthError` on parse if the struct has another length.
    """

    def __init__(
        self, int_field: AnyConstruct, of: Literal["rest", "message"] = "rest", adjust: int = 0
    ) -> None:
        if of not in {"rest", "message"}:
            raise ValueError(f'a Length is of "rest" or "message", not of {of!r}')
        super().__init__(int_field)
        self.of = of
        self.adjust = adjust
        self.flagbuildnone = True

    def value(self, start: int, after: int, end: int) -> int:
        """The value in a struct from ``start`` to ``end`` whose length field ends at ``after``."""
        return end - (after if self.of == "rest" else start) + self.adjust

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        raise LengthError("a Length is filled in by FlatStruct: use that in place of Struct", path)


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
        self.plan()

    def plan(self) -> None:
        """Note what each member is; to be called again when ``subcons`` was changed."""
        self._flat = [() if m.name else flat_names(m) for m in self.subcons]
        self._lengths = [find_length(m) for m in self.subcons]

    def enter(self, stream: Any, outer: Any) -> Any:
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
        start = stream_tell(stream, path)
        obj: Any = Container()
        obj._io = stream
        context = self.enter(stream, context)
        lengths: list[tuple[Length, str, int, int]] = []
        try:
            for member, names, length in zip(self.subcons, self._flat, self._lengths, strict=True):
                value = member._parsereport(stream, context, path)
                if member.name:
                    obj[member.name] = context[member.name] = value
                elif names and value is not None:
                    fields = {k: v for k, v in value.items() if not k.startswith("_")}
                    obj.update(fields)
                    context.update(fields)
                if length is not None:
                    lengths.append((length, member.name or "", stream_tell(stream, path), value))
        except StopFieldError:
            pass
        for length, name, after, found in lengths:
            expected = length.value(start, after, stream_tell(stream, path))
            if found != expected:
                raise LengthError(
                    f"wrong length: the message says {found}, its fields take {expected} bytes",
                    f"{path} -> {name}" if name else path,
                )
        return obj

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if obj is None:
            obj = {}
        start = stream_tell(stream, path)
        context = self.enter(stream, context)
        context.update(obj)
        lengths: list[tuple[Length, str | None, int]] = []
        members = self.subcons
        try:
            for index, member in enumerate(members):
                if lengths and _is_checksum(member):
                    rest = sum(m._sizeof(context, path) for m in members[index:])
                    end = stream_tell(stream, path) + rest
                    _fill_in(lengths, start, end, stream, context, path)
                length, names = self._lengths[index], self._flat[index]
                if length is not None:
                    lengths.append((length, member.name, stream_tell(stream, path)))
                    length.subcon._build(0, stream, context, path)
                    continue
                if names:
                    value = {name: obj[name] for name in names if name in obj}
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
                    context.update({name: built[name] for name in names if name in built})
        except StopFieldError:
            pass
        _fill_in(lengths, start, stream_tell(stream, path), stream, context, path)
        return context


def _fill_in(
    lengths: list[tuple[Length, str | None, int]],
    start: int,
    end: int,
    stream: Any,
    context: Any,
    path: str,
) -> None:
    here = stream_tell(stream, path)
    for length, name, offset in lengths:
        stream_seek(stream, offset, 0, path)
        length.subcon._build(0, stream, context, path)
        value = length.value(start, stream_tell(stream, path), end)
        stream_seek(stream, offset, 0, path)
        length.subcon._build(value, stream, context, path if not name else f"{path} -> {name}")
        if name:
            context[name] = value
    stream_seek(stream, here, 0, path)


def unnamed(node: AnyConstruct) -> AnyConstruct:
    """``node`` without its name and docs."""
    while type(node).__name__ in {"Renamed", "TracedRenamed"}:
        node = node.subcon  # type: ignore[attr-defined]
    return node


def find_length(member: AnyConstruct) -> Length | None:
    node = unnamed(member)
    return node if isinstance(node, Length) else None


def _is_checksum(member: AnyConstruct) -> bool:
    return isinstance(unnamed(member), Checksum)


_NO_STRUCT = (Adapter, Array, GreedyRange, RepeatUntil, RawCopy)


def flat_names(node: AnyConstruct) -> tuple[str, ...]:
    """The names that an unnamed member of a `FlatStruct` may give it; () if it is no struct."""
    return tuple(dict.fromkeys(_flat_names(node)))


def _flat_names(node: AnyConstruct) -> Iterator[str]:
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
