"""Counters travel between processes, and those of shards add up to those of one."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from iotsim.simulation.counters import Counters, Progress, add_counters

names = st.sampled_from(["packets.received", "outcome.answered", "link.sent"])
some_counters = st.builds(
    Counters,
    counts=st.dictionaries(names, st.integers(0, 1 << 40)),
    lag=st.dictionaries(st.sampled_from(["queue", "timers"]), st.floats(0, 10)),
    failed_devices=st.lists(st.sampled_from(["meter[0]", "meter[1]"])),
    first_failure=st.sampled_from(["", "meter[0]: why"]),
    lost=st.integers(0, 1 << 20),
    notes=st.lists(st.text(max_size=5), max_size=2),
)


def test_counts_add_up_and_the_worst_lag_counts() -> None:
    one = Counters(counts={"a": 1, "b": 2}, lag={"queue": 0.1}, failed_devices=["m[0]"], lost=1)
    one.first_failure = "m[0]: why"
    other = Counters(counts={"b": 3}, lag={"queue": 0.05, "timers": 0.2}, lost=2, notes=["full"])
    assert add_counters([one, other]) == Counters(
        counts={"a": 1, "b": 5},
        lag={"queue": 0.1, "timers": 0.2},
        failed_devices=["m[0]"],
        first_failure="m[0]: why",
        lost=3,
        notes=["full"],
    )
    # Neither part has become part of the sum.
    assert one.counts == {"a": 1, "b": 2}
    assert one.failed_devices == ["m[0]"]
    assert add_counters([]) == Counters()


@given(st.lists(some_counters, max_size=4))
def test_it_does_not_matter_who_adds(parts: list[Counters]) -> None:
    by_steps = Counters()
    for part in parts:
        by_steps = add_counters([by_steps, part])
    assert by_steps == add_counters(parts)


@given(some_counters)
def test_counters_travel(counters: Counters) -> None:
    packed = msgspec.msgpack.encode(counters)
    assert msgspec.convert(msgspec.msgpack.decode(packed), Counters) == counters


def test_progress_travels() -> None:
    progress = Progress(received=3, answered=2, pending=1, verdicts=[True, None, False])
    packed = msgspec.msgpack.encode(progress)
    assert msgspec.convert(msgspec.msgpack.decode(packed), Progress) == progress
