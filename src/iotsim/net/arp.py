"""ARP for all simulated hosts (RFC 826), with conflict detection (RFC 5227).

A conflict is an ARP packet whose sender has an address of ours. It is defended with one
announcement, but not more often than every ten seconds (section 2.4, choice b): two hosts that both
insist must not fight for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net.outcome import ANSWERED, consumed, dropped
from iotsim.wire import arp, ethernet, ipv4
from iotsim.wire.arp import ArpMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import Block
    from iotsim.net.ethernet import EthernetStack

PROBES = 3
PROBE_INTERVAL_S = 1.0
ANNOUNCE_WAIT_S = 2.0
ANNOUNCEMENTS = 2
ANNOUNCE_INTERVAL_S = 2.0
DEFEND_INTERVAL_S = 10.0
CONFLICTS_REMEMBERED = 1024


class Arp:
    """Answers, asks and announces, in the name of each host that is there."""

    def __init__(
        self, stack: EthernetStack, on_conflict: Callable[[int, int], object] | None
    ) -> None:
        self._stack = stack
        self._on_conflict = on_conflict
        # Address -> when it was defended last; the oldest first.
        self._defended: dict[int, float] = {}

    def receive(self, message: ArpMessage, now: float) -> str:
        """Handle a message, and return its outcome."""
        stack = self._stack
        if ethernet.is_group(message.sender_mac) or (
            message.sender and not ipv4.is_unicast(message.sender)
        ):
            return dropped("arp-sender")
        sender_mac = stack.mac_of(message.sender) if message.sender else 0
        if sender_mac:
            if sender_mac != message.sender_mac:
                self._defend(message.sender, sender_mac, message.sender_mac, now)
                return consumed("address-conflict")
            return consumed("arp-own")
        target_mac = stack.mac_of(message.target)
        if message.sender:
            stack.neighbors.learn(
                message.sender,
                message.sender_mac,
                now,
                solicited=message.operation == arp.REPLY and bool(target_mac),
                create=bool(target_mac),
            )
        if message.operation != arp.REQUEST:
            return consumed("arp-reply")
        if not target_mac:
            return consumed("arp-for-others")
        reply = ArpMessage(
            arp.REPLY, target_mac, message.target, message.sender_mac, message.sender
        )
        self._send(reply, message.sender_mac)
        return ANSWERED

    def solicit(self, address: int, asker: int, mac: int) -> None:
        """Ask who has `address`, all or (to see whether it is still there) only `mac`."""
        request = ArpMessage(arp.REQUEST, self._stack.mac_of(asker), asker, 0, address)
        self._send(request, mac or ethernet.BROADCAST)

    def declare(self, address: int) -> None:
        """Tell everybody that `address` is ours."""
        self._broadcast(sender=address, target=address)

    def announce(self, block: Block, now: float, spacing_s: float) -> None:
        """Probe for the addresses of `block`, and then announce them (RFC 5227, section 2)."""

        def probe(index: int, _: float) -> None:
            self._broadcast(sender=0, target=block.first + index)

        def declare(index: int, _: float) -> None:
            self.declare(block.first + index)

        count = block.end - block.first
        for number in range(PROBES):
            start = now + number * PROBE_INTERVAL_S
            self._stack.sweeps.add(("arp", block.first, number), count, start, spacing_s, probe)
        begin = now + (PROBES - 1) * PROBE_INTERVAL_S + ANNOUNCE_WAIT_S
        for number in range(ANNOUNCEMENTS):
            start = begin + number * ANNOUNCE_INTERVAL_S
            key = "arp", block.first, PROBES + number
            self._stack.sweeps.add(key, count, start, spacing_s, declare)

    def _defend(self, address: int, mac: int, other: int, now: float) -> None:
        self._stack.counters["address-conflicts"] += 1
        defended = self._defended.pop(address, None)
        if defended is not None and now - defended < DEFEND_INTERVAL_S:
            self._defended[address] = defended
            return
        if len(self._defended) >= CONFLICTS_REMEMBERED:
            del self._defended[next(iter(self._defended))]
        self._defended[address] = now
        self._send(ArpMessage(arp.REQUEST, mac, address, 0, address), ethernet.BROADCAST)
        if self._on_conflict is not None:
            self._on_conflict(address, other)

    def _broadcast(self, sender: int, target: int) -> None:
        mac = self._stack.mac_of(target)
        if mac:  # else the host is absent
            self._send(ArpMessage(arp.REQUEST, mac, sender, 0, target), ethernet.BROADCAST)

    def _send(self, message: ArpMessage, destination: int) -> None:
        self._stack.send_ethernet(
            destination, message.sender_mac, ethernet.ARP, arp.build_arp(message)
        )
