"""A real Linux host, whose network card is a TUN or TAP interface that is held here.

To be made in a network namespace of its own. What is written to the interface the kernel receives
as a host, and what it answers is read back; the service, a UDP echo, is an ordinary socket.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path

import setting
from setting import DEVICE, DEVICE6, GROUP, GROUP6, PEER, PEER6, SERVICE

from iotsim.wire import icmpv4, ipv4
from iotsim.wire.address import format_address

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000
IP_PKTINFO = 8
SENTINEL = 0x5E477E10

IFA_F_TENTATIVE = 0x40

# As a distribution sets them up, but for the limits of rates, which would be tested instead.
SETTINGS = {
    "ipv4/ip_forward": 0,
    "ipv4/icmp_ratelimit": 0,
    "ipv4/icmp_msgs_per_sec": 1000000,
    "ipv4/icmp_msgs_burst": 1000000,
    "ipv4/conf/all/rp_filter": 2,
    "ipv4/conf/default/rp_filter": 2,
    "ipv4/conf/all/accept_source_route": 0,
    "ipv4/conf/default/accept_source_route": 0,
    "ipv4/conf/all/drop_unicast_in_l2_multicast": 1,
    "ipv4/conf/default/drop_unicast_in_l2_multicast": 1,
    "ipv4/igmp_qrv": 1,
    "ipv6/mld_qrv": 1,
    "ipv6/icmp/ratelimit": 0,
    "ipv6/conf/all/disable_ipv6": 0,
    "ipv6/conf/default/disable_ipv6": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/default/router_solicitations": 0,
    "ipv6/conf/all/forwarding": 0,
}


def change(settings: dict[str, int]) -> None:
    for key, value in settings.items():
        path = Path("/proc/sys/net", key)
        if path.exists():
            path.write_text(str(value))


def ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def wait_for_addresses(count: int) -> None:
    """Until all `count` IPv6 addresses of the interface are valid: a task of the kernel's does that, also
    where it looks for no duplicates."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        rows = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
        flags = [int(row[4], 16) for row in rows if row[5] == "host0"]
        if len(flags) == count and not any(one & IFA_F_TENTATIVE for one in flags):
            return
        time.sleep(0.001)
    raise TimeoutError("the kernel's addresses do not become valid")


class KernelHost:
    """`kind` is "tun" or "tap"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        change(SETTINGS)
        flags = (IFF_TUN if kind == "tun" else IFF_TAP) | IFF_NO_PI
        self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self._fd, TUNSETIFF, struct.pack("16sH22x", b"host0", flags))
        lines = ["link set lo up"]
        if kind == "tap":
            lines.append(f"link set host0 address {setting.MAC.to_bytes(6, 'big').hex(':')}")
        else:
            lines.append("link set host0 addrgenmode none")
        lines += [
            "link set host0 up",
            f"addr add {format_address(DEVICE)}/{setting.PREFIX_LENGTH} brd + dev host0",
            f"addr add {format_address(DEVICE6)}/{setting.PREFIX_LENGTH6} dev host0 nodad",
            "route add default dev host0",
            "route add ::/0 dev host0",
        ]
        if kind == "tap":
            mac = setting.PEER_MAC.to_bytes(6, "big").hex(":")
            for address in (PEER, PEER6, setting.PEER_LOCAL6):
                text = format_address(address)
                lines.append(f"neigh add {text} lladdr {mac} nud permanent dev host0")
        ip(*lines)
        wait_for_addresses(2 if kind == "tap" else 1)
        self._sockets = [self._serve4(), self._serve6()]
        self._drain()

    def ask(self, packets: list[bytes]) -> list[bytes]:
        """Hand the kernel `packets`; all that it, or its service, says to that at once."""
        for packet in packets:
            try:
                os.write(self._fd, packet)
            except OSError:
                continue  # It does not even look like a packet to the kernel.
        answers = self._until_quiet()
        while self._echo():
            answers += self._until_quiet()
        return answers

    def late(self) -> list[bytes]:
        """What it has said since."""
        return self._drain()

    def _serve4(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("", SERVICE))
        member = struct.pack("!II", GROUP, DEVICE)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        return sock

    def _serve6(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("", SERVICE))
        member = GROUP6.to_bytes(16, "big") + struct.pack("@I", socket.if_nametoindex("host0"))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        return sock

    def _echo(self) -> bool:
        """Echo what the service has received, from the address that was asked."""
        echoed = False
        for sock in self._sockets:
            while True:
                try:
                    data, ancillary, _, peer = sock.recvmsg(65535, 256)
                except BlockingIOError:
                    break
                echoed = True
                level, kind, info = ancillary[0]
                if level == socket.IPPROTO_IP:
                    info = bytes(4) + info[4:8] + bytes(4)
                elif info[0] == 0xFF:
                    info = bytes(16) + info[16:]
                try:
                    sock.sendmsg([data], [(level, kind, info)], 0, peer)
                except OSError:
                    continue  # To where nothing can be sent.
        return echoed

    def _until_quiet(self) -> list[bytes]:
        """All that comes before the reply to a ping that is sent now."""
        message = icmpv4.build_icmpv4(icmpv4.ECHO_REQUEST, 0, SENTINEL)
        ping = ipv4.build_ipv4(PEER, DEVICE, ipv4.ICMP, message)
        if self.kind == "tap":
            ends = setting.MAC.to_bytes(6, "big") + setting.PEER_MAC.to_bytes(6, "big")
            ping = ends + b"\x08\x00" + ping
        os.write(self._fd, ping)
        reply = icmpv4.build_icmpv4(icmpv4.ECHO_REPLY, 0, SENTINEL)
        answers: list[bytes] = []
        while True:
            if not select.select([self._fd], [], [], 5.0)[0]:
                raise TimeoutError("the kernel does not answer a ping")
            answer = os.read(self._fd, 65536)
            if answer.endswith(reply):
                return answers
            answers.append(answer)

    def _drain(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(os.read(self._fd, 65536))
            except BlockingIOError:
                return found
