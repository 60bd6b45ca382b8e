"""Requests to the kernel's rtnetlink, with pyroute2's message classes.

The messages are pyroute2's; the socket is ours, because ``pyroute2.IPRoute`` brings an asyncio loop
and, by the package's own ``__init__``, ninety modules of which three are needed. That costs 0.2 s
on the way to the first packet, this 0.04 s.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Iterator

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300
NLM_F_CREATE_EXCL = 0x600
NLMSG_ERROR = 2
NLMSG_DONE = 3

RTM_NEWLINK = 16
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_GETROUTE = 26

IFF_UP = 1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN = 254
RT_TABLE_LOCAL = 255
RTPROT_STATIC = 4
RTN_UNICAST = 1
RT_SCOPE_UNIVERSE = 0
RT_SCOPE_LINK = 253

RECEIVE_BYTES = 1 << 18
_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")


def load_messages() -> tuple[Any, Any, Any]:
    """pyroute2's ifinfmsg, ifaddrmsg and rtmsg, imported without the package's `__init__`."""
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        if spec is None:
            raise ModuleNotFoundError("pyroute2")
        # A package that is there but was not executed: its submodules import as ever.
        sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # type: ignore[import-untyped]
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # type: ignore[import-untyped]
    from pyroute2.netlink.rtnl.rtmsg import rtmsg  # type: ignore[import-untyped]

    return ifinfmsg, ifaddrmsg, rtmsg


class RouteSocket:
    """A netlink socket in the network namespace of its maker. Errors of the kernel are OSError.

    Only for the helper: in a process that uses pyroute2 otherwise, its package would be found
    half initialized.
    """

    def __init__(self) -> None:
        self._ifinfmsg, self._ifaddrmsg, self._rtmsg = load_messages()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    # -- changes

    def set_link(
        self,
        index: int,
        *,
        up: bool = False,
        mtu: int = 0,
        queue_length: int = 0,
        master: int = 0,
    ) -> None:
        message = self._ifinfmsg()
        message["index"] = index
        if up:
            message["flags"] = message["change"] = IFF_UP
        message["attrs"] = [
            (name, value)
            for name, value in (
                ("IFLA_MTU", mtu),
                ("IFLA_TXQLEN", queue_length),
                ("IFLA_MASTER", master),
            )
            if value
        ]
        self._change(message, RTM_NEWLINK, 0)

    def add_address(
        self, index: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int
    ) -> None:
        """Without duplicate address detection, for which there is nobody to ask."""
        message = self._ifaddrmsg()
        message["family"] = family_of(address.version)
        message["prefixlen"] = length
        message["index"] = index
        message["flags"] = IFA_F_NODAD if address.version == 6 else 0
        message["attrs"] = [("IFA_LOCAL", str(address)), ("IFA_ADDRESS", str(address))]
        self._change(message, RTM_NEWADDR, NLM_F_CREATE_EXCL)

    def add_route(self, index: int, prefix: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        message = self._rtmsg()
        message["family"] = family_of(prefix.version)
        message["dst_len"] = prefix.prefixlen
        message["table"] = RT_TABLE_MAIN
        message["proto"] = RTPROT_STATIC
        message["type"] = RTN_UNICAST
        message["scope"] = RT_SCOPE_LINK if prefix.version == 4 else RT_SCOPE_UNIVERSE
        message["attrs"] = [("RTA_DST", str(prefix.network_address)), ("RTA_OIF", index)]
        self._change(message, RTM_NEWROUTE, NLM_F_CREATE_EXCL)

    # -- listings, of messages as pyroute2 decodes them

    def links(self) -> Iterator[Any]:
        return self._dump(self._ifinfmsg, RTM_GETLINK)

    def addresses(self) -> Iterator[Any]:
        return self._dump(self._ifaddrmsg, RTM_GETADDR)

    def routes(self) -> Iterator[Any]:
        return self._dump(self._rtmsg, RTM_GETROUTE)

    # -- the wire

    def _send(self, message: Any, kind: int, flags: int) -> None:
        self._sequence += 1
        message["header"]["type"] = kind
        message["header"]["flags"] = NLM_F_REQUEST | flags
        message["header"]["sequence_number"] = self._sequence
        message.encode()
        self._socket.send(message.data)

    def _receive(self) -> Iterator[tuple[int, bytes]]:
        """The messages that answer the last request, as (type, whole message), without end."""
        while True:
            data = self._socket.recv(RECEIVE_BYTES)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
                if length < _HEADER.size:
                    break
                if sequence == self._sequence:
                    yield kind, data[offset : offset + length]
                offset += (length + 3) & ~3

    def _change(self, message: Any, kind: int, flags: int) -> None:
        self._send(message, kind, flags | NLM_F_ACK)
        for answer, data in self._receive():
            if answer == NLMSG_ERROR:
                _raise_error(data)
                return

    def _dump(self, message_class: Any, kind: int) -> Iterator[Any]:
        self._send(message_class(), kind, NLM_F_DUMP)
        for answer, data in self._receive():
            if answer == NLMSG_DONE:
                return
            if answer == NLMSG_ERROR:
                _raise_error(data)
                return
            message = message_class(data)
            message.decode()
            yield message


def _raise_error(data: bytes) -> None:
    """NLMSG_ERROR carries 0 or a negative errno; 0 is the acknowledgement."""
    code = -_ERROR.unpack_from(data, _HEADER.size)[0]
    if code:
        raise OSError(code, os.strerror(code) if code in errno.errorcode else f"error {code}")


def family_of(version: int) -> int:
    return int(socket.AF_INET if version == 4 else socket.AF_INET6)
