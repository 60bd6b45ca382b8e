"""The lives of devices: they boot, each in its time, say what they say by themselves, and begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

from iotsim.events import DeviceRebooted
from iotsim.simulation.boots import Boots
from iotsim.simulation.watchdog import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from iotsim.device import AttachedBehavior, Fleet, Schedule, SimDevice
    from iotsim.net.address_table import Absence
    from iotsim.simulation.absences import Absences
    from iotsim.simulation.conditions import Conditions
    from iotsim.simulation.exchange import Service
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.runtime import SimulationRuntime
    from iotsim.simulation.sessions import SessionService
    from iotsim.simulation.shard import Shard


class Series(NamedTuple):
    """The sendings of one schedule by one device, since it booted at `boot`."""

    fleet: Fleet
    schedule: Schedule
    device: int
    boot: float
    reboots: int


class Lives:
    """Those of the devices that are ours, by `shard`. `services` are those of each fleet, by its name.

    Tasks of behaviors live in ``nursery``, and not without one. ``skipped`` counts sendings that were left
    out since the run was late by more than what lies between two.
    """

    def __init__(
        self,
        services: Mapping[str, Sequence[Service]],
        runtime: SimulationRuntime,
        conditions: Conditions,
        pump: Pump,
        journal: Journal,
        shard: Shard,
    ) -> None:
        self.nursery: trio.Nursery | None = None
        self.skipped = 0
        self._services = services
        self._runtime = runtime
        self._conditions = conditions
        self._timers = pump.timers
        self._wake = pump.wake
        self._clock = pump.clock
        self._emit = journal.emit
        self._shard = shard
        self._behaviors: dict[str, AttachedBehavior] = {}
        self._boots = Boots(pump.timers, pump.clock, self._boot)
        self._speakers: dict[str, list[SessionService]] = {}
        """The services whose devices do something by themselves."""
        self._not_booted: dict[str, tuple[Absences, Absence]] = {}
        """The fleets of which devices have yet to boot, and what says which."""

    def add(
        self,
        fleet: Fleet,
        behavior: AttachedBehavior | None,
        speakers: list[SessionService],
        absences: Absences,
    ) -> None:
        """The devices of `fleet` are to live: by `behavior`, if there is one, and as `speakers` have them."""
        name = fleet.spec.name
        self._speakers[name] = speakers
        if behavior is not None and behavior.has_run:
            self._behaviors[name] = behavior
        if fleet.boots_later:
            # Before its boot a device is not there: not even for ARP or a ping.
            def not_booted(index: int, now: float) -> bool:
                return now < fleet.boots_at(index)

            absences.add(not_booted)
            self._not_booted[name] = absences, not_booted

    def boot(self, fleet: Fleet) -> None:
        """The devices of `fleet` boot, each at its time, which is known now."""
        self._begin(fleet, self._shard.owned(len(fleet)))
        if (waiting := self._not_booted.pop(fleet.spec.name, None)) is not None:
            absences, not_booted = waiting
            self._timers.call_at(fleet.booted_by(), absences.remove, not_booted)

    def reboot(self, fleet: Fleet, index: int, down_s: float = 0.0) -> None:
        """Let a device begin anew, at once: it boots after `down_s` seconds, for which it is away."""
        now = self._clock()
        device = fleet.device(index)
        device.reboot(now + down_s)
        if down_s:
            self._conditions.down(fleet, index, now + down_s)
        for service in self._services[fleet.spec.name]:
            service.restart(device)
        self._emit(DeviceRebooted(now, device.name))
        self._begin(fleet, (index,))

    def reboot_soon(self, device: SimDevice, down_s: float = 0.0) -> None:
        """Let a device begin anew once it has dealt with what it is about."""
        reboots = device.reboots

        def reboot() -> None:
            if device.reboots == reboots and not device.failed:
                self.reboot(device.fleet, device.index, down_s)

        self._timers.call_at(self._clock(), reboot)

    def act(self, device: SimDevice, action: Schedule, now: float) -> None:
        """Have `device` do what `action` says, now."""
        for message in action.build(device, now):
            self._runtime.send_nowait(device, message, action.to, action.service)

    def _begin(self, fleet: Fleet, indexes: Iterable[int]) -> None:
        """The devices of these numbers boot: set their timers, and start their tasks."""
        for index in indexes:
            device = fleet.devices[index]
            boot, reboots = (
                (fleet.boots_at(index), 0) if device is None else (device.booted_at, device.reboots)
            )
            if self._speakers[fleet.spec.name]:
                self._boots.add(boot, fleet, index, reboots)
            else:
                self._set_going(fleet, index, boot, reboots)

    def _boot(self, fleet: Fleet, index: int, reboots: int) -> None:
        """A device begins to do what it does by itself, first what its sessions do."""
        device = fleet.device(index)
        if device.reboots != reboots:
            return
        boot = device.booted_at
        for service in self._speakers[fleet.spec.name]:
            service.boot(device, reboots)
        self._set_going(fleet, index, boot, reboots)

    def _set_going(self, fleet: Fleet, index: int, boot: float, reboots: int) -> None:
        """Set the timers of what a device sends, and start the task of its behavior."""
        for schedule in fleet.schedules:
            first = schedule.first(index, boot)
            if first is not None:
                series = Series(fleet, schedule, index, boot, reboots)
                self._timers.call_at(first, self._speak, series, 0, first)
        behavior = self._behaviors.get(fleet.spec.name)
        if behavior is not None and self.nursery is not None:
            self.nursery.start_soon(self._live, fleet.device(index), behavior)

    def _speak(self, series: Series, n: int, due: float) -> None:
        """Do sending `n` of a schedule, and set the timer of the next."""
        fleet, schedule, index, boot, reboots = series
        device = fleet.device(index)
        if device.failed or device.reboots != reboots:
            return
        now = self._clock()
        try:
            self.act(device, schedule, now)
        except FAULTS as error:
            service = self._services[fleet.spec.name][schedule.service]
            service.fail(device, error, rule=schedule.rule_text)
            return
        following = schedule.next(index, n, due, boot)
        while following is not None and following < now:
            # The run is late by more than a whole interval: sending a burst would not mend it.
            self.skipped += 1
            n += 1
            following = schedule.next(index, n, following, boot)
        if following is not None:
            self._timers.call_at(following, self._speak, series, n + 1, following)

    async def _live(self, device: SimDevice, behavior: AttachedBehavior) -> None:
        """The task of one device with a behavior that waits, until it reboots."""
        with trio.CancelScope() as device.epoch.task:
            await self._runtime.sleep_until(device.booted_at)
            try:
                await behavior.instance(device).run()
            except FAULTS as error:
                self._services[device.fleet.spec.name][0].fail(device, error)
                self._wake()
