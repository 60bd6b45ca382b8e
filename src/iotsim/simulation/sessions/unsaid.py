"""What a device was to say with datagrams that were lost.

A session says something once, with a datagram that it may have to repeat until the other side has it. It is
said once a copy of that has left as it was sent, and not before: what impairments have kept from leaving,
or have garbled, is said with the next copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.session import Peer
    from iotsim.simulation.transit import Arriving

MOST_UNSAID = 64
"""So many datagrams of a device that were lost are remembered; with more, the first are not."""
Copy: TypeAlias = tuple[int, int, bytes]
"""Address and port of a peer, and a datagram."""


class Saying(msgspec.Struct, gc=False):
    """What a device says with a datagram, in all copies that impairments make of it. ``same``: it is the very
    message of the datagram; ``done``: a copy has left."""

    same: bool
    said: Mapping[str, Any] | None
    done: bool = False


class Unsaid(dict[int, dict[Copy, Saying]]):
    """By the index of a device, what it was to say, and with which datagrams."""

    def note(self, transit: Arriving) -> None:
        """A copy of a datagram is lost, or garbled."""
        luggage: Saying | None = transit.luggage
        if luggage is None or luggage.said is None or luggage.done:
            return
        unsaid = self.setdefault(transit.device.index, {})
        if len(unsaid) >= MOST_UNSAID:
            del unsaid[next(iter(unsaid))]
        datagram = transit.datagram
        was = getattr(transit, "was", b"") or transit.payload
        unsaid[datagram.peer, datagram.peer_port, was] = luggage

    def take(self, device: SimDevice, datagram: bytes, peer: Peer) -> Saying | None:
        """What is said with the next copy of `datagram`; None if a copy has said it, or there is nothing."""
        saying = self.get(device.index, {}).pop((*peer.endpoint, datagram), None)
        return None if saying is None or saying.done else saying
