"""What a device was to say with datagrams that were lost.

A session says something once, with a datagram that it may have to repeat until the other side has it. It is
said once a copy of that has left as it was sent, and not before: what impairments have kept from leaving,
or have garbled, is said with the next copy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from iotsim.session import Recent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.session import Peer
    from iotsim.simulation.transit import Arriving

MOST_OF_ONE = 64
"""So many datagrams for each device that were lost are remembered; with more, the first are not."""
MOST_IN_ALL = 1 << 16
LEAST_OF_ONE = 4
"""Of a large fleet, at most so many, but for each device no less than that: most are never repeated."""
Copy: TypeAlias = tuple[int, int, int, bytes]
"""The index of a device, address and port of a peer, and a datagram."""


class Saying(msgspec.Struct, gc=False):
    """What a device says with a datagram, in all copies that impairments make of it. ``same``: it is the very
    message of the datagram; ``done``: a copy has left."""

    same: bool
    said: Mapping[str, Any] | None
    done: bool = False


class Unsaid(Recent[Copy, Saying]):
    """What the `devices` of a fleet were to say, and with which datagrams. That of a session which has ended
    is never asked for: a new one has sent what it repeats."""

    __slots__ = ()

    def __init__(self, devices: int) -> None:
        in_all = max(MOST_IN_ALL, LEAST_OF_ONE * devices)
        super().__init__(math.inf, min(MOST_OF_ONE * devices, in_all))

    def note(self, transit: Arriving) -> None:
        """A copy of a datagram is lost, or garbled."""
        luggage: Saying | None = transit.luggage
        if luggage is None or luggage.said is None or luggage.done:
            return
        datagram = transit.datagram
        was = getattr(transit, "was", b"") or transit.payload
        key = transit.device.index, datagram.peer, datagram.peer_port, was
        self.renew(key, luggage, 0.0)  # none is ever over

    def take(self, device: SimDevice, datagram: bytes, peer: Peer) -> Saying | None:
        """What is said with the next copy of `datagram`; None if a copy has said it, or there is nothing."""
        saying = self.pop((device.index, *peer.endpoint, datagram))
        return None if saying is None or saying.done else saying
