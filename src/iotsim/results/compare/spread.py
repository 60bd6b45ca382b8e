"""Times in bounded memory: their percentiles, and how sure these are.

Times are counted in classes, each 0.2 % wider than the one before, so that a percentile is within 0.1 % of
the exact one, however many times there were.

How sure it is follows from the order of the times alone, whatever their distribution: with n independent
times, the number of those below the true percentile p is binomial, so the times at two ranks around n p
enclose it with the confidence that is asked for (David and Nagaraja, Order Statistics, section 7.1).
Nothing is drawn, so that the same times always give the same interval. Where n is so small that the
interval would have to reach beyond the times, there is none: there are too few.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
CONFIDENCE = 0.99
"""That an interval encloses the true percentile. Of two runs that do not differ, both intervals are apart
in fewer than one of a thousand."""
DEVICE_CONFIDENCE = 0.999
"""The same, where there are many devices of which one may be apart by chance."""
LEAST_S = 1e-6
"""What is shorter counts as this long."""
MOST_S = 1e9
STEP = math.log(1.002)
EXACT = 1000
"""Up to this many times, ranks come from the binomial distribution itself; beyond, from the normal one."""


class Percentile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A percentile in seconds; ``low`` and ``high`` enclose the true one, None where there are too few times
    to tell."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def sure(self) -> bool:
        return self.low is not None and self.high is not None


class Spread:
    """Times of one sort, added one by one."""

    __slots__ = ("_classes", "count")

    def __init__(self, times: Iterable[float] = ()) -> None:
        self.count = 0
        self._classes: dict[int, int] = {}
        for time in times:
            self.add(time)

    def add(self, seconds: float) -> None:
        place = math.floor(math.log(min(max(seconds, LEAST_S), MOST_S)) / STEP)
        self._classes[place] = self._classes.get(place, 0) + 1
        self.count += 1

    def percentile(self, share: float, confidence: float = CONFIDENCE) -> Percentile | None:
        """That of the nearest rank, as in an expectation about `latency`; None if there is no time."""
        return self.percentiles({"": share}, confidence).get("")

    def percentiles(
        self, shares: Mapping[str, float] = PERCENTILES, confidence: float = CONFIDENCE
    ) -> dict[str, Percentile]:
        """Those of `shares`, by name; none without times."""
        if not self.count:
            return {}
        # One ascent finds all ranks.
        order = sorted(self._classes)
        sums = list(accumulate(self._classes[place] for place in order))

        def at(rank: int) -> int:
            return order[bisect_left(sums, rank)]

        found = {}
        for name, share in shares.items():
            value = math.exp((at(nearest_rank(self.count, share)) + 0.5) * STEP)
            low, high = ranks(self.count, share, confidence)
            if low < 1 or high > self.count:
                found[name] = Percentile(value)
            else:
                ends = math.exp(at(low) * STEP), math.exp((at(high) + 1) * STEP)
                found[name] = Percentile(value, *ends)
        return found


def nearest_rank(count: int, share: float) -> int:
    """The place of a percentile among so many times, from 1."""
    # Not 0.95 * 20, which is 19.000000000000004 in some orders of evaluation.
    return max(math.ceil(round(share * count, 6)), 1)


@lru_cache(1024)
def ranks(count: int, share: float, confidence: float) -> tuple[int, int]:
    """The ranks, from 1, of the times that enclose the true percentile; below 1 or above `count` where
    no time does."""
    tail = (1 - confidence) / 2
    if count > EXACT:
        reach = NormalDist().inv_cdf(1 - tail) * math.sqrt(count * share * (1 - share))
        return math.floor(count * share - reach), math.ceil(count * share + reach) + 1
    low, high, below = 0, count + 1, 0.0
    for number in range(count + 1):
        below += _binomial(count, number, share)
        # At most `tail` that no more than `number` times are below the percentile.
        if below <= tail:
            low = number + 1
        if high > count and below >= 1 - tail:
            high = number + 1
    return low, high


def _binomial(count: int, number: int, share: float) -> float:
    """The probability that `number` of `count` are below what a share is below."""
    ways = math.lgamma(count + 1) - math.lgamma(number + 1) - math.lgamma(count - number + 1)
    return math.exp(ways + number * math.log(share) + (count - number) * math.log1p(-share))


@lru_cache(64)
def least_count(share: float, confidence: float) -> int:
    """How many times it takes at least to enclose a percentile."""
    extreme = max(share, 1 - share)
    count = max(math.floor(math.log((1 - confidence) / 2) / math.log(extreme)) - 1, 1)
    while True:
        low, high = ranks(count, share, confidence)
        if low >= 1 and high <= count:
            return count
        count += 1
