"""The IP layer: what hosts and the routers before them do with a packet, by the book.

A packet comes from the link and is looked at in this order: is its source one that may send, is its
destination a group or a host; does it get there (hops, the MTU behind them); is it whole, and if
not, is the rest there; and what does its upper layer want. `iotsim.net.stack` puts a short cut for
plain UDP datagrams before all this.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from iotsim.net.address_table import AddressTable
from iotsim.net.delivery import Delivery
from iotsim.net.fragmentation import IPV4_TIMEOUT_S, IPV6_TIMEOUT_S, FragmentKey, Reassembler
from iotsim.net.icmp import Icmp
from iotsim.net.multicast import Groups, combine
from iotsim.net.outcome import consumed, dropped
from iotsim.net.output import Output
from iotsim.net.packet import (
    HeaderError,
    Trouble,
    read_extensions,
    read_ipv4,
    read_ipv6,
    unfragmented_ipv4,
    unfragmented_ipv6,
)
from iotsim.net.path_mtu import PathMtuCache
from iotsim.net.ratelimit import TokenBucket
from iotsim.net.segmentation import split_large_udp
from iotsim.wire import ipv4, ipv6, virtio
from iotsim.wire.address import IPV4_END, format_address
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from iotsim.net.address_table import Absence, HostPool, PortHandler
    from iotsim.net.datagram import Sending
    from iotsim.net.packet import Packet
    from iotsim.wire.icmpv4 import IcmpMessage


class IpLayer:
    """The IP layer of all simulated hosts behind one link; `iotsim.net.stack.Stack` has the parameters."""

    def __init__(
        self,
        transmit: Callable[[bytes], Sending],
        *,
        to_hosts: Callable[[bytes], Sending] | None,
        router: int,
        router6: int,
        mtu: int,
        broadcasts: Collection[int],
        icmp_rate: float,
        icmp_burst: float,
        group_limit: int,
        loopback: bool,
    ) -> None:
        _check_mtu(mtu)
        self.router = router
        self.router6 = router6
        self.mtu = mtu
        self.counters: Counter[str] = Counter()
        self.table = AddressTable()
        self.groups = Groups(self.table, self.counters, group_limit)
        self._transmit = transmit
        self._broadcasts = frozenset((ipv4.LIMITED_BROADCAST, *broadcasts))
        routers = {router, router6} - {0}
        self._unicast = ipv4.LOOPBACK_OCTETS if loopback else ipv4.UNICAST_OCTETS
        self._hops: dict[int, int] = {}
        self._path_mtu = PathMtuCache(mtu)
        self._least_mtu = mtu
        self._output = Output(
            transmit,
            to_hosts,
            self.table,
            self.groups,
            self._hops,
            self._path_mtu,
            self.counters,
            routers=routers,
            broadcasts=self._broadcasts,
            unicast=self._unicast,
        )
        bucket = TokenBucket(icmp_rate, icmp_burst)
        self._icmp = Icmp(self._output.send, bucket, self.counters, self._too_big)
        self._delivery = Delivery(
            self.table, self.groups, self._icmp, self._output.send, self._error
        )
        self._reassembly4 = Reassembler(self.counters, IPV4_TIMEOUT_S)
        self._reassembly6 = Reassembler(self.counters, IPV6_TIMEOUT_S)

    def attach(
        self,
        first: int,
        count: int,
        pool: HostPool,
        *,
        hops: Sequence[int] = (),
        path_mtu: int = 0,
        silent: bool = False,
        start: int = 0,
    ) -> None:
        """Give host `start` + i of `pool` the address `first` + i.

        `hops`, `path_mtu` and `silent` are as in `Block`. ValueError if an address is taken already.
        """
        if path_mtu:
            _check_mtu(path_mtu)
        taken = {self.router, self.router6, *self._broadcasts, *self._hops, *hops}
        for address in taken:
            if first <= address < first + count:
                raise ValueError(
                    f"{format_address(address)} is a router's or a broadcast address, "
                    "and cannot be a host's"
                )
        for hop in hops:
            if self.table.find(hop) or (hop < IPV4_END) != (first < IPV4_END):
                raise ValueError(f"{format_address(hop)} cannot be a router on the way")
        self.table.add(
            first, count, pool, hops=tuple(hops), path_mtu=path_mtu, silent=silent, start=start
        )
        for distance, hop in enumerate(hops):
            self._hops.setdefault(hop, distance)
        if path_mtu:
            self._least_mtu = min(self._least_mtu, path_mtu)
        if path_mtu or hops:
            self._path_mtu_changed()
        self._blocks_changed()

    def detach(self, first: int) -> None:
        """Give up the block of addresses that begins at `first`; KeyError if there is none."""
        self.table.remove(first)
        self._blocks_changed()

    def set_absence(self, pool: HostPool, absence: Absence | None) -> None:
        """Let `absence` say, for each packet, whether a host of `pool` is absent, given its index and
        the time; None: all of them are there.

        An absent host has no part in anything: neither ARP nor pings nor datagrams, of its own or of a
        group. As long as a pool has an absence, its packets go by the book.
        """
        self.table.set_absence(pool, absence)
        self._blocks_changed()

    def move(
        self,
        pool: HostPool,
        index: int,
        old: int,
        new: int,
        ports: Mapping[int, PortHandler],
        missed: Mapping[int, PortHandler] | None = None,
    ) -> None:
        """Let host `index` of `pool` leave the address `old` for `new`, where it has these `ports`, and these
        are told of what is `missed`, in place of the pool's; the two addresses may be the same. What it has
        left is nobody's. ValueError as in `AddressTable.move`."""
        self.table.move(pool, index, old, new, ports, missed)
        self._blocks_changed()

    def move_back(self, old: int, new: int) -> None:
        """Take back a `move`; KeyError if there was none."""
        self.table.move_back(old, new)
        self._blocks_changed()

    def join(self, address: int, pool: HostPool) -> None:
        """Make all hosts of `pool` members of the multicast group `address`."""
        self.groups.join(address, pool)

    def listen_to_link(
        self,
        link_message: Callable[[Packet, IcmpMessage, float], str],
        membership_query: Callable[[Packet, float], str],
    ) -> None:
        """Hand the messages of a link with neighbors to who knows about them: neighbor and router
        discovery and MLD queries, as (packet, message, now), and IGMP queries, as (packet, now)."""
        self._delivery.link_message = link_message
        self._delivery.membership_query = membership_query

    def next_due(self) -> float | None:
        """When `pop_due` has something to do, if nothing else happens before; None for never."""
        times = (
            self._reassembly4.next_due(),
            self._reassembly6.next_due(),
            self._path_mtu.next_due(),
        )
        return min((time for time in times if time is not None), default=None)

    def pop_due(self, now: float) -> None:
        """Do what time asks for: give up incomplete datagrams, forget path MTUs."""
        for first in self._reassembly4.pop_due(now):
            self._report_timeout(read_ipv4(first, trusted=True), now)
        for first in self._reassembly6.pop_due(now):
            self._report_timeout(read_ipv6(first, trusted=True), now)
        self._path_mtu.pop_due(now)
        self._path_mtu_changed()

    # What `Stack` completes.

    def receive(self, frame: bytes, now: float) -> str:
        """Handle a frame from the link, and return its outcome."""
        raise NotImplementedError

    def _blocks_changed(self) -> None:
        """There is another block of addresses, or one less, or another absence."""

    def _path_mtu_changed(self) -> None:
        """The least path MTU may have changed, or there are routers on the way now."""

    # From the link up.

    def receive_from_host(self, frame: bytes, now: float) -> str:
        """Handle a frame that was given to `to_hosts`, and return its outcome."""
        return self.receive_by_the_book(frame, now)

    def receive_by_the_book(self, frame: bytes, now: float) -> str:
        """Handle any frame; never raises for what is in it."""
        try:
            header = virtio.parse_virtio(frame)
            if header.gso_type not in (virtio.GSO_NONE, virtio.GSO_UDP):
                return self._receive_large(frame, header, now)
            data = virtio.complete_checksum(frame)
            if not data:
                return dropped("truncated-frame")
            trusted = bool(header.flags & (virtio.NEEDS_CSUM | virtio.DATA_VALID))
            if data[0] >> 4 == 6:
                return self._receive_ipv6(read_ipv6(data, trusted=trusted), now)
            return self._receive_ipv4(data, now, trusted=trusted)
        except PacketError as error:
            return dropped(error.reason)

    def _receive_large(self, frame: bytes, header: virtio.VirtioHeader, now: float) -> str:
        if header.gso_type != virtio.GSO_UDP_L4:
            return dropped("large-packet")
        frames = split_large_udp(frame, header.gso_size)
        self.counters["large-packets-split"] += 1
        self.counters["large-packet-datagrams"] += len(frames)
        return combine([self.receive(part, now) for part in frames])

    def _receive_ipv4(self, data: bytes, now: float, *, trusted: bool) -> str:
        try:
            packet = read_ipv4(data, trusted=trusted)
        except HeaderError as problem:
            header = ipv4.parse_ipv4(data)
            if self._may_send(header.source) and self._is_there(header.destination, now):
                packet = read_ipv4(_without_options(data, header), trusted=trusted)
                packet.data = data[: header.total_length]
                self._error(problem.trouble, packet, packet.destination, now, rest=problem.pointer)
            raise
        destination = packet.destination
        if not self._may_send(packet.source) or packet.source == destination:
            return dropped("source-address")  # RFC 1812, section 5.3.7
        if ipv4.is_multicast(destination) or destination in self._broadcasts:
            return self._receive_group(packet, now)
        if not self._unicast[destination >> 24]:
            return dropped("destination-address")
        return self._receive_unicast(packet, self.router, now)

    def _may_send(self, source: int) -> bool:
        """Whether an IPv4 packet may come from `source`."""
        return self._unicast[source >> 24] and source not in self._broadcasts

    def _receive_ipv6(self, packet: Packet, now: float) -> str:
        # Loopback and the former IPv4-compatible addresses must not pass for IPv4 ones below, and
        # IPv4-mapped ones are for use inside of hosts (RFC 4942, section 2.2).
        source = packet.source
        if ipv6.is_multicast(source) or 0 < source < IPV4_END or ipv6.is_mapped(source):
            return dropped("source-address")
        if ipv6.is_multicast(packet.destination):
            try:
                read_extensions(packet)
            except HeaderError as problem:
                if problem.even_to_group:
                    source = self._group_address(packet)
                    self._error(problem.trouble, packet, source, now, rest=problem.pointer)
                raise
            return self._receive_group(packet, now)
        if not source or source == packet.destination:
            return dropped("source-address")
        if packet.destination < IPV4_END or ipv6.is_mapped(packet.destination):
            return dropped("destination-address")
        return self._receive_unicast(packet, self.router6, now)

    def _receive_unicast(self, packet: Packet, router: int, now: float) -> str:
        destination = packet.destination
        block = self.table.find(destination)
        hops: Sequence[int] = ()
        if block is not None:
            hops = block.hops
        elif destination in self._hops:
            hops = self._way_to(destination)
        elif destination != router:
            if not ipv6.is_link_local(destination):
                self._error(Trouble.HOST_UNREACHABLE, packet, router, now)
            return dropped("no-host")
        if hops and packet.hop_limit <= len(hops):
            router = hops[max(packet.hop_limit - 1, 0)]
            self._error(Trouble.HOPS_EXCEEDED, packet, router, now)
            return dropped("hops-exceeded")
        if (
            block is not None
            and block.path_mtu
            and len(packet.data) > block.path_mtu
            and (destination >= IPV4_END or packet.dont_fragment)
        ):
            teller = hops[0] if hops else router
            self._error(Trouble.PACKET_TOO_BIG, packet, teller, now, rest=block.path_mtu)
            return dropped("packet-too-big")
        if block is not None and block.is_absent(destination, now):
            self._error(Trouble.HOST_UNREACHABLE, packet, hops[-1] if hops else router, now)
            self._delivery.miss(packet, block, now)
            return dropped("host-absent")
        if destination >= IPV4_END:
            try:
                read_extensions(packet)
            except HeaderError as problem:
                self._error(
                    problem.trouble,
                    packet,
                    destination,
                    now,
                    rest=problem.pointer,
                )
                raise
        whole = self._whole(packet, now)
        if whole is None:
            return consumed("fragment")
        return self._delivery.deliver(whole, block, now)

    def _is_there(self, address: int, now: float) -> bool:
        """Whether a host has `address`, and is not absent."""
        block = self.table.find(address)
        return block is not None and not block.is_absent(address, now)

    def _receive_group(self, packet: Packet, now: float) -> str:
        whole = self._whole(packet, now)
        if whole is None:
            return consumed("fragment")
        return self._delivery.deliver_to_group(whole, now)

    def _way_to(self, hop: int) -> Sequence[int]:
        """The routers before the router `hop`."""
        for block in self.table:
            if hop in block.hops:
                return block.hops[: block.hops.index(hop)]
        return ()

    def _whole(self, packet: Packet, now: float) -> Packet | None:
        """`packet`, if it is no fragment; else the datagram that it completes, if it does."""
        fragment = packet.fragment
        if fragment is None:
            return packet
        is_ipv4 = packet.destination < IPV4_END
        # The protocol is no part of the key in IPv6, where only the first fragment's counts.
        key = FragmentKey(
            packet.source,
            packet.destination,
            packet.protocol if is_ipv4 else 0,
            fragment.identification,
        )
        reassembly = self._reassembly4 if is_ipv4 else self._reassembly6
        complete = reassembly.add(
            key, fragment.offset, packet.payload, packet.data, now, more=fragment.more
        )
        if complete is None:
            return None
        self.counters["reassembled"] += 1
        if is_ipv4:
            return read_ipv4(unfragmented_ipv4(*complete), trusted=False)
        whole = read_ipv6(unfragmented_ipv6(*complete), trusted=False)
        read_extensions(whole)
        if whole.fragment is not None:
            raise PacketError("fragment-nested")
        return whole

    # ICMP.

    def _report_timeout(self, packet: Packet, now: float) -> None:
        if self._is_there(packet.destination, now):
            self._error(Trouble.REASSEMBLY_TIMEOUT, packet, packet.destination, now)

    def _error(
        self,
        trouble: Trouble,
        packet: Packet,
        source: int,
        now: float,
        *,
        rest: int = 0,
    ) -> None:
        if packet.destination >= IPV4_END and packet.protocol_at == 6:
            with suppress(PacketError):
                read_extensions(packet)
        self._icmp.error(trouble, packet, source=source, now=now, rest=rest)

    def _group_address(self, packet: Packet) -> int:
        """The address of some member of the group that `packet` is for; 0 if it has none."""
        for block in self.groups.blocks(packet.destination, packet.source):
            return block.first
        return 0

    def _too_big(self, source: int, destination: int, mtu: int, length: int, now: float) -> None:
        if self.table.find(source) is None:
            return  # It is about nothing that we sent.
        if self._path_mtu.learn(destination, mtu, length, now):
            self.counters["path-mtu-learned"] += 1
            self._path_mtu_changed()


def _check_mtu(mtu: int) -> None:
    if not ipv4.MINIMUM_MTU <= mtu <= ipv4.MAXIMUM_LENGTH:
        raise ValueError(f"an MTU of {mtu} bytes: IPv4 needs {ipv4.MINIMUM_MTU} to 65535")


def _without_options(data: bytes, header: ipv4.IPv4Header) -> bytes:
    """The packet as if it had no options: what can be said of one whose options are broken."""
    return ipv4.build_ipv4(
        header.source,
        header.destination,
        header.protocol,
        data[header.header_length : header.total_length],
        identification=header.identification,
        more_fragments=header.more_fragments,
        fragment_offset=header.fragment_offset,
        ttl=header.ttl,
    )
