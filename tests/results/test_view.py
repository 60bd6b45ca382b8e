"""Events, chosen and told in a line each: what ``iotsim show`` makes of the lines of events.jsonl."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim import events
from iotsim.errors import ExpressionError
from iotsim.results import view
from iotsim.results.formats import kinds
from iotsim.results.jsonl import EventEncoder
from iotsim.results.view import Choice, Teller, Where, around, choose

if TYPE_CHECKING:
    from collections.abc import Iterator

ENCODER = EventEncoder()
HOSTILE = "x\x1b[2J\x9b1m\x07\b\r\t\x7f\u202eevil\u2066\u200b\u2028\ufeff\U000e0041\n"


def received(number: int, device: str, t: float, **message: Any) -> events.Event:
    return events.Received(t, number, device, "10.77.0.1:5600", "p", message)


def sent(number: int, device: str, t: float, asked: int = 0, **message: Any) -> events.Event:
    return events.Sent(t, number, device, "10.77.0.1:5600", "p", message, asked)


POLLED = [
    received(1, "meter[0]", 1.0, kind="READ", seq=1),
    sent(2, "meter[0]", 1.25, 1, kind="REPORT", value=20),
    received(3, "meter[1]", 2.0, kind="READ", seq=2),
    sent(4, "meter[1]", 2.5, 3, kind="REPORT", value=40),
    events.Note(3.0, "something"),
    events.Undecodable(4.0, 5, "meter[1]", "10.77.0.1:5600", "p", "too short", "crc", 9, "00ff"),
]


def lines(*happened: events.Event) -> list[bytes]:
    return ENCODER.encode(happened or POLLED).splitlines(keepends=True)


def numbers(choice: Choice, *happened: events.Event) -> list[int]:
    return [seen.event.get("id", 0) for seen in choose(lines(*happened), choice)]


def where(text: str) -> list[int]:
    addresses = {"meter[0]": "10.77.1.1"}
    return numbers(Choice(where=Where(text, lambda name: addresses.get(name, ""))))


def test_everything_is_wanted_unless_something_is_asked_for() -> None:
    assert numbers(Choice()) == [1, 2, 3, 4, 0, 5]


def test_events_are_chosen_by_device_time_and_kind() -> None:
    assert numbers(Choice(device=lambda name: name == "meter[1]")) == [3, 4, 5]
    assert numbers(Choice(start=1.25, end=2.0)) == [2, 3]
    assert numbers(Choice(kinds={"sent", "note"})) == [2, 4, 0]
    of_one = Choice(device=lambda name: name == "meter[0]", besides={"note"})
    assert numbers(of_one) == [1, 2, 0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('msg.kind == "READ"', [1, 3]),
        ("msg.value > 20", [4]),
        ("msg.seq in [2, 3]", [3]),
        ("'value' in msg", [2, 4]),
        ("device.index == 1", [3, 4, 5]),
        ('device.name == "meter[0]"', [1, 2]),
        ('device.address == "10.77.1.1"', [1, 2]),
        ("t < 1.5 and not msg.seq == 1", []),
        ("t >= 2.5", [4, 0, 5]),
        ("request.seq == 1", [2]),
        ("request.seq == 2 and msg.value == 40", [4]),
        ("msg.nothing.there[3] == 1", []),
    ],
)
def test_an_expression_chooses(text: str, found: list[int]) -> None:
    assert where(text) == found


@pytest.mark.parametrize(
    "text", ["mgs.kind == 1", "state.x", "north.x", "open('x')", "msg.__class__"]
)
def test_an_expression_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Where(text)
    assert caught.value.column > 0


def test_an_expression_that_fails_holds_for_nothing_and_is_told_of() -> None:
    condition = Where("msg.kind < 3")
    assert numbers(Choice(where=condition)) == []
    assert condition.failed == 4
    assert "not supported" in str(condition.error)
    assert list(condition.fields) == ["kind", "seq", "value"]


def test_a_field_that_is_absent_is_no_failure() -> None:
    condition = Where("msg.value > 20")
    assert numbers(Choice(where=condition)) == [4]
    assert condition.failed == 0


def test_northbound_messages_have_fields_too() -> None:
    up = events.Northbound(1.0, 7, "cloud", {"topic": "a/b", "json": {"value": 3}})
    assert numbers(Choice(where=Where("msg.json.value == 3")), up) == [7]


def test_what_went_northbound_begins_with_what_it_says() -> None:
    headers = {f"x-header-{n}": "y" * 50 for n in range(20)}
    reading = {
        "id": "1.12",
        "device": 3,
        "seq": 7,
        "unit": "degree Celsius",
        "name": "z" * 40,
        "value": 21.5,
    }
    fields = {
        "method": "POST",
        "path": "/readings",
        "query": {},
        "headers": headers,
        "json": reading,
        "body": "{…}",
        "status": 200,
    }
    (seen,) = choose(lines(events.Northbound(1.0, 7, "cloud", fields)), Choice())
    told = Teller().line(seen)
    assert "northbound       cloud  json={id=1.12 device=3 seq=7" in told
    assert "value=21.5} method=POST path=/readings" in told
    assert told.index("body={…}") < told.index("headers={")
    assert told.endswith("#7")


def test_what_is_no_event_is_passed_over() -> None:
    foreign = [
        b"",
        b"\n",
        b"[]\n",
        b"\xff\n",
        b'{"event":3,"t":1}\n',
        b'{"event":"sent","t":"x"}\n',
    ]
    foreign += [b'{"event":"received","t":1.0,"id":9,"device":"m[0]","message":3}\n']
    foreign += [lines()[0][:-10]]
    (seen,) = choose(foreign, Choice(where=Where("t == 1 and device.index == 0")))
    assert seen.event["id"] == 9
    assert Teller().line(seen)


def test_a_line_tells_when_whose_what_and_what_it_answers() -> None:
    teller = Teller(len("meter[10]"))
    told = [teller.line(seen) for seen in choose(lines(), Choice())]
    assert told[0] == (
        "    1.000000 s  +0.000000  meter[0]   received         "
        "kind=READ seq=1  from 10.77.0.1:5600  #1"
    )
    assert told[1] == (
        "    1.250000 s  +0.250000  meter[0]   sent             "
        "kind=REPORT value=20  to 10.77.0.1:5600  #2 answers #1 after 250.000 ms"
    )
    assert told[4].endswith("note             something")
    assert "crc: too short at byte 9: 00ff" in told[5]


def test_of_an_answer_whose_request_is_not_shown_the_time_is_told_too() -> None:
    (seen,) = choose(lines(), Choice(start=2.4, kinds={"sent"}))
    assert Teller().line(seen).endswith("#4 answers #3 after 500.000 ms")


def test_what_befell_a_message_is_told() -> None:
    lost = events.Received(
        1.0, 1, "m[0]", "a:1", "p", {"a": 1}, impaired="radio", fate="delayed", delay_s=0.02
    )
    (seen,) = choose(lines(lost), Choice())
    assert "[radio: delayed, 20 ms later]" in Teller().line(seen)


def test_lines_around_a_moment() -> None:
    seen = list(choose(lines(*(received(n, "m[0]", float(n)) for n in range(1, 101))), Choice()))
    earlier, later = around(seen, 50.0, before=3, after=2)
    assert [one.t for one in earlier] == [48.0, 49.0, 50.0]
    assert [one.t for one in later] == [51.0, 52.0]
    earlier, later = around(seen, None, before=2)
    assert ([one.t for one in earlier], later) == ([99.0, 100.0], [])


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_every_kind_of_event_is_told_on_one_safe_line(kind: type[events.Event]) -> None:
    from tests.results.test_formats import filled

    (line,) = lines(filled(kind))
    (seen,) = choose([line], Choice())
    told = Teller(8).line(seen)
    assert told.isprintable()
    assert str(kind.__struct_config__.tag) in told


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_stays_on_its_line(text: str, t: float) -> None:
    happened = [
        events.Received(t, 1, text, text, text, {"a": text}),
        events.Sent(t, 2, text, text, text, {text: text}, 1),
        events.NotSent(t, text, text, 1, text, {text: [text]}),
        events.GatewayOutput(t, text),
        events.PacketDropped(t, text, text),
    ]
    teller = Teller(5)
    for seen in choose(lines(*happened), Choice()):
        told = teller.line(seen)
        assert "\n" not in told
        assert not {"\x1b", "\r", "\t", "\u202e", "\x9b"} & set(told)
        assert len(told) <= view.LONGEST_LINE


def test_hostile_text_is_shown_by_its_escapes() -> None:
    (seen,) = choose(lines(events.GatewayOutput(1.0, HOSTILE)), Choice())
    told = Teller().line(seen)
    assert told.isascii()
    assert "\\x1b[2J" in told


def test_memory_does_not_grow_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "ASKED", 1000)

    def polled(first: int, count: int) -> Iterator[bytes]:
        for number in range(first, first + count):
            yield from lines(received(2 * number, "m[0]", float(number), kind="READ"))
            yield from lines(sent(2 * number + 1, "m[0]", number + 0.1, 2 * number, kind="A"))

    chosen = choose(polled(1, 3 * view.ASKED), Choice(where=Where("request.kind == 'READ'")))
    for _ in range(2 * view.ASKED):
        next(chosen)
    tracemalloc.start()
    try:
        count = sum(1 for _ in chosen)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == view.ASKED
    assert peak < 2_000_000
