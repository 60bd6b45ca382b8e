"""Each impairment against its setting, by the test that its distribution calls for.

All draws are seeded, so nothing here is ever red by chance: the bounds are those that a right generator
misses once in some thousand seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import NormalDist, fmean, pstdev
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.impair import Bursts, Copy, Delay, Impairment, ImpairSpec, Passage
from iotsim.impair.distribution import PARETO_DEVIATION, PARETO_MEAN, PARETO_SHAPE
from iotsim.impair.fate import DELAYED
from iotsim.impair.impairment import DUPLICATE, LOST, OVERTAKES, QUEUE_FULL, TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.impair import Fate

MANY = 20_000
SIGMAS = 3.5
KOLMOGOROV = 1.95
"""Of the statistic times the root of the number of samples, for one in a thousand."""


@dataclass
class Meter:
    """As much of a device as an impairment looks at."""

    index: int
    name: str = "meter"


def made(spec: ImpairSpec, seed: int = 1, identity: str = "radio", count: int = 10) -> Impairment:
    return Impairment(spec, seed, identity, "meter", count, "to_device")


def passed(impairment: Impairment, index: int = 0, t: float = 0.0, size: int = 60) -> Fate:
    device: Any = Meter(index)
    return impairment.effect(Passage(device, None, bytes(size - 28), size, t))


def fates(spec: ImpairSpec, number: int = MANY, **options: Any) -> list[Fate]:
    impairment = made(spec, **options)
    return [passed(impairment) for _ in range(number)]


def first(fate: Fate) -> Copy:
    """The original; of what goes on as it is, one that nothing befell."""
    assert not isinstance(fate, str)
    if isinstance(fate, float):
        return Copy(fate, fate=DELAYED)
    return Copy() if fate is None else fate[0]


def within_binomial(hits: int, number: int, share: float) -> bool:
    return abs(hits - number * share) <= SIGMAS * math.sqrt(number * share * (1 - share))


def kolmogorov(samples: Sequence[float], cdf: Callable[[float], float]) -> float:
    """The statistic of Kolmogorov and Smirnov, scaled."""
    ordered, number = sorted(samples), len(samples)
    furthest = max(
        max(cdf(value) - n / number, (n + 1) / number - cdf(value))
        for n, value in enumerate(ordered)
    )
    return furthest * math.sqrt(number)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.9])
def test_loss_is_binomial(share: float) -> None:
    lost = [fate == LOST for fate in fates(ImpairSpec(loss=share))]
    assert within_binomial(sum(lost), MANY, share)
    # Neighbours know nothing of each other: a loss is as likely after a loss.
    after = [later for earlier, later in pairwise(lost) if earlier]
    assert within_binomial(sum(after), len(after), share)


def test_nothing_and_all() -> None:
    assert set(fates(ImpairSpec(loss=1.0), 100)) == {LOST}
    assert set(fates(ImpairSpec(mtu=60), 100)) == {None}
    assert ImpairSpec(loss=1.0).loses_all
    assert ImpairSpec(loss=Bursts(0.1, 0.1, good=1.0)).loses_all
    assert not ImpairSpec(loss=Bursts(0.1, 0.1)).loses_all


def test_bursts_are_geometric() -> None:
    """With everything lost in the bad state, a burst is as long as that state, 1 / leave on average."""
    bursts = Bursts(enter=0.02, leave=0.25)
    lost = [fate == LOST for fate in fates(ImpairSpec(loss=bursts), 10 * MANY)]
    lengths = [len(list(run)) for bad, run in groupby(lost) if bad]
    deviation = math.sqrt(1 - bursts.leave) / bursts.leave
    assert abs(fmean(lengths) - 4) <= SIGMAS * deviation / math.sqrt(len(lengths))
    assert abs(fmean(lost) - bursts.mean) < 0.005
    alone = sum(length == 1 for length in lengths)
    assert within_binomial(alone, len(lengths), bursts.leave)


def test_bursts_lose_a_share_in_each_state() -> None:
    bursts = Bursts(enter=0.1, leave=0.1, bad=0.5, good=0.1)
    lost = sum(fate == LOST for fate in fates(ImpairSpec(loss=bursts), 10 * MANY))
    assert bursts.mean == pytest.approx(0.3)
    assert abs(lost / (10 * MANY) - 0.3) < 0.01


def delays(delay: Delay) -> list[float]:
    return [first(fate).delay_s for fate in fates(ImpairSpec(delay=delay))]


def test_a_range_is_uniform() -> None:
    samples = delays(Delay(0.050, 0.030))
    assert min(samples) >= 0.020
    assert max(samples) < 0.080
    assert kolmogorov(samples, lambda x: (x - 0.020) / 0.060) < KOLMOGOROV


def test_normal_delays() -> None:
    samples = delays(Delay(0.100, 0.010, "normal"))
    assert kolmogorov(samples, NormalDist(0.100, 0.010).cdf) < KOLMOGOROV


def test_pareto_delays() -> None:
    def cdf(x: float) -> float:
        pareto = (x - 0.100) / 0.010 * PARETO_DEVIATION + PARETO_MEAN
        return 1 - pareto**-PARETO_SHAPE if pareto > 1 else 0.0

    samples = delays(Delay(0.100, 0.010, "pareto"))
    assert kolmogorov(samples, cdf) < KOLMOGOROV
    assert fmean(samples) == pytest.approx(0.100, rel=0.01)
    assert max(samples) > 0.150


def test_no_delay_is_less_than_nothing() -> None:
    samples = delays(Delay(0.001, 0.010, "normal"))
    assert min(samples) == 0
    assert pstdev(samples) > 0


def test_a_fixed_delay_is_exact() -> None:
    assert set(delays(Delay(0.25))) == {0.25}


def test_duplicates() -> None:
    found = fates(ImpairSpec(duplicate=0.2))
    doubled = [fate for fate in found if fate is not None]
    assert within_binomial(len(doubled), MANY, 0.2)
    assert all(isinstance(fate, tuple) and len(fate) == 2 for fate in doubled)
    assert {fate[1].fate for fate in doubled if isinstance(fate, tuple)} == {DUPLICATE}


def test_a_duplicate_has_its_own_delay() -> None:
    found = fates(ImpairSpec(duplicate=1.0, delay=Delay(0.050, 0.030)), 1000)
    pairs = [(fate[0].delay_s, fate[1].delay_s) for fate in found if isinstance(fate, tuple)]
    assert len(pairs) == 1000
    assert all(one != other for one, other in pairs)


def test_what_is_reordered_overtakes() -> None:
    found = fates(ImpairSpec(reorder=0.05, delay=Delay(0.1)))
    overtaking = [first(fate) for fate in found if first(fate).fate == OVERTAKES]
    assert within_binomial(len(overtaking), MANY, 0.05)
    assert {copy.delay_s for copy in overtaking} == {0}


def test_a_wrong_bit_is_anywhere() -> None:
    found = [fate for fate in fates(ImpairSpec(corrupt=0.5)) if fate is not None]
    assert within_binomial(len(found), MANY, 0.5)
    bits = [first(fate).flip % 320 for fate in found]
    assert min(first(fate).flip for fate in found) >= 0
    assert kolmogorov(bits, lambda x: (x + 1) / 320) < KOLMOGOROV


def test_the_line_carries_its_rate() -> None:
    """At 9600 bit/s, 60 bytes take 50 ms: those that come at once leave one after the other."""
    impairment = made(ImpairSpec(rate=9600, queue=3))
    waits = [passed(impairment, t=1.0) for _ in range(6)]
    assert [first(fate).delay_s for fate in waits[:4]] == pytest.approx([0.05, 0.10, 0.15, 0.20])
    assert waits[4:] == [QUEUE_FULL, QUEUE_FULL]
    assert first(passed(impairment, t=1.06)).delay_s == pytest.approx(0.19)
    assert first(passed(impairment, t=9.0)).delay_s == pytest.approx(0.05)


def test_each_device_has_a_line_of_its_own() -> None:
    impairment = made(ImpairSpec(rate=9600, queue=0))
    assert first(passed(impairment, index=1)).delay_s == pytest.approx(0.05)
    assert first(passed(impairment, index=2)).delay_s == pytest.approx(0.05)
    assert passed(impairment, index=1) == QUEUE_FULL


def test_the_black_hole_begins_above_its_size() -> None:
    impairment = made(ImpairSpec(mtu=576))
    assert passed(impairment, size=576) is None
    assert passed(impairment, size=577) == TOO_LONG


def test_a_device_has_the_same_fates_whatever_others_do() -> None:
    spec = ImpairSpec(loss=0.3, delay=Delay(0.05, 0.03), duplicate=0.1, corrupt=0.1)
    alone = made(spec)
    expected = [passed(alone, index=3) for _ in range(500)]
    crowded, found = made(spec, count=1000), []
    for number in range(500):
        for other in range(number % 7):
            passed(crowded, index=500 + other)
        found.append(passed(crowded, index=3))
    assert found == expected


def test_streams_are_apart() -> None:
    """Of two entries, two directions, two seeds: none loses what the other does."""
    spec = ImpairSpec(loss=0.5)
    base = fates(spec, 1000)
    for other in (
        fates(spec, 1000, seed=2),
        fates(spec, 1000, identity="tunnel"),
        [
            passed(one)
            for one in [Impairment(spec, 1, "radio", "meter", 10, "from_device")]
            for _ in range(1000)
        ],
        [passed(one, index=1) for one in [made(spec)] for _ in range(1000)],
    ):
        alike = sum(one == two for one, two in zip(base, other, strict=True))
        assert within_binomial(alike, 1000, 0.5)
