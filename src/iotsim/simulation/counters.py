"""What a crew has counted, as plain data: it travels between processes, and shards add up."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from iotsim.events import Unmatched  # noqa: TC001  # msgspec reads it
from iotsim.expect.standing import Standing, add_standings
from iotsim.simulation.census import Census, add_censuses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
    """How far a crew is. ``verdicts``: for each expectation, None while it is undecided.

    ``lag``: how late the simulator was at worst, in seconds. The rest is there only where somebody watches
    the run (``live`` in `Simulation`): ``standings`` of the expectations, the `Census` of the devices, and
    the ``answer_times`` as `AnswerTimes` counts them.
    """

    received: int = 0
    heard_at: float | None = None
    """When somebody else than a device first sent a datagram to one."""
    answered: int = 0
    pending: int = 0
    dropped: int = 0
    sent: int = 0
    verdicts: list[bool | None] = []
    lag: float = 0.0
    standings: list[Standing] = []
    census: Census | None = None
    answer_times: dict[int, int] = {}


def add_progress(
    parts: Sequence[Progress], own: Sequence[Standing], verdicts: list[bool | None]
) -> Progress:
    """That of several shards as one, whose expectations have come to `verdicts`. `own` are the standings of
    the run's own judge, whose process has no devices."""
    answer_times: Counter[int] = Counter()
    for part in parts:
        answer_times.update(part.answer_times)
    standings = []
    if parts and all(part.standings for part in parts):
        for number, verdict in enumerate(verdicts):
            shares = [own[number], *(part.standings[number] for part in parts)]
            standings.append(add_standings(shares, verdict))
    censuses = [part.census for part in parts if part.census is not None]
    heard = [part.heard_at for part in parts if part.heard_at is not None]
    return Progress(
        received=sum(part.received for part in parts),
        heard_at=min(heard, default=None),
        answered=sum(part.answered for part in parts),
        pending=sum(part.pending for part in parts),
        dropped=sum(part.dropped for part in parts),
        sent=sum(part.sent for part in parts),
        verdicts=verdicts,
        lag=max((part.lag for part in parts), default=0.0),
        standings=standings,
        census=add_censuses(censuses) if censuses else None,
        answer_times=dict(answer_times),
    )


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
