"""Topics: names, filters with wildcards, and how messages refer to them (section 6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Message = dict[str, Any]

LONGEST_TOPIC = 1024
"""In bytes; longer names are refused."""


def is_name(topic: str) -> bool:
    """Whether something can be published to it."""
    return is_filter(topic) and "+" not in topic and "#" not in topic


def is_filter(topic: str) -> bool:
    """Whether it can be subscribed to: ``+`` stands for a level, ``#`` for all that follow, at the end."""
    if not topic or "\0" in topic or len(topic.encode()) > LONGEST_TOPIC:
        return False
    *levels, last = topic.split("/")
    return all("#" not in one for one in levels) and all(
        one in ("+", "#") or ("+" not in one and "#" not in one) for one in (*levels, last)
    )


def has_wildcard(topic: str) -> bool:
    return "+" in topic or "#" in topic


def matches(wanted: str, topic: str) -> bool:
    """Whether a filter takes a name. A wildcard at its begin takes no name with a ``$`` there."""
    if wanted == topic:
        return True
    if topic.startswith("$") and wanted[0] in "+#":
        return False
    levels = topic.split("/")
    parts = wanted.split("/")
    for place, part in enumerate(parts):
        if part == "#":
            return True
        if place == len(levels) or part not in ("+", levels[place]):
            return False
    return len(parts) == len(levels)


def is_short(topic: str) -> bool:
    """Whether the name itself goes in the place of a topic id: two bytes, and no wildcard."""
    return len(topic) < 3 and len(topic.encode()) == 2 and not has_wildcard(topic)


def reference(topic: str, predefined: Mapping[str, int]) -> Message:
    """The fields that refer to `topic` where it needs no registration, or to subscribe: a predefined id, a
    short name, else the name."""
    if topic in predefined:
        return {"topic_id_type": "PREDEFINED", "topic_id": predefined[topic]}
    return {"topic_id_type": "SHORT" if is_short(topic) else "NORMAL", "topic": topic}


class Predefined:
    """The topic ids that both sides know from the start."""

    __slots__ = ("ids", "names")

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = ids
        self.names = {number: name for name, number in ids.items()}

    def name_of(self, message: Mapping[str, Any]) -> str | None:
        """The name of a message's topic, if that is short, predefined, or there as it is."""
        if message["topic_id_type"] == "PREDEFINED":
            return self.names.get(message["topic_id"])
        name: str | None = message.get("topic")
        return name
