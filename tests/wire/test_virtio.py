from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.wire import ipv4, udp, virtio
from iotsim.wire.errors import PacketError

A, B = 0x0A4D0001, 0x0A4D0101


def test_a_header_is_ten_bytes_and_builds_itself_again() -> None:
    frame = virtio.needs_checksum(20, 6) + b"packet"
    header = virtio.parse_virtio(frame)
    assert header == (1, 0, 0, 0, 20, 6)
    assert virtio.build_virtio(header) == frame[:10]


def test_a_frame_shorter_than_its_header() -> None:
    with pytest.raises(PacketError, match="truncated-frame"):
        virtio.parse_virtio(bytes(9))


@given(st.binary(max_size=41))
def test_completing_gives_the_same_packet_as_computing(payload: bytes) -> None:
    whole = ipv4.build_ipv4(A, B, 17, udp.build_udp(A, B, 7, 5600, payload))
    partial = ipv4.build_ipv4(A, B, 17, udp.build_partial_udp(A, B, 7, 5600, payload))
    assert virtio.complete_checksum(virtio.needs_checksum(20, 6) + partial) == whole
    assert virtio.complete_checksum(virtio.PLAIN + whole) == whole


def test_a_sum_of_zero_is_sent_as_all_ones() -> None:
    # Ports that bring the datagram's sum to 0xffff, whose complement is 0.
    without = udp.build_udp(A, B, 0, 0, b"")
    port = int.from_bytes(without[6:8], "big")
    partial = ipv4.build_ipv4(A, B, 17, udp.build_partial_udp(A, B, port, 0, b""))
    assert virtio.complete_checksum(virtio.needs_checksum(20, 6) + partial)[-2:] == b"\xff\xff"


@given(st.binary(max_size=40))
def test_any_frame_can_be_completed(frame: bytes) -> None:
    assert len(virtio.complete_checksum(frame)) == max(0, len(frame) - 10)
    virtio.complete_checksum(b"\1" + frame)
