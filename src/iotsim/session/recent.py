"""`Recent`: a memory that forgets, so that no peer can make a device remember without end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
MANY = 1024


class Recent(Generic[K, V]):
    """The latest entries, each for ``lifetime`` seconds from when it first came, ``most`` at a time.

    A new one drives the oldest out; ``dropped`` counts those that had time left.
    """

    __slots__ = ("_entries", "dropped", "lifetime", "most")

    def __init__(self, lifetime: float, most: int) -> None:
        self.lifetime = lifetime
        self.most = most
        self.dropped = 0
        # To find the first entry of a dict takes the longer, the more were taken away before it; an
        # OrderedDict finds it at once, but is larger, which counts where each device has some.
        self._entries: dict[K, tuple[float, V]] = OrderedDict() if most > MANY else {}

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
        self._add(key, value, now)

    def setdefault(self, key: K, value: V, now: float) -> V:
        """What is remembered for `key`, which is `value` from now on if nothing was."""
        entry = self._entries.get(key)
        if entry is not None:
            if entry[0] > now:
                return entry[1]
            del self._entries[key]
        self._add(key, value, now)
        return value

    def _add(self, key: K, value: V, now: float) -> None:
        """Remember `value` for a key that is not there."""
        entries = self._entries
        while entries:
            oldest = next(iter(entries))
            lives = entries[oldest][0] > now
            if lives and len(entries) < self.most:
                break
            del entries[oldest]
            if lives:
                self.dropped += 1
                break  # there is room now, and those that came later live as well
        entries[key] = (now + self.lifetime, value)

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
