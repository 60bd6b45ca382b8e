"""Which message answers which: by ``source`` and ``sequence``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim import Follower, Mark, Seen

from .bulb import STATES

if TYPE_CHECKING:
    from .bulb import Message


class LifxFollower(Follower):
    """A response has ``source`` and ``sequence`` of its request; there may be several to one."""

    def key(self, message: Message) -> tuple[int, int]:
        return message["source"], message["sequence"]

    def is_answer(self, message: Message, seen: Seen) -> bool:
        return message["type"] in (*STATES, "ACKNOWLEDGEMENT", "STATE_UNHANDLED")

    def answers(self, message: Message, seen: Seen, asked: Mark) -> str:
        acknowledges = message["type"] == "ACKNOWLEDGEMENT"
        return f"{'acknowledges' if acknowledges else 'answers'} {seen.after(asked)}"
