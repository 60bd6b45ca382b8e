from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import udp
from iotsim.wire.errors import PacketError

ADDRESS = st.integers(1, 0xFFFFFFFF) | st.integers(1 << 32, (1 << 128) - 1)
PORT = st.integers(0, 65535)


@given(ADDRESS, ADDRESS, PORT, PORT, st.binary(max_size=41))
def test_what_is_built_parses_and_verifies(
    source: int, destination: int, source_port: int, port: int, payload: bytes
) -> None:
    segment = udp.build_udp(source, destination, source_port, port, payload)
    header = udp.parse_udp(segment + b"padding")
    assert header[:3] == (source_port, port, 8 + len(payload))
    udp.verify_udp(source, destination, segment)
    broken = segment[:4] + bytes([segment[4] ^ 1]) + segment[5:]
    with pytest.raises(PacketError, match="udp-checksum"):
        udp.verify_udp(source, destination, broken)


def test_no_checksum_is_for_ipv4_alone() -> None:
    segment = b"\0\7\0\7\0\x08\0\0"
    udp.verify_udp(1, 2, segment)
    with pytest.raises(PacketError, match="udp-no-checksum"):
        udp.verify_udp(1 << 32, 1 << 33, segment)


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (bytes(7), "udp-truncated"),
        (bytes(8), "udp-length"),
        (b"\0\0\0\0\0\x09\0\0", "udp-length"),
    ],
)
def test_malformed_datagrams_are_told_apart(segment: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        udp.parse_udp(segment)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_header_or_an_error(data: bytes) -> None:
    try:
        header = udp.parse_udp(data)
    except PacketError:
        return
    assert 8 <= header.length <= len(data)


def test_a_datagram_too_long_for_its_length_field() -> None:
    with pytest.raises(ValueError, match="65536"):
        udp.build_udp(1, 2, 3, 4, bytes(65528))
