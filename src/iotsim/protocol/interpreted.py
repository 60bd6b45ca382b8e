"""The reference engine: construct itself, on a traced copy of the schema, with plain values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from construct import Construct, ConstructError, Renamed, StreamError, Subconstruct, Switch

from iotsim.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from iotsim.protocol.device import Device

    AnyConstruct = Construct[Any, Any]
    AnyRenamed = Renamed[Any, Any]
    AnySubconstruct = Subconstruct[Any, Any, Any, Any]
    AnySwitch = Switch[Any, Any]
else:
    AnyConstruct = Construct
    AnyRenamed = Renamed
    AnySubconstruct = Subconstruct
    AnySwitch = Switch

from iotsim.protocol.traced import Recorder, Tracer

NEEDED = "the message needs this field"
"""The reason of an EncodeError at a field that has to be given."""


def normalize(value: Any) -> Any:
    """``value`` as construct parsed it, in plain types: dict, list, str, int, bytes, ...

    Names that begin with an underscore are private to the schema, as construct's own ``_io``.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(k): normalize(v) for k, v in value.items() if not str(k).startswith("_")}
    if isinstance(value, list | tuple):
        return [normalize(v) for v in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return value


_PLAIN = {int, str, float, bytes, bool, type(None)}


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line, without construct's own path."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, KeyError):
        return f"there is no field {error.args[0]!r}" if error.args else "a field is missing"
    text = str(error)
    if isinstance(error, ConstructError):
        if text.startswith("Error in path "):
            text = text.partition("\n")[2]
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
    """Decodes and encodes by construct; see `iotsim.protocol.codec.Codec` for the contract."""

    def __init__(self, message: AnyConstruct, strict: bool, recorder: Recorder | None = None):
        self.strict = strict
        self.tracer = Tracer(strict, recorder)
        self.message = self.tracer.copy(message)

    def decode(self, data: bytes, device: Device | None = None) -> dict[str, Any]:
        stream = io.BytesIO(data)
        try:
            value = normalize(self.message.parse_stream(stream, **_outside(device)))
        except Exception as error:
            path = ".".join(getattr(error, "iotsim_path", ()))
            offset = getattr(error, "iotsim_offset", None)
            raise DecodeError(reason_of(error), path, offset) from error
        if not isinstance(value, dict):
            raise DecodeError(f"the message is no struct, but {type(value).__name__}")
        if self.strict and stream.tell() < len(data):
            count = len(data) - stream.tell()
            bytes_ = "1 byte is" if count == 1 else f"{count} bytes are"
            raise DecodeError(f"{bytes_} left over after the message", "", stream.tell())
        return value

    def encode(self, message: Mapping[str, Any], device: Device | None = None) -> bytes:
        stream = io.BytesIO()
        try:
            self.message.build_stream(dict(message), stream, **_outside(device))
        except Exception as error:
            trail = list(getattr(error, "iotsim_path", ()))
            reason = reason_of(error)
            if isinstance(error, KeyError) and error.args and trail[-1:] == [error.args[0]]:
                reason = NEEDED
            raise EncodeError(reason, ".".join(trail)) from error
        return stream.getvalue()
