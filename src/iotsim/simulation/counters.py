"""What a crew has counted, as plain data: it travels between processes, and shards add up."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from iotsim.events import Unmatched  # noqa: TC001  # msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Iterable


class Counters(msgspec.Struct, kw_only=True):
    """``counts`` by name; packets by outcome add up to ``packets.received``.

    ``lag`` are upper bounds of how late the simulator was at worst, in seconds. ``failed_devices``
    are those that a rule or behavior of theirs has stopped; ``lost`` is what our own queues dropped.
    ``notes`` are for people. ``idle`` are the names of impairments and faults that were for no message.
    """

    counts: dict[str, int] = {}
    lag: dict[str, float] = {}
    failed_devices: list[str] = []
    first_failure: str = ""
    lost: int = 0
    notes: list[str] = []
    idle: list[str] = []
    unmatched: list[Unmatched] = []


class Progress(msgspec.Struct, kw_only=True):
    """How far a crew is. ``verdicts``: for each expectation, None while it is undecided."""

    received: int = 0
    heard_at: float | None = None
    """When somebody else than a device first sent a datagram to one."""
    answered: int = 0
    pending: int = 0
    dropped: int = 0
    verdicts: list[bool | None] = []


def add_counters(parts: Iterable[Counters]) -> Counters:
    """The counters of several shards as one."""
    counts: Counter[str] = Counter()
    total = Counters()
    unmatched: dict[tuple[str, str, str], Unmatched] = {}
    idle: Counter[str] = Counter()
    shards = 0
    for part in parts:
        # The run's own process has no devices, and so nothing to be idle.
        shards += bool(part.lag)
        idle.update(part.idle)
        counts.update(part.counts)
        for name, lag in part.lag.items():
            total.lag[name] = max(lag, total.lag.get(name, 0.0))
        total.failed_devices += part.failed_devices
        total.first_failure = total.first_failure or part.first_failure
        total.lost += part.lost
        total.notes += part.notes
        for one in part.unmatched:
            key = one.fleet, one.protocol, one.kind
            known = unmatched.get(key, one)
            first = min(known, one, key=attrgetter("t"))
            count = one.count if known is one else known.count + one.count
            unmatched[key] = msgspec.structs.replace(first, count=count)
    total.idle = [name for name, count in idle.items() if count == shards]
    total.unmatched = [*unmatched.values()]
    total.counts = dict(counts)
    return total
