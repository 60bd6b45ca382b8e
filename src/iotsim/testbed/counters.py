"""What the kernel counted inside a testbed, read through descriptors that were opened there.

The interface's counters come by rtnetlink (RFC 3549; linux/rtnetlink.h, linux/if_link.h): one
RTM_GETLINK request, from whose answer only IFLA_STATS64 is wanted. That takes tens of
microseconds, where importing pyroute2 alone would take 0.2 s.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

RTM_NEWLINK = 16
RTM_GETLINK = 18
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
IFLA_IFNAME = 3
IFLA_STATS64 = 23

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_STATS64 = struct.Struct("=8Q")
ANSWER_BYTES = 32768


class InterfaceCounters(NamedTuple):
    """The interface as the kernel sees it: it *transmits* what we receive."""

    rx_packets: int
    """Packets that we sent, and the kernel received."""
    tx_packets: int
    """Packets that we read; one that still waits in the queue is not counted yet."""
    rx_dropped: int
    """Packets that we sent, and the kernel dropped."""
    tx_dropped: int
    """Packets that the kernel dropped because our queue was full."""


class NetlinkError(OSError):
    """The kernel's answer to a request was an error."""


def encode_request(name: str, sequence: int) -> bytes:
    """RTM_GETLINK for the interface `name`."""
    value = name.encode() + b"\0"
    attribute = _ATTRIBUTE.pack(4 + len(value), IFLA_IFNAME) + value
    attribute += bytes(-len(attribute) % 4)
    body = _IFINFO.pack(0, 0, 0, 0, 0) + attribute
    return _HEADER.pack(16 + len(body), RTM_GETLINK, NLM_F_REQUEST, sequence, 0) + body


def decode_answer(data: bytes, sequence: int) -> InterfaceCounters | None:
    """The counters in the answer to request `sequence`, None if `data` holds no such answer."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, offset)
        end = offset + length
        if length < 16 or end > len(data):
            return None
        if number == sequence and kind == NLMSG_ERROR and length >= 20:
            code = -struct.unpack_from("=i", data, offset + 16)[0]
            raise NetlinkError(code, os.strerror(code))
        if number == sequence and kind == RTM_NEWLINK:
            return _decode_link(data, offset + 16 + _IFINFO.size, end)
        offset += (length + 3) & ~3
    return None


def _decode_link(data: bytes, offset: int, end: int) -> InterfaceCounters | None:
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return None
        if kind == IFLA_STATS64 and length >= 4 + _STATS64.size and offset + length <= end:
            values = _STATS64.unpack_from(data, offset + 4)
            return InterfaceCounters(values[0], values[1], values[6], values[7])
        offset += (length + 3) & ~3
    return None


class CounterReader:
    """Owns the netlink socket and the files of UDP counters that the helper handed out."""

    def __init__(self, interface: str, netlink_fd: int, snmp_fds: dict[str, int]) -> None:
        self.interface = interface
        # All three are given: finding them out would take the very calls that we save.
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE, fileno=netlink_fd
        )
        self._socket.settimeout(1.0)
        self._snmp_fds = snmp_fds
        self._sequence = 0

    def interface_counters(self) -> InterfaceCounters:
        """Ask the kernel, which answers at once. OSError when the interface is gone."""
        self._sequence += 1
        self._socket.send(encode_request(self.interface, self._sequence))
        while True:
            counters = decode_answer(self._socket.recv(ANSWER_BYTES), self._sequence)
            if counters is not None:
                return counters

    def udp_errors(self) -> dict[str, int]:
        """RcvbufErrors, SndbufErrors, InErrors, InCsumErrors and NoPorts of UDP, IPv4 and IPv6."""
        totals = dict.fromkeys(UDP_ERRORS, 0)
        for name, fd in self._snmp_fds.items():
            text = os.pread(fd, 65536, 0).decode()
            found = parse_snmp(text) if name == "snmp" else parse_snmp6(text)
            for key in UDP_ERRORS:
                totals[key] += found.get(key, 0)
        return {f"Udp{key}": value for key, value in totals.items()}

    def close(self) -> None:
        self._socket.close()
        for fd in self._snmp_fds.values():
            os.close(fd)
        self._snmp_fds = {}


UDP_ERRORS = ("RcvbufErrors", "SndbufErrors", "InErrors", "InCsumErrors", "NoPorts")


def parse_snmp(text: str) -> dict[str, int]:
    """The Udp counters of /proc/net/snmp: a line of names, then a line of values."""
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("Udp:")]
    if len(lines) < 2:
        return {}
    return dict(zip(lines[0], map(int, lines[1]), strict=False))


def parse_snmp6(text: str) -> dict[str, int]:
    """The Udp6 counters of /proc/net/snmp6: a name and a value per line."""
    rows = (line.split() for line in text.splitlines() if line.startswith("Udp6"))
    return {row[0].removeprefix("Udp6"): int(row[1]) for row in rows if len(row) == 2}
