"""The hosts on an Ethernet as a whole: ARP, neighbor discovery, membership, DHCP, and IP on top.

A record whose sixth bit of circumstances is set holds the payload of a frame to the second host; the
seventh bit of the first one lets the hosts announce themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver import fuzz, instrumented
from inputs import FIX, TIMES_S, Record, corrected, crafted, header, read, write

with instrumented():
    from iotsim.net.ethernet import EthernetStack
    from iotsim.wire import arp, dhcp, ethernet, ipv4, ipv6, udp, virtio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

FIRST, FIRST6 = 0x0A4D0101, 0xFD77 << 112 | 0x10001
GATEWAY, GATEWAY_MAC = 0x0A4D0001, 0x021A000000FE
MAC, LEASED_MAC = 0x021A00000001, 0x021A00000101
COUNT, LEASED = 4, 2
BARE = 0x20
ANNOUNCE = 0x40
CATEGORIES = {"answered", "consumed", "dropped"}
MOST_TIMERS = 200


class Hosts:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.host = EthernetStack(
            self.sent.append,
            seed=1,
            networks=[(FIRST, 16), (FIRST6, 64)],
            default_router=GATEWAY,
            broadcasts=[0x0A4DFFFF],
        )
        self.ports: dict[int, PortHandler] = {5600: self.answer}
        self.missed: dict[int, PortHandler] = {}
        self.host.attach(FIRST, COUNT, self, mac=MAC)
        self.host.attach(FIRST6, COUNT, self)
        self.host.join(0xEF010203, self)
        self.host.join(0xFF05 << 112 | 0xFD, self)
        self.leased = Leased()
        self.host.lease(LEASED, self.leased, 0.0, mac=LEASED_MAC)

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        self.host.send_udp(datagram, payload)
        return "answered"


class Leased:
    def __init__(self) -> None:
        self.ports: dict[int, PortHandler] = {}
        self.missed: dict[int, PortHandler] = {}


def target(data: bytes) -> None:
    hosts = Hosts()
    now = 0.0
    if data[:1] and data[0] & ANNOUNCE:
        hosts.host.announce(now)
    for record in read(data):
        now += record.passed_s
        advance(hosts, now)
        frame, start = record.packet, 14
        if record.circumstances & BARE:
            ends = (MAC + 1).to_bytes(6, "big") + GATEWAY_MAC.to_bytes(6, "big")
            kind = {4: ethernet.IPV4, 6: ethernet.IPV6}.get(frame[0] >> 4 if frame else 0)
            frame = ends + (kind or ethernet.ARP).to_bytes(2, "big") + frame
        if record.circumstances & FIX:
            frame = frame[:start] + corrected(frame[start:])
        outcome = hosts.host.receive(header(record.circumstances, start + 20) + frame, now)
        assert outcome.split(".")[0] in CATEGORIES, outcome
    advance(hosts, now + 30.0)
    for sent in hosts.sent:
        check_sent(virtio.complete_checksum(sent))


def advance(hosts: Hosts, now: float) -> None:
    """Do all that is due: each timer once, and none at once again."""
    last = -1.0
    for _ in range(MOST_TIMERS):
        due = hosts.host.next_due()
        if due is None or due > now:
            return
        assert due > last, due
        hosts.host.pop_due(due)
        last = due
    raise AssertionError("the timers never come to rest")


def check_sent(frame: bytes) -> None:
    """What leaves is well-formed, and from the MAC of a device."""
    head = ethernet.parse_ethernet(frame)
    assert any(
        head.source in range(mac, mac + n) for mac, n in ((MAC, COUNT), (LEASED_MAC, LEASED))
    )
    payload = frame[head.length :]
    assert len(payload) <= 1500
    # A question is answered to the MAC that it claims to come from, even if that is one of ours.
    assert head.source != head.destination or head.ethertype == ethernet.ARP
    if head.ethertype == ethernet.ARP:
        arp.parse_arp(payload)
        return
    if head.ethertype == ethernet.IPV4:
        parsed = ipv4.parse_ipv4(payload)
        assert parsed.total_length == len(payload)
        if parsed.protocol == udp.PROTOCOL and not parsed.is_fragment:
            segment = payload[20:]
            message = udp.parse_udp(segment)
            udp.verify_udp(parsed.source, parsed.destination, segment)
            if message.source_port == 68:
                dhcp.parse_dhcp(segment[8:])
        return
    assert ipv6.parse_ipv6(payload).payload_length + 40 == len(payload)


def asked_for(hosts: Hosts) -> Iterator[dhcp.DhcpMessage]:
    """The messages of DHCP clients that were sent last."""
    for frame in hosts.sent:
        packet = virtio.complete_checksum(frame)[14:]
        if packet[0] >> 4 == 4 and packet[9] == udp.PROTOCOL and packet[20:22] == b"\0\x44":
            yield dhcp.parse_dhcp(packet[28:])
    hosts.sent.clear()


def lease() -> list[Record]:
    """How a DHCP server gives out addresses, which are renewed and then refused."""
    hosts, now = Hosts(), TIMES_S[2]
    records = [Record(2 << 3, b"")]
    times = b"\0\0\0\x3c"
    for kind in (dhcp.OFFER, dhcp.ACK, dhcp.ACK, dhcp.NAK):
        advance(hosts, now)
        for message in list(asked_for(hosts)):
            options = {dhcp.MESSAGE_TYPE: bytes([kind]), dhcp.LEASE_TIME: times}
            options |= {dhcp.SERVER_IDENTIFIER: GATEWAY.to_bytes(4, "big")}
            options |= {dhcp.SUBNET_MASK: b"\xff\xff\0\0", dhcp.ROUTER: b"\x0a\x4d\0\1"}
            yours = GATEWAY + 0x900 + message.mac % 256
            reply = message._replace(operation=dhcp.REPLY, yours=yours, options=options)
            ends = GATEWAY, 0xFFFFFFFF
            segment = udp.build_udp(*ends, 67, 68, dhcp.build_dhcp(reply))
            packet = ipv4.build_ipv4(*ends, udp.PROTOCOL, segment)
            header = ethernet.EthernetHeader(ethernet.BROADCAST, GATEWAY_MAC, ethernet.IPV4)
            frame = ethernet.build_ethernet(header) + packet
            hosts.host.receive(virtio.PLAIN + frame, now)
            records.append(Record(0, frame))
            assert bool(hosts.host.mac_of(yours)) == (kind == dhcp.ACK)
        now += TIMES_S[3]
        records.append(Record(3 << 3, b""))
    return records


def seeds() -> Iterator[bytes]:
    yield write(lease())
    for packets in crafted("rows2"):
        yield write([Record(FIX, packet) for packet in packets])
        yield write([Record(16 | ANNOUNCE, packet) for packet in packets * 2])
    for packets in crafted("rows4", "rows6"):
        yield write([Record(FIX | BARE, packet) for packet in packets[:5]])


if __name__ == "__main__":
    fuzz(target)
