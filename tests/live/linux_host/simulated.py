"""The same host as iotsim simulates it, without an interface or a kernel around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import setting
from setting import BROADCAST, DEVICE, DEVICE6, GROUP, GROUP6, PEER, PEER6, SERVICE

from iotsim.net.ethernet import EthernetStack
from iotsim.net.stack import Stack
from iotsim.wire import arp, ethernet, icmpv6, ipv6, ndp, virtio

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

PLENTY = 1e6


class SimulatedHost:
    """`kind` is "tun" or "tap"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.now = 0.0
        self._sent: list[bytes] = []
        self.ports: dict[int, PortHandler] = {SERVICE: self._echo}
        self.missed: dict[int, PortHandler] = {}
        self.host: Stack | EthernetStack
        if kind == "tun":
            # Without a router, for the kernel's host has none before it either.
            self.host = Stack(
                self._sent.append,
                router=0,
                broadcasts=[BROADCAST],
                icmp_rate=PLENTY,
                icmp_burst=PLENTY,
            )
            self.host.attach(DEVICE, 1, self)
            self.host.attach(DEVICE6, 1, self)
        else:
            self.host = EthernetStack(
                self._sent.append,
                seed=1,
                networks=[(DEVICE, setting.PREFIX_LENGTH), (DEVICE6, setting.PREFIX_LENGTH6)],
                default_router=PEER,
                default_router6=PEER6,
                broadcasts=[BROADCAST],
                icmp_rate=PLENTY,
                icmp_burst=PLENTY,
            )
            self.host.attach(DEVICE, 1, self, mac=setting.MAC)
            self.host.attach(DEVICE6, 1, self)
            self._introduce_peer()
        self.host.join(GROUP, self)
        self.host.join(GROUP6, self)

    def ask(self, packets: list[bytes]) -> list[bytes]:
        """Hand it `packets`; what it says to that at once."""
        self.now += 0.001
        for packet in packets:
            self.host.receive(virtio.PLAIN + packet, self.now)
        return self._take()

    def late(self) -> list[bytes]:
        """What it says when time goes on."""
        while (due := self.host.next_due()) is not None and due < self.now + 100:
            self.host.pop_due(due)
        return self._take()

    def _take(self) -> list[bytes]:
        taken = [virtio.complete_checksum(frame) for frame in self._sent]
        self._sent.clear()
        return taken

    def _echo(self, datagram: Datagram, payload: bytes) -> str:
        self.host.send_udp(datagram, payload)
        return "answered"

    def _introduce_peer(self) -> None:
        """So that it need not ask for the peer's MAC, just as the kernel."""
        request = arp.ArpMessage(arp.REQUEST, setting.PEER_MAC, PEER, 0, DEVICE)
        header = ethernet.EthernetHeader(ethernet.BROADCAST, setting.PEER_MAC, ethernet.ARP)
        self.ask([ethernet.build_ethernet(header) + arp.build_arp(request)])
        for source, target in ((PEER6, DEVICE6), (setting.PEER_LOCAL6, setting.LOCAL6)):
            data = ndp.neighbor_data(target, ndp.SOURCE_LINK_ADDRESS, setting.PEER_MAC)
            message = icmpv6.build_icmpv6(source, target, icmpv6.NEIGHBOR_SOLICITATION, 0, 0, data)
            packet = ipv6.build_ipv6(source, target, ipv6.ICMPV6, message, hop_limit=255)
            header = ethernet.EthernetHeader(setting.MAC, setting.PEER_MAC, ethernet.IPV6)
            self.ask([ethernet.build_ethernet(header) + packet])
