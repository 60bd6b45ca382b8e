from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim import DecodeError, crc16_ccitt
from iotsim.protocol.registry import load_protocol

LOADED = load_protocol("sensornet")
PROTOCOL = LOADED.protocol
CODEC = PROTOCOL.codec
READ = bytes.fromhex("534e010100090000000700010 0ea02".replace(" ", ""))


def sealed(body: bytes) -> bytes:
    return body + crc16_ccitt(body).to_bytes(2, "big")


def reply_to(data: bytes) -> Any:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(data)
    assert PROTOCOL.error_reply is not None
    return PROTOCOL.error_reply(caught.value, data)


def test_the_least_that_a_rule_must_say() -> None:
    ids = {"device": 7, "seq": 1}
    for fields in [
        {"kind": "READ"},
        {"kind": "REPORT", "value": 20.1},
        {"kind": "COMMAND", "code": "REBOOT"},
        {"kind": "ACK"},
        {"kind": "ERROR", "error": "BUSY"},
        {"kind": "READINGS", "readings": []},
    ]:
        decoded = CODEC.decode(CODEC.encode(fields | ids))
        assert decoded["version"] == 1
        assert decoded["kind"] == fields["kind"]


def test_a_reply_takes_device_and_seq_from_its_request() -> None:
    assert list(PROTOCOL.echo) == ["device", "seq"]
    assert PROTOCOL.port == 5600


def test_another_version_is_still_a_message() -> None:
    assert (
        CODEC.decode(CODEC.encode({"kind": "READ", "device": 1, "seq": 1, "version": 2}))["version"]
        == 2
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (READ[:-1] + b"\x00", "BAD_CRC"),
        (READ[:-1], "BAD_LENGTH"),
        (READ + b"\x00", "BAD_LENGTH"),
        (sealed(READ[:3] + b"\x63" + READ[4:-2]), "UNKNOWN_KIND"),
        (sealed(bytes.fromhex("534e01030009000000070001 00")), "MALFORMED"),
    ],
)
def test_a_broken_request_is_answered(data: bytes, error: str) -> None:
    reply = reply_to(data)
    assert reply == {"kind": "ERROR", "error": error, "device": 7, "seq": 1}
    assert CODEC.decode(CODEC.encode(reply))["error"] == error


@pytest.mark.parametrize(
    "data", [b"", b"SN", b"hello, is anybody there?", READ[:11], b"XN" + READ[2:]]
)
def test_noise_is_not_answered(data: bytes) -> None:
    assert reply_to(data) is None


def test_an_error_is_never_answered() -> None:
    error = CODEC.encode({"kind": "ERROR", "error": "BUSY", "device": 7, "seq": 1})
    assert reply_to(error[:-1]) is None


@given(st.binary(max_size=64))
def test_any_bytes(data: bytes) -> None:
    for datagram in (data, b"SN\x01" + data, sealed(READ[:4] + data)):
        try:
            message = CODEC.decode(datagram)
        except DecodeError as error:
            assert PROTOCOL.error_reply is not None
            fields = PROTOCOL.error_reply(error, datagram)
            assert fields is None or CODEC.encode(fields)
        else:
            again = CODEC.encode(message)
            # Spare bits and booleans other than 0 and 1 are lost; nothing else is.
            assert len(again) == len(datagram)
            assert CODEC.decode(again) | {"crc": 0} == message | {"crc": 0}


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FLOAT": st.floats(width=32, allow_nan=False),
    "INT": st.integers(-(2**31), 2**31 - 1),
    "FLAG": st.booleans(),
    "TEXT": st.text(max_size=20),
}
READINGS = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "point": st.integers(0, 255),
                "type": st.just(kind),
                "unit": st.sampled_from(["NONE", "CELSIUS", 99]),
                "value": VALUES[kind],
            }
        )
    ),
    max_size=6,
)


@given(READINGS, st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_readings_come_back(readings: list[dict[str, Any]], device: int, seq: int) -> None:
    message = {"kind": "READINGS", "device": device, "seq": seq, "readings": readings}
    decoded = CODEC.decode(CODEC.encode(message))
    assert {name: decoded[name] for name in message} == message
