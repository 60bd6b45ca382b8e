"""Captures as bytes, in each of the formats and with each of the link types, and packets to be in them."""

from __future__ import annotations

from struct import pack
from typing import NamedTuple

from iotsim.capture import frames
from iotsim.wire import ipv4, ipv6, udp
from iotsim.wire.address import is_ipv4, parse_address

GATEWAY, METER = parse_address("10.77.0.1"), parse_address("10.77.1.1")
GATEWAY6, METER6 = parse_address("fd77::1"), parse_address("fd77::1:1")
EPOCH = 1_700_000_000
SECOND = 1_000_000_000


def packet(
    payload: bytes,
    source: int = GATEWAY,
    destination: int = METER,
    ports: tuple[int, int] = (40000, 5600),
) -> bytes:
    """An IP packet with a UDP datagram."""
    segment = udp.build_udp(source, destination, *ports, payload)
    if is_ipv4(source):
        return ipv4.build_ipv4(source, destination, ipv4.UDP, segment)
    return ipv6.build_ipv6(source, destination, ipv6.UDP, segment)


class Format(NamedTuple):
    """How numbers are written, and how many nanoseconds a unit of time has."""

    order: str
    unit: int

    def pcap(
        self, records: list[tuple[int, bytes]], linktype: int = frames.RAW, limit: int = 65535
    ) -> bytes:
        """A pcap file of (time in nanoseconds, frame)."""
        magic = 0xA1B23C4D if self.unit == 1 else 0xA1B2C3D4
        data = pack(f"{self.order}IHHiIII", magic, 2, 4, 0, 0, limit, linktype)
        for time_ns, frame in records:
            seconds, rest = divmod(time_ns, SECOND)
            kept = frame[:limit]
            data += (
                pack(f"{self.order}IIII", seconds, rest // self.unit, len(kept), len(frame)) + kept
            )
        return data

    def block(self, kind: int, body: bytes) -> bytes:
        """A block of pcapng."""
        body += bytes(-len(body) % 4)
        length = pack(f"{self.order}I", 12 + len(body))
        return pack(f"{self.order}I", kind) + length + body + length

    def option(self, code: int, value: bytes) -> bytes:
        return pack(f"{self.order}HH", code, len(value)) + value + bytes(-len(value) % 4)

    def section(self, major: int = 1) -> bytes:
        return self.block(0x0A0D0D0A, pack(f"{self.order}IHHq", 0x1A2B3C4D, major, 0, -1))

    def interface(
        self, linktype: int = frames.RAW, *, limit: int = 0, options: bytes = b""
    ) -> bytes:
        return self.block(1, pack(f"{self.order}HHI", linktype, 0, limit) + options)

    def enhanced(self, units: int, frame: bytes, *, interface: int = 0, length: int = 0) -> bytes:
        head = pack(
            f"{self.order}IIIII",
            interface,
            units >> 32,
            units & 0xFFFFFFFF,
            len(frame),
            length or len(frame),
        )
        return self.block(6, head + frame)

    def simple(self, frame: bytes, length: int = 0) -> bytes:
        return self.block(3, pack(f"{self.order}I", length or len(frame)) + frame)

    def obsolete(self, units: int, frame: bytes) -> bytes:
        head = pack(
            f"{self.order}HHIIII", 0, 0, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame)
        )
        return self.block(2, head + frame)

    def pcapng(self, records: list[tuple[int, bytes]], linktype: int = frames.RAW) -> bytes:
        """A pcapng file of (time in nanoseconds, frame)."""
        resolution = self.option(9, b"\x09" if self.unit == 1 else b"\x06") + self.option(0, b"")
        data = self.section() + self.interface(linktype, options=resolution)
        return data + b"".join(self.enhanced(time // self.unit, frame) for time, frame in records)


FORMATS = [Format(order, unit) for order in "<>" for unit in (1, 1000)]
LITTLE = Format("<", 1000)

ETHERNET = bytes.fromhex("020000000001 020000000002")


def linked(linktype: int, data: bytes) -> bytes:
    """`data`, an IP packet, as a frame of a link type."""
    ethertype = pack(">H", 0x0800 if data[0] >> 4 == 4 else 0x86DD)
    match linktype:
        case frames.ETHERNET:
            return ETHERNET + ethertype + data
        case frames.LINUX_SLL:
            return pack(">HHH8s", 0, 1, 6, bytes(8)) + ethertype + data
        case frames.LINUX_SLL2:
            return ethertype + bytes(18) + data
        case frames.NULL | frames.LOOP:  # of the machine's byte order, or the network's
            order = "<" if linktype == frames.NULL else ">"
            return pack(f"{order}I", 2 if data[0] >> 4 == 4 else 24) + data
    return data
