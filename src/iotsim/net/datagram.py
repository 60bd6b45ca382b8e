"""Datagram: where a UDP datagram came from, which host it is for, and when it came.

It is made once, by the stack, goes with the message that was in it to wherever that is dealt with, and
comes back with the answer, however much later: what is sent in reply leaves from `local` to `peer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Datagram(msgspec.Struct, gc=False):
    """One UDP datagram at one host, without its payload.

    ``index`` is the host's place in its fleet. ``local`` and ``local_port`` are its own address and
    port, ``peer`` and ``peer_port`` the other side's, addresses as integers (`iotsim.wire.address`).
    ``time`` is in seconds of the run. ``group`` is the multicast or broadcast address that was asked,
    0 if the host alone was; ``from_host`` tells that the peer is one of our hosts, too. ``frame`` is the
    number of the frame that brought it, ``id`` that of the message that was in it, 0 for none: whoever
    counts these sets them. What a host sends unasked has the frame `NO_FRAME`.
    """

    index: int
    local: int
    local_port: int
    peer: int
    peer_port: int
    time: float
    group: int = 0
    from_host: bool = False
    frame: int = 0
    id: int = 0


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
