"""The simulated side of a run, whatever link it is on: fleets, hosts, expectations, pump.

It needs an event loop and a link, and neither files nor namespaces nor a gateway's process: those are
`iotsim.run.run`'s. So a test drives one over a memory link, in virtual time.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from iotsim.device import Fleet, attach_behavior, load_behavior
from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.events import CommandDone, Note
from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.net.outcome import dropped
from iotsim.protocol.registry import users_file
from iotsim.scenario.actions import build_action
from iotsim.scenario.problems import nearest
from iotsim.scenario.selectors import SelectorError, select
from iotsim.simulation.answertimes import AnswerTimes
from iotsim.simulation.between import BetweenDevices
from iotsim.simulation.census import Census, take_census
from iotsim.simulation.commands import (
    ActOnGateway,
    ActOnNorthbound,
    Begin,
    End,
    Reboot,
    SetSignal,
    WriteNote,
    encode_command,
)
from iotsim.simulation.conditions import Conditions
from iotsim.simulation.counters import Counters, Progress
from iotsim.simulation.disturbance import Disturbances
from iotsim.simulation.exchange import Service
from iotsim.simulation.faults import Faults
from iotsim.simulation.hosts import make_hosts
from iotsim.simulation.journal import EVERYTHING, Journal, Recording
from iotsim.simulation.lag import BEAT_S
from iotsim.simulation.lives import Lives
from iotsim.simulation.moments import Moments
from iotsim.simulation.ports import OpenPorts
from iotsim.simulation.pump import SOON_S, Pump
from iotsim.simulation.raw import let_say_raw
from iotsim.simulation.runtime import SimulationRuntime
from iotsim.simulation.sessions import SessionService
from iotsim.simulation.shard import WHOLE, OwnDevices, Shard
from iotsim.simulation.timers import Timers
from iotsim.simulation.watchdog import PATIENCE_S, Rescue, Stalled, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.device import AttachedBehavior, SimDevice
    from iotsim.link.base import Link
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.commands import Command
    from iotsim.simulation.exchange import Layer


DRAIN_S = 0.5
"""After this long, what still waits at the end is not answered any more."""
CENSUS_INTERVAL_S = 0.2
MOST_LEFT_OVER = 1 << 16
TOO_LATE = dropped("too-late")


class Simulation:
    """Everything simulated in one run of `scenario` over `link`.

    `clock` gives the seconds since the start of the run, which is at the Unix time `wall_time`; a real second
    has as many of them as the scenario's ``pace`` says.
    `live`: somebody watches it, and `progress` tells all that it can.
    ``settled`` is set once every expectation is decided, ``heard`` once somebody else than a device has
    sent a datagram to one, at ``heard_at``; ``failed_devices`` are those that a rule or behavior of theirs
    has stopped, or whose session has failed. Of a fleet that several processes share, this one owns the
    devices whose indexes are those of `shard`.

    The life of a simulation: ``run`` is a task; `boot` lets devices boot that wait for it, `ready` lets
    the windows of expectations begin, `do` carries out commands; `drain` and the judge end it.
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
        rescue: Rescue | None = None,
        wall_time: float = 0.0,
        live: bool = False,
    ) -> None:
        self.shard = shard
        self._drain_s = DRAIN_S * scenario.pace
        self.scenario = scenario
        self.link = link
        self.clock = clock
        self.journal = Journal(recording, first=shard.number + 1, step=shard.parties)
        self.pump = Pump(link, Timers(scenario.pace), self.journal, clock, scenario.pace)
        self.between = BetweenDevices(self.pump)
        self.hosts = make_hosts(
            scenario, link.mtu, self.pump, self.between, seed=seed, journal=self.journal
        )
        self.between.receive = self.hosts.receive_from_host
        self.moments = Moments()
        self._conditions = Conditions(
            scenario.faults,
            pump=self.pump,
            journal=self.journal,
            moments=self.moments,
            shard=shard,
            reboot=self.reboot,
        )
        self._faults = Faults(scenario.faults, seed, self._conditions, self._cannot_say)
        self.fleets = {
            spec.name: Fleet(spec, seed, self._faults.kind(spec.name)) for spec in scenario.fleets
        }
        for fleet in self.fleets.values():
            if not fleet.spec.boot_with_run:
                fleet.origin = math.inf
        self.judge = Judge(
            scenario.expectations,
            {name: _view(fleet, shard) for name, fleet in self.fleets.items()},
            scenario.tolerance,
            told_of_services=shard is WHOLE,
        )
        self.pump.on_late = self.pump.timers.on_late = self.judge.lapses.late
        if link.kind != "memory":
            self.judge.lapses.unseen_s = BEAT_S * scenario.pace
        self.settled = trio.Event()
        self.heard = trio.Event()
        self.heard_at: float | None = None
        self.failed_devices: list[str] = []
        self.wall_time = wall_time
        self._first_failure = ""
        self._left_over = 0
        faults = self._faults if self._faults.any(scenario.fleets) else None
        self.disturbances = Disturbances(
            scenario, seed, self.pump, self.journal, self.moments, faults
        )
        self._services: dict[str, list[Service]] = {}
        self._ports: dict[str, dict[int, PortHandler]] = {}
        self.runtime = SimulationRuntime(
            self._services,
            self.journal,
            clock,
            gateway4=scenario.gateway_endpoint(4),
            gateway6=scenario.gateway_endpoint(6),
            timers=self.pump.timers,
            wake=self.pump.wake,
            reboot=lambda device: self._lives.reboot_soon(device),
        )
        self._lives = Lives(
            self._services, self.runtime, self._conditions, self.pump, self.journal, shard
        )
        self.on_held: Callable[[str, float], object] = lambda _name, _t: None
        """Called with the name of each expectation that holds, and when it was found to."""
        self._watchdog = Watchdog(
            *users_files(scenario),
            self._on_stall,
            patience_s=PATIENCE_S * scenario.tolerance,
            rescue=rescue,
        )
        with ExitStack() as self._modules:
            for name, fleet in self.fleets.items():
                self._attach(name, fleet)
            self._modules = self._modules.pop_all()
        self._answer_times = AnswerTimes() if live else None
        if self._answer_times is not None:
            self.journal.add_batch_sink(self._answer_times.look)
        self._census: Census | None = None
        self._census_at = -math.inf
        self.pump.receive = self.hosts.receive
        self.pump.on_turn = self._on_turn
        self._deadline = math.inf
        """When the judge will be called next."""

    def _attach(self, name: str, fleet: Fleet) -> None:
        """Give `fleet` its behavior, its services, and its addresses."""
        behavior: AttachedBehavior | None = None
        if fleet.spec.behavior is not None:
            loaded = self._modules.enter_context(load_behavior(fleet.spec.behavior))
            behavior = attach_behavior(fleet, loaded, self.runtime)
        layers = () if self.shard is WHOLE else (OwnDevices(self.shard),)
        services = [
            self._service(fleet, index, layers) for index in range(len(fleet.spec.services))
        ]
        self._services[name] = services
        for rule in fleet.spec.rules:
            if any(template.raw for template in (*rule.reply, *rule.send)):
                let_say_raw(services[rule.service])
        self._ports[name] = {
            service.port: partial(self._receive_first, service) for service in services
        }
        for service in services:
            if isinstance(service, SessionService):
                service.ports = OpenPorts(self._ports[name], service.receive)
        hosts = self.hosts.add(fleet, self._ports[name])
        hosts.missed = {service.port: partial(self._miss, service) for service in services}
        absences = self._conditions.add(fleet, self.hosts, hosts)
        speakers = [one for one in services if isinstance(one, SessionService) and one.has_run]
        self._lives.add(fleet, behavior, speakers, absences)

    def _service(self, fleet: Fleet, index: int, layers: Sequence[Layer]) -> Service:
        parts: dict[str, Any] = {
            "hosts": self._faults.leaving(fleet, self.hosts),
            "pump": self.pump,
            "judge": self.judge,
            "journal": self.journal,
            "on_failure": self._on_failure,
            "layers": layers,
            "disturbances": self.disturbances,
            "reboot": self._lives.reboot_soon,
        }
        if fleet.spec.services[index].protocol.session is None:
            return Service(fleet, index, **parts)
        return SessionService(fleet, index, runtime=self.runtime, wall_time=self.wall_time, **parts)

    def _receive_first(self, service: Service, datagram: Datagram, payload: bytes, /) -> str:
        """Until somebody was heard, take datagrams in the place of the services."""
        if datagram.from_host:
            return service.receive(datagram, payload)
        self._note_heard(datagram)
        for name, services in self._services.items():
            self._ports[name].update({one.port: one.receive for one in services})
        return service.receive(datagram, payload)

    def _miss(self, service: Service, datagram: Datagram, payload: bytes, /) -> str:
        """A datagram has come for a device that is away."""
        if not datagram.from_host:
            self._note_heard(datagram)
        return service.miss(datagram, payload)

    def _note_heard(self, datagram: Datagram) -> None:
        if not self.heard.is_set():
            self.heard_at = datagram.time
            self.heard.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; then the modules of behaviors are forgotten."""
        with self._modules, self._watchdog:
            async with trio.open_nursery() as nursery:
                self._lives.nursery = nursery
                await nursery.start(self.pump.run)
                self.start()
                task_status.started()

    def start(self) -> None:
        """Hosts and devices begin to live, but for those that boot later."""
        self.hosts.start(self.clock())
        self._conditions.start()
        for fleet in self.fleets.values():
            if fleet.spec.boot_with_run:
                self._lives.boot(fleet)

    def boot(self, now: float) -> None:
        """Let the devices boot that do not boot with the run, each after its own delay."""
        for fleet in self.fleets.values():
            if not fleet.spec.boot_with_run:
                fleet.origin = now
                self._lives.boot(fleet)
        self.pump.wake()

    def ready(self, now: float) -> None:
        """The windows of expectations begin."""
        self.judge.gateway_ready(now)
        self.schedule_deadline()

    def do(self, command: Command) -> None:
        """Carry out `command` on the devices that are ours.

        ScenarioError if it names no devices, or what it says is no message or state of theirs;
        IotsimError if a device cannot do it, which leaves the rest of them undone, or if it is not about
        devices.
        """
        now = self.clock()
        if isinstance(command, (ActOnGateway, ActOnNorthbound)):
            raise IotsimError("a simulation has neither a gateway nor northbound services")
        if isinstance(command, WriteNote):
            self.journal.emit(Note(now, command.note))
        elif isinstance(command, SetSignal):
            fleet, indexes = self._selected(command.devices)
            self._set_signals(fleet, indexes, command.signal)
        elif isinstance(command, Reboot):
            fleet, indexes = self._selected(command.devices)
            for index in indexes:
                self.reboot(fleet, index)
        elif isinstance(command, (Begin, End)):
            self._disturb(command, now)
        else:
            fleet, indexes = self._selected(command.devices)
            table = encode_command(command)
            del table["do"], table["devices"]
            action = build_action(fleet.spec, table, by_clock=fleet.by_clock)
            if action.says_raw:
                let_say_raw(self._services[fleet.spec.name][action.service])
            for index in indexes:
                try:
                    self._lives.act(fleet.device(index), action, now)
                except Stalled as error:
                    raise IotsimError(str(error)) from None
        self.journal.emit(CommandDone(now, encode_command(command)))
        self.pump.wake()

    def _disturb(self, command: Begin | End, now: float) -> None:
        """Let the entries of a name be in force from now on, or no longer."""
        name = command.begin if isinstance(command, Begin) else command.end
        entries = [one.entry for one in self.scenario.impairments]
        entries += [one.entry for one in self.scenario.faults]
        meant = [entry.identity for entry in entries if entry.name == name]
        if not meant:
            hint = nearest(name, [entry.name for entry in entries])
            raise ScenarioError(
                [Problem(f"there is no impairment or fault '{name[:100]}'", hint=hint)]
            )
        for identity in meant:
            if isinstance(command, Begin):
                end = math.inf if command.for_s is None else now + command.for_s
                self.disturbances.hold(identity, now, end)
                self._conditions.hold(identity, now, end)
            else:
                self.disturbances.hold(identity, math.inf, math.inf)
                self._conditions.release(identity)

    def happened(self, name: str, t: float) -> None:
        """A step or an expectation of this name has happened: what comes after it begins."""
        self.moments.happened(name, t)
        self.judge.happened(name, t)
        self.pump.wake()

    def _set_signals(
        self, fleet: Fleet, indexes: Iterable[int], values: Mapping[str, float]
    ) -> None:
        unknown = values.keys() - fleet.signals.keys()
        if unknown:
            raise ScenarioError([Problem(f"'{fleet.spec.name}' has no signal '{min(unknown)}'")])
        chosen = list(indexes)
        for name, value in values.items():
            fleet.set_signal(name, chosen, value, self.clock())

    def reboot(self, fleet: Fleet, index: int, down_s: float = 0.0) -> None:
        """Let a device begin anew, at once: it boots after `down_s` seconds, for which it is away."""
        self._lives.reboot(fleet, index, down_s)

    def services(self, fleet: str) -> Sequence[Service]:
        """The services of the devices of this fleet, in the scenario's order."""
        return self._services[fleet]

    def _cannot_say(self, fleet: str, service: int, device: SimDevice, error: Exception) -> None:
        """A device is to send what cannot be had."""
        self._services[fleet][service].fail(device, error)

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
        until = self.clock() + self._drain_s
        with self._watchdog:
            while self.pump.turn():
                if self.clock() > until:
                    self._left_over += self.pump.discard(MOST_LEFT_OVER, TOO_LATE)
                    return

    def progress(self) -> Progress:
        """How far it is."""
        outcomes = self.pump.outcomes.by_category()
        progress = Progress(
            received=self.pump.frames_received,
            heard_at=self.heard_at,
            answered=outcomes["answered"],
            pending=outcomes["pending"],
            dropped=outcomes["dropped"],
            sent=self.link.statistics()["sent"],
            verdicts=self.judge.verdicts(),
            lag=max(self.pump.lag(), self.pump.timers.lateness),
        )
        if self._answer_times is not None:
            progress.standings = self.judge.standings()
            progress.census = self._look_at_devices()
            progress.answer_times = dict(self._answer_times.counts)
        return progress

    def _look_at_devices(self) -> Census:
        """Where devices are, or were at the last look."""
        now = self.clock()
        if self._census is None or now - self._census_at >= CENSUS_INTERVAL_S:
            failed = len(self.failed_devices)
            self._census = take_census(
                self.fleets.values(), self._conditions, self.shard, failed, now
            )
            self._census_at = now
        return self._census

    def counters(self) -> Counters:
        """Everything that was counted here."""
        pump, link = self.pump, self.link.statistics()
        counts = {
            "packets.received": pump.frames_received,
            "packets.recorded": self.journal.packet_count,
            "events": self.journal.event_count,
            "devices.created": sum(fleet.created for fleet in self.fleets.values()),
            "devices.failed": len(self.failed_devices),
            "sendings.skipped": self._lives.skipped,
        }
        counts |= self.disturbances.counters()
        counts |= {f"outcome.{name}": count for name, count in pump.outcomes.items()}
        counts |= {f"between_devices.{name}": n for name, n in self.between.counts().items() if n}
        counts |= {f"net.{name}": count for name, count in self.hosts.counters.items()}
        counts |= {f"link.{name}": count for name, count in link.items()}
        return Counters(
            counts=counts,
            lag={"queue": pump.lag(), "timers": pump.timers.lateness},
            failed_devices=self.failed_devices,
            first_failure=self._first_failure,
            lost=link["send_dropped"] + self.between.lost + self._left_over,
            idle=self.disturbances.idle(),
            unmatched=[
                unmatched
                for services in self._services.values()
                for service in services
                for unmatched in service.unmatched.found.values()
            ],
        )

    def _advance(self, due: float) -> None:
        self._deadline = math.inf
        if self.pump.behind and (now := self.clock()) < due + self._drain_s:
            # What came before `due` may still lie in the queue.
            self._deadline = now
            self.pump.timers.call_at(now + SOON_S * self.scenario.pace, self._advance, due)
            return
        # The clock may have passed `due` by little: what was due then is decided as of now.
        self.judge.advance(max(due, self.clock()))
        self.schedule_deadline()

    def _on_turn(self, now: float) -> None:
        if self.judge.settled and not self.settled.is_set():
            self.settled.set()
        if self.judge.alarms:
            self.schedule_deadline()
        if self.shard is WHOLE:  # else it is for all shards together to say
            for decision in self.judge.take_decisions(now):
                self.journal.emit(decision)
                if decision.outcome.passed:
                    self.on_held(decision.outcome.name, now)

    def _on_failure(self, device: SimDevice, why: str) -> None:
        if not self.failed_devices:
            self._first_failure = f"{device.name}: {why}"
        self.failed_devices.append(device.name)

    def _on_stall(self, device: SimDevice | None, stalled: Stalled, stack: str) -> None:
        if device is not None:
            self._services[device.fleet.spec.name][0].fail(device, stalled, stack)

    def _selected(self, selector: str) -> tuple[Fleet, Iterable[int]]:
        """The devices that `selector` names, as far as they are ours."""
        counts = {name: len(fleet) for name, fleet in self.fleets.items()}
        try:
            selection = select(selector, counts, self.scenario.seed)
        except SelectorError as error:
            raise ScenarioError([Problem(str(error), path="devices", hint=error.hint)]) from None
        indexes = (index for index in selection.indexes if self.shard.owns(index))
        return self.fleets[selection.fleet], indexes


def users_files(scenario: Scenario) -> tuple[set[str], bool]:
    """The files of the user's whose code a run of `scenario` calls; whether a schema is in one."""
    protocols = (service.protocol for fleet in scenario.fleets for service in fleet.services)
    schemas = {str(file) for file in map(users_file, protocols) if file is not None}
    behaviors = {str(fleet.behavior.file) for fleet in scenario.fleets if fleet.behavior}
    return behaviors | schemas, bool(schemas)


def _view(fleet: Fleet, shard: Shard) -> FleetView:
    """What the judge needs to know of `fleet`."""
    name, count = fleet.spec.name, fleet.spec.count
    owned = None if shard is WHOLE else shard.owned(count)
    if not fleet.boots_later:
        return FleetView(name, count, owned, device=fleet.device)
    return FleetView(name, count, owned, fleet.boots_at, fleet.booted_by, fleet.device)
