from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from iotsim.errors import ScenarioError


def times(fleet: Any, index: int, count: int = 20) -> list[float]:
    schedule = fleet.schedules[0]
    found = []
    boot = fleet.boots_at(index)
    t = schedule.first(index, boot)
    while t is not None and len(found) < count:
        found.append(t)
        t = schedule.next(index, len(found) - 1, t, boot)
    return found


def test_a_fixed_interval_does_not_drift(build: Any) -> None:
    fleet = build.fleet([{"send": {}, "every": 10.0}])
    found = times(fleet, 3, count=1000)
    assert 0.0 <= found[0] < 10.0
    assert found == pytest.approx([found[0] + 10.0 * n for n in range(1000)], abs=1e-6)


def test_a_fleet_does_not_speak_in_unison(build: Any) -> None:
    fleet = build.fleet([{"send": {}, "every": 10.0}], count=1000)
    firsts = [fleet.schedules[0].first(index) for index in range(1000)]
    per_second = [sum(int(t) == second for t in firsts) for second in range(10)]
    assert sum(per_second) == 1000
    assert all(60 < count < 140 for count in per_second)


def test_jitter_is_late_only_and_does_not_accumulate(build: Any) -> None:
    plain = times(build.fleet([{"send": {}, "every": 10.0}]), 0, count=200)
    jittered = times(build.fleet([{"send": {}, "every": 10.0, "jitter": 1.0}]), 0, count=200)
    late = [after - before for before, after in zip(plain, jittered, strict=True)]
    assert all(0.0 <= value < 1.0 for value in late)
    assert max(late) - min(late) > 0.8


def test_a_range_of_intervals(build: Any) -> None:
    found = times(build.fleet([{"send": {}, "every": (5.0, 10.0)}]), 0, count=200)
    gaps = [after - before for before, after in pairwise(found)]
    assert all(5.0 <= gap <= 10.0 for gap in gaps)
    assert max(gaps) - min(gaps) > 4.0


def test_after_and_boot_come_before_the_phase(build: Any) -> None:
    fleet = build.fleet([{"send": {}, "every": 10.0, "after": 100.0}], ramp_s=50.0)
    assert 100.0 <= times(fleet, 0)[0] < 110.0
    assert 125.0 <= times(fleet, 5)[0] < 135.0


def test_without_an_interval_there_is_one_sending(build: Any) -> None:
    assert times(build.fleet([{"send": {}, "after": 3.0}]), 0) == [3.0]
    assert times(build.fleet([{"send": {}}]), 0) == [0.0]
    assert times(build.fleet([{"send": {}, "times": 0}]), 0) == []


def test_times_bounds_the_sendings(build: Any) -> None:
    assert len(times(build.fleet([{"send": {}, "every": 1.0, "times": 3}]), 0)) == 3
    assert times(build.fleet([{"send": {}, "every": 1.0, "times": 0}]), 0) == []


def test_the_same_seed_gives_the_same_times_whatever_else_there_is(build: Any) -> None:
    rule = {"send": {}, "every": 10.0, "jitter": 1.0}
    assert times(build.fleet([rule]), 3) == times(build.fleet([rule], count=99), 3)
    assert times(build.fleet([rule]), 3) != times(build.fleet([rule], seed=2), 3)
    two = build.fleet([rule, rule])
    assert two.schedules[0].first(3) != two.schedules[1].first(3)


def test_the_messages_are_built_from_the_devices_state(build: Any) -> None:
    fleet = build.fleet(
        [
            {
                "send": [{"n": "=state.n", "x": "=x"}, {"i": "=device.index"}],
                "every": 1.0,
                "set": {"n": "=state.n + 1"},
            }
        ],
        state={"n": 0},
        signals={"x": build.signal("ramp", stop=10.0, period=10.0)},
    )
    send = fleet.schedules[0].build
    assert send(fleet.device(2), 1.0) == [{"n": 1, "x": 1.0}, {"i": 2}]
    assert send(fleet.device(2), 2.0) == [{"n": 2, "x": 2.0}, {"i": 2}]


def test_a_condition_decides_at_each_sending(build: Any) -> None:
    rule = {"send": {"a": 1}, "every": 1.0, "where": "=state.on", "times": 2}
    fleet = build.fleet([rule], state={"on": False})
    assert len(times(fleet, 0, count=50)) == 50  # whether it holds is not known in advance
    send, device = fleet.schedules[0].build, fleet.device(0)
    assert send(device, 0.0) == []
    device.state["on"] = True
    assert [send(device, 0.0) for _ in range(3)] == [[{"a": 1}], [{"a": 1}], []]


def test_destinations(build: Any) -> None:
    assert build.fleet([{"send": {}}]).schedules[0].to is None
    there = build.fleet([{"send": {}, "to": "10.77.0.9:5600"}]).schedules[0].to
    assert there == (0x0A4D0009, 5600)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"every": 0.0}, "every must be above 0"),
        ({"to": "10.77.0.9"}, "no address with a port"),
        ({"to": "10.77.0.9:70000"}, "no address with a port"),
        ({"to": "fd77::1:5600"}, "is no address with a port"),
        ({"to": "here:1"}, "is no IP address"),
    ],
)
def test_what_cannot_be_scheduled_is_the_scenarios_fault(
    build: Any, rule: dict[str, Any], text: str
) -> None:
    with pytest.raises(ScenarioError, match=text):
        build.fleet([{"send": {}, **rule}])
