"""Datagrams of a capture, found by the events that tell of them: by when, and between which ends.

Events and packets have the same clock, and most often the very same time. There may be many datagrams of one
time, such as all of a run in virtual time, so that they are looked for by their device first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from iotsim.events import Received, Sent, Undecodable
from iotsim.results.html.index import LATEST
from iotsim.session.follower import is_group
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from iotsim.capture.datagrams import UdpDatagram
    from iotsim.capture.reader import Frame

NEAR_NS = 1_000_000
"""So far may the time of a datagram be from that of its event."""
SAME_NS = 10
"""What is nearer is of the same time: times are written as floats."""
AROUND_NS = 100_000_000
"""Fragments of a datagram may come so much before its last one."""
MOST_CANDIDATES = 20
MOST_MATCHES = 2_000_000
"""Of datagrams with messages of the same ends and time: a capture may be made of nothing else."""
ANYBODY, NOBODY = -1, -2
"""In the place of a device's address: of one of a group, and of one that has none that is known."""

Carried: TypeAlias = Received | Sent | Undecodable
Key: TypeAlias = tuple[bool, str, int]
"""Whether a device sent it, its peer, and the address of the device."""


class Wanted(NamedTuple):
    """A message whose bytes are wanted: its ``row`` in the document, and the addresses of its device."""

    row: int
    event: Carried
    addresses: frozenset[int]


class Candidate(NamedTuple):
    """A datagram that may be a message, so many nanoseconds before or after it."""

    distance: int
    data: bytes


def find_datagrams(
    wanted: list[Wanted], captures: Iterable[Callable[[], Iterable[Frame]]], wall_time: float
) -> dict[int, list[Candidate]]:
    """By place in `wanted`, the datagrams of the captures that may be it, the nearest in time first."""
    from iotsim.capture import Datagrams

    searched = _Searched(wanted, int(wall_time * 1e9))
    if not searched.moments:
        return {}
    found: dict[int, list[Candidate]] = defaultdict(list)
    left = MOST_MATCHES
    for frames in captures:
        datagrams = Datagrams()
        for frame in _near(frames(), searched.moments):
            datagram = datagrams.find(frame)
            if datagram is None or left < 0:
                continue
            for place, distance in searched.places_of(datagram):
                left -= 1
                candidates = found[place]
                candidates.append(Candidate(distance, datagram.payload))
                if len(candidates) > 2 * MOST_CANDIDATES:
                    candidates.sort()
                    del candidates[MOST_CANDIDATES:]
    for candidates in found.values():
        candidates.sort()
    return found


class _Searched:
    """What is looked for, by its ends, and in the order of time."""

    def __init__(self, wanted: list[Wanted], epoch_ns: int) -> None:
        self._by_ends: dict[Key, list[tuple[int, int]]] = defaultdict(list)
        for place, (_, event, addresses) in enumerate(wanted):
            if isinstance(event, Undecodable) or not abs(event.t) < LATEST:
                continue
            ns = epoch_ns + int(event.t * 1e9)
            sent = isinstance(event, Sent)
            for address in (*(addresses or (NOBODY,)), ANYBODY):
                self._by_ends[sent, event.peer, address].append((ns, place))
        for times in self._by_ends.values():
            times.sort()
        self.moments = sorted({ns for times in self._by_ends.values() for ns, _ in times})
        """In nanoseconds since 1970."""
        self._known = {address for _, _, address in self._by_ends}

    def places_of(self, datagram: UdpDatagram) -> Iterator[tuple[int, int]]:
        """The places of what `datagram` may be, and how far it is from each in time."""
        now = datagram.time_ns
        for sent, peer, port, device in (
            (False, datagram.source, datagram.source_port, datagram.destination),
            (True, datagram.destination, datagram.destination_port, datagram.source),
        ):
            if device in self._known:
                address, reach, least = device, NEAR_NS, 0
            elif is_group(device):
                address, reach, least = ANYBODY, SAME_NS, 0
            else:
                # It may be of another device, so that it is never of the same time for sure.
                address, reach, least = NOBODY, SAME_NS, SAME_NS
            times = self._by_ends.get((sent, format_endpoint(peer, port), address))
            if times:
                low = bisect_left(times, (now - reach, -1))
                high = bisect_right(times, (now + reach, 1 << 62))
                for ns, place in times[low:high]:
                    yield place, max(least, abs(ns - now))


def _near(frames: Iterable[Frame], moments: list[int]) -> Iterator[Frame]:
    """Those of `frames`, which are in the order of time, that are near one of `moments`."""
    last = moments[-1] + NEAR_NS
    due = 0
    for frame in frames:
        ns = frame.time_ns
        if ns > last:
            return
        if ns < due:
            continue
        begins = moments[bisect_left(moments, ns - NEAR_NS)] - AROUND_NS
        if ns < begins:
            due = begins
        else:
            yield frame
