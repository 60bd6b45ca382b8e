from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from iotsim.simulation.timers import Timers


@given(st.lists(st.integers(0, 20)))
def test_timers_fire_by_time_and_then_by_age(dues: list[int]) -> None:
    timers = Timers()
    fired: list[tuple[float, int]] = []
    for age, due in enumerate(dues):
        timers.call_at(float(due), lambda at, age: fired.append((at, age)), age)
    for now in range(21):
        timers.fire(float(now), 1000)
    assert fired == sorted((float(due), age) for age, due in enumerate(dues))
    assert timers.next_due() is None
    assert timers.lateness == 0


def test_what_is_not_due_stays() -> None:
    timers = Timers()
    timers.call_at(2.0, lambda _due: None)
    assert timers.fire(1.9, 10) == 0
    assert timers.next_due() == 2.0


def test_the_limit_bounds_one_turn() -> None:
    timers = Timers()
    for _ in range(5):
        timers.call_at(1.0, lambda _due: None)
    assert [timers.fire(3.0, 2) for _ in range(3)] == [2, 2, 1]
    assert timers.lateness == 2.0
