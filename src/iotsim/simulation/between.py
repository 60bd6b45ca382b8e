"""Between devices: what one device sends to another, or to a group that others are in.

It never crosses the link, and is not in the capture, but for the link's own copy of what goes to a group.
A packet is under way for a millisecond, as on a small network: so two devices that answer each other take
turns with everything else, in virtual time too, where a way that takes no time would let none pass. The
packets under way are bounded; what finds no room does not leave, and is counted.

Each packet has exactly one outcome, as those from the link have, in a count of its own: those that are
still under way are pending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net.outcome import PENDING
from iotsim.simulation.pump import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.simulation.pump import Pump

TRANSIT_S = 0.001
MOST_UNDER_WAY = 4096
FULL = f"{MOST_UNDER_WAY} packets are under way between devices, which is the most there can be"


class BetweenDevices:
    """The way from device to device.

    ``receive`` is the hosts': (frame, now) -> outcome. ``hand_over`` is given each frame first; it returns
    True if that is for another process's devices alone, to which it has been sent. ``lost`` counts what
    found no room.
    """

    def __init__(self, pump: Pump) -> None:
        self.receive: Callable[[bytes, float], str] = pump.receive
        self.hand_over: Callable[[bytes], bool] = _keep
        self.outcomes = Outcomes()
        self.lost = 0
        self._pump = pump
        self._under_way = 0

    def send(self, frame: bytes) -> str | None:
        """Send `frame` on its way; why not, if there is no room."""
        self._pump.sent_at = self._pump.clock()
        if self.hand_over(frame) or self.take_over(frame):
            return None
        return FULL

    def take_over(self, frame: bytes, copy: bool = False) -> bool:
        """Take `frame` on its way; False if there is no room. A copy is counted where it was sent."""
        pump = self._pump
        if self._under_way >= MOST_UNDER_WAY:
            self.lost += 1
            return False
        self._under_way += 1
        if not copy:
            self.outcomes[PENDING] += 1
        pump.timers.call_at(pump.clock() + TRANSIT_S, self._arrive, frame, copy)
        return True

    def counts(self) -> dict[str, int]:
        """What was counted, by name: outcomes add up to ``packets``."""
        return {
            "packets": sum(self.outcomes.values()),
            "lost": self.lost,
            **{f"outcome.{outcome}": count for outcome, count in self.outcomes.items()},
        }

    def _arrive(self, frame: bytes, copy: bool) -> None:
        self._under_way -= 1
        if copy:
            self._pump.receive_copy(frame, self.receive)
        else:
            self.outcomes[PENDING] -= 1
            self._pump.receive_apart(frame, self.receive, self.outcomes)


def _keep(_frame: bytes) -> bool:
    return False
