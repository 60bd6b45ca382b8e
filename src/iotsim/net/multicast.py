"""Multicast and broadcast groups: which hosts are in them, and a request that goes to all.

Membership is a pool's: all of its hosts are in a group, or none. All hosts on the link hear
broadcasts, and are members of the all-hosts groups of both families. A pool may have several
addresses per host; a request reaches each host once, at the address that suits the sender's (a
link-local one asks a link-local one).

A request makes at most `limit` hosts speak, so that one packet cannot start a storm; how many it
left out is counted. When they answer is up to their handlers: protocols ask for a spread of their
own (CoAP's leisure, the wait times of BACnet and KNX searches).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net.outcome import ANSWERED, PENDING, dropped
from iotsim.wire import ipv6
from iotsim.wire.address import IPV4_END, format_address
from iotsim.wire.igmp import ALL_SYSTEMS
from iotsim.wire.ipv4 import is_multicast

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from iotsim.net.address_table import AddressTable, Block, HostPool

ALL_HOSTS = (ALL_SYSTEMS, ipv6.ALL_NODES)


class Groups:
    """Which pool is in which group."""

    def __init__(self, table: AddressTable, counters: Counter[str], limit: int) -> None:
        self._table = table
        self._counters = counters
        self._limit = limit
        self._members: dict[int, list[HostPool]] = {}

    def join(self, address: int, pool: HostPool) -> None:
        """Make all hosts of `pool` members; ValueError if `address` is not a multicast address."""
        if not (is_multicast(address) if address < IPV4_END else ipv6.is_multicast(address)):
            raise ValueError(f"{format_address(address)} is not a multicast address")
        members = self._members.setdefault(address, [])
        if not any(member is pool for member in members):
            members.append(pool)

    def joined(self, pool: HostPool) -> list[int]:
        """The groups that the hosts of `pool` have joined, besides the all-hosts groups."""
        return [
            address
            for address, members in self._members.items()
            if any(member is pool for member in members)
        ]

    def blocks(self, address: int, source: int) -> list[Block]:
        """The members' addresses with which to answer `source` when it asks `address`, a group or
        a broadcast address."""
        everybody = address in ALL_HOSTS or (address < IPV4_END and not is_multicast(address))
        members = self._members.get(address, ())
        chosen: dict[tuple[int, int], Block] = {}
        scope = _scope(source)
        for block in self._table:
            if (block.first < IPV4_END) != (address < IPV4_END):
                continue
            if everybody:
                if block.hops:
                    continue  # Behind a router, and so not on the link.
            elif not any(member is block.pool for member in members):
                continue
            key = id(block.pool), block.start
            known = chosen.get(key)
            if known is None or (_scope(known.first) != scope == _scope(block.first)):
                chosen[key] = block
        return list(chosen.values())

    def has_listener(self, address: int, source: int, port: int) -> bool:
        """Whether a host but that at `source` hears what it sends to `port` of the group `address`."""
        own = self._table.find(source)
        return any(
            port in block.ports
            and (
                own is None
                or block.pool is not own.pool
                or block.end - block.first > 1
                or block.start != own.index(source)
            )
            for block in self.blocks(address, source)
        )

    def hosts(
        self, blocks: Iterable[Block], source: int, now: float
    ) -> Iterator[tuple[Block, int]]:
        """(block, place in it) of each host that may answer a request of `source`: no more than the
        limit, none that is absent, and not the one that asks."""
        room = self._limit
        own = self._table.find(source)
        for block in blocks:
            count = block.end - block.first
            asking = own.index(source) if own is not None and own.pool is block.pool else -1
            for place in range(min(count, room)):
                index = block.start + place
                if index != asking and not (block.absence and block.absence(index, now)):
                    yield block, place
            if count > room:
                self._counters["group-members-left-out"] += count - room
            room -= min(count, room)


def combine(outcomes: Iterable[str]) -> str:
    """One outcome for a packet that many hosts received: the liveliest of theirs."""
    best = dropped("no-member")
    for outcome in outcomes:
        if outcome == ANSWERED:
            best = outcome
        elif outcome == PENDING:
            best = outcome if best != ANSWERED else best
        elif best.startswith("dropped.") and (
            outcome.startswith("consumed.") or best == dropped("no-member")
        ):
            best = outcome
    return best


def _scope(address: int) -> bool:
    return ipv6.is_link_local(address)
