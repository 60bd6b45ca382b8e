"""Judges that each see a part of the devices come, merged, to what one judge comes to."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from iotsim.expect.judge import Judge
from iotsim.expect.kinds import KINDS
from iotsim.expect.report import merge
from iotsim.expect.slots import FleetView
from iotsim.expect.spec import DeviceSelection, ExpectSpec, LatencyExpectation, Look, Part
from iotsim.match import compile_match
from iotsim.units import DurationRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from iotsim.events import Outcome

COUNT = 6
END = 4.0
READ = Look(compile_match({"kind": "READ"}))
COMMAND = Look(compile_match({"kind": "COMMAND"}))
SPECS: list[dict[str, Any]] = [
    {"kind": "within", "within_s": 1.0},
    {"kind": "within", "within_s": math.inf},
    {"kind": "never"},
    {"kind": "always", "always": compile_match({"version": 1})},
    {"kind": "count", "count_min": 2},
    {"kind": "count", "count_max": 2},
    {"kind": "count", "count_min": 1, "count_max": 3},
    {"kind": "count", "count_max": 1, "per_s": 0.5},
    {"kind": "count", "count_max": 2, "per_s": 1.0},
    {"kind": "count", "count_min": 1, "per_s": 1.0},
    {"kind": "count", "count_min": 1, "count_max": 3, "per_s": 5.0},
    *(
        {"kind": "latency", "latency": LatencyExpectation(READ, COMMAND, bounds)}
        for bounds in ({"p50": 0.5}, {"p90": 1.0, "mean": 1.5}, {"max": 1.0})
    ),
    {"kind": "sequence", "parts": (Part(READ), Part(COMMAND, DurationRange(0.0, 1.0)))},
    {"kind": "sequence", "parts": (Part(READ), Part(READ)), "within_s": 2.0},
]
"""Not "delivered": one judge sees all devices and the services, or it is refused."""
SELECTIONS = [
    (DeviceSelection("meter", range(COUNT)),),
    (DeviceSelection("meter", range(1, 5)),),
    (DeviceSelection("meter", (4, 0, 3)),),
    (DeviceSelection("meter", range(2)), DeviceSelection("meter", range(COUNT))),
]
MESSAGES = [
    {"kind": "READ", "version": 1},
    {"kind": "READ", "version": 2},
    {"kind": "COMMAND", "version": 1},
]
specs = st.builds(
    lambda fields, quantifier, devices: ExpectSpec(
        name="x",
        quantifier=quantifier,
        devices=devices,
        matcher=compile_match({"kind": "READ"}),
        **fields,
    ),
    st.sampled_from(SPECS),
    st.sampled_from(["each", "any", "all", "none", "device"]),
    st.sampled_from(SELECTIONS),
)
# Times are multiples of an eighth, so that sums and differences of them are exact.
traffic = st.lists(
    st.tuples(
        st.integers(0, int(END * 8) - 1), st.integers(0, COUNT - 1), st.sampled_from(MESSAGES)
    ),
    max_size=40,
).map(lambda items: sorted(items, key=lambda item: item[:2]))


def judged(
    spec: ExpectSpec, owned: range | None, messages: Any, *, boots: bool, advances: int
) -> dict[str, Any]:
    """The export of a judge that sees the `owned` devices, through the form it travels in."""
    view = FleetView(
        "meter",
        COUNT,
        owned,
        (lambda index: index * 0.5) if boots else None,
        (lambda: COUNT * 0.5) if boots else None,
    )
    judge = Judge([spec], {"meter": view})
    judge.gateway_ready(0.25)
    for eighths, index, message in messages:
        t = eighths / 8 + index / 1024  # so that it is known who came last
        if owned is not None and index not in owned:
            continue
        due = judge.next_deadline()
        if due is not None and due <= t and eighths % advances == 0:
            judge.advance(t)
        device = SimpleNamespace(
            index=index, name=f"meter[{index}]", state={}, address="", asked=None
        )
        for observe in judge.observers("meter", "receives"):
            observe(device, message, t)
    return msgspec.msgpack.decode(msgspec.msgpack.encode(judge.export(END)))


@settings(max_examples=400, deadline=None)
@given(specs, traffic, st.integers(2, 3), st.booleans(), st.booleans())
# A part without any pair, which alone would have broken it.
@example(
    ExpectSpec(
        "x",
        quantifier="all",
        devices=SELECTIONS[0],
        matcher=READ.matcher,
        kind="latency",
        latency=LatencyExpectation(READ, COMMAND, {"p50": 0.5}),
    ),
    [(0, 0, MESSAGES[0]), (0, 0, MESSAGES[2])],
    2,
    False,
    False,
)
def test_shards_agree_with_one_judge(
    spec: ExpectSpec, messages: Any, shards: int, striped: bool, boots: bool
) -> None:
    assume(KINDS[spec.kind].pools or spec.quantifier != "all")
    whole = judged(spec, None, messages, boots=boots, advances=1)
    size = COUNT // shards
    parts = [
        judged(
            spec,
            range(k, COUNT, shards) if striped else range(k * size, (k + 1) * size),
            messages,
            boots=boots,
            advances=1,
        )
        for k in range(shards)
    ]
    (one,), (merged,) = merge([whole]).outcomes, merge(parts).outcomes
    assert merged.passed == one.passed
    assert merged.expected == one.expected
    if spec.quantifier != "all":
        assert (merged.total, merged.devices) == (one.total, one.devices)
        assert merged.actual == one.actual


@settings(max_examples=200, deadline=None)
@given(specs, traffic)
def test_when_time_is_told_makes_no_difference(spec: ExpectSpec, messages: Any) -> None:
    """A judge that is told of the time late, by a message, decides as one told at once."""
    prompt = judged(spec, None, messages, boots=False, advances=1)
    late = judged(spec, None, messages, boots=False, advances=64)
    assert merge([prompt]).outcomes[0].passed == merge([late]).outcomes[0].passed


def test_a_pool_with_more_messages_than_are_kept_proves_no_maximum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iotsim.expect.rate.KEPT_TIMES", 8)
    spec = ExpectSpec(
        name="x",
        quantifier="all",
        devices=SELECTIONS[0],
        matcher=READ.matcher,
        kind="count",
        count_max=1,
        per_s=0.5,
    )

    def outcome(times: Sequence[int]) -> Outcome:
        messages = [(eighths, 0, MESSAGES[0]) for eighths in times]
        owned = (range(3), range(3, COUNT))
        parts = [judged(spec, own, messages, boots=False, advances=1) for own in owned]
        (merged,) = merge(parts).outcomes
        return merged

    assert outcome(range(0, 28, 4)).passed
    forgotten = outcome([0, 0, *range(8, 80, 8)])
    assert not forgotten.passed
    assert "what became of 4 messages is not known" in forgotten.inconclusive
    assert not outcome([*range(0, 80, 8), 80, 80]).inconclusive
