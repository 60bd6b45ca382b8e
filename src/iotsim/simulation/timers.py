"""Everything that happens later, in one ordered queue.

Timers that are due at the same time fire in the order in which they were set, so the order of
events never depends on how the event loop schedules its tasks.
"""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LATE_S = 0.002
"""A timer that fires later than this is told of."""
RESOLUTION_S = 1e-6
"""A timer may fire so much early: converting between clocks costs the last digits, and a timer that
is not due yet when its sleeper wakes would keep a clock that jumps from ever reaching it."""
LEAST_SWEEP = 1024
"""Fewer cancelled timers than this are not worth looking for."""


class Due(Protocol):
    """Something to fire at its time, unless it is not ``pending`` any more."""

    @property
    def pending(self) -> bool: ...

    def fire(self) -> None: ...


class Timer:
    """A call that is to be made, as `Timers.call_at` gives it."""

    __slots__ = ("_arguments", "_callback", "_timers", "due")

    def __init__(
        self,
        due: float,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        timers: Timers,
    ) -> None:
        self.due = due
        self._callback: Callable[..., object] | None = callback
        self._arguments = arguments
        self._timers = timers

    @property
    def pending(self) -> bool:
        """Whether the call is still to be made."""
        return self._callback is not None

    def cancel(self) -> None:
        """Never make the call; nothing happens if it was made already."""
        if self._callback is not None:
            self._callback = None
            self._arguments = ()
            self._timers.note_cancelled()

    def fire(self) -> None:
        """Make the call, if it is pending."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(*self._arguments)


class Timers:
    """Calls in the order of their time, in seconds of the run.

    `on_earliest` is called with the time of a timer that has become the next one to fire: whoever
    sleeps until the next one must then sleep less. `on_late` is called with the time since when timers
    were due that fire later, at the other one. Time goes `speed` times as fast as in reality.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._late_s = LATE_S * speed
        self._heap: list[tuple[float, int, Due]] = []
        self._order = count()
        self._cancelled = 0
        """How many of those in the heap are: they leave it when they are due, or in a sweep."""
        self.on_earliest: Callable[[float], object] = _nothing
        self.on_late: Callable[[float, float], object] = _nobody
        self.lateness = 0.0
        """By how much the latest timer of all fired after it was due."""

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def call_at(self, due: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call `callback(*arguments)` once `due` has come, unless the timer is cancelled before."""
        timer = Timer(due, callback, arguments, self)
        self.push(due, timer)
        return timer

    def push(self, due: float, timer: Due) -> None:
        """Fire `timer` once `due` has come; for what is there in numbers, where `call_at` takes more."""
        heap = self._heap
        heappush(heap, (due, next(self._order), timer))
        if heap[0][2] is timer:
            self.on_earliest(due)

    def next_due(self) -> float:
        """When the next timer is due; infinity when there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def fire(self, now: float, limit: int) -> int:
        """Fire what is due at `now`, at most `limit` timers; how many were looked at."""
        heap, pop, looked = self._heap, heappop, False
        reached = now + RESOLUTION_S
        for fired in range(limit):
            if not heap or heap[0][0] > reached:
                return fired
            due, _, timer = pop(heap)
            if not timer.pending:
                self._cancelled -= 1
                continue
            if not looked:  # of what is due now, the first was due before all others
                looked = True
                if now - due > self.lateness:
                    self.lateness = now - due
                if now - due > self._late_s:
                    self.on_late(due, now)
            timer.fire()
        return limit

    def note_cancelled(self) -> None:
        """A timer in the heap was cancelled. The heap never has more of these than of others."""
        self._cancelled += 1
        if self._cancelled > LEAST_SWEEP and 2 * self._cancelled > len(self._heap):
            # In place: `fire` may be at work on it.
            self._heap[:] = [entry for entry in self._heap if entry[2].pending]
            heapify(self._heap)
            self._cancelled = 0


def _nothing(_due: float) -> None:
    pass


def _nobody(_due: float, _now: float) -> None:
    pass
