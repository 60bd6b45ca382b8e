"""Traced schemas: copies that are strict, and that say where they failed.

In the copy (`Tracer.copy`) some nodes are replaced by subclasses, or wrapped:

- a member of a struct and an element of an array add themselves to the path of an exception that passes,
  and the innermost notes its offset; so also a KeyError out of a function has a path;
- a Struct and a Switch refuse, if strict, what construct passes in silence, and in such a way that no
  Select, Optional or GreedyRange around takes it for "this alternative does not match";
- likewise the errors of functions and adapters that are the user's;
- an array refuses elements of no bytes, of which hostile input could ask for ever.

The values are construct's own.
"""

from __future__ import annotations

import copy
import functools
import io
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from construct import (
    Adapter,
    Array,
    CancelParsing,
    Checksum,
    Compiled,
    Construct,
    ConstructError,
    Container,
    ExplicitError,
    Flag,
    FocusedSeq,
    FormatField,
    GreedyBytes,
    GreedyRange,
    IfThenElse,
    Lazy,
    LazyArray,
    LazyBound,
    LazyStruct,
    NamedTuple,
    Pass,
    Probe,
    ProcessRotateLeft,
    ProcessXor,
    RawCopy,
    Rebuffered,
    Renamed,
    RepeatUntil,
    RestreamData,
    Restreamed,
    Select,
    SelectError,
    Sequence,
    StopFieldError,
    Struct,
    Subconstruct,
    Switch,
    Transformed,
    Tunnel,
    Union,
    VarInt,
    ZigZag,
)
from construct.core import evaluate, stream_seek, stream_tell, stream_write
from construct.expr import Path

from iotsim.errors import ProtocolError
from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.functions import is_function
from iotsim.protocol.lower import is_kept, lower, refuses_others, zeroed
from iotsim.protocol.native import Around, Derived, Native
from iotsim.protocol.tree import children, unnamed
from iotsim.protocol.values import Restore, branch_restorers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    AnyConstruct = Construct[Any, Any]
    AnyNamedTuple = NamedTuple[Any, Any]
    AnyRenamed = Renamed[Any, Any]
    AnySubconstruct = Subconstruct[Any, Any, Any, Any]
    AnySelect = Select
    AnySwitch = Switch[Any, Any]
    AnyLazyBound = LazyBound[Any, Any]
else:
    AnyConstruct = Construct
    AnyNamedTuple = NamedTuple
    AnyRenamed = Renamed
    AnySubconstruct = Subconstruct
    AnySelect = Select
    AnySwitch = Switch
    AnyLazyBound = LazyBound

DEEPEST = 50
"""How many LazyBounds may stand inside each other in a message."""
EMPTY_ELEMENTS = 1024
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


class NoCaseError(ExplicitError):
    """A Switch has no case for its key."""


class UserCodeError(ExplicitError):
    """A function or an adapter of the user's raised ``cause``.

    ``declines``: it was an adapter, asked to encode a value that may be meant for another alternative.
    """

    def __init__(self, cause: Exception, declines: bool = False) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.cause = cause
        self.declines = declines and not isinstance(cause, NameError)


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


def note(error: Exception, name: str | None, offset: int | None) -> None:
    """Add a name in front of the path that ``error`` carries, and the offset if it has none."""
    if isinstance(error, StopFieldError | CancelParsing):
        return
    trail: list[str] | None = getattr(error, "iotsim_path", None)
    if trail is None:
        trail = error.iotsim_path = []  # type: ignore[attr-defined]
        error.iotsim_offset = offset  # type: ignore[attr-defined]
    if name is not None:
        trail.insert(0, name)


class _Place(AnyRenamed):
    """Around a node that is a place in the message; ``label`` is a step of its path.

    A Renamed, so that who looks for a node behind its names looks through it.
    """

    recorder: Recorder | None
    label: str

    def __init__(self, subcon: Any, label: str, recorder: Recorder | None) -> None:
        super().__init__(subcon)
        self.parsed = None  # the hook is called by the node inside
        self.label = label
        self.recorder = recorder

    def step(self, context: Any) -> str:
        return self.label

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        step, start, recorder = self.step(context), _tell(stream), self.recorder
        if recorder is not None:
            rows = len(recorder.rows)
            recorder.names.append(step)
        try:
            value = self.subcon._parsereport(stream, context, path)
            self.found(stream, start, step)
            if recorder is not None and recorder.known and self.label and start is not None:
                end = _tell(stream)
                where = ".".join(recorder.names)
                row = Row(where, recorder.place(start), recorder.place(end or start), value)
                recorder.rows.insert(rows, row)
            return value
        except Exception as error:
            note(error, step, start)
            raise
        finally:
            if recorder is not None:
                recorder.names.pop()

    def found(self, stream: Any, start: int | None, step: str) -> None:
        """It was parsed, from ``start`` on, as this `step`."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        step = self.step(context)
        try:
            return self.subcon._build(obj, stream, context, path)
        except Exception as error:
            note(error, step, None)
            raise


class _Element(_Place):
    """The element of an array: its index is part of the path."""

    greedy = False
    lazy = False
    """Whether it may pass over the end of the data without looking at it."""

    def step(self, context: Any) -> str:
        return str(context._index)

    def found(self, stream: Any, start: int | None, step: str) -> None:
        index = int(step)  # the context may have another, of an array inside the element
        if start is not None and _tell(stream) == start:
            if self.greedy:
                raise ExplicitError("an element takes no bytes: it would repeat for ever")
            if index >= EMPTY_ELEMENTS:
                raise ExplicitError(f"more than {EMPTY_ELEMENTS} elements that take no bytes")
        if index >= EMPTY_ELEMENTS and index % 256 == 0:
            self.progress(stream, index)
        if self.greedy and self.lazy and start is not None:
            here = stream.tell()
            if stream.seek(0, 2) < start:
                raise ExplicitError("an element begins after the end: it would repeat for ever")
            stream.seek(here)

    def progress(self, stream: Any, index: int) -> None:
        """Refuse elements that move to and fro."""
        here = stream.tell()
        if index > 8 * stream.seek(0, 2):
            raise ExplicitError("more elements than the message has bits")
        stream.seek(here)

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        attempt = _Attempt(stream, self.recorder)
        try:
            return super()._parse(stream, context, path)
        except Exception:
            attempt.give_up()
            raise


class _QuickElement(_Element):
    """The element of an array in a copy without places: it only refuses what might repeat for ever."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        if self.greedy or context._index >= EMPTY_ELEMENTS:
            return super()._parse(stream, context, path)
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._build(obj, stream, context, path)


class _OtherStream(AnySubconstruct):
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


def _missing(error: KeyError, struct: Any) -> bool:
    """Whether ``error`` is that of a member for which no value was given."""
    if hasattr(error, "iotsim_path") or not error.args:
        return False
    return any(m.name == error.args[0] and not m.flagbuildnone for m in struct.subcons)


class _Selecting:
    """In how many alternatives a message is being built, and whether each struct around is there."""

    def __init__(self) -> None:
        self.depth = 0
        self.present: list[bool] = []


class _Kept(AnyRenamed):
    """Around a private member that is zero where no value is given, in a struct that is there."""

    selecting: _Selecting

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        present = self.selecting.present
        if obj is None and present and not present[-1]:
            raise KeyError(self.name)
        return self.subcon._build(obj, stream, context, path)


class _Checked:
    """A struct that refuses keys that it does not know, if ``strict``.

    ``embedded``: it is an unnamed member of a FlatStruct, and adds its ``names`` to those of the innermost
    one, the last of ``flats``, which then checks.
    """

    strict: bool
    embedded: bool
    names: frozenset[str]
    flats: list[set[str]]
    selecting: _Selecting

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if self.embedded and self.flats:
            self.flats[-1].update(self.names)
        elif self.strict and isinstance(obj, Mapping) and not self.names.issuperset(obj):
            refuse_unknown(obj, self.names)
        given = bool(obj) if self.embedded else obj is not None
        self.selecting.present.append(given or not self.selecting.depth)
        try:
            return super()._build(obj, stream, context, path)  # type: ignore[misc]
        except KeyError as error:
            if _missing(error, self):
                note(error, error.args[0], None)
            raise
        finally:
            self.selecting.present.pop()


class _Struct(_Checked, Struct):
    pass


class _LazyStruct(_Checked, LazyStruct):
    pass


class _FlatStruct(FlatStruct):
    """A FlatStruct; as `_Checked`."""

    strict: bool
    embedded: bool
    names: frozenset[str]
    flats: list[set[str]]
    selecting: _Selecting

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self.flats.append(set(self.names))
        given = bool(obj) if self.embedded else obj is not None
        self.selecting.present.append(given or not self.selecting.depth)
        try:
            built = super()._build(obj, stream, context, path)
        except KeyError as error:
            if _missing(error, self):
                note(error, error.args[0], None)
            raise
        finally:
            names = self.flats.pop()
            self.selecting.present.pop()
        if self.embedded and self.flats:
            self.flats[-1].update(names)
        elif self.strict and isinstance(obj, Mapping):
            refuse_unknown(obj, names)
        return built


def refuse_unknown(obj: Mapping[Any, Any], names: Iterable[str]) -> None:
    """Raise UnknownFieldError if ``obj`` has a key that is neither a name nor private."""
    for key in obj:
        if key not in names and not (isinstance(key, str) and key.startswith("_")):
            known = ", ".join(sorted(names)) or "none"
            error = UnknownFieldError(f"the message has no such field here (it has: {known})")
            note(error, str(key), None)
            raise error


class _Native(_Checked, Native):
    pass


class _Switch(AnySwitch):
    """A Switch that refuses a key without a case."""

    embedded: bool

    def _check(self, context: Any, offset: int | None) -> None:
        key = evaluate(self.keyfunc, context)
        if key not in self.cases:
            error = NoCaseError(f"there is no case for {key!r}")
            name = _field_of(self.keyfunc)
            if self.embedded and name:
                note(error, name, offset)
            raise error

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        self._check(context, _tell(stream))
        return super()._parse(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self._check(context, None)
        return super()._build(obj, stream, context, path)


class _Branch(AnyRenamed):
    """Around a branch or an alternative: what it is built from is, from here on, of construct's own kind."""

    def __init__(self, subcon: Any, restore: Restore) -> None:
        super().__init__(subcon)
        self.parsed = None
        self.restore = restore

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._build(self.restore(obj), stream, context, path)


class _Conditional(AnyRenamed):
    """Around an If or a Switch that is a member of a struct.

    Its value may be missing (or None) where the branch that is taken needs none.
    """

    def __init__(self, subcon: Any) -> None:
        super().__init__(subcon)
        self.parsed = None
        self.flagbuildnone = True

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if obj is None and not _chosen(self.subcon, context).flagbuildnone:
            raise KeyError
        return self.subcon._build(obj, stream, context, path)


def _chosen(node: Any, context: Any) -> Any:
    """The branch that an If or a Switch takes."""
    node = unnamed(node)
    while isinstance(node, IfThenElse | Switch | _LazyBound):
        if isinstance(node, _LazyBound):
            node = node._traced()
        elif isinstance(node, IfThenElse):
            taken = evaluate(node.condfunc, context)
            node = node.thensubcon if taken else node.elsesubcon
        else:
            node = node.cases.get(evaluate(node.keyfunc, context), node.default)
        node = unnamed(node)
    return node


class _Select(AnySelect):
    """A Select that does not drop a field or a value in silence.

    An alternative that does not know a field, or whose adapter cannot take the value, is not meant. If none
    that follows is, the message is refused, although Pass, as in Optional, would take it. But None says
    itself that there is nothing, and so do no fields of an unnamed member: what is not there, functions may
    well fail to compute.
    """

    embedded: bool
    flats: list[set[str]]
    selecting: _Selecting
    recorder: Recorder | None

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        attempt = _Attempt(stream, self.recorder)
        start = stream_tell(stream, path)
        for choice in self.subcons:
            try:
                return choice._parsereport(stream, context, path)
            except ExplicitError:
                raise
            except Exception:
                attempt.give_up()
                stream_seek(stream, start, 0, path)
        raise SelectError("no alternative matches", path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        unknown: ConstructError | None = None
        absent = not obj if self.embedded else obj is None
        flat = self.flats[-1] if self.flats else set()
        for choice in self.subcons:
            if unknown is not None and unnamed(choice) is Pass:
                continue
            names = set(flat)
            value = choice.restore(obj) if isinstance(choice, _Branch) else obj
            self.selecting.depth += 1
            try:
                data = choice.build(value, **context)
            except UserCodeError as error:
                if not error.declines and (not absent or isinstance(error.cause, NameError)):
                    raise
                unknown = unknown or (None if absent else error)
            except ExplicitError:
                raise
            except UnknownFieldError as error:
                unknown = unknown or error
            except Exception:
                pass
            else:
                stream_write(stream, data, len(data), path)
                return value
            finally:
                self.selecting.depth -= 1
            flat.intersection_update(names)
        if unknown is not None:
            raise unknown
        raise SelectError(f"no alternative can be built from {obj!r}", path)


def _field_of(expression: Any) -> str | None:
    """``kind`` of ``this.kind``."""
    if isinstance(expression, Path):
        text = repr(expression)
        if text.startswith("this['") and text.count("[") == 1:
            return text[6:-2]
    return None


class _NamedTuple(AnyNamedTuple):
    """A NamedTuple that also takes what messages show of one, its fields by name."""

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        if isinstance(obj, Mapping):
            make: Any = self.factory
            obj = make(**obj)
        return super()._encode(obj, context, path)


class Message(io.BytesIO):
    """The bytes of a message. ``reached`` is up to where a checksum was read."""

    reached = 0


class _Reached(AnyRenamed):
    """Around the field of a checksum, whose function may leave the stream before it."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        value = self.subcon._parsereport(stream, context, path)
        if isinstance(stream, Message):
            stream.reached = max(stream.reached, stream.tell())
        return value


class _Attempt:
    """An element or an alternative that is tried: nothing is left of it once it is ``given_up``."""

    def __init__(self, stream: Any, recorder: Recorder | None) -> None:
        self.stream = stream
        self.reached = stream.reached if isinstance(stream, Message) else 0
        self.recorder = recorder
        self.rows = len(recorder.rows) if recorder is not None else 0

    def give_up(self) -> None:
        if isinstance(self.stream, Message):
            self.stream.reached = self.reached
        if self.recorder is not None:
            del self.recorder.rows[self.rows :]


class _LazyBound(AnyLazyBound):
    """A LazyBound whose construct is traced, and copied again only if it is another each time."""

    tracer: Tracer
    last: tuple[Any, Any]
    depths: list[int]

    def _traced(self) -> Any:
        try:
            make: Any = self.subconfunc
            construct = make()
        except ConstructError:
            raise
        except Exception as error:
            raise UserCodeError(error) from error
        original, traced = self.last
        if original is not construct:
            tracer = self.tracer
            if not tracer.knows(construct):
                # Perhaps a new one each time: nothing of it is to be kept longer than this.
                try:
                    restorers = branch_restorers(lower(construct))
                except ProtocolError as error:
                    raise UserCodeError(error) from error
                tracer = Tracer(tracer.strict, tracer.recorder, restorers, places=tracer.places)
                tracer.depths = self.depths
            traced = tracer.copy(construct)
            self.last = construct, traced
        return traced

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        with self._deeper(path):
            return self._traced()._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        with self._deeper(path):
            return self._traced()._build(obj, stream, context, path)

    @contextmanager
    def _deeper(self, path: str) -> Iterator[None]:
        """One level deeper. An error of the message, where construct would take Python's own limit for
        the end of a list."""
        self.depths[0] += 1
        try:
            if self.depths[0] > DEEPEST:
                raise ExplicitError("nested too deeply", path)
            yield
        finally:
            self.depths[0] -= 1


def _holds_lazy(node: Any) -> bool:
    return isinstance(node, Lazy | LazyArray | LazyStruct) or any(map(_holds_lazy, children(node)))


def _guarded(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``function`` of the user's, whose errors are never taken for a failed alternative.

    ``name`` is what the node calls it.
    """
    on_value = name in ("_encode", "_decode", "_validate")

    @functools.wraps(function, assigned=(), updated=())
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except ConstructError:
            raise
        except Exception as error:
            if (own and not _is_from_user(error)) or _is_sizing(arguments):
                raise
            # An adapter's second argument is the context.
            building = name == "_build" or (
                on_value and len(arguments) > 1 and bool(arguments[1].get("_building"))
            )
            raise UserCodeError(error, declines=building) from error

    own = _is_constructs(getattr(function, "__module__", ""))
    return call


def _is_sizing(arguments: tuple[Any, ...]) -> bool:
    """Whether a function is called for a size only, where construct knows what a missing field means.

    Its contexts have no stream then.
    """
    return any(isinstance(a, Container) and a.get("_io", a) is None for a in arguments)


def _is_from_user(error: Exception) -> bool:
    """Whether the user's code had a part in `error`, which came out of a function of construct's.

    A NameError, also a variable that has no value, is never construct's way of saying something.
    """
    if isinstance(error, NameError):
        return True
    trace = error.__traceback__
    while trace is not None:
        if not _is_constructs(trace.tb_frame.f_globals.get("__name__")):
            return True
        trace = trace.tb_next
    return False


_ALONE = (FormatField, type(Pass), type(GreedyBytes), type(Flag), type(VarInt), type(ZigZag))
"""Kinds that have nothing to be copied for; some are told by their identity."""
_STRUCTS = (Struct, Union, LazyStruct)


class Tracer:
    """Copies schemas into traced ones; one per message and mode, so that copies are shared.

    Without ``places`` the copy does not say where it failed, and is quicker.
    """

    def __init__(
        self,
        strict: bool,
        recorder: Recorder | None = None,
        restorers: Mapping[int, Restore] | None = None,
        *,
        places: bool = True,
    ) -> None:
        self.strict = strict
        self.recorder = recorder
        self.restorers = restorers or {}
        self.places = places
        self.flats: list[set[str]] = []
        self.selecting = _Selecting()
        self.depths = [0]
        self._copies: dict[tuple[int, bool], tuple[AnyConstruct, AnyConstruct]] = {}

    def knows(self, node: AnyConstruct) -> bool:
        return (id(node), False) in self._copies

    def copy(self, node: AnyConstruct, embedded: bool = False) -> AnyConstruct:
        """The traced copy of ``node``; ``embedded`` as in `_Struct`."""
        key = id(node), embedded
        if key not in self._copies:
            # The original is kept too, so that its id stays its own.
            self._copies[key] = node, self._copy(node, embedded)
        return self._copies[key][1]

    def _copy(self, node: AnyConstruct, embedded: bool) -> AnyConstruct:
        if isinstance(node, _ALONE):
            return node
        if isinstance(node, Compiled):
            return self.copy(unnamed(node), embedded)
        new: Any = copy.copy(node)
        self._copy_children(node, new, embedded)
        self._guard(node, new)
        if isinstance(node, IfThenElse):
            new.thensubcon = self._branch(node.thensubcon, new.thensubcon)
            new.elsesubcon = self._branch(node.elsesubcon, new.elsesubcon)
        elif isinstance(node, Switch):
            new.cases = {key: self._branch(node.cases[key], new.cases[key]) for key in node.cases}
            new.default = self._branch(node.default, new.default)
        elif isinstance(node, Select):
            new.subcons = list(map(self._branch, node.subcons, new.subcons))
        if type(node) is Renamed:
            new.flagbuildnone = new.subcon.flagbuildnone  # one of a Compiled is another
        if type(node) in (Struct, LazyStruct):
            # A dissection shows all fields in their turn.
            now = type(node) is Struct or self.recorder is not None
            new.__class__ = _Struct if now else _LazyStruct
        elif type(node) is FlatStruct:
            new.__class__ = _FlatStruct
            new._plan()
        elif type(node) is Select:
            new.__class__, new.recorder = _Select, self.recorder
        elif type(node) is Switch and self.strict and refuses_others(node):
            new.__class__ = _Switch
        elif type(node) is Checksum:
            new.checksumfield = _Reached(new.checksumfield)
            new.checksumfield.parsed = None
        elif type(node) is NamedTuple:
            new.__class__ = _NamedTuple
        elif type(node) is Native and (names := flat_names(node.subcon)):
            new.__class__, new.strict, new.names = _Native, self.strict, frozenset(names)
        elif isinstance(node, LazyBound):
            new.__class__ = _LazyBound
            new.tracer, new.last, new.depths = self, (None, None), self.depths
        if isinstance(new, _Struct | _LazyStruct | _FlatStruct):
            new.strict = self.strict
            new.names = frozenset(m.name for m in new.subcons if m.name)
        new.embedded, new.flats, new.selecting = embedded, self.flats, self.selecting
        if isinstance(node, Array | GreedyRange | RepeatUntil):
            kind = _Element if self.places else _QuickElement
            element = kind(new.subcon, "", self.recorder)
            element.greedy = isinstance(node, GreedyRange)
            element.lazy = element.greedy and _holds_lazy(node.subcon)
            new.subcon = element
        elif isinstance(node, RawCopy):
            new.subcon = self._place(new.subcon, "value")
        elif isinstance(node, _OWN_STREAM) and self.places:
            around: Any = _OtherStream(new)
            decode = getattr(node, "decodefunc", getattr(node, "decoder", None))
            around.bits = getattr(decode, "__name__", "") == "bytes2bits"
            around.recorder = self.recorder
            return around  # type: ignore[no-any-return]
        if not self.places:
            _shorten(node, new)
        return new  # type: ignore[no-any-return]

    def _branch(self, original: AnyConstruct, copied: AnyConstruct) -> AnyConstruct:
        restore = self.restorers.get(id(unnamed(original)))
        return _Branch(copied, restore) if restore else copied

    def _place(self, node: Any, label: str) -> Any:
        return _Place(node, label, self.recorder) if self.places else node

    def _guard(self, node: AnyConstruct, new: Any) -> None:
        """Put the user's functions in `new` behind a guard."""
        if isinstance(node, Native | Around | Derived):
            return  # theirs are behind a guard already
        for name, value in vars(node).items():
            if is_function(value) and not isinstance(value, type | Construct):
                if name == "parsed" or not _is_users(value):
                    continue
                setattr(new, name, _guarded(value, name))
        if isinstance(node, FocusedSeq) and callable(node.parsebuildfrom):
            # It fails with a NameError if it has no member of the name that its function gives.
            new._parse, new._build = (_guarded(m, m.__name__) for m in (new._parse, new._build))
        if not _is_constructs(type(node).__module__):
            for name in ("_decode", "_encode", "_validate", "_parse", "_build"):
                if isinstance(node, Adapter) == (name not in ("_parse", "_build")):
                    method = getattr(new, name, None)
                    if method is not None and name not in vars(node):
                        setattr(new, name, _guarded(method, name))

    def _copy_children(self, node: AnyConstruct, new: Any, embedded: bool) -> None:
        embedded = embedded and not node.name and bool(flat_names(node))
        for name, value in vars(node).items():
            if isinstance(value, Construct):
                setattr(new, name, self.copy(value, embedded))
            elif isinstance(value, list) and value and all(isinstance(v, Construct) for v in value):
                setattr(new, name, self._copy_members(node, value, embedded))
            elif isinstance(value, dict) and name == "cases":
                setattr(new, name, {k: self.copy(v, embedded) for k, v in value.items()})
        if hasattr(node, "_subcons") and "subcons" in vars(node):
            new._subcons = Container((m.name, m) for m in new.subcons if m.name)

    def _copy_members(
        self, node: AnyConstruct, members: list[AnyConstruct], embedded: bool
    ) -> list[Any]:
        if isinstance(node, Sequence):
            return [self._place(self.copy(m), str(i)) for i, m in enumerate(members)]
        if not isinstance(node, _STRUCTS):
            return [self.copy(member, embedded) for member in members]
        made = []
        for member in members:
            inside = isinstance(node, FlatStruct) and not member.name
            one: Any = self.copy(member, inside)
            if isinstance(node, Union):
                pass  # it is built from the first member that has a value
            elif isinstance(unnamed(member), IfThenElse | Switch) and not member.flagbuildnone:
                one = _Conditional(one)
            elif is_kept(member):
                one = _Kept(self.copy(zeroed(member)), member.name)
                one.selecting = self.selecting
            made.append(self._place(one, str(member.name)) if member.name else one)
        return made


def _shorten(node: AnyConstruct, new: Any) -> None:
    """Leave out calls of `new`, the copy of `node`, that come to nothing: a hook that it does not have, and
    a name in a path that nobody reads."""
    inner = new.subcon if type(node) is Renamed and node.parsed is None else None
    if inner is not None and not _reads_path(inner):
        new._build = inner._build
    else:
        inner = new
    if inner.parsed is None and type(inner)._parsereport is Construct._parsereport:
        new._parsereport = inner._parse
    else:
        new._parsereport = inner._parsereport


def _reads_path(node: AnyConstruct) -> bool:
    """Whether something in `node` may show the path, or give it to code of the user's."""
    if isinstance(node, LazyBound | Probe) or not _is_constructs(type(node).__module__):
        return True
    return any(map(_reads_path, children(node)))


def _is_constructs(module: str | None) -> bool:
    return str(module).partition(".")[0] in {"construct", "iotsim"}


def _is_users(function: Any) -> bool:
    """Whether a function is the user's, or one that construct made around such."""
    if not _is_constructs(getattr(function, "__module__", "")):
        return True
    cells = (cell.cell_contents for cell in getattr(function, "__closure__", None) or ())
    return any(is_function(inner) and _is_users(inner) for inner in cells)
