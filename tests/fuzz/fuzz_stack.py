"""The hosts behind a TUN as a whole, IPv4 and IPv6, with groups, routers and a narrow path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver import fuzz, instrumented
from inputs import FIX, Record, corrected, crafted, header, read, write

with instrumented():
    from iotsim.net.stack import Stack
    from iotsim.wire import icmpv4, icmpv6, ipv4, ipv6, udp, virtio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

FIRST, FAR, ROUTER, HOP = 0x0A4D0101, 0x0A580001, 0x0A4DFFFE, 0x0A630001
V6 = 0xFD77 << 112
FIRST6, FAR6, ROUTER6, HOP6 = V6 | 0x10001, V6 | 0x20001, V6 | 0xFFFF, V6 | 0x30001
OWNERS = [
    *(range(first, first + 4) for first in (FIRST, FAR, FIRST6, FAR6)),
    *(range(router, router + 1) for router in (ROUTER, ROUTER6, HOP, HOP6)),
]
MTU = 1500
MOST_BETWEEN = 20
CATEGORIES = {"answered", "consumed", "dropped"}


class Hosts:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.between: list[bytes] = []
        self.stack = Stack(
            self.sent.append,
            to_hosts=self.between.append,
            router=ROUTER,
            router6=ROUTER6,
            broadcasts=[0x0A4DFFFF],
        )
        self.ports: dict[int, PortHandler] = {5600: self.answer}
        self.missed: dict[int, PortHandler] = {}
        for first in (FIRST, FIRST6):
            self.stack.attach(first, 4, self)
        self.stack.attach(FAR, 4, self, hops=[HOP], path_mtu=600)
        self.stack.attach(FAR6, 4, self, hops=[HOP6], path_mtu=1300)
        self.stack.join(0xEF010203, self)
        self.stack.join(0xFF05 << 112 | 0xFD, self)

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        sending = self.stack.send_udp(datagram, payload)
        return "answered" if sending is None else "consumed.not-sent"

    def deliver(self, now: float) -> None:
        """Let hosts receive what they have sent each other, which may make them answer, for a while."""
        for _ in range(MOST_BETWEEN):
            if not self.between:
                return
            frame = self.between.pop(0)
            check_sent(virtio.complete_checksum(frame), to_hosts=True)
            outcome = self.stack.receive_from_host(frame, now)
            assert outcome.split(".")[0] in CATEGORIES, outcome
        self.between.clear()


def target(data: bytes) -> None:
    hosts = Hosts()
    now = 0.0
    for record in read(data):
        now += record.passed_s
        due = hosts.stack.next_due()
        if due is not None and due <= now:
            hosts.stack.pop_due(now)
            due = hosts.stack.next_due()
            assert due is None or due > now, due
        packet = corrected(record.packet) if record.circumstances & FIX else record.packet
        start = (packet[0] & 15) * 4 if packet[:1] and packet[0] >> 4 == 4 else 40
        outcome = hosts.stack.receive(header(record.circumstances, start) + packet, now)
        assert outcome.split(".")[0] in CATEGORIES, outcome
        hosts.deliver(now)
    hosts.stack.pop_due(now + 1000.0)
    assert hosts.stack.next_due() is None
    for frame in hosts.sent:
        check_sent(virtio.complete_checksum(frame))


def check_sent(packet: bytes, *, to_hosts: bool = False) -> None:
    """What leaves is well-formed, from a host or router of ours, to what may be a single host: one of
    ours, or on the link none of ours."""
    if packet[0] >> 4 == 4:
        header4 = ipv4.parse_ipv4(packet)
        source, destination = header4.source, header4.destination
        assert ipv4.is_unicast(destination), destination
        assert header4.total_length == len(packet) <= MTU
        protocol = -1 if header4.is_fragment else header4.protocol
        payload = packet[20:]
        if protocol == ipv4.ICMP:
            icmpv4.parse_icmpv4(payload)
    else:
        header6 = ipv6.parse_ipv6(packet)
        source, destination = header6.source, header6.destination
        assert destination, packet
        assert not ipv6.is_multicast(destination), destination
        assert 40 + header6.payload_length == len(packet) <= MTU
        protocol = header6.next_header
        payload = packet[40:]
        if protocol == ipv6.ICMPV6:
            icmpv6.parse_icmpv6(source, destination, payload)
    assert any(source in owner for owner in OWNERS), source
    assert any(destination in owner for owner in OWNERS) == to_hosts, destination
    if protocol == udp.PROTOCOL:
        udp.parse_udp(payload)
        udp.verify_udp(source, destination, payload)


def seeds() -> Iterator[bytes]:
    for packets in crafted("rows4", "rows6"):
        yield write([Record(FIX, packet) for packet in packets[:8]])
        yield write([Record(8, packet) for packet in packets[:3]])
    single = [packets[0] for packets in crafted("rows4", "rows6")]
    for number in range(0, len(single), 8):
        yield write([Record(FIX | 16, packet[:600]) for packet in single[number : number + 8]])
        yield write([Record(FIX | 3, packet[:600]) for packet in single[number : number + 8]])


if __name__ == "__main__":
    fuzz(target)
