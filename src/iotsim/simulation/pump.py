"""The one loop through which every packet passes.

The pump drains the link, gives each frame to the stack, fires timers and flushes the journal. It is
one task: what answers a packet are plain calls, and nothing on the way switches tasks. Frames are
drained in batches. When the link is empty after some traffic the pump first waits for a moment
without the event loop, whose own wake-up costs more than an answer; only then does it sleep. Other
tasks get their turn when it sleeps, and otherwise every few milliseconds.

What is sent in a turn leaves in small groups, one packet right after the other. Each that comes by itself
wakes who waits for it, which is half of what sending takes; a group does so once. No packet waits for more
than the handling of a few others, as the next request would have done.

Every frame has exactly one outcome, counted by name, so that what was received always adds up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from iotsim.events import IN, OUT, Note, PacketDropped
from iotsim.net.datagram import NO_FRAME
from iotsim.net.outcome import ANSWERED, PENDING
from iotsim.simulation.lag import LoopWatch, beat
from iotsim.simulation.timers import LATE_S, RESOLUTION_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.link.base import Link
    from iotsim.net.datagram import Datagram
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.timers import Timers

BATCH_FRAMES = 64
BATCH_TIMERS = 64
"""So many fire before the link is looked at again,"""
TIMERS_PER_FRAME = 3
"""and so many more for each frame that was taken from it: one that is held both ways sets two, which would
pile up here."""
TOGETHER_FRAMES = 64
TOGETHER_S = 300e-6
"""So many leave at a time, at most, and with the one that comes so long after the first of them."""
FLUSH_RECORDS = 128
FLUSH_INTERVAL_S = 0.25
TURN_S = 0.005
"""After this long without a pause, other tasks get their turn."""
BRIEF_WAIT_S = 200e-6
"""How long to wait for the next frame before giving up the thread."""
SOON_S = 0.001
"""A timer that is due within this time is waited for without giving up the thread."""
DROP_EVENTS_PER_REASON = 100
DROP_EVENT_BYTES = 128
HEADER_BYTES = 10
LINK_DROPPED = "the link dropped it"


class Outcomes(dict[str, int]):
    """Counts by outcome; see `iotsim.net`. What was never counted is 0."""

    def __missing__(self, outcome: str) -> int:
        return 0

    def by_category(self) -> dict[str, int]:
        """``answered``, ``pending``, ``consumed`` and ``dropped``: all that was received."""
        totals = dict.fromkeys(("answered", "pending", "consumed", "dropped"), 0)
        for outcome, count in self.items():
            totals[outcome.partition(".")[0]] += count
        return totals


class Pump:
    """Moves frames between `link` and the stack, and time between timers.

    `receive` is the stack's: (frame, now) -> outcome. `clock` gives the seconds of the run, of which a real
    second has `speed`.
    """

    def __init__(
        self,
        link: Link,
        timers: Timers,
        journal: Journal,
        clock: Callable[[], float],
        speed: float = 1.0,
    ) -> None:
        self._speed = speed
        self._turn_s = TURN_S * speed
        self._late_s = LATE_S * speed
        self._flush_interval_s = FLUSH_INTERVAL_S * speed
        self.link = link
        self._send = link.send_nowait
        self._send_all = link.send_all
        self._record = journal.packet
        self._gathered: list[bytes] = []
        self._gathered_at = 0.0
        self._together_s = TOGETHER_S * speed
        self._gathers = False
        # A link in memory wakes nobody.
        self._may_gather = link.kind != "memory"
        self.timers = timers
        self.journal = journal
        self.clock = clock
        self.receive: Callable[[bytes, float], str] = _nobody
        self.on_late: Callable[[float, float], object] = _unheeded
        """Called with the time since when a frame may have waited unread, and the time when it was read."""
        self.on_turn: Callable[[float], None] = _nothing
        """Called before every sleep, and every few milliseconds while there is none."""
        self.outcomes = Outcomes()
        self.frames_received = 0
        """Also the number of the frame that is being handled, from 1."""
        self._pending: dict[int, Outcomes] = {}
        """The numbers of the frames that are counted as pending, and where."""
        self._apart = NO_FRAME
        """The number of the last frame that did not come from the link; these count down."""
        self.sent_at = 0.0
        """When the last frame was sent."""
        self._max_lag = 0.0
        """The longest that a frame can have waited unread: from one sight of the empty queue to the next."""
        self._loop = LoopWatch(clock, speed)
        self._queue_empty_at = 0.0
        self.behind = False
        """The link was not seen empty at the last look."""
        self._flushed_at = 0.0
        self._sleep = trio.CancelScope()
        timers.on_earliest = self._sleep_until
        self._epoch = 0.0
        """What to add to the run's time to get the event loop's."""

    def transmit(self, frame: bytes) -> str | None:
        """Send `frame` on the link, together with others of this turn, and record it; why not, if the link
        has dropped it already."""
        self.sent_at = now = self.clock()
        if self._gathers:
            gathered = self._gathered
            if not gathered:
                self._gathered_at = now
            gathered.append(frame)
            if len(gathered) >= TOGETHER_FRAMES or now - self._gathered_at > self._together_s:
                self._send_gathered()
        elif not self._send(frame):
            return LINK_DROPPED
        self._record((now, OUT, frame))
        return None

    def _send_gathered(self) -> None:
        gathered = self._gathered
        if not gathered:
            return
        dropped = self._send_all(gathered)
        gathered.clear()
        if dropped:
            # From now on each is told of where it happens.
            self._may_gather = self._gathers = False
            what = "a packet that was" if dropped == 1 else f"{dropped} packets that were"
            self.journal.emit(Note(self.clock(), f"the link dropped {what} told as sent"))

    def lag(self) -> float:
        """Upper bound of how long a frame has waited unread, at worst."""
        return max(self._max_lag, self.clock() - self._queue_empty_at if self.behind else 0.0)

    def defer(self, datagram: Datagram) -> str:
        """Leave the frame that brought `datagram`, which is being handled, without an outcome of its own
        until `settle`; the outcome for now."""
        if not datagram.frame:
            datagram.frame = self.frames_received
        return PENDING

    def settle(self, datagram: Datagram, outcome: str) -> None:
        """What was deferred has come to `outcome`.

        The first to be settled decides, where there are several: a frame may ask a whole group.
        """
        outcomes = self._pending.pop(datagram.frame, None)
        if outcomes is not None:
            outcomes[PENDING] -= 1
            outcomes[outcome] += 1

    def receive_apart(
        self, frame: bytes, receive: Callable[[bytes, float], str], outcomes: Outcomes
    ) -> None:
        """Let `receive` handle a frame that did not come from the link, and count it in `outcomes`."""
        self._apart -= 1
        number, self.frames_received = self.frames_received, self._apart
        at_link, self.journal.at_link = self.journal.at_link, False
        try:
            now = self.clock()
            outcome = receive(frame, now)
            outcomes[outcome] += 1
            self._note(outcome, frame, now, outcomes)
        finally:
            self.frames_received = number
            self.journal.at_link = at_link

    def receive_copy(
        self, frame: bytes, receive: Callable[[bytes, float], str] | None = None
    ) -> None:
        """Handle a frame that is counted and recorded in another process, as one from the link or by
        `receive`."""
        number, self.frames_received = self.frames_received, NO_FRAME
        at_link, self.journal.at_link = self.journal.at_link, False
        try:
            (receive or self.receive)(frame, self.clock())
        finally:
            self.frames_received = number
            self.journal.at_link = at_link

    def discard(self, limit: int, outcome: str) -> int:
        """Leave up to `limit` frames that wait unhandled, with this outcome; how many they were."""
        self._max_lag = self.lag()
        self.on_late(self._queue_empty_at, self.clock())
        discarded = 0
        while discarded < limit and (frames := self.link.receive_nowait(BATCH_FRAMES)):
            now = self.clock()
            for frame in frames:
                self.journal.packet((now, IN, frame))
            self.frames_received += len(frames)
            self.outcomes[outcome] += len(frames)
            discarded += len(frames)
        return discarded

    def _sleep_until(self, due: float) -> None:
        """A timer was set, from whatever task, that comes before all others."""
        if due < self._sleep.deadline - self._epoch:
            self._sleep.deadline = due + self._epoch

    def wake(self) -> None:
        """Take a turn soon, from any task: something has happened besides frames and timers."""
        self._sleep.cancel()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._epoch = trio.current_time() - self.clock()
        self._queue_empty_at = turn_began = self.clock()
        if self.link.kind == "memory":  # where time may be virtual, and nothing is ever late
            task_status.started()
            await self._run(turn_began)
            return
        self._loop.on_late = self.on_late
        trio.lowlevel.add_instrument(self._loop)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beat)
                task_status.started()
                await self._run(turn_began)
        finally:
            trio.lowlevel.remove_instrument(self._loop)

    async def _run(self, turn_began: float) -> None:
        while True:
            busy = self.turn()
            now = self.clock()
            if now - turn_began > self._turn_s:
                self.on_turn(now)
                await trio.lowlevel.checkpoint()
                turn_began = self.clock()
            elif not self._wait_briefly(now, busy=busy) and not self.journal.write_some():
                self.on_turn(now)
                await self._wait(now)
                turn_began = self.clock()

    def turn(self) -> bool:
        """Do what can be done without waiting; whether there may be more of it."""
        clock, receive, outcomes = self.clock, self.receive, self.outcomes
        record = self.journal.packet
        frames = self.link.receive_nowait(BATCH_FRAMES)
        answered = 0
        self.journal.at_link = True
        self._gathers = self._may_gather
        try:
            for frame in frames:
                now = clock()
                record((now, IN, frame))
                self.frames_received += 1
                outcome = receive(frame, now)
                if outcome is ANSWERED:
                    answered += 1
                    continue
                outcomes[outcome] += 1
                if outcome is PENDING:
                    self._pending[self.frames_received] = outcomes
                else:
                    self._note(outcome, frame, now, outcomes)
        finally:
            if answered:
                outcomes[ANSWERED] += answered
        self.journal.at_link = False
        self._send_gathered()
        now = clock()
        waited = self.behind or bool(frames)
        self.behind = len(frames) >= BATCH_FRAMES
        if not self.behind:
            if waited:
                lag = now - self._queue_empty_at
                if lag > self._max_lag:
                    self._max_lag = lag
                if lag > self._late_s:
                    self.on_late(self._queue_empty_at, now)
            self._queue_empty_at = now
        most = BATCH_TIMERS + TIMERS_PER_FRAME * len(frames)
        fired = self.timers.fire(now, most)
        self._send_gathered()
        self._gathers = False
        journal = self.journal
        if len(journal.packets) + len(journal.events) > FLUSH_RECORDS:
            self.flush(now)
        return bool(frames) or fired == most

    def flush(self, now: float) -> None:
        self._flushed_at = now
        self.journal.flush()

    def _note(self, outcome: str, frame: bytes, now: float, outcomes: Outcomes) -> None:
        """Keep in mind what is pending, and report what was dropped, the first times."""
        if outcome is PENDING:
            self._pending[self.frames_received] = outcomes
            return
        if outcome[0] != "d":
            return
        self.journal.remark_in(f"dropped: {outcome.partition('.')[2]}")
        if outcomes[outcome] <= DROP_EVENTS_PER_REASON:
            head = frame[HEADER_BYTES : HEADER_BYTES + DROP_EVENT_BYTES].hex()
            self.journal.emit(PacketDropped(now, outcome.partition(".")[2], head))

    def _wait_briefly(self, now: float, *, busy: bool) -> bool:
        """Wait for the next frame or timer without the event loop, if it is likely to come soon.

        False: it is not, or this link cannot be waited for in this way.
        """
        if self.behind:
            return True
        ahead = (self.timers.next_due() - now) / self._speed
        if ahead > SOON_S:
            if not busy:
                return False
            ahead = BRIEF_WAIT_S
        return ahead <= 0 or self.link.wait_briefly(ahead)

    async def _wait(self, now: float) -> None:
        """Sleep until the link is readable, a timer is due, or records have lain long enough."""
        if now + RESOLUTION_S >= self._flushed_at + self._flush_interval_s:
            self.flush(now)
        until = self.timers.next_due()
        if self.journal.events or self.journal.packets or self.journal.unwritten:
            until = min(until, self._flushed_at + self._flush_interval_s)
        with trio.CancelScope(deadline=until + self._epoch) as self._sleep:
            await self.link.wait_readable()
        # What is put into a link of this process wakes us by itself, at once, also in virtual time.
        idle_at = self.clock() if self.link.kind == "memory" else self._loop.idle_at
        self._queue_empty_at = max(self._queue_empty_at, idle_at)


def _nobody(_frame: bytes, _now: float) -> str:
    return "dropped.no-host"


def _unheeded(_since: float, _now: float) -> None:
    pass


def _nothing(_now: float) -> None:
    pass
