"""A link of one process among several: what belongs to another's devices is handed over.

Each process reads its own queue of the interface. The kernel chooses the queue by flow and learns from
the one that answers, so most packets come to the process that owns their device. The others travel
through a socket between the two processes, many in one message, and are then as if that queue had
delivered them. A packet to a group belongs to everybody.

A message is the number of frames, their lengths, and the frames, the numbers as native 32-bit words.
"""

from __future__ import annotations

import contextlib
import select
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

import trio

from iotsim.wire import ipv4

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping, Sequence

    from iotsim.engine.simulation import Shard
    from iotsim.link.tun import TunLink

EVERYBODY = -1
MESSAGE_BYTES = 128 * 1024
"""What one message may carry; the socket's buffer holds more than one."""
IPV4_DESTINATION = slice(26, 30)
IPV6_DESTINATION = slice(34, 50)
WORD = 4


class Owners:
    """Whose a frame is: `runs` are (first address, count), device i of each belongs to i mod `shards`."""

    def __init__(
        self, runs: Iterable[tuple[int, int]], broadcasts: Iterable[int], shards: int, own: int
    ) -> None:
        self._runs = sorted(runs)
        self._firsts = [first for first, _ in self._runs]
        self._broadcasts = frozenset((ipv4.LIMITED_BROADCAST, *broadcasts))
        self._shards = shards
        self._own = own

    def owner(self, frame: bytes) -> int:
        """The number of the shard that has to handle `frame`, or EVERYBODY.

        What is for no device at all is for whoever read it.
        """
        if len(frame) < IPV4_DESTINATION.stop:
            return self._own
        if frame[10] >> 4 == 4:
            destination = int.from_bytes(frame[IPV4_DESTINATION], "big")
            group = ipv4.is_multicast(destination) or destination in self._broadcasts
        elif frame[10] >> 4 == 6 and len(frame) >= IPV6_DESTINATION.stop:
            destination = int.from_bytes(frame[IPV6_DESTINATION], "big")
            group = destination >> 120 == 0xFF
        else:
            return self._own
        position = bisect_right(self._firsts, destination)
        if position:
            first, count = self._runs[position - 1]
            if destination < first + count:
                return (destination - first) % self._shards
        return EVERYBODY if group else self._own


class ShardLink:
    """`link`, of which only the frames of our own devices are received. `peers` by shard number.

    Frames that the socket to a peer has no room for are dropped, and counted as such.
    """

    def __init__(
        self, link: TunLink, owners: Owners, shard: Shard, peers: Mapping[int, socket.socket]
    ) -> None:
        self.kind, self.name, self.mtu = link.kind, link.name, link.mtu
        self._link = link
        self._owner = owners.owner
        self._own = shard.number
        self._peers = peers
        self._outboxes: dict[int, list[bytes]] = {number: [] for number in peers}
        self._handed = 0
        self._copies = 0
        self._dropped = 0
        self._epoll = select.epoll()
        for fd in (*link.fds, *(peer.fileno() for peer in peers.values())):
            self._epoll.register(fd, select.EPOLLIN)
        self.send_nowait = link.send_nowait

    def receive_nowait(self, limit: int) -> list[bytes]:
        """As `Link.receive_nowait`; what was handed to us may come beyond `limit`."""
        owner, own = self._owner, self._own
        taken = self._link.receive_nowait(limit)
        frames: list[bytes] = []
        for frame in taken:
            whose = owner(frame)
            if whose == own:
                frames.append(frame)
            elif whose == EVERYBODY:
                frames.append(frame)
                self._copies += len(self._outboxes)
                for outbox in self._outboxes.values():
                    outbox.append(frame)
            else:
                self._outboxes[whose].append(frame)
        for number, outbox in self._outboxes.items():
            if outbox:
                self._hand_over(self._peers[number], outbox)
        for peer in self._peers.values():
            frames += _take_over(peer)
        if len(taken) >= limit and len(frames) < limit:
            # The queue was not seen empty, which a shorter list would claim.
            frames += self.receive_nowait(limit)
        return frames

    def wait_briefly(self, timeout_s: float) -> None:
        with contextlib.suppress(ValueError):  # a descriptor beyond what select(2) can take
            select.select((self._epoll.fileno(),), (), (), timeout_s)

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def statistics(self) -> dict[str, int]:
        """The queue's own, and what was handed over, copied to everybody, and dropped on that way."""
        queue = self._link.statistics()
        return {
            **queue,
            "send_dropped": queue["send_dropped"] + self._dropped,
            "handed_over": self._handed,
            "copied": self._copies,
            "hand_over_dropped": self._dropped,
        }

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._epoll.fileno())
        self._epoll.close()
        self._link.close()

    def _hand_over(self, peer: socket.socket, frames: list[bytes]) -> None:
        for message, count in _messages(frames):
            try:
                peer.send(message)
                self._handed += count
            except OSError:
                self._dropped += count
        frames.clear()


def _messages(frames: Sequence[bytes]) -> Iterable[tuple[bytes, int]]:
    """`frames` as messages of bounded size, each with the number of frames in it."""
    start, size = 0, 0
    for position, frame in enumerate(frames):
        if size and size + len(frame) > MESSAGE_BYTES:
            yield _encode(frames[start:position]), position - start
            start, size = position, 0
        size += len(frame)
    yield _encode(frames[start:]), len(frames) - start


def _encode(frames: Sequence[bytes]) -> bytes:
    return b"".join((array("I", [len(frames), *map(len, frames)]).tobytes(), *frames))


def _take_over(peer: socket.socket) -> list[bytes]:
    """All frames that `peer` has sent."""
    frames: list[bytes] = []
    while True:
        try:
            message = peer.recv(2 * MESSAGE_BYTES)
        except OSError:  # there is nothing more, or the peer has died, which others see
            return frames
        if not message:
            return frames
        count = int.from_bytes(message[:WORD], "little")
        at = WORD * (count + 1)
        for length in array("I", message[WORD:at]):
            frames.append(message[at : at + length])
            at += length
