"""Connections (3/8/2, section 5): what is sent through one is numbered and acknowledged, one after another.

A request is repeated with its own number until it is acknowledged; if it never is, the connection ends. How
often, and after which time, is a matter of its type (3/8/4, section 2.6; 3/8/3, section 2.3).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from iotsim import Peer

    from .server import Knxnet
    from .telegram import Saying

ALIVE_S = 120.0
"""After so long without a frame of its client, a connection is over (3/8/2, section 5.4)."""
MOST_WAITING = 64
"""So many messages of a connection wait for their turn; with more, the newest is lost."""


class Kind(NamedTuple):
    """A type of connections."""

    name: str
    request: str
    ack: str
    timeout: float
    repetitions: int


TUNNEL = Kind("TUNNEL_CONNECTION", "TUNNELLING_REQUEST", "TUNNELLING_ACK", 1.0, 1)
MANAGEMENT = Kind(
    "DEVICE_MGMT_CONNECTION", "DEVICE_CONFIGURATION_REQUEST", "DEVICE_CONFIGURATION_ACK", 10.0, 3
)
KINDS = {kind.name: kind for kind in (TUNNEL, MANAGEMENT)}


class Channel:
    """A connection. ``control`` and ``data`` are the client's endpoints; ``individual`` is the address that
    a tunnel gives it."""

    __slots__ = (
        "_alive",
        "_datagram",
        "_repeated",
        "_sequence",
        "_session",
        "_timer",
        "_waiting",
        "client",
        "control",
        "data",
        "expected",
        "heard",
        "individual",
        "kind",
        "lost",
        "number",
    )

    def __init__(
        self,
        session: Knxnet,
        number: int,
        kind: Kind,
        control: Peer,
        data: Peer,
        client: int,
        individual: str,
    ) -> None:
        self._session = session
        self.number = number
        self.kind = kind
        self.control = control
        self.data = data
        self.client = client
        """The address that it was opened from."""
        self.individual = individual
        self.expected = 0
        """The number of the next request."""
        self.heard = session.now
        self.lost = 0
        self._sequence = 0
        self._waiting: deque[tuple[dict[str, Any], Saying | None]] = deque()
        self._datagram = b""
        self._repeated = 0
        self._timer: Any = None
        self._alive = session.call_later(ALIVE_S, self._look)

    def is_of(self, peer: Peer) -> bool:
        """Whether `peer` may ask for its state, and end it."""
        return peer.address in (self.client, self.control.address, self.data.address)

    def send(self, cemi: dict[str, Any], says: Saying | None = None) -> None:
        """Send a message in its turn; `says` is what the device says with it."""
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            if self.lost == 1:
                self._session.log(f"channel {self.number} loses messages: {MOST_WAITING} wait")
            return
        self._waiting.append((cemi, says))
        if self._timer is None:
            self._next()

    def acknowledged(self, sequence: int, status: str) -> None:
        """An acknowledgment has come. One that tells an error is none (3/8/4, section 2.6)."""
        if self._timer is None or sequence != self._sequence or status != "E_NO_ERROR":
            return
        self._timer.cancel()
        self._timer = None
        self._sequence = (self._sequence + 1) & 0xFF
        self._next()

    def close(self) -> None:
        self._alive.cancel()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _next(self) -> None:
        if not self._waiting:
            return
        cemi, says = self._waiting.popleft()
        message = {"service": self.kind.request, "channel": self.number, "cemi": cemi}
        message["sequence"] = self._sequence
        self._repeated = 0
        said = None if says is None else says.take()
        self._datagram = self._session.send(message, self.data, says=said)
        self._timer = self._session.call_later(self.kind.timeout, self._repeat)

    def _repeat(self) -> None:
        if self._repeated >= self.kind.repetitions:
            self._session.end(self)
            return
        self._repeated += 1
        self._session.resend(self._datagram, self.data)
        self._timer = self._session.call_later(self.kind.timeout, self._repeat)

    def _look(self) -> None:
        """Whether its client was heard in time."""
        left = self.heard + ALIVE_S - self._session.now
        if left > 0:
            self._alive = self._session.call_later(left, self._look)
        else:
            self._session.end(self)
