"""Which message answers which: by the request-id, and by the PDU (RFC 3416, section 4.1)."""

from __future__ import annotations

from typing import Any

from iotsim import Follower, Mark, Seen


class SnmpFollower(Follower):
    """A RESPONSE answers what has its number; traps are not answered."""

    def key(self, message: dict[str, Any]) -> int | None:
        return None if message["pdu"] == "TRAP" else message["request_id"]

    def is_answer(self, message: dict[str, Any], seen: Seen) -> bool:
        return bool(message["pdu"] == "RESPONSE")

    def answers(self, message: dict[str, Any], seen: Seen, asked: Mark) -> str:
        """A manager's is the acknowledgement of an INFORM."""
        return f"{'answers' if seen.from_device else 'acknowledges'} {seen.after(asked)}"
