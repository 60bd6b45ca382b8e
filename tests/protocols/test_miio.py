"""miIO: what is made of a token, and of what is not encrypted with it."""

from __future__ import annotations

from hashlib import md5
from typing import Any

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError
from iotsim.protocol.device import StandIn
from iotsim.protocol.registry import load_protocol

PROTOCOL = load_protocol("miio").protocol
CODEC = PROTOCOL.codec
TOKEN = bytes.fromhex("00112233445566778899aabbccddeeff")
DEVICE = StandIn(state={"token": TOKEN})
COMMAND: dict[str, Any] = {
    "kind": "COMMAND",
    "device": 7,
    "stamp": 9,
    "payload": {"id": 1, "method": "get_prop", "params": []},
}


def packet(text: bytes, token: bytes = TOKEN) -> bytes:
    """A message with the payload `text`, made step by step."""
    key = md5(token).digest()
    encryptor = Cipher(AES(key), modes.CBC(md5(key + token).digest())).encryptor()
    padder = padding.PKCS7(128).padder()
    payload = encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
    head = b"\x21\x31" + (32 + len(payload)).to_bytes(2, "big") + bytes(7) + b"\x07" + bytes(4)
    return head + md5(head + token + payload).digest() + payload


@pytest.mark.parametrize("end", [b"", b"\0"])
def test_a_payload_may_end_in_a_zero(end: bytes) -> None:
    message = CODEC.decode(packet(b'{"id": 5, "result": ["ok"]}' + end), DEVICE)
    assert message["payload"] == {"id": 5, "result": ["ok"]}
    assert (message["kind"], message["device"]) == ("COMMAND", 7)


def test_a_hello_needs_no_token() -> None:
    data = bytes.fromhex("21310020") + b"\xff" * 28
    message = CODEC.decode(data, StandIn())
    assert (message["kind"], message["token"]) == ("HELLO", b"\xff" * 16)
    reply = {"kind": "HELLO", "device": 7, "stamp": 9}
    assert CODEC.encode(reply, StandIn()) == bytes.fromhex(
        "21310020 00000000 00000007 00000009 ffffffffffffffffffffffffffffffff"
    )


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (b"", "magic", "the message ends too early"),
        (packet(b"{}")[:31], "checksum", "the message ends too early"),
        (b"\x21\x30" + packet(b"{}")[2:], "magic", "parsing expected 8497"),
        (packet(b"{}", b"another token 16"), "checksum", "wrong checksum"),
        (packet(b"{}") + b"\0", "checksum", "wrong checksum"),
        (packet(b"{no json"), "payload", "JSON is malformed"),
        (packet(b"\xff"), "payload", "JSON is malformed"),
        (packet(b'{"a": ' + b"[" * 9000), "payload", "nested too deeply"),
    ],
)
def test_what_is_no_message(data: bytes, path: str, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(data, DEVICE)
    assert caught.value.path == path
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, "device[0] has no 'token' in its state"),
        ({"token": "0011"}, "this_device.state.token: the key of a checksum is str, and no bytes"),
    ],
)
def test_a_device_without_a_token(state: dict[str, Any], reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(packet(b"{}"), StandIn(state=state))
    assert caught.value.reason.startswith(reason)
    with pytest.raises(EncodeError):
        CODEC.encode(COMMAND, StandIn(state=state))


NAMES = st.text(max_size=4).filter(lambda name: not name.startswith("_"))
"""Without those that are private to schemas."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.integers(0, 2**32 - 1), st.binary(min_size=16, max_size=16))
def test_messages_come_back(payload: Any, stamp: int, token: bytes) -> None:
    device = StandIn(state={"token": token})
    data = CODEC.encode({**COMMAND, "stamp": stamp, "payload": payload}, device)
    message = CODEC.decode(data, device)
    assert (message["payload"], message["stamp"]) == (payload, stamp)
    assert message["length"] == len(data)


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    for datagram in (data, b"\x21\x31" + data, packet(data)):
        try:
            message = CODEC.decode(datagram, DEVICE)
        except DecodeError:
            continue
        assert PROTOCOL.summarize(message)
        assert CODEC.decode(CODEC.encode(message, DEVICE), DEVICE).keys() == message.keys()
