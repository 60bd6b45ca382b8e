"""Every parser of `iotsim.wire`, and those of `iotsim.net` that are pure functions of bytes.

The first byte of an input chooses the parser.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from driver import fuzz, instrumented
from inputs import crafted

with instrumented():
    from iotsim.net.packet import read_extensions, read_ipv4, read_ipv6
    from iotsim.net.segmentation import split_large_udp
    from iotsim.wire import (
        arp,
        dhcp,
        ethernet,
        icmpv4,
        icmpv6,
        igmp,
        ipv4,
        ipv6,
        mld,
        ndp,
        tcp,
        udp,
        virtio,
    )
    from iotsim.wire.checksum import checksum
    from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE, DESTINATION = 0xFD77 << 112 | 1, 0xFD77 << 112 | 2


def _ipv4(data: bytes) -> None:
    header = ipv4.parse_ipv4(_with_header_checksum(data))
    assert 20 <= header.header_length <= header.total_length <= len(data)
    ipv4.check_options(header.options)


def _read_ipv4(data: bytes) -> None:
    packet = read_ipv4(_with_header_checksum(data), trusted=False)
    assert len(packet.payload) <= len(packet.data)


def _read_ipv6(data: bytes) -> None:
    packet = read_ipv6(data, trusted=False)
    read_extensions(packet)
    assert len(packet.payload) <= len(packet.data)


def _ipv6(data: bytes) -> None:
    header = ipv6.parse_ipv6(data)
    offset = 40
    kind = header.next_header
    while kind in (0, 43, 60):
        kind, length = ipv6.parse_extension(data, offset)
        list(ipv6.parse_options(data, offset, length))
        assert length >= 8
        offset += length
    ipv6.parse_fragment(data, offset)


def _icmp4(data: bytes) -> None:
    icmpv4.is_error(data)
    icmpv4.parse_icmpv4(
        data[:2] + checksum(data[:2] + b"\0\0" + data[4:]).to_bytes(2, "big") + data[4:]
    )


def _messages6(data: bytes) -> None:
    message = icmpv4.IcmpMessage(data[0], 0, 0, data[1:]) if data else None
    if message is None:
        return
    with suppress(PacketError):
        mld.parse_query(message)
    with suppress(PacketError):
        ndp.parse_neighbor(message, ndp.SOURCE_LINK_ADDRESS)
    with suppress(PacketError):
        ndp.parse_router_advertisement(message)
    ndp.parse_options(data)


def _igmp(data: bytes) -> None:
    igmp.parse_type(data)
    igmp.parse_query(data)


def _udp(data: bytes) -> None:
    header = udp.parse_udp(data, jumbo=bool(data and data[0] & 1))
    assert header.length <= len(data)
    udp.verify_udp(SOURCE, DESTINATION, data[: header.length])


def _tcp(data: bytes) -> None:
    tcp.build_reset(SOURCE, DESTINATION, tcp.parse_tcp(data))
    tcp.verify_tcp(SOURCE, DESTINATION, data)


def _virtio(data: bytes) -> None:
    packet = virtio.complete_checksum(data)
    assert len(packet) == max(len(data) - 10, 0)
    header = virtio.parse_virtio(data)
    for frame in split_large_udp(data, header.gso_size):
        assert virtio.complete_checksum(frame)


def _with_header_checksum(data: bytes) -> bytes:
    if len(data) < 20:
        return data
    length = max((data[0] & 15) * 4, 20)
    blank = data[:10] + b"\0\0" + data[12:length]
    return data[:10] + checksum(blank).to_bytes(2, "big") + data[12:]


PARSERS: list[Callable[[bytes], object]] = [
    _ipv4, _read_ipv4, _ipv6, _read_ipv6, _icmp4, _messages6, _igmp, _udp, _tcp, _virtio,
    arp.parse_arp, dhcp.parse_dhcp, ethernet.parse_ethernet,
    lambda data: icmpv6.parse_icmpv6(SOURCE, DESTINATION, data), ndp.parse_options,
]  # fmt: skip


def target(data: bytes) -> None:
    if data:
        with suppress(PacketError):
            PARSERS[data[0] % len(PARSERS)](data[1:])


def seeds() -> Iterator[bytes]:
    packets = [packets[0] for packets in crafted("rows2", "rows4", "rows6")]
    for number in range(len(PARSERS)):
        for packet in packets[number :: len(PARSERS)]:
            for start in (0, 14, 20, 40, 54):
                yield bytes([number]) + packet[start:600]


if __name__ == "__main__":
    fuzz(target)
