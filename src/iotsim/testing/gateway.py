"""Whole runs in tests: devices over a memory link, in virtual time, with the test as their gateway.

::

    async def test_a_meter_answers(autojump_clock):      # of pytest-trio: hours pass in milliseconds
        async with simulated("meters.toml") as gateway:
            gateway.send("meter[0]", {"kind": "READ", "device": 1, "seq": 1})
            answer = await gateway.receive()
            assert answer.message["kind"] == "REPORT"
            await gateway.settled()
        assert gateway.run.result.verdict == "passed"

What runs is a whole run (`iotsim.run.run.open_run`), but for files, and for whatever lies outside of the
process: a gateway's command in the scenario is not started, since the test stands in its place.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import trio

from iotsim.errors import DecodeError
from iotsim.link.memory import MemoryLink
from iotsim.run.crew import Alone
from iotsim.run.run import RunOptions, open_run
from iotsim.scenario import load_scenario, load_text
from iotsim.testing.frames import datagram_frame, read_datagram
from iotsim.wire.address import IPV4_END, format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from iotsim.device import Fleet
    from iotsim.device.fleet import SimDevice
    from iotsim.device.spec import ServiceSpec
    from iotsim.events import Event
    from iotsim.run.run import Run
    from iotsim.scenario import Scenario
    from iotsim.simulation.simulation import Simulation

PORT = 40000
"""Where the gateway sends from, unless it says otherwise."""
MOST_FRAMES = 1 << 16
T = TypeVar("T")


class Arrival(NamedTuple):
    """A datagram from a device.

    ``device`` is its name (``meter[3]``), ``port`` the gateway's that it came to. ``message`` is what it
    says by the device's protocol, None if it is no message; ``payload`` are its bytes.
    """

    device: str
    port: int
    message: dict[str, Any] | None
    payload: bytes


class Gateway:
    """The gateway's end of the link, in the hands of a test. ``run`` is what goes on at the other."""

    def __init__(self, run: Run, link: MemoryLink, events: list[Event]) -> None:
        self.run = run
        self.link = link
        self._events = events
        self._arrived: deque[Arrival] = deque()
        sides = (run.scenario.link.address4, run.scenario.link.address6)
        self._addresses = [0 if side is None else side[0] for side in sides]

    @property
    def simulation(self) -> Simulation:
        """What is simulated."""
        assert isinstance(self.run.crew, Alone)
        return self.run.crew.simulation

    @property
    def events(self) -> list[Event]:
        """All events so far, in order."""
        self.run.crew.journal.flush()
        return self._events

    def send(
        self,
        device: str,
        message: Mapping[str, Any] | bytes,
        *,
        port: int = PORT,
        protocol: str | None = None,
    ) -> None:
        """Send `message` to `device`: its name, or an address of one (of a group of theirs, too).

        `message` is encoded by the device's protocol of the name `protocol`, or by its first; bytes go
        as they are, to that protocol's port. ValueError if there is no such device or protocol.
        """
        address, fleet = self._find(device)
        service = _service(fleet, protocol)
        if isinstance(message, bytes):
            payload = message
        else:
            payload = service.protocol.codec.encode(message, self._device_at(address))
        source = self._addresses[address >= IPV4_END]
        self.link.send_nowait(datagram_frame((source, port), (address, service.port), payload))

    def take(self) -> list[Arrival]:
        """What has come from devices since this was last asked, in order."""
        self._take_frames()
        arrived = list(self._arrived)
        self._arrived.clear()
        return arrived

    async def receive(self, timeout_s: float = math.inf) -> Arrival:
        """The next datagram from a device. trio.TooSlowError if none comes in time."""
        with trio.fail_after(timeout_s):
            while not self._arrived:
                self._take_frames()
                if not self._arrived:
                    await self.link.wait_readable()
        return self._arrived.popleft()

    async def settled(self) -> None:
        """Wait until every expectation is decided, for as long as the scenario may last."""
        scenario = self.run.scenario
        left_s = scenario.duration_s * scenario.tolerance - self.run.clock()
        with trio.move_on_after(max(0.0, left_s)):
            await self.run.crew.settled.wait()

    def _take_frames(self) -> None:
        for frame in self.link.receive_nowait(MOST_FRAMES):
            found = read_datagram(frame)
            if found is not None:
                self._arrive(*found)

    def _arrive(self, sender: tuple[int, int], to_port: int, payload: bytes) -> None:
        source, source_port = sender
        name, message = format_address(source), None
        fleet, index = self._owner(source)
        if fleet is not None:
            device = fleet.device(index)
            name = device.name
            for service in fleet.spec.services:
                if service.port == source_port:
                    with suppress(DecodeError):
                        message = service.protocol.answer_codec.decode(payload, device)
        self._arrived.append(Arrival(name, to_port, message, payload))

    def _find(self, device: str) -> tuple[int, Fleet]:
        """The address that `device` names, and the fleet that it is of."""
        name, bracket, rest = device.partition("[")
        fleets = self.simulation.fleets
        if bracket and name in fleets and rest.rstrip("]").isdigit():
            fleet, index = fleets[name], int(rest.rstrip("]"))
            if index < len(fleet):
                return parse_address(fleet.device(index).address), fleet
        elif not bracket:
            address = parse_address(device)
            owner, _ = self._owner(address)
            groups = (f for f in fleets.values() if address in f.spec.network.groups)
            owner = owner or next(groups, None)
            if owner is not None:
                return address, owner
        raise ValueError(f"there is no device {device!r}")

    def _device_at(self, address: int) -> SimDevice | None:
        """The device at `address`; None for a group of them."""
        fleet, index = self._owner(address)
        return None if fleet is None else fleet.device(index)

    def _owner(self, address: int) -> tuple[Fleet | None, int]:
        """Whose `address` is, and which device of that fleet has it."""
        for fleet in self.simulation.fleets.values():
            for block in fleet.spec.blocks:
                if block.first <= address < block.first + block.count:
                    return fleet, address - block.first
        return None, 0


def _service(fleet: Fleet, protocol: str | None) -> ServiceSpec:
    for service in fleet.spec.services:
        if protocol in (None, service.protocol.name):
            return service
    raise ValueError(f"the devices of {fleet.spec.name} speak no {protocol or 'protocol'}")


@asynccontextmanager
async def simulated(
    scenario: Scenario | Path | str, *, seed: int = 1, options: RunOptions | None = None
) -> AsyncIterator[Gateway]:
    """The run of a scenario over a memory link, and the gateway's end of that.

    `scenario` is a loaded one, a file's path, or, if it has more than one line, the text of one. In an
    event loop on `trio.testing.MockClock` with autojump it goes on in virtual time. The run lasts as long
    as the block, whatever the scenario's ``until`` says; then ``gateway.run.result`` says what it came to.
    ScenarioError tells what is wrong.
    """
    if isinstance(scenario, (str, Path)):
        scenario = _load(scenario, seed)
    ours, theirs = MemoryLink.pair(scenario.link.mtu)
    events: list[Event] = []
    options = options or RunOptions(files=False)
    options = replace(options, serve=True, watch=(*options.watch, events.extend))
    async with open_run(scenario, options, link=ours) as run:
        yield Gateway(run, theirs, events)


def _load(scenario: Path | str, seed: int) -> Scenario:
    if isinstance(scenario, str) and "\n" in scenario:
        return load_text(scenario, Path("scenario.toml"), default_seed=seed)
    return load_scenario(Path(scenario), default_seed=seed)


def run_virtually(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """The result of the async `function`, in an event loop of its own, in virtual time."""
    # Here, since it imports pytest where that is installed, which takes 0.2 s.
    from trio.testing import MockClock

    return trio.run(function, *arguments, clock=MockClock(autojump_threshold=0))
