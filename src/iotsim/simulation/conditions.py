"""Conditions: faults that last, of the devices of a run. They begin and end by timers.

They change where a device is, whether it is there at all, and what it senses. What happens at a moment, a
reboot, is begun here, too.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from iotsim.device.trouble import Frozen, Skewed, Stale
from iotsim.events import FaultChanged
from iotsim.impair import fault as f
from iotsim.simulation.absences import Absences
from iotsim.simulation.rebinding import Moves

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from iotsim.device.fleet import Fleet
    from iotsim.device.trouble import Trouble
    from iotsim.impair import Period
    from iotsim.net.address_table import Absence
    from iotsim.scenario.faults import FaultEntry
    from iotsim.simulation.hosts import FleetHosts, Hosts
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.moments import Moments
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.shard import Shard

    Undo: TypeAlias = Callable[[], object]


class Conditions:
    """Those of `faults`. `reboot(fleet, index, down_s)` lets a device begin anew; where several processes
    share the fleets, those of `shard` alone."""

    def __init__(
        self,
        faults: Sequence[FaultEntry],
        *,
        pump: Pump,
        journal: Journal,
        moments: Moments,
        shard: Shard,
        reboot: Callable[[Fleet, int, float], object],
    ) -> None:
        self._faults = faults
        self._pump = pump
        self._emit = journal.emit
        self._moments = moments
        self._shard = shard
        self._reboot = reboot
        self._fleets: dict[str, Fleet] = {}
        self._absences: dict[str, Absences] = {}
        self._moves: dict[str, Moves] = {}
        self._down: dict[str, dict[int, float]] = {}
        """By fleet, until when devices that were rebooted are down."""
        self._downs: dict[str, Absence] = {}
        """By fleet, what says so."""
        self._active: dict[str, list[Undo]] = {}
        """How to undo what holds, by the identity of its entry."""
        self._periods: dict[str, tuple[FaultEntry, Period]] = {}
        """When each is in force, by the identity of its entry."""

    def add(self, fleet: Fleet, hosts: Hosts, pool: FleetHosts) -> Absences:
        """The devices of `fleet` are `pool` in `hosts`."""
        name = fleet.spec.name
        self._fleets[name] = fleet
        absences = self._absences[name] = Absences(hosts, pool)
        self._down[name] = {}
        if name in self._moves:
            self._moves[name].attach(pool)
        if fleet.spec.power is not None:
            absences.add(partial(_sleeps_by_itself, fleet, fleet.spec.power))
        return absences

    def moves_of(self, fleet: Fleet, hosts: Hosts) -> Moves | None:
        """Where the devices of `fleet` may move; None if they never do."""
        name = fleet.spec.name
        if name not in self._moves and any(
            isinstance(one.spec, f.Rebind) and name in one.entry.devices for one in self._faults
        ):
            self._moves[name] = Moves(fleet, hosts)
        return self._moves.get(name)

    def is_away(self, fleet: str, index: int, now: float) -> bool:
        """Whether a device has no part in anything now, for whatever reason."""
        return self._absences[fleet].is_away(index, now)

    def any_away(self, fleet: str) -> bool:
        """Whether there is a reason for any device of this fleet to be away."""
        return self._absences[fleet].any

    def is_down(self, fleet: str, index: int, now: float) -> bool:
        """Whether a device is, because of a reboot."""
        return now < self._down[fleet].get(index, 0.0)

    def start(self) -> None:
        """Time begins."""
        for one in self._faults:
            if one.on_message or isinstance(one.spec, f.Said):
                continue
            period = one.entry.period()
            self._periods[one.entry.identity] = one, period
            if period.after:
                self._moments.call_after(period.after, partial(self._follow, one, period))
            else:
                self._schedule(one, period)

    def hold(self, identity: str, begin: float, end: float) -> None:
        """Let the fault of this entry, if it is one that lasts or happens, be in force from `begin`, which is
        now, to `end`."""
        if identity in self._periods:
            one, period = self._periods[identity]
            period.begin, period.end = begin, end
            self._begin(one, period, begin)

    def release(self, identity: str) -> None:
        """Let it be in force no longer."""
        if identity in self._periods:
            one, period = self._periods[identity]
            period.begin = period.end = math.inf
            if identity in self._active:
                self._undo(one)
                self._tell(one, begun=False)

    def _follow(self, one: FaultEntry, period: Period, t: float) -> None:
        period.start(t)
        self._schedule(one, period)

    def _schedule(self, one: FaultEntry, period: Period) -> None:
        self._pump.timers.call_at(period.begin, self._begin, one, period, period.begin)

    def _begin(self, one: FaultEntry, period: Period, begin: float) -> None:
        if period.begin != begin:
            return  # what it comes after has happened again meanwhile
        if isinstance(one.spec, f.Reboot):
            self._reboot_all(one, one.spec, begin)
            return
        if one.entry.identity in self._active:
            self._undo(one)
        else:
            self._tell(one, begun=True)
        self._active[one.entry.identity] = [
            undo
            for name, indexes in one.entry.devices.items()
            if (undo := self._do(one, self._fleets[name], indexes, begin)) is not None
        ]
        if period.end < math.inf:
            self._pump.timers.call_at(period.end, self._end, one, period, begin)

    def _end(self, one: FaultEntry, period: Period, begin: float) -> None:
        if period.begin == begin:
            self._undo(one)
            self._tell(one, begun=False)

    def _undo(self, one: FaultEntry) -> None:
        for undo in self._active.pop(one.entry.identity):
            undo()

    def _do(
        self, one: FaultEntry, fleet: Fleet, indexes: Collection[int], begin: float
    ) -> Undo | None:
        """Let the condition hold for these devices; how to undo that."""
        spec, name = one.spec, fleet.spec.name
        if not isinstance(indexes, range):
            indexes = frozenset(indexes)
        if isinstance(spec, f.Offline | f.Sleep):
            absence = _absence(spec, indexes, begin)
            self._absences[name].add(absence)
            return partial(self._absences[name].remove, absence)
        if isinstance(spec, f.Rebind):
            moves = self._moves[name]
            moves.begin(one.entry.order, spec, indexes)
            return partial(moves.end, spec, indexes)
        trouble: Trouble
        if isinstance(spec, f.Freeze):
            trouble = Frozen(begin, spec.names)
        elif isinstance(spec, f.StaleSignals):
            trouble = Stale(spec.age_s)
        elif isinstance(spec, f.ClockSkew):
            trouble = Skewed(begin, spec.offset_s, spec.drift)
        else:
            return None
        known = one.entry.order, indexes, trouble
        fleet.troubles = sorted((*fleet.troubles, known), key=lambda one: one[0])
        return lambda: _forget(fleet, trouble)

    def _reboot_all(self, one: FaultEntry, spec: f.Reboot, now: float) -> None:
        self._tell(one, begun=True)
        for name, indexes in one.entry.devices.items():
            fleet = self._fleets[name]
            for index in indexes:
                if self._shard.owns(index) and _booted_at(fleet, index) <= now:
                    self._reboot(fleet, index, spec.down_s)

    def down(self, fleet: Fleet, index: int, until: float) -> None:
        """A device is down, and boots at `until`."""
        name = fleet.spec.name
        down, absences = self._down[name], self._absences[name]
        if name not in self._downs:
            self._downs[name] = partial(self.is_down, name)
        absences.add(self._downs[name])
        down[index] = until

        def up() -> None:
            if down.get(index) == until:
                del down[index]
            if not down:
                absences.remove(self._downs[name])

        self._pump.timers.call_at(until, up)

    def _tell(self, one: FaultEntry, *, begun: bool) -> None:
        if self._shard.number:
            return  # the first process tells it
        devices = ", ".join(
            _selector(self._fleets[name], indexes) for name, indexes in one.entry.devices.items()
        )
        now = self._pump.clock()
        self._emit(FaultChanged(now, one.entry.name, one.spec.word, devices, begun))


def _absence(spec: f.Offline | f.Sleep, indexes: Collection[int], begin: float) -> Absence:
    if isinstance(spec, f.Offline):
        return lambda index, now: index in indexes
    return lambda index, now: index in indexes and spec.asleep_for(now - begin) > 0


def _sleeps_by_itself(fleet: Fleet, power: f.Sleep, index: int, now: float) -> bool:
    return asleep_for(fleet, power, index, now) > 0


def asleep_for(fleet: Fleet, power: f.Sleep, index: int, now: float) -> float:
    """How long a device sleeps on that does so from its boot on; 0 if it is awake."""
    since = now - _booted_at(fleet, index)
    return power.asleep_for(since) if since >= 0 else 0.0


def _booted_at(fleet: Fleet, index: int) -> float:
    device = fleet.devices[index]
    return fleet.boots_at(index) if device is None else device.booted_at


def _forget(fleet: Fleet, trouble: Trouble) -> None:
    fleet.troubles = [one for one in fleet.troubles if one[2] is not trouble]


def _selector(fleet: Fleet, indexes: Collection[int]) -> str:
    """What selects these devices, as a scenario would."""
    name = fleet.spec.name
    if len(indexes) == len(fleet):
        return name
    if len(indexes) == 1:
        return f"{name}[{next(iter(indexes))}]"
    if isinstance(indexes, range):
        step = "" if indexes.step == 1 else f":{indexes.step}"
        return f"{name}[{indexes.start}:{indexes.stop}{step}]"
    return f"{len(indexes)} of {name}"
