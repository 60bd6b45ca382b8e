"""BACnet/IP: models and rules."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.bacnet import (
    READ_ALL,
    device,
    read,
)

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed


@pytest.mark.parametrize(
    "model",
    [
        {"objects": {"analog-input": 1}},
        {"objects": {"file,1": 1}},
        {"objects": {"analog-input,1": "warm"}},
        {"objects": {"binary-value,1": {"value": True, "relinquish_default": "on"}}},
        {"objects": {"analog-input,4194303": 1}},
        {"objects": {"analog-input,1": {"value": 1, "units": "bananas"}}},
        {
            "objects": {
                "analog-input,1": {"value": 1, "name": "a"},
                "analog-input,2": {"value": 1, "name": "a"},
            }
        },
        {"max_apdu": 1000},
        {"foreign": {"bbmd": "nowhere"}},
    ],
)
def test_a_model_that_cannot_be_is_told(model: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError):
        device(model)


@pytest.mark.parametrize(
    ("item", "what", "reason"),
    [
        ("multi-state-value,1", {"value": 5, "states": ["a", "b"]}, "5 is no state: .* 1 to 2"),
        ("multi-state-output,2", 0, "0 is no state: .* 1 to 255"),
        ("multi-state-input,1", {"value": 1, "relinquish_default": 256}, "256 is no state"),
        ("binary-output,1", 7, "7 is no ENUMERATED"),
        ("binary-input,1", "7", "'7' is no ENUMERATED"),
        ("binary-value,1", {"value": True, "relinquish_default": 0.5}, "0.5 is no ENUMERATED"),
    ],
)
def test_a_value_that_no_write_could_give_is_told(item: str, what: Any, reason: str) -> None:
    with pytest.raises(ScenarioError, match=f"{item}, .*: {reason}"):
        device({"objects": {item: what}})


@pytest.mark.parametrize(
    ("item", "expression", "reason"),
    [
        ("multi-state-value,1", "=state.setpoint - 21", "0 is no state"),
        ("binary-input,1", "=state.air", "20.0 is no ENUMERATED"),
    ],
)
def test_an_expression_that_gives_such_a_value_is_the_scenarios_mistake(
    item: str, expression: str, reason: str
) -> None:
    one = device({"objects": {item: expression}}, may_fail=True)
    one.receive(service="READ_PROPERTY", object=item, property="present-value")
    (failed,) = (event for event in one.events if isinstance(event, DeviceFailed))
    assert f"{item}, present-value: {reason}" in failed.error


@pytest.mark.parametrize(("value", "name"), [(True, "active"), (0, "inactive"), (1.0, "active")])
def test_a_binary_value_may_be_a_number(value: float, name: str) -> None:
    assert read(device({"objects": {"binary-input,1": value}}), "binary-input,1") == name


@pytest.mark.parametrize("key", ["cov_scan", "apdu_timeout", "segment_timeout"])
def test_times_of_a_model_are_more_than_none(key: str) -> None:
    with pytest.raises(ScenarioError, match=key):
        device({key: "0s"})


def test_a_property_that_cannot_be_is_told() -> None:
    with pytest.raises(ScenarioError, match="max-pres-value"):
        device(
            {"objects": {"analog-input,1": {"value": 1, "properties": {"max-pres-value": "warm"}}}}
        )


ERROR = {"apdu": "ERROR", "service": "READ_PROPERTY", "error_class": "device", "error_code": 0}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (
            {"service": "UTC_TIME_SYNCHRONIZATION", "date": "*-*-*", "time": "*:*:*.*", "low": 1},
            "low",
        ),
        ({"service": "WHO_IS", "low": 1, "high": 2, "vendor": 3}, "vendor"),
        ({"service": "WHO_IS", "reason": "OTHER"}, "reason"),
        ({"service": "WHO_IS", "ttl": 5}, "ttl"),
        ({"apdu": "SIMPLE_ACK", "service": "WRITE_PROPERTY", "value": 1}, "value"),
        ({**ERROR, "reason": "OTHER"}, "reason"),
        ({"function": "REGISTER_FOREIGN_DEVICE", "ttl": 5, "value": 5}, "value"),
        ({"service": "READ_RANGE", "parameters": [], "value": 5}, "value"),
        ({**READ_ALL, "value": 5}, "value"),
    ],
)
def test_a_field_of_another_message_is_told_before_the_run(
    fields: dict[str, Any], path: str
) -> None:
    for rule in (
        {"when": {"service": "READ_PROPERTY"}, "reply": fields},
        {"after": "1s", "send": fields},
    ):
        with pytest.raises(ScenarioError, match=f"{path}: .* has no such field"):
            device(rules=[rule])


def test_what_a_rule_repeats_is_no_fault() -> None:
    whole = {"when": {"service": "READ_PROPERTY"}, "reply": {"apdu": "COMPLEX_ACK", "value": 5.0}}
    one = device(rules=[whole])
    assert read(one, "analog-input,77") == 5.0


def test_a_rule_answers_before_the_model() -> None:
    rule = {
        "when": {"service": "READ_PROPERTY", "object": "analog-input,1"},
        "reply": {"apdu": "ERROR", "error_class": "device", "error_code": "operational-problem"},
    }
    one = device(rules=[rule])
    assert read(one, "analog-input,1") == "device/operational-problem"
    assert read(one, "analog-value,2") == 7.5


def test_what_a_rule_sends_is_repeated_until_it_is_answered() -> None:
    one = device()
    one.say(service="READ_PROPERTY", object="analog-value,1", property="present-value")
    one.wait(4)
    assert len(one.sent) == 2
    one.receive(apdu="ABORT", invoke_id=one.sent[-1]["invoke_id"], reason="OTHER")
    one.wait(20)
    assert len(one.sent) == 2
