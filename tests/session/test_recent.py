"""`Recent`: what is remembered, for how long, and how much of it."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from iotsim.session import Recent


def test_an_entry_lasts_from_when_it_first_came() -> None:
    recent: Recent[str, int] = Recent(10.0, most=4)
    recent.put("a", 1, now=0.0)
    recent.put("a", 2, now=5.0)
    assert recent.get("a", 9.9) == 2
    assert recent.get("a", 10.0) is None
    recent.put("a", 3, now=12.0)
    assert recent.get("a", 21.9) == 3


def test_what_is_forgotten_is_counted_if_it_had_time_left() -> None:
    recent: Recent[int, str] = Recent(10.0, most=2)
    for number in range(4):
        recent.put(number, "x", now=0.0)
    assert [recent.get(number, 1.0) for number in range(4)] == [None, None, "x", "x"]
    assert recent.dropped == 2
    recent.put(4, "x", now=20.0)
    assert (len(recent), recent.dropped) == (1, 2)


def test_an_eighth_goes_at_a_time_and_all_that_is_over() -> None:
    recent: Recent[int, str] = Recent(10.0, most=16)
    for number in range(17):
        recent.setdefault(number, "x", now=float(number < 16))
    assert [number for number in range(17) if recent.get(number, 1.0) is None] == [0, 1]
    assert (len(recent), recent.dropped) == (15, 2)
    recent.setdefault(17, "x", now=1.0)
    recent.setdefault(18, "x", now=11.0)
    assert (len(recent), recent.dropped) == (1, 2)


def test_who_comes_seldom_is_not_remembered_until_there_is_no_room() -> None:
    recent: Recent[int, str] = Recent(10.0, most=1000)
    for number in range(100):
        recent.setdefault(number, "x", now=3.0 * number)
        assert len(recent) <= 5  # four of the last ten seconds, and one that ended just before
    for number in range(100):
        recent.put(-1 - number, "x", now=300.0 + 3.0 * number)
        assert len(recent) <= 9
    assert recent.dropped == 0


def test_a_default_is_remembered_where_nothing_is() -> None:
    recent: Recent[str, int] = Recent(10.0, most=2)
    assert recent.setdefault("a", 1, now=0.0) == 1
    assert recent.setdefault("a", 2, now=9.9) == 1
    assert recent.setdefault("a", 3, now=10.0) == 3
    recent.setdefault("b", 4, now=10.0)
    recent.setdefault("c", 5, now=10.0)
    assert recent.get("a", 10.0) is None
    assert recent.dropped == 1


def test_what_is_taken_out_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(10.0, most=2)
    recent.put("a", 1, now=0.0)
    assert (recent.pop("a"), recent.pop("a")) == (1, None)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 5)), max_size=60))
def test_it_never_holds_more_than_it_may_nor_shows_what_is_over(
    puts: list[tuple[int, float]],
) -> None:
    recent: Recent[int, float] = Recent(7.0, most=5)
    now, since = 0.0, {}
    for key, pause in puts:
        now += pause
        if recent.get(key, now) is None:
            since[key] = now
        recent.put(key, now, now)
        assert len(recent) <= 5
        for one in range(21):
            if recent.get(one, now) is not None:
                assert now < since[one] + 7.0


def test_what_is_renewed_lasts_anew_and_is_the_youngest() -> None:
    recent: Recent[str, int] = Recent(10.0, most=2)
    recent.put("a", 1, now=0.0)
    recent.put("b", 2, now=1.0)
    recent.renew("a", 3, now=9.0)
    assert (recent.get("a", 15.0), recent.get("b", 15.0)) == (3, None)
    recent.put("c", 4, now=9.5)
    assert (recent.get("a", 9.5), recent.get("b", 9.5), recent.dropped) == (3, None, 1)


def test_many_come_and_go_quickly() -> None:
    """Each for as long as one takes among few: the oldest is found at once."""
    recent: Recent[int, int] = Recent(1e9, most=50_000)
    began = time.process_time()
    for number in range(300_000):
        recent.put(number, number, now=0.0)
    assert time.process_time() - began < 5.0
    assert (len(recent), recent.dropped) == (50_000, 250_000)
