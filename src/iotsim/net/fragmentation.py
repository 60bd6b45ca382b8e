"""Fragmentation and reassembly, for both families (RFC 791; RFC 8200, section 4.5; RFC 5722).

A datagram is kept by its key (addresses, protocol, identification) until all of it is there, its
time is over, or its room is needed. A fragment that overlaps another one, without being its exact
copy, condemns the datagram: what is there is thrown away, and what follows too, until its time is
over. Since fragments that are kept never overlap, the datagram is whole when the last one is there
and the lengths add up.

What hostile fragments can cost is bounded twice: a source may not hold more than its share, and
when the total is used up the oldest datagram goes. Each fragment is charged with `OVERHEAD` bytes
besides its own, so that tiny ones do not come cheap.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from iotsim.wire import ipv4, ipv6
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections import Counter

OVERHEAD = 256
IPV4_TIMEOUT_S = 30.0
IPV6_TIMEOUT_S = 60.0


class FragmentKey(NamedTuple):
    source: int
    destination: int
    protocol: int
    identification: int


class Whole(NamedTuple):
    """A datagram that is complete; `first` is the packet of its first fragment."""

    first: bytes
    payload: bytes


@dataclass(slots=True)
class _Partial:
    deadline: float
    first: bytes = b""
    total: int = -1
    received: int = 0
    cost: int = OVERHEAD
    condemned: bool = False
    parts: dict[int, bytes] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)


class Reassembler:
    """The datagrams of which a part is there."""

    def __init__(
        self,
        counters: Counter[str],
        timeout_s: float,
        *,
        source_limit: int = 512 * 1024,
        total_limit: int = 8 * 1024 * 1024,
    ) -> None:
        self._counters = counters
        self._timeout_s = timeout_s
        self._source_limit = source_limit
        self._total_limit = total_limit
        # In the order of their deadlines, for all of them have the same timeout.
        self._partials: dict[FragmentKey, _Partial] = {}
        self._costs: dict[int, int] = {}
        self._total = 0

    @property
    def held_bytes(self) -> int:
        return self._total

    def add(
        self,
        key: FragmentKey,
        offset: int,
        payload: bytes,
        packet: bytes,
        now: float,
        *,
        more: bool,
    ) -> Whole | None:
        """Keep a fragment of `packet`; the datagram, if this completes it.

        PacketError for a fragment that is not kept. Its reason is ``fragment-overlap`` also for
        those of a datagram that was condemned before.
        """
        partial = self._partials.get(key)
        if partial is None:
            partial = _Partial(now + self._timeout_s)
            self._partials[key] = partial
            self._charge(key.source, OVERHEAD)
        if partial.condemned:
            raise PacketError("fragment-overlap")
        end = offset + len(payload)
        if partial.parts.get(offset) == payload and more == (end != partial.total):
            raise PacketError("fragment-duplicate")
        if self._contradicts(partial, offset, end, more=more):
            self._condemn(key, partial)
            raise PacketError("fragment-overlap")
        cost = OVERHEAD + len(payload) + (len(packet) if offset == 0 else 0)
        if self._costs[key.source] + cost > self._source_limit:
            if not partial.offsets:
                self._forget(key)
            raise PacketError("fragment-source-limit")
        self._charge(key.source, cost)
        partial.cost += cost
        partial.parts[offset] = payload
        insort(partial.offsets, offset)
        partial.received += len(payload)
        if not more:
            partial.total = end
        if offset == 0:
            partial.first = packet
        if partial.received == partial.total:
            self._forget(key)
            payload = b"".join([partial.parts[place] for place in partial.offsets])
            return Whole(partial.first, payload)
        while self._total > self._total_limit:
            self._counters["reassembly-evicted"] += 1
            self._forget(next(iter(self._partials)))
        return None

    def next_due(self) -> float | None:
        for partial in self._partials.values():
            return partial.deadline
        return None

    def pop_due(self, now: float) -> list[bytes]:
        """Give up what took too long; the packets of the first fragments that had come."""
        firsts = []
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if partial.deadline > now:
                break
            self._forget(key)
            if not partial.condemned:
                self._counters["reassembly-timeouts"] += 1
                if partial.first:
                    firsts.append(partial.first)
        return firsts

    @staticmethod
    def _contradicts(partial: _Partial, offset: int, end: int, *, more: bool) -> bool:
        """Whether a fragment overlaps another one, or they disagree on where the datagram ends."""
        position = bisect_right(partial.offsets, offset)
        if position:
            before = partial.offsets[position - 1]
            if before == offset or before + len(partial.parts[before]) > offset:
                return True
        if position < len(partial.offsets) and (not more or end > partial.offsets[position]):
            return True
        return partial.total >= 0 and (not more or end > partial.total)

    def _condemn(self, key: FragmentKey, partial: _Partial) -> None:
        self._charge(key.source, OVERHEAD - partial.cost)
        partial.condemned = True
        partial.first = b""
        partial.cost = OVERHEAD
        partial.parts.clear()
        partial.offsets.clear()

    def _forget(self, key: FragmentKey) -> None:
        self._charge(key.source, -self._partials.pop(key).cost)

    def _charge(self, source: int, cost: int) -> None:
        self._total += cost
        charged = self._costs.get(source, 0) + cost
        if charged:
            self._costs[source] = charged
        else:
            del self._costs[source]


def fragment_ipv4(
    source: int,
    destination: int,
    protocol: int,
    payload: bytes,
    mtu: int,
    identification: int,
    *,
    ttl: int = 64,
    tos: int = 0,
) -> list[bytes]:
    """The packets that carry `payload` over a link of `mtu` bytes, at least 28."""
    step = (mtu - ipv4.MINIMUM_HEADER_LENGTH) & ~7
    return [
        ipv4.build_ipv4(
            source,
            destination,
            protocol,
            payload[offset : offset + step],
            identification=identification,
            more_fragments=offset + step < len(payload),
            fragment_offset=offset,
            ttl=ttl,
            tos=tos,
        )
        for offset in range(0, len(payload), step)
    ]


def fragment_ipv6(
    source: int,
    destination: int,
    next_header: int,
    payload: bytes,
    mtu: int,
    identification: int,
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
) -> list[bytes]:
    """The packets that carry `payload` over a link of `mtu` bytes, at least 1,280."""
    step = (mtu - ipv6.HEADER_LENGTH - ipv6.FRAGMENT_HEADER_LENGTH) & ~7
    return [
        ipv6.build_ipv6(
            source,
            destination,
            ipv6.FRAGMENT,
            ipv6.build_fragment(
                ipv6.FragmentHeader(
                    next_header, offset, offset + step < len(payload), identification
                )
            )
            + payload[offset : offset + step],
            hop_limit=hop_limit,
            traffic_class=traffic_class,
        )
        for offset in range(0, len(payload), step)
    ]
