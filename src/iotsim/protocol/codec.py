"""Codecs: bytes to messages and back.

Nothing else calls construct's parse and build. Messages are plain: dict, list, str, int, float,
bool, bytes, None. A value of an Enum is its name, or the number where it has none; a FlagsEnum is
a dict of name to bool. What cannot be done is `DecodeError` or `EncodeError`, with path and offset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.protocol.fields import Schema
from iotsim.protocol.generate.compiler import compile_schema
from iotsim.protocol.interpreted import Interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from construct import Construct


class Codec:
    """Decodes and encodes the messages of one schema.

    ``decode``     bytes -> dict; raises DecodeError
    ``encode``     mapping -> bytes; raises EncodeError
    ``odd_fields`` the fields of a message that JSON may have no form for (`fields.Schema`)
    ``source``     the Python that does it, for people
    ``fallbacks``  the fields that are left to construct, with the reason for each
    """

    decode: Callable[[bytes], dict[str, Any]]
    encode: Callable[[Mapping[str, Any]], bytes]

    def __init__(self, message: Construct[Any, Any], strict: bool = True) -> None:
        reference = Interpreter(message, strict)
        compiled = compile_schema(message, reference)
        self.decode = compiled.decode
        self.encode = compiled.encode
        self.source = compiled.source
        self.fallbacks = compiled.fallbacks
        self.odd_fields = Schema(message).odd_fields
