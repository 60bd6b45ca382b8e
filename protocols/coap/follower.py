"""What the messages of others are to each other: by ids (RFC 7252, section 4) and tokens (section 5.3).

Also the blocks of a body (RFC 7959), and the notifications of an observation (RFC 7641).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Follower, Recent

from .codes import code_class
from .observe import DEREGISTER, REGISTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim import Mark, Seen

    Message = dict[str, Any]

MOST = 1 << 16
"""So many messages, requests and bodies are remembered at a time."""
LONGEST_PATH = 100
"""Characters of it that are remembered."""
EXCHANGE_LIFETIME = 247.0
"""In seconds: so long an id stands for one message (section 4.8.2)."""
OBSERVATION_LIFETIME = 2 * 24 * 3600.0
"""In seconds: twice as long as an observer may hear nothing (RFC 7641, section 4.5)."""


class Request:
    """A request that was seen, and what has become of it."""

    __slots__ = ("is_answered", "mark", "notifications", "observes", "path")

    def __init__(self, message: Message, mark: Mark) -> None:
        self.mark = mark
        path: str = message["path"]
        self.path = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
        self.observes = message.get("observe") == REGISTER
        self.is_answered = False
        self.notifications = 0


class CoapFollower(Follower):
    """Tells retransmissions, acknowledgements, answers, blocks, and the notifications of an observation."""

    def __init__(self, echo: Sequence[str] = ()) -> None:
        super().__init__(echo)
        # By way and id, and whether the id is one of the other side's; each with what it is about.
        self._messages: Recent[Any, tuple[Mark, Request | None]] = Recent(EXCHANGE_LIFETIME, MOST)
        # By way and token.
        self._requests: Recent[Any, Request] = Recent(OBSERVATION_LIFETIME, MOST)
        # Of bodies in blocks, in bytes: by way of the request, path, and which of the options.
        self._sizes: Recent[Any, int] = Recent(EXCHANGE_LIFETIME, MOST)

    def follow(self, message: Message, seen: Seen) -> list[str]:
        kind, number = message["type"], message["message_id"]
        replies = kind in ("ACK", "RST")
        here = seen.way, number, replies
        before = self._messages.get(here, seen.time)
        if before is not None and seen.is_again(before[0]):
            return [f"{'retransmission' if kind == 'CON' else 'duplicate'} of {before[0]}"]
        notes = []
        if before is not None and not replies:
            notes.append(f"has the id of {before[0]}")
        replied = None
        if replies:
            replied = self._messages.get((seen.ways_back[0], number, False), seen.time)
        about = None
        if message["code"] == "EMPTY":
            if replied is not None:
                notes.append(_settles(kind, seen, *replied))
        elif code_class(message["code"]) == 0:
            about = self._asks(message, seen, notes)
        else:
            about = self._answers(message, seen, notes)
            if about is None and replied is not None:
                notes.append(f"acknowledges {seen.after(replied[0])}")
        self._messages.renew(here, (seen.mark, about), seen.time)
        return notes

    def _asks(self, message: Message, seen: Seen, notes: list[str]) -> Request:
        """Note what a request is, and remember it."""
        request = Request(message, seen.mark)
        key = seen.way, message["token"]
        before = self._requests.get(key, seen.time)
        observation = before if before is not None and before.observes else None
        if request.observes:
            notes.append(
                f"renews observation {observation.mark}" if observation else "begins an observation"
            )
        elif observation and message.get("observe") == DEREGISTER:
            notes.append(f"ends observation {observation.mark}")
        self._requests.renew(key, request, seen.time)
        if "block1" in message:
            block = self._block(message, "1", seen.way, request.path, seen.time)
            notes.append(f"{block} of the body for {request.path}")
        if "block2" in message and message["block2"]["number"]:
            notes.append(f"asks for block {message['block2']['number'] + 1} of {request.path}")
        return request

    def _answers(self, message: Message, seen: Seen, notes: list[str]) -> Request | None:
        """Note what a response is; the request that it is about, if that was seen."""
        for way in seen.ways_back:
            key = way, message["token"]
            request = self._requests.get(key, seen.time)
            if request is not None:
                break
        else:
            return None
        if request.is_answered and request.observes and "observe" in message:
            request.notifications += 1
            self._requests.renew(key, request, seen.time)
            notes.append(f"notification {request.notifications} of observation {request.mark}")
        else:
            request.is_answered = True
            notes.append(f"answers {seen.after(request.mark)}")
        if "block2" in message:
            block = self._block(message, "2", way, request.path, seen.time)
            notes.append(f"{block} of {request.path}")
        return request

    def _block(self, message: Message, which: str, way: Any, path: str, now: float) -> str:
        """``block 3 of 7``, where the size of the whole is known."""
        block, key = message[f"block{which}"], (way, path, which)
        number: int = block["number"] + 1
        if f"size{which}" in message:
            self._sizes.renew(key, message[f"size{which}"], now)
        if not block["more"]:
            return f"block {number} of {number}"
        size = self._sizes.get(key, now)
        return (
            f"block {number}" if size is None else f"block {number} of {-(-size // block['size'])}"
        )


def _settles(kind: str, seen: Seen, mark: Mark, about: Request | None) -> str:
    """What an empty message is to the one that has its id."""
    if kind == "ACK":
        return f"acknowledges {seen.after(mark)}"
    if about is not None and about.notifications:
        return f"resets {mark}, which ends observation {about.mark}"
    return f"resets {mark}"
