"""What tests of MQTT-SN share: a device that is a client, and one that is a gateway, each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.events import DeviceFailed, Note, Received, Sent, SessionFailed
from iotsim.testing.transcript import PEER, Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

    Message = Mapping[str, Any]

GROUP = "225.1.1.1"


class Device(Transcript):
    """A device with `model`; `table` are other keys of its own."""

    def __init__(self, model: Mapping[str, Any] | None = None, **table: Any) -> None:
        super().__init__("mqttsn", model=model or {}, **table)

    def after(self, seconds: float) -> list[Message]:
        """What is sent in the next so many seconds."""
        before = len(self.sent)
        self.wait(seconds)
        return self.sent[before:]

    def lines(self) -> list[str]:
        """Without the blanks of fields that are not there."""
        return [" ".join(line.split()) for line in super().lines()]

    @property
    def kinds(self) -> list[str]:
        """The types of all messages that were sent, in order."""
        return [message["kind"] for message in self.sent]

    @property
    def sent_at(self) -> list[tuple[float, str]]:
        return [
            (event.t, event.message["kind"])
            for event in self.events
            if isinstance(event, Sent) and event.layer != "application"
        ]

    @property
    def heard(self) -> list[Message]:
        """What rules were given."""
        return [
            event.message
            for event in self.events
            if isinstance(event, Received) and event.layer == "application"
        ]

    @property
    def said(self) -> list[Message]:
        """What was said above the session, and has left."""
        return [
            event.message
            for event in self.events
            if isinstance(event, Sent) and event.layer == "application"
        ]

    @property
    def notes(self) -> list[str]:
        """Its own."""
        texts = (event.text for event in self.events if isinstance(event, Note))
        return [text for text in texts if text.startswith("device[0]: ")]

    @property
    def failures(self) -> list[Any]:
        return [one for one in self.events if isinstance(one, DeviceFailed | SessionFailed)]


class Client(Device):
    """A client whose gateway is the test."""

    def __init__(self, model: Mapping[str, Any] | None = None, **table: Any) -> None:
        super().__init__({"client": "node", **(model or {})}, **table)

    def accept(self) -> list[Message]:
        """Accept CONNECT; what is sent upon that."""
        return self.receive(kind="CONNACK")

    def publish(self, topic: str, data: Any, **fields: Any) -> list[Message]:
        """Let it publish, and what is sent at once."""
        before = len(self.sent)
        self.say(kind="PUBLISH", topic=topic, data=data, **fields)
        return self.sent[before:]


class Gateway(Device):
    """A gateway whose clients are the test."""

    def __init__(self, model: Mapping[str, Any] | None = None, **table: Any) -> None:
        super().__init__({"role": "gateway", **(model or {})}, **table)

    def after(self, seconds: float) -> list[Message]:
        """What is sent in the next so many seconds, but for advertisements."""
        return [message for message in super().after(seconds) if message["kind"] != "ADVERTISE"]

    def connect(self, client_id: str, peer: str = PEER, **fields: Any) -> list[Message]:
        fields = {"duration": 60, "clean_session": True, **fields}
        return self.receive(kind="CONNECT", client_id=client_id, peer=peer, **fields)

    def subscribe(self, topic: str, peer: str = PEER, **fields: Any) -> list[Message]:
        fields = {"message_id": 1, "qos": 0, **fields}
        return self.receive(kind="SUBSCRIBE", topic=topic, peer=peer, **fields)

    def register(self, topic: str, peer: str = PEER) -> int:
        (answer,) = self.receive(kind="REGISTER", topic=topic, message_id=2, peer=peer)
        assert answer["return_code"] == "ACCEPTED"
        number: int = answer["topic_id"]
        return number


def shown(message: Message, *fields: str) -> tuple[Any, ...]:
    return tuple(message.get(field) for field in fields)
