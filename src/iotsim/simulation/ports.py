"""Ports that devices of a fleet open by themselves, besides those of its protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.errors import IotsimError
from iotsim.net.outcome import dropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

NOT_OPEN = dropped("no-service")
"""Another device of the fleet has this port open."""
FIRST_PORT = 49152
"""The first of the dynamic ports (RFC 6335, section 6)."""
PORT_BITS = 14
MOST_PORTS = 64
"""So many a device can have open."""


class OpenPorts:
    """`ports` are all of the fleet's, by number, which the stack looks at; datagrams to one that is open go
    to `receive`."""

    def __init__(self, ports: dict[int, PortHandler], receive: PortHandler) -> None:
        self._ports = ports
        self._receive = receive
        self._owners: dict[int, set[int]] = {}
        """The devices that have each open."""
        self._owned: dict[int, set[int]] = {}
        """The ports that each device has open."""

    def open(self, index: int, draw: Callable[[int], int]) -> int:
        """A port for a device, by chance: ``draw(count)`` gives that many random bits."""
        owned = self._owned.setdefault(index, set())
        if len(owned) >= MOST_PORTS:
            raise IotsimError(f"the device has {MOST_PORTS} ports open, which is the most")
        while True:
            port = FIRST_PORT + draw(PORT_BITS)
            if port in owned or (port in self._ports and port not in self._owners):
                continue  # a protocol may be there
            self._owners.setdefault(port, set()).add(index)
            self._ports[port] = self._receive_if_open
            owned.add(port)
            return port

    def close(self, index: int, port: int) -> None:
        """Close a port of a device's; nothing happens if it is not open."""
        owned, owners = self._owned.get(index, set()), self._owners.get(port, set())
        owned.discard(port)
        owners.discard(index)
        if not owned:
            self._owned.pop(index, None)
        if not owners and self._owners.pop(port, None) is not None:
            del self._ports[port]

    def close_all(self, index: int) -> None:
        for port in list(self._owned.get(index, ())):
            self.close(index, port)

    def _receive_if_open(self, datagram: Datagram, payload: bytes, /) -> str:
        if datagram.local_port in self._owned.get(datagram.index, ()):
            return self._receive(datagram, payload)
        return NOT_OPEN
