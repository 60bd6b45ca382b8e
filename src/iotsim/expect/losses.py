"""What was lost before a session had it, where nobody knows what it would have been above that.

An expectation may hold because of it, so that it is in doubt, unless the very datagram has come again: then
the session has had what it carries, and so have the expectations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Key: TypeAlias = tuple[int, int, bytes]
"""Address and port of a peer, and a datagram."""
MOST_LOST = 64
"""So many datagrams of a device are waited for; of more, none is taken to have come again."""
TOO_MANY: Key = (0, 0, b"")


class Losses(dict[int, dict[Key, float]]):
    """By the index of a device of one fleet what it has not had, and when that came at the link."""

    def lost(self, index: int, key: Key, t: float) -> None:
        known = self.setdefault(index, {})
        known.setdefault(key if len(known) < MOST_LOST else TOO_MANY, t)

    def came(self, index: int, key: Key) -> None:
        """A datagram has reached its device, perhaps one that was lost before."""
        known = self.get(index)
        if known is not None and known.pop(key, None) is not None and not known:
            del self[index]

    def within(self, begin: float, end: float) -> Iterator[tuple[int, float]]:
        """The devices that have not had something of that time, and when that first was."""
        for index, known in self.items():
            first = min((t for t in known.values() if begin <= t <= end), default=None)
            if first is not None:
                yield index, first
