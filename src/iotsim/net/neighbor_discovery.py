"""Neighbor discovery for all simulated hosts (RFC 4861), with the detection of duplicate addresses
(RFC 4862)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net.outcome import ANSWERED, consumed, dropped
from iotsim.wire import ethernet, icmpv6, ipv6, ndp, virtio

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import Block
    from iotsim.net.ethernet import EthernetStack
    from iotsim.net.packet import Packet
    from iotsim.wire.icmpv4 import IcmpMessage

ANNOUNCE_WAIT_S = 1.0


class NeighborDiscovery:
    """Answers, asks and announces, in the name of each device.

    `router` is the router that advertised itself last as a default router; 0 for none.
    """

    def __init__(
        self, stack: EthernetStack, on_conflict: Callable[[int, int], object] | None
    ) -> None:
        self._stack = stack
        self._on_conflict = on_conflict
        self.router = 0

    def receive(self, packet: Packet, message: IcmpMessage, now: float) -> str:
        """Handle a message, whose checksum was right, and return its outcome."""
        if packet.hop_limit != ndp.HOP_LIMIT or message.code:
            return dropped("ndp-not-genuine")
        if message.type == icmpv6.NEIGHBOR_SOLICITATION:
            return self._receive_solicitation(packet, message, now)
        if message.type == icmpv6.NEIGHBOR_ADVERTISEMENT:
            return self._receive_advertisement(packet, message, now)
        return self._receive_router(packet, message, now)

    def solicit(self, address: int, asker: int, mac: int) -> None:
        """Ask who has `address`, all or (to see whether it is still there) only `mac`."""
        destination = address if mac else ipv6.solicited_node(address)
        own = self._stack.mac_of(asker)
        data = ndp.neighbor_data(address, ndp.SOURCE_LINK_ADDRESS, own)
        packet = _build(icmpv6.NEIGHBOR_SOLICITATION, asker, destination, data)
        mac = mac or ethernet.group_mac(destination)
        self._stack.send_ethernet(mac, own, ethernet.IPV6, packet)

    def declare(self, address: int) -> None:
        """Tell everybody that `address` is ours, if its host is there."""
        if self._stack.mac_of(address):
            self._advertise(address, ipv6.ALL_NODES, ndp.OVERRIDE)

    def announce(self, block: Block, now: float, spacing_s: float) -> None:
        """Probe for the addresses of `block`, and then announce them."""

        def probe(index: int, _: float) -> None:
            address = block.first + index
            own = self._stack.mac_of(address)
            if not own:
                return  # The host is absent.
            data = ndp.neighbor_data(address, ndp.SOURCE_LINK_ADDRESS, None)
            destination = ipv6.solicited_node(address)
            packet = _build(icmpv6.NEIGHBOR_SOLICITATION, 0, destination, data)
            mac = ethernet.group_mac(destination)
            self._stack.send_ethernet(mac, own, ethernet.IPV6, packet)

        def declare(index: int, _: float) -> None:
            self.declare(block.first + index)

        count = block.end - block.first
        self._stack.sweeps.add(("ndp", block.first, 0), count, now, spacing_s, probe)
        start = now + ANNOUNCE_WAIT_S
        self._stack.sweeps.add(("ndp", block.first, 1), count, start, spacing_s, declare)

    def _receive_solicitation(self, packet: Packet, message: IcmpMessage, now: float) -> str:
        solicitation = ndp.parse_neighbor(message, ndp.SOURCE_LINK_ADDRESS)
        target = solicitation.target
        if not packet.source and (
            solicitation.link_address is not None or packet.destination >> 24 != _SOLICITED
        ):
            return dropped("ndp-not-genuine")
        if not self._stack.mac_of(target):
            return consumed("neighbor-solicitation")
        if not packet.source:
            # Somebody else tries whether the address is free. It is not.
            self._advertise(target, ipv6.ALL_NODES, ndp.OVERRIDE)
            return ANSWERED
        if solicitation.link_address is not None:
            self._stack.neighbors.learn(packet.source, solicitation.link_address, now, create=True)
        if ipv6.is_multicast(packet.destination):
            self._advertise(target, packet.source, ndp.SOLICITED | ndp.OVERRIDE)
        else:
            # Who asks by unicast knows the link address (RFC 4861, section 7.2.4).
            self._advertise(target, packet.source, ndp.SOLICITED)
        return ANSWERED

    def _receive_advertisement(self, packet: Packet, message: IcmpMessage, now: float) -> str:
        advertisement = ndp.parse_neighbor(message, ndp.TARGET_LINK_ADDRESS)
        if advertisement.solicited and ipv6.is_multicast(packet.destination):
            return dropped("ndp-not-genuine")
        target = advertisement.target
        ours = self._stack.mac_of(target)
        if ours:
            other = advertisement.link_address or 0
            if other == ours:
                return consumed("neighbor-advertisement")
            self._stack.counters["address-conflicts"] += 1
            if self._on_conflict is not None:
                self._on_conflict(target, other)
            return consumed("address-conflict")
        mac = advertisement.link_address or self._stack.neighbors.mac(target)
        if mac:
            self._stack.neighbors.learn(
                target,
                mac,
                now,
                solicited=advertisement.solicited,
                override=advertisement.override,
            )
        return consumed("neighbor-advertisement")

    def _receive_router(self, packet: Packet, message: IcmpMessage, now: float) -> str:
        if not ipv6.is_link_local(packet.source):
            return dropped("ndp-not-genuine")
        advertisement = ndp.parse_router_advertisement(message)
        if advertisement.link_address is not None:
            mac = advertisement.link_address
            self._stack.neighbors.learn(packet.source, mac, now, create=True)
        if advertisement.lifetime_s:
            self.router = packet.source
        elif self.router == packet.source:
            self.router = 0
        return consumed("router-advertisement")

    def _advertise(self, target: int, destination: int, flags: int) -> None:
        mac = self._stack.mac_of(target) if flags & ndp.OVERRIDE else None
        data = ndp.neighbor_data(target, ndp.TARGET_LINK_ADDRESS, mac)
        packet = _build(icmpv6.NEIGHBOR_ADVERTISEMENT, target, destination, data, flags)
        self._stack.send_packet(virtio.PLAIN + packet)


_SOLICITED = ipv6.SOLICITED_NODE >> 24


def _build(kind: int, source: int, destination: int, data: bytes, rest: int = 0) -> bytes:
    message = icmpv6.build_icmpv6(source, destination, kind, 0, rest, data)
    return ipv6.build_ipv6(source, destination, ipv6.ICMPV6, message, hop_limit=ndp.HOP_LIMIT)
