"""`Stack`: all simulated hosts of a link, and the short cut of plain UDP datagrams to their handlers.

`Stack.receive` takes a frame as the link read it and returns what became of it (see
`iotsim.net.outcome`). The common case, a plain UDP datagram for a host that exists, is decided by
one unpack of all headers and a few comparisons; whatever is not plain (options, fragments, other
protocols, groups, simulated hops, trouble of any kind) goes by the book of `iotsim.net.ip`.

Of the ways to spare work, the short cut uses four. Four sums of header words stand for the header
checksum (`iotsim.wire.checksum`). A packet from a local socket has no UDP checksum yet, and one
that leaves need not have it either: the kernel completes it (`iotsim.wire.virtio`). And the block of
addresses that was asked last is asked first. And of a flow that has come twice, its place and the headers
of its answers are kept: what is left to look at is what may differ from one packet to the next.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from iotsim.net.datagram import Datagram, Flow
from iotsim.net.ip import IpLayer
from iotsim.wire import ipv4, ipv6, udp, virtio

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Sending

# All headers of a plain UDP packet, as big-endian words: the virtio header's first two bytes, then
# IPv4 as five words or IPv6 with each address as two, and UDP's four fields.
_HEADERS = 38
_HEADERS6 = 58
_unpack_headers = Struct(">H8xIIIIIHHHH").unpack_from
_unpack_headers6 = Struct(">H8xIHBxQQQQHHHH").unpack_from
# Of a packet of a known flow over IPv4: what its key, both addresses and ports, leaves open.
_FLOW = slice(22, 34)
_unpack_rest = Struct(">H8xBxH2xHxB14xH").unpack_from
_VERIFY = 0x0000
_LOCAL = virtio.NEEDS_CSUM << 8
_TRUST = (virtio.NEEDS_CSUM << 8, virtio.DATA_VALID << 8)

# The same on the way out, as one constant up to the total length. A datagram that needs no
# fragmentation has DF set and the identification 0 (RFC 6864, section 4.1).
_pack_headers = Struct(">12sH6sHIIHHHH").pack
_PREFIX = virtio.needs_checksum(20, udp.CHECKSUM_OFFSET) + b"\x45\x00"
_FLAGS_TTL_PROTOCOL = b"\0\0\x40\0\x40\x11"
_CONSTANT_SUM = 0x4500 + 0x4000 + 0x4011 + 20

# IPv6 has no header checksum, but its addresses are four words.
_pack_headers6 = Struct(">14sHHQQQQHHHH").pack
_PREFIX6 = virtio.needs_checksum(40, udp.CHECKSUM_OFFSET) + b"\x60\0\0\0"
_NEXT_HEADER_HOP_LIMIT = ipv4.UDP << 8 | 64
_LOW = (1 << 64) - 1

MOST_PEERS_KNOWN = 1 << 16
MOST_FLOWS = 1 << 14
MOST_HEADS = 16


class Stack(IpLayer):
    """All simulated hosts behind one link.

    `transmit` is called with each frame to send on the link, and `to_hosts` with each for hosts behind
    it, to be given to `receive_from_host` a while later (None: the link gets those, too); both return
    what has become of it. ICMP errors about addresses without a host come from `router` and `router6`
    (0 for none): Linux drops those that seem to come from itself, so they have to be addresses that
    nobody else has. `broadcasts` are the directed broadcast addresses of the link's networks. Errors
    are limited to `icmp_rate` a second after a burst of `icmp_burst`, and the hosts that one request
    to a group reaches to `group_limit`.

    With `loopback` the hosts may be in 127.0.0.0/8, which is nobody's on any other link.

    `counters` has what is no outcome of a received packet, by name.
    """

    def __init__(
        self,
        transmit: Callable[[bytes], Sending],
        *,
        to_hosts: Callable[[bytes], Sending] | None = None,
        router: int,
        router6: int = 0,
        mtu: int = 1500,
        broadcasts: Collection[int] = (),
        icmp_rate: float = 1000.0,
        icmp_burst: float = 50.0,
        group_limit: int = 1000,
        loopback: bool = False,
    ) -> None:
        # Destinations that are known to lead beyond the hosts.
        self._beyond: set[int] = set()
        # The flows that are known, by source, destination and ports, and those that were seen once.
        self._flows: dict[bytes, Flow] = {}
        self._seen: set[bytes] = set()
        super().__init__(
            transmit,
            to_hosts=to_hosts,
            router=router,
            router6=router6,
            mtu=mtu,
            broadcasts=broadcasts,
            icmp_rate=icmp_rate,
            icmp_burst=icmp_burst,
            group_limit=group_limit,
            loopback=loopback,
        )
        # The longest datagram that fits every path, with the header of either family.
        self._plain_length = mtu - ipv6.HEADER_LENGTH
        # The block that was asked last.
        self._first = 0
        self._count = 0
        self._ports: Mapping[int, PortHandler] = {}

    def receive(self, frame: bytes, now: float) -> str:
        """Handle a frame from the link; returns its outcome and never raises for what is in it.

        What a `PortHandler` raises does pass through.
        """
        if len(frame) >= _HEADERS:
            flow = self._flows.get(frame[_FLOW])
            if flow is not None:
                offload, version, total, fragment, protocol, length = _unpack_rest(frame)
                # A local socket's packet, whose header is the kernel's own work.
                if (
                    offload == _LOCAL
                    and total == length + 20 == len(frame) - 10
                    and version == 0x45
                    and protocol == 17
                    and not fragment & 0x3FFF
                ):
                    port = flow.local_port
                    handler = flow.ports.get(port)
                    if handler is not None:
                        datagram = Datagram(
                            flow.index, flow.local, port, flow.peer, flow.peer_port, now, flow
                        )
                        return handler(datagram, frame[38:])
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
            if version_tos_length >> 24 != 0x45:
                return self._receive_plain_ipv6(frame, now)
            if (
                ttl_protocol_checksum >> 16 & 0xFF == 17
                and version_tos_length & 0xFFFF == length + 20 == len(frame) - 10
                and not fragment & 0x3FFF
                and not (
                    version_tos_length + fragment + ttl_protocol_checksum + source + destination
                )
                % 65535
                and self._unicast[source >> 24]
                and source not in self._broadcasts
                and source != destination
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
                        datagram = Datagram(index, destination, port, source, source_port, now)
                        if offload == _LOCAL:
                            self._note_flow(frame[_FLOW], datagram)
                        return handler(datagram, frame[38:])
        return self.receive_by_the_book(frame, now)

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending:
        """Send `payload` from the host that `datagram` is of to its peer, in fragments if it must.

        EncodeError if IP cannot carry it. What would go to port 0, the source port of who wants no
        answer (RFC 768), is not sent.
        """
        length = len(payload) + 8
        flow = datagram.flow
        if flow is not None and flow.heads and (head := flow.heads.get(length)):
            return self._transmit(head + payload)
        destination, destination_port = datagram.peer, datagram.peer_port
        if (
            (destination not in self._beyond and not self.leads_beyond(destination))
            or length > self._plain_length
            or not destination_port
        ):
            return self._output.send_udp(datagram, payload)
        source, source_port = datagram.local, datagram.local_port
        if destination > 0xFFFFFFFF:
            return self._transmit(
                _pack_headers6(
                    _PREFIX6,
                    length,
                    _NEXT_HEADER_HOP_LIMIT,
                    source >> 64,
                    source & _LOW,
                    destination >> 64,
                    destination & _LOW,
                    source_port,
                    destination_port,
                    length,
                    (source + destination + length + 17) % 65535,
                )
                + payload
            )
        addresses = source + destination
        head = _pack_headers(
            _PREFIX,
            length + 20,
            _FLAGS_TTL_PROTOCOL,
            -(addresses + length + _CONSTANT_SUM) % 65535,
            source,
            destination,
            source_port,
            destination_port,
            length,
            (addresses + length + 17) % 65535,
        )
        if flow is not None and flow.heads is not None and len(flow.heads) < MOST_HEADS:
            flow.heads[length] = head
        return self._transmit(head + payload)

    def send_corrupt(self, datagram: Datagram, payload: bytes, flip: int) -> Sending:
        """As `send_udp`, with one wrong bit in the UDP datagram: number `flip`, modulo their number."""
        return self._output.send_udp(datagram, payload, flip)

    def _note_flow(self, key: bytes, datagram: Datagram) -> None:
        """A plain datagram of no known flow has come; from the second one on, theirs is one.

        At the first it would be work in vain for a gateway that asks each of a million devices once.
        """
        if key in self._seen:
            self._seen.discard(key)
            if len(self._flows) >= MOST_FLOWS:
                self._forget_flows()
            self._flows[key] = datagram.flow = Flow(datagram, self._ports)
        else:
            if len(self._seen) >= MOST_FLOWS:
                self._seen.clear()
            self._seen.add(key)

    def _forget_flows(self) -> None:
        """What is known of flows may not be right any more, also of datagrams still to be answered."""
        for flow in self._flows.values():
            flow.heads = None
        self._flows.clear()

    def leads_beyond(self, destination: int) -> bool:
        """Whether what is sent to `destination` is for somebody on the link, and for no host behind it.

        For addresses to which nothing can be sent it is False, too.
        """
        if not self._output.leads_beyond(destination):
            return False
        if len(self._beyond) >= MOST_PEERS_KNOWN:
            self._beyond.clear()
        self._beyond.add(destination)
        return True

    def _receive_plain_ipv6(self, frame: bytes, now: float) -> str:
        if len(frame) >= _HEADERS6:
            (
                offload,
                version,
                payload_length,
                next_header,
                source_high,
                source_low,
                destination_high,
                destination_low,
                source_port,
                port,
                length,
                checksum,
            ) = _unpack_headers6(frame)
            if (
                version >> 28 == 6
                and next_header == 17
                and payload_length == length == len(frame) - 50
                and source_high
                and destination_high
                and source_high >> 56 != 0xFF
                and (source_low != destination_low or source_high != destination_high)
            ):
                destination = destination_high << 64 | destination_low
                index = destination - self._first
                if not 0 <= index < self._count:
                    index = self._look_up(destination)
                if index >= 0:
                    handler = self._ports.get(port)
                    if handler is not None and (
                        offload in _TRUST
                        or (offload == _VERIFY and checksum and _is_correct6(frame, length))
                    ):
                        source = source_high << 64 | source_low
                        datagram = Datagram(index, destination, port, source, source_port, now)
                        return handler(datagram, frame[58:])
        return self.receive_by_the_book(frame, now)

    def _look_up(self, destination: int) -> int:
        """The index of `destination` in its block, which becomes the current one; -1 if it has none,
        or if the way there is not plain."""
        block = self.table.find(destination)
        if (
            block is None
            or block.hops
            or block.path_mtu
            or block.start
            or block.absence
            or block.moved
        ):
            return -1
        self._first = block.first
        self._count = block.end - block.first
        self._ports = block.ports
        return destination - block.first

    def _blocks_changed(self) -> None:
        self._count = 0
        self._beyond.clear()
        self._forget_flows()

    def _path_mtu_changed(self) -> None:
        least = min(self._path_mtu.smallest, self._least_mtu)
        # No datagram is plain that may have come through a router: its TTL is less than 64.
        self._plain_length = 0 if self._hops else least - ipv6.HEADER_LENGTH
        self._forget_flows()


def _is_correct(frame: bytes, length: int) -> bool:
    """Whether the UDP checksum of a plain frame, whose datagram has `length` bytes, is right."""
    # From byte 22 on, the addresses and the datagram: the pseudo-header but for two fields.
    value = int.from_bytes(frame[22:], "big")
    if length & 1:
        value <<= 8
    return not (value + length + 17) % 65535


def _is_correct6(frame: bytes, length: int) -> bool:
    """The same for IPv6, whose addresses begin at byte 18."""
    value = int.from_bytes(frame[18:], "big")
    if length & 1:
        value <<= 8
    return not (value + length + 17) % 65535
