"""TP-Link Smart Home: the scrambling, and what is no JSON under it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError
from iotsim.protocol.registry import load_protocol

CODEC = load_protocol("tplink").protocol.codec


def scrambled(plain: bytes) -> bytes:
    """By the definition: each byte is combined with the scrambled one before it."""
    data = [171]
    for byte in plain:
        data.append(byte ^ data[-1])
    return bytes(data[1:])


def test_answers_have_the_shape_of_what_was_asked() -> None:
    answer = {"payload": {"system": {"set_relay_state": {"err_code": 0}}}}
    data = CODEC.encode(answer)
    assert data == scrambled(b'{"system":{"set_relay_state":{"err_code":0}}}')
    assert CODEC.decode(data) == answer


def test_spaces_are_no_part_of_a_message() -> None:
    assert CODEC.decode(scrambled(b' { "a" : 1 } ')) == {"payload": {"a": 1}}


@pytest.mark.parametrize("plain", [b"", b"{", b"{}x", b"\xff\xfe", b"[" * 9000, b"\0"])
def test_what_is_no_json(plain: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(scrambled(plain))
    assert caught.value.path == "payload"
    assert caught.value.offset == 0


@pytest.mark.parametrize(
    ("value", "path"), [(b"bytes", "payload"), ({"a": b"b"}, "payload.a"), ({1, 2}, "payload")]
)
def test_what_json_has_no_form_for(value: Any, path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode({"payload": value})
    assert caught.value.path == path


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    for datagram in (data, scrambled(data)):
        try:
            message = CODEC.decode(datagram)
        except DecodeError:
            continue
        assert CODEC.decode(CODEC.encode(message)).keys() == {"payload"}
