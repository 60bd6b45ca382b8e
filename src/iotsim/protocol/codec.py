"""Codecs: bytes to messages and back.

Nothing else calls construct's parse and build. Messages are plain: dict, list, str, int, float,
bool, bytes, None. A value of an Enum is its name, or the number where it has none; a FlagsEnum is
a dict of name to bool. What cannot be done is `DecodeError` or `EncodeError`, with path and offset.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from iotsim.errors import DecodeError
from iotsim.protocol.fields import Schema
from iotsim.protocol.generate.compiler import Compiler
from iotsim.protocol.interpreted import Interpreter
from iotsim.protocol.mentions import needs_device
from iotsim.protocol.native import Native

if TYPE_CHECKING:
    from collections.abc import Mapping

    from construct import Construct

    from iotsim.protocol.device import Device


class Decode(Protocol):
    def __call__(self, data: bytes, device: Device | None = None, /) -> dict[str, Any]: ...


class Encode(Protocol):
    def __call__(self, message: Mapping[str, Any], device: Device | None = None, /) -> bytes: ...


class Tell(Protocol):
    def __call__(
        self, message: Mapping[str, Any], device: Device | None = None, /
    ) -> tuple[bytes, Mapping[str, Any]]: ...


class Codec:
    """Decodes and encodes the messages of one schema.

    ``decode``        bytes -> dict; raises DecodeError
    ``encode``        mapping -> bytes; raises EncodeError
    ``tell``          mapping -> bytes, and what decoding them gives; raises EncodeError
    ``tells_by_bytes``  whether `tell_bytes` needs no code of the user's, so that any process can do it
    ``symmetric``     whether it is known that `decode` reads all that `encode` writes
    ``needs_device``  whether all three have to be given the device that the message is for, or from
    ``odd_fields``    the fields of a message that JSON may have no form for (`fields.Schema`)
    ``source``        the Python that does it, for people
    ``fallbacks``     the fields that are left to construct, with the reason for each
    """

    decode: Decode
    encode: Encode

    def __init__(self, message: Construct[Any, Any], strict: bool = True) -> None:
        self._message = message
        self._compiler = Compiler(Interpreter(message, strict))
        decoder, encoder = self._compiler.decoder(), self._compiler.encoder()
        self.decode = decoder.function
        self.encode = encoder.function
        self.source = f"{decoder.source}\n\n{encoder.source}"
        self.fallbacks = {**encoder.fallbacks, **decoder.fallbacks}
        self.needs_device = needs_device(message)

    @cached_property
    def odd_fields(self) -> tuple[str, ...] | None:
        return Schema(self._message).odd_fields

    @cached_property
    def tell(self) -> Tell:
        teller = self._compiler.teller(self._encode_and_decode)
        none = self._compiler.key is None and "(message)" in teller.fallbacks
        return self._encode_and_decode if none else teller.function

    @cached_property
    def tells_by_bytes(self) -> bool:
        return not self.needs_device and not self.fallbacks

    @cached_property
    def symmetric(self) -> bool:
        """Whether `decode` certainly reads what `encode` writes, as a Native may say of a whole message."""
        return isinstance(self._message, Native) and self._message.symmetric

    def tell_bytes(self, data: bytes, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """What decoding `data` gives, which are `message` encoded."""
        try:
            return self.decode(data)
        except DecodeError:
            return message  # a protocol may write what it does not read

    def _encode_and_decode(
        self, message: Mapping[str, Any], device: Device | None = None
    ) -> tuple[bytes, Mapping[str, Any]]:
        data = self.encode(message, device)
        try:
            return data, self.decode(data, device)
        except DecodeError:
            return data, message  # a protocol may write what it does not read
