"""What is drawn ahead is what would have been drawn in its time: of each device, number by number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.impair import Delay, Impairment, ImpairSpec, ahead
from iotsim.impair.ahead import LEAST, MOST, Losses
from iotsim.impair.distribution import SHAPES, Shape
from iotsim.impair.impairment import LOST
from iotsim.rng import key, normal, normals, unit, units53

KEYS = st.integers(0, 2**64 - 1)
COUNTERS = st.integers(0, 2**41) | st.sampled_from([2**64 - 3, 2**64 + 5])
TURNS = [index for turn in range(40) for index in (0, 1, 0, turn % 4, 0)] * 2
"""The devices in the order in which their datagrams come: some talk more than others."""


@given(KEYS, st.integers(0, 10**6), COUNTERS, st.sampled_from([1, 2, LEAST, MOST]))
def test_many_numbers_at_once_are_those_one_by_one(
    stream: int, index: int, counter: int, size: int
) -> None:
    counters = range(counter, counter + size)
    units = [numerator * 2.0**-53 for numerator in units53(stream, index, counter, size)]
    assert units == [unit(stream, index, one) for one in counters]
    assert normals(stream, index, counter, size) == [normal(stream, index, one) for one in counters]


@pytest.mark.parametrize("devices_kept", [ahead.MOST_DEVICES, 1])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("deviation_s", [0.0, 0.004, 0.02])
def test_delays_are_the_same(
    deviation_s: float, shape: Shape, devices_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "MOST_DEVICES", devices_kept)
    delay = Delay(0.005, deviation_s, shape)
    each = delay.draws(key(7, "impair", "e", "meter", "to_device", "delay"))
    for share in 0.0, 0.02:
        lot = Impairment(ImpairSpec(share, delay), 7, "e", "meter", 4, "to_device").lot
        assert lot is not None
        lost = key(7, "impair", "e", "meter", "to_device", "loss")
        counts = [0] * 4
        for index in TURNS:
            expected = each(index, counts[index]) or None
            if unit(lost, index, counts[index]) < share:
                assert lot(index) == LOST
            else:
                assert lot(index) == expected
            counts[index] += 1


@given(KEYS, st.sampled_from([0.0, 1e-5, 0.01, 0.03, 0.06, 0.4, 1.0]))
def test_the_same_are_lost(stream: int, share: float) -> None:
    losses, counts = Losses(stream, share, 4), [0] * 4
    for index in TURNS:
        number = counts[index]
        lost = number >= losses.safe[index] and losses.lost(index, number)
        assert lost == (unit(stream, index, number) < share)
        counts[index] += 1
