"""Segmented messages (clauses 5.3 and 5.4): put together from segments, and cut into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim import Peer

    from .message import Message

MOST_SEGMENTS = 64
"""Of a request, as Max_Segments_Accepted says."""


class Incoming:
    """A request that comes in segments."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.parts: list[bytes] = []
        self.since = 0
        """Segments since the last acknowledgement."""

    def take(self, message: Message) -> tuple[bool, bool]:
        """Whether the segment is to be acknowledged, and whether that is a negative one."""
        number = message["sequence_number"]
        if number != len(self.parts) & 255:
            # One that came before is only acknowledged again (5.4.5.2, DuplicateSegmentReceived).
            behind = (len(self.parts) - 1 - number) & 255
            return True, behind >= self.window
        self.parts.append(message["data"])
        self.since += 1
        if self.since >= self.window or not message["more_follows"]:
            self.since = 0
            return True, False
        return False, False


class Outgoing:
    """A response that goes out in segments, a window at a time."""

    def __init__(
        self,
        head: Message,
        parts: list[bytes],
        peer: Peer,
        window: int,
        send: Callable[[dict[str, Any], Peer], object],
    ) -> None:
        self.head, self.parts, self.peer = head, parts, peer
        self.proposed, self.window = window, 1
        self.first = 0
        """The first segment that is not acknowledged."""
        self.tries = 0
        self.timer: Any = None
        self._send = send

    def fill(self) -> None:
        """Send a window (5.4.4, FillWindow)."""
        for number in range(self.first, min(self.first + self.window, len(self.parts))):
            segment = {
                **self.head,
                "sequence_number": number & 255,
                "more_follows": number + 1 < len(self.parts),
                "window": self.proposed,
                "data": self.parts[number],
            }
            self._send(segment, self.peer)

    def acknowledge(self, message: Message) -> bool:
        """Whether the acknowledgement is of the window that is under way."""
        offset = (message["sequence_number"] - self.first) & 255
        if offset == 255 and message["negative"]:
            offset = -1
        elif offset >= min(self.window, len(self.parts) - self.first):
            return False
        self.first += offset + 1
        self.window = max(1, min(message["window"], 127))
        return True

    @property
    def done(self) -> bool:
        return self.first >= len(self.parts)


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[at : at + size] for at in range(0, len(octets), size)]
