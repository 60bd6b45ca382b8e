"""Everything that happens later, in the order of its time.

Calls that are due at the same time are made in the order in which they were set, so the order of
events never depends on how the event loop schedules its tasks.

What is there in numbers, as datagrams are that a network delays, would make each step in a heap a long one,
at places in memory that nobody has looked at for a while. It lies in a timing wheel instead: by the slot of
its time, as it came, until that slot begins and is sorted.
"""

from __future__ import annotations

import math
from bisect import insort_left
from heapq import heapify, heappop, heappush
from itertools import count
from operator import attrgetter
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
SLOT_S = 2.0**-10
"""Of the wheel. A power of two: so no time is rounded into a slot that begins later."""


class Due(Protocol):
    """Something to fire at its time ``t``, which does not change meanwhile."""

    t: float

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


_time_of = attrgetter("t")


def _from_behind(one: Due) -> float:
    return -one.t


class Wheel:
    """What is held until its time, in slots of `slot_s` seconds. `timers` are told what comes earliest.

    ``near`` has those whose slots have begun, the next one last; it stays the same list.
    """

    def __init__(self, slot_s: float, timers: Timers) -> None:
        self._timers = timers
        self.near: list[Due] = []
        self._slots: dict[int, list[Due]] = {}
        self._numbers: list[int] = []
        """Those of the slots, as a heap."""
        self._slot_s = slot_s
        self._per_s = 1 / slot_s
        self._begun = -1

    def __len__(self) -> int:
        return len(self.near) + sum(map(len, self._slots.values()))

    def add(self, one: Due) -> None:
        """Fire `one` once its time has come."""
        number = int(one.t * self._per_s)
        slot = self._slots.get(number)
        if slot is not None:
            slot.append(one)
            return
        if number <= self._begun:
            insort_left(self.near, one, key=_from_behind)
            if self.near[-1] is not one:
                return
        else:
            self._slots[number] = [one]
            heappush(self._numbers, number)
            if self.near or self._numbers[0] != number:
                return
        self._timers.on_earliest(self.next_due())

    def begin(self, now: float) -> None:
        """Let the slots begin whose time has come."""
        self._begun = begun = int(now * self._per_s)
        while self._numbers and self._numbers[0] <= begun:
            slot = self._slots.pop(heappop(self._numbers))
            slot.sort(key=_time_of)
            slot.reverse()
            self.near[:0] = slot

    def next_due(self) -> float:
        """When the next one is due, or at least the slot that it is in begins; infinity if there is none."""
        if self.near:
            return self.near[-1].t
        return self._numbers[0] * self._slot_s if self._numbers else math.inf


class Timers:
    """Calls, and what is held, in the order of their time, in seconds of the run. Of both at the same time,
    the calls are first.

    `on_earliest` is called with the time of a timer that has become the next one to fire: whoever
    sleeps until the next one must then sleep less. `on_late` is called with the time since when timers
    were due that fire later, at the other one. Time goes `speed` times as fast as in reality.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._late_s = LATE_S * speed
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._wheel = Wheel(SLOT_S * speed, self)
        self.hold = self._wheel.add
        """Fire what is given once its time has come. For what is there in numbers: `call_at` takes more."""
        self._cancelled = 0
        """How many of those in the heap are: they leave it when they are due, or in a sweep."""
        self.on_earliest: Callable[[float], object] = _nothing
        self.on_late: Callable[[float, float], object] = _unheeded
        self.lateness = 0.0
        """By how much the latest timer of all fired after it was due."""

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled + len(self._wheel)

    def call_at(self, due: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call `callback(*arguments)` once `due` has come, unless the timer is cancelled before."""
        timer = Timer(due, callback, arguments, self)
        heap = self._heap
        heappush(heap, (due, next(self._order), timer))
        if heap[0][2] is timer:
            self.on_earliest(due)
        return timer

    def next_due(self) -> float:
        """When the next one is due, or less than a slot before; infinity when there is none."""
        due = self._wheel.next_due()
        return min(due, self._heap[0][0]) if self._heap else due

    def fire(self, now: float, limit: int) -> int:
        """Fire what is due at `now`, at most `limit` timers; how many were looked at."""
        heap, looked = self._heap, False
        reached = now + RESOLUTION_S
        self._wheel.begin(reached)
        near = self._wheel.near
        for fired in range(limit):
            one: Timer | Due
            if heap and heap[0][0] <= reached and not (near and near[-1].t < heap[0][0]):
                due, _, one = heappop(heap)
                if not one.pending:
                    self._cancelled -= 1
                    continue
            elif near and near[-1].t <= reached:
                one = near.pop()
                due = one.t
            else:
                return fired
            if not looked:  # of what is due now, the first was due before all others
                looked = True
                self.look(due, now)
            one.fire()
        return limit

    def look(self, due: float, now: float) -> None:
        """Tell of what was due before, and is done `now`, if it is late."""
        if now - due > self.lateness:
            self.lateness = now - due
        if now - due > self._late_s:
            self.on_late(due, now)

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


def _unheeded(_due: float, _now: float) -> None:
    pass
