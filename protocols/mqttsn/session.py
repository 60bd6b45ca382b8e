"""`MqttSn`: the session, which is a client or a gateway as the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import EncodeError, Session

from . import client, gateway
from .follower import ASKED
from .topics import is_filter, is_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim import Peer, Ticket

    from .model import Model

    Message = dict[str, Any]

LONGEST_DATA = 60_000
"""In bytes: so much fits into a datagram, whatever goes with it."""


class MqttSn(Session):
    __slots__ = ("_role",)

    model: Model

    def __init__(self) -> None:
        is_gateway = self.model.role == "gateway"
        self._role = gateway.Gateway(self) if is_gateway else client.Client(self)

    @classmethod
    def check(cls, message: Mapping[str, Any], model: Model) -> None:
        kind, topic, data = message["kind"], message.get("topic", ""), message.get("data", "")
        if kind == "PUBLISH" and not is_name(topic):
            raise EncodeError("must have a topic, without wildcards", "topic")
        if kind in ("SUBSCRIBE", "UNSUBSCRIBE") and not is_filter(topic):
            raise EncodeError("'+' stands for a level, '#' for all that follow", "topic")
        if kind == "WILLTOPICUPD" and topic and not is_name(topic):
            raise EncodeError("a will has a topic without wildcards", "topic")
        if len(data) * 3 > LONGEST_DATA and len(_bytes(data)) > LONGEST_DATA:
            raise EncodeError(f"at most {LONGEST_DATA} bytes", "data")
        if message.get("qos", 0) not in ((-1, 0, 1, 2) if kind == "PUBLISH" else (0, 1, 2)):
            raise EncodeError("must be 0, 1 or 2; or -1, of a publication", "qos")
        (gateway if model.role == "gateway" else client).check(message, model)

    async def run(self) -> None:
        await self._role.run()

    def receive(self, message: Message, peer: Peer) -> None:
        self._role.receive(message, peer)

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        return self._role.carried(message, peer)

    def respond(self, message: Message, peer: Peer) -> list[Message] | None:
        """What answers a client, who has asked for it, needs no rule."""
        return [] if self.model.role != "gateway" and message["kind"] in ASKED else None

    def reply(self, message: Message, exchange: Any) -> None:
        self.check(message, self.model)
        self._role.reply(message, exchange)

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        self.check(message, self.model)
        self._role.submit(message, ticket)


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
