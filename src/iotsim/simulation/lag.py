"""How late the simulator itself is: the number that keeps a verdict from blaming the gateway.

Two sources, both upper bounds:

- The link's queue: a frame cannot have waited longer than since the queue was last seen empty. While
  the pump sleeps, the queue counts as seen empty when the event loop returns from its own wait (a
  frame that arrived during the wait ended it), unless that wait was no wait: then a frame may have
  lain there since before.
- The timers: how long after its due time a timer fired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

REAL_SLEEP_S = 50e-6
"""A wait of the event loop that took less found something that had arrived before it."""


class LoopWatch(trio.abc.Instrument):
    """Notes when the event loop last really slept; `idle_at` is when that sleep ended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entered = 0.0
        self.idle_at = 0.0

    def before_io_wait(self, timeout: float) -> None:
        self._entered = self._clock()

    def after_io_wait(self, timeout: float) -> None:
        now = self._clock()
        if now - self._entered > REAL_SLEEP_S:
            self.idle_at = now
