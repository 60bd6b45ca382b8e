"""UDP datagrams out of frames: link and IP headers off, fragments put together."""

from __future__ import annotations

import math
from collections import Counter
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.capture.frames import find_ip
from iotsim.net.fragmentation import IPV4_TIMEOUT_S, IPV6_TIMEOUT_S, FragmentKey, Reassembler
from iotsim.net.packet import Packet, read_extensions, read_ipv4, read_ipv6
from iotsim.wire import ipv4, ipv6, udp
from iotsim.wire.checksum import checksum, is_correct
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from iotsim.capture.reader import Frame

PROTOCOLS = {
    ipv4.ICMP: "ICMP",
    ipv4.IGMP: "IGMP",
    ipv4.TCP: "TCP",
    ipv6.ICMPV6: "ICMPv6",
    ipv6.NO_NEXT_HEADER: "IPv6 without a payload",
}
IP_CHECKSUM = "wrong IPv4 header checksum"
UDP_CHECKSUM = "wrong UDP checksum"
NO_CHECKSUM = "no UDP checksum"
CUT_SHORT = "cut short by the capture"
FRAGMENTS = "fragments of others"
INCOMPLETE = "datagrams in fragments, of which some are missing"

# IPv4 and UDP: version and length of the header, total length, fragment, protocol, addresses, ports, length,
# checksum.
_PLAIN = Struct(">BxHxxHxBxxIIHHHH")
_PLAIN_IPV4 = 0x45
_IS_FRAGMENT = ipv4.MORE_FRAGMENTS | ipv4.OFFSET_MASK


class UdpDatagram(NamedTuple):
    """A datagram, with the ``number`` and the time of the frame that brought it, or the last part of it.
    Addresses are integers. ``faults`` are what is wrong with it on its way: checksums."""

    number: int
    time_ns: int
    source: int
    source_port: int
    destination: int
    destination_port: int
    payload: bytes
    faults: tuple[str, ...] = ()


class Datagrams:
    """What puts datagrams together; ``skipped`` counts the frames that brought none, by why, in words."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._given_up: Counter[str] = Counter()
        self._reassemblers = {
            4: Reassembler(self._given_up, IPV4_TIMEOUT_S),
            6: Reassembler(self._given_up, IPV6_TIMEOUT_S),
        }

    def find(self, frame: Frame) -> UdpDatagram | None:
        """The datagram in a frame, or that one completes."""
        data = frame.data
        try:
            at = find_ip(frame.linktype, data)
            if len(data) >= at + _PLAIN.size:
                head, total, fragment, protocol, *ends, length, check = _PLAIN.unpack_from(data, at)
                if (
                    head == _PLAIN_IPV4
                    and protocol == udp.PROTOCOL
                    and not fragment & _IS_FRAGMENT
                    and total == length + ipv4.MINIMUM_HEADER_LENGTH <= len(data) - at
                    and length >= udp.HEADER_LENGTH
                ):
                    return self._plain(frame, at, length, check, *ends)
            return self._by_the_book(frame, data[at:])
        except PacketError as error:
            self.skipped[self._reason(frame, error.reason)] += 1
            return None

    def end(self) -> None:
        """No more frames come: count what is not whole."""
        for reassembler in self._reassemblers.values():
            reassembler.pop_due(math.inf)
        if incomplete := sum(self._given_up.values()):
            self.skipped[INCOMPLETE] = incomplete

    @staticmethod
    def _plain(
        frame: Frame,
        at: int,
        length: int,
        check: int,
        source: int,
        destination: int,
        source_port: int,
        destination_port: int,
    ) -> UdpDatagram:
        """Nearly every one: over IPv4 without options, in one piece. `at` is where its packet begins."""
        data = frame.data
        start = at + ipv4.MINIMUM_HEADER_LENGTH
        segment = data[start : start + length]
        faults: tuple[str, ...] = ()
        if not frame.trusted:
            if not is_correct(data[at:start]):
                faults = (IP_CHECKSUM,)
            if check and not is_correct(segment, source + destination + udp.PROTOCOL + length):
                faults += (UDP_CHECKSUM,)
        payload = segment[udp.HEADER_LENGTH :]
        number, time_ns = frame.number, frame.time_ns
        return UdpDatagram(
            number, time_ns, source, source_port, destination, destination_port, payload, faults
        )

    def _by_the_book(self, frame: Frame, data: bytes) -> UdpDatagram | None:
        packet, fault = _read(data)
        faults: tuple[str, ...] = (fault,) if fault and not frame.trusted else ()
        if packet.protocol != udp.PROTOCOL:
            raise PacketError(PROTOCOLS.get(packet.protocol, f"IP protocol {packet.protocol}"))
        segment = packet.payload
        if packet.fragment is not None:
            whole = self._reassemble(packet, frame)
            if whole is None:
                self.skipped[FRAGMENTS] += 1
                return None
            segment = whole
        over_ipv6 = packet.data[0] >> 4 == 6
        header = udp.parse_udp(segment, jumbo=over_ipv6)
        segment = segment[: header.length]
        if not frame.trusted:
            try:
                udp.verify_udp(packet.source, packet.destination, segment)
            except PacketError as error:
                faults += (NO_CHECKSUM if error.reason == "udp-no-checksum" else UDP_CHECKSUM,)
        return UdpDatagram(
            frame.number,
            frame.time_ns,
            packet.source,
            header.source_port,
            packet.destination,
            header.destination_port,
            segment[udp.HEADER_LENGTH :],
            faults,
        )

    def _reassemble(self, packet: Packet, frame: Frame) -> bytes | None:
        """All that the fragments of a datagram carry, if this is the last one."""
        fragment, now = packet.fragment, frame.time_ns / 1e9
        assert fragment is not None
        reassembler = self._reassemblers[packet.data[0] >> 4]
        reassembler.pop_due(now)
        key = FragmentKey(
            packet.source, packet.destination, packet.protocol, fragment.identification
        )
        whole = reassembler.add(
            key, fragment.offset, packet.payload, packet.data, now, more=fragment.more
        )
        return None if whole is None else whole.payload

    @staticmethod
    def _reason(frame: Frame, reason: str) -> str:
        """Why there is no datagram in a frame, unless it was not captured whole."""
        cut = frame.length > len(frame.data) and reason.endswith("-truncated")
        return CUT_SHORT if cut else reason


def _read(data: bytes) -> tuple[Packet, str]:
    """The IP packet at the beginning of `data`, and what is wrong with it, though it can be read."""
    if data[0] >> 4 == 6:
        packet = read_ipv6(data, trusted=True)
        read_extensions(packet)
        return packet, ""
    try:
        return read_ipv4(data, trusted=True), ""
    except PacketError as error:
        if error.reason != "ipv4-checksum":
            raise
    end = (data[0] & 0x0F) * 4
    blank = data[:10] + b"\0\0" + data[12:end]
    right = data[:10] + checksum(blank).to_bytes(2, "big") + data[12:]
    return read_ipv4(right, trusted=True), IP_CHECKSUM
