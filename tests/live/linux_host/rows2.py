"""Ethernet frames: addresses, tags, ARP, neighbor discovery, membership queries."""

from __future__ import annotations

import setting
from crafting import frame, icmp4, icmp6, ip, patch, patch_header, row, udp4, udp6
from setting import (
    ALL_NODES,
    BROADCAST,
    CLOSED,
    DEVICE,
    DEVICE6,
    GROUP,
    LOCAL6,
    MAC,
    NOBODY,
    NOBODY6,
    PEER,
    PEER6,
    PEER_LOCAL6,
    PEER_MAC,
)

from iotsim.wire import arp, ethernet, icmpv6, igmp, ipv6, ndp
from iotsim.wire.checksum import checksum
from iotsim.wire.ethernet import group_mac

OTHER_MAC = 0x021A00000099
ALL = ethernet.BROADCAST


def ask(
    target: int = DEVICE,
    *,
    sender: int = PEER,
    sender_mac: int = PEER_MAC,
    operation: int = arp.REQUEST,
    to: int = ALL,
) -> bytes:
    message = arp.build_arp(arp.ArpMessage(operation, sender_mac, sender, 0, target))
    return frame(message, to, ethertype=ethernet.ARP)


def solicit(
    target: int = DEVICE6,
    *,
    source: int = PEER6,
    destination: int = 0,
    option: int | None = PEER_MAC,
    hop_limit: int = 255,
    code: int = 0,
    more: bytes = b"",
) -> bytes:
    destination = destination or ipv6.solicited_node(target)
    data = ndp.neighbor_data(target, ndp.SOURCE_LINK_ADDRESS, option) + more
    packet = icmp6(
        135, code, data, rest=0, source=source, destination=destination, hop_limit=hop_limit
    )
    return frame(packet, group_mac(destination) if destination >> 120 == 0xFF else MAC)


def _igmp_query() -> bytes:
    blank = b"\x11\1\0\0" + bytes(4) + b"\2\x7d\0\0"
    return patch(blank, 2, checksum(blank).to_bytes(2, "big"))


def _mld_query() -> bytes:
    message = icmpv6.build_icmpv6(
        PEER_LOCAL6, ALL_NODES, 130, 0, 100 << 16, bytes(16) + b"\2\x7d\0\0"
    )
    options = ipv6.build_extension(58, b"\5\2\0\0")
    return ipv6.build_ipv6(PEER_LOCAL6, ALL_NODES, 0, options + message, hop_limit=1)


ETHERNET = [
    row("a datagram", "RFC 894", frame(udp4())),
    row("an IPv6 datagram", "RFC 2464 3", frame(udp6())),
    row(
        "an IPv6 datagram between link-local addresses",
        "RFC 4291 2.5.6",
        frame(udp6(source=PEER_LOCAL6, destination=LOCAL6)),
    ),
    row(
        "link-local echo request",
        "RFC 4443 4.2",
        frame(icmp6(128, source=PEER_LOCAL6, destination=LOCAL6)),
    ),
    row(
        "echo request from a link-local address to all nodes",
        "RFC 4443 4.2",
        frame(icmp6(128, source=PEER_LOCAL6, destination=ALL_NODES), group_mac(ALL_NODES)),
    ),
    row("a broadcast datagram", "RFC 1122 3.3.6", frame(udp4(destination=BROADCAST), ALL)),
    row("a datagram to a group", "RFC 1112 6.4", frame(udp4(destination=GROUP), group_mac(GROUP))),
    row("a unicast datagram in a broadcast frame", "RFC 1122 3.3.6", frame(udp4(), ALL)),
    row(
        "unicast TCP in a broadcast frame",
        "RFC 1122 4.2.3.10",
        frame(ip(6, bytes(12) + b"\x50\2" + bytes(6)), ALL),
    ),
    row("to a closed port in a broadcast frame", "RFC 1122 3.2.2", frame(udp4(port=CLOSED), ALL)),
    row("to another MAC", "IEEE 802.3 4.2.4.1.1", frame(udp4(), OTHER_MAC)),
    row("an address of nobody to our MAC", "RFC 1122 3.2.1.3", frame(udp4(destination=NOBODY))),
    row("a priority tag", "IEEE 802.1Q 6.9", frame(udp4(), tag=0x6000)),
    row("the tag of a VLAN", "IEEE 802.1Q 6.9", frame(udp4(), tag=7)),
    row("an unknown type of frame", "RFC 894", frame(udp4(), ethertype=0x88B5)),
    row("IPv6 in an IPv4 frame", "RFC 894", frame(udp6(), ethertype=ethernet.IPV4)),
    row("IPv4 in an IPv6 frame", "RFC 2464 3", frame(udp4(), ethertype=ethernet.IPV6)),
    row("version 5", "RFC 1122 3.2.1.1", frame(patch_header(udp4(), 0, b"\x55"), ethertype=0x800)),
    row("the header alone", "RFC 894", frame(udp4())[:14]),
]
ARP = [
    row("request", "RFC 826", ask()),
    row("request, by unicast", "RFC 1122 2.3.2.1", ask(to=MAC)),
    row("request for another's address", "RFC 826", ask(NOBODY)),
    row("probe for our address", "RFC 5227 2.1.1", ask(sender=0)),
    row("probe for another's address", "RFC 5227 2.1.1", ask(NOBODY, sender=0)),
    row("gratuitous request of the peer's", "RFC 5227 3", ask(PEER)),
    row("unasked reply", "RFC 826", ask(operation=arp.REPLY, to=MAC)),
    row("an unknown operation", "RFC 826", ask(operation=9)),
    row("hardware that is no Ethernet", "RFC 826", patch(ask(), 14, b"\0\6")),
    row("protocol that is no IPv4", "RFC 826", patch(ask(), 16, b"\x86\xdd")),
    row("addresses of other lengths", "RFC 826", patch(ask(), 18, b"\x08\x04")),
    row("a truncated request", "RFC 826", ask()[:34]),
    row("a padded request", "RFC 894", ask() + bytes(18)),
    row("from a group", "RFC 1812 3.3.2", ask(sender=GROUP)),
    row("from 127.0.0.1", "RFC 1812 3.3.2", ask(sender=0x7F000001)),
]
DISCOVERY = [
    row("solicitation", "RFC 4861 7.2.4", solicit()),
    row("solicitation by unicast", "RFC 4861 7.2.4", solicit(destination=DEVICE6)),
    row(
        "solicitation by unicast, without an option",
        "RFC 4861 7.2.4",
        solicit(destination=DEVICE6, option=None),
    ),
    row(
        "solicitation for the link-local address",
        "RFC 4861 7.2.4",
        solicit(LOCAL6, source=PEER_LOCAL6),
    ),
    row(
        "solicitation for another's address",
        "RFC 4861 7.2.3",
        solicit(NOBODY6, destination=ALL_NODES),
    ),
    row("detection of duplicate addresses", "RFC 4862 5.4.3", solicit(source=0, option=None)),
    row("the same with a link address", "RFC 4861 7.1.1", solicit(source=0)),
    row(
        "the same to a unicast address",
        "RFC 4861 7.1.1",
        solicit(source=0, option=None, destination=DEVICE6),
    ),
    row("hop limit 254", "RFC 4861 7.1.1", solicit(hop_limit=254)),
    row("code 1", "RFC 4861 7.1.1", solicit(code=1)),
    row("wrong checksum", "RFC 4861 7.1.1", patch(solicit(), 56, b"\x12\x34")),
    row("target is a group", "RFC 4861 7.1.1", solicit(ALL_NODES, destination=ALL_NODES)),
    row("an option of length 0", "RFC 4861 7.1.1", solicit(more=b"\1\0" + bytes(6))),
    row("an unknown option", "RFC 4861 7.1.1", solicit(more=b"\xf0\1" + bytes(6))),
    row(
        "a truncated solicitation",
        "RFC 4861 7.1.1",
        frame(icmp6(135, data=bytes(8), rest=0, hop_limit=255)),
    ),
    row(
        "unasked advertisement",
        "RFC 4861 7.2.5",
        frame(
            icmp6(
                136,
                data=ndp.neighbor_data(NOBODY6, 2, OTHER_MAC),
                rest=1 << 29,
                hop_limit=255,
                destination=ALL_NODES,
            ),
            group_mac(ALL_NODES),
        ),
    ),
    row(
        "router solicitation",
        "RFC 4861 6.2.6",
        frame(
            icmp6(133, rest=0, hop_limit=255, source=PEER_LOCAL6, destination=ALL_NODES + 1),
            group_mac(ALL_NODES + 1),
        ),
    ),
    row(
        "redirect of nothing",
        "RFC 4861 8.1",
        frame(icmp6(137, data=bytes(32), rest=0, hop_limit=255, source=PEER_LOCAL6)),
    ),
]
MEMBERSHIP = [
    row(
        "IGMP report of another host",
        "RFC 3376 5",
        frame(ip(2, igmp.build_report(4, [GROUP]), destination=GROUP, ttl=1), group_mac(GROUP)),
    ),
    row(
        "IGMP, wrong checksum",
        "RFC 3376 4.1.2",
        frame(
            ip(2, b"\x11\1\0\1" + bytes(8), destination=setting.ALL_SYSTEMS, ttl=1),
            group_mac(setting.ALL_SYSTEMS),
        ),
    ),
    row("broadcast echo request", "RFC 1122 3.2.2.6", frame(icmp4(8, destination=BROADCAST), ALL)),
    row(
        "IGMPv3 query",
        "RFC 3376 5.2",
        frame(
            ip(2, _igmp_query(), destination=setting.ALL_SYSTEMS, ttl=1, options=b"\x94\4\0\0"),
            group_mac(setting.ALL_SYSTEMS),
        ),
        late=setting.REPORTS,
    ),
    row(
        "MLDv2 query",
        "RFC 3810 6.2",
        frame(_mld_query(), group_mac(ALL_NODES)),
        late=setting.REPORTS6,
    ),
]
SECTIONS = {
    "Ethernet": ETHERNET,
    "ARP": ARP,
    "Neighbor discovery": DISCOVERY,
    "Membership": MEMBERSHIP,
}
