"""``delivered``: each message of a device comes up on the gateway's other side, as often as asked, in time.

A message that was sent is a *reading*. What a northbound service is sent counts for every reading that it
matches and whose time is not over: it is not used up. Where there is none of these, it counts for the last
one that it matches and whose time is over, which it then comes too late for, or doubles. Of requests only
those count that were answered well (2xx). What a device says again, the same in all fields, while the time of
the first is not over, is the same reading, where its protocol numbers messages: the gateway has it already.

Too many break the expectation at once, too few when the time of the reading is over; a reading whose time is
not over at the end of the run is not asked for more. Where not one reading was due, nothing was shown, and
what asks for a minimum fails. Watching goes on when it is broken, so that the end can tell of all readings.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError
from iotsim.expect import text
from iotsim.expect.instead import Note
from iotsim.expect.join import LOOSE, AsSent
from iotsim.expect.lapses import MOST_GROUNDS, Ground, Grounds
from iotsim.expect.northbound import ServiceView, fleet_of
from iotsim.expect.subscription import Subscription, Topic, topic_of
from iotsim.expect.watcher import BROKEN, ELSEWHERE, HELD, MAX_NOTES, Watcher
from iotsim.match import compile_match
from iotsim.match.nearness import EXACT, FAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iotsim.expect.join import Key
    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export
    from iotsim.match import DeviceView

EPSILON_S = 1e-9
MOST_OPEN = 1 << 18
"""At most this many readings are open at a time. Beyond that, the oldest are no longer watched: what became
of them is not known, and the outcome says so."""
MOST_OVER = 1 << 16
"""At most this many readings whose time is over are remembered."""
MOST_STRAYS = 256
"""At most this many northbound messages that match no reading are remembered, to tell what has changed."""
MOST_TOLD = 4
"""For each device and kind of trouble, at most this many readings are named."""
MOST_COMPARED = 1024
"""What came up instead is looked for only for the first this many lost readings."""
EVERYTHING = compile_match({})
ALL_BUT_THE_REST = "each '==' of the match holds, and the rest of it does not,"
TROUBLES = ("lost", "changed", "late", "doubled", "out of order")


class Reading:
    """A message that was sent. ``count``: how often it came up, ``first``: when, for the first time."""

    __slots__ = (
        *("count", "device", "first", "key", "message", "missed", "number", "said", "slot", "t"),
    )

    def __init__(
        self, slot: int, number: int, message: Mapping[str, Any], device: AsSent, t: float, key: Key
    ) -> None:
        self.slot = slot
        self.number = number
        self.message = message
        self.device = device
        self.t = t
        self.key = key
        self.count = 0
        self.first = math.inf
        self.said: tuple[str, str] | None = None
        """Who said it, and the message as a text that only equal messages have."""
        self.missed: Trouble | None = None
        """What was told of it when its time was over."""

    def __str__(self) -> str:
        return f"{text.message_text(self.message)} (t={self.t:.3f} s)"


@dataclass(slots=True)
class Trouble:
    kind: str
    text: str
    ground: Ground


class Places:
    """Readings by key, those that have none included in each."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[Reading, None]] = {}

    def add(self, reading: Reading) -> None:
        self._by_key.setdefault(reading.key, {})[reading] = None

    def remove(self, reading: Reading) -> None:
        kept = self._by_key[reading.key]
        del kept[reading]
        if not kept:
            del self._by_key[reading.key]

    def of(self, key: Key) -> list[Reading]:
        """Those that something with this key may belong to, in the order in which they were sent."""
        if key is LOOSE:
            found = [reading for kept in self._by_key.values() for reading in kept]
        else:
            found = [*self._by_key.get(key, ()), *self._by_key.get(LOOSE, ())]
        found.sort(key=lambda reading: reading.number)
        return found


class Delivered(Watcher):
    keeps = True

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.delivered is not None
        self.asked = spec.delivered
        self.window_s = math.inf
        if spec.delivered.within_s is not None:
            self.window_s = spec.delivered.within_s * tolerance
        self._view = AsSent(ServiceView(fleet_of(spec.delivered.northbound)), remember=False)
        self._number = 0
        self._sent_by = array("I", bytes(4 * self.count))
        """How many readings of each slot there were."""
        self._open: deque[Reading] = deque()
        self._over: deque[Reading] = deque()
        self._opened = Places()
        self._saying: dict[tuple[str, str], Reading] = {}
        """The open readings by who has said what."""
        self._past = Places()
        self._shown = bytearray(self.count + 1)
        """Whether a reading of the slot was due."""
        self._last_up: dict[int, int] = {}
        """The number of the last reading of each slot that has come up."""
        self._strays: deque[tuple[float, Mapping[str, Any]]] = deque(maxlen=MOST_STRAYS)
        self._compared = 0
        self._troubles: dict[int, list[Trouble]] = {}
        self._troubled = 0
        self._first_troubles: list[Trouble] = []
        """The grounds of each may change: what was lost may only have been late."""
        self._counts: dict[int, Counter[str]] = {}
        sent = self.asked.sent
        kept = self.subscribe(missed=True).missed
        self.subscriptions = [
            Subscription(
                topic_of(sent), sent.matcher, self._sent, missed=kept, gate=self.gate(self.count)
            ),
            Subscription(
                Topic("receives"),
                EVERYTHING,
                self._came_up,
                gate=self.gate(),
                service=self.asked.northbound,
            ),
        ]

    # --- what comes ---------------------------------------------------------------------------

    def _sent(self, slot: int, message: Any, device: DeviceView, t: float) -> None:
        match = self.asked.match
        was = AsSent(device, remember=match.uses_state)
        copy = dict(message or {})
        said = None
        if self.asked.numbered and device.name.rpartition("[")[0] in self.asked.numbered and copy:
            said = device.name, repr(copy)
        first = self._saying.get(said) if said else None
        if first is not None and first.t + self.window_s + EPSILON_S >= t:
            return
        self._number += 1
        self._sent_by[slot] += 1
        key = match.own_key(copy, was, t) if match.equalities else LOOSE
        reading = Reading(slot, self._number, copy, was, t, key)
        if said:
            reading.said = said
            self._saying[said] = reading
        if len(self._open) >= MOST_OPEN:
            self._forget(self._open.popleft())
            self.unwatched += 1
        self._open.append(reading)
        self._opened.add(reading)
        self.alarm(t + self.window_s)

    def _forget(self, reading: Reading) -> None:
        """It is not open any more."""
        self._opened.remove(reading)
        if reading.said and self._saying.get(reading.said) is reading:
            del self._saying[reading.said]

    def _came_up(self, _slot: int, fields: Any, _view: DeviceView, t: float) -> None:
        if self.asked.answered:
            status = fields.get("status")
            if not (isinstance(status, int) and 200 <= status < 300):
                return
        self._close(t)
        match = self.asked.match
        key = match.north_key(fields, self._view) if match.equalities else LOOSE
        if matching := self._matching(self._opened.of(key), fields, t):
            for reading in matching:
                self._count(reading, t)
        elif matching := self._matching(reversed(self._past.of(key)), fields, t, most=1):
            self._count_late(matching[0], t)
        else:
            self._strays.append((t, fields))

    def _matching(
        self, readings: Iterable[Reading], fields: Any, t: float, most: int = MOST_OPEN
    ) -> list[Reading]:
        found: list[Reading] = []
        for reading in readings:
            try:
                if self.asked.match.holds(reading.message, reading.device, reading.t, fields):
                    found.append(reading)
            except IotsimError as error:
                self.trouble(error, reading.slot, reading.message, reading.device, t)
            if len(found) == most:
                break
        return found

    def _count(self, reading: Reading, t: float) -> None:
        """It came up in time."""
        reading.count += 1
        if reading.count == 1:
            reading.first = t
            last = self._last_up.get(reading.slot, 0)
            if self.asked.ordered and reading.number < last:
                self._wrong(reading, "out of order", t, f"{reading} came after a later one")
            self._last_up[reading.slot] = max(last, reading.number)
        if reading.count >= self.asked.minimum:
            self._shown[reading.slot] = 1
        self._count_most(reading, t)

    def _count_late(self, reading: Reading, t: float) -> None:
        """It came up when its time was over, for the first time or again."""
        reading.count += 1
        if reading.count <= self.asked.minimum:
            late = text.seconds(round(t - reading.t - self.window_s, 3))
            self._was_late(reading, f"{reading} came {late} too late", t)
        self._count_most(reading, t)

    def _count_most(self, reading: Reading, t: float) -> None:
        most = self.asked.maximum
        if most is not None and reading.count == most + 1:
            first = "" if reading.first == math.inf else f", first after {_span(reading)}"
            said = f"{reading} came up {text.plural(reading.count, 'time')}{first}"
            self._wrong(reading, "doubled", t, said)

    # --- time ---------------------------------------------------------------------------------

    def deadline(self) -> float:
        if self.closed or self.waiting or not self._open or self.window_s == math.inf:
            self._due = math.inf
            return math.inf
        self._due = math.nextafter(self._open[0].t + self.window_s + EPSILON_S, math.inf)
        return self._due

    def advance(self, now: float) -> None:
        self._close(now)

    def _close(self, now: float) -> None:
        """The time of readings is over."""
        while self._open and self._open[0].t + self.window_s + EPSILON_S < now:
            reading = self._open.popleft()
            self._forget(reading)
            self._shown[reading.slot] = 1
            if reading.count < self.asked.minimum:
                self._lost(reading)
            self._over.append(reading)
            self._past.add(reading)
            if len(self._over) > MOST_OVER:
                self._past.remove(self._over.popleft())

    def _lost(self, reading: Reading) -> None:
        due = reading.t + self.window_s
        if reading.count:
            said = f"{reading} came up {text.plural(reading.count, 'time')} only"
            reading.missed = self._wrong(reading, "lost", due, said)
            return
        trouble, said = "lost", str(reading)
        if self._compared < MOST_COMPARED:
            self._compared += 1
            changed, instead = self._instead_of(reading)
            trouble = "changed" if changed else "lost"
            said += f": {instead}" if instead else ""
        reading.missed = self._wrong(reading, trouble, due, said)

    def _instead_of(self, reading: Reading) -> tuple[bool, str]:
        """Whether `reading` came up with something changed in it, and what; else what came up instead."""
        match = self.asked.match
        best: tuple[int, float, str] | None = None
        came = ""
        for t, fields in self._strays:
            if not reading.t <= t <= reading.t + self.window_s + EPSILON_S:
                continue
            came = text.at(f"there came {text.north_text(fields, match.asked)}", t)
            wrong = match.differences(reading.message, reading.device, reading.t, fields)
            if match.equalities and not wrong:  # only the rest of it does not hold
                return True, text.at(
                    f"{ALL_BUT_THE_REST} in {text.north_text(fields, match.asked)}", t
                )
            if 0 < len(wrong) < len(match.equalities):
                best = min(filter(None, (best, (len(wrong), t, text.at(", ".join(wrong), t)))))
        return (True, best[2]) if best else (False, came)

    def _wrong(self, reading: Reading, kind: str, t: float, said: str) -> Trouble:
        """There is trouble with `reading`, which breaks the expectation for its device."""
        slot = reading.slot
        missed_by = self.window_s if kind in ("lost", "changed") else math.inf
        trouble = Trouble(kind, said, Ground(reading.t, t, missed_by))
        self._troubled += 1
        if len(self._first_troubles) < MOST_GROUNDS:
            self._first_troubles.append(trouble)
        counts = self._counts.setdefault(slot, Counter())
        counts[kind] += 1
        if counts[kind] <= MOST_TOLD and (
            slot in self._troubles or len(self._troubles) < MAX_NOTES
        ):
            self._troubles.setdefault(slot, []).append(trouble)
        if not self.state[slot]:
            self.fail(slot, t, "", ELSEWHERE)
        return trouble

    def _was_late(self, reading: Reading, said: str, t: float) -> None:
        """What was told to be missing came after all."""
        trouble = reading.missed
        if trouble is not None:
            counts = self._counts[reading.slot]
            counts[trouble.kind] -= 1
            counts["late"] += 1
            trouble.kind, trouble.text = "late", said
            trouble.ground = Ground(reading.t, t, t - reading.t - self.window_s)

    def _count_in(self, t: float) -> None:
        super()._count_in(t)
        if self.verdict is False:
            self.closed = False  # the rest is to be told of, too

    def settle_pending(self, now: float) -> None:
        self._close(now)
        not_over = {reading.slot for reading in self._open}
        for slot in range(self.count):
            if self.state[slot]:
                continue
            if self.asked.minimum and not self._shown[slot]:
                self.state[slot] = BROKEN
                self.broken += 1
                self._broken_on.add(Ground(self.began, now))
                if slot in not_over:
                    self.note(slot, "the run ended before the time of its readings was over", FAR)
            else:
                self.state[slot] = HELD
                self.held += 1

    def broken_on(self) -> Grounds:
        grounds = Grounds()
        for trouble in self._first_troubles:
            grounds.add(trouble.ground)
        if self._troubled > len(self._first_troubles):
            grounds.add(Ground(self.began, self._watched_until))
        grounds.add_all(self._broken_on)
        return grounds

    # --- what is told -------------------------------------------------------------------------

    def export(self) -> Export:
        for slot, troubles in self._troubles.items():
            sent = self._sent_by[slot]
            said = []
            for kind in TROUBLES:
                if count := self._counts[slot][kind]:
                    # Of those that are told, all may have proved to be late.
                    which = "; ".join(one.text for one in troubles if one.kind == kind)
                    said.append(f"{count} of {sent} {kind}{which and f': {which}'}")
            told = text.clip("; ".join(said), text.NOTE_CHARACTERS)
            first = min(troubles, key=lambda one: TROUBLES.index(one.kind))
            self._notes[slot] = Note(told, EXACT, first.ground.begin)
        return super().export()

    def expectation(self) -> str:
        asked = self.asked
        times = text_of_bounds(asked.minimum, asked.maximum)
        limit = "" if self.window_s == math.inf else f" within {text.seconds(self.window_s)}"
        order = ", in the order sent" if asked.ordered else ""
        return (
            f"{asked.sent.text}: each comes up at {asked.northbound} {times}{limit}{order}, "
            f"where {asked.match.text}"
        )


def text_of_bounds(minimum: int, maximum: int | None) -> str:
    if minimum == maximum:
        return "once" if minimum == 1 else f"{minimum} times"
    if maximum is None:
        return "at least once" if minimum == 1 else f"at least {minimum} times"
    least = f"{minimum} to " if minimum else "at most "
    return f"{least}{text.plural(maximum, 'time')}"


def _span(reading: Reading) -> str:
    return text.seconds(round(reading.first - reading.t, 3))
