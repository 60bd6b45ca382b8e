"""The events of a run, chosen and told in a line each: what ``iotsim show`` prints.

Lines are read once, and most are only looked at as far as a choice needs. Memory is bounded: the messages
that answers may belong to are remembered for a while, and so are the lines before a moment.
"""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from iotsim.expect.text import clip, message_text, north_text, value_text
from iotsim.match import compile_expression
from iotsim.match.expression import Names
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from iotsim.errors import ExpressionError

ASKED = 1 << 16
"""At least this many messages are remembered for the answers to them."""
LONGEST_LINE = 2_000
KIND_WIDTH = 15
NORTHBOUND = "northbound"
MOST_NORTH = 1000
"""At most this many characters of what a northbound service was sent are shown."""
MOST_FIELDS = 200
BEFORE = 20
AFTER = 8
MOMENTS = frozenset(
    {
        *("gateway-started", "gateway-ready", "gateway-exited", "gateway-paused"),
        *("gateway-resumed", "fault", "step", "command", "simulator-lag"),
    }
)
"""What may be the cause of what devices hear, and is told of between their messages."""


class _Head(msgspec.Struct):
    """What a choice looks at first in any event."""

    event: str
    t: float
    id: int = 0
    device: str = ""
    in_reply_to: int = 0
    service: str = ""


class Asked(NamedTuple):
    """A message that was received: when, and the line that tells of it."""

    t: float
    line: bytes


class Seen(NamedTuple):
    """An event that was chosen: its line, and what it holds. ``asked`` is the message that it answers, if
    that is known."""

    line: bytes
    event: dict[str, Any]
    t: float
    asked: Asked | None = None


class Choice(NamedTuple):
    """Which events are wanted: of these devices, from a time to another, of these kinds, and for which
    ``where`` holds. None: any. Those of no device are wanted only where any device is; those of the kinds
    ``besides`` always are, within the times, and so is what the northbound ``services`` are sent."""

    device: Callable[[str], bool] | None = None
    start: float = float("-inf")
    end: float = float("inf")
    kinds: Collection[str] | None = None
    where: Where | None = None
    besides: Collection[str] = ()
    services: Collection[str] = ()


class _Device:
    """What an expression sees of the device of an event."""

    def __init__(self, address_of: Callable[[str], str]) -> None:
        self._address_of = address_of
        self.name = ""
        self.index: Any = None
        self.asked: Mapping[str, Any] | None = None
        self.state: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return self._address_of(self.name)

    def signal(self, name: str, t: float) -> float:
        raise KeyError(name)  # no expression names one

    def be(self, name: str) -> None:
        if name != self.name:
            self.name = name
            index = name.rpartition("[")[2].removesuffix("]")
            known = index.isascii() and index.isdigit() and len(index) < 10
            self.index = int(index) if known else None


class _AnyField:
    """A schema for messages of protocols that are not here: any field may be."""

    def find(self, path: str) -> bool:
        return bool(path)


class Where:
    """An expression over events: ``msg`` is the message that an event tells of, ``request`` the one that it
    answers, ``device`` whose it is, and ``t`` when.

    ExpressionError if it cannot be. What it asks for and an event lacks makes it not hold; ``failed`` counts
    the events for which it failed otherwise, ``error`` is the first such error. ``fields`` are the names of
    fields that messages had.
    """

    def __init__(self, text: str, address_of: Callable[[str], str] = lambda _name: "") -> None:
        any_field: Any = _AnyField()
        names = Names(state=(), request=any_field)
        self.expression = compile_expression(text, names)
        self.failed = 0
        self.error: ExpressionError | None = None
        self.fields: dict[str, None] = {}
        self._device: Any = _Device(address_of)
        self._asks = "request" in text

    def holds(self, event: Mapping[str, Any], t: float, asked: Asked | None) -> bool:
        message = event.get("message", event.get("fields"))
        if not isinstance(message, dict):
            message = None
        elif len(self.fields) < MOST_FIELDS:
            self.fields.update(dict.fromkeys(message))
        device = self._device
        device.be(str(event.get("device", "")))
        device.asked = _message_of(asked) if self._asks else None
        try:
            return bool(self.expression.evaluate(message, device, t))
        except Exception as error:  # an ExpressionError, and what the truth of a value may raise
            if not getattr(error, "absent", ""):
                self.failed += 1
                self.error = self.error or error  # type: ignore[assignment]
            return False


def _message_of(asked: Asked | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    message = msgspec.json.decode(asked.line).get("message")
    return message if isinstance(message, dict) else None


def choose(lines: Iterable[bytes], choice: Choice) -> Iterator[Seen]:
    """Those of the events in `lines` that are wanted. What is no event is passed over."""
    device, start, end, kinds, where, besides, services = choice
    decode_head = msgspec.json.Decoder(_Head).decode
    asked: dict[int, Asked] = {}
    before: dict[int, Asked] = {}
    for line in lines:
        try:
            head = decode_head(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        what = head.event
        if what not in besides:
            is_ours = device is None or (head.device and device(head.device))
            if not is_ours and not (what == NORTHBOUND and head.service in services):
                continue
            if what == "received":
                if len(asked) >= ASKED:
                    before, asked = asked, {}
                asked[head.id] = Asked(head.t, line)
            if kinds is not None and what not in kinds:
                continue
        if not start <= head.t <= end:
            continue
        try:
            event = msgspec.json.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        number = head.in_reply_to
        request = (asked.get(number) or before.get(number)) if number else None
        if where is None or what in besides or where.holds(event, head.t, request):
            yield Seen(line, event, head.t, request)


def around(
    seen: Iterable[Seen], moment: float | None, before: int = BEFORE, after: int = AFTER
) -> tuple[list[Seen], list[Seen]]:
    """The last of `seen` up to a moment, and the first behind it. The moment None is the end of the run.

    As many again of what northbound services are sent: where that is much, the rest is still there.
    """
    earlier: dict[bool, deque[tuple[int, Seen]]] = {
        is_north: deque(maxlen=before) for is_north in (False, True)
    }
    later: list[Seen] = []
    room = {False: after, True: after}
    for place, one in enumerate(seen):
        is_north = one.event["event"] == NORTHBOUND
        if moment is None or one.t <= moment:
            earlier[is_north].append((place, one))
        elif room[is_north]:
            room[is_north] -= 1
            later.append(one)
    kept = sorted([*earlier[False], *earlier[True]], key=itemgetter(0))
    return [one for _, one in kept], later


class Teller:
    """Tells of one event after the other, each in a line: when, how long after the one before, whose, what.

    `width` is that of the names of devices.
    """

    def __init__(self, width: int = 0) -> None:
        self._width = min(width, 40)
        self._last: float | None = None

    def line(self, seen: Seen) -> str:
        since = 0.0 if self._last is None else seen.t - self._last
        self._last = seen.t
        event = seen.event
        what = str(event["event"])
        device = safe_line(str(event.get("device", ""))).ljust(self._width)
        head = f"{seen.t:12.6f} s  {since:+.6f}  {device}  {what:<{KIND_WIDTH}}  "
        if not self._width:
            head = f"{seen.t:12.6f} s  {since:+.6f}  {what:<{KIND_WIDTH}}  "
        return clip(safe_line(head + " ".join(filter(None, _told(event, seen)))), LONGEST_LINE)

    def mark(self, t: float | None, text: str) -> str:
        """A line between events: what was decided at that time."""
        when = "at the end" if t is None else f"{t:.6f} s"
        return clip(safe_line(f"{when:>14}  ---  {text}"), LONGEST_LINE)


def _told(event: Mapping[str, Any], seen: Seen) -> Iterator[str]:
    """The parts of what there is to say of an event."""
    message = event.get("message")
    if isinstance(message, dict):
        yield message_text(message)
    layer = event.get("layer")
    if layer:
        yield f"[{layer}]"
    what = event["event"]
    if what == "undecodable":
        at = event.get("offset")
        place = "" if at is None else f" at byte {at}"
        yield f"{event.get('path') or 'datagram'}: {event.get('reason')}{place}: {event.get('data')}"
    elif what == "expectation-decided":
        yield _decided(event.get("outcome"))
    elif what == NORTHBOUND and isinstance(event.get("fields"), dict):
        yield f"{event.get('service')}  {north_text(event['fields'], most=MOST_NORTH)}"
    elif what == "no-rule" and isinstance(event.get("unmatched"), dict):
        yield message_text(event["unmatched"])
    elif what not in ("received", "sent"):
        yield _others(event)
    peer = event.get("peer")
    if peer:
        towards = "to" if what == "sent" or event.get("sent") is True else "from"
        yield f" {towards} {peer}"
    if event.get("impaired") and what != "impaired":
        yield f" [{_befell(event)}]"
    if event.get("id"):
        yield f" #{event['id']}"
    if event.get("in_reply_to"):
        answer = "answers" if what == "sent" else "of"
        yield f"{answer} #{event['in_reply_to']}"
        if seen.asked is not None:
            yield f"after {1000 * (seen.t - seen.asked.t):.3f} ms"


def _decided(outcome: Any) -> str:
    if not isinstance(outcome, dict):
        return ""
    state = "held" if outcome.get("passed") else "failed"
    if outcome.get("error"):
        state = "error"
    elif outcome.get("inconclusive"):
        state = "inconclusive"
    told = outcome.get("error") or outcome.get("inconclusive") or outcome.get("actual")
    return f"{state}: {outcome.get('name')}: {told}"


_TOLD = frozenset(
    {
        "event",
        "t",
        "id",
        "device",
        "peer",
        "message",
        "layer",
        "in_reply_to",
        "protocol",
        "traceback",
    }
)


def _others(event: Mapping[str, Any]) -> str:
    """What a kind of event has of its own: its sole text, or the names and values of its fields."""
    of_message = {"impaired", "fate", "delay_s"} if event["event"] == "not-sent" else set()
    rest = {name: value for name, value in event.items() if name not in _TOLD | of_message}
    if len(rest) == 1:
        (value,) = rest.values()
        return value if isinstance(value, str) else message_text(rest)
    return " ".join(f"{name}={value_text(value)}" for name, value in rest.items())


def _befell(event: Mapping[str, Any]) -> str:
    """What impairments and faults did to a message."""
    parts = [str(event[name]) for name in ("impaired", "fate") if event.get(name)]
    delay_s = event.get("delay_s")
    if isinstance(delay_s, int | float) and delay_s > 0:
        parts.append(f"{1000 * delay_s:.0f} ms later")
    return ": ".join([parts[0], ", ".join(parts[1:])]) if len(parts) > 1 else "".join(parts)
