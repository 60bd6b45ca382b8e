"""A simulation over a memory link, and a gateway's end of it, in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.wire import ipv4, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from iotsim.events import Event
    from iotsim.protocol.definition import Protocol

GATEWAY = parse_address("10.77.0.1")


class GatewayEnd:
    """The far end of the link: sends and receives datagrams as a gateway would."""

    def __init__(self, link: MemoryLink, simulation: Simulation, protocol: Protocol) -> None:
        self.link = link
        self.simulation = simulation
        self.codec = protocol.codec
        self.port = protocol.port
        self._events: list[Event] = []
        simulation.journal.add_event_sink(self._events.extend)

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        self.simulation.journal.flush()
        return self._events

    def send(self, device: str, message: dict[str, Any] | bytes, port: int = 40000) -> None:
        payload = message if isinstance(message, bytes) else self.codec.encode(message)
        destination = parse_address(device)
        datagram = udp.build_udp(GATEWAY, destination, port, self.port, payload)
        packet = ipv4.build_ipv4(GATEWAY, destination, ipv4.UDP, datagram)
        self.link.send_nowait(virtio.PLAIN + packet)

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """(source address, message) of all that has come so far."""
        taken = []
        for frame in self.link.receive_nowait(1000):
            packet = virtio.complete_checksum(frame)
            header = ipv4.parse_ipv4(packet)
            if header.protocol == ipv4.UDP:
                message = self.codec.decode(packet[header.header_length + udp.HEADER_LENGTH :])
                taken.append((ipv4_text(header.source), message))
        return taken


def ipv4_text(address: int) -> str:
    from iotsim.wire.address import format_address

    return format_address(address)


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[[str], Any]:
    """``async with simulated(toml) as gateway``: a running simulation and its gateway's end.

    For virtual time a test asks for ``autojump_clock`` besides: pytest-trio looks for it there.
    """

    @asynccontextmanager
    async def simulate(text: str, seed: int = 1) -> AsyncIterator[GatewayEnd]:
        scenario = load_text(text, tmp_path / "scenario.toml", default_seed=seed)
        ours, theirs = MemoryLink.pair()
        start = trio.current_time()
        simulation = Simulation(
            scenario, ours, seed=scenario.seed, clock=lambda: trio.current_time() - start
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(simulation.run)
            simulation.boot(simulation.clock())
            simulation.ready(simulation.clock())
            protocol = scenario.fleets[0].services[0].protocol
            yield GatewayEnd(theirs, simulation, protocol)
            nursery.cancel_scope.cancel()

    return simulate
