"""`Field`: what is known of one field of a message."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from iotsim.protocol.payloads import carried

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    ``kind``      int, float, bool, enum, flags, bytes, string, array, struct, none, payload (a text or
                  bytes, in which a number is its text), or any
    ``wire``      how it travels, for people: "uint16 big-endian", "4 bits", "float32"
    ``names``     the names of an enum or of flags, with their values on the wire
    ``optional``  the message may be without it: it stands in a Switch, an If or an Optional
    ``required``  an encoder must be given it, if the message has it at all
    ``offset``    its place in the message in bits, if that is the same in all messages
    ``size``      its length in bits, likewise
    """

    path: str
    kind: str
    wire: str = ""
    names: Mapping[str, int] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names of an enum that no message shows, each with the name that its number decodes to."""
    optional: bool = False
    required: bool = True
    offset: int | None = None
    size: int | None = None
    doc: str = ""
    format: str = ""
    """The struct format of a float."""
    mixed: bool = False
    """Whether it is of the kind any because alternatives have it of different kinds, each of which is
    known, and so are the names below it."""
    odd: bool = False
    """Whether it may hold what JSON has no form for: bytes, or what an adapter gives."""
    cases: tuple[str, ...] = ()
    """The messages that have the field, as their Switch calls them ("REPORT", "type=3", and
    "READINGS with FLOAT" of one in another); () if all messages may have it, or it is unknown."""

    def round(self, value: Any) -> Any:
        """``value`` as it would be after a journey in this field.

        A float of 32 bits comes back as its nearest; the number of an enum, and each of its names, as the
        name that it decodes to, and that of a payload as its text. What the field cannot carry comes back
        as it is.
        """
        if self.kind == "payload":
            return carried(value)
        if isinstance(value, list | tuple):
            return [self.round(item) for item in value] if self.kind == "array" else value
        if self.format and isinstance(value, int | float):
            try:
                return struct.unpack(self.format, struct.pack(self.format, value))[0]
            except (OverflowError, struct.error):
                return value
        if self.kind == "enum" and isinstance(value, int) and not isinstance(value, bool):
            value = next((name for name, number in self.names.items() if number == value), value)
        return self.aliases.get(value, value) if isinstance(value, str) else value
