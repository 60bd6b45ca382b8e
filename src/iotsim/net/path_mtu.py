"""Path MTUs: learned from ICMP (RFC 1191, RFC 8201), and forgotten after ten minutes, so that a path
that got wider is found out."""

from __future__ import annotations

from typing import NamedTuple

from iotsim.wire.address import IPV4_END

PATH_MTU_LIFETIME_S = 600.0
MINIMUM_PATH_MTU_IPV4 = 552
"""As Linux: a smaller one is more likely forged than true. Packets of this size go without DF, so
that a router that does need smaller ones can make them."""

# RFC 1191, section 7.1: what to try when an old router does not say its MTU.
_PLATEAUS = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 576)


class _Entry(NamedTuple):
    mtu: int
    expires: float


class PathMtuCache:
    """The MTUs of paths that are narrower than the link, by destination; at most `capacity` of them."""

    def __init__(self, link_mtu: int, capacity: int = 4096) -> None:
        self.link_mtu = link_mtu
        self.smallest = link_mtu
        self._capacity = capacity
        self._entries: dict[int, _Entry] = {}

    def get(self, destination: int) -> int:
        entry = self._entries.get(destination)
        return entry.mtu if entry else self.link_mtu

    def learn(self, destination: int, mtu: int, length: int, now: float) -> bool:
        """Take note that a packet of `length` bytes was too long for a next hop of `mtu` (0 when
        the router did not say). False if that is no news, or not to be believed."""
        if mtu == 0:
            mtu = next((plateau for plateau in _PLATEAUS if plateau < length), 0)
        if destination < IPV4_END:
            mtu = max(mtu, MINIMUM_PATH_MTU_IPV4)
        elif mtu < 1280:
            return False  # RFC 8201, section 4
        if mtu >= self.get(destination):
            return False
        self._entries.pop(destination, None)
        if len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        # In the order of expiry, for all of them live equally long.
        self._entries[destination] = _Entry(mtu, now + PATH_MTU_LIFETIME_S)
        self.smallest = min(self.smallest, mtu)
        return True

    def next_due(self) -> float | None:
        for entry in self._entries.values():
            return entry.expires
        return None

    def pop_due(self, now: float) -> None:
        """Forget what is too old."""
        while self._entries:
            destination, entry = next(iter(self._entries.items()))
            if entry.expires > now:
                break
            del self._entries[destination]
        mtus = [entry.mtu for entry in self._entries.values()]
        self.smallest = min(mtus, default=self.link_mtu)
