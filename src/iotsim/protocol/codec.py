"""Codecs: bytes to messages and back.

Nothing else calls construct's parse and build. Messages are plain: dict, list, str, int, float,
bool, bytes, None. A value of an Enum is its name, or the number where it has none; a FlagsEnum is
a dict of name to bool. What cannot be done is `DecodeError` or `EncodeError`, with path and offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from iotsim.protocol.device import needs_device
from iotsim.protocol.fields import Schema
from iotsim.protocol.generate.compiler import compile_schema
from iotsim.protocol.interpreted import Interpreter
from iotsim.protocol.verified import has_late_checksum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from construct import Construct

    from iotsim.protocol.device import Device


class Decode(Protocol):
    def __call__(self, data: bytes, device: Device | None = None, /) -> dict[str, Any]: ...


class Encode(Protocol):
    def __call__(self, message: Mapping[str, Any], device: Device | None = None, /) -> bytes: ...


class Codec:
    """Decodes and encodes the messages of one schema.

    ``decode``        bytes -> dict; raises DecodeError
    ``encode``        mapping -> bytes; raises EncodeError
    ``needs_device``  whether both have to be given the device that the message is for, or from
    ``odd_fields``    the fields of a message that JSON may have no form for (`fields.Schema`)
    ``source``        the Python that does it, for people
    ``fallbacks``     the fields that are left to construct, with the reason for each
    """

    decode: Decode
    encode: Encode

    def __init__(self, message: Construct[Any, Any], strict: bool = True) -> None:
        reference = Interpreter(message, strict)
        self.needs_device = needs_device(message)
        self.odd_fields = Schema(message).odd_fields
        if self.needs_device or has_late_checksum(message):
            self.decode, self.encode = reference.decode, reference.encode
            reason = "the device" if self.needs_device else "a checksum over more, or with a key"
            self.source = ""
            self.fallbacks: Mapping[str, str] = {"(message)": reason}
            return
        compiled = compile_schema(message, reference)
        self.decode = compiled.decode
        self.encode = compiled.encode
        self.source = compiled.source
        self.fallbacks = compiled.fallbacks
