"""A link of one process among several: what belongs to another's devices is handed over.

Each process reads its own queue of the interface. The kernel chooses the queue by flow and learns from
the one that answers, so most packets come to the process that owns their device. The others travel
through a socket between the two processes, many in one message, and are then as if that queue had
delivered them. Of a datagram to a group everybody else gets a copy, which was received and counted
where it was read. Other packets to a group (an echo request, say) have nothing to do with the state of
devices: whoever reads one answers for all hosts. What one device sends another goes the same way, if the
other is another process's, and so does a copy of what it sends to a group.

A message is one word, the number of frames and two bits that tell whether they are copies, and whether a
device has sent them; then their lengths, a word each; then the frames. Words are native, of 32 bits.
"""

from __future__ import annotations

import select
from array import array
from bisect import bisect_right
from struct import Struct
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from iotsim.link.tun import FD_SETSIZE
from iotsim.wire import icmpv6, ipv4, ipv6, udp

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.link.tun import TunLink
    from iotsim.simulation.shard import Shard
    from iotsim.simulation.simulation import Simulation

EVERYBODY = -1
MESSAGE_BYTES = 128 * 1024
"""What one message may carry: more than the largest frame, and less than the socket's buffer."""
COPIES = 1 << 31
FROM_DEVICES = 1 << 30
WORD = 4
IPV4_PROTOCOL = 19
IPV4_HEADER_END = 30
IPV6_NEXT_HEADER = 16
IPV6_DESTINATION = slice(34, 50)
_read_ipv4_destination = Struct(">26xI").unpack_from


class Owners:
    """Whose a frame is: `blocks` are (first address, count), device i of each belongs to i mod `shards`.
    `others` are the numbers of devices by addresses that they may have besides."""

    def __init__(
        self,
        blocks: Iterable[tuple[int, int]],
        broadcasts: Iterable[int],
        shards: int,
        own: int,
        others: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._others = others
        self._blocks = sorted(blocks)
        self._firsts = [first for first, _ in self._blocks]
        # The block that was asked last.
        self._first, self._count = self._blocks[0] if self._blocks else (0, 0)
        self._broadcasts = frozenset((ipv4.LIMITED_BROADCAST, *broadcasts))
        self._shards = shards
        self._own = own

    def owner(self, frame: bytes) -> int:
        """The number of the shard that has to handle `frame`, or EVERYBODY.

        What is for no device at all is for whoever read it.
        """
        if len(frame) < IPV4_HEADER_END:
            return self._own
        if frame[10] >> 4 == 4:
            destination: int = _read_ipv4_destination(frame)[0]
            index = destination - self._first
            if 0 <= index < self._count:
                return index % self._shards
            group = frame[IPV4_PROTOCOL] == udp.PROTOCOL and (
                ipv4.is_multicast(destination) or destination in self._broadcasts
            )
        elif frame[10] >> 4 == 6 and len(frame) >= IPV6_DESTINATION.stop:
            destination = int.from_bytes(frame[IPV6_DESTINATION], "big")
            # A datagram may stand behind extension headers: a fragment's, say.
            group = ipv6.is_multicast(destination) and frame[IPV6_NEXT_HEADER] != icmpv6.PROTOCOL
        else:
            return self._own
        if group:
            return EVERYBODY
        position = bisect_right(self._firsts, destination)
        if position:
            first, count = self._blocks[position - 1]
            if destination < first + count:
                self._first, self._count = first, count
                return (destination - first) % self._shards
        index = self._others.get(destination, self._own)
        return index % self._shards


class ShardLink:
    """`link`, of which only the frames of our own devices are received. `peers` by shard number.

    `on_copy` is called with each frame that others have read, and that is for our devices too.
    `on_between` is called with each frame that a device of others has sent to one of ours, and whether it
    is a copy of what it has sent to a group. Frames that the socket to a peer has no room for are dropped,
    and counted as such.
    """

    def __init__(
        self, link: TunLink, owners: Owners, shard: Shard, peers: Mapping[int, socket.socket]
    ) -> None:
        self.kind, self.name, self.mtu = link.kind, link.name, link.mtu
        self.on_copy: Callable[[bytes], object] = _ignore
        self.on_between: Callable[[bytes, bool], object] = _ignore
        self._link = link
        self._owner = owners.owner
        self._own = shard.number
        self._outboxes: dict[int, list[bytes]] = {number: [] for number in peers}
        self._copies: list[bytes] = []
        self._peers = dict(peers)
        self._speaking = dict(peers)
        """The peers that may send us something yet."""
        self._buffer = memoryview(bytearray(MESSAGE_BYTES + WORD))
        self._handed_over = 0
        self._copied = 0
        self._dropped = 0
        self._sealed = False
        self._epoll = select.epoll()
        for fd in (*link.fds, *(peer.fileno() for peer in peers.values())):
            self._epoll.register(fd, select.EPOLLIN)
        self.send_nowait = link.send_nowait
        self.send_all = link.send_all

    def receive_nowait(self, limit: int) -> list[bytes]:
        """As `Link.receive_nowait`; one look at each source may bring more than `limit`."""
        frames: list[bytes] = []
        more = True
        while more and len(frames) < limit:
            more = False
            for number in list(self._speaking):
                more |= self._take_over(number, frames)
            if not self._sealed:
                taken = self._link.receive_nowait(limit)
                self._sort(taken, frames)
                more |= len(taken) >= limit
        return frames

    def connect(self, simulation: Simulation) -> None:
        """Let `simulation`, which is over this link, have what others give us, and give to others."""
        self.on_copy = simulation.pump.receive_copy
        self.on_between = simulation.between.take_over
        simulation.between.hand_over = self.hand_over

    def hand_over(self, frame: bytes) -> bool:
        """Give others what they are to have of `frame`, which a device of ours has sent to devices.

        True if it was for others alone: it is theirs now, to handle and to count, or was dropped. False
        after the end, when nobody would handle it any more.
        """
        whose = self._owner(frame)
        if whose == self._own or self._sealed:
            return False
        if whose == EVERYBODY:
            for number in self._peers:
                self._copied += self._send(number, [frame], FROM_DEVICES | COPIES)
            return False
        self._handed_over += self._send(whose, [frame], FROM_DEVICES)
        return True

    def seal(self) -> None:
        """Leave unread what comes to our queue from now on. What others hand over is still taken."""
        self._sealed = True

    def wait_briefly(self, timeout_s: float) -> bool:
        if self._epoll.fileno() >= FD_SETSIZE:
            return False
        select.select((self._epoll.fileno(),), (), (), timeout_s)
        return True

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def statistics(self) -> dict[str, int]:
        """The queue's own, and what was handed over, copied to others, and dropped on that way."""
        queue = self._link.statistics()
        return {
            **queue,
            "send_dropped": queue["send_dropped"] + self._dropped,
            "handed_over": self._handed_over,
            "copied": self._copied,
            "hand_over_dropped": self._dropped,
        }

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._epoll.fileno())
        self._epoll.close()
        self._link.close()

    def _sort(self, taken: Iterable[bytes], frames: list[bytes]) -> None:
        """Put into `frames` what is ours of `taken`, and hand over the rest."""
        owner, own, outboxes = self._owner, self._own, self._outboxes
        for frame in taken:
            whose = owner(frame)
            if whose == own:
                frames.append(frame)
            elif whose == EVERYBODY:
                frames.append(frame)
                self._copies.append(frame)
            else:
                outboxes[whose].append(frame)
        for number, outbox in outboxes.items():
            if outbox:
                self._handed_over += self._send(number, outbox, 0)
                outbox.clear()
            if self._copies:
                self._copied += self._send(number, self._copies, COPIES)
        self._copies.clear()

    def _send(self, number: int, frames: Sequence[bytes], flags: int) -> int:
        """Send `frames` to a peer; how many of them there was room for."""
        sent = 0
        for part in _parts(frames):
            try:
                self._peers[number].send(encode_frames(part, flags))
                sent += len(part)
            except OSError:
                self._dropped += len(part)
        return sent

    def _take_over(self, number: int, frames: list[bytes]) -> bool:
        """Add to `frames` what this peer handed over at once; whether there was something."""
        peer, buffer = self._speaking[number], self._buffer
        try:
            length = peer.recv_into(buffer)
        except BlockingIOError:
            return False
        except OSError:
            length = 0
        if not length:  # it has ended, as all do in the end; if too early, others see to that
            self._epoll.unregister(peer)
            del self._speaking[number]
            return False
        flags, received = decode_frames(buffer[:length])
        if flags & FROM_DEVICES:
            for frame in received:
                self.on_between(frame, bool(flags & COPIES))
        elif flags & COPIES:
            for frame in received:
                self.on_copy(frame)
        else:
            frames += received
        return True


def _parts(frames: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    """`frames` in parts of which each fits into a message."""
    start, size = 0, 0
    for position, frame in enumerate(frames):
        needed = WORD + len(frame)
        if size and size + needed > MESSAGE_BYTES:
            yield frames[start:position]
            start, size = position, 0
        size += needed
    yield frames[start:]


def encode_frames(frames: Sequence[bytes], flags: int = 0) -> bytes:
    return b"".join((array("I", [len(frames) | flags, *map(len, frames)]).tobytes(), *frames))


def decode_frames(message: memoryview) -> tuple[int, list[bytes]]:
    """The flags, and the frames."""
    words = message[: len(message) // WORD * WORD].cast("I")
    flags = words[0] & (COPIES | FROM_DEVICES)
    count = words[0] - flags
    at = WORD * (count + 1)
    frames = []
    for length in words[1 : count + 1]:
        frames.append(bytes(message[at : at + length]))
        at += length
    return flags, frames


def _ignore(_frame: bytes, _copy: bool = False) -> None:
    pass
