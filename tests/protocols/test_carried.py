"""What sessions say of a datagram which they never had is what they hand up of one that they have."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.protocols.knx import Client as KnxClient
from tests.protocols.knx import Device as KnxDevice
from tests.protocols.lwm2m import Client as Lwm2mClient
from tests.protocols.test_mqttsn_lossy import Network

from iotsim.protocol.registry import load_protocol
from iotsim.simulation.sessions import SessionService

if TYPE_CHECKING:
    from iotsim import Peer, Session

    Message = dict[str, Any]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many messages above there were by kind, and how many datagrams of which nobody knows; each datagram
    that a session has is looked at."""
    counted: Counter[str] = Counter()
    heard: list[Message] = []
    observe = SessionService.observe

    def listen(host: SessionService, session: Session, message: Message, peer: Peer) -> None:
        heard.append(dict(message))
        observe(host, session, message, peer)

    def compare(session_class: Any) -> None:
        receive = session_class.receive

        def received(session: Session, message: Message, peer: Peer) -> None:
            carried = session.carried(message, peer)
            heard.clear()
            receive(session, message, peer)
            if carried is None:
                counted["unknown"] += 1
                return
            assert carried == heard, message
            counted.update(next(iter(one.values())) for one in heard)

        monkeypatch.setattr(session_class, "receive", received)

    monkeypatch.setattr(SessionService, "observe", listen)
    for name in ("mqttsn", "lwm2m", "knxnet"):
        compare(load_protocol(name).protocol.session)
    return counted


def test_mqttsn_on_both_sides_of_a_network_that_loses(compared: Counter[str]) -> None:
    network = Network(seed=3, loss=0.2)
    network.wait(5)
    for number in range(12):
        for client in network.clients.values():
            client.device.say(
                kind="PUBLISH", topic=("ab", "long/name")[number % 2], data="1", qos=number % 3
            )
        network.wait(2)
    for client in network.clients.values():
        client.device.say(kind="UNSUBSCRIBE", topic="#")
        client.device.say(kind="DISCONNECT")
    network.wait(20)
    assert {"CONNECT", "CONNACK", "REGISTER", "PUBLISH", "PUBACK"} < {*compared}
    assert {"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "DISCONNECT"} < {*compared}
    assert compared["unknown"] == 0


def test_lwm2m(compared: Counter[str]) -> None:
    device = Lwm2mClient(registers=False)
    device.send("GET", "/3303/0/5700")
    device.answer("CREATED", location_path=["rd", "1"])
    device.send("GET", "/3303/0/5700")
    device.send("GET", "/3303/0/5700", observe=0)
    device.send("PUT", "/3311/0/5850", payload="1")
    device.send("PUT", "/3311/0", query=["pmin=1"])
    device.send("POST", "/3/0/4")
    device.send("GET", "/other")
    device.send("DELETE", "/3")  # which is no operation
    device.receive({"type": "CON", "code": "EMPTY", "message_id": 9, "token": b""})
    block = {"number": 0, "more": True, "size": 16}
    device.send("PUT", "/3311/0/5850", payload="1" * 16, block1=block)
    assert {"READ", "OBSERVE", "WRITE", "WRITE_ATTRIBUTES", "EXECUTE"} < {*compared}
    assert compared["RESPONSE"] == compared["unknown"] == 1


def test_knxnet(compared: Counter[str]) -> None:
    device = KnxDevice({"1/2/3": {"dpt": "9.001", "value": 20.5}}, model={"routing": True})
    client = KnxClient(device)
    client.exchange(apci="GROUP_VALUE_READ")
    client.exchange(apci="GROUP_VALUE_READ", destination="1.1.20", address_type="INDIVIDUAL")
    client.say(apci="GROUP_VALUE_READ", sequence=client.sequence - 1)  # repeated
    device.route(apci="GROUP_VALUE_READ")
    device.route(apci="GROUP_VALUE_WRITE", data=b"\x0c\x1a")
    device.receive(service="ROUTING_BUSY", wait_time=20, control_field=0)
    assert compared == {"GROUP_VALUE_READ": 2, "GROUP_VALUE_WRITE": 1}
