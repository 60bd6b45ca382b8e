import re
from typing import Any

import pytest
from construct import Bytes, Enum, Float32b, Int8ub, Struct, Switch, this

from iotsim import FlatStruct, Protocol, ProtocolError

MESSAGE = FlatStruct(
    "kind" / Enum(Int8ub, A=1, B=2),
    "s" / Struct("x" / Int8ub),
    Switch(this.kind, {"A": Struct("value" / Float32b), "B": Struct("data" / Bytes(2))}),
)


def make(**changes: Any) -> Protocol:
    return Protocol(**{"name": "p", "message": MESSAGE, "port": 7} | changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "Not Good"}, "a-z"),
        ({"name": "../x"}, "a-z"),
        ({"message": 7}, "no construct"),
        ({"message": Int8ub}, "must be a Struct"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"echo": "kind"}, "list of fields"),
        ({"echo": ["kin"]}, "echo names 'kin', which is no field .*'kind'"),
        ({"summary": "{valu}"}, "summary names 'valu'"),
        ({"summary": "{"}, "summary"),
        ({"answer": 7}, "answer is no construct"),
        ({"answer": Int8ub}, "answer has no fields"),
        (
            {"answer": Struct("b" / Int8ub), "echo": ["kind"]},
            "echo names 'kind', which is no field",
        ),
        ({"answer": Struct("b" / Int8ub), "echo": ["b"]}, "echo names 'b', which is no field"),
        ({"answer": Struct("b" / Int8ub), "summary": "{c}"}, "summary names 'c'"),
    ],
)
def test_what_does_not_fit_together(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        make(**changes)


def test_summary() -> None:
    protocol = make(summary="{kind} x={s.x} v={value:.1f} {data}")
    assert protocol.summarize({"kind": "A", "s": {"x": 3}, "value": 2.25}) == "A x=3 v=2.2 "
    assert protocol.summarize({"kind": "B", "s": {"x": 3}, "data": b"\x01\x02"}) == "B x=3 v= 0102"
    assert protocol.summarize({"kind": "A", "value": "odd"}) == "A x= v=odd "
    assert make().summarize({"kind": "A", "value": 2.5}) == "kind=A value=2.5"


def test_what_a_device_sends_may_have_a_schema_of_its_own() -> None:
    answer = Struct("kind" / Int8ub, "data" / Bytes(2), "seen" / Int8ub)
    protocol = make(answer=answer, echo=["kind"], summary="{kind} {s.x}{seen}")
    assert protocol.answer_schema.find("seen") is not None
    assert protocol.schema.find("seen") is None
    assert protocol.answer_codec.decode(b"\x01ab\x07") == {"kind": 1, "data": b"ab", "seen": 7}
    assert protocol.codec.decode(b"\x02\x01ab")["data"] == b"ab"
    assert protocol.summarize({"kind": 1, "seen": 7}) == "1 7"
    assert protocol.odd_fields == ("data",)
    same = make()
    assert same.answer_codec is same.codec
    assert same.answer_schema is same.schema


def test_codec_and_schema_are_made_once() -> None:
    protocol = make()
    assert protocol.codec is protocol.codec
    assert protocol.schema is protocol.schema
    assert list(protocol.schema.fields)[:2] == ["kind", "s"]


def test_strict_may_be_switched_off() -> None:
    assert make(strict=False).codec.decode(b"\x01\x02\x00\x00\x00\x00\xff")["kind"] == "A"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"session": 1}, "session is no class derived from iotsim.Session: 1"),
        ({"session": dict}, "session is no class derived from iotsim.Session"),
        ({"model": dict}, "model is no class derived from iotsim.Table"),
        ({"groups": ["10.0.0.1"]}, "groups: 10.0.0.1 is not a multicast address"),
        ({"groups": ["somewhere"]}, "groups: "),
        ({"groups": [1]}, "groups: "),
    ],
)
def test_what_goes_with_a_session_must_fit(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(reason)):
        Protocol("p", Struct("a" / Int8ub), 1, **more)
