"""Scope: which datagrams an entry of a scenario is for."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from iotsim.match import DeviceView

Direction: TypeAlias = Literal["to_device", "from_device"]
DIRECTIONS: tuple[Direction, ...] = ("to_device", "from_device")
Test: TypeAlias = "Callable[[Mapping[str, Any], DeviceView, float], bool]"
"""Whether a message is one that an entry asks for: (message, device, t)."""
Counts: TypeAlias = "array[int]"
"""Per device, how many of its messages matched while an entry was in force."""


class Period:
    """When an entry is in force: from ``begin`` up to and without ``end``, both in seconds of the run.

    They are known from the start unless the times count from something that has yet to happen (`after`,
    the name of a step or an expectation): then they are infinite until `start`. An entry that follows
    something that happens again is in force again.
    """

    __slots__ = ("_begin_s", "_end_s", "after", "begin", "end")

    def __init__(self, begin_s: float = 0.0, end_s: float = math.inf, after: str = "") -> None:
        self._begin_s = begin_s
        self._end_s = end_s
        self.after = after
        self.begin = self.end = math.inf
        if not after:
            self.start(0.0)

    def start(self, t: float) -> None:
        """What it follows has happened at `t`."""
        self.begin = t + self._begin_s
        self.end = t + self._end_s

    def holds(self, t: float) -> bool:
        """Whether the entry is in force at `t`."""
        return self.begin <= t < self.end


@dataclass(frozen=True)
class EntrySpec:
    """What impairments and device faults have in common, as a scenario says it. Times are seconds.

    ``name`` is for people; ``identity`` names its random streams and does not change when other entries
    are added. ``devices`` has, by fleet, the indexes that it is for. ``tests`` has, by (fleet, number of the
    service, direction), what a message must satisfy there, None if any will do: where there is no test,
    the entry is for nothing that passes there. ``spoken`` are those of these keys whose tests look at what is
    said above a session, and not at what is on the wire. ``order`` is its place among all entries of the
    file.
    """

    name: str
    identity: str
    place: str = ""
    order: int = 0
    devices: Mapping[str, Collection[int]] = field(default_factory=lambda: MappingProxyType({}))
    tests: Mapping[tuple[str, int, Direction], Test | None] = field(
        default_factory=lambda: MappingProxyType({})
    )
    spoken: frozenset[tuple[str, int, Direction]] = frozenset()
    after: str = ""
    begin_s: float = 0.0
    end_s: float = math.inf
    skip: int = 0
    every: int = 1
    first: int | None = None

    def period(self) -> Period:
        """A period of its own for one run."""
        return Period(self.begin_s, self.end_s, self.after)

    def counts(self, devices: int) -> Counts | None:
        """Counts of its own for so many devices, in one direction, for one run."""
        counting = bool(self.skip) or self.every > 1 or self.first is not None
        return array("Q", bytes(8 * devices)) if counting else None


class Scope:
    """What an entry is for, of one service of a fleet in one direction.

    `period` and `counts` are those of the entry in this run: it may have several scopes. ``spoken`` tells
    that the messages to be asked about are those above the session.
    """

    def __init__(
        self,
        entry: EntrySpec,
        fleet: str,
        service: int,
        direction: Direction,
        *,
        devices: int,
        period: Period,
        counts: Counts | None,
    ) -> None:
        self.entry = entry
        self.period = period
        indexes = entry.devices[fleet]
        self._all = len(indexes) == devices
        self._indexes = indexes if isinstance(indexes, range) else frozenset(indexes)
        self._test = entry.tests[fleet, service, direction]
        self.spoken = (fleet, service, direction) in entry.spoken
        self._skip, self._every, self._first = entry.skip, entry.every, entry.first
        self._counts = counts
        self.looks = self._test is not None
        """What a message says has a say in whether the entry is for it."""
        self.for_all = self._all and not self.looks and counts is None
        """It is for whatever passes in its period."""
        self.met = False
        """Whether it was for any message yet."""

    def hits(self, device: DeviceView, message: Mapping[str, Any] | None, t: float) -> bool:
        """Whether the entry is for this message, None if it is none; it is counted if it could be."""
        period = self.period
        if not period.begin <= t < period.end:
            return False
        index = device.index
        if not self._all and index not in self._indexes:
            return False
        test = self._test
        if test is not None and (message is None or not test(message, device, t)):
            return False
        counts = self._counts
        if counts is None:
            self.met = True
            return True
        counts[index] += 1
        number = counts[index] - self._skip
        if number <= 0 or number % self._every:
            return False
        self.met = True
        return self._first is None or number // self._every <= self._first
