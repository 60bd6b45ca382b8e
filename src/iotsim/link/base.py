"""`Link`: the interface of all links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Link(Protocol):
    """A source and destination of frames (see the package's docstring).

    ``kind`` and ``name`` are for people; ``mtu`` is in bytes, of the IP packet.
    """

    kind: str
    name: str
    mtu: int

    def receive_nowait(self, limit: int) -> list[bytes]:
        """Up to `limit` frames that wait; fewer than `limit` means that the queue was seen empty."""
        ...

    def send_nowait(self, frame: bytes) -> bool:
        """Send one frame. False: it was dropped, and counted in `statistics`."""
        ...

    def send_all(self, frames: Sequence[bytes]) -> int:
        """Send each of `frames` as `send_nowait` does; how many were dropped."""
        ...

    def wait_briefly(self, timeout_s: float) -> bool:
        """Block the thread until there may be something to receive, or `timeout_s` has passed.

        False: this link cannot be waited for in this way, and nothing was done.
        """
        ...

    async def wait_readable(self) -> None:
        """Wait until there may be something to receive."""
        ...

    def statistics(self) -> dict[str, int]:
        """What this link counted itself, by name: at least ``sent`` and ``send_dropped``."""
        ...

    def close(self) -> None:
        """Close what the link owns. Idempotent."""
        ...
