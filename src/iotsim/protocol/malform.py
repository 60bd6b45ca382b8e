"""Malformed messages: fields with values that no encoder would write.

A message is built as ever, by construct, on a copy of its schema in which each named member looks whether
another value is wanted in its place. That one is written as far as bytes allow: numbers are cut to their
bits, constants, computed fields and unknown names of an enum are taken as they are given. Everything else
goes on with the value that the field has by right, so that a message keeps its layout; lengths and
checksums are computed of the bytes as they are then, unless they are to be wrong themselves. What two
functions write (`Native`) is built by them of the other value.
"""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING, Any

import construct as c
from construct.core import stream_tell, stream_write

from iotsim.errors import EncodeError
from iotsim.protocol.anyvalue import WRONG, Scratch, Writer, another, refused, write
from iotsim.protocol.flat import FlatStruct, flat_names
from iotsim.protocol.interpreted import Interpreter, reason_of
from iotsim.protocol.lower import lower
from iotsim.protocol.native import Native
from iotsim.protocol.places import Element, Place
from iotsim.protocol.strict import LazyBound
from iotsim.protocol.traced import Tracer
from iotsim.protocol.tree import AnyConstruct, children, unnamed
from iotsim.protocol.values import branch_restorers
from iotsim.protocol.verified import Checksum, Length

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.device import Device

    Steps = tuple[str, ...]


class Malformer:
    """Builds messages of one schema with other values in some of their fields."""

    def __init__(self, message: AnyConstruct, strict: bool = True) -> None:
        self._interpreter = Interpreter(message, strict)
        self._wanted = Wanted()
        restorers = branch_restorers(lower(message, strict))
        self._message = _Tracer(strict, self._wanted, restorers).copy(message)

    def encode(
        self, message: Mapping[str, Any], values: Mapping[str, Any], device: Device | None = None
    ) -> bytes:
        """`message` with these `values`, by dotted paths, numbers being indexes of arrays.

        EncodeError if the message is none, lacks one of the fields, or cannot carry a value.
        """
        wanted = self._wanted
        wanted.begin(values)
        stream = io.BytesIO()
        outside = {} if device is None else {"device": device}
        try:
            self._message.build_stream(self._interpreter._restore(message), stream, **outside)
        except EncodeError:
            raise
        except Exception as error:
            path = ".".join(getattr(error, "iotsim_path", ()))
            raise EncodeError(reason_of(error), path) from error
        missing = wanted.missing()
        if missing:
            raise EncodeError("the message has no such field", missing)
        return stream.getvalue()


def malformer(protocol: Protocol) -> Malformer:
    """That of what devices of `protocol` send."""
    return Malformer(
        protocol.message if protocol.answer is None else protocol.answer, protocol.strict
    )


class Wanted:
    """The values that are wanted in one message, and the place in it that is being built."""

    def __init__(self) -> None:
        self.values: dict[Steps, Any] = {}
        self.names: list[str] = []
        self._used: set[Steps] = set()

    def begin(self, values: Mapping[str, Any]) -> None:
        self.values = {tuple(path.split(".")): value for path, value in values.items()}
        self.names.clear()
        self._used.clear()

    def missing(self) -> str:
        """A path at which nothing was built, or ""."""
        return next((".".join(path) for path in self.values if path not in self._used), "")

    def here(self, *more: str) -> Steps | None:
        """The path of this place, or of a member of it, if a value is wanted there."""
        path = (*self.names, *more)
        if path not in self.values:
            return None
        self._used.add(path)
        return path

    def below(self, names: Sequence[str] = ()) -> dict[Steps, Any]:
        """What is wanted inside of this place, by paths from here; only of members with these `names`,
        if there are any."""
        depth = len(self.names)
        here = tuple(self.names)
        return {
            path[depth:]: value
            for path, value in self.values.items()
            if path[:depth] == here and len(path) > depth and (not names or path[depth] in names)
        }

    def use(self, relative: Steps) -> None:
        self._used.add((*self.names, *relative))


class _Tracer(Tracer):
    """Copies a schema for a `Malformer`."""

    def __init__(self, strict: bool, wanted: Wanted, restorers: Any) -> None:
        super().__init__(strict, None, restorers)
        self.wanted = wanted

    def anew(self, construct: AnyConstruct) -> Tracer:
        restorers = branch_restorers(lower(construct, self.strict))
        made = _Tracer(self.strict, self.wanted, restorers)
        made.depths = self.depths
        return made

    def _place(self, node: Any, label: str) -> Any:
        return _Place(node, label, self.wanted)

    def _element(self, array: Any, element: AnyConstruct) -> AnyConstruct:
        made = _Element(element, "", None)
        made.wanted = self.wanted
        made.greedy = isinstance(array, c.GreedyRange)
        return made

    def _make_strict(self, node: AnyConstruct, new: Any) -> None:
        super()._make_strict(node, new)
        if type(node) is Native:
            # In front of the class that it has now, whose methods it still calls.
            new.__class__ = type("_Native", (_NativeMixin, type(new)), {})
            new.wanted, new.inside = self.wanted, flat_names(node.subcon)
        elif type(node) is Checksum:
            new.__class__ = _Checksum
            new.wanted, new.places = self.wanted, {}
        elif type(node) is Length:
            new.__class__ = _Length
            new.wanted, new.label = self.wanted, ""
        if isinstance(new, FlatStruct):
            for member in new.subcons:
                bare = unnamed(member)
                if isinstance(bare, _Length) and member.name:
                    bare.label = member.name


class _Building:
    """What members of structs and elements of arrays have in common."""

    wanted: Wanted
    subcon: Any

    def build_here(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        wanted = self.wanted
        node = unnamed(self.subcon)
        own = isinstance(node, Native | Checksum | Length)
        if not own and (here := wanted.here()) is not None:
            right = Scratch(self.subcon, context, path).build(obj)
            write(self.subcon, wanted.values[here], stream, context, path, right)
            return right.value
        below = wanted.below()
        if own or not below or holds_places(self.subcon):
            return self.subcon._build(obj, stream, context, path)
        # Flags, or what is inside of JSON, CBOR and the like.
        if any(value is WRONG for value in below.values()):
            raise refused("it is not computed, so that it is never wrong")
        changed = _with(obj, below)
        for relative in below:
            wanted.use(relative)
        right = Scratch(self.subcon, context, path).build(obj)
        write(self.subcon, changed, stream, context, path, right)
        return right.value


class _Place(_Building, Place):
    def __init__(self, subcon: Any, label: str, wanted: Wanted) -> None:
        super().__init__(subcon, label, None)
        self.wanted = wanted

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self.wanted.names.append(self.label)
        try:
            return _noting(self, obj, stream, context, path)
        finally:
            self.wanted.names.pop()


class _Element(_Building, Element):
    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self.wanted.names.append(str(context._index))
        try:
            return _noting(self, obj, stream, context, path)
        finally:
            self.wanted.names.pop()


def _noting(place: Any, obj: Any, stream: Any, context: Any, path: str) -> Any:
    try:
        return place.build_here(obj, stream, context, path)
    except Exception as error:
        if not isinstance(error, c.StopFieldError | c.CancelParsing) and not hasattr(
            error, "iotsim_path"
        ):
            error.iotsim_path = list(place.wanted.names)  # type: ignore[attr-defined]
        raise


def holds_places(node: Any) -> bool:
    """Whether a value that is wanted inside of `node` is found there while it is built."""
    if isinstance(node, _Place | _Element | LazyBound | Native):
        return True
    return any(map(holds_places, children(node)))


def _with(value: Any, changes: Mapping[Steps, Any]) -> Any:
    """A copy of `value` with other values at some paths."""
    changed = copy.deepcopy(value)
    for path, new in changes.items():
        inside: Any = changed
        for step in path[:-1]:
            inside = inside[_key(inside, step)]
        inside[_key(inside, path[-1], new=True)] = new
    return changed


def _key(inside: Any, step: str, *, new: bool = False) -> Any:
    if isinstance(inside, list):
        index = int(step) if step.isdigit() else len(inside)
        if index >= len(inside):
            raise refused(f"the message has no element {step} there")
        return index
    if not isinstance(inside, dict) or (step not in inside and not new):
        raise refused(f"the message has no field {step!r} there")
    return step


# -- computed of the bytes of the message -----------------------------------------------------------


class _Checksum(Checksum):
    wanted: Wanted
    places: dict[int, Any]
    """What is wanted instead, by where it was built."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        here = self.wanted.here()
        first = stream_tell(stream, path)
        self.places.pop(first, None)
        if here is not None:
            self.places[first] = self.wanted.values[here]
        return super()._build(obj, stream, context, path)

    def compute(self, stream: Any, context: Any, path: str, first: int, after: int) -> Any:
        right = super().compute(stream, context, path, first, after)
        if first not in self.places:
            return right
        value = self.places[first]
        if value is WRONG:
            value = another(right)
        data = Writer(context, path).data(self.subcon, value)
        return self.subcon.parse(data)


class _Length(Length):
    wanted: Wanted
    label: str
    """Its name in its struct."""

    def value(self, start: int, after: int, end: int) -> int:
        right = super().value(start, after, end)
        here = self.wanted.here(self.label)
        if here is None:
            return right
        value = self.wanted.values[here]
        if value is WRONG:
            value = another(right)
        cut: int = self.subcon.parse(Writer(None, "").data(self.subcon, value))
        return cut


# -- what functions write ---------------------------------------------------------------------------


class _NativeMixin:
    """A `Native` of whose fields others are wanted: it is given a value with these, cut to what their
    declared fields can carry if it does not take them."""

    wanted: Wanted
    inside: Sequence[str]
    subcon: Any

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        wanted = self.wanted
        whole = wanted.here()
        below = wanted.below(self.inside) if whole is None else {(): wanted.values[whole]}
        if not below:
            return super()._build(obj, stream, context, path)  # type: ignore[misc]
        if any(value is WRONG for value in below.values()):
            raise refused("no such field of this protocol is known to be computed")
        right = data = self._built(obj, context, path)
        changed = obj
        for relative, value in below.items():
            wanted.use(relative)
            changed, data = self._changed(changed, relative, value, context, path)
        if data == right and changed != obj:
            raise refused("this protocol computes the field itself")
        stream_write(stream, data, len(data), path)
        return obj

    def _built(self, obj: Any, context: Any, path: str) -> bytes:
        stream = io.BytesIO()
        super()._build(obj, stream, context, path)  # type: ignore[misc]
        return stream.getvalue()

    def _changed(
        self, obj: Any, relative: Steps, value: Any, context: Any, path: str
    ) -> tuple[Any, bytes]:
        changed = _with(obj, {relative: value}) if relative else value
        try:
            return changed, self._built(changed, context, path)
        except c.ConstructError:
            declared = _declared(self.subcon, relative)
            if declared is None or not isinstance(value, int | float):
                raise
            cut = declared.parse(Writer(None, "").data(declared, value))
            changed = _with(obj, {relative: cut}) if relative else cut
            return changed, self._built(changed, context, path)


def _declared(like: Any, relative: Steps) -> Any:
    """The construct that declares the field, if it is a number."""
    node = unnamed(like)
    for step in relative:
        node = _inner(node)
        members = getattr(node, "subcons", ())
        found = next((m for m in members if m.name == step), None)
        if found is None and isinstance(node, c.Array | c.GreedyRange) and step.isdigit():
            found = node.subcon
        if found is None:
            return None
        node = unnamed(found)
    node = _inner(node)
    return node if isinstance(node, c.FormatField | c.BytesInteger) else None


def _inner(node: Any) -> Any:
    """`node` without what leaves its bytes as they are."""
    while True:
        node = unnamed(node)
        if isinstance(node, c.Default | c.Rebuild | c.Enum | c.Mapping):
            node = node.subcon
        elif isinstance(node, c.Select) and len(node.subcons) == 2:  # an Optional
            node = node.subcons[0]
        else:
            return node
