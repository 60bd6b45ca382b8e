"""Who is who: the addresses of the host that is asked, and of its peer, who asks."""

from __future__ import annotations

from iotsim.net.mac import link_local
from iotsim.wire.address import format_address, parse_address

DEVICE = parse_address("10.77.1.1")
PEER = parse_address("10.77.0.1")
NOBODY = parse_address("10.77.1.9")
NETWORK = parse_address("10.77.0.0")
BROADCAST = parse_address("10.77.255.255")
LIMITED = parse_address("255.255.255.255")
GROUP = parse_address("239.1.2.3")
OTHER_GROUP = parse_address("239.9.9.9")
ALL_SYSTEMS = parse_address("224.0.0.1")
REPORTS = parse_address("224.0.0.22")
PREFIX_LENGTH = 16

DEVICE6 = parse_address("fd77::1:1")
PEER6 = parse_address("fd77::1")
NOBODY6 = parse_address("fd77::1:9")
GROUP6 = parse_address("ff05::fd")
OTHER_GROUP6 = parse_address("ff05::99")
ALL_NODES = parse_address("ff02::1")
REPORTS6 = parse_address("ff02::16")
PREFIX_LENGTH6 = 64

MAC = 0x021A00000001
PEER_MAC = 0x021A000000FE
LOCAL6 = link_local(MAC)
PEER_LOCAL6 = link_local(PEER_MAC)

SERVICE = 5600
CLOSED = 9
PEER_PORT = 40000

_NAMES = {
    DEVICE: "host",
    DEVICE6: "host",
    LOCAL6: "host (link-local)",
    PEER: "peer",
    PEER6: "peer",
    PEER_LOCAL6: "peer (link-local)",
}


def name(address: int, *, is_ipv6: bool = False) -> str:
    if is_ipv6 and address in (0, 1):
        return "::1" if address else "::"
    return _NAMES.get(address) or format_address(address)


def name_mac(mac: int) -> str:
    known = {MAC: "host", PEER_MAC: "peer", 0xFFFFFFFFFFFF: "all"}
    return known.get(mac) or mac.to_bytes(6, "big").hex(":")
