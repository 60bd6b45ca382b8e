"""Raw bytes in the place of messages, which rules and steps may have devices say.

Services of fleets that say some are of classes of their own, so that the others need not look. Raw bytes
pass no session: they go to whoever is to be answered, from the port that was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from iotsim.device.reaction import Raw
from iotsim.errors import DecodeError
from iotsim.net.outcome import ANSWERED
from iotsim.simulation.exchange import Service
from iotsim.simulation.sessions import SessionService

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Befell
    from iotsim.net.datagram import Datagram
    from iotsim.protocol.codec import Codec
    from iotsim.session import Peer, Session, Ticket
    from iotsim.session.host import Message


class RawCodec:
    """`codec`, but raw bytes are encoded to themselves, and show themselves."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.decode = codec.decode
        self.tell_bytes = codec.tell_bytes

    def encode(self, message: Mapping[str, Any], device: Any = None, /) -> bytes:
        return message.data if isinstance(message, Raw) else self._codec.encode(message, device)

    def tell(
        self, message: Mapping[str, Any], device: Any = None, /
    ) -> tuple[bytes, Mapping[str, Any]]:
        return (
            (message.data, message)
            if isinstance(message, Raw)
            else self._codec.tell(message, device)
        )


class RawService(Service):
    """A service whose devices may say raw bytes."""

    def learn_raw(self) -> None:
        """To be called once, when it has become of this class."""
        codec: Any = RawCodec(self._answer_codec)
        self._answer_codec, self._encode = codec, codec.encode

    def _tell_sent(
        self,
        device: SimDevice,
        datagram: Datagram,
        message: Mapping[str, Any],
        befell: Befell | None = None,
    ) -> None:
        if isinstance(message, Raw):
            try:
                message = self._answer_codec.decode(message.data, device)
            except DecodeError as error:
                self._tell_garbled(device, datagram, cast("Raw", message).data, error)
                return
        super()._tell_sent(device, datagram, message, befell)


class RawSessionService(SessionService):
    """The same with sessions."""

    learn_raw = RawService.learn_raw

    def _reply_by_rule(
        self,
        session: Session,
        message: Message,
        exchange: Any,
        peer: Peer,
        rule: str = "",
        asked: Message | None = None,
    ) -> str:
        if not isinstance(message, Raw):
            return super()._reply_by_rule(session, message, exchange, peer, rule, asked)
        device: Any = session.device
        self._send_payload(device, message.data, peer, message, None)
        return ANSWERED

    def submit(
        self, device: SimDevice, message: Mapping[str, Any], peer: Peer, ticket: Ticket | None
    ) -> None:
        if isinstance(message, Raw):
            self.now = self._clock()
            self._send_payload(device, message.data, peer, message, None)
        else:
            super().submit(device, message, peer, ticket)

    def _whole(self, device: SimDevice, message: Mapping[str, Any]) -> Message:
        return message if isinstance(message, Raw) else super()._whole(device, message)

    def _tell(
        self,
        device: SimDevice,
        datagram: Datagram,
        wire: Mapping[str, Any],
        said: Mapping[str, Any] | None,
        befell: Befell | None = None,
    ) -> None:
        if isinstance(wire, Raw):
            try:
                wire = self._answer_codec.decode(wire.data, device)
            except DecodeError as error:
                self._tell_garbled(device, datagram, cast("Raw", wire).data, error)
                return
            said = None if self._apart else wire
        super()._tell(device, datagram, wire, said, befell)


def let_say_raw(service: Service) -> None:
    """Let the devices of `service` say raw bytes, if they do not already."""
    if isinstance(service, (RawService, RawSessionService)):
        return
    kind = RawSessionService if isinstance(service, SessionService) else RawService
    service.__class__ = kind
    cast("RawService", service).learn_raw()
