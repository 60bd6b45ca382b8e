"""Datagram: where a UDP datagram came from, which host it is for, and when it came.

It is made once, by the stack, goes with the message that was in it to wherever that is dealt with, and
comes back with the answer, however much later: what is sent in reply leaves from `local` to `peer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.net.address_table import PortHandler


class Flow:
    """What all datagrams between the same two addresses and ports have in common.

    ``heads`` are the headers of what answers them, by the length of the UDP datagram; None once they may
    not be right any more.
    """

    __slots__ = ("heads", "index", "local", "local_port", "peer", "peer_port", "ports")

    def __init__(self, datagram: Datagram, ports: Mapping[int, PortHandler]) -> None:
        self.index = datagram.index
        self.local = datagram.local
        self.local_port = datagram.local_port
        self.peer = datagram.peer
        self.peer_port = datagram.peer_port
        self.ports = ports
        self.heads: dict[int, bytes] | None = {}


class Datagram(msgspec.Struct, gc=False):
    """One UDP datagram at one host, without its payload.

    ``index`` is the host's place in its pool. ``local`` and ``local_port`` are its own address and
    port, ``peer`` and ``peer_port`` the other side's, addresses as integers (`iotsim.wire.address`).
    ``time`` is in seconds of the run. ``flow`` is that of datagrams that come again and again. ``group``
    is the multicast or broadcast address that was asked, 0 if the host alone was; ``from_host`` tells
    that the peer is one of our hosts, too; ``outside`` that what goes to a group is not for those. ``frame``
    is the number of the frame that brought it, ``id`` that of the message that was in it, 0 for none:
    whoever counts these sets them. What a host sends unasked has the frame `NO_FRAME`. ``request`` is for who
    deals with it, to know what an answer answers.
    """

    index: int
    local: int
    local_port: int
    peer: int
    peer_port: int
    time: float
    flow: Flow | None = None
    group: int = 0
    from_host: bool = False
    frame: int = 0
    id: int = 0
    outside: bool = False
    request: Any = None


NO_FRAME = -1


class Waiting:
    """A datagram that is on its way but has not left yet: its neighbor is being asked for.

    `told` is called once: with "" when it has left, else with why it never will.
    """

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: Callable[[str], object] = _nobody


Sending: TypeAlias = str | Waiting | None
"""What has become of what was to be sent: None, it has left; a text, why it cannot; `Waiting`."""


def _nobody(_reason: str) -> None:
    pass
