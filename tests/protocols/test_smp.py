"""SMP: the header, and the CBOR behind it as another codec has it."""

from __future__ import annotations

import struct
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError
from iotsim.protocol.registry import load_protocol

LOADED = load_protocol("smp")
CODEC = LOADED.protocol.codec
ECHO = {"version": "V2", "op": "WRITE", "group": "OS", "sequence": 7, "command": 0}


def packet(payload: bytes, first: int = 0x0A, length: int | None = None) -> bytes:
    """An echo by the definition: operation and version, flags, length, group, sequence, command."""
    size = len(payload) if length is None else length
    return struct.pack(">BBHHBB", first, 0, size, 0, 7, 0) + payload


@pytest.mark.parametrize("payload", [{}, {"d": "hello"}, {"off": 70000, "data": b"\x00" * 300}])
def test_a_message_is_a_header_and_cbor(payload: dict[str, Any]) -> None:
    message = {**ECHO, "payload": payload}
    data = packet(cbor2.dumps(payload))
    assert CODEC.encode(message) == data
    assert CODEC.decode(data) == {**message, "flags": 0, "length": len(data) - 8}


def test_a_map_may_be_of_indefinite_length() -> None:
    for payload in ({"r": "x" * 30, "list": [1, [True]]}, {}):
        data = packet(cbor2.dumps(payload, indefinite_containers=True))
        assert CODEC.decode(data)["payload"] == payload


def test_a_group_of_the_users_is_its_number() -> None:
    message = {**ECHO, "group": 64, "command": 9, "payload": {}}
    assert CODEC.decode(CODEC.encode(message))["group"] == 64


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (b"", "", "the message ends too early"),
        (packet(b"\xa0")[:7], "command", "the message ends too early"),
        (packet(b""), "payload", "no CBOR: it ends too early"),
        (packet(b"\xa1\x61d"), "payload", "no CBOR: it ends too early"),
        (packet(b"\xa0\xa0"), "payload", "no CBOR: 1 byte is left over"),
        (packet(b"\xa0", length=2), "", "wrong length"),
        (packet(b"\x81" * 9000), "payload", "no CBOR: nested too deeply"),
    ],
)
def test_what_is_no_message(data: bytes, path: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        CODEC.decode(data)
    assert caught.value.path == path


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    for datagram in (data, packet(data)):
        try:
            message = CODEC.decode(datagram)
        except DecodeError:
            continue
        assert repr(CODEC.decode(CODEC.encode(message))["payload"]) == repr(message["payload"])
