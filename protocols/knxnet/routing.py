"""Routing (3/8/5): telegrams to the multicast group, at most 50 a second (3/2/6, section 2.1), and
none while somebody is busy (3/8/5, section 2.3.5)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Knxnet
    from .telegram import Saying

GROUP = "224.0.23.12"
GROUP_NUMBER = 0xE000170C
PORT = 3671
PAUSE_S = 0.02
MOST_WAITING = 64
"""So many telegrams wait to be sent; with more, the newest is lost."""
COUNTED_AFTER_S, RANDOM_S, SLOW_S, FORGOTTEN_S = 0.01, 0.05, 0.1, 0.005
"""Of the flow control: after how long another ROUTING_BUSY counts, and what each of those that count is
worth: in the random time, until they are forgotten, and one by one."""


class Routing:
    """What a device sends to the group."""

    __slots__ = (
        "_busy",
        "_busy_at",
        "_free_at",
        "_next_at",
        "_session",
        "_timer",
        "_waiting",
        "lost",
    )

    def __init__(self, session: Knxnet) -> None:
        self._session = session
        self._waiting: deque[tuple[dict[str, Any], Saying | None]] = deque()
        self._timer: Any = None
        self._next_at = self._free_at = 0.0
        self._busy_at = -1.0
        self._busy = 0
        self.lost = 0

    def send(self, cemi: dict[str, Any], says: Saying | None = None) -> None:
        """Send a telegram as soon as it may be; `says` is what the device says with it."""
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            if self.lost == 1:
                self._session.log(f"routing loses telegrams: {MOST_WAITING} wait")
            return
        self._waiting.append((cemi, says))
        if self._timer is None:
            self._go_on()

    def busy(self, wait_time: int) -> None:
        """Somebody asks for a pause of so many milliseconds."""
        now = self._session.now
        if now < self._free_at:
            self._busy += now - self._busy_at > COUNTED_AFTER_S
        else:
            slow = now - self._free_at - self._busy * SLOW_S
            self._busy = max(0, self._busy - max(0, int(slow / FORGOTTEN_S)))
        self._busy_at = now
        pause = wait_time / 1000 + self._session.uniform(0, 1) * self._busy * RANDOM_S
        self._free_at = max(self._free_at, now + pause)

    def _go_on(self) -> None:
        self._timer = None
        while self._waiting:
            pause = max(self._next_at, self._free_at) - self._session.now
            if pause > 0:
                self._timer = self._session.call_later(pause, self._go_on)
                return
            cemi, says = self._waiting.popleft()
            peer = self._session.peer(GROUP_NUMBER, PORT)
            if peer is None:
                continue  # the device has no IPv4
            self._next_at = self._session.now + PAUSE_S
            said = None if says is None else says.take()
            self._session.send({"service": "ROUTING_INDICATION", "cemi": cemi}, peer, says=said)
