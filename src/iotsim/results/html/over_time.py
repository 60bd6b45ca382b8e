"""The time axis of a report, and what is drawn over it: counts, and percentiles of durations."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.results.html.table import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_BINS = 300
PERCENTILES = (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))


class Axis(NamedTuple):
    """From 0 to `end`, in `bins` of `width` seconds; what is earlier or later counts in the outer ones."""

    end: float
    bins: int
    width: float

    def bin(self, t: float) -> int:
        """The bin in which `t` lies. It begins at its number times the width, as floats are multiplied."""
        number = int(t / self.width) if t > 0 else 0
        if number and number * self.width > t:
            number -= 1
        elif (number + 1) * self.width <= t:
            number += 1
        return min(number, self.bins - 1)

    def counts(self, times: Iterable[float]) -> list[int]:
        """How many of `times` lie in each bin."""
        counts = [0] * self.bins
        place = self.bin
        for t in times:
            counts[place(t)] += 1
        return counts


def make_axis(end: float) -> Axis:
    """The axis to `end`, with bins of 1, 2 or 5 times a power of ten that are as many as may be."""
    if not (math.isfinite(end) and end > 0):
        end = 0.0
    least = max(end, 1e-3) / MOST_BINS
    power = 10.0 ** math.floor(math.log10(least))
    for factor in (1, 2, 5, 10, 20):
        width = float(f"{factor * power:.6g}")
        bins = math.floor(end / width) + 1
        if bins <= MOST_BINS:
            break
    return Axis(end, bins, width)


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The smallest of `ordered` that at least `percent` of 100 do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """By name, those of `PERCENTILES`, to the microsecond."""
    ordered = sorted(values)
    return {name: seconds(percentile(ordered, percent)) for name, percent in PERCENTILES}


def percentiles_over(axis: Axis, times: Iterable[float], values: Iterable[float]) -> dict[str, Any]:
    """By name, of each bin of `axis` the percentiles of the `values` whose `times` lie in it."""
    bins: list[list[float]] = [[] for _ in range(axis.bins)]
    place = axis.bin
    for t, value in zip(times, values, strict=True):
        bins[place(t)].append(value)
    told = [percentiles(values) for values in bins]
    return {
        "count": list(map(len, bins)),
        **{name: [one[name] for one in told] for name, _ in PERCENTILES},
    }


def near(times: Sequence[float], t: float, before: int, after: int) -> range:
    """The places of the last `before` of `times`, which are in order, up to `t`, and of the next `after`."""
    here = bisect_right(times, t)
    return range(max(0, here - before), min(len(times), here + after))
