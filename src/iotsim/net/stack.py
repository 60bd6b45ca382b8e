"""The userspace host: every address of a fleet, answered without giving one to the kernel.

`Stack.receive` takes a frame as the link read it and returns what became of it (see
`iotsim.net.outcome`). The common case, a plain UDP datagram over IPv4 for a host that exists, is
decided by one unpack of all headers and a few comparisons; whatever is not plain (options,
fragments, other protocols, padding, trouble of any kind) is parsed again, by the book, below.

Of the ways to spare work, the plain path uses three. Four sums of header words stand for the header
checksum (`iotsim.wire.checksum`). A packet from a local socket has no UDP checksum yet, and one
that leaves need not have it either: the kernel completes it (`iotsim.wire.virtio`). And the run of
addresses that was asked last is asked first.
"""

from __future__ import annotations

from collections import Counter
from struct import Struct
from typing import TYPE_CHECKING

from iotsim.errors import EncodeError
from iotsim.net.icmp import Icmp4
from iotsim.net.outcome import dropped
from iotsim.net.pool import AddressPool, HostGroup, PortHandler, Run
from iotsim.net.ratelimit import TokenBucket
from iotsim.wire import icmpv4, ipv4, udp, virtio
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["HostGroup", "PortHandler", "Stack"]

# All headers of a plain UDP packet, as big-endian words: the virtio header's first two bytes, then
# IPv4 as five words, and UDP's four fields.
_HEADERS = 38
_unpack_headers = Struct(">H8xIIIIIHHHH").unpack_from
_VERIFY = 0x0000
_TRUST = (virtio.NEEDS_CSUM << 8, virtio.DATA_VALID << 8)

# The same on the way out, as one constant up to the total length. A datagram that needs no
# fragmentation has DF set and the identification 0 (RFC 6864, section 4.1).
_pack_headers = Struct(">12sHIHHIIHHHH").pack
_PREFIX = virtio.needs_checksum(20, udp.CHECKSUM_OFFSET) + b"\x45\x00"
_IDENTIFICATION_FLAGS = ipv4.DONT_FRAGMENT
_TTL_PROTOCOL = 64 << 8 | ipv4.UDP
_CONSTANT_SUM = 0x4500 + _IDENTIFICATION_FLAGS + _TTL_PROTOCOL + 20


class Stack:
    """All simulated hosts behind one link.

    `transmit` is called with each frame to send. ICMP errors about addresses without a host come
    from `router`: Linux drops those that seem to come from itself, so it has to be an address that
    nobody else has. `broadcasts` are the directed broadcast addresses of the link's networks.
    Errors are limited to `icmp_rate` a second after a burst of `icmp_burst`.

    `counters` has what is no outcome of a received packet, by name.
    """

    def __init__(
        self,
        transmit: Callable[[bytes], object],
        *,
        router: int,
        router6: int = 0,
        mtu: int = 1500,
        broadcasts: Collection[int] = (),
        icmp_rate: float = 1000.0,
        icmp_burst: float = 50.0,
    ) -> None:
        self.router = router
        self.router6 = router6
        self.mtu = mtu
        self.counters: Counter[str] = Counter()
        self._transmit = transmit
        self._broadcasts = frozenset((ipv4.LIMITED_BROADCAST, *broadcasts))
        self._pool = AddressPool()
        bucket = TokenBucket(icmp_rate, icmp_burst)
        self._icmp4 = Icmp4(self._send_ipv4, bucket, self.counters)
        self._plain_length = mtu - ipv4.MINIMUM_HEADER_LENGTH
        # The run that was asked last.
        self._first = 0
        self._count = 0
        self._ports: dict[int, PortHandler] = {}

    def attach(self, first: int, count: int, group: HostGroup) -> None:
        """Give host i of `group` the address `first` + i; ValueError if one of them is taken."""
        if first <= self.router < first + count:
            raise ValueError("the router's address is among those of the hosts")
        self._pool.add(first, count, group)

    def receive(self, frame: bytes, now: float) -> str:
        """Handle a frame from the link; returns its outcome and never raises for what is in it.

        What a `PortHandler` raises does pass through.
        """
        if len(frame) >= _HEADERS:
            (
                offload,
                version_tos_length,
                fragment,
                ttl_protocol_checksum,
                source,
                destination,
                source_port,
                port,
                length,
                checksum,
            ) = _unpack_headers(frame)
            if (
                version_tos_length >> 24 == 0x45
                and ttl_protocol_checksum >> 16 & 0xFF == 17
                and version_tos_length & 0xFFFF == length + 20 == len(frame) - 10
                and not fragment & 0x3FFF
                and not (
                    version_tos_length + fragment + ttl_protocol_checksum + source + destination
                )
                % 65535
                and _UNICAST[source >> 24]
                and source not in self._broadcasts
            ):
                index = destination - self._first
                if not 0 <= index < self._count:
                    index = self._look_up(destination)
                if index >= 0:
                    handler = self._ports.get(port)
                    if handler is not None and (
                        offload in _TRUST
                        or (offload == _VERIFY and (not checksum or _is_correct(frame, length)))
                    ):
                        return handler(index, frame[38:], source, source_port, destination, now)
        try:
            return self._receive(frame, now)
        except PacketError as error:
            return dropped(error.reason)

    def send_udp(
        self,
        source: int,
        source_port: int,
        destination: int,
        destination_port: int,
        payload: bytes,
    ) -> None:
        """Send a datagram. EncodeError if it is longer than the link can carry."""
        length = len(payload) + 8
        if length > self._plain_length:
            raise EncodeError(f"a datagram of {length - 8} bytes does not fit the link's MTU")
        addresses = source + destination
        self._transmit(
            _pack_headers(
                _PREFIX,
                length + 20,
                _IDENTIFICATION_FLAGS,
                _TTL_PROTOCOL,
                -(addresses + length + _CONSTANT_SUM) % 65535,
                source,
                destination,
                source_port,
                destination_port,
                length,
                (addresses + length + 17) % 65535,
            )
            + payload
        )

    def _look_up(self, destination: int) -> int:
        """The index of `destination` in its run, which becomes the current one; or -1."""
        run = self._pool.find(destination)
        if run is None:
            return -1
        self._first = run.first
        self._count = run.end - run.first
        self._ports = run.ports
        return destination - run.first

    def _receive(self, frame: bytes, now: float) -> str:
        offload = virtio.parse_virtio(frame)
        if offload.gso_type != virtio.GSO_NONE:
            return dropped("large-packet")
        packet = virtio.complete_checksum(frame)
        if not packet:
            return dropped("truncated-frame")
        if packet[0] >> 4 == 4:
            return self._receive_ipv4(packet, now, trusted=bool(offload.flags))
        return dropped("ip-version")

    def _receive_ipv4(self, packet: bytes, now: float, *, trusted: bool) -> str:
        header = ipv4.parse_ipv4(packet)
        if not ipv4.is_unicast(header.source) or header.source in self._broadcasts:
            return dropped("source-address")
        destination = header.destination
        if ipv4.is_multicast(destination):
            return dropped("multicast")
        if destination in self._broadcasts:
            return dropped("broadcast")
        if not ipv4.is_unicast(destination):
            return dropped("destination-address")
        run = self._pool.find(destination)
        if run is None and destination != self.router:
            self._error(header, packet, icmpv4.HOST_UNREACHABLE, now, source=self.router)
            return dropped("no-host")
        if header.is_fragment:
            return dropped("fragment")
        payload = packet[header.header_length : header.total_length]
        if header.protocol == ipv4.ICMP:
            return self._icmp4.receive(header, payload)
        if header.protocol == ipv4.UDP:
            return self._receive_udp(header, packet, payload, run, now, trusted=trusted)
        self._error(header, packet, icmpv4.PROTOCOL_UNREACHABLE, now, source=destination)
        return dropped("no-protocol")

    def _receive_udp(
        self,
        header: ipv4.IPv4Header,
        packet: bytes,
        payload: bytes,
        run: Run | None,
        now: float,
        *,
        trusted: bool,
    ) -> str:
        datagram = udp.parse_udp(payload)
        payload = payload[: datagram.length]
        if not trusted:
            udp.verify_udp(header.source, header.destination, payload)
        handler = run.ports.get(datagram.destination_port) if run else None
        if run is None or handler is None:
            code = icmpv4.PORT_UNREACHABLE
            self._error(header, packet, code, now, source=header.destination)
            return dropped("no-service")
        return handler(
            header.destination - run.first,
            payload[udp.HEADER_LENGTH :],
            header.source,
            datagram.source_port,
            header.destination,
            now,
        )

    def _error(
        self, header: ipv4.IPv4Header, packet: bytes, code: int, now: float, *, source: int
    ) -> None:
        kind = icmpv4.DESTINATION_UNREACHABLE
        self._icmp4.error(kind, code, source=source, header=header, packet=packet, now=now)

    def _send_ipv4(self, source: int, destination: int, protocol: int, payload: bytes) -> None:
        packet = ipv4.build_ipv4(source, destination, protocol, payload, dont_fragment=True)
        self._transmit(virtio.PLAIN + packet)


_UNICAST = tuple(ipv4.is_unicast(octet << 24) for octet in range(256))


def _is_correct(frame: bytes, length: int) -> bool:
    """Whether the UDP checksum of a plain frame, whose datagram has `length` bytes, is right."""
    # From byte 22 on, the addresses and the datagram: the pseudo-header but for two fields.
    value = int.from_bytes(frame[22:], "big")
    if length & 1:
        value <<= 8
    return not (value + length + 17) % 65535
