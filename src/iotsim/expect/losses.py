"""What was lost before a session had it, where nobody knows what it would have been above that.

An expectation may hold because of it, so that it is in doubt, unless the very datagram has come again: then
the session has had what it carries, and so have the expectations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Key: TypeAlias = tuple[int, int, bytes]
"""Address and port of a peer, and a datagram."""
MOST_LOST = 64
MOST_IN_ALL = 1 << 16
"""So many datagrams of a device, and of all, are waited for; of more, none is taken to have come again."""
TOO_MANY: Key = (0, 0, b"")


class Span(NamedTuple):
    """When a datagram was lost first and last: a window that begins later may doubt only a repetition."""

    first: float
    last: float


class Losses(dict[int, dict[Key, Span]]):
    """By the index of a device of one fleet what it has not had, and when that came at the link."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def lost(self, index: int, key: Key, t: float) -> None:
        known = self.setdefault(index, {})
        if key not in known and (len(known) >= MOST_LOST or self._count >= MOST_IN_ALL):
            key = TOO_MANY
        span = known.get(key)
        if span is None and key is not TOO_MANY:
            self._count += 1
        known[key] = Span(t, t) if span is None else span._replace(last=t)

    def came(self, index: int, key: Key) -> None:
        """A datagram has reached its device, perhaps one that was lost before."""
        known = self.get(index)
        if known is not None and known.pop(key, None) is not None:
            self._count -= 1
            if not known:
                del self[index]

    def within(self, begin: float, end: float) -> Iterator[tuple[int, float]]:
        """The devices that have not had something of that time, and when that first was."""
        for index, known in self.items():
            times = (
                first if first >= begin else last
                for first, last in known.values()
                if first <= end and last >= begin
            )
            first = min(times, default=None)
            if first is not None:
                yield index, first
