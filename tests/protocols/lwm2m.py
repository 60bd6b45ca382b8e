"""What tests of LwM2M share: a device, and a server at its side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from iotsim.testing.transcript import PEER, Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

    Message = Mapping[str, Any]

TLV = "application/vnd.oma.lwm2m+tlv"
JSON = "application/senml+json"
CBOR = "application/senml+cbor"
LINKS = "application/link-format"
OBJECTS: dict[str, Any] = {
    "3303": {"0": {"5700": "=20.0 + t", "5701": "Cel", "5750": "hall"}},
    "3311": {"0": {"5850": "=state.on", "5851": 10}, "1": {"5850": False}},
}


class Client(Transcript):
    """A device with `objects`, in the place of `OBJECTS`; `model` are other keys, `table` those of the
    device. It is registered as ``/rd/1``, unless told otherwise."""

    def __init__(
        self,
        objects: Mapping[str, Any] | None = None,
        model: Any = None,
        *,
        registers: bool = True,
        **table: Any,
    ) -> None:
        given = {"endpoint": "ep", "objects": OBJECTS if objects is None else objects}
        table.setdefault("state", {"on": True})
        super().__init__("lwm2m", model={**given, **(model or {})}, **table)
        self.last_id = 1000
        if registers:
            self.answer("CREATED", location_path=["rd", "1"])

    def answer(self, code: str, **fields: Any) -> list[Message]:
        """The server answers the request that the device has sent last."""
        asked = self.requests[-1]
        header = {"type": "ACK", "message_id": asked["message_id"], "token": asked["token"]}
        return self.receive({**header, "code": code, **fields})

    @property
    def requests(self) -> list[Message]:
        """What the device has asked for."""
        return [one for one in self.sent if one["code"] in ("POST", "DELETE")]

    def send(self, code: str, path: str, peer: str = PEER, **fields: Any) -> list[Message]:
        """The server asks, with a new id; what is sent at once."""
        self.last_id += 1
        sent = {"code": code, "path": path, "message_id": self.last_id, "token": b"t", **fields}
        return self.receive(sent, peer=peer)

    def ask(self, code: str, path: str, **fields: Any) -> Message:
        """The server asks; the response, which is in the acknowledgment."""
        found = [one for one in self.send(code, path, **fields) if one["type"] == "ACK"]
        assert len(found) == 1
        assert found[0]["message_id"] == self.last_id
        return found[0]

    def get(self, path: str, **fields: Any) -> Any:
        """The payload of a read."""
        answer = self.ask("GET", path, **fields)
        assert answer["code"] == "CONTENT", answer
        return answer["payload"]

    def code(self, code: str, path: str, **fields: Any) -> Any:
        return self.ask(code, path, **fields)["code"]

    def after(self, seconds: float) -> list[Message]:
        """What is sent in the next so many seconds."""
        before = len(self.sent)
        self.wait(seconds)
        return self.sent[before:]


def said(client: Client, operation: str = "NOTIFY") -> list[Message]:
    """What the device has said, above CoAP."""
    sent = [e.message for e in client.events if getattr(e, "layer", "") == "application"]
    return [one for one in sent if one["operation"] == operation]


def records(payload: Any) -> list[Any]:
    found = json.loads(payload)
    assert isinstance(found, list)
    return found
