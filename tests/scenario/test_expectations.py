"""Expectations that could never hold, or never fail, prove nothing: they are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text

PLACE = Path("/nowhere/test.toml")
DEVICES = """
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
when = { kind = "READ" }
reply = { kind = "ACK" }
[devices.mute]
address = "10.77.2.1"
protocol = "sensornet"
[[devices.mute.rules]]
drop = true
[devices.greeter]
address = "10.77.3.1"
protocol = "sensornet"
boot = { announce = { kind = "ACK", device = 1, seq = 0 } }
"""
GATEWAY = '[gateway]\ncommand = ["x"]\n'


def told(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_text(text, PLACE)
    return [re.sub(r"^[^ ]+:\d+: ", "", str(problem)) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('within = "0s"', "expect[0].within: must be greater than 0"),
        ("always = {}", "always: asks nothing: name a field that every message must have"),
        ("count = { min = 0 }", "expect[0].count: asks nothing: at least 0 always come"),
        ("count = {}", "expect[0].count: needs 'min' or 'max', or is a number itself"),
        ("count = { min = 3, max = 2 }", "expect[0].count.min: min is greater than max"),
    ],
)
def test_what_asks_nothing(keys: str, problem: str) -> None:
    text = DEVICES + '[[expect]]\neach = "meter"\nreceives = {}\n'
    assert told(text + keys) == [problem.replace("always:", "expect[0].always:", 1)]


def test_a_name_that_is_no_fleets_hides_no_wrong_field_behind_it() -> None:
    text = '[[expect]]\neach = "metre"\nreceives = { knid = "READ", seq = "x" }\nnever = true'
    assert told(DEVICES + text) == [
        "expect[0].each: there are no devices called 'metre' (did you mean 'meter'?)",
        "expect[0].receives.knid: unknown field 'knid' (did you mean 'kind'?)",
        "expect[0].receives.seq: 'x', but 'seq' is an integer (an expression begins with '=')",
    ]
    (unlike,) = told(DEVICES + text.replace("metre", "lamp"))  # whose fields nobody knows
    assert "no devices called 'lamp'" in unlike


@pytest.mark.parametrize(
    "table",
    [
        '[[step]]\nat = "1s"\nsend = { knid = "ACK" }\n',
        '[[impair]]\nloss = "5%"\nwhen = { knid = "READ" }\n',
    ],
)
def test_nor_where_devices_do_something_or_are_disturbed(table: str) -> None:
    problems = "\n".join(told(DEVICES + table + 'devices = "metre"\n'))
    assert "no devices called 'metre' (did you mean 'meter'?)" in problems
    assert "unknown field 'knid'" in problems


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ("version = { min = 5, max = 3 }", "expect[0].receives.version"),
        ("version = { any = [] }", "expect[0].receives.version"),
        ("version = { min = 300 }", "expect[0].receives.version"),
        ("version = 300", "expect[0].receives.version"),
        ('kind = { any = ["READ", "RAED"] }', "expect[0].receives.kind"),
        ("kind = { not = 'RAED' }", "expect[0].receives.kind"),
        ("kind = { exists = false, min = 3 }", "expect[0].receives.kind"),
    ],
)
def test_what_no_message_can_match(match: str, problem: str) -> None:
    text = DEVICES + f'[[expect]]\neach = "meter"\nreceives = {{ {match} }}\nnever = true\n'
    assert told(text)[0].startswith(problem)


@pytest.mark.parametrize("kind", ['within = "1s"', "never = true", "count = { max = 3 }"])
def test_devices_that_never_send(kind: str) -> None:
    for devices in ('"mute"', '["meter", "mute"]'):
        text = DEVICES + f"[[expect]]\neach = {devices}\nsends = {{}}\n{kind}\n"
        assert told(text) == [
            "expect[0].sends: 'mute' never sends: it has neither a reply, 'send', nor behavior"
        ]
    load_text(DEVICES + f'[[expect]]\neach = ["meter", "greeter"]\nsends = {{}}\n{kind}\n', PLACE)
    load_text(DEVICES + f'[[expect]]\neach = "mute"\nreceives = {{}}\n{kind}\n', PLACE)


@pytest.mark.parametrize("gateway", ["", "[gateway]\nport = 5\n"])
def test_a_gateway_of_which_nothing_is_known(gateway: str) -> None:
    text = gateway + "[[expect]]\ngateway = { running = true }\n"
    assert told(text) == [
        "expect[0].gateway: there is no process to look at: [gateway] has no 'command'"
    ]


def test_an_exit_that_would_be_a_crash() -> None:
    text = "[[expect]]\ngateway = { exit = 3 }\n"
    (problem,) = told(GATEWAY + text)
    assert problem.startswith("expect[0].gateway.exit: with this status, the gateway has crashed:")
    assert problem.endswith("its 'expect_exit' is 0 (write expect_exit = 3 in [gateway])")
    load_text(GATEWAY + "expect_exit = 3\n" + text, PLACE)
    load_text(GATEWAY + text.replace("3", "0"), PLACE)
