"""Which packets a capture keeps that is limited to some devices.

It keeps what comes from or goes to an address of theirs, ARP and neighbor discovery about these
included, and what goes to a group or to everybody, which is for them, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.events import IN
from iotsim.scenario.selectors import merged, select
from iotsim.wire import arp, ethernet, icmpv6, ipv4, ipv6, virtio
from iotsim.wire.address import is_ipv4
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from iotsim.scenario.model import Scenario

_TARGET = slice(8, 24)
"""Of a neighbor solicitation or advertisement: the address that it is about (RFC 4861, 4.3)."""


def make_filter(scenario: Scenario, selectors: Sequence[str]) -> Callable[[int, bytes], bool]:
    """Whether (direction, frame) is kept; SelectorError (a ValueError) if a selector selects nothing."""
    counts = {fleet.name: fleet.count for fleet in scenario.fleets}
    selections = merged(select(text, counts, scenario.seed) for text in selectors)
    blocks: list[tuple[int, int, Container[int]]] = []
    for selection in selections:
        (fleet,) = (fleet for fleet in scenario.fleets if fleet.name == selection.fleet)
        if fleet.network.dhcp:
            raise ValueError(
                f"'{fleet.name}' gets its addresses by DHCP, so they are not known yet"
            )
        indexes = selection.indexes
        chosen = indexes if isinstance(indexes, range) else frozenset(indexes)
        blocks += [(block.first, block.count, chosen) for block in fleet.blocks]
    broadcasts = {ipv4.LIMITED_BROADCAST, *scenario.link.broadcasts}
    has_ethernet = scenario.link.kind == "tap"

    def wanted(address: int) -> bool:
        return any(
            first <= address < first + count and address - first in chosen
            for first, count, chosen in blocks
        )

    def for_all(address: int) -> bool:
        if is_ipv4(address):
            return ipv4.is_multicast(address) or address in broadcasts
        return ipv6.is_multicast(address)

    def keep(direction: int, frame: bytes) -> bool:
        found = addresses(frame, has_ethernet=has_ethernet)
        return any(map(wanted, found)) or (direction == IN and any(map(for_all, found)))

    return keep


def addresses(frame: bytes, *, has_ethernet: bool) -> list[int]:
    """The IP addresses that a frame of a link is from, to and about."""
    start = virtio.HEADER_LENGTH
    if has_ethernet:
        try:
            header = ethernet.parse_ethernet(frame, start)
            start += header.length
            if header.ethertype == ethernet.ARP:
                message = arp.parse_arp(frame[start:])
                return [message.sender, message.target]
        except PacketError:
            return []
    packet = frame[start : start + 64]
    if len(packet) >= ipv4.MINIMUM_HEADER_LENGTH and packet[0] >> 4 == 4:
        return [int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[16:20], "big")]
    if len(packet) >= ipv6.HEADER_LENGTH and packet[0] >> 4 == 6:
        found = [int.from_bytes(packet[8:24], "big"), int.from_bytes(packet[24:40], "big")]
        about = (icmpv6.NEIGHBOR_SOLICITATION, icmpv6.NEIGHBOR_ADVERTISEMENT)
        if packet[6] == ipv6.ICMPV6 and len(packet) == 64 and packet[40] in about:
            found[1] = int.from_bytes(packet[40:][_TARGET], "big")
        return found
    return []
