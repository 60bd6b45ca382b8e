"""How late the simulator itself is: what keeps a verdict from blaming the gateway.

Three sources, all upper bounds:

- The link's queue: a frame cannot have waited longer than since the queue was last seen empty. While
  the pump sleeps, the queue counts as seen empty when the event loop returns from its own wait (a
  frame that arrived during the wait ended it), unless that wait was no wait: then a frame may have
  lain there since before.
- The event loop's wait, where it took longer than it was to: the process did not get the processor, or
  was stopped, and what arrived meanwhile may have waited all that time. So that this is always seen, no
  wait is to take longer than `BEAT_S`.
- The timers: how long after its due time a timer fired.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s
from iotsim.simulation.timers import LATE_S

if TYPE_CHECKING:
    from collections.abc import Callable

REAL_SLEEP_S = 50e-6
"""A wait of the event loop that took less found something that had arrived before it."""
BEAT_S = 0.02
"""A lag that is shorter may remain unseen."""


class LoopWatch(trio.abc.Instrument):
    """Notes when the event loop last really slept; `idle_at` is when that sleep ended.

    `clock` goes `speed` times as fast as real time. `on_late` is called with the begin and the end of a
    sleep that took too long.
    """

    def __init__(self, clock: Callable[[], float], speed: float = 1.0) -> None:
        self._clock = clock
        self._speed = speed
        self._entered = 0.0
        self._until = math.inf
        self.idle_at = 0.0
        self.on_late: Callable[[float, float], object] = _unheeded

    def before_io_wait(self, timeout: float) -> None:
        self._entered = self._clock()
        self._until = self._entered + timeout * self._speed

    def after_io_wait(self, timeout: float) -> None:
        now = self._clock()
        if now > self._until + LATE_S * self._speed:
            self.on_late(self._entered, now)
        elif now - self._entered > REAL_SLEEP_S * self._speed:
            self.idle_at = now


async def beat() -> None:
    """Let the event loop never wait for longer than `BEAT_S`."""
    while True:  # noqa: ASYNC110  # to wake up is all that it is for
        await trio.sleep(real_s(BEAT_S))


def _unheeded(_since: float, _now: float) -> None:
    pass
