"""Which message answers which: by transaction identifier (messaging guide, section 3.1.3) and unit."""

from __future__ import annotations

from typing import Any

from iotsim import Follower, Mark, Seen


class ModbusFollower(Follower):
    """An exception has another function than what it answers, but the same transaction."""

    def key(self, message: dict[str, Any]) -> tuple[int, int]:
        return message["transaction"], message["unit"]

    def is_answer(self, message: dict[str, Any], seen: Seen) -> bool:
        return seen.from_device

    def answers(self, message: dict[str, Any], seen: Seen, asked: Mark) -> str:
        return f"{'refuses' if 'exception' in message else 'answers'} {seen.after(asked)}"
