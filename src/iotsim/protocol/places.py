"""Places: where in a message something failed, or was found.

Wrappers of constructs in a traced schema (`iotsim.protocol.traced`): a member of a struct and an element of
an array add themselves to the path of an exception that passes, and the innermost notes its offset; so also
a KeyError out of a function has a path. With a `Recorder` they note each field that was found, for people.
"""

from __future__ import annotations

import io
from typing import Any, cast

import construct as c

from iotsim.protocol.native import surroundings
from iotsim.protocol.tree import AnySubconstruct, Transparent, children

EMPTY_ELEMENTS = 1024
"""How many elements of no bytes an array may have."""


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


class Message(io.BytesIO):
    """The bytes of a message. ``reached`` is up to where a checksum was read."""

    reached = 0


def tell(stream: Any) -> int | None:
    try:
        return int(stream.tell())
    except Exception:
        return None


def note(error: Exception, name: str | None, offset: int | None) -> None:
    """Add a name in front of the path that ``error`` carries, and the offset if it has none."""
    if isinstance(error, c.StopFieldError | c.CancelParsing):
        return
    trail: list[str] | None = getattr(error, "iotsim_path", None)
    if trail is None:
        trail = error.iotsim_path = []  # type: ignore[attr-defined]
        error.iotsim_offset = offset  # type: ignore[attr-defined]
    if name is not None:
        trail.insert(0, name)


class Place(Transparent):
    """Around a node that is a place in the message; ``label`` is a step of its path."""

    def __init__(self, subcon: Any, label: str, recorder: Recorder | None) -> None:
        super().__init__(subcon)
        self.label = label
        self.recorder = recorder

    def step(self, context: Any) -> str:
        return self.label

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        step, start, recorder = self.step(context), tell(stream), self.recorder
        if recorder is not None:
            rows = len(recorder.rows)
            recorder.names.append(step)
        try:
            value = self.subcon._parsereport(stream, context, path)
            self.found(stream, start, step)
            if recorder is not None and recorder.known and self.label and start is not None:
                end = tell(stream)
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


class Element(Place):
    """The element of an array: its index is part of the path."""

    greedy = False
    lazy = False
    """Whether it may pass over the end of the data without looking at it."""

    def step(self, context: Any) -> str:
        return str(context._index)

    def found(self, stream: Any, start: int | None, step: str) -> None:
        index = int(step)  # the context may have another, of an array inside the element
        if start is not None and tell(stream) == start:
            if self.greedy:
                raise c.ExplicitError("an element takes no bytes: it would repeat for ever")
            if index >= EMPTY_ELEMENTS:
                raise c.ExplicitError(f"more than {EMPTY_ELEMENTS} elements that take no bytes")
        if index >= EMPTY_ELEMENTS and index % 256 == 0:
            self.progress(stream, index)
        if self.greedy and self.lazy and start is not None:
            here = stream.tell()
            if stream.seek(0, 2) < start:
                raise c.ExplicitError("an element begins after the end: it would repeat for ever")
            stream.seek(here)

    def progress(self, stream: Any, index: int) -> None:
        """Refuse elements that move to and fro."""
        here = stream.tell()
        if index > 8 * stream.seek(0, 2):
            raise c.ExplicitError("more elements than the message has bits")
        stream.seek(here)

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        attempt = Attempt(stream, self.recorder)
        try:
            return super()._parse(stream, context, path)
        except Exception:
            attempt.give_up()
            raise


class QuickElement(Element):
    """The element of an array in a copy without places: it only refuses what might repeat for ever."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        if self.greedy or context._index >= EMPTY_ELEMENTS:
            return super()._parse(stream, context, path)
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._build(obj, stream, context, path)


def holds_lazy(node: Any) -> bool:
    return isinstance(node, c.Lazy | c.LazyArray | c.LazyStruct) or any(
        map(holds_lazy, children(node))
    )


class OtherStream(AnySubconstruct):
    """Around a node with a stream of its own: what happens inside happened where it begins."""

    recorder: Recorder | None
    bits: bool

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = tell(stream)
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


class Parts(Transparent):
    """Around a Native, whose parts are found before it is parsed, so that they are there if it cannot be."""

    def __init__(self, native: Any, recorder: Recorder) -> None:
        super().__init__(native)
        self.recorder = recorder

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        if self.recorder.known:
            here = stream.tell()
            self._find(stream, path)
            stream.seek(here)
        return super()._parse(stream, context, path)

    def _find(self, stream: Any, path: str) -> None:
        origin, at, data = surroundings(stream, path)
        recorder, native = self.recorder, cast("Any", self.subcon)
        try:
            for name, start, end, value in native.parts(data, at):
                places = recorder.place(origin + start), recorder.place(origin + end)
                where = ".".join([*recorder.names, name])
                recorder.rows.append(Row(where, *places, value))
        except Exception:  # of the user's code; what is wrong is for `decode` to say
            return


class Reached(Transparent):
    """Around the field of a checksum, whose function may leave the stream before it."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        value = self.subcon._parsereport(stream, context, path)
        if isinstance(stream, Message):
            stream.reached = max(stream.reached, stream.tell())
        return value


class Attempt:
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
