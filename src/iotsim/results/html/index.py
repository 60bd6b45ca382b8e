"""The first reading of a run's events: everything is counted, and what is rare is kept."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.events import (
    DeviceFailed,
    DeviceRebooted,
    ExpectationDecided,
    GatewayOutput,
    Impaired,
    Northbound,
    NoRule,
    NotSent,
    PacketDropped,
    Received,
    RunEnded,
    RunStarted,
    Sent,
    SessionFailed,
    Undecodable,
)
from iotsim.results.html.fleet import Roster
from iotsim.results.html.naming import PAIRED_BY, kind_of, pairing_keys
from iotsim.results.html.rows import (
    ANSWERED,
    ASKS,
    BROKE,
    DROPPED,
    FAILED_SESSION,
    IMPAIRED_LATER,
    NO_ROW,
    NO_RULE,
    NOT_SENT,
    REBOOTED,
    RECEIVED,
    SENT,
    UNASKED,
    UNDECODABLE,
    UNDECODABLE_SENT,
    WHATS,
    Others,
    Rows,
)
from iotsim.results.jsonl import event_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iotsim.events import Event, Outcome

LATEST = 1e9
"""No run goes on for longer than that, or has begun long before."""
EARLIEST = -60.0
MOST_KINDS = 1000
MOST_ENTRIES = 200
"""At most this many different things that befell messages have a count over time."""
MOST_RARE = 2000
"""At most this many events of a rare kind are kept."""
MOST_OUTCOMES = 5000
MOST_OPEN = 200_000
"""At most this many messages wait for their answers while others come."""
INFERRED_WITHIN_S = 60.0
OTHER = "(other kinds)"
WIRE = "wire"

_CODES: dict[type[Event], int] = {
    NotSent: NOT_SENT,
    Impaired: IMPAIRED_LATER,
    DeviceFailed: BROKE,
    SessionFailed: FAILED_SESSION,
    DeviceRebooted: REBOOTED,
    PacketDropped: DROPPED,
    NoRule: NO_RULE,
}


def code_of(event: Event) -> int:
    """What a row of `event` is; -1 if it has none."""
    if isinstance(event, Undecodable):
        return UNDECODABLE_SENT if event.sent else UNDECODABLE
    kind = event.__class__
    return RECEIVED if kind is Received else SENT if kind is Sent else _CODES.get(kind, -1)


class Index:
    """What the events of a run are, as far as there is room for all of it.

    ``rows`` are of what has to do with devices, ``output`` and ``northbound`` of these events, ``rare`` are
    all others, with their times; ``rare_left`` counts those that were too many, by kind. ``befell``: times
    by (name, fate, direction). ``end``: the latest time of all.
    """

    def __init__(self, fleets: Mapping[str, Mapping[str, Any]]) -> None:
        self.roster = Roster(fleets)
        self.rows = Rows()
        self.kinds: list[str] = []
        self.output, self.northbound = Others(), Others()
        self.rare: list[tuple[float, Event]] = []
        self.rare_left: Counter[str] = Counter()
        self._rare_kept: Counter[type[Event]] = Counter()
        self.outcomes: dict[int, Outcome] = {}
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.befell: dict[tuple[str, str, str], array[float]] = {}
        self.inferred_by: Counter[str] = Counter()
        self.lines = self.unreadable = self.absurd = 0
        self.end = 0.0
        self._kind_numbers: dict[str, int] = {}
        self._waiting: dict[int, int] = {}
        """Messages to devices that nobody has answered: id -> row."""
        self._asked: dict[tuple[int, str, str, str | int], int] = {}
        """What devices have sent by themselves: device, peer, name and value -> row."""

    def read(self, lines: Iterable[bytes]) -> None:
        decode: Callable[[bytes], Event] = event_decoder()
        take_by_kind: dict[type[Event], Callable[[Any, float, int, int], None]] = {
            Received: self._received,
            Sent: self._sent,
            GatewayOutput: self._output,
            Northbound: self._northbound,
            Undecodable: self._undecodable,
            ExpectationDecided: self._decided,
            RunStarted: self._run_started,
            RunEnded: self._run_ended,
            **dict.fromkeys(_CODES, self._of_device),
        }
        take_rare = self._rare
        number = -1
        t = 0.0
        for number, line in enumerate(lines):
            try:
                event = decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self.unreadable += 1
                continue
            if EARLIEST <= event.t <= LATEST:
                t = event.t
            else:
                self.absurd += 1  # it happened about when the one before it did
            if t > self.end:
                self.end = t
            take_by_kind.get(event.__class__, take_rare)(event, t, number, len(line))
        self.lines = number + 1
        self._waiting.clear()
        self._asked.clear()
        self._infer()

    # --- messages -----------------------------------------------------------------------------

    def _add(
        self,
        line: int,
        size: int,
        t: float,
        device: int,
        what: int,
        kind: int,
        asked: int,
        mark: int,
    ) -> None:
        rows = self.rows
        rows.lines.append(line)
        rows.sizes.append(size)
        rows.times.append(t)
        rows.devices.append(device)
        rows.whats.append(what)
        rows.kinds.append(kind)
        rows.asked.append(asked)
        rows.marks.append(mark)

    def _received(self, event: Received, t: float, line: int, size: int) -> None:
        message, row = event.message, len(self.rows.times)
        device = self.roster.number(event.device)
        kind = self._kind(kind_of(message, event.protocol))
        mark = 0 if event.layer == WIRE else ASKS
        if self._asked:
            self._find_asked(event, device, t, row)
        self._add(line, size, t, device, RECEIVED, kind, NO_ROW, mark)
        self._waiting[event.id] = row
        if len(self._waiting) > MOST_OPEN:
            self._waiting = dict(list(self._waiting.items())[MOST_OPEN // 2 :])
        if event.impaired:
            self._befell(event.impaired, event.fate, "received", t)

    def _sent(self, event: Sent, t: float, line: int, size: int) -> None:
        message, rows = event.message, self.rows
        row = len(rows.times)
        device = self.roster.number(event.device)
        kind = self._kind(kind_of(message, event.protocol))
        asked, mark = NO_ROW, 0
        if event.in_reply_to:
            asked = self._waiting.pop(event.in_reply_to, NO_ROW)
            if asked != NO_ROW:
                rows.marks[asked] |= ANSWERED
                rows.pair_rows.append(asked)
                rows.pair_times.append(max(0.0, t - rows.times[asked]))
        elif event.layer != WIRE:
            mark = UNASKED
            self._note_asked(event, device, row)
        self._add(line, size, t, device, SENT, kind, asked, mark)
        if event.impaired:
            self._befell(event.impaired, event.fate, "sent", t)

    def _note_asked(self, event: Sent, device: int, row: int) -> None:
        for (name, value), _ in zip(pairing_keys(event.message), range(PAIRED_BY), strict=False):
            self._asked.setdefault((device, event.peer, name, value), row)
        if len(self._asked) > MOST_OPEN:
            self._asked = dict(list(self._asked.items())[MOST_OPEN // 2 :])

    def _find_asked(self, event: Received, device: int, t: float, row: int) -> None:
        for name, value in pairing_keys(event.message):
            asked = self._asked.pop((device, event.peer, name, value), NO_ROW)
            if asked == NO_ROW or t - self.rows.times[asked] > INFERRED_WITHIN_S:
                continue
            if not self.rows.marks[asked] & ANSWERED:
                self.rows.marks[asked] |= ANSWERED
                self.rows.guess_rows.append(row)
                self.rows.guess_asked.append(asked)
                self.inferred_by[name] += 1
            return

    def _infer(self) -> None:
        """Leave out what was taken for an answer, and was a request, since a device has answered it."""
        rows = self.rows
        pairs = [
            (row, asked)
            for row, asked in zip(rows.guess_rows, rows.guess_asked, strict=True)
            if not rows.marks[row] & ANSWERED
        ]
        rows.guess_rows = array("q", [row for row, _ in pairs])
        rows.guess_asked = array("q", [asked for _, asked in pairs])
        for row, _ in pairs:
            rows.marks[row] &= ~ASKS

    def _undecodable(self, event: Undecodable, t: float, line: int, size: int) -> None:
        what = code_of(event)
        device, kind = self.roster.number(event.device), self._kind(event.protocol)
        self._add(line, size, t, device, what, kind, NO_ROW, 0)

    def _of_device(self, event: Any, t: float, line: int, size: int) -> None:
        what = _CODES[event.__class__]
        name = event.unmatched.device if what == NO_RULE else getattr(event, "device", "")
        kind = self._kind(WHATS[what])
        asked = NO_ROW
        if what in (NOT_SENT, IMPAIRED_LATER):
            asked = self._waiting.get(event.in_reply_to, NO_ROW)
            if event.impaired:
                direction = "received" if what == IMPAIRED_LATER else "sent"
                self._befell(event.impaired, getattr(event, "fate", ""), direction, t)
        self._add(line, size, t, self.roster.number(name), what, kind, asked, 0)
        if what in (BROKE, FAILED_SESSION, REBOOTED):
            self._rare(event, t, line, size)

    def _kind(self, name: str) -> int:
        number = self._kind_numbers.get(name)
        if number is None:
            if len(self.kinds) >= MOST_KINDS and name != OTHER:
                return self._kind(OTHER)
            number = self._kind_numbers[name] = len(self.kinds)
            self.kinds.append(name)
        return number

    def _befell(self, names: str, fate: str, direction: str, t: float) -> None:
        key = names, fate, direction
        if key not in self.befell and len(self.befell) >= MOST_ENTRIES:
            key = OTHER, "", direction
        self.befell.setdefault(key, array("d")).append(t)

    # --- everything else ----------------------------------------------------------------------

    def _output(self, _event: GatewayOutput, t: float, line: int, size: int) -> None:
        self.output.add(line, size, t)

    def _northbound(self, _event: Northbound, t: float, line: int, size: int) -> None:
        self.northbound.add(line, size, t)

    def _decided(self, event: ExpectationDecided, t: float, line: int, size: int) -> None:
        if event.outcome.number in self.outcomes or len(self.outcomes) < MOST_OUTCOMES:
            self.outcomes[event.outcome.number] = event.outcome
        self._rare(event, t, line, size)

    def _run_started(self, event: RunStarted, _t: float, _line: int, _size: int) -> None:
        self.started = event

    def _run_ended(self, event: RunEnded, t: float, line: int, size: int) -> None:
        self.ended = event
        self._rare(event, t, line, size)

    def _rare(self, event: Event, t: float, _line: int, _size: int) -> None:
        kind = event.__class__
        if self._rare_kept[kind] < MOST_RARE:
            self._rare_kept[kind] += 1
            self.rare.append((t, event))
        else:
            self.rare_left[str(event.__struct_config__.tag)] += 1
