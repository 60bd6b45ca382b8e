"""An expectation's verdict, found while it happens, is that of a slow look at all that was recorded."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.expect.recorded import Event, Look, Run, Table, first_holds, verdict

from iotsim.expect import spec as specs
from iotsim.expect.join import Join
from iotsim.expect.judge import Judge
from iotsim.expect.northbound import fleet_of
from iotsim.expect.pairing import echo_key
from iotsim.expect.slots import FleetView
from iotsim.match import Names, compile_match
from iotsim.units import DurationRange

DEVICES = 3
READY = 0.25
END = 4.0
CLOUD, OTHER = "cloud", "other"
"""Times are multiples of an eighth, so that sums and differences of them are exact."""


def eighths(most: int) -> st.SearchStrategy[float]:
    return st.integers(0, most).map(lambda n: n / 8)


# --- what is matched, as a table and as a predicate -----------------------------------------------

Match = tuple[dict[str, Any], Any]


def field_of(event: Event, name: str) -> Any:
    return (event.message or {}).get(name)


RECEIVED: list[Match] = [
    ({}, lambda e: e.message is not None),
    ({"kind": "READ"}, lambda e: field_of(e, "kind") == "READ"),
    ({"kind": "ACK"}, lambda e: field_of(e, "kind") == "ACK"),
    (
        {"kind": "READ", "seq": {"min": 2}},
        lambda e: field_of(e, "kind") == "READ" and field_of(e, "seq") >= 2,
    ),
    ({"seq": "=state.n"}, lambda e: e.message is not None and e.message["seq"] == e.state["n"]),
    ({"seq": "=device.index"}, lambda e: e.message is not None and e.message["seq"] == e.device),
]
UNDECODABLE: Match = ({"undecodable": True}, lambda e: e.message is None)
SENT: list[Match] = [
    *RECEIVED,
    (
        {"kind": "READ", "seq": "=request.seq"},
        lambda e: (
            field_of(e, "kind") == "READ"
            and e.request is not None
            and e.message["seq"] == e.request["seq"]
        ),
    ),
]
UP: list[Match] = [
    ({}, lambda e: True),
    ({"path": "/a"}, lambda e: field_of(e, "path") == "/a"),
    ({"json.value": {"max": 1}}, lambda e: field_of(e, "json")["value"] <= 1),
    (
        {"path": "/b", "status": 200},
        lambda e: (e.message["path"], e.message["status"]) == ("/b", 200),
    ),
]
JOINS: list[tuple[str, Any]] = [
    (
        "north.json.value == msg.seq",
        lambda r, up: up.message["json"]["value"] == r.message["seq"],
    ),
    (
        "north.json.id == device.index and msg.seq == north.json.value",
        lambda r, up: (
            up.message["json"]["id"] == r.device and up.message["json"]["value"] == r.message["seq"]
        ),
    ),
    (
        "north.json.value == state.n and north.path == '/a'",
        lambda r, up: up.message["json"]["value"] == r.state["n"] and up.message["path"] == "/a",
    ),
    (
        "abs(north.json.value - msg.seq) < 2",
        lambda r, up: abs(up.message["json"]["value"] - r.message["seq"]) < 2,
    ),
    (
        "north.json.id == device.index or t < 1 and north.json.value == msg.seq",
        lambda r, up: (
            up.message["json"]["id"] == r.device
            or (r.t < 1 and up.message["json"]["value"] == r.message["seq"])
        ),
    ),
    (
        "north.json.more == msg.seq",  # which nothing has
        lambda r, up: False,
    ),
]
NAMES = Names((), None, None, north=None)


class FreeSchema:
    """Of what has whatever is asked for."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def find(self, path: str) -> Any:
        return path

    def nearest(self, name: str) -> None:
        return None


FREE: Any = FreeSchema()


def join_of(number: int) -> tuple[Join, Any]:
    written, predicate = JOINS[number]
    return Join(written, NAMES._replace(north=FREE)), predicate


# --- expectations, for the judge and for the slow look --------------------------------------------


@dataclass(frozen=True)
class Both:
    spec: specs.ExpectSpec
    table: Table


def selection(devices: tuple[int, ...]) -> tuple[specs.DeviceSelection, ...]:
    if not devices:
        return (specs.DeviceSelection(fleet_of(CLOUD), range(1)),)
    if devices == tuple(range(DEVICES)):
        return (specs.DeviceSelection("meter", range(DEVICES)),)
    return (specs.DeviceSelection("meter", devices),)


SUBJECTS = st.sampled_from(
    [
        *itertools.product(["each", "any", "all", "none"], [(0, 1, 2), (1, 2), (2, 0), (1,)]),
        ("device", (2,)),
        ("device", (0,)),
        *[("device", ())] * 3,
    ]
)
"""The last is the service."""


@st.composite
def looks(draw: Any, devices: tuple[int, ...], *, up: bool = False) -> tuple[specs.Look, Look]:
    """With `up`, perhaps of a service though the expectation is about devices."""
    if not devices or (up and draw(st.integers(0, 3)) == 0):
        service = CLOUD if not devices else draw(st.sampled_from([CLOUD, OTHER]))
        written, fits = draw(st.sampled_from(UP))
        return specs.Look(compile_match(written), service=service), Look(fits, service=service)
    direction = draw(st.sampled_from(["receives", "sends"]))
    common = RECEIVED if direction == "receives" else SENT
    written, fits = draw(st.sampled_from([*common, *common, UNDECODABLE]))
    names = NAMES._replace(request=FREE)
    return specs.Look(compile_match(written, names=names), direction), Look(fits, direction)


@st.composite
def simple(draw: Any) -> Both:
    """within, never, always, count."""
    quantifier, devices = draw(SUBJECTS)
    look, seen = draw(looks(devices))
    kind = draw(st.sampled_from(["within", "never", "always", "count"]))
    fields: dict[str, Any] = {}
    table = Table(kind, quantifier, devices, seen)
    if kind == "within":
        within = draw(st.sampled_from([0.0, 0.5, 1.0, 3.0]))
        fields, table = {"within_s": within}, replace(table, within=within)
    elif kind == "always":
        written, fits = draw(st.sampled_from(UP[1:] if not devices else RECEIVED[1:]))
        fields, table = {"always": compile_match(written)}, replace(table, always=fits)
    elif kind == "count":
        least, most = draw(st.sampled_from([(1, None), (2, None), (0, 0), (0, 1), (0, 2), (1, 3)]))
        per = draw(st.sampled_from([None, 0.5, 1.0]))
        fields = {"count_min": least, "count_max": most, "per_s": per}
        table = replace(table, least=least, most=math.inf if most is None else most, per=per)
    spec = specs.ExpectSpec(
        "x",
        kind,
        quantifier,
        selection(devices),
        look.direction,
        look.matcher,
        **fields,
    )
    return Both(spec, table)


@st.composite
def sequences(draw: Any) -> Both:
    quantifier, devices = draw(SUBJECTS)
    parts, seen = [], []
    for number in range(draw(st.integers(2, 3))):
        look, slow = draw(looks(devices, up=True))
        gap = draw(
            st.sampled_from(
                [
                    None,
                    None,
                    (0.0, 0.5),
                    (0.25, 1.0),
                    (0.5, 0.5),
                    (0.0, 0.0),
                    (0.125, 3.0),
                    (0.0, 2.0),
                ]
            )
        )
        after = None if gap is None or not number else DurationRange(*gap)
        parts.append(specs.Part(look, after))
        seen.append((slow, (0.0, math.inf) if after is None else gap))
    within = draw(st.sampled_from([None, None, None, 1.0, 3.0]))
    first = parts[0].look
    spec = specs.ExpectSpec(
        "x",
        "sequence",
        quantifier,
        selection(devices),
        first.direction,
        first.matcher,
        within_s=within,
        parts=tuple(parts),
    )
    limit = math.inf if within is None else within
    return Both(spec, Table("sequence", quantifier, devices, within=limit, parts=tuple(seen)))


@st.composite
def latencies(draw: Any) -> Both:
    quantifier, devices = draw(SUBJECTS.filter(lambda subject: subject[0] != "none"))
    start, slow_start = draw(looks(devices))
    stop, slow_stop = draw(looks(devices, up=True))
    if devices and draw(st.booleans()):  # a request and its answer, as in a conversation
        (read, is_read), (ack, is_ack) = RECEIVED[1:3]
        start, slow_start = specs.Look(compile_match(read)), Look(is_read)
        stop, slow_stop = specs.Look(compile_match(ack), "sends"), Look(is_ack, "sends")
    names = draw(
        st.lists(
            st.sampled_from(["p50", "p90", "p95", "p99", "max", "mean"]),
            min_size=1,
            max_size=2,
            unique=True,
        )
    )
    bounds = {name: draw(st.sampled_from([0.125, 0.5, 1.0, 2.0, 3.5])) for name in names}
    join, match = None, None
    if devices and stop.service and not start.matcher.undecodable and draw(st.booleans()):
        join, match = join_of(draw(st.integers(0, len(JOINS) - 1)))
    echo = draw(st.sampled_from(["", "seq"]))
    keys = {"meter": key} if (key := echo_key([echo] if echo else [])) else {}
    spec = specs.ExpectSpec(
        "x",
        "latency",
        quantifier,
        selection(devices),
        start.direction,
        start.matcher,
        latency=specs.LatencyExpectation(start, stop, bounds, keys, join),
    )
    table = Table("latency", quantifier, devices, start=slow_start, stop=slow_stop)
    return Both(spec, replace(table, bounds=tuple(bounds.items()), match=match, echo=echo))


@st.composite
def deliveries(draw: Any) -> Both:
    quantifier, devices = draw(SUBJECTS.filter(lambda one: one[0] != "none" and one[1]))
    written, fits = draw(st.sampled_from(SENT))
    sent = specs.Look(compile_match(written, names=NAMES._replace(request=FREE)), "sends")
    join, match = join_of(draw(st.integers(0, len(JOINS) - 1)))
    least, most = draw(st.sampled_from([(1, 1), (1, None), (2, 3), (0, 1), (0, 0), (2, 2)]))
    within = draw(st.sampled_from([0.0, 0.5, 1.0, *([] if least else [None])]))
    ordered, numbered = draw(st.booleans()), draw(st.booleans())
    asked = specs.DeliveredExpectation(
        sent,
        CLOUD,
        join,
        least,
        most,
        within,
        ordered,
        numbered=frozenset(["meter"] if numbered else ()),
    )
    spec = specs.ExpectSpec(
        "x",
        "delivered",
        quantifier,
        selection(devices),
        "sends",
        sent.matcher,
        delivered=asked,
    )
    table = Table("delivered", quantifier, devices, start=Look(fits, "sends"))
    return Both(
        spec,
        replace(
            table,
            stop=Look(lambda e: True, service=CLOUD),
            match=match,
            least=least,
            most=math.inf if most is None else most,
            within=math.inf if within is None else within,
            ordered=ordered,
            numbered=numbered,
        ),
    )


EXPECTATIONS = st.one_of(simple(), sequences(), latencies(), deliveries())

# --- what happens ---------------------------------------------------------------------------------

MESSAGES = st.builds(
    lambda kind, seq: {"kind": kind, "seq": seq} if kind else None,
    st.sampled_from(["READ", "READ", "READ", "ACK", "ACK", ""]),
    st.integers(0, 3),
)
ITEMS = st.builds(
    lambda path, value, device, status: {
        "path": path,
        "json": {"value": value, "id": device},
        "status": status,
    },
    st.sampled_from(["/a", "/b"]),
    st.sampled_from([0, 1, 2, 3, 1.0, 2.0]),
    st.integers(0, DEVICES - 1),
    st.sampled_from([200, 200, 204, 503]),
)
REQUESTS = st.one_of(st.none(), st.integers(0, 3).map(lambda seq: {"kind": "READ", "seq": seq}))


@st.composite
def events(draw: Any) -> list[Event]:
    found: list[Event] = []
    # Few devices, so that much comes together.
    devices = draw(st.sampled_from([[0], [1], [2], [1, 2], [0, 1, 2]]))
    services = draw(st.integers(0, 2))
    for t in sorted(
        draw(st.lists(eighths(31), min_size=draw(st.sampled_from([0, 12])), max_size=24))
    ):
        if draw(st.integers(0, 2)) < services:
            service = draw(st.sampled_from([CLOUD, CLOUD, OTHER]))
            found.append(Event(t, -1, "receives", draw(ITEMS), service=service))
            continue
        direction = draw(st.sampled_from(["receives", "sends"]))
        device = draw(st.sampled_from(devices))
        state = {"n": draw(st.integers(0, 2))}
        request = None
        if direction == "sends":
            heard = [
                one.message
                for one in found
                if one.message and not one.service and one.direction == "receives"
            ]
            request = draw(st.one_of(REQUESTS, st.sampled_from(heard)) if heard else REQUESTS)
        found.append(Event(t, device, direction, draw(MESSAGES), state, request))
    return found


@st.composite
def conversations(draw: Any) -> list[Event]:
    """Most devices are asked, answer, and what they say comes up; now and then something goes wrong."""
    found: list[Event] = []
    delays = st.sampled_from([0.0, 0.0, 0.125, 0.125, 0.25, 0.75])
    copies = st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2])
    for device, t in draw(
        st.lists(st.tuples(st.integers(0, DEVICES - 1), eighths(28)), min_size=2, max_size=7)
    ):
        seq = draw(st.integers(0, 3))
        read = {"kind": "READ", "seq": seq}
        for _ in range(draw(copies)):
            read = dict(read)
            found.append(Event(t, device, "receives", read, {"n": 1}))
        t += draw(delays)
        for _ in range(draw(copies)):
            ack = {"kind": "ACK", "seq": draw(st.sampled_from([seq, seq, seq, 0]))}
            found.append(Event(t, device, "sends", ack, {"n": seq}, read))
        for _ in range(draw(copies)):
            t += draw(delays)
            fields = {"value": seq, "id": draw(st.sampled_from([device, device, device, 0]))}
            status = draw(st.sampled_from([200, 200, 200, 503]))
            item = {"path": "/a", "json": fields, "status": status}
            found.append(Event(t, -1, "receives", item, service=CLOUD))
    found.sort(key=lambda event: event.t)
    return [event for event in found if event.t < END]


TRAFFIC = st.one_of(events(), conversations())


class Device:
    """A device whose state is that of the last event."""

    address = "10.77.1.1"

    def __init__(self, index: int) -> None:
        self.index = index
        self.state: dict[str, Any] = {"n": 0}
        self.asked: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"meter[{self.index}]"

    def signal(self, name: str, t: float) -> float:
        return t


def boots_late(index: int) -> float:
    return 0.75 * index


def at_once(index: int) -> float:
    return 0.0


class Feed:
    """A judge of `judged`, and how it is told of what happens."""

    def __init__(self, judged: list[specs.ExpectSpec], *, late_boots: bool, prompt: bool) -> None:
        self.devices = [Device(index) for index in range(DEVICES)]
        fleet = FleetView("meter", DEVICES, device=self.devices.__getitem__)
        if late_boots:
            last = boots_late(DEVICES - 1)
            fleet = replace(fleet, boot_time=boots_late, booted_by=lambda: last)
        self.judge = Judge(judged, {"meter": fleet})
        self.prompt = prompt
        self.ready = False

    def tell(self, event: Event) -> None:
        if event.t >= READY:
            self.become_ready()
        while self.prompt and (due := self.judge.next_deadline()) is not None and due <= event.t:
            self.judge.advance(due)
        if event.service:
            for observe in self.judge.northbound(event.service):
                observe(None, event.message, event.t)  # type: ignore[arg-type]
            return
        device = self.devices[event.device]
        device.state, device.asked = dict(event.state), event.request
        if event.message is None:
            self.judge.undecodable(device, event.t, "too short", event.direction)  # type: ignore[arg-type]
            return
        for observe in self.judge.observers("meter", event.direction):  # type: ignore[arg-type]
            observe(device, event.message, event.t)

    def become_ready(self) -> None:
        if not self.ready:
            self.ready = True
            self.judge.gateway_ready(READY)

    def end(self) -> list[Any]:
        self.become_ready()
        return self.judge.finish(END, gateway_heard=True).outcomes


def run_of(happened: list[Event], *, late_boots: bool) -> Run:
    return Run(happened, READY, END, boots_late if late_boots else at_once)


@settings(max_examples=500, deadline=None)
@given(EXPECTATIONS, TRAFFIC, st.booleans(), st.booleans())
def test_the_verdict_is_that_of_a_slow_look(
    both: Both, happened: list[Event], late_boots: bool, prompt: bool
) -> None:
    feed = Feed([both.spec], late_boots=late_boots, prompt=prompt)
    for event in happened:
        feed.tell(event)
    (outcome,) = feed.end()
    assert outcome.error == ""
    assert outcome.passed == verdict(both.table, run_of(happened, late_boots=late_boots)), outcome


@settings(max_examples=100, deadline=None)
@given(st.lists(EXPECTATIONS, min_size=2, max_size=8), TRAFFIC, st.booleans())
def test_so_are_the_verdicts_of_many_at_once(
    several: list[Both], happened: list[Event], late_boots: bool
) -> None:
    feed = Feed([both.spec for both in several], late_boots=late_boots, prompt=True)
    for event in happened:
        feed.tell(event)
    run = run_of(happened, late_boots=late_boots)
    verdicts = [outcome.passed for outcome in feed.end()]
    assert verdicts == [verdict(both.table, run) for both in several]


@settings(max_examples=300, deadline=None)
@given(EXPECTATIONS, TRAFFIC, st.integers(0, 25), st.booleans())
def test_what_comes_after_a_step_is_judged_as_if_nothing_had_been_before(
    both: Both, happened: list[Event], after: int, late_boots: bool
) -> None:
    spec = replace(both.spec, after="the step")
    feed = Feed([spec], late_boots=late_boots, prompt=True)
    for number, event in enumerate(happened):
        feed.tell(event)
        if number == after:
            feed.judge.happened("the step", event.t)
    (outcome,) = feed.end()
    if after >= len(happened):
        assert (outcome.passed, outcome.actual) == (
            False,
            "it never began: 'the step' did not come",
        )
        return
    run = run_of(happened, late_boots=late_boots).since(after)
    assert outcome.passed == verdict(both.table, run), outcome


def can_be_followed(both: Both) -> bool:
    table = both.table
    if table.quantifier == "none":
        return False
    if table.kind == "count":
        return table.most == math.inf and table.per is None and table.least > 0
    return table.kind in ("within", "sequence")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(simple(), sequences()).filter(can_be_followed), EXPECTATIONS, TRAFFIC, st.booleans()
)
def test_what_comes_after_an_expectation_begins_with_the_message_after_the_last_that_this_needed(
    first: Both, then: Both, happened: list[Event], swapped: bool
) -> None:
    judged = [replace(first.spec, name="first"), replace(then.spec, name="then", after="first")]
    feed = Feed(judged[::-1] if swapped else judged, late_boots=False, prompt=True)
    for event in happened:
        feed.tell(event)
    outcomes = {outcome.name: outcome for outcome in feed.end()}
    run = run_of(happened, late_boots=False)
    number = first_holds(first.table, run)
    assert outcomes["first"].passed == (number is not None)
    if number is None:
        assert outcomes["then"].actual == "it never began: 'first' did not come"
        assert not outcomes["then"].passed
    else:
        assert outcomes["then"].passed == verdict(then.table, run.since(number)), outcomes
