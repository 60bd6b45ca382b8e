"""A conversation as somebody sees it who hears both ends: what a follower says of each message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.capture import Decoded, Decoder, UdpDatagram
from iotsim.protocol.registry import load_protocol
from iotsim.units import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.protocol.definition import Protocol

CLIENT = "10.77.0.1:40000"


class Conversation:
    """Between `CLIENT` and a device, unless it is said otherwise. Each message is sent at ``t``, in
    seconds, and 0.1 seconds after the one before where that is not said."""

    def __init__(self, protocol: str | Protocol, **options: Any) -> None:
        self.protocol = (
            load_protocol(protocol, []).protocol if isinstance(protocol, str) else protocol
        )
        self.device = f"10.77.1.1:{self.protocol.port}"
        self.decoder = Decoder(self.protocol, **options)
        self.number = 0
        self.now = -0.1

    def ask(
        self, *, sender: str = CLIENT, to: str = "", t: float | None = None, **message: Any
    ) -> str:
        """What is said of a message to the device."""
        data = self.protocol.codec.encode(message)
        return self.said(self.send(data, sender, to or self.device, t))

    def tell(
        self, *, sender: str = "", to: str = CLIENT, t: float | None = None, **message: Any
    ) -> str:
        """What is said of a message from the device."""
        data = self.protocol.answer_codec.encode(message)
        return self.said(self.send(data, sender or self.device, to, t))

    def send(self, data: bytes, sender: str, to: str, t: float | None = None) -> Decoded | None:
        """What is known of a datagram."""
        self.number += 1
        self.now = self.now + 0.1 if t is None else t
        time_ns = round(self.now * 1e9)
        ends = *parse_endpoint(sender), *parse_endpoint(to)
        return self.decoder.decode(UdpDatagram(self.number, time_ns, *ends, data))

    @staticmethod
    def said(decoded: Decoded | None) -> str:
        assert decoded is not None, "it is no datagram of the protocol"
        assert decoded.error is None, decoded.error
        return joined(decoded.notes)


def joined(notes: Sequence[str]) -> str:
    return "; ".join(notes)
