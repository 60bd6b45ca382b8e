"""What tests of KNXnet/IP share: a device, and clients with tunnels at its side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.testing.transcript import PEER, Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

    Message = Mapping[str, Any]

OTHER = "10.77.0.2:41000"
GROUP = "224.0.23.12"
NAT = {"address": "0.0.0.0", "port": 0}
TELEGRAM: dict[str, Any] = {
    "code": "L_DATA_REQ",
    "destination": "1/2/3",
    "apci": "GROUP_VALUE_READ",
}


class Device(Transcript):
    """A device with group objects `groups`; `model` are the other keys of its model, `table` those of the
    device. It does not route, unless the model says so."""

    def __init__(self, groups: Any = None, *, model: Any = None, **table: Any) -> None:
        whole = {"individual": "1.1.10", "routing": False, "groups": groups or {}, **(model or {})}
        super().__init__("knxnet", model=whole, **table)

    def connect(self, peer: str = PEER, kind: str = "TUNNEL_CONNECTION", **cri: Any) -> Message:
        """The answer to a CONNECT_REQUEST from behind a NAT."""
        (answer,) = self.receive(
            service="CONNECT_REQUEST",
            control=NAT,
            data_endpoint=NAT,
            cri={"connection_type": kind, **cri},
            peer=peer,
        )
        return answer

    def route(self, peer: str = PEER, **cemi: Any) -> list[Message]:
        """What is sent at once after a telegram to the routing group."""
        frame = {**TELEGRAM, "code": "L_DATA_IND", "source": "1.1.77", **cemi}
        return self.receive(service="ROUTING_INDICATION", cemi=frame, peer=peer, at=GROUP)


class Client:
    """A client with a connection."""

    def __init__(self, device: Device, peer: str = PEER, kind: str = "TUNNEL_CONNECTION") -> None:
        self.device, self.peer = device, peer
        answer = device.connect(peer, kind)
        assert answer["status"] == "E_NO_ERROR"
        self.channel: int = answer["channel"]
        self.individual: str = answer["crd"].get("individual", "")
        self.service = "TUNNELLING" if kind == "TUNNEL_CONNECTION" else "DEVICE_CONFIGURATION"
        self.sequence = 0
        self.taken = 0

    def say(self, *, sequence: int | None = None, **cemi: Any) -> list[Message]:
        """Send a message, and see what is sent back at once."""
        number = self.sequence if sequence is None else sequence
        self.sequence = (number + 1) & 0xFF
        frame = {**TELEGRAM, **cemi} if self.service == "TUNNELLING" else cemi
        return self.device.receive(
            service=f"{self.service}_REQUEST",
            channel=self.channel,
            sequence=number,
            cemi=frame,
            peer=self.peer,
        )

    def acknowledge(self, sequence: int, status: str = "E_NO_ERROR") -> list[Message]:
        return self.device.receive(
            service=f"{self.service}_ACK",
            channel=self.channel,
            sequence=sequence,
            status=status,
            peer=self.peer,
        )

    def exchange(self, **cemi: Any) -> list[Message]:
        """Send a message, acknowledge whatever comes for it, and see the cEMI of that."""
        sent = self.say(**cemi)
        found = []
        while requests := [one for one in sent if self._is_request(one)]:
            (request,) = requests
            found.append(request["cemi"])
            sent = self.acknowledge(request["sequence"])
        return found

    def ask_state(self, peer: str = "") -> str:
        (answer,) = self.device.receive(
            service="CONNECTIONSTATE_REQUEST",
            channel=self.channel,
            control=NAT,
            peer=peer or self.peer,
        )
        return str(answer["status"])

    def disconnect(self, peer: str = "") -> str:
        (answer,) = self.device.receive(
            service="DISCONNECT_REQUEST",
            channel=self.channel,
            control=NAT,
            peer=peer or self.peer,
        )
        return str(answer["status"])

    def _is_request(self, message: Message) -> bool:
        return (message["service"], message.get("channel")) == (
            f"{self.service}_REQUEST",
            self.channel,
        )
