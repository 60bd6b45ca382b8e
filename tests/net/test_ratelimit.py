from __future__ import annotations

from iotsim.net.ratelimit import TokenBucket


def test_a_burst_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(5.0) for _ in range(5)] == [True, True, True, False, False]
    assert not bucket.take(5.05)
    assert bucket.take(5.15)
    assert not bucket.take(5.15)


def test_no_more_than_the_burst_is_saved_up() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert bucket.take(0.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=1000, burst=1)
    assert bucket.take(10.0)
    assert not bucket.take(9.0)
    assert not bucket.take(10.0)
