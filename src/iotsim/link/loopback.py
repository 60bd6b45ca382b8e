"""The loopback link: one UDP socket per port hears all of 127.0.0.0/8; it needs no TUN.

``IP_PKTINFO`` tells which address a datagram was sent to, and sets the one that a reply comes from,
so that any number of devices share a socket. Towards the simulation it speaks frames like every other
link: it puts an IPv4 and a UDP header before what it received, and takes them off what it sends.

What it cannot do: IPv6, ICMP, fragments, broadcasts, ports below 1024, and two runs on one port at a time.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import TYPE_CHECKING

import trio

from iotsim.errors import MachineError
from iotsim.wire import ipv4, udp, virtio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
PKTINFO = struct.Struct("@i4s4s")  # struct in_pktinfo: ifindex, spec_dst, addr (ip(7))
PKTINFO_SPACE = socket.CMSG_SPACE(PKTINFO.size)
NEEDS_CHECKSUM = virtio.needs_checksum(20, udp.CHECKSUM_OFFSET)
RECEIVE_BUFFER_BYTES = 4 << 20
MTU_BYTES = 65535


class LoopbackLink:
    """See the module's docstring. MachineError when a port cannot be had."""

    kind = "loopback"
    name = "lo"
    mtu = MTU_BYTES

    def __init__(self, ports: Iterable[int]) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._sent = 0
        self._dropped = 0
        self._unsendable = 0
        try:
            for port in sorted(set(ports)):
                self._sockets[port] = _open(port)
        except BaseException:
            self.close()
            raise

    def receive_nowait(self, limit: int) -> list[bytes]:
        frames: list[bytes] = []
        for port, sock in self._sockets.items():
            while len(frames) < limit:
                try:
                    payload, ancillary, _flags, peer = sock.recvmsg(MTU_BYTES, PKTINFO_SPACE)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP error about an earlier reply: the next call has the data
                frames.append(_frame(payload, ancillary, peer, port))
        return frames

    def send_nowait(self, frame: bytes) -> bool:
        # 10 bytes virtio_net_hdr, 20 IPv4, 8 UDP: the stack adds no options.
        if frame[10] != 0x45 or frame[19] != socket.IPPROTO_UDP:
            self._unsendable += 1
            return False
        port, peer_port, length = struct.unpack_from("!HHH", frame, 30)
        sock = self._sockets.get(port)
        if sock is None:
            self._unsendable += 1
            return False
        source, destination = frame[22:26], frame[26:30]
        info = PKTINFO.pack(0, source, source)
        try:
            sock.sendmsg(
                [frame[38 : 30 + length]],
                [(socket.IPPROTO_IP, IP_PKTINFO, info)],
                0,
                (socket.inet_ntoa(destination), peer_port),
            )
        except OSError as error:
            if error.errno == errno.EACCES:  # to a broadcast address
                self._unsendable += 1
            else:
                self._dropped += 1
            return False
        self._sent += 1
        return True

    def send_all(self, frames: Sequence[bytes]) -> int:
        return sum(not self.send_nowait(frame) for frame in frames)

    def wait_briefly(self, timeout_s: float) -> bool:
        select.select(list(self._sockets.values()), (), (), timeout_s)
        return True

    async def wait_readable(self) -> None:
        sockets = list(self._sockets.values())
        if len(sockets) == 1:
            await trio.lowlevel.wait_readable(sockets[0])
            return
        async with trio.open_nursery() as nursery:

            async def watch(sock: socket.socket) -> None:
                await trio.lowlevel.wait_readable(sock)
                nursery.cancel_scope.cancel()

            for sock in sockets:
                nursery.start_soon(watch, sock)

    def statistics(self) -> dict[str, int]:
        return {
            "sent": self._sent,
            "send_dropped": self._dropped,
            "send_unsupported": self._unsendable,
        }

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()


def _open(port: int) -> socket.socket:
    if port < 1024:
        raise MachineError(
            f"the loopback link has no ports below 1024, and a device listens on {port}",
            "run it on a tun link, or give the device another port",
        )
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        sock.bind(("0.0.0.0", port))  # the interface, not the address, keeps others out
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise MachineError(
                f"UDP port {port} of the loopback interface is in use",
                "end the other program: on the loopback link one run can have a port at a time",
            ) from error
        raise MachineError(f"UDP port {port} of the loopback interface: {error}") from error
    return sock


def _frame(
    payload: bytes, ancillary: list[tuple[int, int, bytes]], peer: tuple[str, int], port: int
) -> bytes:
    """The frame that a kernel would have passed through a TUN for this datagram."""
    destination = b"\x7f\0\0\1"
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            destination = PKTINFO.unpack_from(data)[2]
    source = int.from_bytes(socket.inet_aton(peer[0]), "big")
    asked = int.from_bytes(destination, "big")
    datagram = udp.build_partial_udp(source, asked, peer[1], port, payload)
    packet = ipv4.build_ipv4(source, asked, udp.PROTOCOL, datagram, dont_fragment=True)
    return NEEDS_CHECKSUM + packet
