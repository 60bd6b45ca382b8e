"""Everything that happens later, in one ordered queue.

Timers that are due at the same time fire in the order in which they were set, so the order of
events never depends on how the event loop schedules its tasks.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

RESOLUTION_S = 1e-6
"""A timer may fire so much early: converting between clocks costs the last digits, and a timer that
is not due yet when its sleeper wakes would keep a clock that jumps from ever reaching it."""


class Timers:
    """A heap of (due, order, callback, arguments). Times are in seconds of the run."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = 0
        self.lateness = 0.0
        """By how much the latest timer of all fired after it was due."""

    def __len__(self) -> int:
        return len(self._heap)

    def call_at(self, due: float, callback: Callable[..., object], *arguments: Any) -> None:
        """Call `callback(due, *arguments)` once `due` has come."""
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, callback, arguments))

    def next_due(self) -> float | None:
        """When the next timer is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def fire(self, now: float, limit: int) -> int:
        """Fire what is due at `now`, at most `limit` timers; how many were fired."""
        heap = self._heap
        fired = 0
        reached = now + RESOLUTION_S
        while heap and heap[0][0] <= reached and fired < limit:
            due, _, callback, arguments = heapq.heappop(heap)
            if now - due > self.lateness:
                self.lateness = now - due
            callback(due, *arguments)
            fired += 1
        return fired
