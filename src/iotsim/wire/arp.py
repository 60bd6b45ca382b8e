"""ARP for IPv4 over Ethernet (RFC 826)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from iotsim.wire.errors import PacketError

REQUEST = 1
REPLY = 2

_ETHERNET = 1
_IEEE_802 = 6
"""The hardware type that some write for Ethernet, and others take for it."""

_MESSAGE = Struct(">HHBBH6sI6sI")


class ArpMessage(NamedTuple):
    operation: int
    sender_mac: int
    sender: int
    target_mac: int
    target: int


def parse_arp(message: bytes) -> ArpMessage:
    """The message, which may be padded."""
    if len(message) < _MESSAGE.size:
        raise PacketError("arp-truncated")
    hardware, protocol, hardware_length, protocol_length, operation, *addresses = (
        _MESSAGE.unpack_from(message)
    )
    if hardware not in (_ETHERNET, _IEEE_802) or (
        (protocol, hardware_length, protocol_length) != (0x0800, 6, 4)
    ):
        raise PacketError("arp-format")
    sender_mac, sender, target_mac, target = addresses
    return ArpMessage(
        operation,
        int.from_bytes(sender_mac, "big"),
        sender,
        int.from_bytes(target_mac, "big"),
        target,
    )


def build_arp(message: ArpMessage) -> bytes:
    return _MESSAGE.pack(
        _ETHERNET,
        0x0800,
        6,
        4,
        message.operation,
        message.sender_mac.to_bytes(6, "big"),
        message.sender,
        message.target_mac.to_bytes(6, "big"),
        message.target,
    )
