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
from iotsim.protocol.refusals import Errors

if TYPE_CHECKING:
    from iotsim.protocol.codec import Codec
    from iotsim.session import Follower, Session, Table

NAME = re.compile(r"[a-z][a-z0-9_-]*\Z", re.ASCII)

ErrorReply = Callable[[DecodeError, bytes], Mapping[str, Any] | None]
Shortcut = Callable[[Any, dict[str, Any], int, int], bytes | None]
"""(session, message, address, port) -> the datagram that answers what these have sent to the device alone, if
that is all that comes of it: the session is then as if it had received the message. The codec has to read it.
None: there is more to it, and nothing has happened. It is asked before anybody is told of the message, and
what it raises comes again, and is told, as the session receives that."""


@dataclass(frozen=True, eq=False)
class Protocol:
    """A protocol of datagrams: one construct schema for all its messages, and what goes with it.

    ``name``         lower case; also the name of its file, and what scenarios call it
    ``message``      the schema: a Struct, `iotsim.FlatStruct`, or what parses to a table of fields
    ``port``         the UDP port of a device
    ``answer``       the schema of what a device sends, where the same bytes mean something else there;
                     None if it is ``message`` in both directions
    ``echo``         the fields that a reply takes from its request unless it names them
    ``summary``      one line about a message, with fields in braces: ``"{kind} seq={seq}"``; those that
                     a message does not have show as nothing
    ``strict``       refuse trailing bytes, unknown fields on encode, and a Switch without a case
    ``error_reply``  (error, datagram) -> the reply to an undecodable datagram, or None
    ``description``  what it is, for people
    ``session``      a class derived from `iotsim.Session`: what goes on between wire and device
    ``application``  the schema of the messages above the session, in both directions, where they have
                     other fields than those on the wire; rules, behaviors and expectations see these
    ``model``        a class derived from `iotsim.Table`: what a device offers, as scenarios say it
    ``groups``       the multicast groups that its devices are in, as texts
    ``errors``       the error replies that it has, as an `iotsim.Errors`; None if it has none
    ``follower``     a class derived from `iotsim.Follower`: how messages relate to each other, for readers of
                     captures; None if that shows by ``echo``

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
    answer: Construct[Any, Any] | None = None
    session: type[Session] | None = None
    application: Construct[Any, Any] | None = None
    model: type[Table] | None = None
    groups: Sequence[str] = ()
    follower: type[Follower] | None = None
    errors: Errors | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.match(self.name):
            raise ProtocolError(
                f"the name of a protocol is of the form a-z, 0-9, - and _, not {self.name!r}"
            )
        if not isinstance(self.message, Construct):
            raise ProtocolError(f"{self.name}: message is no construct: {self.message!r}")
        for name in ("answer", "application"):
            schema = getattr(self, name)
            if not isinstance(schema, Construct | None):
                raise ProtocolError(f"{self.name}: {name} is no construct: {schema!r}")
        if not isinstance(self.port, int) or not 0 < self.port < 65536:
            raise ProtocolError(f"{self.name}: port is not 1 to 65535: {self.port!r}")
        if isinstance(self.echo, str):
            raise ProtocolError(f"{self.name}: echo is a list of fields, not one string")
        self._check_errors()
        self._check_session()
        for schema, what in (
            (self.schema, "message"),
            (self.answer_schema, "answer"),
            (self.said_schema, "application"),
        ):
            if not schema.fields and not schema.free:
                raise ProtocolError(f"{self.name}: {what} has no fields: it must be a Struct")
        for path in self.echo:
            self._known(path, "echo", self.delivered_schema)
            self._known(path, "echo", self.said_schema)
        try:
            paths = [path for _, path, _, _ in string.Formatter().parse(self.summary) if path]
        except ValueError as error:
            raise ProtocolError(f"{self.name}: summary: {error}") from None
        for path in paths:
            if all(schema.find(path) is None for schema in (self.answer_schema, self.said_schema)):
                self._known(path, "summary", self.schema)

    def _check_errors(self) -> None:
        errors = self.errors
        if errors is None:
            return
        if not isinstance(errors, Errors) or not callable(errors.reply):
            raise ProtocolError(f"{self.name}: errors is no iotsim.Errors: {errors!r}")
        if not errors.names or not all(name and isinstance(name, str) for name in errors.names):
            raise ProtocolError(f"{self.name}: the names of errors are texts")

    def _check_session(self) -> None:
        if self.session is None and self.application is not None:
            raise ProtocolError(f"{self.name}: application is of no use without a session")
        classes = self.session, self.model, self.follower
        if not any(given is not None for given in classes) and not self.groups:
            return
        # Imported late: most protocols have none of them, and pydantic takes its time.
        from iotsim.session import Follower, Session, Table
        from iotsim.units import parse_ip

        bases = (Session, "session"), (Table, "model"), (Follower, "follower")
        for given, (base, what) in zip(classes, bases, strict=True):
            if given is not None and not (isinstance(given, type) and issubclass(given, base)):
                raise ProtocolError(
                    f"{self.name}: {what} is no class derived from iotsim.{base.__name__}: {given!r}"
                )
        for group in self.groups:
            try:
                multicast = parse_ip(group).is_multicast
            except (TypeError, ValueError) as error:
                raise ProtocolError(f"{self.name}: groups: {error}") from None
            if not multicast:
                raise ProtocolError(f"{self.name}: groups: {group} is not a multicast address")

    def _known(self, path: str, where: str, schema: Schema) -> None:
        if schema.find(path) is None:
            hint = schema.nearest(path)
            meant = f" (did you mean {hint!r}?)" if hint else ""
            raise ProtocolError(f"{self.name}: {where} names {path!r}, which is no field{meant}")

    @cached_property
    def schema(self) -> Schema:
        """Of the messages that a device receives."""
        return Schema(self.message)

    @cached_property
    def answer_schema(self) -> Schema:
        """Of those that it sends."""
        return self.schema if self.answer is None else Schema(self.answer)

    @cached_property
    def codec(self) -> Codec:
        """Of the messages that a device receives."""
        # Imported late: the generator is not needed to list, show or check files.
        from iotsim.protocol.codec import Codec

        return Codec(self.message, strict=self.strict)

    @property
    def shortcut(self) -> Shortcut | None:
        """How sessions answer in one step, where neither rules nor a behavior, faults or impairments are
        between; None if they do not."""
        return None

    @cached_property
    def answer_codec(self) -> Codec:
        """Of those that it sends."""
        from iotsim.protocol.codec import Codec

        return self.codec if self.answer is None else Codec(self.answer, strict=self.strict)

    @cached_property
    def delivered_schema(self) -> Schema:
        """Of what rules and behaviors receive: what has come, or what its session makes of that."""
        return self.schema if self.application is None else Schema(self.application)

    @cached_property
    def said_schema(self) -> Schema:
        """Of what they answer and send."""
        return self.answer_schema if self.application is None else self.delivered_schema

    @cached_property
    def said_codec(self) -> Codec:
        """Of the same, to tell whether it can be said; above a session with messages of its own, no
        datagram has these bytes."""
        from iotsim.protocol.codec import Codec

        return (
            self.answer_codec
            if self.application is None
            else Codec(self.application, strict=self.strict)
        )

    @property
    def odd_fields(self) -> tuple[str, ...] | None:
        """The fields of its messages, of all kinds, that JSON may have no form for (`Schema`)."""
        odd: dict[str, None] = {}
        for schema in (self.schema, self.answer_schema, self.said_schema):
            if schema.odd_fields is None:
                return None
            odd |= dict.fromkeys(schema.odd_fields)
        return tuple(odd)

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
