"""A rule that is called shadowed never applies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from iotsim.device.fleet import Fleet
from iotsim.device.shadows import find_shadows
from iotsim.device.spec import AddressBlock, FleetSpec, MessageTemplate, RuleSpec, ServiceSpec
from iotsim.match import Names, compile_expression, compile_match
from iotsim.protocol.registry import load_protocol

PROTOCOL = load_protocol("sensornet", []).protocol
SCHEMA = PROTOCOL.delivered_schema
NAMES = Names((), {"level"})
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(
            ["READ", "COMMAND", {"any": ["READ", "COMMAND"]}, {"not": "ACK"}, {"exists": True}]
        ),
        "point": st.sampled_from([0, 1, {"min": 1}, {"max": 1}, {"exists": False}, "=state.level"]),
        "seq": st.sampled_from([1, {"any": [1, 2]}, {"min": 1, "max": 2}]),
    },
)
MESSAGES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["READ", "COMMAND", "ACK"]), "seq": st.integers(0, 3)},
    optional={"point": st.integers(0, 2)},
)


@st.composite
def rules(draw: st.DrawFn, number: int) -> RuleSpec:
    match = draw(st.none() | MATCHES)
    where = draw(st.none() | st.sampled_from(["state.level > 0", "msg.seq > 1", "True", "1 > 2"]))
    return RuleSpec(
        when=None if match is None else compile_match(match, SCHEMA, NAMES),
        where=None if where is None else compile_expression(where, NAMES),
        after=draw(st.none() | st.sampled_from([0.0, 5.0])),
        times=draw(st.none() | st.integers(1, 2)),
        set={"level": draw(st.integers(0, 1))} if draw(st.booleans()) else {},
        reply=(MessageTemplate({"rule": number}),),
    )


LISTS = st.integers(2, 6).flatmap(lambda count: st.tuples(*map(rules, range(count))))


def spec_of(*specs: RuleSpec) -> FleetSpec:
    services = (ServiceSpec(PROTOCOL, 5600),)
    return FleetSpec(
        "meter", 1, (AddressBlock(1, 1),), services=services, state={"level": 0}, rules=specs
    )


@settings(max_examples=200, deadline=None)
@given(LISTS, st.lists(st.tuples(MESSAGES, st.sampled_from([0.0, 5.0, 9.0])), max_size=15))
def test_what_is_called_shadowed_never_applies(
    specs: tuple[RuleSpec, ...], heard: list[tuple[dict[str, Any], float]]
) -> None:
    spec = spec_of(*specs)
    shadowed = {specs.index(shadow.rule) for shadow in find_shadows(spec)}
    if not shadowed:
        return
    event("shadowed")
    fleet = Fleet(spec, seed=1)
    for message, now in sorted(heard, key=lambda one: one[1]):
        reaction = fleet.responders[0](fleet.device(0), dict(message), now)
        if isinstance(reaction, dict):
            assert reaction["rule"] not in shadowed


def rule(match: dict[str, Any] | None = None, **fields: Any) -> RuleSpec:
    when = None if match is None else compile_match(match, SCHEMA, NAMES)
    where = fields.pop("where", None)
    if where is not None:
        where = compile_expression(where, NAMES)
    return RuleSpec(when=when, where=where, **fields)


@pytest.mark.parametrize(
    ("specs", "shadowed"),
    [
        ([rule(), rule({"kind": "READ"})], [1]),
        ([rule({"kind": "READ"}), rule({"kind": "READ", "point": 3})], [1]),
        ([rule({"kind": "READ", "point": 3}), rule({"kind": "READ"})], []),
        ([rule({"kind": "READ"}, times=3), rule({"kind": "READ"})], []),
        ([rule({"kind": "READ"}, after=5.0), rule({"kind": "READ"})], []),
        ([rule({"kind": "READ"}, after=5.0), rule({"kind": "READ"}, after=6.0)], [1]),
        ([rule({"kind": "READ"}, where="state.level > 1"), rule({"kind": "READ"})], []),
        ([rule(where="t > 1"), rule({"kind": "READ"}, where="t > 1")], [1]),
        ([rule(where="2 > 1"), rule({"kind": "READ"})], [1]),
        ([rule(), rule(every=None, send=(MessageTemplate({}),))], []),
        ([rule(unanswered=True), rule({"kind": "READ"})], []),
        ([rule({"kind": "READ"}), rule({"kind": "COMMAND"}),
          rule({"kind": {"any": ["COMMAND", "READ"]}})], [2]),
    ],
)  # fmt: skip
def test_what_is_shadowed(specs: list[RuleSpec], shadowed: list[int]) -> None:
    found = [specs.index(shadow.rule) for shadow in find_shadows(spec_of(*specs))]
    assert found == shadowed
