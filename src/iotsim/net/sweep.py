"""Sweeps: what every host of a pool does once, one after the other, spread over a while.

A sweep is a cursor over the hosts' indexes: announcing a million addresses takes as much memory as
announcing one, and never more than a bounded number of packets at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

STEPS_AT_ONCE = 256


@dataclass(slots=True)
class _Sweep:
    count: int
    start: float
    spacing_s: float
    act: Callable[[int, float], object]
    index: int = 0

    @property
    def due(self) -> float:
        return self.start + self.index * self.spacing_s


class Sweeps:
    """The sweeps that are not over. Each has a key, so that none is started twice."""

    def __init__(self) -> None:
        self._sweeps: dict[Hashable, _Sweep] = {}

    def add(
        self,
        key: Hashable,
        count: int,
        start: float,
        spacing_s: float,
        act: Callable[[int, float], object],
    ) -> bool:
        """Call `act` with (index, now) for each index below `count`, at `start` and then every
        `spacing_s`. False if a sweep with this key is going on already."""
        if key in self._sweeps:
            return False
        self._sweeps[key] = _Sweep(count, start, spacing_s, act)
        return True

    def next_due(self) -> float | None:
        return min((sweep.due for sweep in self._sweeps.values()), default=None)

    def pop_due(self, now: float) -> None:
        """Do what is due, or as much of it as may be done at once."""
        for key, sweep in list(self._sweeps.items()):
            steps = STEPS_AT_ONCE
            while steps and sweep.index < sweep.count and sweep.due <= now:
                sweep.index += 1
                steps -= 1
                sweep.act(sweep.index - 1, now)
            if sweep.index >= sweep.count:
                del self._sweeps[key]
