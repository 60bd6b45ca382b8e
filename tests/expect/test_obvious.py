"""What is judged message by message comes to what a slow look at all messages afterwards comes to."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.expect.heard import SAMPLES_EACH
from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.expect.spec import DeviceSelection, ExpectSpec, GatewayExpectation
from iotsim.match import Matcher, compile_match

DEVICES = 4
READY = 0.25
END = 4.0
UNDECODABLE = None
MATCHERS = [
    compile_match(match)
    for match in (
        {},
        {"kind": "READ"},
        {"kind": "READ", "seq": {"min": 2}},
        {"kind": "WRITE", "seq": 2},
        {"kind": ["a", "list"]},
        {"seq": 1},
        {"kind": {"any": ["READ", "WRITE"]}},
        {"kind": {"not": "READ"}, "seq": 3},
        {"seq": "=device.index"},
        {"kind": "READ", "extra.deep": "=msg.seq + state.n"},
        {"undecodable": True},
    )
]
BOUNDS = st.one_of(
    st.fixed_dictionaries({"count_min": st.integers(1, 4)}),
    st.fixed_dictionaries({"count_max": st.integers(0, 4)}),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda pair: {"count_min": min(pair), "count_max": max(pair)}
    ),
)
KINDS = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 3.75, 9.0]).map(lambda s: {"kind": "within", "within_s": s}),
    st.just({"kind": "never"}),
    st.sampled_from(MATCHERS[:-1]).map(lambda matcher: {"kind": "always", "always": matcher}),
    BOUNDS.map(lambda bounds: {"kind": "count", **bounds}),
    st.tuples(BOUNDS, st.sampled_from([0.5, 1.0, 1.5, 9.0])).map(
        lambda pair: {"kind": "count", **pair[0], "per_s": pair[1]}
    ),
)
SELECTIONS = [
    (DeviceSelection("meter", range(DEVICES)),),
    (DeviceSelection("meter", range(1, 3)),),
    (DeviceSelection("meter", (3, 0)),),
    (DeviceSelection("meter", (2,)),),
]
SPECS = st.builds(
    lambda kind, quantifier, devices, matcher: ExpectSpec(
        name="x", quantifier=quantifier, devices=devices, matcher=matcher, **kind
    ),
    KINDS,
    st.sampled_from(["each", "any", "all", "none", "device"]),
    st.sampled_from(SELECTIONS),
    st.sampled_from(MATCHERS),
)


class Device(NamedTuple):
    index: int
    state: dict[str, Any]
    address: str = "10.77.1.1"
    asked: None = None

    @property
    def name(self) -> str:
        return f"meter[{self.index}]"

    def signal(self, name: str, t: float) -> float:
        return t


class Recorded(NamedTuple):
    """Times are multiples of an eighth, so that sums and differences of them are exact."""

    t: float
    device: Device
    message: dict[str, Any] | None


FLEET = [Device(index, {"n": 1}) for index in range(DEVICES)]
MESSAGES = st.one_of(
    st.none(),
    st.builds(
        lambda kind, seq, extra: {"kind": kind, "seq": seq, **extra},
        st.sampled_from(["READ", "WRITE", ["a", "list"], 7]),
        st.integers(0, 4),
        st.sampled_from([{}, {"extra": {"deep": 2}}]),
    ),
)
TRAFFIC = st.lists(
    st.builds(Recorded, st.integers(0, 31).map(lambda n: n / 8), st.sampled_from(FLEET), MESSAGES),
    max_size=30,
).map(lambda recorded: sorted(recorded, key=lambda one: one.t))


def boot_time(index: int) -> float:
    return 0.75 * index


class Obvious:
    """An expectation, judged by looking at everything that was recorded."""

    def __init__(self, spec: ExpectSpec, recorded: list[Recorded], *, boots: bool) -> None:
        self.spec = spec
        self.recorded = recorded
        self.boots = boots

    def passed(self) -> bool:
        indexes = [index for one in self.spec.devices for index in one.indexes]
        if self.spec.quantifier == "all":
            return self.holds([one for one in self.recorded if one.device.index in indexes], 0.0)
        each = [
            self.holds(
                [one for one in self.recorded if one.device.index == index],
                boot_time(index) if self.boots else 0.0,
            )
            for index in indexes
        ]
        if self.spec.quantifier == "none":
            return not any(each)
        return any(each) if self.spec.quantifier == "any" else all(each)

    def holds(self, recorded: list[Recorded], booted: float) -> bool:
        spec = self.spec
        assert spec.matcher is not None
        times = [one.t for one in recorded if matches(spec.matcher, one)]
        if spec.kind == "within":
            assert spec.within_s is not None
            return any(t <= max(READY, booted) + spec.within_s for t in times)
        if spec.kind == "never":
            return not times
        if spec.kind == "always":
            assert spec.always is not None
            matching = [one for one in recorded if matches(spec.matcher, one)]
            return all(matches(spec.always, one) for one in matching)
        low, high = spec.count_min or 0, spec.count_max
        if spec.per_s is None:
            return low <= len(times) and (high is None or len(times) <= high)
        return self.often_enough(times, booted) and self.seldom_enough(times)

    def seldom_enough(self, times: list[float]) -> bool:
        high, per_s = self.spec.count_max, self.spec.per_s
        assert per_s is not None
        return high is None or all(
            sum(start <= t < start + per_s for t in times) <= high for start in times
        )

    def often_enough(self, times: list[float], booted: float) -> bool:
        low, per_s = self.spec.count_min, self.spec.per_s
        assert per_s is not None
        if not low:
            return True
        starts = [READY + n * per_s for n in range(100) if READY + n * per_s <= END]
        complete = [start for start in starts if start + per_s <= END]
        asked = [start for start in complete if booted <= start] or [starts[len(complete)]]
        return all(sum(start <= t < start + per_s for t in times) >= low for start in asked)


def matches(matcher: Matcher, one: Recorded) -> bool:
    if one.message is UNDECODABLE:
        return matcher.undecodable
    return not matcher.undecodable and not matcher.explain(one.message, one.device, one.t)


def judged(
    specs: list[ExpectSpec], recorded: list[Recorded], *, boots: bool, direction: str = "receives"
) -> list[Any]:
    """The outcomes of one judge of all `specs`."""
    view = FleetView("meter", DEVICES)
    if boots:
        view = FleetView("meter", DEVICES, None, boot_time, lambda: boot_time(DEVICES - 1))
    judge = Judge(specs, {"meter": view})
    ready = False
    for t, device, message in recorded:
        if t >= READY and not ready:
            ready = True
            judge.gateway_ready(READY)
        while (due := judge.next_deadline()) is not None and due <= t:
            judge.advance(due)
        if message is UNDECODABLE:
            judge.undecodable(device, t, "the length is wrong")
        else:
            for observe in judge.observers("meter", "receives"):
                observe(device, message, t)
    if not ready:
        judge.gateway_ready(READY)
    return judge.finish(END, gateway_heard=True).outcomes


@settings(max_examples=600, deadline=None)
@given(SPECS, TRAFFIC, st.booleans())
def test_the_verdict_is_that_of_a_slow_look(
    spec: ExpectSpec, recorded: list[Recorded], boots: bool
) -> None:
    (outcome,) = judged([spec], recorded, boots=boots)
    assert outcome.error == ""
    assert outcome.passed == Obvious(spec, recorded, boots=boots).passed()


@settings(max_examples=300, deadline=None)
@given(st.lists(SPECS, min_size=2, max_size=12), TRAFFIC, st.booleans())
def test_many_expectations_come_to_what_each_alone_comes_to(
    specs: list[ExpectSpec], recorded: list[Recorded], boots: bool
) -> None:
    together = judged(specs, recorded, boots=boots)
    alone = [judged([spec], recorded, boots=boots)[0] for spec in specs]
    together = [msgspec.structs.replace(outcome, number=0) for outcome in together]
    busiest = max(Counter(one.device.index for one in recorded).values(), default=0)
    if busiest > SAMPLES_EACH:  # then it depends on the others which messages are kept
        for outcomes in (together, alone):
            outcomes[:] = [
                msgspec.structs.replace(outcome, nearest="", details=()) for outcome in outcomes
            ]
    assert together == alone


LINES = st.lists(
    st.tuples(st.integers(1, 31).map(lambda n: n / 8), st.sampled_from(["a", "b", "a b", "c"])),
    max_size=4,
).map(sorted)


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        GatewayExpectation,
        running=st.sampled_from([None, True, False]),
        exit=st.sampled_from([None, 0, 3]),
        stdout_contains=st.sampled_from(["", "a"]),
        stdout_regex=st.sampled_from([None, re.compile("b$")]),
        stdout_not=st.sampled_from([None, re.compile("c")]),
    ),
    st.sampled_from([None, 1.0]),
    LINES,
    st.sampled_from([None, (0, ""), (3, ""), (None, "SIGSEGV")]),
)
def test_the_verdict_on_a_gateway_is_that_of_a_slow_look(
    asked: GatewayExpectation, within_s: float | None, lines: Any, ended: Any
) -> None:
    spec = ExpectSpec(name="x", kind="gateway", gateway=asked, within_s=within_s)
    judge = Judge([spec], {})
    judge.gateway_ready(0.0)
    for t, line in lines:
        while (due := judge.next_deadline()) is not None and due <= t:
            judge.advance(due)
        judge.gateway_output(line, t)
    if ended:
        judge.gateway_exited(*ended, END)
    (outcome,) = judge.finish(END).outcomes
    in_time = [line for t, line in lines if within_s is None or t < within_s]
    right = [
        asked.running is None or asked.running is (ended is None),
        asked.exit is None or ended == (asked.exit, ""),
        not asked.stdout_contains or any("a" in line for line in in_time),
        asked.stdout_regex is None or any(line.endswith("b") for line in in_time),
        asked.stdout_not is None or not any("c" in line for _, line in lines),
    ]
    assert outcome.passed == all(right)
