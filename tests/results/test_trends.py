"""What a history tells of scenarios, held against what is counted plainly."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.results.trends import TREND, HistoryRun, spark_line, tell, verdict_line

RUNS = st.lists(
    st.builds(
        HistoryRun,
        scenario=st.just("A"),
        path=st.sampled_from(["a.toml", "b.toml"]),
        parameters=st.sampled_from([{}, {"qos": "1"}]),
        verdict=st.sampled_from(["passed", "failed", "error", "inconclusive", "skipped", "odd"]),
        inputs=st.sampled_from(["", "x", "y"]),
        seed=st.sampled_from(["1", "2"]),
        expectations=st.dictionaries(st.sampled_from("ab"), st.just("failed"), max_size=2),
    ),
    max_size=40,
)


@given(RUNS)
def test_flips_are_changes_of_the_verdict_with_the_same_inputs(runs: list[HistoryRun]) -> None:
    told = tell(runs)
    assert sum(one.runs for one in told) == len(runs)
    for one in told:
        mine = [r for r in runs if (r.path, r.parameters) == (one.path, one.parameters)]
        assert one.runs == len(mine)
        assert sum(one.verdicts.values()) == len(mine)
        pairs = flips = same_seed = 0
        for inputs in ("x", "y"):
            alike = [
                r for r in mine if r.inputs == inputs and r.verdict in ("passed", "failed", "error")
            ]
            for before, after in pairwise(alike):
                pairs += 1
                flips += before.verdict != after.verdict
                same_seed += before.verdict != after.verdict and before.seed == after.seed
        assert (one.pairs, one.flips, one.flips_with_one_seed) == (pairs, flips, same_seed)
        assert one.flake_rate == (pytest.approx(flips / pairs) if pairs else None)
        green = [r for r in mine if r.verdict == "passed"]
        assert one.last_green is (green[-1] if green else None)
        assert one.trend == mine[-TREND:]
        for expectation in one.expectations:
            assert expectation.failed == sum(expectation.name in r.expectations for r in mine)


def test_runs_of_unknown_inputs_are_no_flake() -> None:
    runs = [HistoryRun(scenario="A", verdict=verdict) for verdict in ("passed", "failed")]
    (told,) = tell(runs)
    assert (told.flips, told.pairs, told.flake_rate) == (0, 0, None)


def test_the_most_flaky_expectation_comes_first() -> None:
    failing = [{"slow": "failed"}, {"slow": "failed"}, {"slow": "failed", "loose": "failed"}, {}]
    runs = [
        HistoryRun(scenario="A", verdict="failed" if f else "passed", inputs="x", expectations=f)
        for f in failing
    ]
    (told,) = tell(runs)
    assert [(one.name, one.failed, one.flips) for one in told.expectations] == [
        ("loose", 1, 2),
        ("slow", 3, 1),
    ]


def test_lines() -> None:
    verdicts = ["passed", "failed", "error", "inconclusive", "skipped", "empty", "odd"]
    runs = [HistoryRun(scenario="A", verdict=verdict) for verdict in verdicts]
    assert verdict_line(runs) == ".FE?s-!"
    assert spark_line([1.0, None, 2.0, 3.0], "abc") == "a bc"
    assert spark_line([2.0, 2.0], "abc") == "aa"
    assert spark_line([None]) == ""


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=30))
def test_a_spark_line_has_a_bar_for_each_value(values: list[float | None]) -> None:
    line = spark_line(values)
    known = [place for place, value in enumerate(values) if value is not None]
    assert len(line) == (known[-1] + 1 if known else 0)
