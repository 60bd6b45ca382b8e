"""UDP datagrams in the frames of a TUN, whole: for whoever is at the other end of a memory link."""

from __future__ import annotations

from iotsim.wire import ipv4, ipv6, udp, virtio
from iotsim.wire.address import IPV4_END


def datagram_frame(source: tuple[int, int], to: tuple[int, int], payload: bytes) -> bytes:
    """The frame of a datagram from one endpoint (address, port) to another."""
    segment = udp.build_udp(source[0], to[0], source[1], to[1], payload)
    build = ipv4.build_ipv4 if to[0] < IPV4_END else ipv6.build_ipv6
    return virtio.PLAIN + build(source[0], to[0], udp.PROTOCOL, segment)


def read_datagram(frame: bytes) -> tuple[tuple[int, int], int, bytes] | None:
    """Who sent the datagram in a frame, to which port, and its payload; None if it is something else."""
    packet = virtio.complete_checksum(frame)
    if packet[0] >> 4 == 4:
        header = ipv4.parse_ipv4(packet)
        protocol, source, start = header.protocol, header.source, header.header_length
    else:
        protocol, start = packet[6], ipv6.HEADER_LENGTH
        source = int.from_bytes(packet[8:24], "big")
    if protocol != udp.PROTOCOL:
        return None
    segment = packet[start:]
    head = udp.parse_udp(segment)
    payload = segment[udp.HEADER_LENGTH : head.length]
    return (source, head.source_port), head.destination_port, payload
