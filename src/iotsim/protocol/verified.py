"""`Checksum` and `Length`: fields that are computed on build and verified on parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from construct import ChecksumError, Construct, ConstructError, SizeofError, Subconstruct
from construct.core import (
    evaluate,
    stream_read,
    stream_seek,
    stream_size,
    stream_tell,
    stream_write,
)

from iotsim.protocol.parameter import BytesParameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.protocol.parameter import Parameter

    AnyConstruct = Construct[Any, Any]
    AnySubconstruct = Subconstruct[Any, Any, Any, Any]
else:
    AnyConstruct = Construct
    AnySubconstruct = Subconstruct


class LengthError(ConstructError):
    """A length field disagrees with the bytes that it counts."""


class Checksum(AnySubconstruct):
    """A field with ``function`` of bytes of the message: a number, or bytes such as a MAC.

    These are all bytes before it; ``start`` leaves out that many at the beginning, and may be an
    expression, so that a checksum can begin at a field: ``"_begin" / Tell, ..., Checksum(Int16ub, sum8,
    this._begin)``. In a `FlatStruct`, ``over`` can say what else is covered: ``"rest"``, all bytes after
    it; ``"message"``, all bytes; or two places, as those of a slice: ``(4, -2)``, ``(this._begin, None)``.
    Its own bytes count as zeros. Inside a Prefixed or FixedSized, "the message" is what these contain.

    With a ``key``, bytes or an expression, it is ``function(data, key)``. On build, a value that is given
    is ignored.

    Raises construct's ChecksumError on parse if the two differ.
    """

    shapeless = ("function", "key")
    """Attributes that do not decide which fields a message has."""

    def __init__(
        self,
        field: AnyConstruct,
        function: Callable[..., Any],
        start: Any = 0,
        *,
        over: Literal["before", "rest", "message"] | tuple[Any, Any] = "before",
        key: Parameter | None = None,
    ) -> None:
        pair = isinstance(over, tuple) and len(over) == 2
        if not pair and not (isinstance(over, str) and over in ("before", "rest", "message")):
            raise ValueError(
                f'a Checksum is over "before", "rest", "message" or two places, not {over!r}'
            )
        if over != "before" and (callable(start) or start):
            raise ValueError("the start of a Checksum is for one of the bytes before it")
        super().__init__(field)
        self.function = function
        self.start = start
        self.over = over
        self.key = None if key is None else BytesParameter("the key of a checksum", key)
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        first = stream_tell(stream, path)
        found = self.subcon._parsereport(stream, context, path)
        expected = self.compute(stream, context, path, first, stream_tell(stream, path))
        if found != expected:
            size = _size(self.subcon, context, path)
            raise ChecksumError(
                f"wrong checksum: the message has {_shown(found, size)}, "
                f"its bytes give {_shown(expected, size)}",
                path=path,
            )
        return found

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        first = stream_tell(stream, path)
        late = LateChecksums.around(stream, context)
        if late is not None and (late.waiting or self.over != "before"):
            after = first + self.subcon._sizeof(context, path)
            stream_write(stream, bytes(after - first), after - first, path)
            late.waiting.append(LateChecksum(self, context, path, first, after))
            return None
        if self.over != "before":
            raise ChecksumError(
                "a Checksum of what comes after it is filled in by FlatStruct: use that in place of "
                "Struct",
                path=path,
            )
        value = self.compute(stream, context, path, first, first)
        self.subcon._build(value, stream, context, path)
        return value

    def compute(self, stream: Any, context: Any, path: str, first: int, after: int) -> Any:
        """What the field at ``first`` to ``after`` has to be, in a stream with all that it covers."""
        start, end = self.span(stream, context, first, after)
        here = stream_tell(stream, path)
        stream_seek(stream, start, 0, path)
        data = stream_read(stream, end - start, path)
        stream_seek(stream, here, 0, path)
        own = slice(max(first - start, 0), max(after - start, 0))
        data = data[: own.start] + bytes(len(data[own])) + data[own.stop :]
        if self.key is None:
            return self.function(data)
        return self.function(data, self.key.find(context, path))

    def span(self, stream: Any, context: Any, first: int, after: int) -> tuple[int, int]:
        """The places in the stream between which it covers all, of the field at ``first`` to ``after``."""
        origin = getattr(stream, "parent_stream_offset", 0)
        if self.over == "before":
            return origin + evaluate(self.start, context), first
        end = stream_size(stream)
        if self.over == "rest":
            return after, end
        places = (0, None) if self.over == "message" else self.over
        start, stop, _ = slice(*(evaluate(place, context) for place in places)).indices(
            end - origin
        )
        return origin + start, origin + max(start, stop)


class LateChecksum(NamedTuple):
    """A checksum that has been built as zeros, at ``first`` to ``after``."""

    checksum: Checksum
    context: Any
    path: str
    first: int
    after: int

    def covers(self, other: LateChecksum, stream: Any) -> bool:
        start, end = self.checksum.span(stream, self.context, self.first, self.after)
        return start < other.after and other.first < end

    def fill_in(self, stream: Any) -> None:
        place = self.context, self.path
        value = self.checksum.compute(stream, *place, self.first, self.after)
        stream_seek(stream, self.first, 0, self.path)
        self.checksum.subcon._build(value, stream, *place)


class LateChecksums:
    """The checksums of a stream that wait until all that they cover has been built, which is at the end
    of the outermost `FlatStruct` of the stream."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting: list[LateChecksum] = []

    @staticmethod
    def around(stream: Any, context: Any) -> LateChecksums | None:
        """Those of the FlatStruct that is being built around ``context``, if one is."""
        while context is not None:
            if context.get("_io") is stream and "_late" in context:
                return context["_late"]  # type: ignore[no-any-return]
            context = context.get("_")
        return None

    def fill_in(self, stream: Any) -> None:
        """Build them, a checksum that covers others after those."""
        end = stream_tell(stream, self.path)
        while self.waiting:
            for one in self.waiting:
                if not any(one.covers(o, stream) for o in self.waiting if o is not one):
                    break
            else:
                one = self.waiting[0]
                raise ChecksumError("each of two checksums covers the other", path=one.path)
            try:
                one.fill_in(stream)
            except Exception as error:
                names = one.path.removeprefix(self.path).split(" -> ")[1:]
                error.iotsim_path = names  # type: ignore[attr-defined]
                raise
            self.waiting.remove(one)
        stream_seek(stream, end, 0, self.path)


def _shown(value: Any, size: int) -> str:
    if isinstance(value, int):
        return f"0x{value:0{2 * size}x}"
    return value.hex() if isinstance(value, bytes) else repr(value)


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
