"""DHCP for IPv4 (RFC 2131), and its options (RFC 2132, RFC 3396)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER_PORT = 67
CLIENT_PORT = 68

REQUEST = 1
REPLY = 2
BROADCAST_FLAG = 0x8000

DISCOVER = 1
OFFER = 2
ASK = 3
"""DHCPREQUEST, which is no mere request in the sense of the operation."""
DECLINE = 4
ACK = 5
NAK = 6

SUBNET_MASK = 1
ROUTER = 3
REQUESTED_ADDRESS = 50
LEASE_TIME = 51
OVERLOAD = 52
MESSAGE_TYPE = 53
SERVER_IDENTIFIER = 54
PARAMETER_LIST = 55
RENEWAL_TIME = 58
REBINDING_TIME = 59
CLIENT_IDENTIFIER = 61
END = 255

MINIMUM_LENGTH = 300
"""What BOOTP relays expect (RFC 1542, section 2.1)."""

_FIXED = Struct(">BBBBIHHIIII6s10x64s128s4s")
_COOKIE = bytes.fromhex("63825363")


class DhcpMessage(NamedTuple):
    """`client`, `yours`, `server` and `relay` are the addresses ciaddr, yiaddr, siaddr and giaddr;
    `mac` is the client's."""

    operation: int
    transaction: int
    mac: int
    options: Mapping[int, bytes]
    seconds: int = 0
    flags: int = 0
    client: int = 0
    yours: int = 0
    server: int = 0
    relay: int = 0

    @property
    def type(self) -> int:
        """The DHCP message type; 0 for a BOOTP message without one."""
        value = self.options.get(MESSAGE_TYPE, b"")
        return value[0] if value else 0

    def number(self, option: int) -> int:
        """The 32-bit number or (first) address in `option`; 0 without it."""
        value = self.options.get(option, b"")
        return int.from_bytes(value[:4], "big") if len(value) >= 4 else 0


def parse_dhcp(data: bytes) -> DhcpMessage:
    if len(data) < _FIXED.size:
        raise PacketError("dhcp-truncated")
    (
        operation,
        hardware,
        hardware_length,
        _,
        transaction,
        seconds,
        flags,
        client,
        yours,
        server,
        relay,
        mac,
        name,
        file,
        cookie,
    ) = _FIXED.unpack_from(data)
    if cookie != _COOKIE or (hardware, hardware_length) != (1, 6):
        raise PacketError("dhcp-format")
    options: dict[int, bytes] = {}
    _parse_options(data[_FIXED.size :], options)
    overload = options.get(OVERLOAD, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        _parse_options(file, options)
    if overload in (b"\2", b"\3"):
        _parse_options(name, options)
    return DhcpMessage(
        operation,
        transaction,
        int.from_bytes(mac, "big"),
        options,
        seconds,
        flags,
        client,
        yours,
        server,
        relay,
    )


def build_dhcp(message: DhcpMessage) -> bytes:
    fixed = _FIXED.pack(
        message.operation,
        1,
        6,
        0,
        message.transaction,
        message.seconds,
        message.flags,
        message.client,
        message.yours,
        message.server,
        message.relay,
        message.mac.to_bytes(6, "big"),
        b"",
        b"",
        _COOKIE,
    )
    options = b"".join(bytes([kind, len(value)]) + value for kind, value in message.options.items())
    return (fixed + options + bytes([END])).ljust(MINIMUM_LENGTH, b"\0")


def _parse_options(data: bytes, options: dict[int, bytes]) -> None:
    """Add the options in `data`; the parts of one that comes in several are joined."""
    position = 0
    while position < len(data) and data[position] != END:
        kind = data[position]
        if not kind:
            position += 1
            continue
        if position + 2 > len(data) or position + 2 + data[position + 1] > len(data):
            raise PacketError("dhcp-option-length")
        end = position + 2 + data[position + 1]
        options[kind] = options.get(kind, b"") + data[position + 2 : end]
        position = end
