"""Why rules apply or not: told as the compiled rules decide."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.device.explain import examine_rules, nearest_first
from iotsim.device.fleet import Fleet
from iotsim.device.rules import compile_responder
from iotsim.device.spec import AddressBlock, FleetSpec, MessageTemplate, RuleSpec
from iotsim.match import Names, compile_expression, compile_match

NAMES = Names((), {"level"})
VALUES = st.sampled_from([0, 1, 2, "A", "B"])
CONDITIONS = st.one_of(
    VALUES,
    st.builds(lambda low, high: {"min": min(low, high), "max": max(low, high)},
              st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda values: {"any": values}, st.lists(VALUES, min_size=1, max_size=3)),
    st.builds(lambda value: {"not": value}, VALUES),
    st.builds(lambda value: {"exists": value}, st.booleans()),
)  # fmt: skip
MATCHES = st.dictionaries(st.sampled_from(["kind", "a", "b"]), CONDITIONS, max_size=3)
MESSAGES = st.dictionaries(st.sampled_from(["kind", "a", "b"]), VALUES, max_size=3)
WHERES = st.sampled_from(["state.level > 0", "msg.a == 1", "msg.b != 'A'", "True"])


@st.composite
def rules(draw: st.DrawFn) -> RuleSpec:
    match, where = draw(st.none() | MATCHES), draw(st.none() | WHERES)
    return RuleSpec(
        when=None if match is None else compile_match(match),
        where=None if where is None else compile_expression(where, NAMES),
        after=draw(st.none() | st.sampled_from([0.0, 5.0])),
        times=draw(st.none() | st.integers(1, 2)),
        reply=(MessageTemplate({"kind": "R"}),),
    )


def fleet() -> Fleet:
    return Fleet(FleetSpec("meter", 1, (AddressBlock(1, 1),), state={"level": 0}), seed=1)


@settings(deadline=None)
@given(
    st.lists(rules(), max_size=5),
    st.lists(st.tuples(MESSAGES, st.sampled_from([0.0, 5.0])), max_size=8),
    st.integers(0, 1),
)
def test_the_first_report_that_applies_is_of_the_rule_that_decides(
    specs: list[RuleSpec], heard: list[tuple[dict[str, Any], float]], level: int
) -> None:
    device = fleet().device(0)
    device.state["level"] = level
    responders = [compile_responder([one]) for one in specs]
    for message, now in heard:
        reports = examine_rules(specs, device, message, now)
        told = next((n for n, report in enumerate(reports) if report.applies), None)
        decided = None
        for number, respond in enumerate(responders):
            if isinstance(respond(device, dict(message), now), dict):
                decided = number
                break
        assert told == decided


def test_the_nearest_differs_in_the_fewest_fields_then_by_the_least() -> None:
    specs = [
        RuleSpec(name=name, when=compile_match(match))
        for name, match in (
            ("two", {"kind": "B", "a": 1}),
            ("far", {"kind": "A", "a": 9}),
            ("near", {"kind": "A", "a": 4}),
            ("absent", {"kind": "A", "b": 3}),
        )
    ]
    reports = nearest_first(examine_rules(specs, fleet().device(0), {"kind": "A", "a": 3}, 0.0))
    assert [report.rule.name for report in reports] == ["near", "far", "absent", "two"]


def test_an_expression_that_fails_is_a_difference() -> None:
    where = compile_expression("msg.a / 0 > 1", NAMES)
    (report,) = examine_rules([RuleSpec(where=where)], fleet().device(0), {"a": 1}, 0.0)
    assert report.differences[0].startswith("where 'msg.a / 0 > 1' needs what it cannot have")
