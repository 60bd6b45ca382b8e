"""Inputs of the harnesses of whole hosts: packets in a row, each with a byte of circumstances.

A record is: circumstances, length (2 bytes, big-endian), the packet. Of the circumstances, the two
lowest bits are the virtio header (verify, needs checksum, valid, large packet), the third asks for
right checksums in the packet, so that what lies behind them is reached, the next two are how
much time has passed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from driver import instrumented

with instrumented():
    from iotsim.wire import virtio
    from iotsim.wire.checksum import checksum, pseudo_header_sum

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PACKETS = 40
FIX = 4
TIMES_S = (0.0, 0.1, 5.0, 31.0)
_FLAGS = (0, 0, virtio.DATA_VALID, virtio.NEEDS_CSUM)


class Record(NamedTuple):
    circumstances: int
    packet: bytes

    @property
    def passed_s(self) -> float:
        return TIMES_S[self.circumstances >> 3 & 3]


def read(data: bytes) -> Iterator[Record]:
    at = 0
    for _ in range(MOST_PACKETS):
        if at + 3 > len(data):
            return
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        yield Record(data[at], data[at + 3 : at + 3 + length])
        at += 3 + length


def write(records: list[Record]) -> bytes:
    return b"".join(
        bytes([circumstances]) + len(packet).to_bytes(2, "big") + packet
        for circumstances, packet in records
    )


def header(circumstances: int, start: int) -> bytes:
    """The virtio header of a packet whose upper layer begins at `start`."""
    kind = circumstances & 3
    if kind == 3:
        large = virtio.GSO_UDP_L4 if circumstances & 0x80 else virtio.GSO_NONE
        return virtio.build_virtio(virtio.VirtioHeader(1, large, 0, 3 + start, start, 6))
    return bytes([_FLAGS[kind]]) + bytes(9)


def corrected(packet: bytes) -> bytes:
    """`packet`, of IP, with the right checksums where it is well-formed enough to have any."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        start = (packet[0] & 15) * 4
        if start < 20:
            return packet
        blank = packet[:10] + b"\0\0" + packet[12:start]
        packet = packet[:10] + checksum(blank).to_bytes(2, "big") + packet[12:]
        ends, protocol = packet[12:20], packet[9]
        end = int.from_bytes(packet[2:4], "big")
        if packet[6] & 0x1F or packet[7]:
            return packet
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        start, ends, protocol = 40, packet[8:40], packet[6]
        end = 40 + int.from_bytes(packet[4:6], "big")
        while protocol in (0, 43, 44, 60) and start + 8 <= len(packet):
            if protocol == 44 and packet[start + 2 : start + 4] != b"\0\0":
                return packet
            length = 8 if protocol == 44 else 8 + packet[start + 1] * 8
            protocol, start = packet[start], start + length
    else:
        return packet
    place = {1: 2, 2: 2, 6: 16, 17: 6, 58: 2}.get(protocol)
    segment = packet[start:end]
    if place is None or len(segment) < place + 2:
        return packet
    blank = segment[:place] + b"\0\0" + segment[place + 2 :]
    half = len(ends) // 2
    addresses = int.from_bytes(ends[:half], "big"), int.from_bytes(ends[half:], "big")
    pseudo = 0 if protocol in (1, 2) else pseudo_header_sum(*addresses, protocol, len(segment))
    total = checksum(blank, pseudo).to_bytes(2, "big")
    return packet[: start + place] + total + packet[start + place + 2 :]


def crafted(*modules: str) -> list[list[bytes]]:
    """The rows of packets that the simulated host is compared with Linux on."""
    folder = str(Path(__file__).parents[1] / "live" / "linux_host")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return [
        list(row.packets)
        for module in modules
        for rows in __import__(module).SECTIONS.values()
        for row in rows
    ]
