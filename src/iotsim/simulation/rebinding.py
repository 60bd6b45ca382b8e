"""Devices that are found in another place than their own, as behind a NAT that has forgotten them.

The device itself does not know: what comes to its new place it gets as if it had come to its own, and what
it sends from its own leaves from the new one. Its own place is nobody's meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from iotsim.impair.fault import Rebind
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from iotsim.device.fleet import Fleet
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.scenario.faults import FaultEntry
    from iotsim.simulation.hosts import FleetHosts, Hosts


class Place:
    """Where a device is found: ``addresses`` by those that it has, ``port`` in place of ``home_port``, if
    that is not 0."""

    def __init__(self, addresses: Mapping[int, int], home_port: int, port: int) -> None:
        self.addresses = addresses
        self.home_port = home_port
        self.port = port

    def seen(self, datagram: Datagram) -> Datagram:
        """`datagram`, which the device sends, as others see it."""
        port = datagram.local_port
        return msgspec.structs.replace(
            datagram,
            local=self.addresses.get(datagram.local, datagram.local),
            local_port=self.port if self.port and port == self.home_port else port,
            flow=None,
        )


class Ports(Mapping[int, "PortHandler"]):
    """The ports of a device in its new place; what comes there is given to those of its fleet."""

    def __init__(self, ports: Mapping[int, PortHandler], place: Place, home: int) -> None:
        self._ports = ports
        self._place = place
        self._home = home

    def __getitem__(self, port: int) -> PortHandler:
        place = self._place
        own = port
        if place.port:
            if port == place.home_port:
                raise KeyError(port)
            own = place.home_port if port == place.port else port
        return partial(self._receive, self._ports[own], own)

    def _receive(
        self, handler: PortHandler, port: int, datagram: Datagram, payload: bytes, /
    ) -> str:
        datagram.local, datagram.local_port = self._home, port
        return handler(datagram, payload)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)


class Moves:
    """Where the devices of one fleet are found; those that are not named here are in their own places."""

    def __init__(self, fleet: Fleet, hosts: Hosts) -> None:
        self._fleet = fleet
        self._pool: FleetHosts | None = None
        self._hosts = hosts
        self._active: list[tuple[int, Rebind, Collection[int]]] = []
        self.places: dict[int, Place] = {}

    def attach(self, pool: FleetHosts) -> None:
        """The devices are these hosts."""
        self._pool = pool

    def begin(self, order: int, rebind: Rebind, indexes: Collection[int]) -> None:
        """These devices move; a fault of a higher `order` has the last word."""
        self._active.append((order, rebind, indexes))
        self._active.sort(key=lambda one: one[0])
        self._update(indexes)

    def end(self, rebind: Rebind, indexes: Collection[int]) -> None:
        """They move back."""
        self._active = [one for one in self._active if one[1] is not rebind]
        self._update(indexes)

    def _update(self, indexes: Iterable[int]) -> None:
        assert self._pool is not None
        for index in indexes:
            place = self.places.pop(index, None)
            if place is not None:
                for old, new in place.addresses.items():
                    self._hosts.move_back(old, new)
            place = self._place_of(index)
            if place is not None:
                self.places[index] = place
                for old, new in place.addresses.items():
                    ports = Ports(self._pool.ports, place, old)
                    missed = Ports(self._pool.missed, place, old)
                    self._hosts.move(self._pool, index, old, new, ports, missed)

    def _place_of(self, index: int) -> Place | None:
        """Where all that is in force puts the device."""
        own = [block.first + index for block in self._fleet.spec.blocks]
        lease = self._fleet.leases.get(index, 0)
        own += [lease] if lease else []
        addresses = {address: address for address in own}
        port, moved = 0, False
        for _, rebind, indexes in self._active:
            if index not in indexes:
                continue
            moved, port = True, rebind.port or port
            for first in rebind.addresses:
                new = first + _position(indexes, index)
                for address in own:
                    if is_ipv4(address) == is_ipv4(new):
                        addresses[address] = new
        if not moved:
            return None
        services = self._fleet.spec.services
        addresses = {old: new for old, new in addresses.items() if port or new != old}
        return Place(addresses, services[0].port if services else 0, port)


def _position(indexes: Collection[int], index: int) -> int:
    """The place of a device among those that a fault is for."""
    if isinstance(indexes, range):
        return indexes.index(index)
    return sorted(indexes).index(index)


def moved_addresses(faults: Iterable[FaultEntry]) -> dict[int, int]:
    """The numbers of devices, in their fleets, by the addresses that faults may give them."""
    return {
        first + position: index
        for one in faults
        if isinstance(one.spec, Rebind)
        for indexes in one.entry.devices.values()
        for position, index in enumerate(sorted(indexes))
        for first in one.spec.addresses
    }


class Rebound:
    """`hosts` for services whose devices may have moved: what they send leaves from their new places."""

    def __init__(self, hosts: Hosts, moves: Moves) -> None:
        self._hosts = hosts
        self._moves = moves

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending:
        return self._hosts.send_udp(self._seen(datagram), payload)

    def send_corrupt(self, datagram: Datagram, payload: bytes, flip: int) -> Sending:
        return self._hosts.send_corrupt(self._seen(datagram), payload, flip)

    def _seen(self, datagram: Datagram) -> Datagram:
        place = self._moves.places.get(datagram.index)
        return datagram if place is None else place.seen(datagram)
