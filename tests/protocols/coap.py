"""What tests of CoAP share: a device that is a server, and a client at its side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.events import Sent
from iotsim.testing.transcript import PEER, Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

    Message = Mapping[str, Any]

OTHER = "10.77.0.2:41000"


class Server(Transcript):
    """A CoAP device with `resources`; `model` are the other keys of its model, `table` those of the
    device."""

    def __init__(
        self, resources: Mapping[str, Any] | None = None, model: Any = None, **table: Any
    ) -> None:
        super().__init__("coap", model={"resources": resources or {}, **(model or {})}, **table)
        self.last_id = 1000

    def send(self, code: str, path: str = "/", **fields: Any) -> list[Message]:
        """Send a request with a new id, and what is sent back at once."""
        self.last_id += 1
        sent = {"code": code, "path": path, "message_id": self.last_id, "token": b"t", **fields}
        return self.receive(sent)

    def ask(self, code: str, path: str = "/", **fields: Any) -> Message:
        """The one response, in the acknowledgment, to a request with a new id."""
        (answer,) = self.send(code, path, **fields)
        assert answer["type"] == "ACK"
        assert answer["message_id"] == self.last_id
        return answer

    def get(self, path: str = "/", **fields: Any) -> Message:
        return self.ask("GET", path, **fields)

    @property
    def times(self) -> list[float]:
        """When the datagrams were sent."""
        sent = [event for event in self.events if isinstance(event, Sent)]
        return [event.t for event in sent if event.layer != "application"]

    def acknowledge(self, message: Message, kind: str = "ACK", peer: str = PEER) -> None:
        empty = {"type": kind, "code": "EMPTY", "message_id": message["message_id"]}
        self.receive(empty, peer=peer)

    def after(self, seconds: float) -> list[Message]:
        """What is sent in the next so many seconds."""
        before = len(self.sent)
        self.wait(seconds)
        return self.sent[before:]


def shown(message: Message, *fields: str) -> tuple[Any, ...]:
    return tuple(message.get(field) for field in fields)
