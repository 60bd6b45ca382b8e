"""Mutated messages through codec and session of LwM2M: whatever comes, the device goes on."""

from __future__ import annotations

import json
import random
from typing import Any

import cbor2
import pytest
from tests.protocols.lwm2m import CBOR, JSON, LINKS, TLV, Client
from tests.protocols.test_coap_fuzz import mutated

from iotsim.events import DeviceFailed, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint

LOADED = load_protocol("lwm2m")
CODEC = LOADED.protocol.codec
OWN = parse_endpoint("10.77.1.1:5683")
PEERS = [parse_endpoint(f"10.77.0.{number}:4000{number}") for number in range(1, 4)]
OBJECTS: dict[str, Any] = {
    "2": {"0": {}},
    "3303": {"0": {"5700": "=t", "5750": "x"}, "1": {"5700": "=state.x"}},
    "5": {"0": {}},
    "10250": {"0": {"0": 1, "1": 1.5, "2": "x", "3": True, "4": {"0": "a", "1": "b"}}},
}
RECORDS: list[Any] = [
    {"bn": "/10250/0/", "n": "0", "v": 7},
    {"n": "2", "vs": "y"},
    {"n": "4/2", "vs": "z"},
    {"n": "3", "vb": False},
]
LABELS = {"bn": -2, "n": 0, "v": 2, "vs": 3, "vb": 4}
BINARY = cbor2.dumps([{LABELS[key]: value for key, value in one.items()} for one in RECORDS])
PATHS = [{"n": "/10250/0"}, {"n": "/3303/0/5700"}, {"n": "/1"}]
BLOCK = {"number": 0, "more": True, "size": 16}
REQUESTS: list[dict[str, Any]] = [
    {"path": "/10250/0"},
    {"path": "/10250", "accept": JSON},
    {"path": "/1/0", "accept": CBOR},
    {"path": "/3", "accept": LINKS},
    {"path": "/3303/0/5700", "observe": 0},
    {"path": "/10250/0", "observe": 0, "accept": CBOR},
    {"path": "/3303/0/5700", "observe": 1},
    {"code": "PUT", "path": "/3303/0/5700", "query": ["pmin=1", "pmax=5", "gt=3", "lt=1", "st=1"]},
    {"code": "PUT", "path": "/3303", "query": ["pmin"]},
    {"code": "PUT", "path": "/10250/0/0", "payload": "12"},
    {"code": "PUT", "path": "/10250/0", "payload": json.dumps(RECORDS), "content_format": JSON},
    {"code": "POST", "path": "/10250/0", "payload": BINARY, "content_format": CBOR},
    {"code": "PUT", "path": "/2/0/2", "payload": b"\x87\x02\x41\x7f\x07\x61\x01\x36\x01"}
    | {"content_format": TLV},
    {"code": "POST", "path": "/2", "payload": b"\x08\x05\x06\xc1\x00\x01\xc1\x01\x00"}
    | {"content_format": TLV},
    {"code": "POST", "path": "/10250", "payload": b"\xc1\x00\x01", "content_format": TLV},
    {"code": "DELETE", "path": "/2/5"},
    {"code": "POST", "path": "/1/0/8"},
    {"code": "POST", "path": "/1/0/4"},
    {"code": "PUT", "path": "/1/0/1", "payload": "20"},
    {"code": "FETCH", "path": "/", "payload": json.dumps(PATHS), "content_format": JSON}
    | {"observe": 0},
    {"code": "IPATCH", "path": "/", "payload": json.dumps(RECORDS), "content_format": JSON},
    {"code": "PUT", "path": "/5/0/0", "payload": "x" * 16, "content_format": 42, "block1": BLOCK},
    {"code": "CREATED", "type": "ACK", "location_path": ["rd", "5"]},
    {"code": "CHANGED", "type": "ACK"},
    {"code": "NOT_FOUND", "type": "CON"},
    {"code": "CONTENT", "type": "NON", "observe": 3},
]


@pytest.mark.parametrize("seed", range(4))
def test_a_device_goes_on(seed: int) -> None:
    chance = random.Random(seed)
    model = {"lifetime": "20s", "retry": "5s", "binding": ("U", "UQ")[seed % 2], "block_size": 64}
    client = Client(OBJECTS, model, state={"x": 1.5, "on": True}, seed=seed)
    inputs = [CODEC.encode({"code": "GET", "token": b"t", **one}) for one in REQUESTS]
    for _ in range(700):
        data = bytearray(mutated(chance.choice(inputs), chance))
        if len(data) >= 4:
            data[2:4] = chance.randrange(60).to_bytes(2, "big")
        # The ids and tokens of what the device has sent last, so that it takes some for answers.
        if len(data) >= 4 and chance.random() < 0.3:
            last = client.datagrams[-1][1]
            data[2:4] = last[2:4]
            if last[0] & 15 == 4:
                data[0] = data[0] & 0xF0 | 4
                data[4:5] = last[4:8]
        client._link.send_nowait(datagram_frame(chance.choice(PEERS), OWN, bytes(data)))
        if chance.random() < 0.1:
            operation = chance.choice(("UPDATE", "REGISTER", "DEREGISTER", "SEND", "NOTIFY"))
            path = chance.choice(("/3303/0", "/3303/0/5750"))
            value = None if operation == "SEND" else "x"
            client.say(operation=operation, path=path, value=value if "/5750" in path else None)
        client.wait(chance.choice((0, 0, 0.01, 1, 5)))
    failed = [one for one in client.events if isinstance(one, DeviceFailed | SessionFailed)]
    assert not failed, failed
    client.reboot()
    client.answer("CREATED", location_path=["rd", "9"])
    assert client.get("/3303/0/5750") == "x"
