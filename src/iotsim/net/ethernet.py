"""`EthernetStack`: simulated hosts on an Ethernet (TAP), each with a MAC address, all on one segment.

It has the face of `Stack`, which it puts on top: it takes off and puts on the Ethernet
header, answers ARP and neighbor discovery for each device by arithmetic, asks for its neighbor's MAC
when a device has something to send, and reports memberships. On a TUN none of this exists.

A device has one MAC address, whatever number of IP addresses it has; with an IPv6 address it also
has a link-local one. It answers at once, before the detection of duplicate addresses has ended: the
addresses of a scenario are meant, and waiting would cost seconds at each start. A conflict is
reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.net import mac as macs
from iotsim.net.arp import Arp
from iotsim.net.dhcp import DhcpClients
from iotsim.net.membership import MembershipReports
from iotsim.net.neighbor_cache import NeighborCache
from iotsim.net.neighbor_discovery import NeighborDiscovery
from iotsim.net.outcome import dropped
from iotsim.net.stack import Stack
from iotsim.net.sweep import Sweeps
from iotsim.wire import arp, dhcp, ethernet, icmpv6, ipv4, ipv6, virtio
from iotsim.wire.address import IPV4_END, format_address
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Mapping, Sequence

    from iotsim.net.address_table import Absence, HostPool, PortHandler
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.net.packet import Packet
    from iotsim.wire.icmpv4 import IcmpMessage

NETWORKS_LEARNED = 64
_DHCP_CLIENT_PORT = dhcp.CLIENT_PORT.to_bytes(2, "big")


class EthernetStack:
    """All simulated hosts on one Ethernet segment.

    `networks` are the prefixes on the link, as (any address in it, prefix length); what is outside
    of them is sent to `default_router` or `default_router6` (0: to whom a DHCP server names, or to
    the router that advertises itself).
    `vlan` is the identifier of the VLAN whose tagged frames are ours, 0 for untagged ones.
    `on_conflict` is called with (address, MAC) when somebody else uses an address of ours, `on_lease`
    as in `DhcpClients`.
    Announcements and reports of many devices are made at `announce_rate` a second. All other
    parameters are those of `Stack`.
    """

    def __init__(
        self,
        transmit: Callable[[bytes], Sending],
        *,
        to_hosts: Callable[[bytes], Sending] | None = None,
        seed: int,
        networks: Sequence[tuple[int, int]],
        default_router: int = 0,
        default_router6: int = 0,
        vlan: int = 0,
        on_conflict: Callable[[int, int], object] | None = None,
        on_lease: Callable[[HostPool, int, int], object] | None = None,
        announce_rate: float = 1000.0,
        mtu: int = 1500,
        broadcasts: Collection[int] = (),
        icmp_rate: float = 1000.0,
        icmp_burst: float = 50.0,
        group_limit: int = 1000,
    ) -> None:
        self.ip = Stack(
            self.send_packet,
            to_hosts=to_hosts,
            router=0,
            mtu=mtu,
            broadcasts=broadcasts,
            icmp_rate=icmp_rate,
            icmp_burst=icmp_burst,
            group_limit=group_limit,
        )
        self.seed = seed
        self.default_router = default_router
        self.default_router6 = default_router6
        self.now = 0.0
        self._transmit = transmit
        self._networks = [_network(address, length) for address, length in networks]
        self._broadcasts = frozenset((ipv4.LIMITED_BROADCAST, *broadcasts))
        self._vlan = vlan
        self._tag = vlan or None
        self._spacing_s = 1.0 / announce_rate
        # The first MAC and the count of each pool, and the first MAC by block of addresses.
        self._pool_macs: dict[int, tuple[int, int]] = {}
        self._first_macs: dict[int, int] = {}
        self._moved_macs: dict[int, int] = {}
        self._mac_blocks: list[tuple[int, int]] = []
        self._next_number = 0
        counters = self.ip.counters
        self.neighbors = NeighborCache(self._solicit, self._send_to, counters)
        self.sweeps = Sweeps()
        self._arp = Arp(self, on_conflict)
        self._discovery = NeighborDiscovery(self, on_conflict)
        self._reports = MembershipReports(self)
        self.dhcp = DhcpClients(self, on_lease)
        self.ip.listen_to_link(self._receive_link_message, self._reports.receive_igmp)

    @property
    def counters(self) -> Counter[str]:
        return self.ip.counters

    def attach(
        self,
        first: int,
        count: int,
        pool: HostPool,
        *,
        mac: int = 0,
        path_mtu: int = 0,
        silent: bool = False,
    ) -> None:
        """As `Stack.attach`. `mac` is that of the pool's first host, and the others' follow; 0
        derives them from the seed. A pool's MACs are settled when its first block is attached."""
        first_mac = self._settle_macs(pool, count, mac)
        blocks = [first]
        local = macs.link_local(first_mac)
        if first >= IPV4_END and self.ip.table.find(local) is None:
            blocks.append(local)
        for start in blocks:
            self.ip.attach(start, count, pool, path_mtu=path_mtu, silent=silent)
            self._first_macs[start] = first_mac

    def lease(self, count: int, pool: HostPool, now: float, *, mac: int = 0) -> None:
        """Let the `count` hosts of `pool` get their IPv4 addresses by DHCP; `mac` as in `attach`.
        What is known of the networks and the router is what the server says."""
        first_mac = self._settle_macs(pool, count, mac)
        self.dhcp.start(pool, count, first_mac, now, self._spacing_s)

    def join(self, address: int, pool: HostPool) -> None:
        """As `Stack.join`; `announce` tells the routers."""
        self.ip.join(address, pool)

    def set_absence(self, pool: HostPool, absence: Absence | None) -> None:
        """As `Stack.set_absence`. Absent hosts announce nothing; DHCP clients among them ask when they
        are back."""
        self.ip.set_absence(pool, absence)

    def move(
        self,
        pool: HostPool,
        index: int,
        old: int,
        new: int,
        ports: Mapping[int, PortHandler],
        missed: Mapping[int, PortHandler] | None = None,
    ) -> None:
        """As `Stack.move`. The host keeps its MAC address, and tells everybody that it has a new address."""
        self.ip.move(pool, index, old, new, ports, missed)
        self._moved_macs[new] = self._pool_macs[id(pool)][0] + index
        if new != old:
            self._declare(new)

    def move_back(self, old: int, new: int) -> None:
        """As `Stack.move_back`."""
        self.ip.move_back(old, new)
        del self._moved_macs[new]
        if new != old:
            self._declare(old)

    def _declare(self, address: int) -> None:
        (self._arp if address < IPV4_END else self._discovery).declare(address)

    def announce(self, now: float) -> None:
        """Probe for conflicts, announce the addresses of all devices, and report memberships."""
        self.now = now
        for block in self.ip.table:
            if block.first < IPV4_END:
                self._arp.announce(block, now, self._spacing_s)
            else:
                self._discovery.announce(block, now, self._spacing_s)
            self._reports.announce(block, now, self._spacing_s)

    def receive(self, frame: bytes, now: float) -> str:
        """Handle a frame from the link, virtio header first; returns its outcome."""
        self.now = now
        try:
            header = ethernet.parse_ethernet(frame, virtio.HEADER_LENGTH)
            return self._receive(frame, header, now)
        except PacketError as error:
            return dropped(error.reason)

    def receive_from_host(self, frame: bytes, now: float) -> str:
        """As `Stack.receive_from_host`: what one device sends another never has an Ethernet header."""
        self.now = now
        return self.ip.receive_from_host(frame, now)

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending:
        """As `Stack.send_udp`."""
        return self.ip.send_udp(datagram, payload)

    def send_corrupt(self, datagram: Datagram, payload: bytes, flip: int) -> Sending:
        """As `Stack.send_corrupt`."""
        return self.ip.send_corrupt(datagram, payload, flip)

    def next_due(self) -> float | None:
        """When `pop_due` has something to do, if nothing else happens before; None for never."""
        times = (
            self.ip.next_due(),
            self.neighbors.next_due(),
            self.sweeps.next_due(),
            self.dhcp.next_due(),
        )
        return min((time for time in times if time is not None), default=None)

    def pop_due(self, now: float) -> None:
        """Do what time asks for."""
        self.now = now
        self.ip.pop_due(now)
        self.neighbors.pop_due(now)
        self.sweeps.pop_due(now)
        self.dhcp.pop_due(now)

    # For the protocols of the link.

    def mac_of(self, address: int) -> int:
        """The MAC of the device at `address`; 0 if no device is there."""
        block = self.ip.table.find(address)
        if block is None or block.is_absent(address, self.now):
            return 0
        if address in self._moved_macs:
            return self._moved_macs[address]
        return self._first_macs[block.first] + address - block.first

    def is_ours(self, mac: int) -> bool:
        """Whether some device has `mac`."""
        return any(first <= mac < end for first, end in self._mac_blocks)

    def send_ethernet(self, destination: int, source: int, ethertype: int, payload: bytes) -> None:
        """Send a frame whose payload needs nothing from the kernel."""
        header = ethernet.EthernetHeader(destination, source, ethertype, self._tag)
        self._transmit(virtio.PLAIN + ethernet.build_ethernet(header) + payload)

    def attach_one(self, address: int, pool: HostPool, index: int) -> None:
        """Give host `index` of `pool`, whose MAC is settled, the `address`."""
        self.ip.attach(address, 1, pool, start=index)
        self._first_macs[address] = self._pool_macs[id(pool)][0] + index
        self._arp.declare(address)

    def detach_one(self, address: int) -> None:
        """Take back what `attach_one` gave."""
        self.ip.detach(address)
        del self._first_macs[address]

    def learn_network(self, address: int, mask: int, router: int) -> None:
        """Take note of what a DHCP server says of the network of `address`; 0 for nothing."""
        network = _network(address, mask.bit_count() or 32)
        if network not in self._networks and len(self._networks) < NETWORKS_LEARNED:
            self._networks.append(network)
        self.default_router = self.default_router or router

    # From the link.

    def _receive(self, frame: bytes, header: ethernet.EthernetHeader, now: float) -> str:
        if header.vlan != self._vlan:
            return dropped("vlan")
        if ethernet.is_group(header.source):
            return dropped("ethernet-source")
        start = virtio.HEADER_LENGTH + header.length
        if start >= len(frame):
            return dropped("ethernet-truncated")
        to_group = ethernet.is_group(header.destination)
        if not to_group and not self.is_ours(header.destination):
            return dropped("other-mac")
        if header.ethertype == ethernet.ARP:
            return self._arp.receive(arp.parse_arp(frame[start:]), now)
        if header.ethertype == ethernet.IPV4:
            destination = int.from_bytes(frame[start + 16 : start + 20], "big")
        elif header.ethertype == ethernet.IPV6:
            destination = int.from_bytes(frame[start + 24 : start + 40], "big")
        else:
            return dropped("ethertype")
        if self.dhcp.active and _is_for_dhcp_client(frame[start : start + 24]):
            trusted = bool(frame[0])
            data = virtio.complete_checksum(_shift(frame, -header.length) + frame[start:])
            return self.dhcp.receive(data, now, trusted=trusted)
        if (frame[start] >> 4 == 4) != (header.ethertype == ethernet.IPV4):
            return dropped("ip-version")
        if not _is_group(destination, self._broadcasts):
            if to_group:
                return dropped("link-broadcast")  # RFC 1122, section 3.3.6
            if self.mac_of(destination) != header.destination:
                return dropped("no-host")
        return self.ip.receive(_shift(frame, -header.length) + frame[start:], now)

    def _receive_link_message(self, packet: Packet, message: IcmpMessage, now: float) -> str:
        if message.type == icmpv6.MLD_QUERY:
            return self._reports.receive_mld(packet, message, now)
        return self._discovery.receive(packet, message, now)

    # To the link.

    def send_packet(self, frame: bytes) -> Sending:
        """Send what the stack transmits: find out where to, or let it wait until that is known."""
        if frame[10] >> 4 == 4:
            source = int.from_bytes(frame[22:26], "big")
            destination = int.from_bytes(frame[26:30], "big")
        else:
            source = int.from_bytes(frame[18:34], "big")
            destination = int.from_bytes(frame[34:50], "big")
        if destination in self._broadcasts:
            mac = ethernet.BROADCAST
        elif _is_group(destination, self._broadcasts):
            mac = ethernet.group_mac(destination)
        else:
            next_hop = self._next_hop(destination)
            if not next_hop:
                self.counters["no-route"] += 1
                return f"there is no router to {format_address(destination)}"
            if next_hop != destination and ipv6.is_link_local(source):
                self.counters["beyond-scope"] += 1
                return f"{format_address(destination)} is beyond the reach of a link-local address"
            return self.neighbors.send(next_hop, source, frame, self.now)
        return self._send_to(frame, mac)

    def _send_to(self, frame: bytes, mac: int) -> Sending:
        ethertype = ethernet.IPV4 if frame[10] >> 4 == 4 else ethernet.IPV6
        place = slice(22, 26) if ethertype == ethernet.IPV4 else slice(18, 34)
        source = int.from_bytes(frame[place], "big")
        own = self.mac_of(source)
        if not own:
            self.counters["no-address"] += 1
            return f"it has the address {format_address(source)} no longer"
        header = ethernet.EthernetHeader(mac, own, ethertype, self._tag)
        prefix = _shift(frame, header.length) + ethernet.build_ethernet(header)
        return self._transmit(prefix + frame[virtio.HEADER_LENGTH :])

    def _next_hop(self, destination: int) -> int:
        if ipv6.is_link_local(destination):
            return destination
        for network, shift, is_ipv4 in self._networks:
            if is_ipv4 == (destination < IPV4_END) and destination >> shift == network:
                return destination
        if destination < IPV4_END:
            return self.default_router
        return self.default_router6 or self._discovery.router

    def _solicit(self, address: int, asker: int, mac: int) -> None:
        if address < IPV4_END:
            self._arp.solicit(address, asker, mac)
        else:
            self._discovery.solicit(address, asker, mac)

    def _settle_macs(self, pool: HostPool, count: int, mac: int) -> int:
        known = self._pool_macs.get(id(pool))
        if known is not None:
            first_mac, hosts = known
            if count > hosts or mac not in (0, first_mac):
                raise ValueError("the blocks of a pool share its MAC addresses")
            return first_mac
        first_mac = mac or macs.derived_mac(self.seed, self._next_number)
        macs.check_block(first_mac, count)
        for first, end in self._mac_blocks:
            if first < first_mac + count and first_mac < end:
                raise ValueError(f"{ethernet.format_mac(first_mac)} on: the MACs are taken")
        if not mac:
            self._next_number += count
        self._mac_blocks.append((first_mac, first_mac + count))
        self._pool_macs[id(pool)] = first_mac, count
        return first_mac


def _is_for_dhcp_client(packet: bytes) -> bool:
    """Whether the beginning of an IPv4 packet says that it is a datagram to a DHCP client."""
    return (
        packet[:1] == b"\x45"
        and packet[9:10] == b"\x11"
        and packet[22:24] == _DHCP_CLIENT_PORT
        and not int.from_bytes(packet[6:8], "big") & 0x3FFF
    )


def _network(address: int, length: int) -> tuple[int, int, bool]:
    is_ipv4 = address < IPV4_END
    shift = (32 if is_ipv4 else 128) - length
    return address >> shift, shift, is_ipv4


def _is_group(address: int, broadcasts: frozenset[int]) -> bool:
    if address < IPV4_END:
        return ipv4.is_multicast(address) or address in broadcasts
    return ipv6.is_multicast(address)


def _shift(frame: bytes, distance: int) -> bytes:
    """The virtio header of `frame` for a packet that begins `distance` bytes later."""
    if not frame[0] & virtio.NEEDS_CSUM:
        return frame[: virtio.HEADER_LENGTH]
    header = virtio.parse_virtio(frame)
    start = max(header.csum_start + distance, 0)
    return virtio.build_virtio(header._replace(csum_start=start))
