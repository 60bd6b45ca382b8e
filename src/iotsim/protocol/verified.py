"""`Checksum` and `Length`: fields that are computed on build and verified on parse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from construct import ChecksumError, Construct, ConstructError, SizeofError, Subconstruct
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
