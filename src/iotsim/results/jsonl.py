"""Events as lines of JSON.

A batch of events becomes bytes by one call into msgspec. Messages of protocols that may hold what
JSON has no form for go through a conversion first: bytes become ``"hex:0aff"``, anything else that
is odd its text. Numbers that JSON lacks (NaN and the infinities) become null.

A batch that msgspec refuses (text with lone surrogates, nesting without end) is encoded again,
event by event, with whatever offends replaced: no event is lost for what a gateway printed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Union

import msgspec

from iotsim.events import (
    Event,
    ExpectationDecided,
    GatewayExited,
    GatewayReady,
    GatewayStarted,
    LinkUp,
    NotSent,
    Received,
    RunEnded,
    RunStarted,
    Sent,
)
from iotsim.match.usual import usual_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

MAX_DEPTH = 32
_WITH_MESSAGE: frozenset[type] = frozenset((Received, Sent, NotSent))
_TAGS_WITH_MESSAGE = frozenset(("received", "sent"))
_PLAIN = frozenset((str, int, float, bool, type(None)))
_ANY_EVENT: Any = Union[tuple(Event.__subclasses__())]  # noqa: UP007  # of what is not known here
ESSENTIAL: tuple[type[Event], ...] = (
    *(
        RunStarted,
        LinkUp,
        GatewayStarted,
        GatewayReady,
        GatewayExited,
        ExpectationDecided,
        RunEnded,
    ),
)
"""Kinds of events that each run has few of, and without which nobody can tell what it came to."""
REFUSALS = (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError)
"""What msgspec raises for what it has no form for."""


class EventEncoder:
    """`odd_fields`: protocol -> the fields of its messages that may hold what JSON has no form for.

    An empty tuple means that there is none, None that any field may, as of a protocol that is not named.
    Where all that are named have none, no message is looked at.
    """

    def __init__(self, odd_fields: Mapping[str, Sequence[str] | None] | None = None) -> None:
        self._odd = {
            protocol: names if names is None else frozenset(names)
            for protocol, names in (odd_fields or {}).items()
        }
        self._as_they_are = bool(self._odd) and all(
            names is not None and not names for names in self._odd.values()
        )
        self._encoder = msgspec.json.Encoder()

    def encode(self, events: Sequence[Event]) -> bytes:
        """`events` as lines, each ended by a newline."""
        converted: Sequence[Event] = events
        if not self._as_they_are:
            plain, odd = self._plain, self._odd.get
            # A call for each would cost more than its encoding does.
            converted = [
                event
                if event.__class__ not in _WITH_MESSAGE
                or (
                    event.__class__ is not NotSent  # which does not say of which protocol it is
                    and (names := odd(event.protocol))  # type: ignore[attr-defined]
                    and event.message.keys().isdisjoint(names)  # type: ignore[attr-defined]
                )
                else plain(event)  # type: ignore[arg-type]
                for event in events
            ]
        try:
            return self._encoder.encode_lines(converted)
        except REFUSALS:
            return b"".join(map(self._encode_one, converted))

    def encode_plain(self, events: Sequence[dict[str, Any] | Event]) -> bytes:
        """As `encode`, of events some of which are what msgspec makes plain dicts of."""
        if not self._as_they_are:
            for event in events:
                if event.__class__ is dict and event["event"] in _TAGS_WITH_MESSAGE:
                    names = self._odd.get(event["protocol"])
                    if names is None or not event["message"].keys().isdisjoint(names):
                        event["message"] = plain_message(event["message"])
                elif (
                    event.__class__ is dict and event["event"] == "not-sent" and "message" in event
                ):
                    event["message"] = plain_message(event["message"])
        return self.encode(events)  # type: ignore[arg-type]  # which looks no closer at others

    def _plain(self, event: Received | Sent | NotSent) -> Event:
        """`event`, with a message that JSON has a form for."""
        if isinstance(event, NotSent):
            if event.message is None:
                return event
            return msgspec.structs.replace(event, message=plain_message(event.message))
        names = self._odd.get(event.protocol)
        if names is None:
            message = plain_message(event.message)
        else:
            given = event.message
            message = {}
            for name in given.keys() & names:
                value = given[name]
                if value.__class__ is bytes:
                    message[name] = "hex:" + value.hex()
                elif value.__class__ not in _PLAIN and not _is_plain(value, MAX_DEPTH):
                    message[name] = _plain(value, MAX_DEPTH)
            if not message:
                return event
            message = {**given, **message}
        return msgspec.structs.replace(event, message=message)

    def _encode_one(self, event: Event | dict[str, Any]) -> bytes:
        try:
            return self._encoder.encode(event) + b"\n"
        except REFUSALS:
            if isinstance(event, dict):
                return self._encoder.encode(printable(event)) + b"\n"
            fields: dict[str, Any] = {"event": event.__struct_config__.tag}
            for name in event.__struct_fields__:
                fields[name] = printable(getattr(event, name))
            return self._encoder.encode(fields) + b"\n"


def plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """`message` with only what JSON has a form for; bytes as ``"hex:0aff"``."""
    return {
        name: value if value.__class__ in _PLAIN else _plain(value, MAX_DEPTH)
        for name, value in message.items()
    }


def _is_plain(value: Any, depth: int) -> bool:
    """Whether JSON certainly has a form for a value, as for most of those that may hold something else."""
    if value.__class__ in _PLAIN:
        return True
    if value.__class__ is dict and depth:
        for name, inner in value.items():
            if name.__class__ is not str:
                return False
            if inner.__class__ not in _PLAIN and not _is_plain(inner, depth - 1):
                return False
        return True
    if value.__class__ is list and depth:
        return all([_is_plain(inner, depth - 1) for inner in value])  # noqa: C419  # a generator costs more
    return False


def _plain(value: Any, depth: int) -> Any:
    if value.__class__ in _PLAIN:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return "hex:" + bytes(value).hex()
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {str(name): _plain(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, depth - 1) for inner in value]
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name), depth - 1) for name in value.__struct_fields__}
    return usual_text(value) or str(value)


def printable(value: Any) -> Any:
    """`value` as `_plain` has it, and with text that UTF-8 can carry."""
    return _encodable(_plain(value, MAX_DEPTH))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_encodable(inner) for inner in value]
    return value


_BEGIN_ESSENTIAL = tuple(
    b'{"event":' + msgspec.json.encode(kind.__struct_config__.tag) for kind in ESSENTIAL
)


def essential_lines(data: bytes) -> bytes:
    """Those of the lines in `data` that are events of the `ESSENTIAL` kinds."""
    lines = data.splitlines(keepends=True)
    return b"".join([line for line in lines if line.startswith(_BEGIN_ESSENTIAL)])


def decode_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events that `lines` of ``events.jsonl`` hold.

    A line that was cut off, as the last one of a killed run, and what is no event is left out.
    """
    decode = event_decoder()
    for line in lines:
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            yield decode(line)


def event_decoder() -> Callable[[bytes], Event]:
    """What makes an event of a line. It raises msgspec.MsgspecError, ValueError or RecursionError where the
    line is none."""
    return msgspec.json.Decoder(_ANY_EVENT).decode
