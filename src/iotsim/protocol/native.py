"""Native constructs: what construct's own classes cannot say, in functions of the user's.

`Native`   a field read and written by two functions, with declared fields
`Wrapped`  a construct inside bytes that two functions take off and put on
`Derived`  a field that is not on the wire, but follows from those that are

Other than in construct, whatever these functions raise is an error of the message, with its reason. Only
a ConstructError says that the bytes, or the values, are not those of this construct, and lets an
Optional or a Select go on.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from construct import (
    Construct,
    ConstructError,
    ExplicitError,
    SizeofError,
    Subconstruct,
    TerminatedError,
    Tunnel,
)
from construct.core import stream_read_entire, stream_seek, stream_tell, stream_write

from iotsim.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    AnyConstruct = Construct[Any, Any]
    AnySubconstruct = Subconstruct[Any, Any, Any, Any]
    AnyTunnel = Tunnel[Any, Any]
else:
    AnyConstruct = Construct
    AnySubconstruct = Subconstruct
    AnyTunnel = Tunnel


class FunctionError(ExplicitError):
    """A function of the schema failed: with such an error no Optional or Select goes on."""


def call(function: Callable[..., Any], *arguments: Any, path: str) -> Any:
    """What `function` returns; FunctionError for whatever it raises, but for errors of construct."""
    try:
        return function(*arguments)
    except ConstructError:
        raise
    except Exception as error:
        failed = FunctionError(_reason(function, error), path)
        if isinstance(error, DecodeError | EncodeError) and error.path:
            failed.iotsim_path = error.path.split(".")  # type: ignore[attr-defined]
            failed.iotsim_offset = getattr(error, "offset", None)  # type: ignore[attr-defined]
        raise failed from error


def call_for_bytes(function: Callable[..., Any], *arguments: Any, path: str) -> bytes:
    """The bytes that `function` returns; FunctionError if it does not."""
    data = call(function, *arguments, path=path)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise FunctionError(
            f"{_name(function)}() returned {type(data).__name__}, and no bytes", path
        )
    return bytes(data)


def _reason(function: Callable[..., Any], error: Exception) -> str:
    if isinstance(error, DecodeError | EncodeError):
        return error.reason
    return f"{_name(function)}() failed: {type(error).__name__}: {error}".removesuffix(": ")


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def surroundings(stream: Any, path: str) -> tuple[int, int, bytes]:
    """Where in `stream` the message begins (inside a Prefixed, what that contains), the place in it, and
    all of it."""
    origin = getattr(stream, "parent_stream_offset", 0)
    start = stream_tell(stream, path) - origin
    stream_seek(stream, origin, 0, path)
    return origin, start, stream_read_entire(stream, path)


class Native(AnySubconstruct):
    """A field that two functions read and write: for lists of options, tags, tables, name compression.

    ``decode(data, at)`` is given the bytes of the message (inside a Prefixed, of what that contains)
    and the place of the field in them; it returns its value and the place after it. ``encode(value)``
    returns its bytes. The value is plain: dict, list, str, int, float, bool, bytes, None. It becomes part of
    the message, so that ``decode`` gives a new dict or list each time.

    ``like`` is a construct that is never parsed or built: it declares the fields of the value and their
    types, for matches, checks and tables. Its Default fields are those that ``encode`` can do without.

    ``parts(data, at)``, if it is there, tells people where the fields are: it yields ``(path, start, end,
    value)`` for each, in the order of their places in ``data``, as far as it gets.

    For bytes that cannot be its, ``decode`` raises `iotsim.DecodeError`, and ``encode`` EncodeError for
    values that it cannot write.

    ``tell(before, value)``, which need not be there, returns the bytes of ``encode`` and the value that
    ``decode`` would give for them, where the bytes ``before`` are those of the message before the field.
    Logs show what has been sent; without it they decode that again. What it cannot tell it may raise
    anything for.

    ``plain`` says that what ``decode`` gives is made of these very types, of no subclass of one: then it is
    shown as it is, without being gone through.

    ``symmetric`` says that ``decode`` reads all that ``encode`` writes. Then nobody keeps a message that has
    been sent besides its bytes.

    ``lua`` is a file that says in Lua what ``decode`` does, for dissectors (docs/wireshark.md).
    """

    shapeless = ("decode", "encode", "tell", "plain", "symmetric", "parts", "lua")

    def __init__(
        self,
        decode: Callable[[bytes, int], tuple[Any, int]],
        encode: Callable[[Any], bytes],
        *,
        like: AnyConstruct,
        tell: Callable[[bytes, Any], tuple[bytes, Any]] | None = None,
        plain: bool = False,
        symmetric: bool = False,
        parts: Callable[[bytes, int], Iterable[tuple[str, int, int, Any]]] | None = None,
        lua: Path | None = None,
    ) -> None:
        super().__init__(like)
        self.lua = lua
        self.decode = decode
        self.encode = encode
        self.tell = tell
        self.plain = plain
        self.symmetric = symmetric
        self.parts = parts
        self.flagbuildnone = False

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        origin, start, data = surroundings(stream, path)
        result = call(self.decode, data, start, path=path)
        try:
            value, end = result
            fits = start <= end <= len(data)
        except (TypeError, ValueError):
            raise FunctionError(
                f"{_name(self.decode)}() returned no pair of a value and a place", path
            ) from None
        if not fits:
            raise FunctionError(
                f"{_name(self.decode)}() returned the place {end}, of {start} to {len(data)}", path
            )
        stream_seek(stream, origin + end, 0, path)
        return value

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        data = call_for_bytes(self.encode, obj, path=path)
        stream_write(stream, data, len(data), path)
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        raise SizeofError("the size of a Native field is known to its functions only", path)


class Around(AnyTunnel):
    """A construct in bytes of its own, which are all that are left of the stream, in another form.

    Subclasses have ``_decode(data, context, path)`` and ``_encode(data, context, path)``, from the form
    to the bytes and back. Unlike construct's Tunnel, of which this is one, it lets what is inside see the
    contexts around, and refuses bytes that are left over inside.
    """

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        data = self._decode(stream_read_entire(stream, path), context, path)
        inner = io.BytesIO(data)
        value = self.subcon._parsereport(inner, context, path)
        left = len(data) - inner.tell()
        if left > 0:
            raise TerminatedError(
                f"{left} byte{' is' if left == 1 else 's are'} left over inside", path
            )
        return value

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        inner = io.BytesIO()
        built: Any = self.subcon._build(obj, inner, context, path)
        data = self._encode(inner.getvalue(), context, path)
        stream_write(stream, data, len(data), path)
        return built


class Wrapped(Around):
    """A construct inside bytes of another form: escapes, a base64, a scrambling, a compression.

    ``unwrap`` is given all bytes that are left (inside a Prefixed or FixedSized, of those) and returns the
    bytes that ``subcon`` parses, all of them; ``wrap`` is its inverse.
    """

    shapeless = ("unwrap", "wrap")

    def __init__(
        self,
        unwrap: Callable[[bytes], bytes],
        wrap: Callable[[bytes], bytes],
        subcon: AnyConstruct,
    ) -> None:
        super().__init__(subcon)
        self.unwrap = unwrap
        self.wrap = wrap

    def _decode(self, data: bytes, context: Any, path: str) -> bytes:
        return call_for_bytes(self.unwrap, data, path=path)

    def _encode(self, data: bytes, context: Any, path: str) -> bytes:
        return call_for_bytes(self.wrap, data, path=path)


class Derived(AnySubconstruct):
    """A field that takes no bytes, but follows from others: a number in another unit, a kind of message.

    ``function``, of the context, gives its value on parse. On build the value has to be given, and those
    that it follows from are made of it by a Rebuild, which may stand before it::

        "raw" / Rebuild(Int16sb, lambda fields: round(fields.celsius * 100)),
        "celsius" / Derived(this.raw / 100, like=Float64b),

    ``like`` is a construct that is never parsed or built: it declares the type.
    """

    def __init__(self, function: Callable[[Any], Any], *, like: AnyConstruct) -> None:
        super().__init__(like)
        self.function = function
        self.flagbuildnone = False

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return call(self.function, context, path=path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        return 0
