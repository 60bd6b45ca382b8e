"""Mutated messages through codec and session, of clients and gateways: whatever comes, they go on."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.protocols.mqttsn import GROUP, Client, Device, Gateway
from tests.protocols.test_coap_fuzz import mutated

from iotsim.protocol.registry import load_protocol
from iotsim.protocols.mqttsn.message import write
from iotsim.testing.frames import datagram_frame
from iotsim.testing.transcript import PEER
from iotsim.units import parse_endpoint

OWN = parse_endpoint("10.77.1.1:1883")
EVERYBODY = parse_endpoint(f"{GROUP}:1883")
PEERS = [PEER, "10.77.0.2:40002", "10.77.0.3:40003"]
VECTORS = [vector.data for vector in load_protocol("mqttsn").vectors]
REQUESTS: list[dict[str, Any]] = [
    {"kind": "CONNECT", "client_id": "a", "duration": 5},
    {"kind": "CONNECT", "client_id": "b", "duration": 100, "will": True, "clean_session": True},
    {"kind": "WILLTOPIC", "will_topic": "ab", "qos": 1, "retain": True},
    {"kind": "SUBSCRIBE", "topic": "#", "qos": 2, "message_id": 1},
    {"kind": "SUBSCRIBE", "topic_id_type": "PREDEFINED", "topic_id": 7, "message_id": 1},
    {"kind": "REGISTER", "topic": "a/b", "topic_id": 3, "message_id": 2},
    {"kind": "PUBLISH", "topic_id": 1, "qos": 1, "message_id": 3, "data": "x", "retain": True},
    {"kind": "PUBLISH", "topic_id_type": "SHORT", "topic": "ab", "qos": 2, "message_id": 3},
    {"kind": "PUBLISH", "topic_id_type": "PREDEFINED", "topic_id": 7, "qos": -1, "data": "y"},
    {"kind": "PINGREQ", "client_id": "a"},
    {"kind": "DISCONNECT", "duration": 3},
    {"kind": "GWINFO", "gateway_id": 2, "gateway_address": bytes([10, 77, 0, 2])},
    {"kind": "ENCAPSULATED", "node": b"n", "message": write({"kind": "PINGREQ", "client_id": "a"})},
]
ANSWERS = ("REGACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK")
SIMPLE = ("CONNACK", "WILLTOPICREQ", "WILLMSGREQ", "PINGRESP", "DISCONNECT", "WILLMSGRESP")
MODEL: dict[str, Any] = {
    "topics": {"fixed": 7},
    "retry": "2s",
    "retries": 2,
    "wait": "5s",
    "buffer": 4,
}
KINDS: dict[str, tuple[type[Device], dict[str, Any]]] = {
    "client": (Client, {"subscribe": ["#", "ab"], "will": {"topic": "w"}, "keep_alive": "5s"}),
    "searching": (Client, {"gateway": "search", "keep_alive": "5s"}),
    "sleeping": (Client, {"subscribe": ["a/b"], "sleep": "3s"}),
    "gateway": (Gateway, {"clients": 3}),
}


def answer(device: Device, chance: random.Random) -> bytes:
    """What might be the answer to what the device has sent last."""
    if chance.random() < 0.4 or not device.sent:
        return write({"kind": chance.choice(SIMPLE)})
    number = device.sent[-1].get("message_id", 0)
    message: dict[str, Any] = {"kind": chance.choice(ANSWERS), "message_id": number}
    if message["kind"] in ("REGACK", "PUBACK", "SUBACK"):
        message["topic_id"] = chance.randrange(4)
        message["return_code"] = chance.choice((0, 0, 0, 1, 2, 3, 99))
    return write(message)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_goes_on(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    make, model = KINDS[kind]
    device = make({**MODEL, **model}, seed=seed)
    inputs = VECTORS + [write(one) for one in REQUESTS]
    for _ in range(600):
        data = answer(device, chance) if chance.random() < 0.4 else chance.choice(inputs)
        if chance.random() < 0.5:
            data = mutated(data, chance)
            if data and chance.random() < 0.8:
                data = bytes([len(data) & 0xFF]) + data[1:]
        to = EVERYBODY if chance.random() < 0.1 else OWN
        peer = parse_endpoint(chance.choice(PEERS))
        device._link.send_nowait(datagram_frame(peer, to, data))
        if chance.random() < 0.2:
            topic = chance.choice(("ab", "a/b", "fixed"))
            qos = chance.choice((0, 1, 2) if topic == "a/b" else (-1, 0, 1, 2))
            device.say(kind="PUBLISH", topic=topic, data="x", qos=qos, retain=chance.random() < 0.3)
        if chance.random() < 0.05:
            device.say(kind="DISCONNECT")
            if make is Client:
                device.say(kind="CONNECT")
        device.wait(chance.choice((0, 0, 0.01, 1, 5)))
    assert device.failures == []
    if make is Gateway:
        (connack,) = device.receive(
            kind="CONNECT", client_id="a", duration=9, clean_session=True, peer=PEER
        )
        assert connack["kind"] == "CONNACK"
    else:
        sent = len(device.sent)
        device.wait(60)
        assert len(device.sent) > sent
