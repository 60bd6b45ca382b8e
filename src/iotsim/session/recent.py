"""`Recent`: a memory that forgets, so that no peer can make a device remember without end."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SHARE = 8


class Recent(Generic[K, V]):
    """The latest entries, each for ``lifetime`` seconds from when it first came, ``most`` at a time.

    Where a new one finds no room, the oldest are forgotten, an eighth of all at a time, and what is over at
    every eighth of a lifetime: to find the first in a dict takes the longer, the more were taken away before
    it. ``dropped`` counts those that had time left.
    """

    __slots__ = ("_entries", "_forget_at", "dropped", "lifetime", "most")

    def __init__(self, lifetime: float, most: int) -> None:
        self.lifetime = lifetime
        self.most = most
        self.dropped = 0
        self._entries: dict[K, tuple[float, V]] = {}
        self._forget_at = 0.0

    def get(self, key: K, now: float) -> V | None:
        """What is remembered for `key`; None if nothing is any more."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > now else None

    def put(self, key: K, value: V, now: float) -> None:
        """Remember `value`. What was there for `key` and has time left keeps its end."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] > now:
            self._entries[key] = (entry[0], value)
            return
        if entry is not None:
            del self._entries[key]
        elif now >= self._forget_at or len(self._entries) >= self.most:
            self._make_room(now)
        self._entries[key] = (now + self.lifetime, value)

    def setdefault(self, key: K, value: V, now: float) -> V:
        """What is remembered for `key`, which is `value` from now on if nothing was."""
        entries = self._entries
        entry = entries.get(key)
        if entry is not None:
            if entry[0] > now:
                return entry[1]
            del entries[key]
        elif now >= self._forget_at or len(entries) >= self.most:
            self._make_room(now)
        entries[key] = (now + self.lifetime, value)
        return value

    def _make_room(self, now: float) -> None:
        """Forget what is over, and so many of the eldest that there is room for some time."""
        self._forget_at = now + self.lifetime / SHARE
        entries = self._entries
        least = 0 if len(entries) < self.most else self.most // SHARE or 1
        going = list(islice(entries, least))  # the eldest first, which are also over first
        if going and entries[going[0]][0] > now:
            self.dropped += len(going)
        else:
            going = []
            for key, (end, _) in entries.items():
                if end > now:
                    if len(going) >= least:
                        break
                    self.dropped += 1
                going.append(key)
        for key in going:
            del entries[key]

    def renew(self, key: K, value: V, now: float) -> None:
        """As `put`, for a whole lifetime from now on."""
        self._entries.pop(key, None)
        self.put(key, value, now)

    def pop(self, key: K) -> V | None:
        """Forget `key`; what was remembered, if anything was."""
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[1]

    def __len__(self) -> int:
        return len(self._entries)
