from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.events import (
    Event,
    GatewayOutput,
    GatewayResult,
    Note,
    NotSent,
    Received,
    RunEnded,
    Sent,
    Undecodable,
)
from iotsim.results.jsonl import EventEncoder, decode_events, plain_message

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
messages = st.dictionaries(st.text(st.characters(), max_size=8), values, max_size=5)


def message_event(message: Any, kind: type[Received | Sent] = Received) -> Event:
    return kind(
        t=1.5, id=1, device="meter[3]", peer="10.77.0.1:5600", protocol="p", message=message
    )


def test_a_message_is_one_line() -> None:
    line = EventEncoder({"p": ()}).encode([message_event({"kind": "READ", "seq": 3})])
    assert line == (
        b'{"event":"received","t":1.5,"id":1,"device":"meter[3]","peer":"10.77.0.1:5600",'
        b'"protocol":"p","message":{"kind":"READ","seq":3}}\n'
    )


def test_bytes_become_hex_at_any_depth() -> None:
    message = {"data": b"\x0a\xff", "list": [{"token": bytearray(b"\1")}], "none": b""}
    assert plain_message(message) == {
        "data": "hex:0aff",
        "list": [{"token": "hex:01"}],
        "none": "hex:",
    }
    (line,) = EventEncoder().encode([message_event(message, Sent)]).splitlines()
    assert json.loads(line)["message"]["data"] == "hex:0aff"


def test_what_was_lost_is_written_as_what_was_sent() -> None:
    lost = NotSent(1.0, "meter[3]", "lost", 1, "radio", {"token": b"\x0a\xff"})
    untold = NotSent(2.0, "meter[3]", "no route")
    encoder = EventEncoder({"p": ("token",)})
    for plain in (
        encoder.encode([lost, untold]),
        encoder.encode_plain(
            [msgspec.to_builtins(e, builtin_types=(bytes,)) for e in (lost, untold)]
        ),
    ):
        first, second = map(json.loads, plain.splitlines())
        assert first["message"] == {"token": "hex:0aff"}
        assert "message" not in second


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([{"oid": "1.3", "value": None}, {"oid": "1.4", "value": 2.5}], None),
        ({"a": [[], {}, [True]]}, None),
        ([{"a": "x"}, {"a": b"\xff"}], [{"a": "x"}, {"a": "hex:ff"}]),
        ({"a": [[b""]]}, {"a": [["hex:"]]}),
        ({"a": {1: "x"}}, {"a": {"1": "x"}}),
        ([("a", 1)], [["a", 1]]),
    ],
)
def test_a_field_that_may_be_odd_is_written_as_it_is_or_with_what_json_has(
    value: Any, shown: Any
) -> None:
    shown = value if shown is None else shown
    (line,) = (
        EventEncoder({"p": ("field",)})
        .encode([message_event({"field": value, "n": 1})])
        .splitlines()
    )
    assert json.loads(line)["message"] == {"field": shown, "n": 1}


def test_numbers_that_json_lacks_become_null() -> None:
    line = EventEncoder({"p": ()}).encode([message_event({"a": math.nan, "b": [-math.inf]})])
    assert json.loads(line)["message"] == {"a": None, "b": [None]}


def test_what_a_gateway_prints_never_loses_an_event() -> None:
    events = [Note(t=0.0, text="a"), GatewayOutput(t=1.0, line="\ud800\x00"), Note(t=2.0, text="b")]
    lines = [json.loads(line) for line in EventEncoder().encode(events).splitlines()]
    assert [line["event"] for line in lines] == ["note", "gateway-output", "note"]
    assert lines[1]["line"] == "\\ud800\x00"


def test_what_a_gateway_printed_last_does_not_cost_the_end_of_the_run() -> None:
    gateway = GatewayResult(command=["gw"], last_lines=["\udcff"])
    ended = RunEnded(2.0, "failed", "r", 1.0, [], [], gateway, {}, {}, [])
    (read,) = decode_events(EventEncoder().encode([ended]).splitlines())
    assert isinstance(read, RunEnded)
    assert read.gateway is not None
    assert read.gateway.last_lines == ["\\udcff"]


def test_nesting_without_end_is_cut() -> None:
    deep: dict[str, Any] = {}
    innermost = deep
    for _ in range(5000):
        innermost["a"] = {}
        innermost = innermost["a"]
    for odd in (None, {"p": ()}, {"p": ("a",)}):
        assert json.loads(EventEncoder(odd).encode([message_event(deep)]))["event"] == "received"


def test_no_events_are_no_bytes() -> None:
    assert EventEncoder().encode([]) == b""


@settings(max_examples=150, deadline=None)
@given(st.lists(messages, min_size=1, max_size=4), st.booleans())
def test_any_message_gives_whole_lines_of_json(batch: list[dict[str, Any]], safe: bool) -> None:
    events = [message_event(message) for message in batch]
    encoded = EventEncoder({"p": ()} if safe else None).encode(events)
    assert encoded.endswith(b"\n")
    lines = encoded.decode().split("\n")[:-1]
    assert len(lines) == len(batch)
    for line in lines:
        event = json.loads(line)
        assert (event["event"], event["t"], event["device"]) == ("received", 1.5, "meter[3]")


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters()), st.integers(), st.floats())
def test_any_text_and_number_in_other_events(text: str, number: int, t: float) -> None:
    events: list[Event] = [
        Undecodable(t, 1, text, text, text, text, text, None, text),
        RunEnded(t, text, text, 0.0, [text], [text], None, {text: number}, {text: t}, [text]),
    ]
    lines = EventEncoder().encode(events).decode().split("\n")[:-1]
    assert [json.loads(line)["event"] for line in lines] == ["undecodable", "run-ended"]
