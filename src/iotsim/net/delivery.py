"""Delivery to the upper layers of a host: UDP to its handlers, ICMP, IGMP, TCP to its refusal.

What comes here is whole, validated as IP, and for a host, a simulated router or a group of ours.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from iotsim.net.datagram import Datagram
from iotsim.net.multicast import combine
from iotsim.net.outcome import ANSWERED, consumed, dropped
from iotsim.net.packet import Trouble, read_extensions
from iotsim.wire import icmpv6, igmp, ipv4, ipv6, tcp, udp
from iotsim.wire.address import IPV4_END
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import AddressTable, Block
    from iotsim.net.icmp import Icmp, Send
    from iotsim.net.multicast import Groups
    from iotsim.net.packet import Packet
    from iotsim.wire.icmpv4 import IcmpMessage

_LINK_MESSAGES = frozenset(
    {
        icmpv6.MLD_QUERY,
        icmpv6.ROUTER_ADVERTISEMENT,
        icmpv6.NEIGHBOR_SOLICITATION,
        icmpv6.NEIGHBOR_ADVERTISEMENT,
    }
)
"""What only hosts on a link with neighbors have to do with."""


class SendError(Protocol):
    """Sends an ICMP error about a packet, from `source`; if that is allowed."""

    def __call__(
        self,
        trouble: Trouble,
        packet: Packet,
        source: int,
        now: float,
        *,
        rest: int = 0,
    ) -> object: ...


class Delivery:
    """Hands packets to what they are for; each method returns the packet's outcome."""

    def __init__(
        self, table: AddressTable, groups: Groups, icmp: Icmp, send: Send, error: SendError
    ) -> None:
        self.link_message: Callable[[Packet, IcmpMessage, float], str] | None = None
        self.membership_query: Callable[[Packet, float], str] | None = None
        self._table = table
        self._groups = groups
        self._icmp = icmp
        self._send = send
        self._error = error

    def deliver(self, packet: Packet, block: Block | None, now: float) -> str:
        """A packet to a host in `block`, or (None) to a router."""
        protocol = packet.protocol
        if protocol == ipv4.UDP:
            header = _read_udp(packet)
            handler = block.ports.get(header.destination_port) if block else None
            if block is not None and handler is not None:
                datagram = self._datagram(packet, header, block, now)
                return handler(datagram, packet.payload[udp.HEADER_LENGTH : header.length])
            if not (block and block.silent):
                self._error(Trouble.PORT_UNREACHABLE, packet, packet.destination, now)
            return dropped("no-service")
        if protocol == ipv4.ICMP and packet.destination < IPV4_END:
            return self._icmp.receive_ipv4(packet, now)
        if protocol == ipv6.ICMPV6 and packet.destination >= IPV4_END:
            return self._receive_icmpv6(packet, now)
        if protocol == tcp.PROTOCOL:
            return self._refuse_tcp(packet, silent=bool(block and block.silent))
        if protocol == ipv4.IGMP and packet.destination < IPV4_END:
            return self._receive_igmp(packet, now)
        if protocol == ipv6.NO_NEXT_HEADER and packet.destination >= IPV4_END:
            return consumed("no-next-header")
        self._error(
            Trouble.PROTOCOL_UNREACHABLE,
            packet,
            packet.destination,
            now,
            rest=packet.protocol_at if packet.destination >= IPV4_END else 0,
        )
        return dropped("no-protocol")

    def miss(self, packet: Packet, block: Block, now: float) -> None:
        """A packet to a host in `block` that is absent: if it is a datagram, who wants to know is told."""
        missed = block.pool.missed if block.missed is None else block.missed
        if not missed:
            return
        with suppress(PacketError):
            if packet.destination >= IPV4_END:
                read_extensions(packet)
            if packet.protocol != ipv4.UDP or packet.fragment is not None:
                return
            header = _read_udp(packet)
            handler = missed.get(header.destination_port)
            if handler is not None:
                datagram = self._datagram(packet, header, block, now)
                handler(datagram, packet.payload[udp.HEADER_LENGTH : header.length])

    def _datagram(
        self, packet: Packet, header: udp.UdpHeader, block: Block, now: float
    ) -> Datagram:
        return Datagram(
            block.index(packet.destination),
            packet.destination,
            header.destination_port,
            packet.source,
            header.source_port,
            now,
            from_host=self._table.find(packet.source) is not None,
        )

    def deliver_to_group(self, packet: Packet, now: float) -> str:
        """A packet to a multicast group or a broadcast address: no errors about it."""
        is_ipv4 = packet.destination < IPV4_END
        if packet.protocol == ipv4.UDP:
            if not packet.source:
                return dropped("source-address")
            header = _read_udp(packet)
            payload = packet.payload[udp.HEADER_LENGTH : header.length]
            return self._deliver_datagram(packet, header, payload, now)
        if packet.protocol == ipv4.ICMP and is_ipv4:
            # As most hosts do (RFC 1122, section 3.2.2.6 allows it).
            return consumed("icmp-to-group")
        if packet.protocol == ipv6.ICMPV6 and not is_ipv4:
            return self._receive_icmpv6(packet, now)
        if packet.protocol == ipv4.IGMP and is_ipv4:
            return self._receive_igmp(packet, now)
        return dropped("no-member")

    def _deliver_datagram(
        self, packet: Packet, header: udp.UdpHeader, payload: bytes, now: float
    ) -> str:
        port = header.destination_port
        blocks = [
            block
            for block in self._groups.blocks(packet.destination, packet.source)
            if port in block.ports
        ]
        from_host = self._table.find(packet.source) is not None
        return combine(
            block.ports[port](
                Datagram(
                    block.start + place,
                    block.first + place,
                    port,
                    packet.source,
                    header.source_port,
                    now,
                    None,
                    packet.destination,
                    from_host,
                ),
                payload,
            )
            for block, place in self._groups.hosts(blocks, packet.source, now)
        )

    def _receive_icmpv6(self, packet: Packet, now: float) -> str:
        message = icmpv6.parse_icmpv6(packet.source, packet.destination, packet.payload)
        if message.type in _LINK_MESSAGES and self.link_message is not None:
            return self.link_message(packet, message, now)
        if message.type != icmpv6.ECHO_REQUEST:
            return self._icmp.receive_ipv6(packet, message, now)
        if not packet.source:
            return dropped("source-address")
        if not ipv6.is_multicast(packet.destination):
            self._icmp.reply_echo_ipv6(packet, message, packet.destination)
            return ANSWERED
        outcome = dropped("no-member")
        members = self._groups.blocks(packet.destination, packet.source)
        for block, place in self._groups.hosts(members, packet.source, now):
            self._icmp.reply_echo_ipv6(packet, message, block.first + place)
            outcome = ANSWERED
        return outcome

    def _receive_igmp(self, packet: Packet, now: float) -> str:
        if igmp.parse_type(packet.payload) != igmp.MEMBERSHIP_QUERY:
            return consumed("igmp-report")
        if self.membership_query is not None:
            return self.membership_query(packet, now)
        return consumed("igmp-query")

    def _refuse_tcp(self, packet: Packet, *, silent: bool) -> str:
        segment = tcp.parse_tcp(packet.payload)
        if not packet.trusted:
            tcp.verify_tcp(packet.source, packet.destination, packet.payload)
        if segment.flags & tcp.RST:
            return consumed("tcp-reset")
        if not silent and packet.source:
            reset = tcp.build_reset(packet.destination, packet.source, segment)
            self._send(packet.destination, packet.source, tcp.PROTOCOL, reset)
        return dropped("tcp-refused")


def _read_udp(packet: Packet) -> udp.UdpHeader:
    header = udp.parse_udp(packet.payload, jumbo=packet.destination >= IPV4_END)
    if not packet.trusted:
        udp.verify_udp(packet.source, packet.destination, packet.payload[: header.length])
    return header
