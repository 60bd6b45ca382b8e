"""Shard: which devices of all fleets one process simulates, where several share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.net.outcome import consumed
from iotsim.simulation.exchange import Layer

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

OTHER_SHARD = consumed("other-shard")


class Shard(NamedTuple):
    """One of `shards` equal parts of all fleets: every `shards`-th device, from device `number` on."""

    number: int
    shards: int

    @property
    def parties(self) -> int:
        """How many number messages: each process that simulates, and where there are several the run's own,
        too, whose northbound services receive some."""
        return self.shards + 1 if self.shards > 1 else 1

    def owned(self, devices: int) -> range:
        """The indexes of this part, of a fleet of `devices`."""
        return range(self.number, devices, self.shards)

    def owns(self, index: int) -> bool:
        return index % self.shards == self.number


WHOLE = Shard(0, 1)


class OwnDevices(Layer):
    """Of a datagram to a group, each process lets only its own devices hear."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def receive(self, datagram: Datagram, payload: bytes, onward: PortHandler) -> str:
        return onward(datagram, payload) if self._shard.owns(datagram.index) else OTHER_SHARD
