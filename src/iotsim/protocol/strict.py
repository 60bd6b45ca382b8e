"""Constructs that are stricter than construct's own, which the classes in a traced schema become.

A struct and a Switch refuse, if strict, what construct passes in silence, and in such a way that no Select,
Optional or GreedyRange around takes it for "this alternative does not match". Values that messages show in
another way, or may be without, are taken as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import construct as c
from construct.core import evaluate, stream_seek, stream_tell, stream_write
from construct.expr import Path

from iotsim.errors import ProtocolError
from iotsim.protocol.flat import FlatStruct
from iotsim.protocol.guarded import UserCodeError
from iotsim.protocol.native import Native
from iotsim.protocol.places import Attempt, Recorder, note, tell
from iotsim.protocol.tree import AnyLazyBound, AnyNamedTuple, AnySwitch, Transparent, unnamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.protocol.traced import Tracer
    from iotsim.protocol.values import Restore

DEEPEST = 50
"""How many LazyBounds may stand inside each other in a message."""


class UnknownFieldError(c.ConstructError):
    """A field was given that the message does not have."""


class NoCaseError(c.ExplicitError):
    """A Switch has no case for its key."""


class Selecting:
    """In how many alternatives a message is being built, and whether each struct around is there."""

    def __init__(self) -> None:
        self.depth = 0
        self.present: list[bool] = []


class Kept(Transparent):
    """Around a private member that is zero where no value is given, in a struct that is there."""

    selecting: Selecting

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        present = self.selecting.present
        if obj is None and present and not present[-1]:
            raise KeyError(self.name)
        return self.subcon._build(obj, stream, context, path)


def _missing(error: KeyError, struct: Any) -> bool:
    """Whether ``error`` is that of a member for which no value was given."""
    if hasattr(error, "iotsim_path") or not error.args:
        return False
    return any(m.name == error.args[0] and not m.flagbuildnone for m in struct.subcons)


class _Checked:
    """A struct that refuses keys that it does not know, if ``strict``.

    ``embedded``: it is an unnamed member of a FlatStruct, and adds its ``names`` to those of the innermost
    one, the last of ``flats``, which then checks.
    """

    strict: bool
    embedded: bool
    names: frozenset[str]
    flats: list[set[str]]
    selecting: Selecting
    early = True
    """Whether all its names are known before it is built."""

    def check(self, obj: Any, names: frozenset[str] | set[str]) -> None:
        if self.embedded and self.flats:
            self.flats[-1].update(names)
        elif self.strict and isinstance(obj, Mapping) and not names.issuperset(obj):
            _refuse_unknown(obj, names)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if self.early:
            self.check(obj, self.names)
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


class StrictStruct(_Checked, c.Struct):
    pass


class StrictLazyStruct(_Checked, c.LazyStruct):
    pass


class StrictFlatStruct(_Checked, FlatStruct):
    early = False  # what else it has, its unnamed members tell while they are built

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self.flats.append(set(self.names))
        try:
            built = super()._build(obj, stream, context, path)
        finally:
            names = self.flats.pop()
        self.check(obj, names)
        return built


class StrictNative(_Checked, Native):
    pass


def _refuse_unknown(obj: Mapping[Any, Any], names: frozenset[str] | set[str]) -> None:
    """Raise UnknownFieldError if ``obj`` has a key that is neither a name nor private."""
    for key in obj:
        if key not in names and not (isinstance(key, str) and key.startswith("_")):
            known = ", ".join(sorted(names)) or "none"
            error = UnknownFieldError(f"the message has no such field here (it has: {known})")
            note(error, str(key), None)
            raise error


class StrictSwitch(AnySwitch):
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
        self._check(context, tell(stream))
        return super()._parse(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self._check(context, None)
        return super()._build(obj, stream, context, path)


def _field_of(expression: Any) -> str | None:
    """``kind`` of ``this.kind``."""
    if isinstance(expression, Path):
        text = repr(expression)
        if text.startswith("this['") and text.count("[") == 1:
            return text[6:-2]
    return None


class Branch(Transparent):
    """Around a branch or an alternative: what it is built from is, from here on, of construct's own kind."""

    def __init__(self, subcon: Any, restore: Restore) -> None:
        super().__init__(subcon)
        self.restore = restore

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._build(self.restore(obj), stream, context, path)


class Conditional(Transparent):
    """Around an If or a Switch that is a member of a struct.

    Its value may be missing (or None) where the branch that is taken needs none.
    """

    def __init__(self, subcon: Any) -> None:
        super().__init__(subcon)
        self.flagbuildnone = True

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        if obj is None and not _chosen(self.subcon, context).flagbuildnone:
            raise KeyError
        return self.subcon._build(obj, stream, context, path)


def _chosen(node: Any, context: Any) -> Any:
    """The branch that an If or a Switch takes."""
    node = unnamed(node)
    while isinstance(node, c.IfThenElse | c.Switch | LazyBound):
        if isinstance(node, LazyBound):
            node = node.traced()
        elif isinstance(node, c.IfThenElse):
            taken = evaluate(node.condfunc, context)
            node = node.thensubcon if taken else node.elsesubcon
        else:
            node = node.cases.get(evaluate(node.keyfunc, context), node.default)
        node = unnamed(node)
    return node


class StrictSelect(c.Select):
    """A Select that does not drop a field or a value in silence.

    An alternative that does not know a field, or whose adapter cannot take the value, is not meant. If none
    that follows is, the message is refused, although Pass, as in Optional, would take it. But None says
    itself that there is nothing, and so do no fields of an unnamed member: what is not there, functions may
    well fail to compute.
    """

    embedded: bool
    flats: list[set[str]]
    selecting: Selecting
    recorder: Recorder | None

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        attempt = Attempt(stream, self.recorder)
        start = stream_tell(stream, path)
        for choice in self.subcons:
            try:
                return choice._parsereport(stream, context, path)
            except c.ExplicitError:
                raise
            except Exception:
                attempt.give_up()
                stream_seek(stream, start, 0, path)
        raise c.SelectError("no alternative matches", path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        unknown: c.ConstructError | None = None
        absent = not obj if self.embedded else obj is None
        flat = self.flats[-1] if self.flats else set()
        for choice in self.subcons:
            if unknown is not None and unnamed(choice) is c.Pass:
                continue
            names = set(flat)
            value = choice.restore(obj) if isinstance(choice, Branch) else obj
            self.selecting.depth += 1
            try:
                data = choice.build(value, **context)
            except UserCodeError as error:
                if not error.declines and (not absent or isinstance(error.cause, NameError)):
                    raise
                unknown = unknown or (None if absent else error)
            except c.ExplicitError:
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
        raise c.SelectError(f"no alternative can be built from {obj!r}", path)


class NamedTuple(AnyNamedTuple):
    """A NamedTuple that also takes what messages show of one, its fields by name."""

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        if isinstance(obj, Mapping):
            make: Any = self.factory
            obj = make(**obj)
        return super()._encode(obj, context, path)


class LazyBound(AnyLazyBound):
    """A LazyBound whose construct is traced, and copied again only if it is another each time."""

    tracer: Tracer
    last: tuple[Any, Any]
    depths: list[int]

    def traced(self) -> Any:
        try:
            make: Any = self.subconfunc
            construct = make()
        except c.ConstructError:
            raise
        except Exception as error:
            raise UserCodeError(error) from error
        original, traced = self.last
        if original is not construct:
            tracer = self.tracer
            if not tracer.knows(construct):
                # Perhaps a new one each time: nothing of it is to be kept longer than this.
                try:
                    tracer = tracer.anew(construct)
                except ProtocolError as error:
                    raise UserCodeError(error) from error
            traced = tracer.copy(construct)
            self.last = construct, traced
        return traced

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        with self._deeper(path):
            return self.traced()._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        with self._deeper(path):
            return self.traced()._build(obj, stream, context, path)

    @contextmanager
    def _deeper(self, path: str) -> Iterator[None]:
        """One level deeper. An error of the message, where construct would take Python's own limit for
        the end of a list."""
        self.depths[0] += 1
        try:
            if self.depths[0] > DEEPEST:
                raise c.ExplicitError("nested too deeply", path)
            yield
        finally:
            self.depths[0] -= 1
