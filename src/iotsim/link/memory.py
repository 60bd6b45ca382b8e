"""The memory link, inside one process: two ends, a bounded queue each way, and no kernel.

It runs in virtual time (`trio.testing.MockClock` with autojump): nothing on it waits for anything
outside the process.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

QUEUE_FRAMES = 10_000


class MemoryLink:
    """One end. `pair` makes two that are connected; an end alone has nobody to talk to."""

    kind = "memory"

    def __init__(self, name: str = "memory", mtu: int = 1500) -> None:
        self.name = name
        self.mtu = mtu
        self.peer: MemoryLink | None = None
        self._queue: deque[bytes] = deque()
        self._wakeup = trio.Event()
        self._sent = 0
        self._dropped = 0
        self._closed = False

    @classmethod
    def pair(cls, mtu: int = 1500) -> tuple[MemoryLink, MemoryLink]:
        """Two connected ends: what one sends, the other receives."""
        one, other = cls("memory", mtu), cls("memory-peer", mtu)
        one.peer, other.peer = other, one
        return one, other

    def receive_nowait(self, limit: int) -> list[bytes]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def send_nowait(self, frame: bytes) -> bool:
        peer = self.peer
        if peer is not None:
            if peer._closed or len(peer._queue) >= QUEUE_FRAMES:
                self._dropped += 1
                return False
            peer._queue.append(frame)
            peer._wakeup.set()
        self._sent += 1
        return True

    def send_all(self, frames: Sequence[bytes]) -> int:
        return sum(not self.send_nowait(frame) for frame in frames)

    def wait_briefly(self, timeout_s: float) -> bool:
        """Nothing can arrive while this thread waits, and virtual time would stand still."""
        return False

    async def wait_readable(self) -> None:
        if self._queue:
            await trio.lowlevel.checkpoint()
            return
        self._wakeup = trio.Event()
        await self._wakeup.wait()

    def statistics(self) -> dict[str, int]:
        return {"sent": self._sent, "send_dropped": self._dropped}

    def close(self) -> None:
        self._closed = True
        self._queue.clear()
