"""Percentiles in bounded memory, held against those of the sorted times themselves."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.results.compare.spread import (
    CONFIDENCE,
    DEVICE_CONFIDENCE,
    LEAST_S,
    PERCENTILES,
    Spread,
    least_count,
    ranks,
)

TIMES = st.lists(st.floats(LEAST_S, 1e5), min_size=1, max_size=200)
SHARES = [*PERCENTILES.values()]


def exact(times: list[float], share: float) -> float:
    return sorted(times)[max(math.ceil(round(share * len(times), 6)), 1) - 1]


@given(TIMES)
def test_a_percentile_is_within_a_thousandth_of_the_exact_one(times: list[float]) -> None:
    for name, told in Spread(times).percentiles().items():
        assert told.value == pytest.approx(exact(times, PERCENTILES[name]), rel=0.0011)


@given(TIMES)
def test_an_interval_has_the_percentile_inside(times: list[float]) -> None:
    for told in Spread(times).percentiles().values():
        if told.low is not None and told.high is not None:
            assert told.low <= told.value <= told.high


@given(st.integers(1, 1000), st.sampled_from(SHARES))
def test_ranks_are_those_of_the_binomial_distribution(count: int, share: float) -> None:
    low, high = ranks(count, share, CONFIDENCE)
    tail = (1 - CONFIDENCE) / 2

    def at_most(number: int) -> float:
        """That so many of the times at most are below the percentile."""
        chances = (
            math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(number + 1)
        )
        return sum(chances)

    # The time at rank `low` is above the percentile if at most low - 1 times are below it.
    assert low == 0 or at_most(low - 1) <= tail * (1 + 1e-9)
    assert at_most(low) >= tail * (1 - 1e-9)
    # The time at rank `high` is below it if at least `high` are.
    assert high == count + 1 or 1 - at_most(high - 1) <= tail * (1 + 1e-6)


@pytest.mark.parametrize("share", SHARES)
def test_both_ways_to_the_ranks_agree_where_they_meet(share: float) -> None:
    exactly, nearly = ranks(1000, share, CONFIDENCE), ranks(1001, share, CONFIDENCE)
    assert all(abs(one - other) <= 4 for one, other in zip(exactly, nearly, strict=True))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("confidence", [CONFIDENCE, DEVICE_CONFIDENCE])
def test_too_few_times_have_no_interval_and_enough_have_one(
    share: float, confidence: float
) -> None:
    needed = least_count(share, confidence)
    few, enough = (Spread([1.0] * count) for count in (needed - 1, needed))
    assert not few.percentiles({"": share}, confidence)[""].sure
    assert enough.percentiles({"": share}, confidence)[""].sure


@pytest.mark.parametrize(("share", "count"), [(0.5, 40), (0.9, 200), (0.95, 2000)])
def test_intervals_miss_the_truth_as_seldom_as_they_say(share: float, count: int) -> None:
    draw = random.Random(7)
    truth = -math.log(1 - share)
    misses = 0
    for _ in range(600):
        told = Spread(draw.expovariate(1.0) for _ in range(count)).percentiles({"": share})[""]
        assert told.low is not None
        assert told.high is not None
        misses += not told.low <= truth <= told.high
    assert misses <= 15  # 6 are to be expected


def test_it_does_not_grow_with_the_number_of_times() -> None:
    spread = Spread((number % 1000 + 1) * 1e-4 for number in range(100_000))
    assert spread.count == 100_000
    assert len(spread._classes) <= 1000


def test_what_is_no_time_is_the_shortest() -> None:
    assert Spread([0.0, -1.0, 1e-9]).percentiles()["p50"].value == pytest.approx(LEAST_S, rel=0.02)


def test_a_time_without_end_does_no_harm() -> None:
    assert Spread([math.inf, 1e308]).count == 2


def test_nothing_has_no_percentiles() -> None:
    assert Spread().percentiles() == {}
