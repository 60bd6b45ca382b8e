"""Matches and expressions below JSON and CBOR, and on payloads that are texts or bytes."""

from __future__ import annotations

from typing import Any

import pytest
from construct import Int8ub, Struct

from iotsim import Cbor, Json, Payload
from iotsim.errors import ExpressionError, ScenarioError
from iotsim.match import Names, compile_expression, compile_match
from iotsim.protocol.codec import Codec
from iotsim.protocol.fields import Schema


class Bulb:
    index = 2
    name = "bulb[2]"
    address = "10.77.1.3"
    state = {"method": "get"}  # noqa: RUF012

    def signal(self, name: str, t: float) -> float:
        return 20.5


def matches(message: Any, sent: dict[str, Any], spec: dict[str, Any]) -> bool:
    """Whether `spec` matches `sent`, once that has been through the codec of the schema `message`."""
    codec = Codec(message)
    matcher = compile_match(spec, Schema(message), Names(signals=["level"], state=["method"]))
    return bool(matcher.matches(codec.decode(codec.encode(sent)), Bulb(), 0.0))


NESTED = Struct("n" / Int8ub, "payload" / Json())
REQUEST = {
    "n": 1,
    "payload": {
        "id": 2,
        "method": "get",
        "_private": True,
        "temp": 20.5,
        "ids": [{"n": 1}, {"n": 7, "name": "x"}],
        "none": None,
        "min": 3,
    },
}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"payload.method": "get"}, True),
        ({"payload": {"method": "get", "id": 2}}, True),
        ({"payload.method": "set"}, False),
        ({"payload.method": {"regex": "^g"}}, True),
        ({"payload.method": {"any": ["set", "get"]}}, True),
        ({"payload.method": "=state.method"}, True),
        ({"payload.id": "=device.index"}, True),
        ({"payload.temp": {"min": 20, "max": 21}}, True),
        ({"payload.temp": {"min": "=level + 1"}}, False),
        ({"payload.method": {"min": 1}}, False),
        ({"payload.ids[1].n": 7}, True),
        ({"payload.ids.1.name": {"exists": True}}, True),
        ({"payload.ids": {"some": {"n": {"min": 5}}}}, True),
        ({"payload.ids": {"every": {"name": {"exists": True}}}}, False),
        ({"payload._private": True}, True),
        ({"payload.min": 3}, True),
        ({"payload.none": {"exists": False}}, True),
        ({"payload.missing.deeper": {"exists": False}}, True),
        ({"payload.missing.deeper": 1}, False),
        ({"payload.method.deeper": 1}, False),
    ],
)
def test_everything_below_a_free_field_is_reached(spec: dict[str, Any], expected: bool) -> None:
    assert matches(NESTED, REQUEST, spec) is expected


@pytest.mark.parametrize("message", [Json(), Cbor()])
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"method": "get", "ids[0].n": 1}, True),
        ({"method": {"not": "get"}}, False),
        ({"ids": {"some": {"name": "=state.method"}}}, False),
        ({"temp": {"min": 20}, "_private": True}, True),
        ({"payload": 1}, False),
    ],
)
def test_a_message_may_be_free_as_a_whole(
    message: Any, spec: dict[str, Any], expected: bool
) -> None:
    assert matches(message, REQUEST["payload"], spec) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"-2": "urn:dev"}, True),
        ({"6.0.2": {"min": 21}}, True),
        ({"6": {"some": {"2": 21.5}}}, True),
        ({"at.tag(1)": {"min": 1_700_000_000}}, True),
        ({"hash": "hex:0aff"}, True),
        ({"hash": {"regex": "^0a"}}, True),
    ],
)
def test_what_cbor_has_beyond_json_is_reached(spec: dict[str, Any], expected: bool) -> None:
    message = {
        "-2": "urn:dev",
        "6": [{"2": 21.5}],
        "at": {"tag(1)": 1_700_000_001},
        "hash": b"\x0a\xff",
    }
    assert matches(Cbor(), message, spec) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("msg.payload.id + 1", 3),
        ("msg.payload.ids[1].n * 2", 14),
        ("'temp' in msg.payload", True),
        ("msg.payload['min']", 3),
        ("len(msg.payload.ids)", 2),
    ],
)
def test_expressions_reach_below_a_free_field(text: str, expected: Any) -> None:
    expression = compile_expression(text, schema=Schema(NESTED))
    assert expression.evaluate(REQUEST, Bulb(), 0.0) == expected


def test_an_expression_says_what_is_not_there() -> None:
    expression = compile_expression("msg.payload.params.x", schema=Schema(NESTED))
    with pytest.raises(ExpressionError, match=r"no field 'payload\.params'"):
        expression.evaluate(REQUEST, Bulb(), 0.0)


TEXT = Struct("n" / Int8ub, "payload" / Payload())


@pytest.mark.parametrize(
    ("sent", "spec", "expected"),
    [
        (21, 21, True),
        (21, "21", True),
        (21, 21.0, False),
        (21, {"min": 20, "max": 21}, True),
        (21, {"min": 21.5}, False),
        (21.5, {"min": "=level"}, True),
        (" 21 ", {"min": 20}, True),
        ("1e3", {"min": 1000}, True),
        ("nan", {"min": 0}, False),
        ("1_000", {"min": 0}, False),
        ("9" * 300, {"min": 0}, False),
        ("on", {"min": 0}, False),
        (b"\x00\x01", {"min": 0}, False),
        (21, "=20 + 1", True),
        (20.5, "=level", True),
        (21, {"any": [20, 21]}, True),
        (21, {"not": 21}, False),
        (True, True, True),
        ("true", True, True),
        ("hi", "hex:6869", True),
        (b"\x00\x01", "hex:0001", True),
        (b"\x00\x01", "hex:0002", False),
        ("temp=21", {"regex": "^temp"}, True),
        (b"\x0a\xff", {"regex": "^0aff$"}, True),
    ],
)
def test_a_payload_is_held_against_numbers_texts_and_bytes(
    sent: Any, spec: Any, expected: bool
) -> None:
    assert matches(TEXT, {"n": 1, "payload": sent}, {"payload": spec}) is expected


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"payload": [1]}, "is a text or bytes"),
        ({"payload": {"some": 1}}, "has no elements"),
        ({"payload": {"x": 1}}, "unknown operator"),
        ({"payload.x": 1}, r"unknown field 'payload\.x'"),
        ({"payload": {"min": 3, "max": 2}}, "min is greater than max"),
    ],
)
def test_what_no_payload_can_be_is_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        compile_match(spec, Schema(TEXT))
