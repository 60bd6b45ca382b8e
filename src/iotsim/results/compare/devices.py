"""Device by device: who is gone, new, or silent, and whose figures changed the most.

Told is only what is no chance: a median whose intervals are apart, by more than the simulator was late; and
a number of messages that differs by more than three times what it would vary by, if they came independently.
Each list is bounded, the largest change first, and says of how many.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from iotsim.results.compare.spread import Percentile  # noqa: TC001  # msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iotsim.results.compare.profile import DeviceProfile, Profile

MOST_TOLD = 20
LEAST_SCORE = 3.0


class DeviceChange(msgspec.Struct, omit_defaults=True):
    """How a figure of a device has changed: "latency" or "answer" (the median, in seconds), "received" or
    "sent" (how many messages; of the earlier run as many as there would be in the time of the later)."""

    device: str
    figure: str
    before: float
    after: float


Scored: TypeAlias = tuple[float, DeviceChange]
"""A change, and how large it is among others of its sort."""


class Changed(msgspec.Struct):
    """The first of ``total`` devices."""

    total: int = 0
    devices: list[DeviceChange] = []


class Named(msgspec.Struct):
    """The first of ``total`` devices, by name."""

    total: int = 0
    devices: list[str] = []


class DeviceChanges(msgspec.Struct):
    """``compared`` were in both runs. ``silent``: there still, but nothing is heard of them any more."""

    compared: int = 0
    gone: Named = msgspec.field(default_factory=Named)
    new: Named = msgspec.field(default_factory=Named)
    silent: Named = msgspec.field(default_factory=Named)
    slower: Changed = msgspec.field(default_factory=Changed)
    faster: Changed = msgspec.field(default_factory=Changed)
    quieter: Changed = msgspec.field(default_factory=Changed)
    louder: Changed = msgspec.field(default_factory=Changed)


def compare_devices(before: Profile, after: Profile) -> DeviceChanges:
    """What has become of the devices of two runs; nothing, where one of these does not tell of them."""
    if not are_known(before, after):
        return DeviceChanges()
    old, new = before.devices, after.devices
    both = sorted(old.keys() & new.keys(), key=place_of)
    gone = sorted((name for name in old if not _is_there(name, after)), key=place_of)
    fresh = sorted((name for name in new if not _is_there(name, before)), key=place_of)
    silent = [name for name in old if name not in new and _is_there(name, after)]
    scale = 1.0
    if before.duration_s > 0 and after.duration_s > 0:
        scale = after.duration_s / before.duration_s
    lag = max(before.lag_s, after.lag_s)
    times = [_times(name, old[name], new[name], lag) for name in both]
    counts = [_counts(name, old[name], new[name], scale) for name in both]
    return DeviceChanges(
        len(both),
        _named(gone),
        _named(fresh),
        _named(sorted(silent, key=place_of)),
        slower=_changed(times, rises=True),
        faster=_changed(times, rises=False),
        quieter=_changed(counts, rises=False),
        louder=_changed(counts, rises=True),
    )


def are_known(before: Profile, after: Profile) -> bool:
    """Whether both runs tell of their devices."""
    return all(run.counts_messages and run.devices_told for run in (before, after))


def place_of(name: str) -> tuple[str, int, str]:
    """Orders devices as people do: ``meter[2]`` before ``meter[10]``."""
    fleet, bracket, index = name.partition("[")
    number = index.removesuffix("]")
    small = bracket and number.isascii() and number.isdecimal() and len(number) < 10
    return fleet, int(number) if small else -1, name


def _is_there(name: str, run: Profile) -> bool:
    """Whether a device is one of `run`, or was heard in it."""
    fleet, number, _ = place_of(name)
    return name in run.devices or 0 <= number < run.fleets.get(fleet, 0)


def _times(name: str, old: DeviceProfile, new: DeviceProfile, lag_s: float) -> Scored | None:
    found = []
    for figure in ("latency", "answer"):
        one: Percentile | None = getattr(old, figure)
        other: Percentile | None = getattr(new, figure)
        if one is not None and other is not None and _is_apart(one, other, lag_s):
            change = DeviceChange(name, figure, one.value, other.value)
            found.append((abs(math.log(other.value / one.value)), change))
    return max(found, key=lambda scored: scored[0], default=None)


def _is_apart(one: Percentile, other: Percentile, lag_s: float) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    if min(one.value, other.value) <= 0 or abs(one.value - other.value) <= lag_s:
        return False
    return one.high < other.low or other.high < one.low


def _counts(name: str, old: DeviceProfile, new: DeviceProfile, scale: float) -> Scored | None:
    found = []
    for figure in ("received", "sent"):
        was, now = getattr(old, figure), getattr(new, figure)
        spread = math.sqrt(was * scale * scale + now)
        score = abs(now - was * scale) / spread if spread else 0.0
        if score >= LEAST_SCORE:
            found.append((score, DeviceChange(name, figure, round(was * scale, 1), now)))
    return max(found, key=lambda scored: scored[0], default=None)


def _named(names: list[str]) -> Named:
    return Named(len(names), names[:MOST_TOLD])


def _changed(scored: Iterable[Scored | None], *, rises: bool) -> Changed:
    """Those of `scored` that have risen, or fallen."""
    some = [one for one in scored if one and (one[1].after > one[1].before) == rises]
    some.sort(key=lambda one: (-one[0], place_of(one[1].device)))
    return Changed(len(some), [change for _, change in some[:MOST_TOLD]])
