"""The census: how many devices are in which state, for whoever watches a run.

Of a large fleet a sample is asked, so that to look costs the same however many devices there are; where
none of a fleet can be away, nobody is asked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from iotsim.device.fleet import Fleet
    from iotsim.simulation.conditions import Conditions
    from iotsim.simulation.shard import Shard

MOST_ASKED = 200
"""Of all fleets together."""


class Census(msgspec.Struct, kw_only=True):
    """Devices by state, each in one. ``active`` have received or sent something, ``idle`` have not, ``away``
    are off, down or asleep, ``waiting`` have yet to boot, and ``failed`` were stopped by a rule or behavior
    of theirs. ``sampled``: the figures are estimates."""

    active: int = 0
    idle: int = 0
    away: int = 0
    waiting: int = 0
    failed: int = 0
    sampled: bool = False


def take_census(
    fleets: Collection[Fleet], conditions: Conditions, shard: Shard, failed: int, now: float
) -> Census:
    """Where the devices of `shard` are at `now`, of which so many have `failed`."""
    census = Census(failed=failed)
    for fleet in fleets:
        owned = shard.owned(fleet.spec.count)
        if fleet.origin == math.inf:
            census.waiting += len(owned)
        elif conditions.any_away(fleet.spec.name) or (
            fleet.boots_later and now < fleet.booted_by()
        ):
            _ask(fleet, owned, MOST_ASKED // len(fleets) + 1, conditions, census, now)
        else:
            census.active += fleet.created
            census.idle += len(owned) - fleet.created
    census.active = max(0, census.active - failed)
    return census


def _ask(
    fleet: Fleet,
    owned: Sequence[int],
    most: int,
    conditions: Conditions,
    census: Census,
    now: float,
) -> None:
    """Add the devices `owned` of `fleet` to `census`, as each of them is, or `most` stand for all."""
    asked = owned
    if len(owned) > most:
        asked = owned[:: -(-len(owned) // most)]
        census.sampled = True
    states = {"active": 0, "idle": 0, "away": 0, "waiting": 0}
    for index in asked:
        if now < fleet.boots_at(index):
            state = "waiting"
        elif conditions.is_away(fleet.spec.name, index, now):
            state = "away"
        else:
            state = "idle" if fleet.devices[index] is None else "active"
        states[state] += 1
    shares = {state: count * len(owned) // max(1, len(asked)) for state, count in states.items()}
    shares[max(shares, key=lambda state: shares[state])] += len(owned) - sum(shares.values())
    for state, share in shares.items():
        setattr(census, state, getattr(census, state) + share)


def add_censuses(parts: Iterable[Census]) -> Census:
    """Those of several processes as one."""
    total = Census()
    for part in parts:
        total.active += part.active
        total.idle += part.idle
        total.away += part.away
        total.waiting += part.waiting
        total.failed += part.failed
        total.sampled |= part.sampled
    return total
