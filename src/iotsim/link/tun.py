"""The TUN and TAP link, over descriptors that were opened elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import select
from typing import TYPE_CHECKING

import trio

from iotsim.errors import MachineError
from iotsim.link.tuntap import VNET_HEADER_BYTES
from iotsim.wire.virtio import NEEDS_CSUM, PLAIN, complete_checksum

if TYPE_CHECKING:
    from collections.abc import Sequence

ETHERNET_HEADER_BYTES = 18
"""With one VLAN tag."""
MIN_READ_BYTES = 2048
FD_SETSIZE = 1024
"""What select(2) can take; it alone waits for fractions of a millisecond."""


class TunLink:
    """Drains and fills the queues of one interface; see `iotsim.link.base` for the methods.

    Owns `fds`, one per queue. Without `offload` the kernel completes the checksums of what it sends
    us, and we complete those of what we send, in software.
    """

    def __init__(
        self,
        fds: Sequence[int],
        *,
        name: str,
        kind: str = "tun",
        mtu: int = 1500,
        offload: bool = True,
    ) -> None:
        if not fds:
            raise ValueError("a TUN link needs at least one queue")
        self.kind = kind
        self.name = name
        self.mtu = mtu
        self.offload = offload
        self.fds = tuple(fds)
        self._read_bytes = max(MIN_READ_BYTES, VNET_HEADER_BYTES + ETHERNET_HEADER_BYTES + mtu)
        self._received = 0
        self._sent = 0
        self._failures: dict[str, int] = {}
        self._closed = False
        self._next_queue = 0
        # Several queues are waited for through one descriptor.
        self._epoll: select.epoll | None = None
        self._wait_fd = self.fds[0]
        if len(self.fds) > 1:
            self._epoll = select.epoll()
            for fd in self.fds:
                self._epoll.register(fd, select.EPOLLIN)
            self._wait_fd = self._epoll.fileno()

    def receive_nowait(self, limit: int) -> list[bytes]:
        """Up to `limit` frames; fewer mean that every queue was seen empty."""
        frames: list[bytes] = []
        append = frames.append
        read = os.read
        size = self._read_bytes
        fds = self.fds
        for turn in range(len(fds)):
            # Each call starts with another queue, so that a busy one cannot starve the rest.
            fd = fds[(self._next_queue + turn) % len(fds)]
            try:
                for _ in range(limit - len(frames)):
                    append(read(fd, size))
            except BlockingIOError:
                continue
            except OSError as error:
                self._received += len(frames)
                raise self._explain(error) from error
            break
        self._next_queue += 1
        self._received += len(frames)
        return frames

    def send_nowait(self, frame: bytes) -> bool:
        """Write one frame; it is never queued here. False: it was dropped."""
        return not self.send_all((frame,))

    def send_all(self, frames: Sequence[bytes]) -> int:
        """Write each of `frames`; how many were dropped, counted by the error's name."""
        if not self.offload:
            frames = [
                PLAIN + complete_checksum(frame) if frame[0] & NEEDS_CSUM else frame
                for frame in frames
            ]
        fd, write, dropped = self.fds[0], os.write, 0
        for frame in frames:
            try:
                write(fd, frame)
            except OSError as error:
                dropped += 1
                name = errno.errorcode.get(error.errno or 0, "error").lower()
                self._failures[name] = self._failures.get(name, 0) + 1
        self._sent += len(frames) - dropped
        return dropped

    def wait_briefly(self, timeout_s: float) -> bool:
        """Block the thread until a queue has a frame, or `timeout_s` has passed."""
        if self._wait_fd >= FD_SETSIZE:
            return False
        select.select((self._wait_fd,), (), (), timeout_s)
        return True

    async def wait_readable(self) -> None:
        """Wait until a queue has a frame."""
        await trio.lowlevel.wait_readable(self._wait_fd)

    def statistics(self) -> dict[str, int]:
        """received, sent, send_dropped, and send_dropped_ERROR for each kind of failure."""
        return {
            "received": self._received,
            "sent": self._sent,
            "send_dropped": sum(self._failures.values()),
            **{f"send_dropped_{name}": count for name, count in sorted(self._failures.items())},
        }

    def close(self) -> None:
        """Close the queues; with the last descriptor the interface vanishes."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(RuntimeError):  # outside of trio nobody can be waiting
            trio.lowlevel.notify_closing(self._wait_fd)
        if self._epoll is not None:
            self._epoll.close()
        for fd in self.fds:
            os.close(fd)

    def _explain(self, error: OSError) -> MachineError:
        if error.errno in (errno.EBADFD, errno.EBADF):
            return MachineError(
                f"the interface {self.name} has disappeared during the run",
                "find out who removed it: ip monitor link",
            )
        return MachineError(
            f"the interface {self.name} cannot be read: {error.strerror}", "iotsim doctor"
        )
