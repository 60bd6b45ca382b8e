"""Lists, free-form fields, enums by order and values with a usual text, in matches."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import ipaddress
import itertools
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from construct import Array, Enum, ExprAdapter, Flag, Float32b, Int8ub, Struct

from iotsim.errors import ExpressionError, ScenarioError
from iotsim.match import Names, compile_match
from iotsim.protocol.fields import Schema

if TYPE_CHECKING:
    from collections.abc import Callable

FREE = ExprAdapter(Int8ub, lambda value, _: {"value": value}, lambda value, _: value["value"])
SCHEMA = Schema(
    Struct(
        "state" / Enum(Int8ub, OFF=0, IDLE=5, BUSY=2),
        "levels" / Array(3, Int8ub),
        "points" / Array(2, Struct("level" / Float32b, "on" / Flag, "tags" / Array(1, Int8ub))),
        "free" / FREE,
        "modes" / Array(2, Enum(Int8ub, OFF=0, ON=1)),
        "at" / Array(2, FREE),
        "ratios" / Array(2, Float32b),
        "code" / Enum(Int8ub, OLD=1, NEW=1, LATER=2),
        "codes" / Array(2, Enum(Int8ub, OLD=1, NEW=1, LATER=2)),
    )
)
MESSAGE = {
    "state": "IDLE",
    "levels": [1, 2, 3],
    "points": [
        {"level": 1.5, "on": True, "tags": [1]},
        {"level": 9.0, "on": False, "tags": [2]},
    ],
    "free": {"method": "get", "params": {"ids": [{"n": 1}, {"n": 2}]}, "text": "12"},
    "modes": ["OFF", "ON"],
    "at": [ipaddress.ip_address("10.77.1.1"), ipaddress.ip_address("fd77::1")],
    "ratios": [0.5, 0.10000000149011612],
    "code": "NEW",
    "codes": ["LATER", "NEW"],
}


class Sensor:
    index = 2
    name = "meter[2]"
    address = "10.77.1.1"
    state = {"n": 3}  # noqa: RUF012

    def signal(self, name: str, t: float) -> float:
        return 20.1


DEVICE = Sensor()


def matches(spec: dict[str, Any], message: dict[str, Any] = MESSAGE) -> bool:
    matcher = compile_match(spec, SCHEMA, Names())
    result = matcher.matches(message, DEVICE, 0.0)
    assert (matcher.explain(message, DEVICE, 0.0) == []) is result
    return result


def problem(spec: dict[str, Any]) -> str:
    with pytest.raises(ScenarioError) as caught:
        compile_match(spec, SCHEMA, Names())
    return str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"levels": {"some": 3}}, True),
        ({"levels": {"some": 4}}, False),
        ({"levels": {"some": "=state.n"}}, True),
        ({"levels": {"every": {"min": 1, "max": 3}}}, True),
        ({"levels": {"every": {"min": 2}}}, False),
        ({"levels": {"every": {"any": [1, 2, 3]}, "some": 2}}, True),
        ({"levels": {"not": {"some": 2}}}, False),
        ({"levels": [1, 2, "=state.n"]}, True),
        ({"levels": [1, 2, "=state.n + 1"]}, False),
        ({"levels.1": 2}, True),
        ({"levels[1]": {"min": 3}}, False),
        ({"points": {"some": {"level": {"min": 5}, "on": False}}}, True),
        ({"points": {"some": {"level": {"min": 5}, "on": True}}}, False),
        ({"points": {"every": {"level": {"min": 1}}}}, True),
        ({"points": {"some": {"tags": {"some": 2}}}}, True),
        ({"points": {"every": {"tags": {"some": 2}}}}, False),
        ({"points": {"some": {"tags[0]": "=device.index"}}}, True),
        ({"free.method": "get"}, True),
        ({"free": {"method": "put"}}, False),
        ({"free": {"params": {"ids": {"some": {"n": 2}}}}}, True),
        ({"free": {"params": {"ids": {"every": {"n": {"max": 1}}}}}}, False),
        ({"free.params.ids[1].n": {"min": 2}}, True),
        ({"free.text": {"min": 1}}, False),
        ({"free.nothing": {"some": 1}}, False),
        ({"points": [{"level": 1.5}, {"on": False, "tags": [2]}]}, True),
        ({"points": [{"level": {"max": 1}}, {"on": False}]}, False),
        ({"points": [{"level": 1.5}]}, False),
        ({"points": [{"level": "=msg.points[0].level"}, {"tags": [{"min": 2}]}]}, True),
        ({"points": {"not": [{"on": False}, {"on": False}]}}, True),
        ({"points[0]": {"any": [{"on": False}, {"level": {"min": 1}}]}}, True),
        ({"points[0]": {"not": {"on": True}}}, False),
        ({"levels": [1, {"min": 2, "max": 2}, 3]}, True),
        ({"levels": [1, {"not": 2}, 3]}, False),
        ({"free.params": {"ids": [{"n": 1}, {"n": {"min": 2}}]}}, True),
        ({"free.params": {"ids": [{"n": 1}]}}, False),
        ({"free": {"any": [{"method": "put"}, {"text": "12"}]}}, True),
        ({"modes": ["OFF", 1]}, True),
        ({"modes": [1, "ON"]}, False),
        ({"at": ["10.77.1.1", "FD77:0::1"]}, True),
        ({"at": ["10.77.1.1", "fd77::2"]}, False),
        ({"ratios": [0.5, 0.1]}, True),
        ({"ratios": {"some": 0.1}}, True),
        ({"state": {"min": 5}}, True),
        ({"state": {"min": "IDLE"}}, True),
        ({"state": {"max": "BUSY"}}, False),
        ({"state": {"min": 2.5, "max": "=state.n + 2"}}, True),
    ],
)
def test_what_is_within_reach(spec: dict[str, Any], expected: bool) -> None:
    assert matches(spec) is expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"code": "OLD"}, True),
        ({"code": "NEW"}, True),
        ({"code": 1}, True),
        ({"code": {"not": "OLD"}}, False),
        ({"code": {"any": ["LATER", "OLD"]}}, True),
        ({"code": {"any": ["OLD", {"min": 9}]}}, True),
        ({"code": {"min": "OLD", "max": "OLD"}}, True),
        ({"code": "='OLD'"}, True),
        ({"code": "=state.n - 2"}, True),
        ({"code": "=state.n"}, False),
        ({"codes": ["LATER", "OLD"]}, True),
        ({"codes": {"some": "OLD"}}, True),
        ({"codes[1]": "OLD"}, True),
    ],
)
def test_each_name_of_a_number_matches(spec: dict[str, Any], expected: bool) -> None:
    assert matches(spec) is expected


def test_a_name_that_is_an_alias_can_be_looked_up() -> None:
    assert compile_match({"code": "OLD"}, SCHEMA, Names()).equalities == {"code": "NEW"}


def test_an_empty_list_has_every_and_not_some() -> None:
    empty = {**MESSAGE, "levels": []}
    assert matches({"levels": {"every": 7}}, empty)
    assert not matches({"levels": {"some": {"not": 7}}}, empty)


def test_a_number_without_a_name_is_in_a_range_of_an_enum() -> None:
    assert matches({"state": {"min": "IDLE"}}, {**MESSAGE, "state": 77})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"state": {"some": 1}}, "state.some: 'state' is an enum, so it has no elements"),
        ({"levels": {"regex": "a"}}, "'levels' is an array, so no regex matches it"),
        ({"levels": {"some": {"regex": "a"}}}, "'levels[]' is an integer, so no regex matches it"),
        ({"levels": {"some": 300}}, "levels.some: 300 does not fit"),
        ({"points": {"some": {"levle": 1}}}, "points.some.levle: unknown field 'points[].levle'"),
        ({"points": {"every": {"on": 3}}}, "points.every.on: 3, but"),
        ({"points": {"some": {"on": "=mesg"}}}, "points.some.on: unknown name 'mesg'"),
        ({"levels": [1, "=state +"]}, "levels.1: "),
        ({"state": {"min": "IDEL"}}, "state.min: 'state' has no value named 'IDEL'"),
        ({"state": {"min": "IDLE", "max": "BUSY"}}, "state.min: min is greater than max"),
        ({"free.x": {"exists": False, "min": 3}}, "free.x.min: what is absent has no 'min'"),
        ({"levels": {"some": {}}}, "levels.some: an empty table"),
        ({"points": {"some": {}}}, "points.some: an empty table"),
        ({"points": [{"levle": 1}, {"on": True}]}, "points.0.levle: unknown field"),
        ({"points": {"not": {"on": 3}}}, "points.not.on: unknown operator 'on'"),
        ({"points[0]": {"not": {"on": 3}}}, "points[0].not.on: 3, but"),
        ({"modes": ["OFF", "OM"]}, "modes.1: 'modes[]' has no value named 'OM'"),
        ({"levels": [1, "x", 3]}, "levels.1: 'x', but 'levels[]' is an integer"),
        ({"levels": [1, 2, 300]}, "levels.2: 300 does not fit"),
        ({"levels": [[1], 2, 3]}, "levels.0: a list, but 'levels[]' is an integer"),
        ({"state": [{"a": 1}]}, "state: a list, but 'state' is an enum"),
    ],
)
def test_what_can_never_match_is_refused(spec: dict[str, Any], told: str) -> None:
    assert told in problem(spec)


VALUES = [
    (dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC), "2026-05-01T12:00:00Z"),
    (dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC), "2026-05-01T14:00:00+02:00"),
    (dt.date(2026, 5, 1), "2026-05-01"),
    (dt.time(12, 30), "12:30:00"),
    (dt.timedelta(minutes=90), "1h30m"),
    (dt.timedelta(milliseconds=-20), "-20ms"),
    (uuid.UUID(int=10), "00000000-0000-0000-0000-00000000000A"),
    (ipaddress.ip_address("10.77.1.1"), "10.77.1.1"),
    (ipaddress.ip_address("fd77::1"), "FD77:0::1"),
    (ipaddress.ip_network("10.77.0.0/16"), "10.77.0.0/16"),
    (decimal.Decimal("1.50"), "1.5"),
    (b"\x0a\xff", "hex:0A ff"),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_a_text_equals_what_it_is_the_usual_text_of(value: Any, text: str) -> None:
    message = {**MESSAGE, "free": {"at": value, "all": [value]}}
    assert matches({"free.at": text}, message)
    assert matches({"free": {"at": {"any": ["other", text]}, "all": {"some": text}}}, message)
    assert matches({"free.all": [text]}, message)
    assert not matches({"free.at": {"not": text}}, message)
    assert not matches({"free.at": "other"}, message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, True),
        (5.5, True),
        (decimal.Decimal(5), True),
        (fractions.Fraction(11, 2), True),
        (dt.timedelta(seconds=5), True),
        (1 << 5000, False),
        (decimal.Decimal("sNaN"), False),
        (float("nan"), False),
        ("5", False),
        (None, False),
        ([5], False),
    ],
)
def test_a_range_holds_whatever_is_a_number_when_it_comes(value: Any, expected: bool) -> None:
    assert matches({"free": {"min": 4, "max": 6}}, {**MESSAGE, "free": value}) is expected


def test_the_explanation_says_that_there_is_no_number() -> None:
    matcher = compile_match({"free.text": {"min": 1}}, SCHEMA, Names())
    (mismatch,) = matcher.explain(MESSAGE, DEVICE, 0.0)
    assert str(mismatch) == "free.text: expected at least 1, not '12', which is no number"


def test_what_fails_in_an_element_is_told() -> None:
    matcher = compile_match({"levels": {"some": "=1 / (msg.levels[0] - 1)"}}, SCHEMA, Names())
    with pytest.raises(ExpressionError, match="division by zero"):
        matcher.matches(MESSAGE, DEVICE, 0.0)


WRAPPERS: list[Callable[[Any], Any]] = [
    lambda inner: {"not": inner},
    lambda inner: {"any": [1, inner]},
    lambda inner: {"some": inner},
    lambda inner: {"every": inner},
    lambda inner: [inner],
    lambda inner: [1, [inner]],
    lambda inner: {"name": inner},
    lambda inner: [{"name": inner}],
]


@pytest.mark.parametrize("wrappers", [*itertools.product(WRAPPERS, repeat=3)])
def test_an_expression_at_any_depth_is_evaluated_or_refused(
    wrappers: tuple[Callable[[Any], Any], ...],
) -> None:
    spec: Any = "=nonsuch + 1"
    for wrap in wrappers:
        spec = wrap(spec)
    assert "unknown name 'nonsuch'" in problem({"free": spec})
