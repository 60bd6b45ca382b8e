"""Traced schemas: copies that are strict, and that say where they failed.

In the copy (`Tracer.copy`) some nodes are replaced by subclasses:

- a name, and an element of an array, add themselves to the path of an exception that passes, and
  the innermost notes its offset; so also a KeyError out of a lambda has a path;
- a Struct and a Switch refuse, if strict, what construct passes in silence;
- an array refuses elements of no bytes, of which hostile input could ask for ever.

On the good path this costs little, and the values are construct's own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from construct import (
    Array,
    CancelParsing,
    Construct,
    ConstructError,
    Container,
    ExplicitError,
    FocusedSeq,
    GreedyRange,
    LazyBound,
    Pass,
    ProcessRotateLeft,
    ProcessXor,
    Rebuffered,
    Renamed,
    RepeatUntil,
    RestreamData,
    Restreamed,
    StopFieldError,
    Struct,
    Subconstruct,
    Switch,
    SwitchError,
    Transformed,
    Tunnel,
)
from construct.core import evaluate
from construct.expr import Path

from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.native import Native

if TYPE_CHECKING:
    from collections.abc import Iterable

    AnyConstruct = Construct[Any, Any]
    AnyRenamed = Renamed[Any, Any]
    AnySubconstruct = Subconstruct[Any, Any, Any, Any]
    AnySwitch = Switch[Any, Any]
else:
    AnyConstruct = Construct
    AnyRenamed = Renamed
    AnySubconstruct = Subconstruct
    AnySwitch = Switch

EMPTY_ELEMENTS = 65536
"""How many elements of no bytes an array may have."""

# Nodes that parse from a stream of their own, whose offsets are not those of the message.
_OWN_STREAM = (
    Transformed,
    Restreamed,
    RestreamData,
    ProcessXor,
    ProcessRotateLeft,
    Tunnel,
    Rebuffered,
)


class UnknownFieldError(ConstructError):
    """A field was given that the message does not have."""


class Row:
    """A field as it was found in a message: its path, value and place in bits."""

    __slots__ = ("end", "path", "start", "value")

    def __init__(self, path: str, start: int, end: int, value: Any) -> None:
        self.path = path
        self.start = start
        self.end = end
        self.value = value


class Recorder:
    """What a recording engine found; ``base`` and ``scale`` turn offsets into bits."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.rows: list[Row] = []
        self.names: list[str] = []
        self.base = 0
        self.scale = 8
        self.known = True

    def place(self, offset: int) -> int:
        return self.base + self.scale * offset


def _tell(stream: Any) -> int | None:
    try:
        return int(stream.tell())
    except Exception:
        return None


def _passes(error: Exception) -> bool:
    return isinstance(error, StopFieldError | CancelParsing)


def note(error: Exception, name: str | None, offset: int | None) -> None:
    """Add a name in front of the path that ``error`` carries, and the offset if it has none."""
    trail: list[str] | None = getattr(error, "iotsim_path", None)
    if trail is None:
        trail = error.iotsim_path = []  # type: ignore[attr-defined]
        error.iotsim_offset = offset  # type: ignore[attr-defined]
    if name is not None:
        trail.insert(0, name)


class TracedRenamed(AnyRenamed):
    """A named field; ``recorder`` is set where a dissection is wanted."""

    recorder: Recorder | None
    hidden: bool

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = _tell(stream)
        recorder = self.recorder
        if recorder is not None:
            return self._record(stream, context, path, start, recorder)
        try:
            return super()._parse(stream, context, path)
        except Exception as error:
            if not _passes(error):
                note(error, None if self.hidden else self.name, start)
            raise

    def _record(
        self, stream: Any, context: Any, path: str, start: int | None, recorder: Recorder
    ) -> Any:
        rows = len(recorder.rows)
        if not self.hidden and self.name:
            recorder.names.append(self.name)
        try:
            value = super()._parse(stream, context, path)
            if not self.hidden and recorder.known and start is not None:
                end = _tell(stream)
                where = ".".join(recorder.names)
                row = Row(where, recorder.place(start), recorder.place(end or start), value)
                recorder.rows.insert(rows, row)
            return value
        except Exception as error:
            if not _passes(error):
                note(error, None if self.hidden else self.name, start)
            raise
        finally:
            if not self.hidden and self.name:
                recorder.names.pop()

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        try:
            return super()._build(obj, stream, context, path)
        except Exception as error:
            if not _passes(error):
                note(error, None if self.hidden else self.name, None)
            raise


class TracedElement(AnySubconstruct):
    """The element of an array: its index is part of the path."""

    recorder: Recorder | None
    greedy: bool

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        index = context._index
        start = _tell(stream)
        recorder = self.recorder
        rows = 0
        if recorder is not None:
            rows = len(recorder.rows)
            recorder.names.append(str(index))
        try:
            value = super()._parse(stream, context, path)
            if start is not None and _tell(stream) == start:
                if self.greedy:
                    raise ExplicitError("an element takes no bytes: it would repeat for ever")
                if index >= EMPTY_ELEMENTS:
                    raise ExplicitError(f"more than {EMPTY_ELEMENTS} elements that take no bytes")
            return value
        except Exception as error:
            if recorder is not None:
                del recorder.rows[rows:]
            if not _passes(error):
                note(error, str(index), start)
            raise
        finally:
            if recorder is not None:
                recorder.names.pop()

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        index = context._index
        try:
            return super()._build(obj, stream, context, path)
        except Exception as error:
            if not _passes(error):
                note(error, str(index), None)
            raise


class TracedStream(AnySubconstruct):
    """Around a node with a stream of its own: what happens inside happened where it begins."""

    recorder: Recorder | None
    bits: bool

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = _tell(stream)
        recorder = self.recorder
        if recorder is not None:
            saved = recorder.base, recorder.scale, recorder.known
            recorder.base, recorder.scale = recorder.place(start or 0), 1
            recorder.known = recorder.known and self.bits and start is not None
        try:
            return super()._parse(stream, context, path)
        except Exception as error:
            if hasattr(error, "iotsim_path"):
                error.iotsim_offset = start  # type: ignore[attr-defined]
            raise
        finally:
            if recorder is not None:
                recorder.base, recorder.scale, recorder.known = saved


def _missing(error: KeyError, struct: Struct) -> bool:
    """Whether ``error`` is that of a member for which no value was given."""
    if hasattr(error, "iotsim_path") or not error.args:
        return False
    return any(m.name == error.args[0] and not m.flagbuildnone for m in struct.subcons)


class TracedStruct(Struct):
    """A Struct; ``embedded`` if it is an unnamed member of a FlatStruct, which then checks."""

    strict: bool
    embedded: bool

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        names = {m.name for m in self.subcons if m.name}
        if self.embedded and "_flat" in context:
            context["_flat"].update(names)
        elif self.strict and isinstance(obj, Mapping):
            refuse_unknown(obj, names)
        try:
            return super()._build(obj, stream, context, path)
        except KeyError as error:
            if _missing(error, self):
                note(error, error.args[0], None)
            raise


class TracedFlatStruct(FlatStruct):
    """A FlatStruct; as `TracedStruct`."""

    strict: bool
    embedded: bool

    def _enter(self, stream: Any, outer: Any) -> Any:
        context = super()._enter(stream, outer)
        context["_flat"] = {m.name for m in self.subcons if m.name}
        return context

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        try:
            built = super()._build(obj, stream, context, path)
        except KeyError as error:
            if _missing(error, self):
                note(error, error.args[0], None)
            raise
        if self.embedded and "_flat" in context:
            context["_flat"].update(built["_flat"])
        elif self.strict and isinstance(obj, Mapping):
            refuse_unknown(obj, built["_flat"])
        return built


def refuse_unknown(obj: Mapping[Any, Any], names: Iterable[str]) -> None:
    """Raise UnknownFieldError if ``obj`` has a key that is neither a name nor private."""
    names = set(names)
    for key in obj:
        if key not in names and not (isinstance(key, str) and key.startswith("_")):
            known = ", ".join(sorted(names)) or "none"
            error = UnknownFieldError(f"the message has no such field here (it has: {known})")
            note(error, str(key), None)
            raise error


class TracedNative(Native):
    """A Native field; as `TracedStruct`, if it is declared like one."""

    strict: bool
    embedded: bool

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        names = flat_names(self.subcon)
        if self.embedded and "_flat" in context:
            context["_flat"].update(names)
        elif self.strict and names and isinstance(obj, Mapping):
            refuse_unknown(obj, names)
        return super()._build(obj, stream, context, path)


class TracedSwitch(AnySwitch):
    """A Switch that refuses, if strict, a key without a case."""

    strict: bool
    embedded: bool

    def _check(self, context: Any, offset: int | None) -> None:
        if self.default is not Pass:
            return
        key = evaluate(self.keyfunc, context)
        if key not in self.cases:
            error = SwitchError(f"there is no case for {key!r}")
            name = _field_of(self.keyfunc)
            if self.embedded and name:
                note(error, name, offset)
            raise error

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        if self.strict:
            self._check(context, _tell(stream))
        return super()._parse(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if self.strict:
            self._check(context, None)
        return super()._build(obj, stream, context, path)


def _field_of(expression: Any) -> str | None:
    """``kind`` of ``this.kind``."""
    if isinstance(expression, Path):
        text = repr(expression)
        if text.startswith("this['") and text.count("[") == 1:
            return text[6:-2]
    return None


class Tracer:
    """Copies schemas into traced ones; one per message and mode, so that copies are shared."""

    def __init__(self, strict: bool, recorder: Recorder | None = None) -> None:
        self.strict = strict
        self.recorder = recorder
        self._copies: dict[tuple[int, bool], tuple[AnyConstruct, AnyConstruct]] = {}

    def copy(self, node: AnyConstruct, embedded: bool = False) -> AnyConstruct:
        """The traced copy of ``node``; ``embedded`` as in `TracedStruct`."""
        key = id(node), embedded
        if key not in self._copies:
            # The original is kept too, so that its id stays its own.
            self._copies[key] = node, self._copy(node, embedded)
        return self._copies[key][1]

    def _copy(self, node: AnyConstruct, embedded: bool) -> AnyConstruct:
        kind = type(node)
        if isinstance(node, LazyBound):
            lazy = copy.copy(node)
            function: Callable[[], AnyConstruct] = node.subconfunc
            lazy.subconfunc = lambda: self.copy(function())
            return lazy
        new: Any = copy.copy(node)
        changed = self._copy_children(node, new, embedded)
        if kind is Renamed:
            new.__class__ = TracedRenamed
            new.recorder, new.hidden = self.recorder, False
            if isinstance(new.subcon, TracedRenamed):
                # "name" / field * "docs" is wrapped twice, under the same name.
                new.subcon = copy.copy(new.subcon)
                new.subcon.hidden = True
        elif kind is Struct:
            new.__class__ = TracedStruct
            new.strict, new.embedded = self.strict, embedded
        elif kind is FlatStruct:
            new.__class__ = TracedFlatStruct
            new.strict, new.embedded = self.strict, embedded
            new._plan()
        elif kind is Native:
            new.__class__ = TracedNative
            new.strict, new.embedded = self.strict, embedded
        elif kind is Switch:
            new.__class__ = TracedSwitch
            new.strict, new.embedded = self.strict, embedded
        elif isinstance(node, FocusedSeq):
            for member in new.subcons:
                if isinstance(member, TracedRenamed):
                    member.hidden = True
        elif isinstance(node, Array | GreedyRange | RepeatUntil):
            element: Any = TracedElement(new.subcon)
            element.recorder, element.greedy = self.recorder, isinstance(node, GreedyRange)
            new.subcon = element
        elif isinstance(node, _OWN_STREAM):
            around: Any = TracedStream(new)
            decode = getattr(node, "decodefunc", getattr(node, "decoder", None))
            around.bits = getattr(decode, "__name__", "") == "bytes2bits"
            around.recorder = self.recorder
            return around  # type: ignore[no-any-return]
        elif not changed:
            return node
        return new  # type: ignore[no-any-return]

    def _copy_children(self, node: AnyConstruct, new: Any, embedded: bool) -> bool:
        changed = False
        is_struct = isinstance(node, Struct)
        embedded = embedded and not node.name and bool(flat_names(node))
        for name, value in vars(node).items():
            if isinstance(value, Construct):
                setattr(new, name, self.copy(value, embedded))
            elif isinstance(value, list) and value and all(isinstance(v, Construct) for v in value):
                flat = isinstance(node, FlatStruct)
                children = [
                    self.copy(v, (flat and not v.name) if is_struct else embedded) for v in value
                ]
                setattr(new, name, children)
            elif isinstance(value, dict) and name == "cases":
                setattr(new, name, {k: self.copy(v, embedded) for k, v in value.items()})
            else:
                continue
            changed = True
        if hasattr(node, "_subcons") and "subcons" in vars(node):
            new._subcons = Container((m.name, m) for m in new.subcons if m.name)
        return changed
