"""What behaviors may ask for, carried out: waiting by trio, sending by the services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from iotsim.events import Note, NotSent
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.device.schedule import Endpoint
    from iotsim.simulation.exchange import Service
    from iotsim.simulation.journal import Journal


class SimulationRuntime:
    """The `iotsim.device.behavior.Runtime` of a simulation; one for all of its devices.

    `gateway4` and `gateway6` are where devices send that nobody has spoken to yet, if the scenario
    declares it. `wake` has the pump see what a behavior's task has done while the pump slept.
    """

    def __init__(
        self,
        services: Mapping[str, list[Service]],
        journal: Journal,
        clock: Callable[[], float],
        *,
        gateway4: Endpoint | None,
        gateway6: Endpoint | None,
        wake: Callable[[], None],
    ) -> None:
        self._services = services
        self._journal = journal
        self._clock = clock
        self._gateway4 = gateway4
        self._gateway6 = gateway6
        self._wake = wake

    def now(self) -> float:
        return self._clock()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(max(0.0, seconds))

    async def sleep_until(self, t: float) -> None:
        await trio.sleep(max(0.0, t - self._clock()))

    def gateway(self, device: SimDevice) -> Endpoint | None:
        return device.peer or self.declared_gateway(device)

    def declared_gateway(self, device: SimDevice) -> Endpoint | None:
        """Where the scenario says that the gateway is."""
        blocks = device.fleet.spec.blocks
        if device.fleet.spec.network.dhcp or (blocks and is_ipv4(blocks[0].first)):
            return self._gateway4
        return self._gateway6

    def note(self, device: SimDevice, text: str) -> None:
        self._journal.emit(Note(self._clock(), f"{device.name}: {text}"))
        self._wake()

    def send_nowait(
        self, device: SimDevice, message: Mapping[str, Any], to: Endpoint | None, service: int
    ) -> None:
        """Send by service number `service`; EncodeError as `Service.send`."""
        self._wake()
        peer = to or self.gateway(device)
        if device.failed:
            return
        if peer is None:
            reason = "nobody has spoken to it yet, and the scenario declares no gateway port"
            self._journal.emit(NotSent(self._clock(), device.name, reason))
            return
        local = self.address_for(device, peer)
        if local is None:
            reason = "it has no address of the family of its destination"
            self._journal.emit(NotSent(self._clock(), device.name, reason))
            return
        self._services[device.fleet.spec.name][service].speak(device, message, local, *peer)

    def address_for(self, device: SimDevice, peer: Endpoint) -> int | None:
        """The device's address of the same family as `peer`'s."""
        if device.leased and is_ipv4(peer[0]):
            return device.leased
        for block in device.fleet.spec.blocks:
            if is_ipv4(block.first) == is_ipv4(peer[0]):
                return block.first + device.index
        return None
