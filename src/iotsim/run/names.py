"""The names of devices in a capture: of those that a run has come to know, as it comes to know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.results.pcapng import encode_names
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iotsim.device.fleet import Fleet
    from iotsim.scenario.model import Scenario

MOST_NAMES = 1 << 14
"""At most this many devices are named: of a fleet of a million, those that came first."""


class Names:
    """Watches over `fleets` for devices that were not there before, and names them and the gateway."""

    def __init__(self, scenario: Scenario, fleets: Iterable[Fleet], most: int = MOST_NAMES) -> None:
        self._left = most
        self._fleets = [] if most <= 0 else list(fleets)
        self._gateway = [
            (pack_address(side[0]), "gateway")
            for side in (scenario.link.address4, scenario.link.address6)
            if side is not None and most > 0
        ]
        for fleet in self._fleets:
            fleet.newcomers = [index for index, device in enumerate(fleet.devices) if device]

    def new(self) -> bytes:
        """Blocks that name those who have come since the last call; none if there are none."""
        if not self._gateway and not any(fleet.newcomers for fleet in self._fleets):
            return b""
        found, self._gateway = self._gateway, []
        for fleet in self._fleets:
            for index in fleet.newcomers or ():
                found += self._of_device(fleet, index)
            fleet.newcomers = []
        if self._left <= 0:
            for fleet in self._fleets:
                fleet.newcomers = None
            self._fleets = []
        return encode_names(found)

    def _of_device(self, fleet: Fleet, index: int) -> Iterator[tuple[bytes, str]]:
        if self._left <= 0:
            return
        self._left -= 1
        name = fleet.device(index).name
        for block in fleet.spec.blocks:
            yield pack_address(block.first + index), name
        if index in fleet.leases:
            yield pack_address(fleet.leases[index]), name


def pack_address(address: int) -> bytes:
    return address.to_bytes(4 if is_ipv4(address) else 16, "big")
