"""Trial encoding: what is told of a message, and above all what is not."""

from __future__ import annotations

from typing import Any

import pytest
from construct import (
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Construct,
    Default,
    Enum,
    Flag,
    If,
    Int8ub,
    LazyBound,
    Padding,
    PascalString,
    PrefixedArray,
    Rebuild,
    Struct,
    Switch,
    this,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim import FlatStruct, Protocol
from iotsim.device.spec import ServiceSpec
from iotsim.match import Names, compile_expression
from iotsim.protocol.registry import load_protocol
from iotsim.scenario.trial import Trial

SLOT = Struct("minute" / Int8ub, "mode" / Enum(Int8ub, OFF=0, HEAT=1))
BODIES: dict[str, Construct[Any, Any]] = {
    "GET": Struct(),
    "REPORT": Struct("value" / Int8ub, "unit" / Default(Int8ub, 0)),
    "PLAN": Struct("slots" / PrefixedArray(Int8ub, SLOT)),
    "NAME": Struct("name" / PascalString(Int8ub, "ascii"), "blob" / Bytes(2)),
    "STATE": Struct(
        "flags" / BitStruct("mode" / Enum(BitsInteger(4), OFF=0, HEAT=1), "open" / Flag, Padding(3))
    ),
    "RAW": Struct("length" / Int8ub, "data" / Bytes(this.length)),
    "PAIR": Struct("pair" / Array(2, Int8ub)),
}
THERMO = Protocol(
    "thermo",
    FlatStruct(
        "magic" / Const(b"T"),
        "kind" / Enum(Int8ub, **{name: number for number, name in enumerate(BODIES, 1)}),
        "number" / Int8ub,
        Switch(this.kind, BODIES),
    ),
    port=7700,
    echo=["number"],
)


def tried(fields: dict[str, Any], request: dict[str, Any] | None = None) -> list[str]:
    return said(THERMO, fields, {} if request is None else request)


def said(
    protocol: Protocol, fields: dict[str, Any], request: dict[str, Any] | None = None
) -> list[str]:
    faults = Trial(ServiceSpec(protocol, protocol.port)).faults(compiled(fields), request)
    return [f"{fault.path}: {fault.message}" for fault in faults]


def compiled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: compiled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [compiled(item) for item in value]
    if isinstance(value, str) and value.startswith("="):
        return compile_expression(value[1:], Names(["signal"]), has_message=True)
    return value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "REPORT"}, ["value: REPORT needs the field 'value'"]),
        ({"kind": "REPORT", "value": "=signal"}, []),
        (
            {"kind": "STATE", "flags": {"mode": "HEAT"}},
            ["flags.open: STATE needs the field 'flags.open'"],
        ),
        ({"kind": "STATE", "flags": "=msg.flags"}, []),
        (
            {"kind": "STATE", "flags": {}},
            [
                "flags.mode: STATE needs the field 'flags.mode'",
                "flags.open: STATE needs the field 'flags.open'",
            ],
        ),
        (
            {"kind": "PLAN", "slots": [{"minute": "=signal", "mode": "HEAT"}, {"minute": 1}]},
            ["slots.1.mode: PLAN needs the field 'slots.1.mode'"],
        ),
        (
            {"kind": "GET", "value": "=signal"},
            ["value: the message has no such field here (it has: kind, magic, number)"],
        ),
        (
            {"kind": "NAME", "name": "\N{DEGREE SIGN}C", "blob": b"ab"},
            ["name: cannot be encoded: ..."],
        ),
        (
            {"kind": "NAME", "name": "\N{DEGREE SIGN}C", "blob": b"abc"},
            ["name: cannot be encoded: ...", "blob: cannot be encoded: ..."],
        ),
        ({"kind": "NAME", "name": "a", "blob": b"abc"}, ["blob: cannot be encoded: ..."]),
        ({"kind": "NAME", "name": "=signal", "blob": "=signal"}, []),
        ({"kind": "PAIR", "pair": [1]}, ["pair: cannot be encoded: ..."]),
        ({"kind": "PAIR", "pair": "=signal"}, []),
        # A length that is not known yet: the data may be right.
        ({"kind": "RAW", "length": "=signal", "data": b"abc"}, []),
        ({"kind": "RAW", "length": 2, "data": b"abc"}, ["data: cannot be encoded: ..."]),
        # A kind that is not known yet: what is wrong for each is wrong.
        ({"kind": "=signal", "value": 1}, []),
        ({"kind": "=signal"}, []),
    ],
)
def test_messages(fields: dict[str, Any], expected: list[str]) -> None:
    faults = tried(fields)
    assert len(faults) == len(expected)
    for fault, wanted in zip(faults, expected, strict=True):
        assert fault.startswith(wanted.removesuffix("..."))


def test_what_is_sent_has_no_request_to_take_from() -> None:
    assert said(THERMO, {"kind": "GET"}) == ["number: thermo needs the field 'number'"]
    assert tried({"kind": "GET"}) == []


ECHOING = Protocol(
    "echoing",
    FlatStruct(
        "kind" / Enum(Int8ub, A=1, B=2),
        "token" / If(this.kind == "A", Int8ub),
        Switch(this.kind, {"A": Struct("value" / Int8ub), "B": Struct()}),
    ),
    port=1,
    echo=["kind", "token"],
)


def test_echoed_fields_are_what_the_request_had() -> None:
    assert said(ECHOING, {"value": 1}, {}) == []
    assert said(ECHOING, {}, {}) == []  # right for a B
    assert said(ECHOING, {}, {"kind": "A"}) == ["value: A needs the field 'value'"]
    assert said(ECHOING, {}, {"kind": "B"}) == []


def test_what_is_wrong_with_each_possible_shape_is_wrong() -> None:
    protocol = Protocol(
        "either",
        FlatStruct(
            "on" / Flag,
            Switch(
                this.on,
                {
                    True: Struct("a" / Int8ub, "x" / Int8ub),
                    False: Struct("b" / Default(Int8ub, 0), "x" / Int8ub),
                },
            ),
        ),
        port=1,
    )
    assert said(protocol, {"on": "=signal"}) == ["x: either needs the field 'x'"]


def test_a_field_that_is_computed_of_others_is_told_of_if_these_are_known() -> None:
    total = Rebuild(Int8ub, lambda context: sum(context.parts))
    protocol = Protocol("sums", Struct("total" / total, "parts" / Int8ub[2]), port=7700)
    assert said(protocol, {"parts": [200, 50]}) == []
    assert said(protocol, {"parts": ["=signal", 200]}) == []
    (told,) = said(protocol, {"parts": [200, 100]})
    assert told.startswith("total: 'total' cannot be encoded: ")


def test_shapes_that_numbers_decide_are_left_alone() -> None:
    protocol = Protocol(
        "numbered",
        FlatStruct("n" / Int8ub, Switch(this.n, {0: Struct("x" / Int8ub), 1: Struct()})),
        port=1,
    )
    assert said(protocol, {"n": "=signal"}) == []
    assert said(protocol, {"n": 0}) == ["x: numbered needs the field 'x'"]
    assert said(protocol, {"n": 1}) == []


def test_a_schema_that_contains_itself() -> None:
    tree: Construct[Any, Any] = Struct(
        "n" / Int8ub, "m" / Int8ub, "below" / If(this.n > 0, LazyBound(lambda: tree))
    )
    protocol = Protocol("tree", tree, port=1)
    assert said(protocol, {"n": 0}) == ["m: tree needs the field 'm'"]
    assert said(protocol, {"n": "=signal"}) == []


@pytest.mark.parametrize("name", ["sensornet", "sntp"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_is_told_of_a_message_that_may_be_right(name: str, data: st.DataObject) -> None:
    loaded = load_protocol(name, [])
    vector = data.draw(st.sampled_from(loaded.vectors))

    def veiled(value: Any) -> Any:
        if data.draw(st.integers(0, 3)) == 0:
            return "=signal"
        if isinstance(value, dict):
            return {name: veiled(item) for name, item in value.items()}
        return [veiled(item) for item in value] if isinstance(value, list) else value

    fields = {name: veiled(value) for name, value in vector.fields.items()}
    assert said(loaded.protocol, fields) == []
    for path in loaded.protocol.echo:
        if data.draw(st.booleans()):
            fields.pop(path, None)
    assert said(loaded.protocol, fields, {}) == []
