from __future__ import annotations

import statistics

from iotsim.rng import draw, normal, unit


def test_draws_are_uniform_in_each_argument() -> None:
    for values in (
        [unit(5, index) for index in range(4000)],
        [unit(5, 0, counter) for counter in range(4000)],
        [unit(key, 0) for key in range(4000)],
    ):
        assert all(0.0 <= value < 1.0 for value in values)
        assert abs(statistics.mean(values) - 0.5) < 0.02
        assert abs(statistics.stdev(values) - 12**-0.5) < 0.01
        assert abs(statistics.correlation(values[1:], values[:-1])) < 0.05


def test_normal_deviates_have_mean_0_and_deviation_1() -> None:
    values = [normal(9, index, counter) for index in range(40) for counter in range(200)]
    assert abs(statistics.mean(values)) < 0.04
    assert abs(statistics.stdev(values) - 1.0) < 0.03
    assert 3.0 < max(values) < 3.7


def test_draws_do_not_collide() -> None:
    draws = {draw(1, index, counter) for index in range(200) for counter in range(-3, 100)}
    assert len(draws) == 200 * 103


def test_any_whole_numbers_will_do() -> None:
    assert 0.0 <= unit(2**64 - 1, 2**24, -(2**70)) < 1.0
