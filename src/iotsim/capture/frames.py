"""Link headers: where the IP packet begins in a frame (the registry of link-layer header types)."""

from __future__ import annotations

from iotsim.wire import ethernet
from iotsim.wire.errors import PacketError

NULL = 0
ETHERNET = 1
RAW = 101
LOOP = 108
LINUX_SLL = 113
IPV4 = 228
IPV6 = 229
LINUX_SLL2 = 276

TAGS = (ethernet.VLAN, 0x88A8, 0x9100)
"""Of IEEE 802.1Q and 802.1ad, and the latter's older one."""
LEAST_ETHERTYPE = 0x0600
"""Below it, what stands in the place of a type is a length (IEEE 802.3)."""
NAMES = {
    ethernet.ARP: "ARP",
    0x8863: "PPPoE",
    0x8864: "PPPoE",
    0x888E: "EAPOL",
    0x88CC: "LLDP",
}

# For each of the types: the length of the header, and where an ethertype stands in it, if one does.
_HEADERS = {
    NULL: (4, None),
    ETHERNET: (14, 12),
    RAW: (0, None),
    LOOP: (4, None),
    LINUX_SLL: (16, 14),
    IPV4: (0, None),
    IPV6: (0, None),
    LINUX_SLL2: (20, 0),
}


def find_ip(linktype: int, data: bytes) -> int:
    """Where the IP packet in a frame begins. PacketError, whose reason is for people, if there is none."""
    try:
        at, place = _HEADERS[linktype]
    except KeyError:
        raise PacketError(f"of link type {linktype}, which is not read here") from None
    if len(data) <= at:
        raise PacketError("shorter than a header")
    if place is None:
        return at
    ethertype = data[place] << 8 | data[place + 1]
    while ethertype in TAGS:
        if len(data) < at + ethernet.TAG_LENGTH:
            raise PacketError("shorter than a header")
        ethertype = data[at + 2] << 8 | data[at + 3]
        at += ethernet.TAG_LENGTH
    if ethertype in (ethernet.IPV4, ethernet.IPV6):
        return at
    if ethertype < LEAST_ETHERTYPE:
        raise PacketError("LLC")
    raise PacketError(NAMES.get(ethertype, f"ethertype 0x{ethertype:04x}"))


def cooked(ethertype: int) -> bytes:
    """The header, of the type LINUX_SLL2, of a packet whose own was not captured."""
    return ethertype.to_bytes(2, "big") + bytes(18)
