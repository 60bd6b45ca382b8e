"""Mutated messages through codec and session of LwM2M: whatever comes, the device goes on."""

from __future__ import annotations

import json
import random
from typing import Any

import cbor2
import pytest
from tests.protocols.lwm2m import CBOR, JSON, LINKS, PEER, TLV, Client
from tests.protocols.test_coap_fuzz import mutated

from iotsim.events import DeviceFailed, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.protocols.lwm2m.message import ASKED
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint

LOADED = load_protocol("lwm2m")
CODEC = LOADED.protocol.codec
OWN = parse_endpoint("10.77.1.1:5683")
SERVER = parse_endpoint(PEER)
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


def agreement(request: bytes) -> bytes:
    """The answer to a registration, or to what keeps it or ends it."""
    code = 0x42 if request[1] == 4 else 0x41 if b"ep=" in request else 0x44
    return bytes([0x64, code]) + request[2:8] + b"\x82rd\x011"


def heard(client: Client) -> int:
    """How many operations have reached the device."""
    sent = [e.message for e in client.events if getattr(e, "layer", "") == "application"]
    return sum(one["operation"] in ASKED for one in sent)


@pytest.mark.parametrize("seed", range(4))
def test_a_device_goes_on(seed: int) -> None:
    chance = random.Random(seed)
    model = {"lifetime": "20s", "retry": "5s", "binding": ("U", "UQ")[seed % 2], "block_size": 64}
    client = Client(OBJECTS, model, state={"x": 1.5, "on": True}, seed=seed)
    inputs = [CODEC.encode({"code": "GET", "token": b"t", **one}) for one in REQUESTS]
    for _ in range(1000):
        data = bytearray(mutated(chance.choice(inputs), chance))
        if len(data) >= 4:
            data[2:4] = chance.randrange(200).to_bytes(2, "big")
        asked = [one for _, one in client.datagrams[-8:] if one[0] == 0x44 and one[1] in (2, 4)]
        if asked and chance.random() < 0.7:
            client._link.send_nowait(datagram_frame(SERVER, OWN, agreement(asked[-1])))
        # The ids and tokens of what the device has sent last, so that it takes some for answers.
        if len(data) >= 4 and chance.random() < 0.3:
            last = client.datagrams[-1][1]
            data[2:4] = last[2:4]
            if last[0] & 15 == 4:
                data[0] = data[0] & 0xF0 | 4
                data[4:5] = last[4:8]
        client._link.send_nowait(datagram_frame(chance.choice(PEERS), OWN, bytes(data)))
        if chance.random() < 0.1:
            operation = chance.choice(
                ("UPDATE", "REGISTER", "REGISTER", "DEREGISTER", "SEND", "NOTIFY")
            )
            path = chance.choice(("/3303/0", "/3303/0/5750"))
            value = None if operation == "SEND" else "x"
            client.say(operation=operation, path=path, value=value if "/5750" in path else None)
        client.wait(chance.choice((0, 0, 0.01, 1, 5)))
    failed = [one for one in client.events if isinstance(one, DeviceFailed | SessionFailed)]
    assert not failed, failed
    assert heard(client) > 100
    client.reboot()
    client.answer("CREATED", location_path=["rd", "9"])
    assert client.get("/3303/0/5750") == "x"


IDS = (0, 1, 2, 3, 4, 7, 255, 256, 5850, 65534, 65535)
VALUES = (b"", b"\0", b"\1", b"\0\5", b"\x7f\xc0\0\0", b"12345678", b"\xff\xfe")


def grown(chance: random.Random, depth: int = 0) -> bytes:
    """Some TLV whose lengths are right, of entries that may be anywhere."""
    found = b""
    for _ in range(chance.randint(0, 4)):
        kind, number = chance.choice((0, 1, 2, 3, 3)), chance.choice(IDS)
        body = grown(chance, depth + 1) if kind in (0, 2) and depth < 3 else chance.choice(VALUES)
        length = bytes([len(body)]) if len(body) > 7 else b""
        head = kind << 6 | (number > 255) << 5 | (8 if length else len(body))
        name = number.to_bytes(2 if number > 255 else 1, "big")
        found += bytes([head]) + name + length + body
        if len(found) > 200:
            break
    return found if len(found) < 256 else b""


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_made_can_be_read(seed: int) -> None:
    chance = random.Random(seed)
    client = Client(OBJECTS, state={"x": 1.5, "on": True}, seed=seed)
    codes = set()
    for _ in range(400):
        path = chance.choice(("/2", "/10250", "/10250/0", "/10250/1", "/2/0/2", "/1/0", "/3303/0"))
        method = chance.choice(("PUT", "POST"))
        body = grown(chance)
        codes.add(client.code(method, path, payload=body, content_format=TLV))
        accept = chance.choice((TLV, JSON, CBOR, LINKS))
        answer = client.ask("GET", path, accept=accept)
        assert answer["code"] in ("CONTENT", "NOT_FOUND")
        if client.requests[-1]["path"] != "/rd":
            client.answer("CHANGED")
    assert codes >= {"CREATED", "CHANGED", "BAD_REQUEST", "METHOD_NOT_ALLOWED"}
