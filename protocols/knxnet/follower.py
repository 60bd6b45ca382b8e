"""Which frame answers which: by service, and by channel and sequence number (3/8/4, section 2.6)."""

from __future__ import annotations

from typing import Any

from iotsim import Follower, Seen

REQUEST, ANSWERS = "_REQUEST", ("_RESPONSE", "_ACK")
OF_A_CHANNEL = frozenset({"CONNECTIONSTATE", "DISCONNECT"})


class KnxFollower(Follower):
    def key(self, message: dict[str, Any]) -> tuple[Any, ...] | None:
        name, _, last = str(message["service"]).replace("_EXTENDED", "").rpartition("_")
        if f"_{last}" not in (REQUEST, *ANSWERS):
            return None
        if name in OF_A_CHANNEL or "sequence" in message:
            return name, message.get("channel"), message.get("sequence")
        return (name,)

    def is_answer(self, message: dict[str, Any], seen: Seen) -> bool:
        return str(message["service"]).replace("_EXTENDED", "").endswith(ANSWERS)
