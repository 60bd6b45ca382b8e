"""Rules about answers to what devices ask, and about what nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.session.helpers import write_protocol

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed, Note
from iotsim.testing import Transcript

if TYPE_CHECKING:
    from pathlib import Path

ASKS = {"send": {"kind": "REPORT", "device": 1, "value": 20.5, "seq": 7}, "to": "10.77.0.1:40000"}
REPORT = {**ASKS, "after": "1s"}
STATE = {"acknowledged": 0.0, "lost": 0, "last": 0}


def meter(*rules: dict[str, Any], **state: Any) -> Transcript:
    return Transcript("sensornet", rules=list(rules), state={**STATE, **state})


def test_an_answer_is_seen_with_what_it_answers() -> None:
    device = meter(
        REPORT,
        {"when": {"kind": "ACK"}, "set": {"acknowledged": "=request.value", "last": "=msg.seq"}},
    )
    device.wait(2)
    device.receive(kind="ACK", device=1, seq=7)
    assert device.device.state == {**STATE, "acknowledged": 20.5, "last": 7}


def test_its_fields_may_be_named_as_those_of_a_table() -> None:
    device = meter(REPORT, {"when": {"kind": "ACK"}, "set": {"acknowledged": "=request['value']"}})
    device.wait(2)
    device.receive(kind="ACK", device=1, seq=7)
    assert device.device.state["acknowledged"] == 20.5


def test_what_is_no_answer_lacks_it() -> None:
    device = meter(
        REPORT,
        {"when": {"kind": "ACK"}, "where": "request.value > 0", "set": {"acknowledged": 1.0}},
        {"when": {"kind": "ACK"}, "set": {"last": "=msg.seq"}},
    )
    device.wait(2)
    device.receive(kind="ACK", device=1, seq=8)  # another number
    assert device.device.state == {**STATE, "last": 8}
    device.receive(kind="ACK", device=1, seq=7, peer="10.77.0.9:40000")  # somebody else
    assert device.device.state == {**STATE, "last": 7}
    device.receive(kind="ACK", device=1, seq=7)
    assert device.device.state["acknowledged"] == 1.0
    device.receive(kind="ACK", device=1, seq=7)  # it was answered already
    assert device.device.state == {**STATE, "acknowledged": 1.0, "last": 7}


def test_a_rule_that_needs_it_fails_without() -> None:
    rule = {"when": {"kind": "ACK"}, "set": {"acknowledged": "=request.value"}}
    device = Transcript("sensornet", rules=[rule], state=STATE, may_fail=True)
    device.receive(kind="ACK", device=1, seq=7)
    (failed,) = (event for event in device.events if isinstance(event, DeviceFailed))
    assert "the message answers no request, in '=request.value'" in failed.error


def test_what_nobody_answers_is_told() -> None:
    device = meter(
        REPORT,
        {"when": {"unanswered": True, "seq": 7}, "set": {"lost": "=state.lost + 1"}},
        {"when": {"unanswered": True}, "set": {"lost": 100}},
    )
    device.wait(5.9)
    assert device.device.state["lost"] == 0
    device.wait(0.2)
    assert device.device.state["lost"] == 1
    (note,) = (event.text for event in device.events if isinstance(event, Note))
    assert note.startswith("device[0]: 10.77.0.1:40000 has not answered: REPORT ")


@pytest.mark.parametrize("ends", ["answered", "reboot"])
def test_what_is_answered_or_forgotten_is_not(ends: str) -> None:
    device = meter(
        {**REPORT, "times": 1}, {"when": {"unanswered": True}, "set": {"lost": "=state.lost + 1"}}
    )
    device.wait(2)
    if ends == "reboot":
        device.reboot()
        device.wait(4.5)
    else:
        device.receive(kind="ACK", device=1, seq=7)
        device.wait(9)
    assert device.device.state["lost"] == 0


def test_a_session_knows_itself_what_answers_what(tmp_path: Path) -> None:
    rules = [
        {"send": {"code": "GET", "path": "/a"}, "to": "10.77.0.1:40000", "after": "1s"},
        {"send": {"code": "GET", "path": "/b"}, "to": "10.77.0.1:40000", "after": "2s"},
        {"when": {"code": "CONTENT"}, "set": {"path": "=request.path", "body": "=msg.payload"}},
        {"when": {"unanswered": True, "path": "/b"}, "set": {"lost": "=msg.path"}},
    ]
    state = {"path": "", "body": "", "lost": ""}
    device = Transcript("coap", rules=rules, state=state)
    device.wait(1.5)
    asked = device.sent[0]
    same = {name: asked[name] for name in ("message_id", "token")}
    device.receive(type="ACK", code="CONTENT", payload="hello", **same)
    assert device.device.state == {"path": "/a", "body": "hello", "lost": ""}
    device.wait(100)
    assert device.device.state == {"path": "/a", "body": "hello", "lost": "/b"}


def test_a_session_that_does_not_goes_by_what_is_echoed(tmp_path: Path) -> None:
    write_protocol(tmp_path, "class Talk(Session):\n    pass\n")
    path = tmp_path / "talk.py"
    path.write_text(path.read_text().replace("session=Talk", 'session=Talk, echo=["number"]'))
    rules = [
        {"send": {"kind": "PUT", "number": 3}, "to": "10.77.0.1:40000", "after": "1s"},
        {"when": {"kind": "ACK"}, "set": {"last": "=request.kind"}},
    ]
    device = Transcript("talk", folder=tmp_path, rules=rules, state={"last": ""})
    device.wait(1.5)
    device.receive(kind="ACK", number=3)
    assert device.device.state["last"] == "PUT"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"when": {"unanswered": 1}, "set": {"lost": 1}}, "when.unanswered: must be true"),
        ({"when": {"unanswered": True}, "reply": {"kind": "ACK"}}, "there is nobody to reply to"),
        (
            {"when": {"kind": "ACK"}, "set": {"lost": "=request.nope"}},
            "the request has no field 'nope'",
        ),
        (
            {"when": {"unanswered": True}, "set": {"lost": "=request.seq"}},
            "there is no 'request' here",
        ),
        ({**REPORT, "where": "request.seq"}, "there is no 'request' here"),
    ],
)
def test_what_is_wrong_is_found_before(rule: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        meter(rule)
    assert complaint in str(caught.value)
