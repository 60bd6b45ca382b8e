"""Whether one match implies another: what is said so holds of every message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from iotsim.match import Names, compile_match
from iotsim.match.implied import implied_by_any, implies
from iotsim.protocol.registry import load_protocol

SCHEMA = load_protocol("sensornet", []).protocol.schema
NAMES = Names((), {"level"})


class Device:
    index, name, address = 0, "meter[0]", "10.77.1.1"

    def __init__(self, level: int) -> None:
        self.state = {"level": level}

    def signal(self, name: str, t: float) -> float:
        return t


PLAIN = st.sampled_from([0, 1, 2, 1.5, True, "A", "B", "12", b"\x01"])
BOUNDS = st.sampled_from([0, 1, 1.5, 2, "=state.level"])
OPERATORS = st.one_of(
    st.builds(lambda a, b: {"min": min(a, b), "max": max(a, b)}, st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda a: {"min": a}, BOUNDS),
    st.builds(lambda a: {"max": a}, BOUNDS),
    st.builds(lambda a: {"any": a}, st.lists(PLAIN, min_size=1, max_size=3)),
    st.builds(lambda a: {"not": a}, PLAIN),
    st.builds(lambda a: {"not": a, "exists": True}, PLAIN),
    st.builds(lambda a: {"not": {"any": a}}, st.lists(PLAIN, min_size=1, max_size=3)),
    st.builds(lambda a: {"exists": a}, st.booleans()),
    st.builds(lambda a: {"regex": a}, st.sampled_from(["A", "1", "^$", "."])),
    st.just("=state.level"),
    st.just([1, 2]),
)  # fmt: skip
MATCHES = st.dictionaries(st.sampled_from(["a", "b", "s.c"]), PLAIN | OPERATORS, max_size=3)
VALUES = st.one_of(PLAIN, st.none(), st.just([1, 2]), st.just(2.0), st.just(False))
MESSAGES = st.builds(
    lambda flat, c: {**flat, **({} if c == "no" else {"s": {"c": c}})},
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES),
    VALUES | st.just("no"),
)


@settings(max_examples=300, deadline=None)
@given(MATCHES, MATCHES, st.lists(MESSAGES, min_size=1, max_size=12), st.integers(0, 2))
def test_what_is_implied_holds(
    stronger: dict[str, Any], weaker: dict[str, Any], messages: list[dict[str, Any]], level: int
) -> None:
    one, other = compile_match(stronger, None, NAMES), compile_match(weaker, None, NAMES)
    if not implies(one.conditions, other):
        return
    event("implied")
    for message in messages:
        if one.matches(message, Device(level), 0.0):
            event("implied, and matched")
            assert other.matches(message, Device(level), 0.0)


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["READ", "REPORT", "COMMAND", 1, {"min": "READ"}, {"not": "READ"},
                                 {"any": ["READ", "COMMAND"]}, {"min": 2, "max": 3}]),
        "point": st.sampled_from([0, 3, {"min": 1}, {"min": 2, "max": 9}, {"exists": False}]),
        "value": st.sampled_from([20.1, 3, {"min": 20.1}, {"min": 20.0999999, "max": 30}]),
        "status.alarm": st.sampled_from([True, False, {"not": True}, {"exists": True}]),
    },
)  # fmt: skip
TYPED = st.fixed_dictionaries(
    {"kind": st.sampled_from(["READ", "REPORT", "COMMAND", "ACK", 77])},
    optional={
        "point": st.integers(0, 4),
        "value": st.sampled_from([3.0, 20.100000381469727, 20.0, 20.09999, 30.0]),
        "status": st.builds(lambda alarm: {"alarm": alarm}, st.booleans()),
    },
)


@settings(max_examples=300, deadline=None)
@given(FIELDS, st.lists(FIELDS, min_size=1, max_size=4), st.lists(TYPED, min_size=1, max_size=12))
def test_also_by_several_and_with_a_schema(
    stronger: dict[str, Any], weaker: list[dict[str, Any]], messages: list[dict[str, Any]]
) -> None:
    one = compile_match(stronger, SCHEMA)
    others = [compile_match(match, SCHEMA) for match in weaker]
    places = implied_by_any(one.conditions, others)
    if not places:
        return
    event(f"implied by {min(len(places), 2)}")
    for message in messages:
        if one.matches(message, Device(0), 0.0):
            event("implied, and matched")
            assert any(others[place].matches(message, Device(0), 0.0) for place in places)


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({"kind": "READ"}, {}),
        ({"kind": "READ", "point": 1}, {"kind": "READ"}),
        ({"kind": "READ"}, {"kind": 1}),
        ({"kind": "READ"}, {"kind": {"any": ["ACK", "READ"]}}),
        ({"kind": {"any": ["ACK", "READ"]}}, {"kind": {"not": "REPORT"}}),
        ({"kind": "READ"}, {"kind": {"exists": True}}),
        ({"point": {"min": 3, "max": 5}}, {"point": {"min": 2}}),
        ({"point": {"exists": False}}, {"point": {"not": 3}}),
        ({"status": {"alarm": True}}, {"status.alarm": {"not": False}}),
        ({"point": "=state.level", "kind": "READ"}, {"point": "=state.level"}),
    ],
)
def test_it_is_seen(stronger: dict[str, Any], weaker: dict[str, Any]) -> None:
    one, other = compile_match(stronger, SCHEMA, NAMES), compile_match(weaker, SCHEMA, NAMES)
    assert implies(one.conditions, other)


def test_each_value_may_be_matched_by_another() -> None:
    one = compile_match({"kind": {"any": ["READ", "ACK"]}, "point": 3}, SCHEMA)
    others = [
        compile_match(match, SCHEMA)
        for match in ({"kind": "REPORT"}, {"kind": "ACK"}, {"kind": "READ", "point": {"min": 1}})
    ]
    assert implied_by_any(one.conditions, others) == [1, 2]
    assert implied_by_any(one.conditions, others[:2]) == []
