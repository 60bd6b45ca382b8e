import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, EncodeError
from iotsim.protocol.registry import load_protocol

CODEC = load_protocol("coaplike").protocol.codec


@given(
    st.sampled_from(["CONFIRMABLE", "RESET"]),
    st.integers(0, 65535),
    st.binary(max_size=15),
    st.binary(max_size=30),
)
def test_messages_come_back(type_: str, message_id: int, token: bytes, options: bytes) -> None:
    message = {
        "type": type_,
        "code": "GET",
        "message_id": message_id,
        "token": token,
        "options": options,
    }
    data = CODEC.encode(message)
    assert data[:1] == bytes([0x40 | (0x30 if type_ == "RESET" else 0) | len(token)])
    assert CODEC.decode(data) == message | {"version": 1, "token_length": len(token)}


@pytest.mark.parametrize("data", ["", "40", "00 01 0000", "43 01 0000 0102"])
def test_what_is_no_message(data: str) -> None:
    with pytest.raises(DecodeError):
        CODEC.decode(bytes.fromhex(data))


def test_a_token_that_is_too_long() -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode({"type": "RESET", "code": "GET", "message_id": 1, "token": bytes(16)})
    assert caught.value.path == "token_length"
