"""What is worse, what cannot be told, and what is only told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.results.compare.made import profile, received, sent

from iotsim.results.compare.comparison import Comparison, compare_runs
from iotsim.results.compare.devices import MOST_TOLD, compare_devices, place_of
from iotsim.results.compare.thresholds import parse_threshold

if TYPE_CHECKING:
    from iotsim.results.compare.profile import Profile

STATES = ["passed", "failed", "warning", "inconclusive", "error"]
VERDICTS = ["passed", "failed", "error", "skipped", "inconclusive", "empty", "running", "", "odd"]


def compared(before: Profile, after: Profile, *thresholds: str) -> Comparison:
    return compare_runs(before, after, [parse_threshold(text) for text in thresholds])


def answers(took: float, count: int, device: str = "meter[0]") -> list[dict[str, Any]]:
    """So many requests, a second apart, each answered after that time."""
    events = []
    for number in range(1, 2 * count + 1, 2):
        # Not all the same, as no real ones are.
        late = took * (1 + (number % 7) / 100)
        events.append(received(float(number), device, number, kind="READ"))
        events.append(sent(number + late, device, number + 1, number, kind="REPORT"))
    return events


@given(st.dictionaries(st.sampled_from("abcde"), st.sampled_from(STATES)))
def test_a_run_is_no_worse_than_itself(states: dict[str, str]) -> None:
    one = profile(answers(0.1, 20), expectations=[*states.items()])
    told = compared(one, one, "rate=0%", "answer.p50=0%", "protocol.new=0", "counter.*=0")
    assert (told.state, told.expectations, told.counters) == ("ok", [], [])
    assert told.new.total == told.gone.total == 0
    assert told.expectations_alike == len(states)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(STATES)),
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(STATES)),
)
def test_expectations_are_matched_by_their_names(old: dict[str, str], new: dict[str, str]) -> None:
    before, after = (profile(expectations=[*states.items()]) for states in (old, new))
    told = compared(before, after)
    names = old.keys() | new.keys()
    changed = {name for name in names if old.get(name) != new.get(name)}
    assert {one.name for one in told.expectations} == changed
    assert told.expectations_alike == len(names) - len(changed)
    worse = {
        name
        for name in changed
        if (old.get(name) == "passed" and new.get(name) in ("failed", "error", None))
        or (name not in old and new[name] in ("failed", "error"))
    }
    assert len(told.worse) == len(worse)
    doubtful = {n for n in changed if (old.get(n), new.get(n)) == ("passed", "inconclusive")}
    assert len(told.unsure) == len(doubtful)
    assert told.state == ("worse" if worse else "unsure" if doubtful else "ok")


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        ("passed", "passed", "ok"),
        ("passed", "failed", "worse"),
        ("passed", "error", "worse"),
        ("passed", "empty", "worse"),
        ("passed", "inconclusive", "unsure"),
        ("passed", "skipped", "unsure"),
        ("passed", "running", "unsure"),
        ("failed", "passed", "ok"),
        ("failed", "failed", "ok"),
        ("failed", "error", "worse"),
        ("error", "failed", "ok"),
        ("failed", "inconclusive", "ok"),
        ("inconclusive", "passed", "ok"),
        ("inconclusive", "failed", "worse"),
        ("skipped", "error", "worse"),
        ("running", "passed", "ok"),
    ],
)
def test_verdicts(before: str, after: str, state: str) -> None:
    assert compared(profile(verdict=before), profile(verdict=after)).state == state


@given(st.sampled_from(VERDICTS), st.sampled_from(VERDICTS))
def test_no_verdict_breaks_it_and_none_that_has_not_passed_is_taken_for_as_good(
    before: str, after: str
) -> None:
    told = compared(profile(verdict=before), profile(verdict=after))
    if before == "passed" != after:
        assert told.state != "ok"


def test_what_a_run_that_did_not_end_has_not_decided_is_not_worse() -> None:
    told = compared(profile(), profile(verdict="running", expectations=[], counters={}))
    assert (told.state, told.worse) == ("unsure", [])
    assert "it holds: passed -> not there" in told.unsure
    assert any("has not ended" in note for note in told.notes)


def test_a_counter_of_a_run_that_did_not_end_is_not_known() -> None:
    before = profile(counters={"lost": 5})
    told = compared(before, profile(verdict="running", counters={}), "counter.lost=-0")
    assert [one.state for one in told.thresholds] == ["unsure"]


def test_what_is_surely_slower_is_worse() -> None:
    before, after = profile(answers(0.1, 60)), profile(answers(0.2, 60))
    assert compared(before, after, "answer.p50=20%").state == "worse"
    assert compared(before, after, "answer.p50=120%").state == "ok"
    assert compared(after, before, "answer.p50=20%").state == "ok"
    assert compared(after, before, "answer.p50=-20%").state == "worse"


def test_too_few_times_do_not_tell_and_say_how_many_it_takes() -> None:
    before, after = profile(answers(0.1, 5)), profile(answers(0.2, 5))
    told = compared(before, after, "answer.p95=20%")
    assert (told.state, told.worse) == ("unsure", [])
    assert "too few times to tell: 5 and 5, and it takes 104" in told.unsure[0]


def test_what_may_be_the_simulators_own_lag_is_not_told_as_the_gateways() -> None:
    before = profile(answers(0.1, 60))
    for lag in ({"lag": {"timers": 0.15}}, {}):
        other = profile(answers(0.2, 60), **lag)
        told = compared(before, other, "answer.p50=20%")
        assert told.state == ("unsure" if lag else "worse")
        # The same the other way round: the lag of either counts.
        assert compared(other, before, "answer.p50=-20%").state == told.state


def test_answers_that_do_not_come_any_more() -> None:
    before = profile(answers(0.1, 60))
    silent = profile([received(1.0, kind="READ")])
    unknown = profile([], counters={"link.received": 60})
    assert compared(before, silent, "answer.p50=20%").state == "worse"
    assert compared(before, unknown, "answer.p50=20%").state == "unsure"
    # What one cannot see is neither gone nor silent.
    told = compared(before, unknown, "devices.silent=0", "protocol.gone=0", "rate=-5%")
    assert [one.state for one in told.thresholds] == ["unsure"] * 3
    assert (told.devices.silent.total, told.gone.total) == (0, 0)


def test_what_was_dropped_from_a_file_with_a_bound_is_not_missing() -> None:
    before = profile(answers(0.1, 60))
    note = "events.jsonl is held to 1 MB: 3 MB were dropped, the oldest first"
    after = profile(answers(0.1, 10), notes=[note])
    told = compared(before, after, "rate=-5%", "devices.quieter=0", "protocol.gone=0")
    assert [one.state for one in told.thresholds] == ["unsure"] * 3
    assert any("dropped events" in note for note in told.notes)
    # What is new in it is new for all that.
    newer = profile([*answers(0.1, 10), received(1.0, kind="WRITE")], notes=[note])
    assert compared(before, newer).new.total == 1
    assert compared(newer, before).new.total == 0


def test_where_there_were_too_many_kinds_none_is_new() -> None:
    many = profile([received(1.0, kind=f"K{number}") for number in range(300)])
    told = compared(many, profile([received(1.0, kind="READ")]), "protocol.new=0")
    assert (told.new.total, [one.state for one in told.thresholds]) == (0, ["unsure"])


def test_how_late_a_killed_run_was_is_known_from_its_events() -> None:
    lag = {"event": "simulator-lag", "t": 1.0, "lag_s": 0.5, "what": "x"}
    killed = profile([*answers(0.2, 60), lag], verdict="running", lag={}, counters={})
    told = compared(profile(answers(0.1, 60)), killed, "answer.p50=20%")
    assert [one.state for one in told.thresholds] == ["unsure"]
    assert "the simulator itself was late" in told.thresholds[0].why


def test_a_figure_that_no_run_has_is_said_to_be_absent() -> None:
    told = compared(profile(), profile(), "gateway.memory=5%", "latency.p50=5%")
    assert [one.state for one in told.thresholds] == ["absent", "absent"]


def test_what_is_new_in_the_protocol_can_be_forbidden() -> None:
    before = profile([received(1.0, kind="READ")])
    after = profile([received(1.0, kind="READ"), received(2.0, kind="READ", burst=3)])
    told = compared(before, after, "protocol.new=0", "protocol.gone=0")
    assert [one.state for one in told.thresholds] == ["worse", "held"]
    assert [word.field for word in told.new.words] == ["burst"]


def test_what_differs_in_the_runs_themselves_is_noted() -> None:
    before = profile()
    after = profile(
        seed=8,
        tolerance=2.0,
        parameters={"qos": "1"},
        fleets={"meter": {"count": 5}},
        versions={"iotsim": "2"},
        duration_s=100.0,
        link="tap",
    )
    before.versions = {"iotsim": "1"}
    text = "\n".join(compared(before, after).notes)
    for part in ("seeds", "tolerances", "qos", "5 devices", "iotsim is another", "as long", "tap"):
        assert part in text


# ------------------------------------------------------------------------------ device by device


def fleet(counts: dict[str, int], duration_s: float = 10.0, size: int = 3) -> Profile:
    events = [
        received(float(number), name, kind="READ")
        for name, count in counts.items()
        for number in range(count)
    ]
    return profile(events, duration_s=duration_s, fleets={"meter": {"count": size}})


def test_who_is_gone_new_and_silent() -> None:
    before = fleet({"meter[0]": 5, "meter[1]": 5, "meter[2]": 5, "lamp[0]": 5})
    after = fleet({"meter[0]": 5, "meter[7]": 5}, size=2)
    told = compare_devices(before, after)
    assert told.silent.devices == ["meter[1]"]
    assert told.gone.devices == ["meter[2]", "lamp[0]"] or told.gone.devices == [
        "lamp[0]",
        "meter[2]",
    ]
    assert told.new.devices == ["meter[7]"]
    assert told.compared == 1


def test_the_largest_changes_come_first_and_are_counted() -> None:
    size = 3 * MOST_TOLD
    names = [f"meter[{number}]" for number in range(size)]
    before = fleet(dict.fromkeys(names, 60), size=size)
    after = fleet({name: 30 - place // 3 for place, name in enumerate(names)}, size=size)
    told = compare_devices(before, after)
    assert told.quieter.total == size
    assert len(told.quieter.devices) == MOST_TOLD
    assert [one.device for one in told.quieter.devices[:3]] == names[:-4:-1][::-1]
    assert told.louder.total == 0


def test_a_longer_run_makes_nobody_louder() -> None:
    told = compare_devices(fleet({"meter[0]": 50}), fleet({"meter[0]": 500}, duration_s=100.0))
    assert (told.louder.total, told.quieter.total) == (0, 0)
    told = compare_devices(fleet({"meter[0]": 50}), fleet({"meter[0]": 500}))
    assert (told.louder.total, told.quieter.total) == (1, 0)


def test_few_messages_differ_by_chance() -> None:
    told = compare_devices(fleet({"meter[0]": 5}), fleet({"meter[0]": 9}))
    assert told.louder.total == 0


def test_which_device_is_slower() -> None:
    calm = [*answers(0.1, 30), *answers(0.1, 30, "meter[1]")]
    slow = [*answers(0.1, 30), *answers(0.3, 30, "meter[1]")]
    told = compare_devices(profile(calm), profile(slow))
    assert [one.device for one in told.slower.devices] == ["meter[1]"]
    assert told.faster.total == 0
    late = profile(slow, lag={"loop": 0.5})
    assert compare_devices(profile(calm), late).slower.total == 0


def test_devices_are_in_the_order_of_their_numbers() -> None:
    names = ["meter[10]", "meter[9]", "a", "meter[x]", "meter[", "[3]", "meter[99999999999999]"]
    assert sorted(names, key=place_of)[-2:] == ["meter[9]", "meter[10]"]


# ------------------------------------------------------------------------------ as data


def test_it_is_plain_data() -> None:
    before = profile(answers(0.1, 60), counters={"lost": 1})
    told = compared(before, profile(verdict="failed", counters={"lost": 9}), "counter.lost=0")
    data = json.loads(msgspec.json.encode(told))
    assert data["state"] == "worse"
    assert data["counters"] == [
        {"name": "counter.lost", "unit": "count", "before": 1.0, "after": 9.0}
    ]
    assert data["thresholds"][0]["state"] == "worse"
    assert msgspec.json.decode(msgspec.json.encode(told), type=Comparison) == told
