"""Device faults in a run.

What a fault makes of the datagrams that a device *says* is a stage on their way, as an impairment's
(`iotsim.simulation.ways`). What a device *takes* for messages meets faults at its `Reception`. And
*conditions* begin and end by timers. A fleet that a scenario has no faults for has nothing of all this.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.device.fleet import SimDevice
from iotsim.device.trouble import TroubledDevice
from iotsim.impair import Copy, EntrySpec, Period, Scope
from iotsim.impair import fault as f
from iotsim.simulation.conditions import Conditions, asleep_for
from iotsim.simulation.rebinding import Rebound
from iotsim.simulation.reception import Reception
from iotsim.simulation.ways import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from iotsim.device.fleet import Fleet
    from iotsim.device.spec import FleetSpec
    from iotsim.impair import Direction, Effect, Fate, Passage
    from iotsim.scenario.faults import FaultEntry
    from iotsim.simulation.disturbance import Disturbances
    from iotsim.simulation.hosts import Hosts

SENSED = f.Freeze | f.StaleSignals | f.ClockSkew
AWAY = f.Offline | f.Sleep | f.Reboot


class Faults:
    """All `faults` of a run, whose `conditions` begin and end there. `failed(fleet, service, device, error)`
    stops a device for which a value that the scenario wants cannot be had."""

    def __init__(
        self,
        faults: Sequence[FaultEntry],
        seed: int,
        conditions: Conditions,
        failed: Callable[[str, int, SimDevice, Exception], object],
    ) -> None:
        self._faults = faults
        self._seed = seed
        self._conditions = conditions
        self._failed = failed

    def any(self, fleets: Iterable[FleetSpec]) -> bool:
        """Whether there is anything here for one of `fleets`."""
        return bool(self._faults) or any(fleet.power is not None for fleet in fleets)

    def of(self, fleet: str) -> list[FaultEntry]:
        """Those that are for devices of a fleet."""
        return [one for one in self._faults if fleet in one.entry.devices]

    def kind(self, fleet: str) -> type[SimDevice]:
        """The class that devices of a fleet must have."""
        sensed = any(isinstance(one.spec, SENSED) for one in self.of(fleet))
        return TroubledDevice if sensed else SimDevice

    def leaving(self, fleet: Fleet, hosts: Hosts) -> Any:
        """`hosts`, as services of `fleet` send by them."""
        moves = self._conditions.moves_of(fleet, hosts)
        return hosts if moves is None else Rebound(hosts, moves)

    def may_be_away(self, fleet: Fleet) -> bool:
        """Whether what was held for a device of `fleet` may come when it is not there."""
        by_fault = any(isinstance(one.spec, AWAY) for one in self.of(fleet.spec.name))
        return fleet.spec.power is not None or by_fault

    def is_away(self, fleet: Fleet, index: int, now: float) -> bool:
        """Whether a device has no part in anything now."""
        return self._conditions.is_away(fleet.spec.name, index, now)

    # -- what is said -----------------------------------------------------------------------------

    def stages(
        self, disturbances: Disturbances, fleet: Fleet, service: int, direction: Direction
    ) -> list[Stage]:
        """The stages of what the devices of a service say."""
        if direction != "from_device":
            return []
        stages = self._own_stages(disturbances, fleet, service)
        for one in self.of(fleet.spec.name):
            if not isinstance(one.spec, f.Said | f.Offline | f.Sleep):
                continue
            away = isinstance(one.spec, f.Condition)
            scope = disturbances.scope(one.entry, fleet, service, direction, may_idle=away)
            if scope is not None:
                effect = self._effect(one, scope, fleet, service)
                fits = one.spec.fits if isinstance(one.spec, f.Malform) else None
                name = one.entry.name
                stages.append(Stage(scope, effect, name, disturbances.fates(name), fits))
        return stages

    def _effect(self, one: FaultEntry, scope: Scope, fleet: Fleet, service: int) -> Effect:
        spec, name = one.spec, fleet.spec.name
        if isinstance(spec, f.Malform):
            failed = partial(self._failed, name, service)
            return spec.effect(one.malformers[name, service], failed)
        if isinstance(spec, f.Offline):
            return lambda passage: f.OFFLINE
        if isinstance(spec, f.Sleep):
            sleep = spec
            return lambda passage: _held(sleep.asleep_for(passage.t - scope.period.begin))
        assert isinstance(spec, f.Said)
        return spec

    def _own_stages(self, disturbances: Disturbances, fleet: Fleet, service: int) -> list[Stage]:
        """What is no entry's: a device that is down says nothing, and a fleet may sleep by itself."""
        name, power, conditions = fleet.spec.name, fleet.spec.power, self._conditions

        def lost(passage: Passage) -> Fate:
            down = conditions.is_down(name, passage.device.index, passage.t)
            return f.DOWN if down else None

        effects: list[tuple[str, Effect]] = []
        if any(isinstance(one.spec, f.Reboot) and one.spec.down_s for one in self.of(name)):
            effects.append(("reboot", lost))
        if power is not None:
            sleep = power
            effects.append(
                (
                    "power",
                    lambda passage: _held(
                        asleep_for(fleet, sleep, passage.device.index, passage.t)
                    ),
                )
            )
        return [
            Stage(_everything(fleet, service), effect, word, disturbances.fates(word), looks=False)
            for word, effect in effects
        ]

    # -- what is taken ----------------------------------------------------------------------------

    def reception(
        self, disturbances: Disturbances, fleet: Fleet, service: int, *, on_wire: bool
    ) -> Reception | None:
        """What messages meet that devices take, above their session or, with `on_wire`, before that has
        them; None if that is nothing. Without a session there is but the former."""
        protocol = fleet.spec.services[service].protocol
        errors = protocol.errors
        met = []
        for one in self.of(fleet.spec.name):
            if not one.on_message:
                continue
            before = isinstance(one.spec, f.Refuse) and errors is not None and errors.on_wire
            if on_wire != (before and protocol.session is not None):
                continue
            scope = disturbances.scope(one.entry, fleet, service, "to_device")
            if scope is not None:
                met.append((scope, one))
        return Reception(met, self._seed, fleet, disturbances.fates) if met else None


def _held(left_s: float) -> Fate:
    return (Copy(left_s, fate=f.ASLEEP),) if left_s > 0 else None


def _everything(fleet: Fleet, service: int) -> Scope:
    """All that the devices of a service say; before all entries."""
    name, count = fleet.spec.name, len(fleet)
    entry = EntrySpec(
        name,
        name,
        order=-1,
        devices={name: range(count)},
        tests={(name, service, "from_device"): None},
    )
    return Scope(entry, name, service, "from_device", devices=count, period=Period(), counts=None)
