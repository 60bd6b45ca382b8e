"""The reference engine: construct itself, on a traced copy of the schema, with plain values."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from construct import (
    Construct,
    ConstructError,
    ExplicitError,
    FormatFieldError,
    MappingError,
    StreamError,
)

from iotsim.errors import DecodeError, EncodeError
from iotsim.protocol.guarded import UserCodeError
from iotsim.protocol.lower import lower
from iotsim.protocol.places import Message, Recorder
from iotsim.protocol.table import field_table
from iotsim.protocol.traced import Tracer
from iotsim.protocol.values import branch_restorers, kept_names, normalize, restorer

if TYPE_CHECKING:
    from iotsim.protocol.device import Device
    from iotsim.protocol.field import Field

    AnyConstruct = Construct[Any, Any]
else:
    AnyConstruct = Construct

NEEDED = "the message needs this field"
"""The reason of an EncodeError at a field that has to be given."""


_PACKED = re.compile(
    r"struct '.(?P<code>\w)' error during building, given value (?P<value>.*)", re.DOTALL
)
_NUMBERS = {"b": "int8", "h": "int16", "l": "int32", "i": "int32", "q": "int64"}
_NUMBERS |= {"e": "float16", "f": "float32", "d": "float64"}


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line, without construct's own path."""
    if isinstance(error, UserCodeError):
        error = error.cause
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, KeyError):
        return f"there is no field {error.args[0]!r}" if error.args else "a field is missing"
    text = str(error)
    if isinstance(error, ConstructError):
        if text.startswith("Error in path "):
            text = text.partition("\n")[2]
        if isinstance(error, MappingError):
            text = re.sub(r"^building failed, no mapping for (.*)$", r"there is no value \1", text)
        found = _PACKED.match(text)
        if isinstance(error, FormatFieldError) and found:
            kind = _NUMBERS.get(found["code"].lower(), "such number")
            sign = "u" if found["code"].isupper() and kind.startswith("int") else ""
            text = f"{found['value']} does not fit into {sign}{kind}"
        if isinstance(error, StreamError) and text.startswith("stream read less than specified"):
            text = "the message ends too early" + text.removeprefix(
                "stream read less than specified amount"
            )
        return text or type(error).__name__
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _outside(device: Device | None) -> dict[str, Any]:
    """What construct's context is to have from outside of the message."""
    return {} if device is None else {"device": device}


class Interpreter:
    """Decodes and encodes by construct; see `iotsim.protocol.codec.Codec` for the contract.

    ``lowered`` are the nodes of the schema, ``kept`` the private names that its messages show. Without
    ``places`` it is quicker, and its errors do not say where.
    """

    def __init__(
        self,
        message: AnyConstruct,
        strict: bool,
        recorder: Recorder | None = None,
        *,
        places: bool = True,
    ) -> None:
        self.schema = message
        self.strict = strict
        self.lowered = lower(message, strict)
        self.kept = kept_names(self.lowered)
        self._restore = restorer(self.lowered)
        self.tracer = Tracer(strict, recorder, branch_restorers(self.lowered), places=places)
        self.message = self.tracer.copy(message)

    def quicker(self) -> Interpreter:
        """One that asks this one only for what went wrong."""
        return _Quick(self)

    def normalize(self, value: Any) -> Any:
        """`iotsim.protocol.values.normalize`, for values of this schema."""
        return normalize(value, self.kept)

    def decode(self, data: bytes, device: Device | None = None) -> dict[str, Any]:
        stream = Message(data)
        try:
            parsed = self.message.parse_stream(stream, **_outside(device))
            end = stream.tell()  # what is lazy moves about when it is looked at
            value = self.normalize(parsed)
        except Exception as error:
            path = ".".join(getattr(error, "iotsim_path", ()))
            offset = getattr(error, "iotsim_offset", None)
            raise DecodeError(reason_of(error), path, offset) from error
        if not isinstance(value, dict):
            raise DecodeError(f"the message is no struct, but {type(value).__name__}")
        end = max(end, stream.reached)
        if self.strict and end < len(data):
            count = len(data) - end
            bytes_ = "1 byte is" if count == 1 else f"{count} bytes are"
            raise DecodeError(f"{bytes_} left over after the message", "", end)
        return value

    def encode(self, message: Mapping[str, Any], device: Device | None = None) -> bytes:
        try:
            return self._build(self._restore(message), device)
        except Exception as error:
            if isinstance(error, UserCodeError):
                # It may look at fields to come, in a branch that has not been taken yet.
                with suppress(Exception):
                    return self._build(self._guess(message), device)
            trail = list(getattr(error, "iotsim_path", ()))
            needed = self._needed(error, message, trail)
            reason = reason_of(error) if needed is None else NEEDED
            raise EncodeError(reason, ".".join(needed or trail)) from error

    def _build(self, message: Any, device: Device | None) -> bytes:
        stream = io.BytesIO()
        self.message.build_stream(message, stream, **_outside(device))
        return stream.getvalue()

    @cached_property
    def _guess(self) -> Callable[[Any], Any]:
        return restorer(self.lowered, guess=True)

    @cached_property
    def _fields(self) -> Mapping[str, Field]:
        return field_table(self.lowered)[0]

    def _needed(self, error: Exception, message: Any, trail: list[str]) -> list[str] | None:
        """The path of the field that ``message`` has to have, if ``error``, at ``trail``, is that it lacks
        one: that at ``trail`` itself, or another one that it is computed of."""
        if isinstance(error, ExplicitError) or not trail:
            return None
        if not isinstance(error, KeyError):
            return trail if _value_at(message, trail, _ABSENT) is None else None
        if not error.args or error.args[0] == trail[-1]:
            return trail if _value_at(message, trail, None) is None else None
        for end in reversed(range(len(trail))):
            path = [*trail[:end], str(error.args[0])]
            generic = re.sub(r"\.\d+(?=\.|\Z)", "[]", ".".join(path))
            if generic in self._fields and _value_at(message, path, _ABSENT) is _ABSENT:
                return path
        return None


_ABSENT: Any = object()


def _value_at(message: Any, trail: list[str], absent: Any) -> Any:
    """What ``trail`` leads to in ``message``; ``absent`` if there is no such place in it."""
    for step in trail:
        if isinstance(message, list | tuple):
            message = message[int(step)] if step.isdigit() and int(step) < len(message) else None
        elif isinstance(message, Mapping) and step in message:
            message = message[step]
        else:
            return absent
    return message


class _Quick(Interpreter):
    def __init__(self, exact: Interpreter) -> None:
        super().__init__(exact.schema, exact.strict, places=False)
        self._exact = exact

    def decode(self, data: bytes, device: Device | None = None) -> dict[str, Any]:
        try:
            return super().decode(data, device)
        except DecodeError:
            return self._exact.decode(data, device)

    def encode(self, message: Mapping[str, Any], device: Device | None = None) -> bytes:
        try:
            return super().encode(message, device)
        except EncodeError:
            return self._exact.encode(message, device)
