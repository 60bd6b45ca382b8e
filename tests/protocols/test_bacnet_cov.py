"""BACnet/IP: changes of values (clauses 13.1 and 13.14)."""

from __future__ import annotations

from tests.protocols.bacnet import (
    CODEC,
    device,
    error,
    read,
    subscribe,
    told,
    write,
)

from iotsim.events import Note


def test_a_subscriber_is_told_at_once_and_by_the_increment() -> None:
    one = device()
    subscribe(one)
    one.wait(0)
    assert told(one) == [20.0]
    for value in (20.4, 20.5, 20.9, 21.0):
        one.device.state["air"] = value
        one.wait(1)
    assert told(one) == [20.0, 20.5, 21.0]
    assert one.sent[-1]["time_remaining"] == 56
    assert one.sent[-1]["values"][1] == {
        "property": "status-flags",
        "array_index": None,
        "type": "BIT_STRING",
        "value": "0000",
        "priority": None,
    }


def test_a_subscription_ends_with_its_lifetime_or_its_cancellation() -> None:
    one = device()
    subscribe(one, lifetime=10)
    subscribe(one, lifetime=0, process=2, monitored_object="analog-value,2")
    one.wait(11)
    one.device.state["air"] = 30.0
    write(one, "analog-value,2", "REAL", 1.0)
    one.wait(1)
    assert told(one) == [20.0, 7.5, 1.0]
    subscribe(one, process=2, monitored_object="analog-value,2", confirmed=None, lifetime=None)
    write(one, "analog-value,2", "REAL", 2.0)
    one.wait(5)
    assert told(one) == [20.0, 7.5, 1.0]


def test_a_confirmed_notification_is_repeated_until_it_is_acknowledged() -> None:
    """Clause 5.4.4: after APDU_Timeout, Number_Of_APDU_Retries times."""
    one = device()
    subscribe(one, confirmed=True)
    one.wait(4)
    assert told(one) == [20.0, 20.0]
    number = one.sent[-1]["invoke_id"]
    one.receive(apdu="SIMPLE_ACK", invoke_id=number, service="CONFIRMED_COV_NOTIFICATION")
    one.wait(20)
    assert told(one) == [20.0, 20.0]
    one.device.state["air"] = 30.0
    one.wait(13)
    assert told(one)[2:] == [30.0] * 4
    assert any("does not acknowledge" in each.text for each in one.events if isinstance(each, Note))


def test_errors_of_subscriptions() -> None:
    one = device({"subscriptions": 2})
    (answer,) = subscribe(one, monitored_object="analog-input,9")
    assert error(answer) == "object/unknown-object"
    (answer,) = subscribe(one, monitored_object="device,1000")
    assert error(answer) == "object/optional-functionality-not-supported"
    answers = [subscribe(one, process=process)[0]["apdu"] for process in (1, 2, 2, 3)]
    assert answers == ["SIMPLE_ACK", "SIMPLE_ACK", "SIMPLE_ACK", "ERROR"]
    assert error(subscribe(one, process=4)[0]) == "resources/no-space-to-add-list-element"
    (answer,) = subscribe(one, process=1 << 32)
    assert (answer["apdu"], answer["reason"]) == ("REJECT", "PARAMETER_OUT_OF_RANGE")
    one = device()
    assert subscribe(one, process=(1 << 32) - 1)[0]["apdu"] == "SIMPLE_ACK"


def test_the_increment_of_an_integer_counts_too() -> None:
    """Table 13-1: of a Positive Integer Value, too."""
    item = "positive-integer-value,1"
    one = device({"objects": {item: {"value": "=state.air", "cov_increment": 5}}})
    subscribe(one, monitored_object=item)
    one.wait(0)
    for value in (22, 24, 25, 26):
        one.device.state["air"] = value
        one.wait(1)
    assert told(one) == [20, 25]


def test_what_has_ended_takes_no_place_and_is_told_nothing_between_looks() -> None:
    one = device({"cov_scan": "10m", "subscriptions": 1})
    subscribe(one, lifetime=10, monitored_object="analog-value,2")
    one.wait(20)
    write(one, "analog-value,2", "REAL", 1.0)
    one.wait(1)
    assert told(one) == [7.5]
    assert subscribe(one, process=2)[0]["apdu"] == "SIMPLE_ACK"


def test_subscriptions_can_be_read() -> None:
    """Clause 12.11, Active_COV_Subscriptions: whoever executes SubscribeCOV has it."""
    one = device()
    assert read(one, "device,1000", "active-cov-subscriptions") == []
    subscribe(one, process=7, lifetime=60)
    source = {"network": 5, "address": b"\x0c"}
    subscribe(one, monitored_object="binary-value,1", confirmed=True, lifetime=None, source=source)
    one.wait(10)
    (answer,) = one.receive(
        service="READ_PROPERTY", object="device,1000", property="active-cov-subscriptions"
    )
    octets = bytes.fromhex(
        """
        0e 0e 1e 21 00 65 06 0a4d0001 9c40 1f 0f 19 07 0f 1e 0c 00000001 19 55 1f 29 00 39 32
        4c 3f000000
        0e 0e 1e 21 05 61 0c 1f 0f 19 01 0f 1e 0c 01400001 19 55 1f 29 01 39 00
        """
    )
    assert octets in CODEC.encode(answer)
    one.wait(51)
    assert len(read(one, "device,1000", "active-cov-subscriptions")) == 4
