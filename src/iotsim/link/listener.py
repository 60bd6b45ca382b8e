"""`Listener`: what passes an interface of this machine, as tcpdump hears it (packet(7))."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL_PROTOCOLS = 0x0003
LOOPBACK = 772
"""The hardware type of an interface on which each packet is heard twice, as it goes and as it comes."""
SOL_PACKET, AUXDATA, STATISTICS = 263, 8, 6
CHECKSUM_NOT_READY = 1 << 3
"""In the status of a packet: its checksum is left to the hardware, which has not had it yet."""
TIMESTAMPS = 35
"""SO_TIMESTAMPNS, and the type of what then comes with each packet."""
RECEIVE_BUFFER = 8 << 20
LARGEST_PACKET = 1 << 17
_STATUS = struct.Struct("@I")
_AUXDATA_SIZE = 20
_STATISTICS = struct.Struct("@II")
_TIME = struct.Struct("@qq")
_ANCILLARY_SIZE = socket.CMSG_SPACE(_AUXDATA_SIZE) + socket.CMSG_SPACE(_TIME.size)


class Packet(NamedTuple):
    """A packet, without the header of its link. ``trusted``: nobody has computed its checksums yet."""

    time_ns: int
    ethertype: int
    data: bytes
    length: int
    trusted: bool


class Listener:
    """A socket that hears `interface`. MachineError if there is none of that name, or it may not be heard.

    ``outputs`` are descriptors where what is heard goes in the end: once nobody reads one of them any more,
    there is nothing to hear.
    """

    def __init__(self, interface: str, outputs: Sequence[int] = ()) -> None:
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError:
            raise MachineError(
                "to hear what passes an interface takes the capability CAP_NET_RAW",
                "run it as root; in the network of a run, start it by: iotsim exec -- ",
            ) from None
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, TIMESTAMPS, 1)
        self._socket.setsockopt(SOL_PACKET, AUXDATA, 1)
        try:
            self._socket.bind((interface, ALL_PROTOCOLS))
        except OSError as error:
            self._socket.close()
            if error.errno != errno.ENODEV:
                raise MachineError(f"{interface} cannot be heard: {error.strerror}") from None
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise MachineError(
                f"there is no interface {interface}", f"name one of {names}"
            ) from None
        self._is_loopback = self._socket.getsockname()[3] == LOOPBACK
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        for fd in outputs:
            self._poll.register(fd, 0)

    def hear(self) -> Packet | None:
        """The next packet, whenever it comes; None if none will: the interface has gone, or a reader."""
        while True:
            for fd, _ in self._poll.poll():
                if fd != self._socket.fileno():
                    return None
            try:
                packet = self._receive()
            except OSError as error:
                if error.errno == errno.ENETDOWN:
                    return None
                raise MachineError(f"nothing more can be heard: {error.strerror}") from None
            if packet is not None:
                return packet

    def _receive(self) -> Packet | None:
        data, ancillary, flags, sender = self._socket.recvmsg(LARGEST_PACKET, _ANCILLARY_SIZE)
        _, ethertype, direction, *_ = sender
        if self._is_loopback and direction == socket.PACKET_OUTGOING:
            return None
        time_ns, trusted = 0, False
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, TIMESTAMPS):
                seconds, nanoseconds = _TIME.unpack(value)
                time_ns = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) == (SOL_PACKET, AUXDATA):
                trusted = bool(_STATUS.unpack_from(value)[0] & CHECKSUM_NOT_READY)
        length = len(data) + bool(flags & socket.MSG_TRUNC)
        return Packet(time_ns or time.time_ns(), ethertype, data, length, trusted)

    def lost(self) -> int:
        """So many packets have come since this was asked last for which there was no room."""
        answer = self._socket.getsockopt(SOL_PACKET, STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(answer)[1])

    def close(self) -> None:
        self._socket.close()
