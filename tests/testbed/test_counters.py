from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.testbed import counters

HEADER = struct.Struct("=IHHII")


def link_answer(sequence: int, stats: tuple[int, ...], *, extra: bytes = b"") -> bytes:
    """RTM_NEWLINK with IFLA_IFNAME, then IFLA_STATS64."""
    name = struct.pack("=HH", 12, 3) + b"iotsim0\0"
    stats64 = struct.pack("=HH", 4 + 24 * 8, 23) + struct.pack("=24Q", *stats, *[0] * 16)
    body = bytes(16) + name + extra + stats64
    return HEADER.pack(16 + len(body), 16, 0, sequence, 0) + body


def test_the_answer_is_found_among_others() -> None:
    stats = (1, 2, 3, 4, 5, 6, 7, 8)
    data = link_answer(6, stats) + link_answer(7, (10, 20, 0, 0, 0, 0, 70, 80))
    assert counters.decode_answer(data, 7) == (10, 20, 70, 80)
    assert counters.decode_answer(data, 8) is None


def test_an_error_says_which() -> None:
    data = HEADER.pack(36, 2, 0, 1, 0) + struct.pack("=i", -errno.ENODEV) + bytes(16)
    with pytest.raises(counters.NetlinkError) as caught:
        counters.decode_answer(data, 1)
    assert caught.value.errno == errno.ENODEV


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    with contextlib.suppress(counters.NetlinkError):
        counters.decode_answer(data, 0)


@given(st.integers(0, 240), st.binary(min_size=1, max_size=8))
@settings(max_examples=100)
def test_a_damaged_answer_is_an_answer_or_none(offset: int, patch: bytes) -> None:
    data = bytearray(link_answer(0, (1, 2, 3, 4, 5, 6, 7, 8)))
    data[offset : offset + len(patch)] = patch
    with contextlib.suppress(counters.NetlinkError):
        counters.decode_answer(bytes(data), 0)


SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
Udp: 10 1 5 20 3 2 4
UdpLite: InDatagrams NoPorts
UdpLite: 0 0
"""
SNMP6 = "Ip6InReceives\t9\nUdp6InErrors   \t6\nUdp6RcvbufErrors\t7\nUdpLite6InErrors 8\n"


def test_udp_counters_of_both_families() -> None:
    assert counters.parse_snmp(SNMP)["RcvbufErrors"] == 3
    assert counters.parse_snmp("") == {}
    assert counters.parse_snmp6(SNMP6) == {"InErrors": 6, "RcvbufErrors": 7}


def test_the_loopback_interface_of_this_machine() -> None:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    netlink.bind((0, 0))
    snmp = os.open("/proc/self/net/snmp", os.O_RDONLY)
    reader = counters.CounterReader("lo", netlink.detach(), {"snmp": snmp})
    before = reader.interface_counters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))
    after = reader.interface_counters()
    assert after.tx_packets > before.tx_packets
    assert set(reader.udp_errors()) == {f"Udp{key}" for key in counters.UDP_ERRORS}
    reader.close()


def test_an_interface_that_is_gone() -> None:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    netlink.bind((0, 0))
    reader = counters.CounterReader("nonesuch0", netlink.detach(), {})
    with pytest.raises(counters.NetlinkError) as caught:
        reader.interface_counters()
    assert caught.value.errno == errno.ENODEV
    reader.close()
