"""Thresholds: how they are written, and when they are exceeded."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.results.compare.figures import Figure
from iotsim.results.compare.thresholds import UNITS, check, parse_threshold


@pytest.mark.parametrize(
    ("text", "limit", "relative", "rise", "fall"),
    [
        ("latency.p95=20%", 0.2, True, True, False),
        ("latency.p95=+20%", 0.2, True, True, False),
        ("rate=-10%", 0.1, True, False, True),
        ("rate=±5%", 0.05, True, True, True),
        ("rate.sent=+-5.5%", 0.055, True, True, True),
        (" answer.p50 = 5ms ", 0.005, False, True, False),
        ("answer.p50=+/-1.5s", 1.5, False, True, True),
        ("gateway.memory=5MB", 5e6, False, True, False),
        ("gateway.fds=2", 2, False, True, False),
        ("counter.outcome.dropped.*=0", 0, False, True, False),
        ("northbound.cloud=-0%", 0, True, False, True),
        ("rate=-3/s", 3, False, False, True),
        ("answer.*=10%", 0.1, True, True, False),
        ("*.p95=10ms", 0.01, False, True, False),
        ("protocol.new=0", 0, False, True, False),
    ],
)
def test_the_grammar(text: str, limit: float, relative: bool, rise: bool, fall: bool) -> None:
    told = parse_threshold(text)
    assert told.limit == pytest.approx(limit)
    assert (told.relative, told.rise, told.fall) == (relative, rise, fall)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("latency.p95", "is no threshold; write FIGURE=LIMIT"),
        ("", "is no threshold"),
        ("=20%", "there is no figure ''"),
        ("latency.p95=", "has no limit"),
        ("latency.p95=fast", "has no limit"),
        ("latency.p95=20", "it is a time: write 5ms"),
        ("latency.p95=20furlongs", "unknown unit 'furlongs'"),
        ("latency.p95=--20%", "has no limit"),
        ("latency.p95=1e3%", "has no limit"),
        ("latency.p95=nan%", "has no limit"),
        ("latency.p59=20%", "did you mean latency.p"),
        ("latncy.p95=20%", "did you mean latency.p95?"),
        ("xyzzy=1", "there are duration, lag"),
        ("counter.=1", "there is no figure 'counter.'"),
        ("gateway.memory=5", "it is a size: write 5MB"),
        ("gateway.memory=5ms", "unknown unit 'ms'"),
        ("gateway.cpu=0.1", "it is a share of a core"),
        ("gateway.fds=2MB", "it has no unit 'MB'"),
        ("protocol.new=10%", "write how many may be, as protocol.new=0"),
        ("*=5", "different units"),
        ("*.*.*.*=5%", "more than 3 '*'"),
        ("counter." + "x" * 300 + "=1", "is no threshold"),
    ],
)
def test_what_is_none_says_what_would_be_right(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        parse_threshold(text)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 600


@given(st.text(max_size=60))
def test_any_text_is_a_threshold_or_refused(text: str) -> None:
    for whole in (text, f"rate={text}", f"{text}=5%"):
        with suppress(ValueError):
            parse_threshold(whole)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 300), st.sampled_from("+-±"))
def test_it_is_exceeded_beyond_the_limit_and_not_at_it(
    before: int, after: int, percent: int, sign: str
) -> None:
    threshold = parse_threshold(f"northbound={sign}{percent}%")
    limit = Fraction(percent, 100) * before
    beyond = (sign in "+±" and after - before > limit) or (sign in "-±" and before - after > limit)
    # Closer than this to the limit either is right.
    if abs(abs(after - before) - limit) > Fraction(limit, 10**6) or after == before:
        assert threshold.is_exceeded(Figure("northbound", "count", before, after)) == beyond
    at = Figure("northbound", "count", before, float(before + limit))
    assert not (sign == "+" and threshold.is_exceeded(at))


def states(text: str, *figures: Figure, heard: bool = True) -> list[str]:
    return [one.state for one in check([parse_threshold(text)], figures, heard=heard)]


def test_what_becomes_of_it() -> None:
    assert states("rate=10%", Figure("rate", "1/s", 10, 10.9)) == ["held"]
    assert states("rate=10%", Figure("rate", "1/s", 10, 11.1)) == ["worse"]
    assert states("rate=10%", Figure("rate", "1/s", 10, 11.1, doubt="few")) == ["unsure"]
    assert states("rate=10%", Figure("rate", "1/s", 10, 10.9, doubt="few")) == ["held"]
    assert states("rate=10%", Figure("rate", "1/s", None, 10.9)) == ["unsure"]
    assert states("rate=10%") == ["absent"]


def test_answers_that_do_not_come_any_more_are_worse_if_that_is_known() -> None:
    gone = Figure("latency.p50", "s", 0.1, None, (10, 0))
    assert states("latency.p50=10%", gone) == ["worse"]
    assert states("latency.p50=10%", gone, heard=False) == ["unsure"]


def test_a_counter_that_nobody_has_is_0_in_both_runs() -> None:
    assert states("counter.outcome.dropped.*=0") == ["held"]


def test_a_star_stands_for_several_figures() -> None:
    figures = [Figure(f"counter.a.{n}", "count", 1, n) for n in (1, 2)]
    assert states("counter.a.*=0", *figures) == ["held", "worse"]


def test_names_are_no_patterns_but_for_the_star() -> None:
    one = Figure("counter.a[1]?", "count", 1, 2)
    assert states("counter.a[1]?=0", one) == ["worse"]
    assert states("counter.a?1??=0", one) == ["held"]  # another counter, which is 0


def test_every_figure_has_a_unit_that_a_limit_can_have() -> None:
    for name in UNITS:
        share = f"{name}=0" if name.startswith(("devices.", "protocol.")) else f"{name}=5%"
        assert parse_threshold(share).figure == name
