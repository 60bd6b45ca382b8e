"""Mutated messages through codec and session: whatever comes, the device goes on."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.protocols.coap import Server

from iotsim.events import DeviceFailed, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint

LOADED = load_protocol("coap")
CODEC = LOADED.protocol.codec
OWN = parse_endpoint("10.77.1.1:5683")
GROUP = parse_endpoint("224.0.1.187:5683")
PEERS = [parse_endpoint(f"10.77.0.{number}:4000{number}") for number in range(1, 4)]
RESOURCES: dict[str, Any] = {
    "/a": {"value": "=state.a", "methods": ["GET", "PUT", "POST", "DELETE"], "observe": "1s"},
    "/j": {
        "value": "=state.j",
        "format": "application/json",
        "formats": {"application/cbor": {"a": 1}},
        "methods": ["GET", "PUT", "FETCH", "PATCH", "IPATCH", "DELETE"],
        "confirmable": True,
        "observe": "1s",
        "etag": True,
    },
    "/l": {"value": "long" * 100, "methods": ["GET", "PUT"], "observe": "1s", "max_age": 3},
}
BLOCK = {"number": 1, "more": True, "size": 16}
REQUESTS: list[dict[str, Any]] = [
    {"path": "/a", "observe": 0},
    {"path": "/j", "observe": 0, "accept": "application/cbor"},
    {"path": "/l", "observe": 1, "block2": BLOCK},
    {"path": "/l", "type": "NON", "block2": {**BLOCK, "number": 0}, "size2": 0},
    {"code": "PUT", "path": "/a", "payload": "12", "if_match": [b""]},
    {"code": "PUT", "path": "/l", "payload": "x" * 16, "block1": {**BLOCK, "number": 0}},
    {"code": "PUT", "path": "/l", "payload": "y" * 16, "block1": BLOCK, "size1": 40},
    {"code": "PUT", "path": "/j", "payload": '{"a":[{}]}'},
    {"code": "PUT", "path": "/j", "payload": b"\xa1\x61\x61\x02", "content_format": 60},
    {"code": "PATCH", "path": "/j", "payload": '{"a":{"b":null}}', "content_format": 52},
    {"code": "FETCH", "path": "/j", "payload": "{}", "content_format": 50, "observe": 0},
    {"code": "DELETE", "path": "/j", "if_none_match": True, "no_response": 2},
    {"path": "/.well-known/core", "query": ["rt=*", "href=/a"]},
    {"code": "EMPTY"},
    {"code": "EMPTY", "type": "ACK"},
    {"code": "EMPTY", "type": "RST"},
    {"code": "CONTENT", "type": "ACK", "observe": 7, "block2": BLOCK, "etag": [b"1"]},
    {"code": "CONTENT", "type": "CON", "observe": 8, "block2": {**BLOCK, "number": 0}},
    {"code": "CONTINUE", "type": "ACK", "block1": BLOCK},
    {"code": "TOO_MANY_REQUESTS", "type": "NON", "max_age": 5},
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            found[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            found[at:at] = chance.randbytes(chance.randrange(1, 5))
        elif kind == 2:
            del found[at : at + chance.randrange(1, 5)]
        elif at < len(found):
            found[at] ^= 1 << chance.randrange(8)
    return bytes(found)


@pytest.mark.parametrize("seed", range(4))
def test_a_device_goes_on(seed: int) -> None:
    chance = random.Random(seed)
    server = Server(RESOURCES, {"block_size": 64}, state={"a": 1, "j": {"a": {"b": 2}}}, seed=seed)
    inputs = [vector.data for vector in LOADED.vectors]
    inputs += [CODEC.encode({"code": "GET", "token": b"t", **one}) if one.get("code") != "EMPTY"
               else CODEC.encode(one) for one in REQUESTS]  # fmt: skip
    for _ in range(600):
        data = bytearray(mutated(chance.choice(inputs), chance))
        if len(data) >= 4 and chance.random() < 0.9:
            data[2:4] = chance.randrange(50).to_bytes(2, "big")
        # The tokens and ids of what the device has sent last, so that it takes part of them for answers.
        if server.datagrams and len(data) >= 4 and chance.random() < 0.3:
            last = server.datagrams[-1][1]
            data[2:4] = last[2:4]
            if last[0] & 15 == 4:
                data[0] = data[0] & 0xF0 | 4
                data[4:5] = last[4:8]
        to = GROUP if chance.random() < 0.05 else OWN
        server._link.send_nowait(datagram_frame(chance.choice(PEERS), to, bytes(data)))
        if chance.random() < 0.2:
            path = chance.choice(("/a", "/l"))
            payload = "x" * chance.choice((1, 200))
            server.say(code="POST", path=path, payload=payload, to="10.77.0.1:40001")
        if chance.random() < 0.1:
            server.say(code="GET", path="/a", observe=0, to="10.77.0.2:40002")
        server.wait(chance.choice((0, 0, 0.01, 1, 5)))
    failed = [one for one in server.events if isinstance(one, DeviceFailed | SessionFailed)]
    assert not failed, failed
    assert server.get("/.well-known/core")["code"] == "CONTENT"
