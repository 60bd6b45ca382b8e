"""What a simulation tells of itself to whoever watches it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from iotsim.events import Event, Received, Sent
from iotsim.expect.standing import Standing
from iotsim.simulation.answertimes import EACH, MANY, MOST_OPEN, STRIDE, AnswerTimes, percentile
from iotsim.simulation.census import MOST_ASKED, Census, add_censuses
from iotsim.simulation.counters import Progress, add_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

METERS = """
[scenario]
name = "meters"
duration = "100s"
[gateway]
port = 7000
[devices.meter]
count = {count}
address = "10.77.1.1"
protocol = "sensornet"
{more}
[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 1 }}
[[expect]]
name = "each is read"
each = "meter"
receives = {{ kind = "READ" }}
within = "5s"
"""
OFFLINE = """
[[fault]]
name = "away"
offline = true
devices = "meter[1:3]"
at = "2s"
for = "3s"
"""


def conversation(times_s: list[float]) -> list[Event]:
    """A request a second, each answered after so long."""
    events: list[Event] = []
    for number, took_s in enumerate(times_s):
        t = float(number)
        events.append(Received(t, 2 * number + 1, "m[0]", "p", "x", {}))
        events.append(Sent(t + took_s, 2 * number + 2, "m[0]", "p", "x", {}, 2 * number + 1))
    return events


def test_percentiles_of_answer_times_are_right_to_five_percent() -> None:
    draw = random.Random(3)
    times = [draw.lognormvariate(-6, 1) for _ in range(100_000)]
    seen = AnswerTimes()
    events = conversation(times)
    for start in range(0, len(events), 512):
        seen.look(events[start : start + 512], ())
    assert sum(seen.counts.values()) == pytest.approx(len(times) / STRIDE / EACH, rel=0.1)
    for percent in (50, 90, 99):
        right = sorted(times)[int(len(times) * percent / 100) - 1]
        assert percentile(seen.counts, percent) == pytest.approx(right, rel=0.2)
    few = AnswerTimes()
    few.look(conversation([0.1] * 9 + [0.5]), ())
    assert sum(few.counts.values()) == 10
    assert percentile(few.counts, 50) == pytest.approx(0.1, rel=0.05)
    assert percentile(few.counts, 99) == pytest.approx(0.5, rel=0.05)


def test_an_answer_may_come_in_another_batch_and_requests_without_one_are_forgotten() -> None:
    seen = AnswerTimes()
    asked, answered = conversation([2.0])
    seen.look([asked], ())
    seen.look([answered], ())
    assert percentile(seen.counts, 50) == pytest.approx(2.0, rel=0.05)
    for start in range(0, 100 * MANY, MANY - 1):
        requests = range(start, start + MANY - 1)
        seen.look([Received(0.0, 2 * n + 1, "m[0]", "p", "x", {}) for n in requests], ())
    assert len(seen._open) == MOST_OPEN
    assert percentile({}, 50) is None


def test_slow_answers_count_as_much_as_quick_ones_where_there_are_many() -> None:
    seen = AnswerTimes()
    requests: list[Event] = []
    answers: list[Event] = []
    for number in range(100_000):  # every other takes half a second, 5000 requests later
        t, identity = number * 1e-4, 2 * number + 1
        requests.append(Received(t, identity, "m[0]", "p", "x", {}))
        later = t + (0.5 if number % 2 else 1e-4)
        answers.append(Sent(later, identity + 1, "m[0]", "p", "x", {}, identity))
    events = sorted(requests + answers, key=lambda event: event.t)
    for start in range(0, len(events), 512):
        seen.look(events[start : start + 512], ())
    slow = sum(count for number, count in seen.counts.items() if number > 100)
    assert slow == pytest.approx(sum(seen.counts.values()) / 2, rel=0.2)
    assert slow > 100


async def test_devices_are_counted_by_state(
    autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    async with linked(METERS.format(count=5, more="") + OFFLINE, live=True) as far_end:
        progress = far_end.simulation.progress
        assert progress().census == Census(idle=5)
        assert progress().standings == [Standing(None, "device", 0, 0, 5, due=5.0)]
        far_end.simulation.fleets["meter"].device(0)
        await trio.sleep(3)
        assert progress().census == Census(active=1, idle=2, away=2)
        await trio.sleep(3)
        assert progress().census == Census(active=1, idle=4)


async def test_of_many_devices_some_stand_for_all(
    autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    async with linked(
        METERS.format(count=50_000, more='boot = { ramp = "10s" }'), live=True
    ) as far_end:
        await trio.sleep(5)
        census = far_end.simulation.progress().census
        assert census.sampled
        assert census.idle + census.waiting == 50_000
        assert abs(census.idle - 25_000) < 2 * 50_000 / MOST_ASKED
        await trio.sleep(6)
        assert far_end.simulation.progress().census == Census(idle=50_000)


async def test_who_is_not_watched_counts_nothing_for_it(
    autojump_clock: MockClock, linked: Callable[..., Any]
) -> None:
    async with linked(METERS.format(count=5, more="")) as far_end:
        progress = far_end.simulation.progress()
        assert (progress.census, progress.standings, progress.answer_times) == (None, [], {})


def test_the_progress_of_shards_adds_up_after_travelling() -> None:
    one = Progress(
        received=5,
        sent=4,
        dropped=1,
        lag=0.2,
        heard_at=3.0,
        verdicts=[None],
        standings=[Standing(None, "device", 2, 0, 5)],
        census=Census(active=2, idle=3),
        answer_times={10: 2, 11: 1},
    )
    packed = msgspec.msgpack.encode(one)
    again = msgspec.convert(msgspec.msgpack.decode(packed), Progress)
    assert again == one
    assert add_progress([one, again], [Standing()], [True]) == Progress(
        received=10,
        sent=8,
        dropped=2,
        lag=0.2,
        heard_at=3.0,
        verdicts=[True],
        standings=[Standing(True, "device", 4, 0, 10)],
        census=Census(active=4, idle=6),
        answer_times={10: 4, 11: 2},
    )
    assert add_progress([Progress(), one], [Standing()], [None]).standings == []
    assert add_censuses([Census(away=1), Census(sampled=True)]) == Census(away=1, sampled=True)
