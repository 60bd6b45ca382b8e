"""A dry run: what a device would do about one datagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import ScenarioError
from iotsim.protocol.registry import load_protocol
from iotsim.run.dryrun import Asked, DryRun, dry_run
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENSORNET = load_protocol("sensornet", []).protocol
METERS = """
[scenario]
seed = 1

[devices.meter]
count = 3
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
state = { level = 1 }

[[devices.meter.rules]]
name = "twice"
when = { kind = "READ", point = 7 }
reply = { kind = "REPORT", value = 7 }
times = 2

[[devices.meter.rules]]
when = { kind = "READ" }
where = "state.level > 3"
reply = [{ kind = "REPORT", value = "=state.level" }, { kind = "REPORT", value = 2 }]
delay = "2s"
set = { level = 0 }

[[devices.meter.rules]]
when = { kind = "COMMAND", code = "REBOOT" }
after = "10s"
drop = true

[[devices.other.rules]]
drop = true

[devices.other]
address = "10.77.2.1"
protocol = [{ name = "sensornet", port = 5601 }, "coap"]

[[expect]]
name = "read"
each = "meter"
receives = { kind = "READ", point = 7 }
within = "5s"

[[expect]]
name = "told"
each = "meter[0:2]"
sends = { kind = "REPORT", value = 9 }
within = "5s"

[[expect]]
name = "not its own"
each = "other"
receives = { kind = "READ" }
within = "5s"

[[expect]]
name = "spoilt"
each = "meter"
receives = { undecodable = true }
never = true
"""


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., DryRun]:
    def ask(
        message: dict[str, Any] | bytes, to: str = "meter[1]", text: str = METERS, **asked: Any
    ) -> DryRun:
        payload = message if isinstance(message, bytes) else SENSORNET.codec.encode(message)
        return dry_run(load_text(text, tmp_path / "it.toml"), to, Asked(payload, **asked))

    return ask


def read(point: int = 0) -> dict[str, Any]:
    return {"kind": "READ", "device": 1, "seq": 5, "point": point}


def test_the_rule_that_applies_answers(ask: Callable[..., DryRun]) -> None:
    done = ask(read(7))
    ((_, rules),) = ((one.message, one.rules) for one in done.handed)
    assert [one.applies for one in rules] == [True, False, False]
    (answer,) = done.answers
    assert answer.message is not None
    assert (answer.message["value"], answer.message["seq"]) == (7.0, 5)
    assert answer.payload == SENSORNET.answer_codec.encode(answer.message)
    assert (answer.t, done.outcome) == (0.0, "answered")


def test_each_rule_says_why_it_does_not_apply(ask: Callable[..., DryRun]) -> None:
    done = ask({"kind": "COMMAND", "device": 1, "seq": 1, "code": "REBOOT"}, at_s=4.0)
    (handed,) = done.handed
    assert not done.answers
    assert done.outcome == "consumed.no-rule"
    assert [one.differences for one in handed.rules] == [
        ["kind is COMMAND instead of READ", "point is absent instead of 7"],
        [
            "kind is COMMAND instead of READ",
            "where 'state.level > 3' does not hold: state.level is 1",
        ],
        ["it applies from 10 s after the boot on, in 6 s"],
    ]


def test_time_and_state_can_be_given(ask: Callable[..., DryRun]) -> None:
    done = ask({"kind": "COMMAND", "device": 1, "seq": 1, "code": "REBOOT"}, at_s=10.0)
    assert [one.applies for one in done.handed[0].rules] == [False, False, True]
    assert done.outcome == "consumed.drop-rule"
    done = ask(read(), state={"level": 4})
    assert [(one.t, one.message["value"]) for one in done.answers if one.message] == [
        (2.0, 0.0),  # replies are built from the state that the rule has set
        (2.0, 2.0),
    ]


def test_expectations_are_compared_with_what_was_heard_and_said(
    ask: Callable[..., DryRun],
) -> None:
    done = ask(read(7))
    found = {one.expectation.name: [str(m) for m in one.mismatches] for one in done.compared}
    assert found == {"read": [], "told": ["value: expected 9, not 7"]}
    done = ask(read(7), to="meter[2]")
    assert [one.expectation.name for one in done.compared] == ["read"]


def test_parts_of_a_sequence_are_compared_too(ask: Callable[..., DryRun]) -> None:
    text = (
        METERS
        + """
        [[expect]]
        name = "in turn"
        each = "meter"
        sequence = [{ receives = { kind = "READ", point = 8 } }, { sends = { kind = "REPORT" } }]
    """
    )
    done = ask(read(7), to="meter[2]", text=text)
    found = [
        (one.look.direction, [str(m) for m in one.mismatches])
        for one in done.compared
        if one.expectation.name == "in turn"
    ]
    assert found == [("receives", ["point: expected 8, not 7"]), ("sends", [])]


def test_what_is_no_message_asks_no_rule(ask: Callable[..., DryRun]) -> None:
    done = ask(bytes.fromhex("534eff"))
    assert done.dissection.message is None
    assert done.dissection.error is not None
    assert done.dissection.error.offset == 3
    assert not done.handed
    assert [one.expectation.name for one in done.compared] == ["spoilt"]
    assert done.outcome == "dropped.undecodable"


def test_the_address_follows_the_sender(ask: Callable[..., DryRun]) -> None:
    done = ask(read(7), source=(0xFD77 << 112 | 0x99, 4000))
    assert done.address == 0xFD77 << 112 | 0x10002
    assert done.peer[1] == 4000
    assert done.outcome == "answered"


def test_a_session_answers_at_the_port_that_is_asked(ask: Callable[..., DryRun]) -> None:
    coap = load_protocol("coap", []).protocol
    get = {"type": "CON", "code": "GET", "message_id": 9, "path": "/nothing"}
    done = ask(coap.codec.encode(get), to="other", port=5683)
    (answer,) = done.answers
    assert answer.message is not None
    assert answer.message["code"] == "NOT_FOUND"


def test_a_behavior_answers(ask: Callable[..., DryRun], tmp_path: Path) -> None:
    (tmp_path / "meter.py").write_text(
        "from iotsim import Device, on\n"
        "class Meter(Device):\n"
        "    @on(kind='READ')\n"
        "    def read(self, request):\n"
        "        return {'kind': 'REPORT', 'value': 3}\n"
    )
    text = """
        [devices.meter]
        address = "10.77.1.1"
        protocol = "sensornet"
        behavior = "meter.py:Meter"
    """
    done = ask(read(), to="meter", text=text)
    assert done.has_behavior
    assert done.handed[0].rules == []
    assert [one.message["value"] for one in done.answers if one.message] == [3.0]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"to": "metre"}, "did you mean 'meter'"),
        ({"to": "meter"}, "names 3 devices"),
        ({"to": "meter[3]"}, "there is no 'meter[3]'"),
        ({"port": 99}, "no protocol of 'meter' is at port 99"),
        ({"state": {"lvel": 3}}, "the state of meter[1] has no 'lvel'"),
        ({"to": "other", "source": (0xFD77 << 112, 1)}, "no address of that IP version"),
    ],
)
def test_what_cannot_be_asked(
    ask: Callable[..., DryRun], asked: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        ask(read(), **asked)
    assert problem in str(error.value)


def test_before_its_boot_nobody_is_there(ask: Callable[..., DryRun]) -> None:
    text = METERS.replace("count = 3", 'count = 3\nboot = { delay = "2s" }', 1)
    with pytest.raises(ScenarioError, match=r"boots 2\.000 s into the run"):
        ask(read(7), text=text, at_s=1.0)
    assert ask(read(7), text=text).t == 2.0
