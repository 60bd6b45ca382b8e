"""Which APDU answers which: by invoke id (ASHRAE 135, clause 5.4)."""

from __future__ import annotations

from typing import Any

from iotsim import Follower, Mark, Seen

REFUSALS = frozenset({"ERROR", "REJECT", "ABORT"})


class BacnetFollower(Follower):
    """Unconfirmed services have no answers of their own: who answers Who-Is says I-Am to all."""

    def key(self, message: dict[str, Any]) -> int | None:
        return None if message.get("apdu") == "SEGMENT_ACK" else message.get("invoke_id")

    def is_answer(self, message: dict[str, Any], seen: Seen) -> bool:
        return bool(message["apdu"] != "CONFIRMED_REQUEST")

    def answers(self, message: dict[str, Any], seen: Seen, asked: Mark) -> str:
        return f"{'refuses' if message['apdu'] in REFUSALS else 'answers'} {seen.after(asked)}"
