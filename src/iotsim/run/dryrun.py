"""A dry run: one datagram for one device, and what becomes of it, without a link, a gateway or real time.

The device is simulated as in a run, with its session, its behavior and its model, on a memory link in
virtual time; its fleet's other devices are not there. Nothing is judged, but expectations are held against
what the device heard and said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import trio
import trio.lowlevel

from iotsim.device.explain import examine_rules, rules_about
from iotsim.errors import DecodeError, Problem, ScenarioError
from iotsim.events import OUT, DeviceFailed, Received, Sent, SessionFailed
from iotsim.expect.spec import Look
from iotsim.link.memory import MemoryLink
from iotsim.match.nearness import rank
from iotsim.net.outcome import PENDING
from iotsim.protocol.dissection import Dissection, dissect
from iotsim.run.failure import sole_cause
from iotsim.scenario.selectors import SelectorError, select
from iotsim.simulation.shard import Shard
from iotsim.simulation.simulation import Simulation
from iotsim.wire.address import IPV4_END
from iotsim.wire.datagrams import datagram_frame, read_datagram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.device.explain import RuleReport
    from iotsim.device.fleet import SimDevice
    from iotsim.device.spec import FleetSpec, ServiceSpec
    from iotsim.events import Event, PacketRecord
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match import DeviceView, Mismatch
    from iotsim.scenario.model import Scenario

PORT = 49152
"""Where the datagram comes from, if nobody says: the first that IANA leaves for this."""
LONGEST_WAIT_S = 300.0
"""How long an answer is waited for: in virtual time, that costs nothing."""
LOOKS = 6000
MOST_PACKETS = 1000
MTU = 65535
"""Nothing is fragmented: what an answer is, and not how it travels, is the question."""


class Asked(NamedTuple):
    """A datagram for a device. None leaves open: `source` is (address, UDP port), `at_s` a time of the
    run, `port` the one that it goes to."""

    payload: bytes
    source: tuple[int, int] | None = None
    at_s: float | None = None
    port: int | None = None
    state: Mapping[str, Any] = {}
    """What the device remembers besides."""


@dataclass
class Handed:
    """A message that the device was handed, and what its rules make of it, in their order.

    With a session that is not always what the datagram carried.
    """

    message: Mapping[str, Any]
    rules: list[RuleReport]


class Answer(NamedTuple):
    """A datagram that the device has sent after it was asked. ``message`` is None if it could not be read."""

    t: float
    payload: bytes
    message: Mapping[str, Any] | None


class Compared(NamedTuple):
    """What an expectation looks for, beside the message that is nearest to it: it matches if there are no
    ``mismatches``."""

    expectation: ExpectSpec
    look: Look
    message: Mapping[str, Any] | None
    mismatches: Sequence[Mismatch]


@dataclass
class DryRun:
    """What came of a datagram. ``outcome`` is how a run would count it."""

    device: str
    address: int
    port: int
    peer: tuple[int, int]
    t: float
    service: ServiceSpec
    has_behavior: bool
    dissection: Dissection
    handed: list[Handed] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    """All that has happened since it was sent."""
    failures: list[DeviceFailed | SessionFailed] = field(default_factory=list)
    """What had gone wrong with the device before."""
    outcome: str = ""
    compared: list[Compared] = field(default_factory=list)


def dry_run(scenario: Scenario, device: str, asked: Asked) -> DryRun:
    """What `device`, a selector of one, does about a datagram. ScenarioError if there is no such device, or
    it cannot be asked so."""
    # Here, since it imports pytest where that is installed, which takes 0.2 s.
    from trio.testing import MockClock

    try:
        return trio.run(_dry_run, scenario, device, asked, clock=MockClock(autojump_threshold=0))
    except BaseExceptionGroup as group:
        raise sole_cause(group) from None


async def _dry_run(scenario: Scenario, selector: str, asked: Asked) -> DryRun:
    spec, index = _device(scenario, selector)
    number, service = _service(spec, asked.port)
    peer, own = _ends(scenario, spec, index, asked)
    ours, theirs = MemoryLink.pair(MTU)
    start = trio.current_time()
    simulation = _simulation(scenario, spec, index, ours, start)
    fleet = simulation.fleets[spec.name]
    device = fleet.device(index)
    events: list[Event] = []
    packets: list[PacketRecord] = []
    simulation.journal.add_event_sink(events.extend)
    simulation.journal.add_packet_sink(packets.extend)
    async with trio.open_nursery() as nursery:
        await nursery.start(simulation.run)
        simulation.boot(simulation.clock())
        simulation.ready(simulation.clock())
        boots_at = fleet.boots_at(index)
        at_s = boots_at if asked.at_s is None else asked.at_s
        if at_s < boots_at:
            raise _wrong(
                f"{device.name} boots {boots_at:.3f} s into the run: before, it is not there"
            )
        await trio.sleep_until(start + at_s)
        await trio.lowlevel.checkpoint()
        _set_state(spec, device, asked.state)
        dissection = dissect(service.protocol, asked.payload, device=device)
        done = DryRun(
            device.name,
            own,
            service.port,
            peer,
            at_s,
            service,
            spec.behavior is not None,
            dissection,
        )
        rules = rules_about(spec.rules, number)

        def look(one: SimDevice, message: dict[str, Any], now: float) -> None:
            if one is device:
                done.handed.append(Handed(dict(message), examine_rules(rules, one, message, now)))

        simulation.services(spec.name)[number].watch(look)
        simulation.journal.flush()
        done.failures = [one for one in events if isinstance(one, DeviceFailed | SessionFailed)]
        events.clear()  # what has happened until now is no answer
        packets.clear()
        before = dict(simulation.pump.outcomes)
        theirs.send_nowait(datagram_frame(peer, (own, service.port), asked.payload))
        await _wait(simulation, spec)
        simulation.journal.flush()
        done.events = list(events)
        done.outcome = _outcome(before, simulation)
        done.answers = _answers(packets, done, device)
        done.compared = _compare(scenario, spec, device, done)
        nursery.cancel_scope.cancel()
    return done


def _simulation(
    scenario: Scenario, spec: FleetSpec, index: int, link: MemoryLink, start: float
) -> Simulation:
    """Of this device alone, which nothing disturbs, in a run that has begun at `start`."""
    alone = replace(
        scenario.over("memory"),
        fleets=(spec,),
        expectations=(),
        impairments=(),
        faults=(),
        steps=(),
    )
    return Simulation(
        alone,
        link,
        seed=scenario.seed,
        clock=lambda: trio.current_time() - start,
        shard=Shard(index, spec.count),
    )


def _wrong(message: str, path: str = "", hint: str = "") -> ScenarioError:
    return ScenarioError([Problem(message, path=path, hint=hint)])


def _device(scenario: Scenario, selector: str) -> tuple[FleetSpec, int]:
    """The fleet and the index of the one device that `selector` names."""
    counts = {fleet.name: fleet.count for fleet in scenario.fleets}
    try:
        selection = select(selector, counts, scenario.seed)
    except SelectorError as error:
        raise _wrong(str(error), "--to", error.hint) from None
    if len(selection.indexes) > 1:
        hint = f"name one, such as {selection.fleet}[{selection.indexes[0]}]"
        raise _wrong(f"'{selector}' names {len(selection.indexes)} devices", "--to", hint)
    (spec,) = (fleet for fleet in scenario.fleets if fleet.name == selection.fleet)
    return spec, selection.indexes[0]


def _service(spec: FleetSpec, port: int | None) -> tuple[int, ServiceSpec]:
    """The service at `port`, by default the first, and its number."""
    if not spec.services:
        raise _wrong(f"'{spec.name}' has no protocol, so its devices hear nothing", "--to")
    if port is None:
        return 0, spec.services[0]
    for number, service in enumerate(spec.services):
        if service.port == port:
            return number, service
    ports = ", ".join(str(service.port) for service in spec.services)
    raise _wrong(f"no protocol of '{spec.name}' is at port {port}", "--port", f"there is {ports}")


def _ends(
    scenario: Scenario, spec: FleetSpec, index: int, asked: Asked
) -> tuple[tuple[int, int], int]:
    """Where the datagram comes from, and the device's address that it goes to, both of one IP version."""
    own = [block.first + index for block in spec.blocks]
    if not own:
        raise _wrong(f"'{spec.name}' has no address: it would get one from a DHCP server", "--to")
    if asked.source is not None:
        peers = [asked.source]
    else:
        gateway = scenario.gateway
        port = (gateway.port if gateway is not None else None) or PORT
        sides = (scenario.link.address4, scenario.link.address6)
        peers = [(side[0], port) for side in sides if side is not None]
        if gateway is not None and gateway.address is not None:
            peers.insert(0, (gateway.address, port))
    for peer in peers:
        for address in own:
            if (peer[0] < IPV4_END) == (address < IPV4_END):
                return peer, address
    raise _wrong(f"'{spec.name}' has no address of that IP version", "--from")


def _set_state(spec: FleetSpec, device: SimDevice, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name not in device.state and spec.behavior is None:
            hint = f"there is {', '.join(device.state)}" if device.state else ""
            raise _wrong(f"the state of {device.name} has no '{name}'", "--state", hint)
        device.state[name] = value


async def _wait(simulation: Simulation, spec: FleetSpec) -> None:
    """Wait until the datagram has been dealt with, and all of a rule's replies are sent."""
    delays = [rule.delay.high_s for rule in spec.rules if rule.delay is not None]
    await trio.sleep(max(delays, default=0.0) + 0.001)
    for _ in range(LOOKS):
        if not simulation.pump.outcomes[PENDING]:
            return
        await trio.sleep(LONGEST_WAIT_S / LOOKS)


def _outcome(before: Mapping[str, int], simulation: Simulation) -> str:
    """What the datagram is counted as."""
    counts = simulation.pump.outcomes.items()
    return next((name for name, count in counts if count > before.get(name, 0)), "")


def _answers(packets: Sequence[PacketRecord], done: DryRun, device: SimDevice) -> list[Answer]:
    """The datagrams that went from the port that was asked to whom it was asked by."""
    answers: list[Answer] = []
    for t, direction, frame in packets[:MOST_PACKETS]:
        found = read_datagram(frame) if direction == OUT else None
        if found is None or found[0] != (done.address, done.port) or found[1] != done.peer[1]:
            continue
        payload = found[2]
        try:
            message = done.service.protocol.answer_codec.decode(payload, device)
        except DecodeError:
            message = None
        answers.append(Answer(t, payload, message))
    return answers


def _compare(
    scenario: Scenario, spec: FleetSpec, device: SimDevice, done: DryRun
) -> list[Compared]:
    """What each expectation of the device looks for beside the message that is nearest to it."""
    found = []
    for expectation in scenario.expectations:
        if any(
            one.fleet == spec.name and device.index in one.indexes for one in expectation.devices
        ):
            for look in _looks(expectation):
                near = _nearest(expectation, look, device, done)
                if near is not None:
                    found.append(near)
    return found


def _looks(expectation: ExpectSpec) -> Iterator[Look]:
    """What an expectation looks for among the messages of devices."""
    looks = [part.look for part in expectation.parts]
    if expectation.latency is not None:
        looks += [expectation.latency.start, expectation.latency.stop]
    if expectation.delivered is not None:
        looks.append(expectation.delivered.sent)
    if not looks and expectation.matcher is not None:
        looks = [Look(expectation.matcher, expectation.direction, expectation.layer)]
    yield from (look for look in looks if not look.service)


def _nearest(
    expectation: ExpectSpec, look: Look, device: DeviceView, done: DryRun
) -> Compared | None:
    """The nearest of the messages that `look` is about; None if there are none."""
    if look.matcher.undecodable:
        is_one = done.dissection.message is None
        return Compared(expectation, look, None, ()) if is_one else None
    kind = Received if look.direction == "receives" else Sent
    candidates = []
    for event in done.events:
        if not isinstance(event, kind) or event.device != done.device:
            continue
        if event.layer in ("", look.layer):
            mismatches = look.matcher.explain(event.message, device, event.t)
            candidates.append(Compared(expectation, look, event.message, mismatches))
    return min(candidates, key=lambda one: rank(one.mismatches), default=None)
