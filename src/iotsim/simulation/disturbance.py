"""Disturbances: the impairments and faults of a scenario, as stages of the ways that they are for.

How a datagram goes there is in `iotsim.simulation.ways`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from iotsim.impair import Impairment, Scope
from iotsim.simulation.transit import Held
from iotsim.simulation.ways import IMPAIRED, TOO_MANY, Inbound, Outbound, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device.fleet import Fleet
    from iotsim.events import Befell
    from iotsim.impair import Direction, EntrySpec, Period
    from iotsim.impair.scope import Counts
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.protocol.codec import Codec
    from iotsim.scenario.impairments import ImpairEntry
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.faults import Faults
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.moments import Moments
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.reception import Reception
    from iotsim.simulation.transit import Arriving


class Disturbances:
    """All entries of `scenario`, as stages of the ways that they are for, in one run."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        pump: Pump,
        journal: Journal,
        moments: Moments,
        faults: Faults | None = None,
    ) -> None:
        self.held = Held()
        self._faults = faults
        self._seed = seed
        self._pump = pump
        self._journal = journal
        self._moments = moments
        self._impairments = scenario.impairments
        self._scopes: list[Scope] = []
        self._periods: dict[str, Period] = {}
        self._counts: dict[tuple[str, str, Direction], Counts | None] = {}
        self._effects: dict[tuple[str, str, Direction], Impairment] = {}
        self._fates: dict[str, Counter[str]] = {}

    def inbound(
        self,
        fleet: Fleet,
        service: int,
        deliver: Callable[[Arriving], str],
        *,
        faulty: bool = False,
    ) -> Inbound | None:
        """The way to the devices of a fleet's service; None if nothing is on it, unless what comes is to meet
        faults at its end."""
        stages = self._stages(fleet, service, "to_device")
        if not stages and not faulty:
            return None
        if self._faults is not None and self._faults.may_be_away(fleet):
            deliver = partial(self._deliver_if_there, fleet, deliver)
        return Inbound(stages, self._pump, self.held, self._journal, deliver, waits=faulty)

    def _deliver_if_there(
        self, fleet: Fleet, deliver: Callable[[Arriving], str], transit: Arriving
    ) -> str:
        """What was held on its way may find the device gone."""
        faults, index = self._faults, transit.device.index
        if transit.late and faults is not None and faults.is_away(fleet, index, transit.t):
            return IMPAIRED
        return deliver(transit)

    def receptions(self, fleet: Fleet, service: int) -> tuple[Reception | None, Reception | None]:
        """What messages meet at the devices of a fleet's service: before a session has them, and after."""
        if self._faults is None:
            return None, None
        return (
            self._faults.reception(self, fleet, service, on_wire=True),
            self._faults.reception(self, fleet, service, on_wire=False),
        )

    def outbound(
        self,
        fleet: Fleet,
        service: int,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Arriving, Befell], object],
        codec: Codec,
    ) -> Outbound | None:
        """The same from the devices."""
        stages = self._stages(fleet, service, "from_device")
        if not stages:
            return None
        ends = leave, leave_corrupt, tell, codec
        return Outbound(stages, self._pump, self.held, self._journal, *ends)

    def counters(self) -> dict[str, int]:
        """How often each entry has done what; nothing where there is none."""
        counts = {
            f"impaired.{name}.{fate}": count
            for name, fates in self._fates.items()
            for fate, count in sorted(fates.items())
        }
        return counts | ({f"impaired.{TOO_MANY}": self.held.refused} if self.held.refused else {})

    def fates(self, name: str) -> Counter[str]:
        """What counts how often the entry of this name has done what."""
        return self._fates.setdefault(name, Counter())

    def idle(self) -> list[str]:
        """The names of the entries that could have been for messages and were for none."""
        names = dict.fromkeys(scope.entry.name for scope in self._scopes)
        met = {scope.entry.name for scope in self._scopes if scope.met}
        return [name for name in names if name not in met]

    def hold(self, identity: str, begin: float, end: float) -> None:
        """Let this entry be in force from `begin` to `end`, whatever the scenario says."""
        if identity in self._periods:
            period = self._periods[identity]
            period.begin, period.end = begin, end

    def scope(
        self,
        entry: EntrySpec,
        fleet: Fleet,
        service: int,
        direction: Direction,
        *,
        may_idle: bool = False,
    ) -> Scope | None:
        """What `entry` is for there; None if that is nothing. It `may_idle` if it is not about messages."""
        name = fleet.spec.name
        if (name, service, direction) not in entry.tests:
            return None
        if entry.identity not in self._periods:
            period = self._periods[entry.identity] = entry.period()
            self._moments.follow(period)
        key = entry.identity, name, direction
        if key not in self._counts:
            self._counts[key] = entry.counts(len(fleet))
        scope = Scope(
            entry,
            name,
            service,
            direction,
            devices=len(fleet),
            period=self._periods[entry.identity],
            counts=self._counts[key],
        )
        if not may_idle:
            self._scopes.append(scope)
        return scope

    def _stages(self, fleet: Fleet, service: int, direction: Direction) -> list[Stage]:
        stages = []
        for one in self._impairments:
            if direction not in one.directions:
                continue
            scope = self.scope(one.entry, fleet, service, direction)
            if scope is not None:
                name = one.entry.name
                fates = self.fates(name)
                impairment = self._impairment(one, fleet, direction)
                effect, lot = impairment.effect, impairment.lot
                stages.append(Stage(scope, effect, name, fates, lot=lot, looks=scope.looks))
        if self._faults is not None:
            stages += self._faults.stages(self, fleet, service, direction)
        stages.sort(key=lambda stage: stage.scope.entry.order)
        return stages

    def _impairment(self, one: ImpairEntry, fleet: Fleet, direction: Direction) -> Impairment:
        """One for all services of a fleet: a device has one line."""
        name = fleet.spec.name
        key = one.entry.identity, name, direction
        if key not in self._effects:
            self._effects[key] = Impairment(
                one.spec, self._seed, one.entry.identity, name, len(fleet), direction
            )
        return self._effects[key]
