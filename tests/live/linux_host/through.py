"""The packets through a real interface, whose other end is a simulated host in a run.

They are sent and received as they are by a packet socket, beside the kernel's own stack, which
shares the interface (and hears the answers too; what it says about them the host ignores).
"""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING

from answers import describe
from setting import DEVICE, PEER

from iotsim.wire import icmpv4, ipv4, virtio

if TYPE_CHECKING:
    from crafting import Row

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_VNET_HDR = 15
SENTINEL = 0x5E477E11
PROTOCOLS = {4: 0x0800, 6: 0x86DD}


class Wire:
    """The peer's side of the TUN interface `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((name, ETH_P_ALL))
        self._pings = 0

    def ask(self, packets: list[bytes]) -> list[bytes]:
        """Send `packets`, and then a ping; all that comes before its reply."""
        self._pings += 1
        echo = icmpv4.build_icmpv4(icmpv4.ECHO_REQUEST, 0, SENTINEL, struct.pack("!I", self._pings))
        reply = icmpv4.build_icmpv4(icmpv4.ECHO_REPLY, 0, SENTINEL, struct.pack("!I", self._pings))
        for packet in [*packets, ipv4.build_ipv4(PEER, DEVICE, ipv4.ICMP, echo)]:
            protocol = PROTOCOLS.get(packet[0] >> 4, 0x0800)
            self._socket.sendto(virtio.PLAIN + packet, (self._name, protocol))
        answers = []
        while True:
            if not select.select([self._socket], [], [], 5.0)[0]:
                raise TimeoutError("the host does not answer a ping")
            frame, (_, _, direction, *_) = self._socket.recvfrom(70000)
            if direction == socket.PACKET_OUTGOING:
                continue
            packet = virtio.complete_checksum(frame)
            if packet.endswith(reply):
                return answers
            answers.append(packet)


def ask_through(name: str, sections: dict[str, list[Row]]) -> dict[str, list[str]]:
    """The answers to each row that needs no waiting, by "section: name"."""
    wire = Wire(name)
    return {
        f"{section}: {row.name}": [
            answer.text for answer in describe(wire.ask(list(row.packets)), list(row.packets))
        ]
        for section, rows in sections.items()
        for row in rows
        if not row.late
    }
