"""Boots of devices that do something by themselves, a few in each turn of the pump.

Where a whole fleet boots at once, all that its devices say first is due at the same time. If they said it
before anything else is looked at, all would wait for their answers at the same time, which would decide how
much memory the run takes. So between a few and the next few what has come is dealt with.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from iotsim.simulation.timers import RESOLUTION_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device import Fleet
    from iotsim.simulation.timers import Timer, Timers

BOOTS_A_TURN = 16


class Boot(NamedTuple):
    """One that is to come, in the `order` in which they were added."""

    at: float
    order: int
    fleet: Fleet
    device: int
    reboots: int


class Boots:
    """What has yet to boot. `boot` is called for each at its time, in seconds of the run: with the fleet, the
    number of the device in that, and how often that had rebooted."""

    def __init__(
        self,
        timers: Timers,
        clock: Callable[[], float],
        boot: Callable[[Fleet, int, int], object],
    ) -> None:
        self._timers = timers
        self._clock = clock
        self._boot = boot
        self._order = count()
        self._coming: list[Boot] = []
        self._timer: Timer | None = None

    def add(self, at: float, fleet: Fleet, device: int, reboots: int) -> None:
        one = Boot(at, next(self._order), fleet, device, reboots)
        heappush(self._coming, one)
        if self._coming[0] is one:
            self._wait(at)

    def _wait(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timers.call_at(due, self._some)

    def _some(self) -> None:
        """Let some boot whose time has come, and set the timer of the others: to a time that is just over if
        theirs is, which is the next turn's."""
        coming, now = self._coming, self._clock()
        self._timer = None
        self._timers.look(coming[0].at, now)
        for _ in range(BOOTS_A_TURN):
            _, _, fleet, device, reboots = heappop(coming)
            self._boot(fleet, device, reboots)
            if not coming or coming[0].at > now + RESOLUTION_S:
                break
        if coming:
            self._wait(max(coming[0].at, self._clock()))
