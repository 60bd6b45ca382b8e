"""What a gateway uses, from samples to verdicts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.expect.transcript import Transcript

from iotsim.expect.bounds import bounds_of
from iotsim.expect.figures import CpuShare, FigureLog, GatewaySample, Growth, Peak
from iotsim.expect.spec import Bound, ExpectSpec, GatewayExpectation


def sample(at: float, **fields: Any) -> GatewaySample:
    usual: dict[str, Any] = {
        "life": 1,
        "stretch": 0,
        "ready": True,
        "processes": 1,
        "threads": 1,
        "children": 0,
        "cpu_s": 0.0,
    }
    return GatewaySample(at=at, **(usual | fields))


def tenths(begin: float, end: float) -> list[float]:
    return [begin + step / 10 for step in range(round(10 * (end - begin)))]


# --- peaks ------------------------------------------------------------------------------------


def test_memory_counts_from_the_start_and_what_else_there_is_once_it_is_ready() -> None:
    launching = sample(0.0, ready=False, fds=90, threads=9, children=5, resident=7, proportional=7)
    for name, value in {"fds": 4, "threads": 1, "children": 0, "memory": 7}.items():
        peak = Peak(name)
        peak.take(launching)
        peak.take(sample(1.0, fds=4, resident=5, proportional=5))
        assert peak.value == value, name


def test_the_peak_that_the_kernel_has_kept_counts_between_the_looks() -> None:
    peak = Peak("memory")
    peak.take(sample(0.0, resident=5, proportional=5, peak=30))
    assert peak.value == 30


def test_what_several_share_counts_once() -> None:
    peak = Peak("memory")
    peak.take(sample(0.0, processes=2, resident=20, proportional=12, peak=10))
    assert peak.value == 12


# --- growth -----------------------------------------------------------------------------------


def grown(values: Any, *, warmup_s: float = 1.0, begin: float = 0.0, end: float = 10.0) -> Any:
    growth = Growth("fds", warmup_s)
    for at in tenths(begin, end):
        growth.take(sample(at, fds=values(at)), at)
    return growth.grown()


def test_what_rises_has_grown_from_the_warm_up_to_the_last_second() -> None:
    found = grown(lambda t: 4 + int(t))
    assert (found.growth, found.before, found.after) == (6, 6, 12)


def test_what_is_opened_in_the_warm_up_has_not_grown() -> None:
    assert grown(lambda t: 4 if t < 0.9 else 30).growth == 0
    assert grown(lambda t: 4 if t < 2.5 else 30).growth == 26
    assert grown(lambda t: 4 if t < 2.5 else 30, warmup_s=3.0).growth == 0


def test_the_warm_up_is_of_the_run_whose_time_may_be_faster() -> None:
    growth = Growth("fds", 60.0)
    for at in tenths(0.0, 10.0):
        growth.take(sample(at, fds=4 if at < 0.9 else 30), 60 * at)
    assert growth.grown().growth == 0  # type: ignore[union-attr]


def test_what_comes_and_goes_has_not_grown() -> None:
    assert grown(lambda t: 4 + int(10 * t) % 3).growth < 0  # open at the first look and at the last
    assert grown(lambda t: 4 + (int(10 * t) % 5 == 0)).growth <= 0
    assert grown(lambda t: 4 if t < 9.5 else 40).growth == 0  # just now: that may go again


def test_a_life_that_was_too_short_says_nothing() -> None:
    assert grown(lambda _t: 4, end=2.0) is None
    assert grown(lambda _t: 4, end=2.2) is None  # two looks after the first window
    assert grown(lambda _t: 4, end=3.5).growth == 0


def test_the_worst_life_counts_and_not_what_lies_between_two() -> None:
    growth = Growth("fds", 0.0)
    for life, first, last in ((1, 40, 40), (2, 4, 9), (3, 4, 4)):
        for at in tenths(10.0 * life, 10.0 * life + 5):
            growth.take(sample(at, life=life, fds=first if at < 10 * life + 2 else last), at)
    assert growth.grown().growth == 5  # type: ignore[union-attr]


def test_memory_has_grown_if_it_has_in_both_ways_of_counting() -> None:
    """A child that ends leaves its parent alone with what they had shared."""
    growth = Growth("memory", 0.0)
    for at in tenths(0.0, 6.0):
        several = at < 3
        shared = {"resident": 50, "proportional": 28}
        alone = {"resident": 30, "proportional": 30}
        growth.take(sample(at, **(shared if several else alone)), at)
    assert growth.grown().growth < 0  # type: ignore[union-attr]


# --- the processor ----------------------------------------------------------------------------


def test_the_share_of_a_core_is_from_ready_to_the_end() -> None:
    share = CpuShare()
    for at in tenths(0.0, 10.0):
        share.take(sample(at, ready=at >= 2, cpu_s=5.0 if at < 2 else 5.0 + 0.25 * (at - 2)))
    assert share.share() == pytest.approx(0.25)


def test_lives_and_stretches_count_without_what_lies_between_them() -> None:
    share = CpuShare()
    for life, stretch, begin in ((1, 0, 0.0), (1, 1, 50.0), (2, 0, 90.0)):
        for at in tenths(begin, begin + 5.05):
            share.take(
                sample(at, life=life, stretch=stretch, cpu_s=100 * begin + 0.5 * (at - begin))
            )
    assert share.share() == pytest.approx(0.5)


def test_of_a_moment_there_is_no_share() -> None:
    share = CpuShare()
    share.take(sample(0.0, cpu_s=1.0))
    share.take(sample(0.3, cpu_s=1.3))
    assert share.share() is None


# --- bounds -----------------------------------------------------------------------------------

EVERY = GatewayExpectation(
    fds=Bound(max=40, growth=0, warmup_s=1.0),
    memory=Bound(max=200_000_000, growth=5_000_000, warmup_s=1.0),
    threads=Bound(max=1),
    children=Bound(growth=1, warmup_s=1.0),
    cpu_max=0.6,
)


def test_bounds_say_what_is_asked() -> None:
    assert [bound.expectation() for bound in bounds_of(EVERY, 1.0)] == [
        "never has more than 40 file descriptors",
        "does not grow in file descriptors",
        "never has more than 200 MB of memory",
        "does not grow by more than 5 MB",
        "never has more than 1 thread",
        "does not grow by more than 1 child process",
        "uses at most 60% of a core",
    ]


def judged(samples: list[GatewaySample], **asked: Any) -> Any:
    spec = ExpectSpec("it", "gateway", gateway=GatewayExpectation(**asked))
    run = Transcript(spec)
    for one in samples:
        run.judge.gateway_measured(one, one.at)
    return run.end()


@pytest.mark.parametrize(
    ("asked", "fields", "actual"),
    [
        ({"fds": Bound(max=3)}, {"fds": 4}, "it had 4 file descriptors"),
        ({"threads": Bound(max=1)}, {"threads": 2}, "it had 2 threads"),
        ({"children": Bound(max=0)}, {"children": 1}, "it had 1 child process"),
        (
            {"memory": Bound(max=10**6)},
            {"resident": 2 * 10**6, "proportional": 2 * 10**6},
            "it had 2 MB of memory",
        ),
    ],
)
def test_too_much_fails_at_once(asked: Any, fields: Any, actual: str) -> None:
    outcome = judged([sample(1.5, **fields)], **asked)
    assert (outcome.passed, outcome.actual, outcome.t) == (False, actual, 1.5)
    assert not outcome.inconclusive


def test_what_has_grown_fails_at_the_end() -> None:
    samples = [sample(at, fds=4 + int(at)) for at in tenths(0.0, 8.0)]
    outcome = judged(samples, fds=Bound(growth=2, warmup_s=1.0))
    assert outcome.actual == "its file descriptors grew by 4, from 6 to 10"
    assert outcome.t is None
    assert judged(samples, fds=Bound(growth=4, warmup_s=1.0)).passed


def test_a_whole_core_is_more_than_a_share_of_it() -> None:
    samples = [sample(at, cpu_s=at, waited_s=0.0) for at in tenths(0.0, 8.0)]
    assert judged(samples, cpu_max=0.6).actual == "it used 100.0% of a core"
    outcome = judged(samples, cpu_max=1.2)
    assert (outcome.passed, outcome.actual) == (True, "so it was: 100.0% of a core")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"fds": Bound(max=3)}, "its file descriptors could not be measured"),
        ({"memory": Bound(max=3)}, "its memory could not be measured"),
        (
            {"threads": Bound(growth=3, warmup_s=1.0)},
            "whether its threads grew could not be measured: it was not ready for long enough to tell",
        ),
        (
            {"cpu_max": 0.5},
            "its use of the processor could not be measured: it was not ready for long enough to tell",
        ),
    ],
)
@pytest.mark.parametrize("samples", [[], [sample(0.0)]])
def test_without_a_sample_nothing_holds(samples: Any, asked: Any, why: str) -> None:
    outcome = judged(samples, **asked)
    assert (outcome.passed, outcome.inconclusive) == (False, why)


def test_who_has_to_wait_for_a_processor_may_want_more_than_it_gets() -> None:
    def starved(waits: float | None) -> Any:
        samples = [
            sample(at, cpu_s=0.3 * at, waited_s=None if waits is None else waits * at)
            for at in tenths(0.0, 8.0)
        ]
        return judged(samples, cpu_max=0.5)

    assert starved(0.1).passed
    told = starved(0.7)
    why = "it used 30.0% of a core, and would have used more: it had to wait for one for 70.0%"
    assert (told.passed, told.inconclusive) == (False, why)
    assert starved(None).inconclusive.startswith("it used 30.0% of a core, and whether it had to")


def test_after_a_step_only_what_is_used_then_counts() -> None:
    spec = ExpectSpec("it", "gateway", gateway=GatewayExpectation(fds=Bound(max=9)), after="step")
    run = Transcript(spec)
    run.judge.gateway_measured(sample(1.0, fds=50), 1.0)
    run.judge.happened("step", 2.0)
    run.judge.gateway_measured(sample(3.0, fds=5), 3.0)
    outcome = run.end()
    assert (outcome.passed, outcome.actual) == (True, "so it was: at most 5 file descriptors")


def test_a_bound_that_is_broken_counts_before_one_that_is_not_known() -> None:
    samples = [sample(0.0, threads=5)]
    outcome = judged(samples, threads=Bound(max=1), cpu_max=0.5)
    assert (outcome.actual, outcome.inconclusive) == ("it had 5 threads", "")


def test_the_log_of_a_run_has_every_figure() -> None:
    log = FigureLog()
    for at in tenths(0.0, 4.0):
        log.take(sample(at, fds=3, resident=9, proportional=9, threads=2, children=1, cpu_s=at / 4))
    told = log.result()
    assert (told.samples, told.fds, told.memory, told.threads, told.children) == (40, 3, 9, 2, 1)
    assert told.cpu == pytest.approx(0.25)
