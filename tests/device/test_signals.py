from __future__ import annotations

import contextlib
import math
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.device.signals import compile_signal, read_points
from iotsim.device.spec import SIGNAL_PARAMETERS, SignalSpec

if TYPE_CHECKING:
    from iotsim.device.signals import Signal

REQUIRED: dict[str, dict[str, Any]] = {
    "constant": {"value": 3.0},
    "sine": {"period": 60.0},
    "ramp": {"stop": 10.0, "period": 60.0},
    "square": {"period": 60.0},
    "random_walk": {},
    "noise": {},
    "steps": {"values": (1.0, 2.0, 4.0), "every": 10.0},
    "csv": {"file": "x.csv"},
}
POINTS = ((0.0, 1.0), (10.0, 3.0), (20.0, 2.0))


def made(kind: str, *, seed: int = 1, name: str = "x", **given: Any) -> Signal:
    parameters = {name: p.default for name, p in SIGNAL_PARAMETERS[kind].items()}
    parameters |= REQUIRED[kind] | given
    points = POINTS if kind == "csv" else ()
    return compile_signal(SignalSpec(kind, parameters, points), seed, "meter", "signal", name)


def test_every_kind_has_a_table_of_parameters() -> None:
    assert REQUIRED.keys() == SIGNAL_PARAMETERS.keys()
    for kind, parameters in SIGNAL_PARAMETERS.items():
        required = {name for name, parameter in parameters.items() if parameter.required}
        assert required == REQUIRED[kind].keys()


@pytest.mark.parametrize("kind", REQUIRED)
@settings(max_examples=40, deadline=None)
@given(
    index=st.integers(0, 2**24),
    t=st.floats(0, 1e9),
    noise=st.sampled_from([0.0, 0.5]),
    spread=st.sampled_from([0.0, 2.0]),
    phase=st.sampled_from([0.0, 7.0, "random"]),
)
def test_a_signal_is_a_pure_function(
    kind: str, index: int, t: float, noise: float, spread: float, phase: float | str
) -> None:
    options = {"noise": noise, "spread": spread, "phase": phase}
    known = {name: value for name, value in options.items() if name in SIGNAL_PARAMETERS[kind]}
    first, second = made(kind, **known), made(kind, **known)
    second(index + 1, t)
    second(index, t / 2)
    assert math.isfinite(first(index, t))
    assert first(index, t) == second(index, t)


def test_a_constant_is_constant() -> None:
    assert made("constant")(5, 1e6) == 3.0


def test_a_sine_starts_at_its_mean_and_returns() -> None:
    sine = made("sine", mean=20.0, amplitude=5.0)
    assert sine(0, 0.0) == 20.0
    assert sine(0, 15.0) == pytest.approx(25.0)
    assert sine(3, 45.0) == pytest.approx(15.0)
    assert sine(0, 60.0) == pytest.approx(20.0)


def test_a_phase_is_how_far_into_its_course_a_signal_starts() -> None:
    assert made("sine", phase=15.0)(0, 0.0) == pytest.approx(1.0)
    assert made("steps", phase=10.0)(0, 0.0) == 2.0


def test_a_random_phase_is_each_devices_own() -> None:
    ramp = made("ramp", stop=60.0, repeat=True, phase="random")
    starts = [ramp(index, 0.0) for index in range(200)]
    assert len(set(starts)) == 200
    assert 25 < statistics.mean(starts) < 35
    for index, start in enumerate(starts):
        assert ramp(index, 1.0) == pytest.approx((start + 1.0) % 60.0)


def test_a_ramp_stays_at_its_end_or_begins_again() -> None:
    once, again = made("ramp"), made("ramp", repeat=True)
    assert [once(0, t) for t in (0, 30, 60, 90)] == [0, 5, 10, 10]
    assert [again(0, t) for t in (0, 30, 60, 90)] == [0, 5, 0, 5]


def test_a_square_is_high_first_for_its_duty() -> None:
    square = made("square", low=1.0, high=9.0, duty=0.25)
    assert [square(0, t) for t in (0, 14.9, 15.0, 59.9, 60.0)] == [9, 9, 1, 1, 9]


def test_steps_repeat_or_hold() -> None:
    repeating, holding = made("steps"), made("steps", repeat=False)
    assert [repeating(0, t) for t in (0, 9.9, 10, 20, 30)] == [1, 1, 2, 4, 1]
    assert [holding(0, t) for t in (0, 10, 20, 30, 1e9)] == [1, 2, 4, 4, 4]


def test_csv_holds_or_interpolates_and_repeats() -> None:
    assert [made("csv")(0, t) for t in (0, 9, 10, 20, 99)] == [1, 1, 3, 2, 2]
    lines = made("csv", interpolate=True)
    assert [lines(0, t) for t in (0, 5, 10, 15, 99)] == [1, 2, 3, 2.5, 2]
    again = made("csv", interpolate=True, repeat=True)
    assert [again(0, t) for t in (5, 20, 25, 45)] == [2, 1, 2, 2]


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    signal = made("constant", value=20.0, noise=0.5)
    values = [signal(index, t * 0.37) for index in range(40) for t in range(100)]
    assert statistics.mean(values) == pytest.approx(20.0, abs=0.05)
    assert statistics.stdev(values) == pytest.approx(0.5, rel=0.05)
    assert abs(statistics.correlation(values[:-1], values[1:])) < 0.06


def test_noise_differs_between_devices_and_signals() -> None:
    one, other = made("noise"), made("noise", name="y")
    rows = [[one(0, t) for t in range(500)], [one(1, t) for t in range(500)]]
    rows.append([other(0, t) for t in range(500)])
    assert abs(statistics.correlation(rows[0], rows[1])) < 0.15
    assert abs(statistics.correlation(rows[0], rows[2])) < 0.15


def test_noise_that_holds() -> None:
    held = made("noise", every=10.0)
    assert held(0, 10.0) == held(0, 19.9) != held(0, 20.0)


def test_a_spread_is_fixed_for_each_device() -> None:
    signal = made("constant", value=20.0, spread=2.0)
    values = [signal(index, 0.0) for index in range(300)]
    assert values == [signal(index, 99.0) for index in range(300)]
    assert all(18.0 <= value <= 22.0 for value in values)
    assert max(values) - min(values) > 3.5


def test_a_random_walk_takes_steps_of_its_deviation() -> None:
    walk = made("random_walk", start=5.0, step=0.5, every=2.0)
    assert walk(0, 0.0) == walk(0, 1.9) == 5.0
    path = [walk(0, 2.0 * n) for n in range(4000)]
    steps = [after - before for before, after in pairwise(path)]
    assert statistics.mean(steps) == pytest.approx(0.0, abs=0.03)
    assert statistics.stdev(steps) == pytest.approx(0.5, rel=0.05)
    assert abs(statistics.correlation(steps[:-1], steps[1:])) < 0.06


def test_random_walks_spread_as_the_root_of_time() -> None:
    walk = made("random_walk")
    for n in (1, 7, 64, 100, 1000):
        ends = [walk(index, float(n)) for index in range(1000)]
        assert statistics.stdev(ends) == pytest.approx(math.sqrt(n), rel=0.1)


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 2**20), t=st.floats(0, 1e8))
def test_a_random_walk_stays_within_its_bounds(index: int, t: float) -> None:
    free = made("random_walk", start=50.0)(index, t)
    assert 40.0 <= made("random_walk", start=50.0, min=40.0, max=60.0)(index, t) <= 60.0
    above = made("random_walk", start=50.0, min=40.0)(index, t)
    below = made("random_walk", start=50.0, max=60.0)(index, t)
    assert above == pytest.approx(free if free >= 40.0 else 80.0 - free)
    assert below == pytest.approx(free if free <= 60.0 else 120.0 - free)


@pytest.mark.parametrize(
    ("kind", "given_", "text"),
    [
        ("random_walk", {"min": 5.0, "max": 5.0}, "min 5 is not below max 5"),
        ("sine", {"period": 1e-9}, "period is below a microsecond"),
    ],
)
def test_contradictions_are_refused(kind: str, given_: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        made(kind, **given_)


def test_points_are_read_from_csv() -> None:
    assert read_points("t,value,unit\n0,1.5,C\n 60,2,C\n", "t", "value") == ((0, 1.5), (60, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 't': there are none"),
        ("time,value\n0,1\n", "no column 't': there are time, value"),
        ("t,value\n", "no rows"),
        ("t,value\n0,1\n1,x\n", "line 3: t and value must be numbers, not '1' and 'x'"),
        ("t,value\n0\n", "line 2: t and value must be numbers, not '0' and nothing"),
        ("t,value\n0,inf\n", "line 2: .* is not finite"),
        ("t,value\n5,1\n5,2\n", "line 3: the time 5 does not come after 5"),
    ],
)
def test_bad_points_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_points(text, "t", "value")


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_is_points_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        read_points("t,value\n" + text, "t", "value")
