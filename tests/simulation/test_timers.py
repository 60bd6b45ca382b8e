from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from iotsim.simulation.timers import LEAST_SWEEP, RESOLUTION_S, SLOT_S, Timers

if TYPE_CHECKING:
    from collections.abc import Callable


class Held:
    """What is held in numbers, and is no timer."""

    def __init__(self, t: float, fire: Callable[[], object]) -> None:
        self.t = t
        self.fire = fire


DUES = st.floats(0, 20) | st.integers(0, 20).map(float) | st.integers(0, 9).map(lambda n: n / 8000)


@given(st.lists(st.tuples(DUES, st.booleans(), st.lists(DUES, max_size=2))))
def test_all_fires_by_time_calls_before_what_is_held_and_then_by_age(
    dues: list[tuple[float, bool, list[float]]],
) -> None:
    """One after the other; some of it is set while another fires, and may be due already."""
    timers = Timers()
    waiting: list[tuple[float, bool, int]] = []
    fired: list[tuple[float, bool, int]] = []
    ages = count()

    def add(due: float, held: bool, more: list[float]) -> None:
        one = due, held, next(ages)
        waiting.append(one)

        def fire() -> None:
            fired.append(one)
            for after in more:
                add(due + after / 16, held, [])

        if held:
            timers.hold(Held(due, fire))
        else:
            timers.call_at(due, fire)

    for one in dues:
        add(*one)
    now = 0.0
    while waiting:
        earliest = min(waiting)
        next_due = timers.next_due()
        assert earliest[0] - SLOT_S < next_due <= earliest[0]
        now = max(now, next_due)
        if timers.fire(now, 1) == 0:  # a slot has begun, and it is known now when its first is due
            assert next_due < timers.next_due() == earliest[0]
            continue
        assert fired[-1] == earliest
        waiting.remove(earliest)
        assert len(timers) == len(waiting)
    assert timers.next_due() == math.inf
    assert timers.lateness <= RESOLUTION_S


def test_what_is_not_due_stays() -> None:
    timers = Timers()
    timers.call_at(2.0, print)
    assert timers.fire(1.9, 10) == 0
    assert timers.next_due() == 2.0


def test_the_limit_bounds_one_turn() -> None:
    timers = Timers()
    for _ in range(5):
        timers.call_at(1.0, len, ())
    assert [timers.fire(3.0, 2) for _ in range(3)] == [2, 2, 1]
    assert timers.lateness == 2.0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans())))
def test_a_cancelled_timer_never_fires_and_is_not_late(calls: list[tuple[int, bool]]) -> None:
    timers = Timers()
    fired: list[int] = []
    handles = [timers.call_at(due, fired.append, n) for n, (due, _) in enumerate(calls)]
    for handle, (_, cancelled) in zip(handles, calls, strict=True):
        if cancelled:
            handle.cancel()
            handle.cancel()
    kept = [n for n, (_, cancelled) in enumerate(calls) if not cancelled]
    assert len(timers) == len(kept)
    timers.fire(9.0, 1000)
    assert sorted(fired) == kept
    assert timers.lateness == max((9.0 - calls[n][0] for n in kept), default=0.0)
    assert len(timers) == 0


def test_cancelling_what_has_fired_changes_nothing() -> None:
    timers = Timers()
    handle = timers.call_at(1.0, len, ())
    timers.fire(1.0, 1)
    handle.cancel()
    assert len(timers) == 0


def test_cancelled_timers_do_not_gather() -> None:
    timers = Timers()
    kept = timers.call_at(1e9, len, ())
    for n in range(20 * LEAST_SWEEP):
        timers.call_at(1e6 + n, len, ()).cancel()
        assert len(timers) == 1
    assert len(timers._heap) <= 2 * LEAST_SWEEP + 2
    assert kept.pending


def test_a_timer_may_cancel_others_while_it_fires() -> None:
    timers = Timers()
    fired: list[str] = []
    later = [timers.call_at(2.0, fired.append, "never") for _ in range(3 * LEAST_SWEEP)]
    timers.call_at(1.0, lambda: [timer.cancel() for timer in later])
    timers.call_at(3.0, fired.append, "last")
    timers.fire(5.0, 10 * LEAST_SWEEP)
    assert fired == ["last"]


def test_who_sleeps_is_told_of_an_earlier_timer_only() -> None:
    timers = Timers()
    told: list[float] = []
    timers.on_earliest = told.append
    for due in (5.0, 7.0, 3.0, 4.0):
        timers.call_at(due, len, ())
    assert told == [5.0, 3.0]
