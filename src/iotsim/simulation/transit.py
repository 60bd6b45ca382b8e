"""What passes impairments and faults: datagrams on a way (`iotsim.simulation.ways`).

They are their own timers, as there may be a million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec

from iotsim.impair.fate import Passage, names
from iotsim.net.outcome import PENDING, dropped
from iotsim.simulation.watchdog import FAULTS

if TYPE_CHECKING:
    from iotsim.events import Befell
    from iotsim.net.datagram import Datagram
    from iotsim.simulation.reception import Met
    from iotsim.simulation.ways import Way

FAILED = dropped("device-failed")


MOST_HELD = 1_000_000
"""So many datagrams are held at a time, in all."""
MANY_HELD = 10_000
"""From so many on, messages are decoded again rather than kept."""


class Held:
    """How many datagrams the simulated network holds, of a whole simulation."""

    def __init__(self) -> None:
        self.most, self.many = MOST_HELD, MANY_HELD
        self.count = 0
        self.refused = 0
        """How many were lost because there were so many."""


class Transit(Passage, kw_only=True, gc=False):
    """A passage, and where it stands: before stage number ``at`` of ``way``.

    ``datagram`` is what brought it, or what it answers; ``luggage`` is for the way's end; ``late`` tells
    that it was held, and ``was`` are the bytes before they were changed. One that is ``untold`` has as its
    message what was encoded: what its bytes show is to be told from these.
    """

    way: Way
    datagram: Datagram
    luggage: Any
    at: int = 0
    late: bool = False
    was: bytes = b""
    untold: bool = False

    def meet(self, met: Met) -> None:
        """It has met with faults where its device takes it."""
        self.impaired = names(self.impaired, met.impaired)
        self.fate = names(self.fate, met.fate)
        self.delay_s += met.delay_s

    def fire(self) -> None:
        """It has been held for long enough: let it pass the stages that are left."""
        way = self.way
        way.held.count -= 1
        try:
            outcome = way.go(self)
        except FAULTS as error:
            way.fail(self.device, error)
            outcome = FAILED
        if outcome is not PENDING:
            way.pump.settle(self.datagram, outcome)


class Delayed(msgspec.Struct, gc=False):
    """As `Transit`, of a datagram that is only held, behind which are all stages of its way: what most are
    that a network with nothing but a delay holds. ``befell`` says so, to whom it is told."""

    device: Any
    message: Any
    payload: bytes
    t: float
    way: Way
    datagram: Datagram
    befell: Befell
    untold: bool = False
    said: Any = None
    luggage: Any = None

    late: ClassVar[bool] = True
    changed: ClassVar[bool] = False

    def in_full(self) -> Transit:
        """The same at length."""
        impaired, fate, delay_s = self.befell
        return Transit(
            self.device,
            self.message,
            self.payload,
            len(self.payload),
            self.t,
            impaired=impaired,
            fate=fate,
            delay_s=delay_s,
            said=self.said,
            way=self.way,
            datagram=self.datagram,
            luggage=self.luggage,
            at=self.way.end,
            late=True,
            untold=self.untold,
        )

    def fire(self) -> None:
        """It has been held for long enough. As `Transit.fire`, in place: requests have two."""
        way = self.way
        way.held.count -= 1
        try:
            outcome = way.arrive_delayed(self)
        except FAULTS as error:
            way.fail(self.device, error)
            outcome = FAILED
        if outcome is not PENDING:
            way.pump.settle(self.datagram, outcome)


Arriving: TypeAlias = Transit | Delayed
"""What has come to the end of its way."""
