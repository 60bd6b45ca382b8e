"""The way down: IP packets built, fragmented to what their path carries, and handed to the link."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from iotsim.errors import EncodeError
from iotsim.net.fragmentation import fragment_ipv4, fragment_ipv6
from iotsim.net.path_mtu import MINIMUM_PATH_MTU_IPV4, PathMtuCache
from iotsim.wire import ipv4, ipv6, udp, virtio
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from iotsim.net.address_table import AddressTable
    from iotsim.net.datagram import Datagram, Sending

_PARTIAL_IPV4 = virtio.needs_checksum(ipv4.MINIMUM_HEADER_LENGTH, udp.CHECKSUM_OFFSET)
_PARTIAL_IPV6 = virtio.needs_checksum(ipv6.HEADER_LENGTH, udp.CHECKSUM_OFFSET)

INITIAL_HOP_LIMIT = 64


class Output:
    """Sends packets of any size up to IP's limit.

    What fits its path goes with DF and identification 0 (RFC 6864, section 4.1), but for ICMP, which
    a narrower path may cut as it likes; what does not fit goes in fragments. `distances` has the
    simulated routers, each with the number of routers before it.
    """

    def __init__(
        self,
        transmit: Callable[[bytes], object],
        table: AddressTable,
        distances: Mapping[int, int],
        path_mtu: PathMtuCache,
        counters: Counter[str],
    ) -> None:
        self._transmit = transmit
        self._table = table
        self._distances = distances
        self._path_mtu = path_mtu
        self._counters = counters
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
    ) -> None:
        """Send `payload`, whose checksums are complete unless `prefix`, the virtio header, says
        otherwise; it must not when the packet may need fragmentation."""
        mtu = self.mtu_between(source, destination)
        hop_limit = self._hop_limit(source)
        if destination < IPV4_END:
            if ipv4.MINIMUM_HEADER_LENGTH + len(payload) > mtu:
                self._send_fragments(
                    fragment_ipv4(
                        source,
                        destination,
                        protocol,
                        payload,
                        mtu,
                        next(self._identifications) & 0xFFFF,
                        ttl=hop_limit,
                        tos=traffic_class,
                    )
                )
                return
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
                self._send_fragments(
                    fragment_ipv6(
                        source,
                        destination,
                        protocol,
                        payload,
                        mtu,
                        next(self._identifications) & 0xFFFFFFFF,
                        hop_limit=hop_limit,
                        traffic_class=traffic_class,
                    )
                )
                return
            packet = ipv6.build_ipv6(
                source,
                destination,
                protocol,
                payload,
                hop_limit=hop_limit,
                traffic_class=traffic_class,
            )
        self._transmit(prefix + packet)

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending:
        """As `Stack.send_udp`, for a payload of any length."""
        source, destination = datagram.local, datagram.peer
        if not datagram.peer_port:
            self._counters["no-port"] += 1
            return "its peer has port 0, which nothing can be sent to"
        is_ipv4 = destination < IPV4_END
        limit = udp.MAXIMUM_PAYLOAD_IPV4 if is_ipv4 else udp.MAXIMUM_PAYLOAD_IPV6
        if len(payload) > limit:
            raise EncodeError(f"{len(payload)} bytes, and a datagram carries {limit} at most")
        header = ipv4.MINIMUM_HEADER_LENGTH if is_ipv4 else ipv6.HEADER_LENGTH
        ports = datagram.local_port, datagram.peer_port
        if header + udp.HEADER_LENGTH + len(payload) > self.mtu_between(source, destination):
            segment = udp.build_udp(source, destination, *ports, payload)
            self.send(source, destination, ipv4.UDP, segment)
        else:
            segment = udp.build_partial_udp(source, destination, *ports, payload)
            prefix = _PARTIAL_IPV4 if is_ipv4 else _PARTIAL_IPV6
            self.send(source, destination, ipv4.UDP, segment, prefix=prefix)
        return None

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

    def _send_fragments(self, packets: list[bytes]) -> None:
        self._counters["fragmented"] += 1
        for packet in packets:
            self._transmit(virtio.PLAIN + packet)
