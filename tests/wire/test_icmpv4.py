from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import icmpv4
from iotsim.wire.errors import PacketError

BYTE = st.integers(0, 255)


@given(BYTE, BYTE, st.integers(0, 0xFFFFFFFF), st.binary(max_size=41))
def test_what_is_built_parses_to_the_same(kind: int, code: int, rest: int, data: bytes) -> None:
    message = icmpv4.build_icmpv4(kind, code, rest, data)
    assert icmpv4.parse_icmpv4(message) == (kind, code, rest, data)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = icmpv4.parse_icmpv4(data)
    except PacketError:
        return
    assert message.data == data[8:]


def test_a_flipped_bit_is_noticed() -> None:
    message = bytearray(icmpv4.build_icmpv4(icmpv4.ECHO_REQUEST, 0, 0x12340001, b"abc"))
    message[9] ^= 4
    with pytest.raises(PacketError, match="icmp-checksum"):
        icmpv4.parse_icmpv4(bytes(message))


def test_what_is_no_query_is_an_error() -> None:
    assert not icmpv4.is_error(b"\x08\x00")
    assert not icmpv4.is_error(b"\x00")
    assert icmpv4.is_error(b"\x03\x03")
    assert icmpv4.is_error(b"\xff")
    assert icmpv4.is_error(b"")
