"""`Exchange`: a request that came, until its lifetime is over (RFC 7252, section 4.8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iotsim import Peer

    Message = dict[str, Any]


class Exchange:
    """A request that came."""

    __slots__ = (
        "acknowledged",
        "block1",
        "confirmable",
        "message_id",
        "peer",
        "request",
        "sent",
        "timer",
        "token",
    )

    def __init__(self, request: Message, peer: Peer) -> None:
        self.request = request
        """Until it is answered."""
        self.peer = peer
        self.message_id: int = request["message_id"]
        self.token: bytes = request["token"]
        self.confirmable = request["type"] == "CON"
        self.acknowledged = not self.confirmable
        self.sent = b""
        """What a duplicate is answered with."""
        self.block1: dict[str, Any] | None = None
        """Of its last block."""
        self.timer: Any = None


def key_of(address: int, port: int, message_id: int) -> int:
    """What tells messages of the last minutes apart."""
    return address << 32 | port << 16 | message_id
