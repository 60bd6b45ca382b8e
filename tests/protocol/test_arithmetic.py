"""Of adapters whose functions do arithmetic alone, the kind of field is known; of others it is not."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import pytest
from construct import (
    Adapter,
    Bytes,
    Enum,
    ExprAdapter,
    ExprSymmetricAdapter,
    ExprValidator,
    Flag,
    Float32b,
    Int8sb,
    Int8ub,
    Int16ub,
    NoneOf,
    OneOf,
    Struct,
    Validator,
    obj_,
)
from hypothesis import given
from hypothesis import strategies as st

from iotsim.errors import ScenarioError
from iotsim.match import Names, compile_match
from iotsim.protocol.arithmetic import trace
from iotsim.protocol.fields import Schema

SCHEMA = Schema(
    Struct(
        "volts" / ExprAdapter(Int16ub, obj_ / 10, obj_ * 10),
        "next" / ExprAdapter(Int8ub, lambda raw, _: raw + 1, lambda value, _: value - 1),
    )
)


class Tenths(Adapter):  # type: ignore[type-arg]
    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return obj / 10

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        return round(obj * 10)


class Even(Validator):  # type: ignore[type-arg]
    def _validate(self, obj: Any, context: Any, path: Any) -> bool:
        return bool(obj % 2 == 0)


class Doubling(Even):
    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return str(obj)


def kind_of(inner: Any, decode: Any) -> str:
    return Schema(Struct("x" / ExprAdapter(inner, decode, obj_))).fields["x"].kind


@pytest.mark.parametrize(
    ("decode", "kind"),
    [
        (obj_ / 10, "float"),
        (obj_ * 2, "int"),
        (lambda raw, _: raw, "int"),
        (lambda raw, _: (raw >> 2 & 3) - 1, "int"),
        (lambda raw, _: 7 - raw % 4 * -raw, "int"),
        (lambda raw, _: abs(-raw) + True, "int"),
        (lambda raw, _: raw * 0.5, "float"),
        (lambda raw, _: round(raw / 7), "int"),
        (lambda raw, _: round(raw * 360 / 0x10000, 3), "float"),
        (lambda raw, _: 1000 / raw, "float"),  # of 0 there is none
        (lambda raw, _: raw**2, "any"),  # which is no integer of all integers
        (lambda raw, _: raw / 10 if raw != 0x8000 else None, "any"),
        (lambda raw, _: raw and raw / 10, "any"),
        (lambda raw, _: {0: "off"}.get(raw, raw), "any"),
        (lambda raw, _: f"{raw / 10}", "any"),
        (lambda raw, _: str(raw), "any"),
        (lambda raw, _: raw * "-", "any"),
        (lambda raw, _: raw * decimal.Decimal("0.1"), "any"),
        (lambda raw, _: dt.timedelta(seconds=raw), "any"),
        (lambda raw, _: "text" if isinstance(raw, int) else raw, "any"),
        (lambda raw, _: "constant", "any"),
        (lambda raw, _: (raw, 1), "any"),
        (lambda raw, _: raw.bit_length(), "any"),
        (lambda raw, context: raw + len(context), "any"),
    ],
)
def test_the_kind_of_what_a_function_of_an_integer_gives(decode: Any, kind: str) -> None:
    assert kind_of(Int16ub, decode) == kind


def test_a_function_cannot_hide_that_it_asks() -> None:
    def decode(raw: Any, _: Any) -> Any:
        try:
            return "text" if raw > 1 else raw
        except Exception:
            return raw

    assert kind_of(Int8ub, decode) == "any"


def test_of_which_values_functions_are_traced() -> None:
    assert kind_of(Float32b, obj_ * 2) == "float"
    assert kind_of(ExprAdapter(Int8sb, obj_ / 10, obj_ * 10), obj_ - 40) == "float"
    assert kind_of(Float32b, lambda raw, _: math.floor(raw)) == "any"
    assert kind_of(Float32b, lambda raw, _: raw & 1) == "any"  # which is an error of all messages
    assert kind_of(Flag, obj_ + 1) == "any"
    assert kind_of(Bytes(2), lambda raw, _: raw + raw) == "any"
    fields = Schema(Struct("a" / Tenths(Int8ub), "b" / ExprSymmetricAdapter(Int8ub, obj_ ^ 1)))
    assert [field.kind for field in fields.fields.values()] == ["float", "int"]


def test_what_a_validator_lets_pass_is_of_the_kind_inside() -> None:
    schema = Schema(
        Struct(
            "a" / OneOf(Int8ub, [1, 2]),
            "b" / NoneOf(Bytes(2), [b"ab"]),
            "c" / Even(Int16ub),
            "d" / ExprValidator(Float32b, lambda value, _: value > 0),
            "e" / Doubling(Int8ub),
            "f" / OneOf(Enum(Int8ub, A=1), ["A"]),
        )
    )
    found = {field.path: (field.kind, field.wire) for field in schema.fields.values()}
    assert found["a"] == ("int", "uint8")
    assert found["b"] == ("bytes", "bytes, 2 bytes")
    assert found["c"] == ("int", "uint16 big-endian")
    assert found["d"] == ("float", "float32 big-endian")
    assert found["e"][0] == "any"
    assert schema.odd_fields == ("b", "e", "f")


@pytest.mark.parametrize("volts", ["high", True, "hex:00", [1.0], {"regex": "1"}, "='high'"])
def test_what_no_number_equals_is_refused(volts: Any) -> None:
    with pytest.raises(ScenarioError, match="volts"):
        compile_match({"volts": volts}, SCHEMA, Names())


@pytest.mark.parametrize("volts", [20, 20.0, {"min": 19.9}, {"any": [1, 20]}, "=10 * 2"])
def test_what_a_number_may_be_is_matched(volts: Any) -> None:
    matcher = compile_match({"volts": volts}, SCHEMA, Names())
    assert matcher.matches({"volts": 20.0, "next": 1}, None, 0.0)  # type: ignore[arg-type]
    assert not matcher.matches({"volts": 19.5, "next": 1}, None, 0.0)  # type: ignore[arg-type]


def test_an_integer_of_any_size_may_be_matched() -> None:
    matcher = compile_match({"next": 256}, SCHEMA, Names())
    assert matcher.matches({"volts": 1.0, "next": 256}, None, 0.0)  # type: ignore[arg-type]


OPERATIONS = (
    *(lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: b - a),
    *(lambda a, b: a / b, lambda a, b: a // b, lambda a, b: a % b, lambda a, b: b / a),
    *(lambda a, b: a & b, lambda a, b: b | a, lambda a, b: a ^ b, lambda a, b: -a),
    *(lambda a, b: abs(a), lambda a, b: round(a), lambda a, b: round(a, 2)),
)


@given(
    st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.integers(-9, 9) | st.floats(-9, 9)), max_size=5
    ),
    st.integers(-999, 999) | st.floats(-999, 999),
)
def test_what_is_traced_is_of_the_kind_that_is_told(steps: Any, number: Any) -> None:
    def function(value: Any) -> Any:
        for operation, operand in steps:
            value = operation(value, operand)
        return value

    term = trace(function, whole=isinstance(number, int))
    try:
        result = function(number)
    except (ArithmeticError, TypeError, ValueError):
        return
    if term is not None:
        assert type(result) is (int if term.whole else float)
