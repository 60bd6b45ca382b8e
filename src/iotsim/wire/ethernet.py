"""Ethernet II frames, with an 802.1Q tag or without, and MAC addresses as 48-bit integers."""

from __future__ import annotations

import re
from struct import Struct
from typing import NamedTuple

from iotsim.wire.errors import PacketError

IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
IPV6 = 0x86DD

HEADER_LENGTH = 14
TAG_LENGTH = 4
BROADCAST = 0xFFFFFFFFFFFF
GROUP_BIT = 1 << 40
LOCAL_BIT = 1 << 41

_HEADER = Struct(">6s6sH")
_TAG = Struct(">HH")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


class EthernetHeader(NamedTuple):
    """`tag` is the tag control information (priority and VLAN identifier), None without a tag."""

    destination: int
    source: int
    ethertype: int
    tag: int | None = None

    @property
    def length(self) -> int:
        return HEADER_LENGTH if self.tag is None else HEADER_LENGTH + TAG_LENGTH

    @property
    def vlan(self) -> int:
        """The VLAN identifier; 0, which is none, also for a tag that sets only a priority."""
        return (self.tag or 0) & 0xFFF


def parse_ethernet(frame: bytes, offset: int = 0) -> EthernetHeader:
    """The header at `offset` of `frame`."""
    if len(frame) < offset + HEADER_LENGTH:
        raise PacketError("ethernet-truncated")
    destination, source, ethertype = _HEADER.unpack_from(frame, offset)
    tag = None
    if ethertype == VLAN:
        if len(frame) < offset + HEADER_LENGTH + TAG_LENGTH:
            raise PacketError("ethernet-truncated")
        tag, ethertype = _TAG.unpack_from(frame, offset + HEADER_LENGTH)
    return EthernetHeader(
        int.from_bytes(destination, "big"), int.from_bytes(source, "big"), ethertype, tag
    )


def build_ethernet(header: EthernetHeader) -> bytes:
    """The header alone; the payload follows it."""
    addresses = header.destination.to_bytes(6, "big"), header.source.to_bytes(6, "big")
    if header.tag is None:
        return _HEADER.pack(*addresses, header.ethertype)
    return _HEADER.pack(*addresses, VLAN) + _TAG.pack(header.tag, header.ethertype)


def is_group(mac: int) -> bool:
    """Whether `mac` is a multicast address or the broadcast address."""
    return bool(mac & GROUP_BIT)


def group_mac(address: int) -> int:
    """The MAC of a multicast group of either family (RFC 1112, 6.4; RFC 2464, 7)."""
    if address < 1 << 32:
        return 0x01005E000000 | address & 0x7FFFFF
    return 0x333300000000 | address & 0xFFFFFFFF


def format_mac(mac: int) -> str:
    """``02:1a:…``"""
    return mac.to_bytes(6, "big").hex(":")


def parse_mac(text: str) -> int:
    """The address that `text` names; ValueError if it names none."""
    if not _MAC.fullmatch(text):
        raise ValueError(f"{text!r} is no MAC address: six bytes in hex, as in 02:00:00:00:00:01")
    return int(text.replace("-", ":").replace(":", ""), 16)
