"""`Protocol`: the declaration of a protocol, which a protocol file makes."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from construct import Construct

from iotsim.errors import DecodeError, ProtocolError
from iotsim.protocol.fields import Schema

if TYPE_CHECKING:
    from iotsim.protocol.codec import Codec

NAME = re.compile(r"[a-z][a-z0-9_-]*\Z", re.ASCII)

ErrorReply = Callable[[DecodeError, bytes], Mapping[str, Any] | None]


@dataclass(frozen=True, eq=False)
class Protocol:
    """A protocol of datagrams: one construct schema for all its messages, and what goes with it.

    ``name``         lower case; also the name of its file, and what scenarios call it
    ``message``      the schema: a Struct, `iotsim.FlatStruct`, or what parses to one
    ``port``         the UDP port of a device
    ``echo``         the fields that a reply takes from its request unless it names them
    ``summary``      one line about a message, with fields in braces: ``"{kind} seq={seq}"``
    ``strict``       refuse trailing bytes, unknown fields on encode, and a Switch without a case
    ``error_reply``  (error, datagram) -> the reply to an undecodable datagram, or None
    ``description``  what it is, for people

    Raises `ProtocolError` if these do not fit together.
    """

    name: str
    message: Construct[Any, Any]
    port: int
    echo: Sequence[str] = ()
    summary: str = ""
    strict: bool = True
    error_reply: ErrorReply | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.match(self.name):
            raise ProtocolError(
                f"the name of a protocol is of the form a-z, 0-9, - and _, not {self.name!r}"
            )
        if not isinstance(self.message, Construct):
            raise ProtocolError(f"{self.name}: message is no construct: {self.message!r}")
        if not isinstance(self.port, int) or not 0 < self.port < 65536:
            raise ProtocolError(f"{self.name}: port is not 1 to 65535: {self.port!r}")
        if isinstance(self.echo, str):
            raise ProtocolError(f"{self.name}: echo is a list of fields, not one string")
        if not self.schema.fields:
            raise ProtocolError(f"{self.name}: message has no fields: it must be a Struct")
        for path in self.echo:
            self._known(path, "echo")
        try:
            paths = [path for _, path, _, _ in string.Formatter().parse(self.summary) if path]
        except ValueError as error:
            raise ProtocolError(f"{self.name}: summary: {error}") from None
        for path in paths:
            self._known(path, "summary")

    def _known(self, path: str, where: str) -> None:
        if self.schema.find(path) is None:
            hint = self.schema.nearest(path)
            meant = f" (did you mean {hint!r}?)" if hint else ""
            raise ProtocolError(f"{self.name}: {where} names {path!r}, which is no field{meant}")

    @cached_property
    def schema(self) -> Schema:
        return Schema(self.message)

    @cached_property
    def codec(self) -> Codec:
        # Imported late: the generator is not needed to list, show or check files.
        from iotsim.protocol.codec import Codec

        return Codec(self.message, strict=self.strict)

    @cached_property
    def _summary_parts(self) -> list[tuple[str, list[str], str]]:
        return [
            (literal, path.split(".") if path else [], spec or "")
            for literal, path, spec, _ in string.Formatter().parse(self.summary)
        ]

    def summarize(self, message: Mapping[str, Any]) -> str:
        """One line about ``message``; a field that it does not have shows as nothing."""
        if not self.summary:
            return " ".join(f"{name}={_show(value)}" for name, value in message.items())
        text = ""
        for literal, path, spec in self._summary_parts:
            text += literal
            if path:
                value: Any = message
                for name in path:
                    value = value.get(name) if isinstance(value, Mapping) else None
                if value is not None:
                    try:
                        text += format(value, spec) if spec else _show(value)
                    except (TypeError, ValueError):
                        text += _show(value)
        return text


def _show(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
