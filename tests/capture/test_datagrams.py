"""UDP datagrams in frames of all link types: whole, in fragments, with wrong checksums, or none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.capture.files import (
    EPOCH,
    ETHERNET,
    GATEWAY,
    GATEWAY6,
    METER,
    METER6,
    SECOND,
    linked,
    packet,
)

from iotsim.capture import Datagrams, Frame, UdpDatagram, frames
from iotsim.capture.frames import cooked
from iotsim.net.fragmentation import fragment_ipv4, fragment_ipv6
from iotsim.wire import ipv4, ipv6, udp

LINK_TYPES = [
    frames.NULL,
    frames.ETHERNET,
    frames.RAW,
    frames.LOOP,
    frames.LINUX_SLL,
    frames.LINUX_SLL2,
]


class Reader:
    """Takes frames one after the other, a second apart."""

    def __init__(self) -> None:
        self.datagrams = Datagrams()
        self.number = 0

    def __call__(
        self, data: bytes, linktype: int = frames.RAW, **fields: Any
    ) -> UdpDatagram | None:
        self.number += 1
        time_ns = (EPOCH + self.number) * SECOND
        fields = {"length": len(data), **fields}
        return self.datagrams.find(Frame(self.number, time_ns, linktype, data, **fields))

    @property
    def skipped(self) -> dict[str, int]:
        return dict(self.datagrams.skipped)


@pytest.fixture
def read() -> Reader:
    return Reader()


@pytest.mark.parametrize("linktype", LINK_TYPES)
@pytest.mark.parametrize("ends", [(GATEWAY, METER), (METER6, GATEWAY6)], ids=["ipv4", "ipv6"])
def test_a_datagram_on_each_kind_of_link(
    linktype: int, ends: tuple[int, int], read: Reader
) -> None:
    data = linked(linktype, packet(b"hello", *ends))
    found = read(data + bytes(7), linktype)  # what a link pads is no part of it
    assert found == UdpDatagram(
        1, (EPOCH + 1) * SECOND, ends[0], 40000, ends[1], 5600, b"hello", faults=()
    )
    assert read.skipped == {}


@pytest.mark.parametrize("linktype", [frames.IPV4, frames.IPV6])
def test_a_link_of_one_family(linktype: int, read: Reader) -> None:
    ends = (GATEWAY, METER) if linktype == frames.IPV4 else (GATEWAY6, METER6)
    found = read(packet(b"x", *ends), linktype)
    assert found is not None
    assert found.payload == b"x"


@pytest.mark.parametrize(
    "tags", ["8100 0007", "88a8 0007 8100 0008", "9100 0001 9100 0002 8100 0003"]
)
def test_tags_are_passed_over(tags: str, read: Reader) -> None:
    frame = ETHERNET + bytes.fromhex(tags) + b"\x08\x00" + packet(b"tagged")
    found = read(frame, frames.ETHERNET)
    assert found is not None
    assert found.payload == b"tagged"


def test_a_packet_that_lost_its_header_gets_one() -> None:
    read = Reader()
    found = read(cooked(0x86DD) + packet(b"x", GATEWAY6, METER6), frames.LINUX_SLL2)
    assert found is not None
    assert read(cooked(0x0806) + bytes(28), frames.LINUX_SLL2) is None
    assert read.skipped == {"ARP": 1}


PAYLOAD = bytes(range(256)) * 16


def fragments(family: int) -> list[bytes]:
    if family == 4:
        segment = udp.build_udp(GATEWAY, METER, 40000, 5600, PAYLOAD)
        return fragment_ipv4(GATEWAY, METER, ipv4.UDP, segment, 1500, 7)
    segment = udp.build_udp(GATEWAY6, METER6, 40000, 5600, PAYLOAD)
    return fragment_ipv6(GATEWAY6, METER6, ipv6.UDP, segment, 1280, 7)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("backwards", [False, True])
def test_fragments_are_put_together_whatever_their_order(
    family: int, backwards: bool, read: Reader
) -> None:
    parts = fragments(family)[::-1] if backwards else fragments(family)
    found = [read(part) for part in parts]
    assert found[:-1] == [None] * (len(parts) - 1)
    whole = found[-1]
    assert whole is not None
    assert (whole.number, whole.payload, whole.faults) == (len(parts), PAYLOAD, ())
    read.datagrams.end()
    assert read.skipped == {"fragments of others": len(parts) - 1}


def test_fragments_of_which_one_is_missing_are_told(read: Reader) -> None:
    for part in fragments(4)[:-1] + fragments(6)[1:]:
        assert read(part) is None
    read.datagrams.end()
    parts = len(fragments(4)) + len(fragments(6)) - 2
    assert read.skipped == {
        "fragments of others": parts,
        "datagrams in fragments, of which some are missing": 2,
    }


def test_wrong_checksums_are_told_and_no_more(read: Reader) -> None:
    good, good6 = packet(b"hello"), packet(b"hello", GATEWAY6, METER6)
    bad_ip = good[:10] + b"\xff\xff" + good[12:]
    bad_udp = good[:26] + b"\xff\xff" + good[28:]
    with_options = ipv4.build_ipv4(
        GATEWAY, METER, ipv4.UDP, good[20:], options=bytes([ipv4.NO_OPERATION] * 4)
    )
    for data, faults in [
        (good, ()),
        (good[:26] + b"\0\0" + good[28:], ()),  # the sender made none (RFC 768)
        (bad_ip, ("wrong IPv4 header checksum",)),
        (bad_udp, ("wrong UDP checksum",)),
        (bad_ip[:26] + b"\1\1" + good[28:], ("wrong IPv4 header checksum", "wrong UDP checksum")),
        (with_options, ()),
        (with_options[:10] + b"\1\1" + with_options[12:], ("wrong IPv4 header checksum",)),
        (good6[:46] + b"\1\1" + good6[48:], ("wrong UDP checksum",)),
        (good6[:46] + b"\0\0" + good6[48:], ("no UDP checksum",)),
    ]:
        found = read(data)
        assert found is not None
        assert (found.payload, found.faults) == (b"hello", faults)
    found = read(bad_udp, trusted=True)
    assert found is not None
    assert found.faults == ()


TCP = ipv4.build_ipv4(GATEWAY, METER, ipv4.TCP, bytes(20))
ICMPV6 = ipv6.build_ipv6(GATEWAY6, METER6, ipv6.ICMPV6, bytes(8))


@pytest.mark.parametrize(
    ("linktype", "data", "why"),
    [
        (frames.RAW, TCP, "TCP"),
        (frames.RAW, ICMPV6, "ICMPv6"),
        (frames.RAW, ipv4.build_ipv4(GATEWAY, METER, 47, b""), "IP protocol 47"),
        (frames.RAW, b"\x75" + bytes(40), "ip-version"),
        (frames.RAW, b"", "shorter than a header"),
        (frames.RAW, b"\x45", "ipv4-truncated"),
        (frames.RAW, b"\x60", "ipv6-truncated"),
        (frames.ETHERNET, ETHERNET + b"\x08\x06" + bytes(28), "ARP"),
        (frames.ETHERNET, ETHERNET + b"\x88\xcc" + bytes(28), "LLDP"),
        (frames.ETHERNET, ETHERNET + b"\x12\x34" + bytes(28), "ethertype 0x1234"),
        (frames.ETHERNET, ETHERNET + b"\x00\x26" + bytes(38), "LLC"),
        (frames.ETHERNET, ETHERNET + b"\x81\x00", "shorter than a header"),
        (frames.ETHERNET, ETHERNET + b"\x81\x00\0", "shorter than a header"),
        (105, bytes(60), "of link type 105, which is not read here"),
        (frames.RAW, ipv4.build_ipv4(GATEWAY, METER, ipv4.UDP, bytes(8)), "udp-length"),
        (frames.RAW, ipv4.build_ipv4(GATEWAY, METER, ipv4.UDP, bytes(7)), "udp-truncated"),
    ],
)
def test_what_brings_none_is_counted_by_what_it_is(
    linktype: int, data: bytes, why: str, read: Reader
) -> None:
    assert read(data, linktype) is None
    assert read.skipped == {why: 1}


def test_what_was_not_captured_whole_is_not_called_malformed(read: Reader) -> None:
    whole = packet(bytes(100))
    assert read(whole[:60], length=len(whole)) is None
    assert read(whole[:10], length=len(whole)) is None
    assert read.skipped == {"cut short by the capture": 2}


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([*LINK_TYPES, frames.IPV4, 105]),
    st.sampled_from(
        [packet(b"hello"), packet(b"x", GATEWAY6, METER6), *fragments(4), *fragments(6)]
    ),
    st.lists(st.tuples(st.integers(0, 80), st.binary(min_size=1, max_size=3)), max_size=4),
    st.integers(0, 100),
)
def test_each_mutated_frame_is_a_datagram_or_counted(
    linktype: int, seed: bytes, changes: list[tuple[int, bytes]], end: int
) -> None:
    data = bytearray(linked(linktype, seed))
    for at, change in changes:
        data[at : at + len(change)] = change
    read = Reader()
    found = read(bytes(data[:end]), linktype)
    assert (found is not None) + sum(read.skipped.values()) == 1
