"""Confirmable messages (RFC 7252, section 4.2): sent again, at growing intervals, until acknowledged.

To each endpoint at most NSTART of them are on their way (section 4.7); others wait for their turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim import Peer

    from .server import Coap

    Ended = Callable[[str], object]

MOST_WAITING = 64
"""So many messages of a device wait for their turn; with more, the newest fails."""
ACKNOWLEDGED, RESET, TIMEOUT, REFUSED = "acknowledged", "reset", "timeout", "too many messages wait"


class Transmission:
    """A message that is on its way."""

    __slots__ = ("datagram", "ended", "message_id", "peer", "timeout", "timer", "tries")

    def __init__(
        self, datagram: bytes, message_id: int, peer: Peer, timeout: float, ended: Ended
    ) -> None:
        self.datagram = datagram
        self.message_id = message_id
        self.peer = peer
        self.timeout = timeout
        self.ended = ended
        self.tries = 0
        self.timer: Any = None


class Waiting(NamedTuple):
    message: dict[str, Any]
    peer: Peer
    ended: Ended
    says: dict[str, Any] | None


class Transmissions:
    """The confirmable messages of a device. ``ended`` of each is told once what became of it: one of
    ACKNOWLEDGED, RESET, TIMEOUT and REFUSED."""

    __slots__ = ("_sent", "_session", "_waiting")

    def __init__(self, session: Coap) -> None:
        self._session = session
        self._sent: dict[tuple[int, int, int], Transmission] = {}
        self._waiting: list[Waiting] = []  # a deque that is empty takes as much as all else here

    def send(
        self,
        message: dict[str, Any],
        peer: Peer,
        ended: Ended,
        *,
        says: dict[str, Any] | None = None,
    ) -> None:
        """Send `message`, which has its id, at once or when its turn has come; `says` as in
        `Session.send`."""
        one = Waiting(message, peer, ended, says)
        if self._count(peer) < self._session.model.nstart:
            self._transmit(one)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(one)
        else:
            self._session.log(f"a message to {peer} is not sent: {MOST_WAITING} wait already")
            ended(REFUSED)

    def __len__(self) -> int:
        """Of those that are on their way."""
        return len(self._sent)

    def settle(self, peer: Peer, message_id: int, how: str) -> bool:
        """`peer` has acknowledged a message, or reset it; whether there was such a one."""
        sending = self._sent.pop((peer.address, peer.port, message_id), None)
        if sending is None:
            return False
        sending.timer.cancel()
        self._end(sending, how)
        return True

    def _count(self, peer: Peer) -> int:
        endpoint = peer.endpoint
        return sum(key[:2] == endpoint for key in self._sent)

    def _transmit(self, one: Waiting) -> None:
        session, model = self._session, self._session.model
        number, peer = one.message["message_id"], one.peer
        datagram = session.send(one.message, peer, says=one.says)
        timeout = model.ack_timeout * session.uniform(1.0, model.ack_random_factor)
        sending = Transmission(datagram, number, peer, timeout, one.ended)
        self._sent[peer.address, peer.port, number] = sending
        sending.timer = session.call_later(timeout, self._repeat, sending)

    def _repeat(self, sending: Transmission) -> None:
        peer = sending.peer
        if sending.tries >= self._session.model.max_retransmit:
            del self._sent[peer.address, peer.port, sending.message_id]
            self._end(sending, TIMEOUT)
            return
        sending.tries += 1
        sending.timeout *= 2
        self._session.resend(sending.datagram, peer)
        sending.timer = self._session.call_later(sending.timeout, self._repeat, sending)

    def _end(self, sending: Transmission, how: str) -> None:
        """Tell what became of one, and send what may be sent now."""
        sending.ended(how)
        for _ in range(len(self._waiting)):
            one = self._waiting.pop(0)
            if self._count(one.peer) < self._session.model.nstart:
                self._transmit(one)
            else:
                self._waiting.append(one)
        if not self._sent:
            self._session.forget(self)
