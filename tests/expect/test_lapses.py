"""Which verdicts the simulator's own lateness and losses put in doubt, and which they leave alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.expect.test_chains import Deliveries, backs_off, no_reading_lost, quick
from tests.expect.transcript import READ, Transcript, expectation

from iotsim.expect import lapses as lapses_module
from iotsim.expect.lapses import Ground, Lapses, merge_lapses
from iotsim.expect.spec import DeviceSelection, ExpectSpec, GatewayExpectation
from iotsim.match import compile_match

ONE = (DeviceSelection("meter", range(1)),)


def judged(
    spec: ExpectSpec,
    arrivals: list[tuple[int, float]],
    *,
    late: tuple[float, float] | None = None,
    lost: tuple[float, float] | None = None,
    end: float = 10.0,
) -> str:
    """What an expectation comes to when READs arrive as (device, time): a word."""
    transcript = Transcript(spec)
    if late:
        transcript.judge.lapses.late(*late)
    if lost:
        transcript.judge.lapses.lost(*lost, 3)
    for index, t in sorted(arrivals, key=lambda arrival: arrival[1]):
        transcript.hear(index, t)  # what has come is read before time decides, as by the pump
        transcript.judge.advance(t)
    return word_of(transcript.end(end))


def word_of(outcome: Any) -> str:
    assert not (outcome.passed and outcome.inconclusive)
    if outcome.inconclusive:
        return "inconclusive"
    return "passed" if outcome.passed else "failed"


# --- a window -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "word"),
    [
        (None, "failed"),
        ((0.5, 0.8), "inconclusive"),  # inside of the window from 0 to 1
        ((0.9, 1.2), "inconclusive"),  # over its end
        ((0.5, 0.55), "failed"),  # too little to matter
        ((3.0, 3.3), "failed"),  # long after
    ],
)
def test_nothing_came_in_the_window(late: tuple[float, float] | None, word: str) -> None:
    assert judged(expectation("within", within_s=1.0, devices=ONE), [], late=late) == word


def test_a_window_smaller_than_the_lag_in_it_fails_nobody() -> None:
    spec = expectation("within", within_s=0.03, devices=ONE)
    assert judged(spec, [], late=(0.01, 0.05)) == "inconclusive"
    assert judged(spec, [], late=(0.01, 0.035)) == "failed"


def test_what_came_too_late_by_less_than_the_lag_may_have_been_in_time() -> None:
    spec = expectation("within", within_s=1.0)
    others = [(0, 0.5), (1, 0.5)]
    assert judged(spec, [*others, (2, 1.03)], late=(0.98, 1.03)) == "inconclusive"
    assert judged(spec, [*others, (2, 1.09)], late=(0.98, 1.03)) == "failed"


def test_one_device_that_certainly_failed_is_enough() -> None:
    """The first one's right message came late while the simulator did; the others' never came."""
    spec = expectation("within", within_s=1.0)
    assert judged(spec, [(0, 1.04)], late=(0.99, 1.04)) == "failed"


def test_what_held_holds_however_late_the_simulator_was() -> None:
    for spec in (
        expectation("within", within_s=1.0, devices=ONE),
        expectation("count", count_min=1, devices=ONE),
        expectation("never", match={"kind": "COMMAND"}),
    ):
        assert judged(spec, [(0, 0.5)], late=(0.1, 5.0)) == "passed"


@pytest.mark.parametrize("late", [(0.2, 0.6), (4.0, 4.5)])
def test_any_is_certain_only_if_each_is(late: tuple[float, float]) -> None:
    spec = expectation("within", within_s=1.0, quantifier="any")
    word = "inconclusive" if late[0] < 1 else "failed"
    assert judged(spec, [], late=late) == word
    assert judged(spec, [(1, 0.9)], late=late) == "passed"


def test_none_that_holds_by_lateness_alone_is_in_doubt() -> None:
    spec = expectation("within", within_s=1.0, quantifier="none", devices=ONE)
    assert judged(spec, [(0, 1.1)], late=(0.9, 1.1)) == "inconclusive"
    assert judged(spec, [], late=(0.3, 0.6)) == "passed"
    assert judged(spec, [(0, 0.7)], late=(0.3, 0.6)) == "failed"  # it came, and it was in time


def test_long_windows_bear_more() -> None:
    assert [Lapses().bound_s(window) for window in (0.02, 5, 10, 30, 3600)] == [
        0.1,
        0.1,
        0.1,
        0.3,
        1.0,
    ]


# --- what has come is proof -----------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        expectation("never"),
        expectation("always", always=compile_match({"kind": "READ", "version": 2})),
        expectation("count", count_max=0),
        expectation("count", count_max=0, per_s=1.0),
    ],
    ids=["never", "always", "no more than none", "none per second"],
)
def test_what_must_not_come_and_did_is_no_matter_of_time(spec: ExpectSpec) -> None:
    transcript = Transcript(spec)
    transcript.judge.lapses.late(0.0, 3.0)
    transcript.judge.lapses.lost(0.0, 3.0, 10)
    transcript.hear(0, 2.0, {**READ, "version": 1})
    assert word_of(transcript.end()) == "failed"


@pytest.mark.parametrize(
    ("late", "word"),
    [((4.5, 4.9), "inconclusive"), ((7.0, 7.4), "failed"), ((1.0, 1.4), "failed")],
)
def test_too_many_may_have_come_again_for_want_of_an_answer(
    late: tuple[float, float], word: str
) -> None:
    spec = expectation("count", count_max=1)
    assert judged(spec, [(0, 4.0), (0, 5.0)], late=late) == word


@pytest.mark.parametrize(
    ("second", "late", "word"),
    [
        (4.5, None, "failed"),
        (4.5, (3.6, 4.0), "inconclusive"),  # the first was read late
        (4.5, (4.2, 4.4), "inconclusive"),  # the second came for want of an answer
        (4.5, (2.0, 2.4), "failed"),
        (4.5, (6.0, 6.4), "failed"),
        (4.97, (3.95, 4.0), "inconclusive"),  # by less than the first was late
        (4.9, (3.95, 4.0), "failed"),
    ],
)
def test_a_burst_may_be_our_own(second: float, late: tuple[float, float] | None, word: str) -> None:
    spec = expectation("count", count_max=1, per_s=1.0)
    assert judged(spec, [(0, 4.0), (0, second)], late=late) == word


@pytest.mark.parametrize(
    ("late", "word"),
    [((4.2, 4.5), "inconclusive"), ((4.98, 5.02), "inconclusive"), ((1.0, 1.3), "failed")],
)
def test_a_window_in_which_too_few_came(late: tuple[float, float], word: str) -> None:
    spec = expectation("count", count_min=1, per_s=1.0, devices=ONE)
    arrivals = [(0, second + 0.5) for second in range(10) if second != 4]
    assert judged(spec, arrivals, late=late) == word


# --- losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (expectation("never", match={"kind": "COMMAND"}), "inconclusive"),
        (expectation("count", count_max=3), "inconclusive"),
        (expectation("count", count_min=1, devices=ONE), "passed"),
        (expectation("count", count_min=5, devices=ONE), "inconclusive"),
        (expectation("within", within_s=5.0, devices=ONE), "passed"),
        (expectation("within", within_s=1.0), "failed"),  # over before anything was lost
        (expectation("within", within_s=3.0), "inconclusive"),
        (
            expectation("within", within_s=3.0, quantifier="none", match={"kind": "X"}),
            "inconclusive",
        ),
    ],
)
def test_what_was_lost_may_be_what_was_missed(spec: ExpectSpec, word: str) -> None:
    assert judged(spec, [(0, 0.5)], lost=(2.0, 3.0)) == word


def test_the_reason_says_what_and_when() -> None:
    transcript = Transcript(expectation("within", within_s=1.0))
    transcript.judge.lapses.late(0.25, 0.5)
    outcome = transcript.end()
    assert outcome.inconclusive == "the simulator itself was up to 250 ms late at t=0.250 s"
    transcript = Transcript(expectation("never", match={"kind": "COMMAND"}))
    transcript.judge.lapses.lost(1.0, 2.0, 2)
    assert transcript.end().inconclusive == (
        "2 packets were lost in the simulator, or on their way to it, "
        "between t=1.000 s and t=2.000 s"
    )


# --- chains ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "late", "word"),
    [
        ((1.0, 3.0, 5.5), None, "failed"),
        ((1.0, 3.0, 5.5), (5.1, 5.5), "inconclusive"),
        ((1.0, 3.0, 5.5), (3.6, 4.0), "inconclusive"),  # it may have made the gateway ask again
        ((1.0, 3.0, 5.5), (1.5, 2.0), "failed"),  # of a gap that was right
        ((1.0, 3.0, 5.5), (7.0, 8.0), "failed"),
        ((1.0, 2.75), (0.94, 1.0), "inconclusive"),  # 50 ms too early, and the first was 60 ms late
        ((1.0, 2.75), (0.96, 1.0), "failed"),
        ((1.0,), (2.0, 2.4), "inconclusive"),
        ((1.0,), (5.0, 5.4), "failed"),
    ],
)
def test_a_gap_may_be_as_wrong_as_the_simulator_was_late(
    times: tuple[float, ...], late: tuple[float, float] | None, word: str
) -> None:
    transcript = Transcript(backs_off())
    if late:
        transcript.judge.lapses.late(*late)
    for t in times:
        transcript.hear(0, t)
    transcript.judge.advance(6.0)
    assert word_of(transcript.end()) == word


@pytest.mark.parametrize(
    ("late", "word"),
    [((3.05, 3.35), "inconclusive"), ((5.0, 5.3), "failed"), ((3.1, 3.13), "failed")],
)
def test_a_pair_may_have_taken_as_long_as_the_simulator(
    late: tuple[float, float], word: str
) -> None:
    transcript = Transcript(quick({"max": 0.1}, devices=ONE))
    transcript.judge.lapses.late(*late)
    transcript.hear(0, 3.0)
    transcript.hear(0, 3.35, {"kind": "ACK"})
    assert word_of(transcript.end()) == word


def test_percentiles_are_in_doubt_by_what_they_exceed() -> None:
    for late, word in (((4.0, 4.03), "inconclusive"), ((4.0, 4.008), "failed")):
        transcript = Transcript(quick({"p50": 0.05}, devices=ONE))
        transcript.judge.lapses.late(*late)
        for number in range(5):
            transcript.hear(0, number)
            transcript.hear(0, number + 0.07, {"kind": "ACK"})
        assert word_of(transcript.end()) == word


@pytest.mark.parametrize(
    ("late", "word"),
    [
        (None, "failed"),
        ((0.3, 0.6), "inconclusive"),  # while the reading was to come up
        ((2.0, 2.3), "failed"),
        ((1.01, 1.06), "inconclusive"),  # it came 50 ms too late, as the simulator may have read it
    ],
)
def test_a_reading_that_came_too_late_or_not_at_all(
    late: tuple[float, float] | None, word: str
) -> None:
    run = Deliveries(no_reading_lost())
    if late:
        run.judge.lapses.late(*late)
    run.send(0, 20.5, 0.0)
    if late and late[0] > 1 and late[1] < 2:
        run.up(0, 20.5, 1.05)
    assert word_of(run.end(9.0)) == word


def test_one_reading_that_was_certainly_lost_is_enough() -> None:
    run = Deliveries(no_reading_lost())
    run.judge.lapses.late(0.3, 0.6)
    run.send(0, 20.5, 0.0)
    run.send(1, 20.5, 4.0)
    assert word_of(run.end(9.0)) == "failed"


# --- the gateway's own output ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "late", "word"),
    [
        ({"stdout_contains": "up"}, (0.5, 0.9), "inconclusive"),
        ({"stdout_contains": "up"}, (5.0, 5.9), "failed"),
        ({"running": True}, (0.5, 0.9), "failed"),
    ],
)
def test_a_line_that_did_not_come_in_time(
    asked: dict[str, Any], late: tuple[float, float], word: str
) -> None:
    within = 1.0 if "stdout_contains" in asked else None
    spec = ExpectSpec("gw", "gateway", gateway=GatewayExpectation(**asked), within_s=within)
    transcript = Transcript(spec)
    transcript.judge.lapses.late(*late)
    transcript.judge.advance(2.0)
    transcript.judge.gateway_exited(1, "", 3.0)
    assert word_of(transcript.end()) == word


# --- the record -----------------------------------------------------------------------------

spans = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 2)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    max_size=200,
).map(lambda found: sorted(found, key=lambda span: span[1]))


@given(spans, st.floats(0, 100), st.floats(0, 5))
def test_no_lateness_is_forgotten(
    found: list[tuple[float, float]], begin: float, length: float
) -> None:
    """However many there are and how few are kept, the record never tells of less than there was."""
    kept, lapses_module.MOST_SPANS = lapses_module.MOST_SPANS, 8
    try:
        record = Lapses()
        for due, now in found:
            record.late(due, now)
    finally:
        lapses_module.MOST_SPANS = kept
    end = begin + length
    during = [now - due for due, now in found if due <= end and now >= begin]
    worst = max((late for late in during if late >= lapses_module.LEAST_LATENESS_S), default=0.0)
    assert record.worst(begin, end)[0] >= worst
    assert all(len(spans.spans) <= 9 for spans in record._late.values())


@given(spans, spans, st.floats(0, 100), st.floats(0, 5))
def test_shards_share_their_lapses(
    ones: list[tuple[float, float]],
    others: list[tuple[float, float]],
    begin: float,
    length: float,
) -> None:
    one, other = Lapses(0.01), Lapses(0.02)
    for record, found in ((one, ones), (other, others)):
        for due, now in found:
            record.late(due, now)
            record.lost(due, now, 1)
    merged = merge_lapses([one.export(), other.export()])
    end = begin + length
    worst = max(one.worst(begin, end)[0], other.worst(begin, end)[0])
    assert merged.worst(begin, end)[0] >= worst
    assert merged.unseen_s == 0.02
    ground = Ground(begin, end, None)
    assert bool(merged.doubt(ground)) >= bool(one.doubt(ground) or other.doubt(ground))


def test_much_slight_lateness_does_not_hide_when_the_great_one_was() -> None:
    record = Lapses()
    for step in range(100_000):
        record.late(step * 0.01, step * 0.01 + 0.004)
        if step == 50_000:
            record.late(500.0, 500.3)
    assert record.worst(499.0, 500.0)[0] == pytest.approx(0.3)
    assert record.worst(400.0, 499.0)[0] == pytest.approx(0.004)
    assert record.worst(501.0, 600.0)[0] == pytest.approx(0.004)


def test_less_than_may_go_unseen_blames_nobody() -> None:
    transcript = Transcript(expectation("within", within_s=1.0, devices=ONE))
    transcript.judge.lapses.unseen_s = 0.02
    transcript.hear(0, 1.015)
    assert word_of(transcript.end()) == "inconclusive"
