"""IP output: packets are built, fragmented to what their path carries, and given to the link or, if they
are for hosts of ours, to those."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from iotsim.errors import EncodeError
from iotsim.net.datagram import Waiting
from iotsim.net.fragmentation import fragment_ipv4, fragment_ipv6
from iotsim.net.path_mtu import MINIMUM_PATH_MTU_IPV4, PathMtuCache
from iotsim.wire import ipv4, ipv6, udp, virtio
from iotsim.wire.address import IPV4_END, format_address

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Container, Mapping, Sequence

    from iotsim.net.address_table import AddressTable
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.net.multicast import Groups

_PARTIAL_IPV4 = virtio.needs_checksum(ipv4.MINIMUM_HEADER_LENGTH, udp.CHECKSUM_OFFSET)
_PARTIAL_IPV6 = virtio.needs_checksum(ipv6.HEADER_LENGTH, udp.CHECKSUM_OFFSET)

INITIAL_HOP_LIMIT = 64


class Output:
    """Sends packets of any size up to IP's limit.

    What fits its path goes with DF and identification 0 (RFC 6864, section 4.1), but for ICMP, which
    a narrower path may cut as it likes; what does not fit goes in fragments. What is for hosts or
    routers of ours goes `to_hosts`, what is for a group both there and to the link.

    `distances` has the simulated routers before hosts, each with the number of routers before it,
    `routers` those of the link. `unicast` tells for each first octet whether hosts can have it.
    """

    def __init__(
        self,
        transmit: Callable[[bytes], Sending],
        to_hosts: Callable[[bytes], Sending] | None,
        table: AddressTable,
        groups: Groups,
        distances: Mapping[int, int],
        path_mtu: PathMtuCache,
        counters: Counter[str],
        *,
        routers: Container[int],
        broadcasts: Container[int],
        unicast: Sequence[bool],
    ) -> None:
        self._transmit = transmit
        self._to_hosts = to_hosts
        self._table = table
        self._groups = groups
        self._distances = distances
        self._path_mtu = path_mtu
        self._counters = counters
        self._routers = routers
        self._broadcasts = broadcasts
        self._unicast = unicast
        self._identifications = count(1)

    def send(
        self,
        source: int,
        destination: int,
        protocol: int,
        payload: bytes,
        *,
        traffic_class: int = 0,
        prefix: bytes = virtio.PLAIN,
        to_members: bool = False,
    ) -> Sending:
        """Send `payload`, whose checksums are complete unless `prefix`, the virtio header, says
        otherwise; it must not when the packet may need fragmentation. With `to_members` it is for a
        group, and hosts of ours are to hear it."""
        mtu = self.mtu_between(source, destination)
        hop_limit = self._hop_limit(source)
        if destination < IPV4_END:
            if ipv4.MINIMUM_HEADER_LENGTH + len(payload) > mtu:
                return self._send_fragments(
                    destination,
                    fragment_ipv4(
                        source,
                        destination,
                        protocol,
                        payload,
                        mtu,
                        next(self._identifications) & 0xFFFF,
                        ttl=hop_limit,
                        tos=traffic_class,
                    ),
                    to_members=to_members,
                )
            # The least path MTU may be more than the path carries: see `PathMtuCache`.
            whole = protocol != ipv4.ICMP and mtu > MINIMUM_PATH_MTU_IPV4
            packet = ipv4.build_ipv4(
                source,
                destination,
                protocol,
                payload,
                identification=0 if whole else next(self._identifications) & 0xFFFF,
                dont_fragment=whole,
                ttl=hop_limit,
                tos=traffic_class,
            )
        else:
            if ipv6.HEADER_LENGTH + len(payload) > mtu:
                return self._send_fragments(
                    destination,
                    fragment_ipv6(
                        source,
                        destination,
                        protocol,
                        payload,
                        mtu,
                        next(self._identifications) & 0xFFFFFFFF,
                        hop_limit=hop_limit,
                        traffic_class=traffic_class,
                    ),
                    to_members=to_members,
                )
            packet = ipv6.build_ipv6(
                source,
                destination,
                protocol,
                payload,
                hop_limit=hop_limit,
                traffic_class=traffic_class,
            )
        return self._leave(destination, prefix + packet, to_members=to_members)

    def send_udp(self, datagram: Datagram, payload: bytes, flip: int = -1) -> Sending:
        """As `Stack.send_udp`, for a payload of any length; with `flip`, as `Stack.send_corrupt`."""
        source, destination = datagram.local, datagram.peer
        if not datagram.peer_port:
            self._counters["no-port"] += 1
            return "its peer has port 0, which nothing can be sent to"
        is_ipv4 = destination < IPV4_END
        to_group = self._is_group(destination)
        if not to_group and not self._can_be_host(destination):
            self._counters["no-destination"] += 1
            return f"{format_address(destination)} is no address that can be sent to"
        if source == destination:
            self._counters["to-itself"] += 1
            return "it would send to itself"
        limit = udp.MAXIMUM_PAYLOAD_IPV4 if is_ipv4 else udp.MAXIMUM_PAYLOAD_IPV6
        if len(payload) > limit:
            raise EncodeError(f"{len(payload)} bytes, and a datagram carries {limit} at most")
        header = ipv4.MINIMUM_HEADER_LENGTH if is_ipv4 else ipv6.HEADER_LENGTH
        ports = datagram.local_port, datagram.peer_port
        to_members = (
            to_group
            and not datagram.outside
            and self._to_hosts is not None
            and self._groups.has_listener(destination, source, ports[1])
        )
        long = header + udp.HEADER_LENGTH + len(payload) > self.mtu_between(source, destination)
        if long or flip >= 0:
            segment = udp.build_udp(source, destination, *ports, payload)
            if flip >= 0:
                segment = udp.corrupt(segment, flip)
            return self.send(source, destination, ipv4.UDP, segment, to_members=to_members)
        segment = udp.build_partial_udp(source, destination, *ports, payload)
        prefix = _PARTIAL_IPV4 if is_ipv4 else _PARTIAL_IPV6
        return self.send(
            source, destination, ipv4.UDP, segment, prefix=prefix, to_members=to_members
        )

    def mtu_between(self, source: int, destination: int) -> int:
        """The longest packet that the host at `source` can send to `destination` in one piece."""
        mtu = self._path_mtu.get(destination)
        block = self._table.find(source)
        if block and block.path_mtu:
            mtu = min(mtu, block.path_mtu)
        return mtu if destination < IPV4_END else max(mtu, ipv6.MINIMUM_MTU)

    def _hop_limit(self, source: int) -> int:
        """What is left of it when a packet from `source` comes to the link."""
        block = self._table.find(source)
        distance = len(block.hops) if block else self._distances.get(source, 0)
        return max(INITIAL_HOP_LIMIT - distance, 1)

    def leads_beyond(self, destination: int) -> bool:
        """As `Stack.leads_beyond`."""
        if self._to_hosts is not None and (
            self._is_ours(destination) or self._is_group(destination)
        ):
            return False
        return self._can_be_host(destination)

    def _is_ours(self, address: int) -> bool:
        """Whether a host or router of ours has `address`."""
        return (
            self._table.find(address) is not None
            or address in self._distances
            or address in self._routers
        )

    def _is_group(self, address: int) -> bool:
        if address < IPV4_END:
            return ipv4.is_multicast(address) or address in self._broadcasts
        return ipv6.is_multicast(address)

    def _can_be_host(self, address: int) -> bool:
        """Whether somebody can have `address`. The addresses of IPv6 that look as those of IPv4 are
        within hosts only."""
        if address < IPV4_END:
            return self._unicast[address >> 24]
        return not ipv6.is_mapped(address)

    def _leave(self, destination: int, frame: bytes, *, to_members: bool) -> Sending:
        if self._to_hosts is None:
            return self._transmit(frame)
        if to_members:
            heard = self._to_hosts(frame)
            sending = self._transmit(frame)
            # It has left if but one of both has taken it.
            return heard if isinstance(sending, str) else sending
        return (self._to_hosts if self._is_ours(destination) else self._transmit)(frame)

    def _send_fragments(
        self, destination: int, packets: list[bytes], *, to_members: bool
    ) -> Sending:
        self._counters["fragmented"] += 1
        whole = _InParts()
        for packet in packets:
            frame = virtio.PLAIN + packet
            whole.add(self._leave(destination, frame, to_members=to_members))
        return whole.sending


class _InParts(Waiting):
    """A datagram in several packets: it has left when all of them have, and is lost with the first
    that is."""

    __slots__ = ("_open", "_reason")

    def __init__(self) -> None:
        super().__init__()
        self._open = 0
        self._reason = ""

    def add(self, part: Sending) -> None:
        if isinstance(part, Waiting):
            self._open += 1
            part.told = self._part_told
        elif part is not None:
            self._reason = self._reason or part

    @property
    def sending(self) -> Sending:
        """What has become of all that was added."""
        return self._reason or (self if self._open else None)

    def _part_told(self, reason: str) -> None:
        self._open -= 1
        if self._reason:
            return  # It is lost already.
        self._reason = reason
        if reason or not self._open:
            self.told(reason)
