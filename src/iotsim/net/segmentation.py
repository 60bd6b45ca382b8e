"""UDP segmentation: large packets that the kernel left whole (UDP_SEGMENT, "USO"), split as a network
card does.

The packet's payload is a row of datagrams of ``gso_size`` bytes each, but the last one, which may
be shorter; all share the headers.
"""

from __future__ import annotations

from iotsim.wire import ipv4, ipv6, udp, virtio
from iotsim.wire.errors import PacketError

MAXIMUM_SEGMENTS = 128
"""Linux's UDP_MAX_SEGMENTS."""


def split_large_udp(frame: bytes, gso_size: int) -> list[bytes]:
    """The frames of the datagrams in `frame`. PacketError if it is no large UDP packet."""
    packet = frame[virtio.HEADER_LENGTH :]
    if not packet:
        raise PacketError("truncated-frame")
    is_ipv4 = packet[0] >> 4 == 4
    if is_ipv4:
        header4 = ipv4.parse_ipv4(packet)
        source, destination = header4.source, header4.destination
        start, end = header4.header_length, header4.total_length
        protocol = header4.protocol if not header4.is_fragment else -1
    else:
        header6 = ipv6.parse_ipv6(packet)
        source, destination = header6.source, header6.destination
        start, end = ipv6.HEADER_LENGTH, ipv6.HEADER_LENGTH + header6.payload_length
        protocol = header6.next_header
    if protocol != ipv4.UDP or end - start < udp.HEADER_LENGTH:
        raise PacketError("large-packet")
    source_port, port, _, _ = udp.HEADER.unpack_from(packet, start)
    payload = packet[start + udp.HEADER_LENGTH : end]
    if not gso_size or len(payload) > gso_size * MAXIMUM_SEGMENTS:
        raise PacketError("large-packet")
    prefix = virtio.needs_checksum(start, udp.CHECKSUM_OFFSET)
    frames = []
    for number, offset in enumerate(range(0, len(payload), gso_size)):
        part = payload[offset : offset + gso_size]
        segment = udp.build_partial_udp(source, destination, source_port, port, part)
        if is_ipv4:
            piece = ipv4.build_ipv4(
                source,
                destination,
                ipv4.UDP,
                segment,
                tos=header4.tos,
                identification=(header4.identification + number) & 0xFFFF,
                dont_fragment=header4.dont_fragment,
                ttl=header4.ttl,
                options=header4.options,
            )
        else:
            piece = ipv6.build_ipv6(
                source,
                destination,
                ipv6.UDP,
                segment,
                hop_limit=header6.hop_limit,
                traffic_class=header6.traffic_class,
                flow_label=header6.flow_label,
            )
        frames.append(prefix + piece)
    return frames
