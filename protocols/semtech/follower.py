"""Which datagram acknowledges which: by token."""

from __future__ import annotations

from typing import Any

from iotsim import Follower, Mark, Seen

ASKED = {"PUSH_ACK": "PUSH_DATA", "PULL_ACK": "PULL_DATA", "TX_ACK": "PULL_RESP"}


class SemtechFollower(Follower):
    def key(self, message: dict[str, Any]) -> tuple[str, int]:
        kind = str(message["kind"])
        return ASKED.get(kind, kind), message["token"]

    def is_answer(self, message: dict[str, Any], seen: Seen) -> bool:
        return message["kind"] in ASKED

    def answers(self, message: dict[str, Any], seen: Seen, asked: Mark) -> str:
        return f"acknowledges {seen.after(asked)}"
