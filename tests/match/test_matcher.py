from __future__ import annotations

import struct
from typing import Any

import pytest
from construct import (
    Array,
    BitsInteger,
    BitStruct,
    Enum,
    Flag,
    FlagsEnum,
    Float32b,
    GreedyBytes,
    Int8ub,
    PascalString,
    Prefixed,
    Struct,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.errors import ExpressionError, ScenarioError
from iotsim.match import Mismatch, Names, compile_match
from iotsim.protocol.fields import Schema


class Sensor:
    index = 0
    name = "meter[0]"
    address = "10.77.1.1"

    def __init__(self) -> None:
        self.state = {"n": 5, "word": "x"}

    def signal(self, name: str, t: float) -> float:
        return 20.1


DEVICE = Sensor()


SCHEMA = Schema(
    Struct(
        "kind" / Enum(Int8ub, READ=1, REPORT=2),
        "value" / Float32b,
        "version" / Int8ub,
        "data" / Prefixed(Int8ub, GreedyBytes),
        "label" / PascalString(Int8ub, "utf8"),
        "on" / Flag,
        "header" / Struct("seq" / Int8ub),
        "alarms" / FlagsEnum(Int8ub, low=1, high=2),
        "points" / Array(2, Struct("level" / Float32b)),
        "nibbles" / BitStruct("high" / BitsInteger(4, signed=True), "low" / BitsInteger(4)),
    )
)
F32 = struct.unpack(">f", struct.pack(">f", 20.1))[0]


def matches(spec: dict[str, Any], msg: dict[str, Any], schema: Any = None) -> bool:
    matcher = compile_match(spec, schema, Names(["temperature"]))
    result = matcher.matches(msg, DEVICE, 0.0)
    assert (matcher.explain(msg, DEVICE, 0.0) == []) is result
    return result


MESSAGE = {
    "kind": "READ",
    "version": 1,
    "value": F32,
    "data": b"\x0a\xff",
    "label": "alpha",
    "on": True,
    "header": {"seq": 7},
    "alarms": {"low": True, "high": False},
    "points": [{"level": 1.5}, {"level": 2.5}],
    "gone": None,
}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"kind": "READ"}, True),
        ({"kind": "REPORT"}, False),
        ({"kind": "READ", "version": 2}, False),
        ({"header": {"seq": 7}}, True),
        ({"header.seq": 7}, True),
        ({"header": {"seq": 8}}, False),
        ({"version": {"min": 1, "max": 9}}, True),
        ({"version": {"min": 2}}, False),
        ({"version": {"max": "=state.n"}}, True),
        ({"kind": {"any": ["REPORT", "READ"]}}, True),
        ({"version": {"any": list(range(20))}}, True),
        ({"version": {"any": [5, "=t + 1"]}}, True),
        ({"version": {"any": [{"min": 9}, {"max": 1}]}}, True),
        ({"label": {"regex": "^al"}}, True),
        ({"label": {"regex": "^be"}}, False),
        ({"data": {"regex": "^0aff$"}}, True),
        ({"version": {"not": 3}}, True),
        ({"version": {"not": {"any": [1, 3]}}}, False),
        ({"absent": {"not": 3}}, True),
        ({"absent": {"not": 3, "exists": True}}, False),
        ({"absent": {"exists": False}}, True),
        ({"gone": {"exists": False}}, True),
        ({"kind": {"exists": True}}, True),
        ({"version": "=msg.version"}, True),
        ({"version": "=msg.nope"}, False),
        ({"version": "=state.n - 4"}, True),
        ({"absent": {"min": 1}}, False),
        ({"kind": {"min": 1}}, False),
        ({"data": "hex:0a ff"}, True),
        ({"on": True}, True),
        ({"on": False}, False),
        ({"points.1.level": 2.5}, True),
        ({"points.7.level": 2.5}, False),
        ({"a.¹": 1}, False),
        ({"a." + "9" * 5000: 1}, False),
        ({"points[1].level": 2.5}, True),
        ({"alarms": {"low": True}}, True),
        ({"alarms": {"low": True, "high": True}}, False),
        ({"value": float("nan")}, False),
    ],
)
def test_matching_without_a_schema(spec: dict[str, Any], expected: bool) -> None:
    assert matches(spec, MESSAGE) is expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"value": 20.1}, True),
        ({"value": {"min": 20.1, "max": 20.1}}, True),
        ({"value": {"any": [1, 20.1]}}, True),
        ({"value": "=temperature"}, True),
        ({"value": "=10.05 * 2"}, True),
        ({"value": {"not": 20.1}}, False),
        ({"value": {"max": 1e300}}, True),
        ({"version": {"max": 1000}}, True),
        ({"kind": 1}, True),
        ({"kind": 7}, False),
        ({"data": "hex:0aff"}, True),
        ({"alarms": {"low": True}}, True),
        ({"alarms": {"exists": True}}, True),
        ({"points": {"exists": True}}, True),
        ({"points.0.level": {"min": 1}}, True),
        ({"version": "=1000 - 1"}, None),
        ({"version": "=state.n * 1000"}, False),
    ],
)
def test_matching_with_a_schema(spec: dict[str, Any], expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ScenarioError, match="does not fit"):
            compile_match(spec, SCHEMA)
    else:
        assert matches(spec, MESSAGE, SCHEMA) is expected


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"vers": 1}, "vers: unknown field 'vers' (did you mean 'version'?)"),
        ({"header": {"sq": 1}}, "header.sq: unknown field 'header.sq'"),
        ({"kind": "RAED"}, "kind: 'kind' has no value named 'RAED' (did you mean 'READ'?)"),
        ({"kind": 1.5}, "kind: 1.5, but 'kind' is an enum (write one of its names)"),
        ({"version": 300}, "300 does not fit 'version', which is uint8 (0 to 255)"),
        ({"version": True}, "version: true, but 'version' is an integer"),
        ({"version": "x"}, "'x', but 'version' is an integer (an expression begins with '=')"),
        ({"on": 1}, "on: 1, but 'on' is true or false"),
        ({"data": "0aff"}, "data: '0aff', but 'data' is bytes (write bytes as 'hex:0a ff')"),
        ({"data": "hex:0"}, "data: 'hex:0' is not pairs of hexadecimal digits"),
        ({"label": {"min": 1}}, "label: 'label' is no number, so it has no min or max"),
        ({"version": {"mim": 1}}, "version.mim: unknown operator 'mim' (did you mean 'min'?)"),
        ({"version": {}}, "version: an empty table (operators:"),
        ({"version": {"min": 2, "max": 1}}, "version.min: min is greater than max"),
        ({"version": {"min": "a"}}, "version.min: must be a number or an expression"),
        ({"version": {"any": []}}, "version.any: must be a list with at least one value"),
        ({"version": {"any": [1, "x"]}}, "version.any.1: 'x', but 'version' is an integer"),
        ({"version": {"regex": "1"}}, "version: 'version' is an integer, so no regex matches it"),
        ({"label": {"regex": "("}}, "label.regex: no regular expression: missing )"),
        ({"label": {"exists": 1}}, "label.exists: must be true or false"),
        ({"version": "=1 +"}, "version: invalid syntax"),
        ({"version": "=nope"}, "version: unknown name 'nope'"),
        ({"version": "=msg.nope"}, "version: the message has no field 'nope'"),
        ({"alarms": {"lw": True}}, "alarms.lw: unknown field 'alarms.lw'"),
        ({"alarms": {"low": 3}}, "alarms.low: 3, but 'alarms.low' is true or false"),
        ({"nibbles": {"high": 8}}, "4 bits, signed (-8 to 7)"),
        ({"nibbles": {"low": 16}}, "4 bits (0 to 15)"),
        ({"value": 1e300}, "1e+300 does not fit 'value'"),
        ({"undecodable": False}, "undecodable: must be true"),
        ({"undecodable": True, "kind": "READ"}, "kind: an undecodable datagram has no fields"),
    ],
)
def test_problems(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        compile_match(spec, SCHEMA)
    assert said in str(caught.value)


def test_all_problems_are_reported_at_once() -> None:
    found: list[tuple[Any, ...]] = []
    matcher = compile_match(
        {"vers": 1, "kind": "X", "version": 1}, SCHEMA, report=lambda *said: found.append(said)
    )
    assert [keys for keys, _, _ in found] == [("vers",), ("kind",)]
    assert matcher.text == "version 1"


def test_undecodable() -> None:
    matcher = compile_match({"undecodable": True})
    assert matcher.undecodable
    assert not matcher.matches({}, DEVICE, 0.0)
    assert matcher.text == "an undecodable datagram"
    with pytest.raises(ScenarioError, match="only an expectation can ask"):
        compile_match({"undecodable": True}, undecodable_allowed=False)


def test_explain_names_each_field_that_differs() -> None:
    matcher = compile_match({"kind": "READ", "version": {"min": 2}, "header.seq": 7, "x": 1})
    assert matcher.explain(MESSAGE, DEVICE, 0.0) == [
        Mismatch("version", "at least 2", "1"),
        Mismatch("x", "1", "absent"),
    ]
    assert str(Mismatch("version", "2", "1")) == "version: expected 2, not 1"


def test_the_text_is_readable() -> None:
    spec = {
        "kind": "READ",
        "value": {"min": 1, "max": 9.5},
        "label": {"regex": "^a", "not": "abc"},
        "version": {"any": [1, 2]},
        "data": "hex:0aff",
        "seq": "=msg.version + 1",
        "name": "two words",
        "extra": {"exists": False},
    }
    assert compile_match(spec).text == (
        "kind READ and value 1..9.5 and label not abc and like /^a/ and version one of 1, 2"
        " and data hex:0aff and seq =msg.version + 1 and name 'two words' and extra absent"
    )
    assert compile_match({"value": 20.1}, SCHEMA).text == "value 20.1"
    assert compile_match({}).text == "any message"


def test_literals_are_compared_inline() -> None:
    assert compile_match({"kind": "READ"}).source == "msg.get('kind') == 'READ'"


def test_texts_of_a_scenario_are_never_code() -> None:
    hostile = "'] or __import__('os').system('true') or ['"
    for spec in ({hostile: 1}, {"a": hostile}, {"a": {"any": [hostile]}}, {"a": {"b": hostile}}):
        matcher = compile_match(spec)
        assert not matcher.matches({}, DEVICE, 0.0)
    assert compile_match({hostile.replace(".", ""): 1}).matches(
        {hostile.replace(".", ""): 1}, DEVICE, 0.0
    )


def test_an_expression_that_fails_for_another_reason_raises() -> None:
    matcher = compile_match({"version": "=state.word + 1"})
    with pytest.raises(ExpressionError):
        matcher.matches(MESSAGE, DEVICE, 0.0)
    assert "an error" in matcher.explain(MESSAGE, DEVICE, 0.0)[0].actual


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
names = st.sampled_from(["kind", "value", "version", "data", "header", "alarms", "points", "a.b"])
operators = st.sampled_from(["min", "max", "any", "regex", "not", "exists", "undecodable", "x"])
specs = st.dictionaries(
    names | st.text(max_size=6),
    values | st.dictionaries(operators, values, max_size=3),
    max_size=4,
)


@settings(max_examples=150)
@given(specs, st.dictionaries(names, values, max_size=5), st.booleans())
def test_any_table_matches_or_is_refused(
    spec: dict[str, Any], msg: dict[str, Any], typed: bool
) -> None:
    try:
        matcher = compile_match(spec, SCHEMA if typed else None)
    except ScenarioError as error:
        assert error.problems  # noqa: PT017
        return
    try:
        result = matcher.matches(msg, DEVICE, 1.0)
    except ExpressionError:
        return
    if not matcher.undecodable:
        assert (matcher.explain(msg, DEVICE, 1.0) == []) == result
    assert isinstance(matcher.text, str)


def test_a_structure_can_be_asked_whether_it_is_there() -> None:
    assert matches({"header": {"exists": True}}, MESSAGE, SCHEMA)
    assert not matches({"header": {"exists": False}}, MESSAGE, SCHEMA)
    assert matches({"header": {"exists": False}}, {"kind": "READ"}, SCHEMA)
    odd = Schema(Struct("odd" / Struct("exists" / Flag)))  # a field of this name is what is meant
    assert matches({"odd": {"exists": False}}, {"odd": {"exists": False}}, odd)
