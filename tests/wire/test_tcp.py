from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import tcp
from iotsim.wire.errors import PacketError

A, B = 0x0A4D0001, 0x0A4D0101


def test_a_connection_attempt_is_refused_by_the_number_after_it() -> None:
    syn = tcp.build_tcp(A, B, 40000, 80, tcp.SYN, sequence=0xFFFFFFFF)
    tcp.verify_tcp(A, B, syn)
    reset = tcp.build_reset(B, A, tcp.parse_tcp(syn))
    tcp.verify_tcp(B, A, reset)
    assert tcp.parse_tcp(reset) == (80, 40000, 0, 0, tcp.RST | tcp.ACK, 0)


def test_an_acknowledgment_is_refused_by_its_number() -> None:
    segment = tcp.build_tcp(A, B, 40000, 80, tcp.ACK, sequence=5, acknowledgment=77, data=b"data")
    assert tcp.parse_tcp(segment).length == 4
    reset = tcp.parse_tcp(tcp.build_reset(B, A, tcp.parse_tcp(segment)))
    assert reset == (80, 40000, 77, 0, tcp.RST, 0)


@pytest.mark.parametrize(
    ("segment", "reason"),
    [(bytes(19), "tcp-truncated"), (bytes(20), "tcp-header-length")],
)
def test_malformed_segments_are_told_apart(segment: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        tcp.parse_tcp(segment)


@given(st.binary(max_size=70))
def test_any_bytes_are_a_segment_or_an_error(data: bytes) -> None:
    try:
        segment = tcp.parse_tcp(data)
    except PacketError:
        return
    assert 0 <= segment.length <= len(data)
    reset = tcp.build_reset(B, A, segment)
    tcp.verify_tcp(B, A, reset)
