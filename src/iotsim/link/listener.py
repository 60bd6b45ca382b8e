"""`Listener`: the UDP that passes an interface of this machine, as tcpdump hears it (packet(7))."""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import MachineError
from iotsim.wire import ipv4, ipv6

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
ATTACH_FILTER = 26
RECEIVE_BUFFER = 8 << 20
LARGEST_PACKET = 1 << 17
_STATUS = struct.Struct("@I")
_AUXDATA_SIZE = 20
_STATISTICS = struct.Struct("@II")
_TIME = struct.Struct("@qq")
_ANCILLARY_SIZE = socket.CMSG_SPACE(_AUXDATA_SIZE) + socket.CMSG_SPACE(_TIME.size)

# What the kernel asks of each packet, so that those of others cost nothing here (linux/filter.h): operation,
# how far to jump if it is true, and if not, operand.
_LOAD_WORD, _LOAD_BYTE, _AND, _IF_EQUAL, _RETURN = 0x20, 0x30, 0x54, 0x15, 0x06
_DIRECTION = 0xFFFFF004  # no place in the packet, but what the kernel knows of it: SKF_AD_PKTTYPE
_NOT_OUTGOING = [
    (_LOAD_WORD, 0, 0, _DIRECTION),
    (_IF_EQUAL, 13, 0, socket.PACKET_OUTGOING),
]
_MAYBE_UDP = [
    (_LOAD_BYTE, 0, 0, 0),
    (_AND, 0, 0, 0xF0),
    (_IF_EQUAL, 0, 2, 4 << 4),
    (_LOAD_BYTE, 0, 0, 9),  # of IPv4: the protocol
    (_IF_EQUAL, 7, 8, ipv4.UDP),
    (_IF_EQUAL, 0, 7, 6 << 4),
    (_LOAD_BYTE, 0, 0, 6),  # of IPv6: the next header, behind which UDP may be
    (_IF_EQUAL, 4, 0, ipv6.UDP),
    (_IF_EQUAL, 3, 0, ipv6.HOP_BY_HOP),
    (_IF_EQUAL, 2, 0, ipv6.ROUTING),
    (_IF_EQUAL, 1, 0, ipv6.FRAGMENT),
    (_IF_EQUAL, 0, 1, ipv6.DESTINATION_OPTIONS),
    (_RETURN, 0, 0, LARGEST_PACKET),
    (_RETURN, 0, 0, 0),
]
_INSTRUCTION = struct.Struct("@HBBI")
_PROGRAM = struct.Struct("@HP")


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
            self._socket.bind((interface, 0))  # to hear nothing yet
            is_loopback = self._socket.getsockname()[3] == LOOPBACK
            self._filter([*(_NOT_OUTGOING if is_loopback else ()), *_MAYBE_UDP])
            self._socket.bind((interface, ALL_PROTOCOLS))
        except OSError as error:
            self._socket.close()
            if error.errno != errno.ENODEV:
                raise MachineError(f"{interface} cannot be heard: {error.strerror}") from None
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise MachineError(
                f"there is no interface {interface}", f"name one of {names}"
            ) from None
        self._gone = False
        self._room = memoryview(bytearray(LARGEST_PACKET))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        for fd in outputs:
            self._poll.register(fd, 0)

    def _filter(self, program: Sequence[tuple[int, int, int, int]]) -> None:
        room = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*one) for one in program))
        option = _PROGRAM.pack(len(program), ctypes.addressof(room))
        self._socket.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, option)

    def wait(self) -> bool:
        """Wait until there is a packet; False if none will come: the interface has gone, or a reader."""
        ready = [] if self._gone else self._poll.poll()
        return bool(ready) and all(fd == self._socket.fileno() for fd, _ in ready)

    def hear_nowait(self) -> Packet | None:
        """The next packet, if there is one."""
        try:
            return self._receive()
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.ENETDOWN:
                raise MachineError(f"nothing more can be heard: {error.strerror}") from None
            self._gone = True
            return None

    def _receive(self) -> Packet:
        size, ancillary, flags, sender = self._socket.recvmsg_into(
            [self._room], _ANCILLARY_SIZE, socket.MSG_DONTWAIT
        )
        ethertype = sender[1]
        time_ns, trusted = 0, False
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, TIMESTAMPS):
                seconds, nanoseconds = _TIME.unpack(value)
                time_ns = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) == (SOL_PACKET, AUXDATA):
                trusted = bool(_STATUS.unpack_from(value)[0] & CHECKSUM_NOT_READY)
        length = size + bool(flags & socket.MSG_TRUNC)
        data = bytes(self._room[:size])
        return Packet(time_ns or time.time_ns(), ethertype, data, length, trusted)

    def lost(self) -> int:
        """So many packets have come since this was asked last for which there was no room."""
        answer = self._socket.getsockopt(SOL_PACKET, STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(answer)[1])

    def close(self) -> None:
        self._socket.close()
