"""The simulated side of a run, whatever link it is on: fleets, hosts, expectations, pump.

It needs an event loop and a link, and neither files nor namespaces nor a gateway's process: those are
`iotsim.run.run`'s. So a test drives one over a memory link, in virtual time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

from iotsim.device import (
    NO_REPLY,
    NO_RULE,
    AttachedBehavior,
    Fleet,
    attach_behavior,
    load_behavior,
)
from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.net.outcome import ANSWERED, PENDING, consumed, dropped
from iotsim.simulation.counters import Books, Progress
from iotsim.simulation.exchange import UNDECODABLE, Service
from iotsim.simulation.hosts import make_hosts
from iotsim.simulation.journal import EVERYTHING, Journal, Recording
from iotsim.simulation.pump import Pump
from iotsim.simulation.runtime import EngineRuntime
from iotsim.simulation.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device import Schedule, SimDevice
    from iotsim.link.base import Link
    from iotsim.net.datagram import Datagram
    from iotsim.net.pool import PortHandler
    from iotsim.scenario.model import Scenario


class Shard(NamedTuple):
    """One of `shards` equal parts of all fleets: every `shards`-th device, from device `number` on."""

    number: int
    shards: int

    def owned(self, devices: int) -> range:
        """The indexes of this part, of a fleet of `devices`."""
        return range(self.number, devices, self.shards)


WHOLE = Shard(0, 1)
OTHER_SHARD = consumed("other-shard")
DRAIN_S = 0.5
"""After this long, what still waits at the end is not answered any more."""
MOST_LEFT_OVER = 1 << 16
TOO_LATE = dropped("too-late")

HEARD = (ANSWERED, PENDING, UNDECODABLE, NO_RULE, NO_REPLY)
"""Outcomes of packets that a device has heard."""


class Simulation:
    """Everything simulated in one run of `scenario` over `link`.

    `clock` gives the seconds since the start of the run. `settled` is set once every expectation is
    decided; `failed_devices` are those that a rule or behavior of theirs has stopped. Of a fleet that
    several processes share, this one owns the devices whose indexes are those of `shard`.
    """

    def __init__(
        self,
        scenario: Scenario,
        link: Link,
        *,
        seed: int,
        clock: Callable[[], float],
        shard: Shard = WHOLE,
        recording: Recording = EVERYTHING,
    ) -> None:
        self.shard = shard
        self.scenario = scenario
        self.link = link
        self.clock = clock
        self.journal = Journal(recording)
        self.pump = Pump(link, Timers(), self.journal, clock)
        self.hosts = make_hosts(scenario, link.mtu, self.pump, seed=seed, journal=self.journal)
        self.fleets = {spec.name: Fleet(spec, seed) for spec in scenario.fleets}
        self.judge = Judge(
            scenario.expectations,
            {name: _view(fleet, shard) for name, fleet in self.fleets.items()},
            scenario.tolerance,
        )
        self.settled = trio.Event()
        self.failed_devices: list[str] = []
        self._first_failure = ""
        self.skipped_sendings = 0
        self._left_over = 0
        self._services: dict[str, list[Service]] = {}
        self.runtime = EngineRuntime(
            self._services,
            self.journal,
            clock,
            gateway4=scenario.gateway_endpoint(4),
            gateway6=scenario.gateway_endpoint(6),
            wake=self.pump.wake,
        )
        self._behaviors: dict[str, AttachedBehavior] = {}
        for name, fleet in self.fleets.items():
            self._attach(name, fleet)
        self.pump.receive = self.hosts.receive
        self.pump.on_turn = self._on_turn
        self._deadline = float("inf")
        """When the judge will be called next."""

    def _attach(self, name: str, fleet: Fleet) -> None:
        """Give `fleet` its behavior, its services, and its addresses."""
        if fleet.spec.behavior is not None:
            behavior = load_behavior(fleet.spec.behavior)
            self._behaviors[name] = attach_behavior(fleet, behavior, self.runtime)
        services = [
            Service(
                fleet,
                index,
                hosts=self.hosts,
                pump=self.pump,
                judge=self.judge,
                journal=self.journal,
                on_failure=self._on_failure,
            )
            for index in range(len(fleet.spec.services))
        ]
        self._services[name] = services
        self.hosts.add(fleet, {service.port: self._handler(service) for service in services})

    def _handler(self, service: Service) -> PortHandler:
        """What takes the datagrams of `service`: of a packet to a group, only for our own devices."""
        if self.shard is WHOLE:
            return service.receive
        number, shards = self.shard

        def receive(datagram: Datagram, payload: bytes, /) -> str:
            if datagram.index % shards != number:
                return OTHER_SHARD
            return service.receive(datagram, payload)

        return receive

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled."""
        async with trio.open_nursery() as nursery:
            self._start_schedules()
            await nursery.start(self.pump.run)
            self.hosts.start(self.clock())
            for name, behavior in self._behaviors.items():
                if behavior.has_run:
                    for index in self.shard.owned(len(self.fleets[name])):
                        nursery.start_soon(self._live, self.fleets[name], index, behavior)
            task_status.started()

    def ready(self, now: float) -> None:
        """The gateway is ready, or there is none: the windows of expectations begin."""
        self.judge.gateway_ready(now)
        self.schedule_deadline()

    def schedule_deadline(self) -> None:
        """Have the judge called when time alone will decide something."""
        due = self.judge.next_deadline()
        if due is not None and due < self._deadline:
            self._deadline = due
            self.pump.timers.call_at(due, self._advance, due)

    def drain(self) -> None:
        """Handle what the link still holds, without waiting.

        Where that would take too long, since packets come faster than they can be answered, the rest
        is dropped, and counted as lost.
        """
        until = self.clock() + DRAIN_S
        while self.pump.turn():
            if self.clock() > until:
                self._left_over += self.pump.discard(MOST_LEFT_OVER, TOO_LATE)
                return

    def progress(self) -> Progress:
        """How far it is."""
        outcomes = self.pump.outcomes.by_category()
        return Progress(
            received=self.pump.frames_received,
            answered=outcomes["answered"],
            pending=outcomes["pending"],
            dropped=outcomes["dropped"],
            verdicts=self.judge.verdicts(),
        )

    def books(self) -> Books:
        """Everything that was counted here."""
        pump, link = self.pump, self.link.statistics()
        counters = {
            "packets.received": pump.frames_received,
            "packets.recorded": self.journal.packet_count,
            "events": self.journal.event_count,
            "devices.created": sum(fleet.created for fleet in self.fleets.values()),
            "devices.failed": len(self.failed_devices),
            "sendings.skipped": self.skipped_sendings,
        }
        counters |= {f"outcome.{name}": count for name, count in pump.outcomes.items()}
        counters |= {f"net.{name}": count for name, count in self.hosts.counters.items()}
        counters |= {f"link.{name}": count for name, count in link.items()}
        return Books(
            counters=counters,
            lag={"queue": pump.lag(), "timers": pump.timers.lateness},
            failed_devices=self.failed_devices,
            first_failure=self._first_failure,
            lost=link["send_dropped"] + self._left_over,
        )

    def gateway_heard(self) -> bool:
        """Whether any datagram reached a service of any device."""
        if any(name in self.pump.outcomes for name in HEARD):
            return True
        devices = (device for fleet in self.fleets.values() for device in fleet.devices)
        return any(device is not None and device.peer is not None for device in devices)

    def _advance(self, due: float) -> None:
        self._deadline = float("inf")
        # The clock may have passed `due` by little: what was due then is decided as of now.
        self.judge.advance(max(due, self.clock()))
        self.schedule_deadline()

    def _on_turn(self, now: float) -> None:
        if self.judge.settled and not self.settled.is_set():
            self.settled.set()
        if self.shard is WHOLE:  # else it is for all shards together to say
            for decision in self.judge.take_decisions(now):
                self.journal.emit(decision)

    def _on_failure(self, device: SimDevice, why: str) -> None:
        if not self.failed_devices:
            self._first_failure = f"{device.name}: {why}"
        self.failed_devices.append(device.name)

    def _start_schedules(self) -> None:
        for fleet in self.fleets.values():
            for schedule in fleet.schedules:
                for index in self.shard.owned(len(fleet)):
                    first = schedule.first(index)
                    if first is not None:
                        self.pump.timers.call_at(
                            first, self._speak, first, fleet, schedule, index, 0
                        )

    def _speak(self, due: float, fleet: Fleet, schedule: Schedule, index: int, n: int) -> None:
        """Do sending `n` of a schedule, and set the timer of the next."""
        device = fleet.device(index)
        if device.failed:
            return
        now = self.clock()
        try:
            for message in schedule.build(device, now):
                self.runtime.send_nowait(device, message, schedule.to, schedule.service)
        except Exception as error:
            self._services[fleet.spec.name][schedule.service].fail(device, error)
            return
        following = schedule.next(index, n, due)
        while following is not None and following < now:
            # The run is late by more than a whole interval: sending a burst would not mend it.
            self.skipped_sendings += 1
            n += 1
            following = schedule.next(index, n, following)
        if following is not None:
            self.pump.timers.call_at(
                following, self._speak, following, fleet, schedule, index, n + 1
            )

    async def _live(self, fleet: Fleet, index: int, behavior: AttachedBehavior) -> None:
        """The task of one device with a behavior that waits."""
        device = fleet.device(index)
        await self.runtime.sleep_until(fleet.boots_at(index))
        try:
            await behavior.instance(device).run()
        except Exception as error:
            self._services[fleet.spec.name][0].fail(device, error)
            self.pump.wake()


def _view(fleet: Fleet, shard: Shard) -> FleetView:
    """What the judge needs to know of `fleet`."""
    name, count = fleet.spec.name, fleet.spec.count
    owned = None if shard is WHOLE else shard.owned(count)
    if not fleet.boots_later:
        return FleetView(name, count, owned)
    delay = fleet.spec.boot_delay
    last = fleet.spec.ramp_s + (0.0 if delay is None else delay.high_s)
    return FleetView(name, count, owned, fleet.boots_at, last)
