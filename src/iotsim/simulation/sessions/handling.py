"""The handling of one datagram: what is sent to its very peer meanwhile answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.net.outcome import ANSWERED, PENDING, consumed
from iotsim.session import Peer

if TYPE_CHECKING:
    from iotsim.events import Received, Untold
    from iotsim.net.datagram import Datagram
    from iotsim.session.host import Message
    from iotsim.simulation.transit import Transit

SESSION = consumed("session")
"""The session took the message, and sent nothing."""
make_peer: Any = tuple.__new__  # a third of the time that calling the class takes


class Handling(msgspec.Struct, gc=False):
    """What a service knows of the datagram that it is dealing with, which comes from ``peer``.

    ``message`` is what it carries, ``event`` tells of it, and ``transit`` is its passage, where faults meet
    what devices take. ``sent``: an answer has left. ``tried`` is the outcome of an answer that has not left;
    ``delivered``, what rules, behavior and model have made of what the session has handed up; ``waits``: they
    will answer this very datagram.
    """

    datagram: Datagram
    peer: Peer
    message: Message | None = None
    event: Received | Untold | None = None
    transit: Transit | None = None
    sent: bool = False
    tried: str = ""
    delivered: str = SESSION
    waits: bool = False

    @property
    def outcome(self) -> str:
        """What has become of the datagram so far: it is answered by what has left alone."""
        if self.sent:
            return ANSWERED
        if self.tried:
            return self.tried
        if self.delivered is ANSWERED or (self.delivered is PENDING and not self.waits):
            return SESSION
        return self.delivered

    def note_answer(self, outcome: str) -> None:
        """An answer has left, or that has come to another `outcome`."""
        if outcome is ANSWERED:
            self.sent = True
        elif self.tried is not PENDING:
            self.tried = outcome


class Asked:
    """What a datagram asks: its own message, and what the session has made of it, once it has."""

    __slots__ = ("delivered", "wire")

    def __init__(self, wire: Message) -> None:
        self.wire = wire
        self.delivered: Message | None = None


def peer_of(datagram: Datagram) -> Peer:
    """Whom `datagram` comes from."""
    peer: Peer = make_peer(
        Peer,
        (
            datagram.peer,
            datagram.peer_port,
            datagram.local,
            datagram.local_port,
            datagram.group,
            datagram.from_host,
        ),
    )
    return peer
