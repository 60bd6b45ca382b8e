"""BACnet/IP: what a device answers, by the clauses of ASHRAE 135, and what it says by itself."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import DecodeError, EncodeError, ScenarioError
from iotsim.events import DeviceFailed, Note, SessionFailed
from iotsim.protocol.registry import load_protocol
from iotsim.testing import Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

LOADED = load_protocol("bacnet")
CODEC = LOADED.protocol.codec
BROADCAST = "10.77.255.255"
OTHER = "10.77.0.2:47808"
OBJECTS: dict[str, Any] = {
    "analog-input,1": {
        "name": "Supply air",
        "value": "=state.air",
        "units": "degrees-celsius",
        "cov_increment": 0.5,
    },
    "analog-input,2": "=20 + t",
    "analog-value,1": {"value": "=state.setpoint", "commandable": True, "relinquish_default": 18},
    "analog-value,2": 7.5,
    "binary-output,1": "=state.fan",
    "binary-value,1": False,
    "multi-state-value,1": {"value": 1, "states": ["off", "low", "high"]},
    "integer-value,1": -5,
    "positive-integer-value,1": 5,
    "characterstring-value,1": "text",
}
STATE = {"air": 20.0, "setpoint": 21.0, "fan": False}


def device(model: dict[str, Any] | None = None, **rest: Any) -> Transcript:
    return Transcript(
        "bacnet", model={"instance": 1000, "objects": OBJECTS, **(model or {})}, state=STATE, **rest
    )


def read(one: Transcript, item: str, prop: str = "present-value", index: int | None = None) -> Any:
    """The value of a property, or the error."""
    (answer,) = one.receive(
        service="READ_PROPERTY", object=item, property=prop, array_index=index, invoke_id=7
    )
    assert answer["invoke_id"] == 7
    return answer["value"] if answer["apdu"] == "COMPLEX_ACK" else error(answer)


def error(answer: Mapping[str, Any]) -> str:
    assert answer["apdu"] == "ERROR"
    return f"{answer['error_class']}/{answer['error_code']}"


def write(one: Transcript, item: str, kind: str, value: Any, **rest: Any) -> str:
    """ "" if it was written, else the error."""
    fields = {"property": "present-value", **rest}
    sent = one.receive(service="WRITE_PROPERTY", object=item, type=kind, value=value, **fields)
    return "" if sent[0]["apdu"] == "SIMPLE_ACK" else error(sent[0])


# -- discovery (clauses 16.9 and 16.10) --------------------------------------------------------------


def who_is(one: Transcript, **fields: Any) -> list[Mapping[str, Any]]:
    return one.receive(function="ORIGINAL_BROADCAST_NPDU", service="WHO_IS", at=BROADCAST, **fields)


def test_who_is_by_broadcast_is_answered_by_broadcast() -> None:
    one = device({"vendor": 99})
    (answer,) = who_is(one)
    assert (answer["function"], answer["service"]) == ("ORIGINAL_BROADCAST_NPDU", "I_AM")
    assert (answer["device"], answer["vendor"]) == ("device,1000", 99)
    assert (answer["max_apdu_accepted"], answer["segmentation"]) == (1476, "both")
    assert one.lines()[-1].split()[2] == f"{BROADCAST}:47808"


def test_who_is_of_one_device_is_answered_to_who_has_asked() -> None:
    (answer,) = device().receive(service="WHO_IS")
    assert (answer["function"], answer["service"]) == ("ORIGINAL_UNICAST_NPDU", "I_AM")


@pytest.mark.parametrize(
    ("low", "high", "answers"),
    [(1000, 1000, 1), (0, 999, 0), (1001, 4194303, 0), (0, 4194303, 1), (5, None, 0)],
)
def test_who_is_has_a_range(low: int, high: int | None, answers: int) -> None:
    assert len(who_is(device(), low=low, high=high)) == answers


def test_who_has_finds_objects_by_identifier_and_by_name() -> None:
    one = device()
    (answer,) = one.receive(service="WHO_HAS", object="analog-input,1")
    assert (answer["object"], answer["object_name"]) == ("analog-input,1", "Supply air")
    (answer,) = one.receive(service="WHO_HAS", object_name="Supply air")
    assert answer["object"] == "analog-input,1"
    assert one.receive(service="WHO_HAS", object_name="no such one") == []


def test_a_request_from_another_network_is_answered_there() -> None:
    """Clause 6.2.2: the source of the request is the destination of the answer."""
    one = device()
    source = {"network": 5, "address": b"\x0c"}
    (answer,) = one.receive(
        service="READ_PROPERTY", object="analog-value,2", property="present-value", source=source
    )
    assert (answer["destination"], answer["hop_count"]) == (source, 255)
    (answer,) = who_is(one, source=source)
    assert answer["destination"] == {"network": 5, "address": b""}


def test_what_is_for_another_network_is_not_for_a_device() -> None:
    elsewhere = {"network": 9, "address": b""}
    assert device().receive(service="WHO_IS", destination=elsewhere) == []
    everywhere = {"network": 0xFFFF, "address": b""}
    assert len(device().receive(service="WHO_IS", destination=everywhere)) == 1


def test_a_forwarded_request_is_answered_to_its_origin() -> None:
    """Clause J.4.5: the BBMD has sent it, and the origin is who has asked."""
    one = device()
    one.receive(
        function="FORWARDED_NPDU",
        origin="10.77.0.9:47809",
        service="READ_PROPERTY",
        object="analog-value,2",
        property="present-value",
    )
    assert "-> 10.77.0.9:47809 COMPLEX_ACK READ_PROPERTY" in one.lines()[-1]


def test_confirmed_requests_by_broadcast_are_not_answered() -> None:
    answers = device().receive(
        service="READ_PROPERTY", object="device,1000", property="object-name", at=BROADCAST
    )
    assert answers == []


# -- reading (clauses 15.5 and 15.7) -----------------------------------------------------------------


def test_values_have_the_types_of_their_properties() -> None:
    one = device()
    values = [read(one, item) for item in OBJECTS]
    assert values == [20.0, 20.0, 21.0, 7.5, "inactive", "inactive", 1, -5, 5, "text"]
    assert read(one, "analog-input,1", "units") == "degrees-celsius"
    assert read(one, "analog-input,1", "status-flags") == "0000"
    assert read(one, "device,1000", "object-name") == "device[0]"
    assert read(one, "device,4194303", "object-identifier") == "device,1000"


def test_errors_of_reading() -> None:
    one = device()
    assert read(one, "analog-input,99") == "object/unknown-object"
    assert read(one, "analog-input,1", "priority-array") == "property/unknown-property"
    assert read(one, "analog-input,1", "units", 1) == "property/property-is-not-an-array"
    assert read(one, "device,1000", "object-list", 99) == "property/invalid-array-index"


def test_arrays_have_their_size_and_their_elements() -> None:
    """Clause 12: index 0 is the number of elements."""
    one = device()
    assert read(one, "device,1000", "object-list", 0) == len(OBJECTS) + 1
    assert read(one, "device,1000", "object-list", 1) == "device,1000"
    assert read(one, "device,1000", "object-list", 2) == "analog-input,1"
    assert read(one, "multi-state-value,1", "state-text", 3) == "high"
    listed = [each["value"] for each in read(one, "device,1000", "object-list")]
    assert listed == ["device,1000", *OBJECTS]
    properties = [each["value"] for each in read(one, "analog-input,1", "property-list")]
    assert "present-value" in properties
    assert not {"object-name", "property-list"} & set(properties)


def test_services_that_are_supported_are_those_that_are_executed() -> None:
    bits = read(device(), "device,1000", "protocol-services-supported")
    assert [at for at, bit in enumerate(bits) if bit == "1"] == [
        5,
        12,
        14,
        15,
        16,
        17,
        20,
        32,
        33,
        34,
        36,
    ]


def test_several_properties_are_read_at_once() -> None:
    one = device()
    wanted = [{"property": "present-value"}, {"property": "priority-array"}]
    reads = [
        {"object": "analog-input,1", "properties": wanted},
        {"object": "analog-input,77", "properties": [{"property": "all"}]},
    ]
    (answer,) = one.receive(service="READ_PROPERTY_MULTIPLE", reads=reads)
    first, second = answer["results"]
    value, missing = first["properties"]
    assert (value["type"], value["value"], value["error"]) == ("REAL", 20.0, None)
    assert missing["error"] == {"error_class": "property", "error_code": "unknown-property"}
    (unknown,) = second["properties"]
    assert (unknown["property"], unknown["error"]["error_code"]) == ("all", "unknown-object")


def test_all_is_required_and_optional() -> None:
    one = device()

    def names(which: str) -> list[str]:
        reads = [{"object": "analog-value,1", "properties": [{"property": which}]}]
        (answer,) = one.receive(service="READ_PROPERTY_MULTIPLE", reads=reads)
        return [each["property"] for each in answer["results"][0]["properties"]]

    assert sorted(names("required") + names("optional")) == sorted(names("all"))
    assert {"object-name", "present-value", "units"} <= set(names("required"))
    assert {"reliability", "priority-array"} <= set(names("optional"))
    assert "property-list" not in names("all")


def test_an_answer_without_end_is_refused() -> None:
    one = device()
    read = {"object": "device,1000", "properties": [{"property": "all"}]}
    (answer,) = one.receive(service="READ_PROPERTY_MULTIPLE", reads=[read] * 1000)
    assert (answer["apdu"], answer["reason"]) == ("ABORT", "OUT_OF_RESOURCES")


# -- writing (clauses 15.9, 15.10 and 19.2) ----------------------------------------------------------


def test_a_value_is_written_and_read_back() -> None:
    one = device()
    assert write(one, "analog-value,2", "REAL", 9.5) == ""
    assert write(one, "binary-value,1", "ENUMERATED", "active") == ""
    assert write(one, "multi-state-value,1", "UNSIGNED", 3) == ""
    assert write(one, "integer-value,1", "INTEGER", -300) == ""
    assert write(one, "characterstring-value,1", "CHARACTER_STRING", "grün") == ""
    items = ("analog-value,2", "binary-value,1", "multi-state-value,1", "integer-value,1")
    assert [read(one, item) for item in items] == [9.5, "active", 3, -300]
    assert read(one, "characterstring-value,1") == "grün"
    one.reboot()
    assert read(one, "analog-value,2") == 7.5


def test_errors_of_writing() -> None:
    one = device()
    assert write(one, "analog-value,9", "REAL", 1.0) == "object/unknown-object"
    assert write(one, "analog-value,2", "UNSIGNED", 1) == "property/invalid-data-type"
    assert write(one, "analog-value,2", "NULL", None) == "property/invalid-data-type"
    assert write(one, "multi-state-value,1", "UNSIGNED", 4) == "property/value-out-of-range"
    assert write(one, "binary-value,1", "ENUMERATED", 7) == "property/value-out-of-range"
    assert write(one, "analog-value,2", "REAL", float("nan")) == "property/value-out-of-range"
    assert write(one, "analog-input,1", "REAL", 1.0) == "property/write-access-denied"
    assert (
        write(one, "analog-value,2", "REAL", 1.0, priority=17) == "services/parameter-out-of-range"
    )
    name = {"property": "object-name"}
    assert (
        write(one, "analog-value,2", "CHARACTER_STRING", "x", **name)
        == "property/write-access-denied"
    )
    assert write(one, "device,1000", "REAL", 1.0) == "property/unknown-property"


def test_the_highest_priority_commands() -> None:
    """Clause 19.2.1."""
    one = device()
    item = "analog-value,1"
    assert write(one, item, "REAL", 10.0) == ""
    assert write(one, item, "REAL", 8.0, priority=8) == ""
    assert write(one, item, "REAL", 12.0, priority=12) == ""
    assert (read(one, item), one.device.state["setpoint"]) == (8.0, 8.0)
    slots = [each["value"] for each in read(one, item, "priority-array")]
    assert (slots[7], slots[11], slots[15], slots[0]) == (8.0, 12.0, 10.0, None)
    assert read(one, item, "priority-array", 8) == 8.0
    assert write(one, item, "NULL", None, priority=8) == ""
    assert read(one, item) == 12.0
    write(one, item, "NULL", None, priority=12)
    write(one, item, "NULL", None)
    assert (read(one, item), read(one, item, "relinquish-default")) == (18.0, 18.0)
    assert write(one, item, "REAL", 1.0, priority=6) == "property/write-access-denied"


def test_an_output_is_commandable_and_its_state_stays_a_boolean() -> None:
    one = device()
    assert write(one, "binary-output,1", "ENUMERATED", "active", priority=9) == ""
    assert one.device.state["fan"] is True
    assert write(one, "binary-output,1", "NULL", None, priority=9) == ""
    assert one.device.state["fan"] is False


def test_an_input_is_written_while_it_is_out_of_service() -> None:
    """Clause 12.2.10: the value is decoupled from what is measured."""
    one = device()
    out = {"property": "out-of-service"}
    assert write(one, "analog-input,1", "BOOLEAN", True, **out) == ""
    assert write(one, "analog-input,1", "REAL", 99.0) == ""
    assert (read(one, "analog-input,1"), one.device.state["air"]) == (99.0, 20.0)
    assert read(one, "analog-input,1", "status-flags") == "0001"
    assert write(one, "analog-input,1", "BOOLEAN", False, **out) == ""
    assert read(one, "analog-input,1") == 20.0


def test_several_writes_stop_at_the_first_that_fails() -> None:
    """Clause 15.10.2."""
    one = device()

    def value(item: str, number: float) -> dict[str, Any]:
        one = {"property": "present-value", "type": "REAL", "value": number}
        return {"object": item, "values": [one]}

    writes = [
        value("analog-value,2", 1.0),
        value("analog-input,1", 2.0),
        value("analog-value,1", 3.0),
    ]
    (answer,) = one.receive(service="WRITE_PROPERTY_MULTIPLE", writes=writes)
    assert answer["error"]["error_code"] == "write-access-denied"
    assert answer["first_failed"]["object"] == "analog-input,1"
    assert (read(one, "analog-value,2"), read(one, "analog-value,1")) == (1.0, 21.0)
    (answer,) = one.receive(service="WRITE_PROPERTY_MULTIPLE", writes=writes[:1])
    assert answer["apdu"] == "SIMPLE_ACK"


# -- changes of values (clauses 13.1 and 13.14) ------------------------------------------------------


def subscribe(one: Transcript, **fields: Any) -> list[Mapping[str, Any]]:
    known = {"process": 1, "monitored_object": "analog-input,1", "confirmed": False, "lifetime": 60}
    return one.receive({"service": "SUBSCRIBE_COV", **known, **fields})


def told(one: Transcript) -> list[Any]:
    found = [each for each in one.sent if str(each.get("service")).endswith("COV_NOTIFICATION")]
    return [each["values"][0]["value"] for each in found]


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


# -- segments (clause 5.4) ---------------------------------------------------------------------------

READ_ALL = {
    "service": "READ_PROPERTY_MULTIPLE",
    "reads": [{"object": "device,1000", "properties": [{"property": "all"}]}],
}


def acknowledge(one: Transcript, segment: Mapping[str, Any], window: int, **rest: Any) -> list[Any]:
    return one.receive(
        apdu="SEGMENT_ACK",
        invoke_id=segment["invoke_id"],
        sequence_number=segment["sequence_number"],
        window=window,
        server=False,
        **rest,
    )


def test_a_long_response_comes_in_segments() -> None:
    one = device()
    whole = one.receive(READ_ALL, segmented_response_accepted=True)
    assert len(whole) == 1
    octets = one.datagrams[-1][1][9:]
    sent = one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=50, invoke_id=9)
    assert (len(sent), sent[0]["sequence_number"], sent[0]["more_follows"]) == (1, 0, True)
    parts = [sent[0]["data"]]
    while sent[-1]["more_follows"]:
        sent = acknowledge(one, sent[-1], window=4)
        assert len(sent) <= 4
        parts += [segment["data"] for segment in sent]
    assert acknowledge(one, sent[-1], window=4) == []
    assert all(len(payload) <= 6 + 50 for _, payload in one.datagrams[1:])
    # The time of day is in both.
    assert len(b"".join(parts)) == len(octets)
    one.wait(60)
    assert one.sent[-1]["sequence_number"] == len(parts) - 1


def test_segments_are_sent_again_and_given_up() -> None:
    one = device()
    one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=50)
    one.wait(60)
    assert [segment["sequence_number"] for segment in one.sent] == [0, 0, 0, 0]


def test_a_negative_acknowledgement_has_the_rest_sent_again() -> None:
    one = device()
    (first,) = one.receive(READ_ALL, segmented_response_accepted=True, max_apdu=50)
    sent = acknowledge(one, first, window=4)
    again = acknowledge(one, sent[1], window=4, negative=True)
    assert [segment["sequence_number"] for segment in again] == [3, 4, 5, 6]


def test_who_takes_no_segments_gets_an_abort() -> None:
    (answer,) = device().receive(READ_ALL, max_apdu=50, invoke_id=3)
    assert (answer["apdu"], answer["reason"]) == ("ABORT", "SEGMENTATION_NOT_SUPPORTED")
    few = {"segmented_response_accepted": True, "max_segments": 2, "max_apdu": 50}
    (answer,) = device().receive(READ_ALL, **few)
    assert (answer["apdu"], answer["reason"]) == ("ABORT", "BUFFER_OVERFLOW")
    (answer,) = device({"segmentation": "none"}).receive(
        READ_ALL, segmented_response_accepted=True, max_apdu=50
    )
    assert answer["reason"] == "SEGMENTATION_NOT_SUPPORTED"


def segments(octets: bytes, size: int, **fields: Any) -> list[dict[str, Any]]:
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [
        {
            "apdu": "CONFIRMED_REQUEST",
            "invoke_id": 5,
            "sequence_number": number,
            "more_follows": number + 1 < len(parts),
            "window": 3,
            "data": part,
            **fields,
        }
        for number, part in enumerate(parts)
    ]


REQUEST = CODEC.encode(
    {
        "service": "READ_PROPERTY_MULTIPLE",
        "reads": [
            {"object": item, "properties": [{"property": "present-value"}]} for item in OBJECTS
        ],
    }
)[10:]


def test_a_request_is_put_together() -> None:
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    answers = [one.receive(part) for part in parts]
    assert [len(each) for each in answers[:4]] == [1, 0, 0, 1]
    assert answers[0][0]["apdu"] == "SEGMENT_ACK"
    assert [each["apdu"] for each in answers[-1]] == ["SEGMENT_ACK", "COMPLEX_ACK"]
    assert len(answers[-1][1]["results"]) == len(OBJECTS)


def test_a_lost_segment_is_asked_for() -> None:
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    one.receive(parts[0])
    (answer,) = one.receive(parts[2])
    assert (answer["negative"], answer["sequence_number"]) == (True, 0)
    (answer,) = one.receive(parts[0])
    assert (answer["negative"], answer["sequence_number"]) == (False, 0)


def test_segments_without_end_are_refused() -> None:
    one = device()
    parts = segments(bytes(100), 1, service="READ_PROPERTY_MULTIPLE")
    for part in parts:
        one.receive(part)
    assert one.sent[-1]["reason"] == "BUFFER_OVERFLOW"


def test_a_long_request_may_take_its_time() -> None:
    """Clause 5.4.5.2: the timer starts anew with each segment."""
    one = device()
    for part in segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE"):
        one.receive(part)
        one.wait(3)
    assert one.sent[-1]["apdu"] == "COMPLEX_ACK"


def test_an_abort_ends_a_request_in_segments() -> None:
    """Clause 5.4.5.2, AbortPDU_Received."""
    one = device()
    parts = segments(REQUEST, 15, service="READ_PROPERTY_MULTIPLE")
    one.receive(parts[0])
    one.receive(parts[1])
    one.receive(apdu="ABORT", invoke_id=5, reason="OTHER", server=False)
    wanted = {"object": "analog-value,2", "properties": [{"property": "present-value"}] * 10}
    other = CODEC.encode({"service": "READ_PROPERTY_MULTIPLE", "reads": [wanted]})[10:]
    for part in segments(other, 15, service="READ_PROPERTY_MULTIPLE"):
        one.receive(part)
    assert [each["object"] for each in one.sent[-1]["results"]] == ["analog-value,2"]


# -- device management (clause 16) -------------------------------------------------------------------


def test_a_device_is_silenced_for_some_minutes() -> None:
    one = device({"password": "pass"})
    control = {"service": "DEVICE_COMMUNICATION_CONTROL", "enable": "DISABLE", "duration": 1}
    assert error(one.receive(control)[0]) == "security/password-failure"
    assert one.receive(control, password="pass")[0]["apdu"] == "SIMPLE_ACK"
    assert who_is(one) == []
    one.wait(61)
    assert len(who_is(one)) == 1


def test_a_device_that_initiates_nothing_answers_still() -> None:
    one = device()
    subscribe(one)
    one.wait(0)
    one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable="DISABLE_INITIATION")
    one.device.state["air"] = 30.0
    one.wait(5)
    assert told(one) == [20.0]
    assert len(who_is(one)) == 1
    one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable="ENABLE")
    one.wait(1)
    assert told(one) == [20.0, 30.0]


def test_a_cold_start_is_a_reboot() -> None:
    one = device()
    first = read(one, "analog-value,1")
    write(one, "analog-value,1", "REAL", 5.0)
    subscribe(one)
    one.wait(0)
    (answer,) = one.receive(service="REINITIALIZE_DEVICE", reinitialized="COLDSTART")
    assert answer["apdu"] == "SIMPLE_ACK"
    one.device.state["air"] = 50.0
    one.wait(3)
    assert (told(one), read(one, "analog-value,1")) == ([20.0], first)
    (answer,) = one.receive(service="REINITIALIZE_DEVICE", reinitialized="START_BACKUP")
    assert error(answer) == "services/optional-functionality-not-supported"


def test_the_clock_is_set() -> None:
    one = device()
    one.receive(service="TIME_SYNCHRONIZATION", date="2026-11-26", time="13:45:07.25")
    one.wait(2)
    assert read(one, "device,1000", "local-date") == "2026-11-26"
    assert read(one, "device,1000", "local-time").startswith("13:45:09.2")
    one.receive(service="TIME_SYNCHRONIZATION", date="*-11-26", time="00:00:00.00")
    assert read(one, "device,1000", "local-date") == "2026-11-26"


def test_a_foreign_device_registers_and_renews() -> None:
    """Clause J.5.2."""
    one = device({"foreign": {"bbmd": OTHER, "ttl": "60s"}, "apdu_retries": 1})
    one.wait(8)
    assert [each["function"] for each in one.sent] == ["REGISTER_FOREIGN_DEVICE"] * 3
    assert one.sent[0]["ttl"] == 60
    one.receive(function="BVLC_RESULT", result=0, peer=OTHER)
    one.wait(29)
    assert len(one.sent) == 3
    one.wait(2)
    assert len(one.sent) == 4
    (answer,) = who_is(one)
    assert answer["function"] == "DISTRIBUTE_BROADCAST_TO_NETWORK"
    assert OTHER in one.lines()[-1]


def test_a_foreign_device_has_all_told_that_a_bbmd_asks_for() -> None:
    """Clause J.5.3: a BBMD forwards broadcasts to foreign devices, each by itself."""
    one = device({"foreign": {"bbmd": OTHER}})
    fields = {"function": "FORWARDED_NPDU", "origin": "10.77.0.9:47808", "peer": OTHER}
    (answer,) = one.receive(service="WHO_IS", **fields)
    assert answer["function"] == "DISTRIBUTE_BROADCAST_TO_NETWORK"
    assert one.lines()[-1].split()[2] == OTHER


# -- what is wrong (clauses 18.8 and 20) -------------------------------------------------------------

HEAD = "0005070c"
REJECTS = {
    "a tag that is another": (HEAD + "1c00000005 1955", "INVALID_TAG"),
    "nothing at all": (HEAD, "MISSING_REQUIRED_PARAMETER"),
    "no property": (HEAD + "0c00000005", "MISSING_REQUIRED_PARAMETER"),
    "something more": (HEAD + "0c00000005 1955 2901 3900", "TOO_MANY_ARGUMENTS"),
    "an identifier of three octets": (HEAD + "0b000005 1955", "INVALID_PARAMETER_DATATYPE"),
    "a length that lies": (HEAD + "0dff", "INVALID_TAG"),
    "a service that nobody has": ("00050763", "UNRECOGNIZED_SERVICE"),
    "a service that nobody has, with no tags": ("00050763 1d", "UNRECOGNIZED_SERVICE"),
    "a service that devices here have not": ("0005071a 0c00000005 1955", "UNRECOGNIZED_SERVICE"),
    "values in one another": ("0005070f 0c00000005 1955 " + "3e" * 100, "OTHER"),
}


@pytest.mark.parametrize("what", REJECTS)
def test_a_request_that_is_none_is_rejected(what: str) -> None:
    octets, reason = REJECTS[what]
    apdu = bytes.fromhex(octets)
    (answer,) = device().receive(
        b"\x81\x0a" + (len(apdu) + 6).to_bytes(2, "big") + b"\x01\x04" + apdu
    )
    assert (answer["apdu"], answer["reason"], answer["invoke_id"]) == ("REJECT", reason, 7)


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "81",
        "810a",
        "810a0004",
        "810b00080100ff00",
        "820a00040100",
        "810a00060200",
        "810a00070140",
    ],
)
def test_what_is_no_message_is_not_answered(octets: str) -> None:
    one = device()
    assert one.receive(bytes.fromhex(octets)) == []
    with pytest.raises(DecodeError):
        CODEC.decode(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"service": "READ_PROPERTY", "property": "units"}, "object"),
        ({"service": "READ_PROPERTY", "object": "analog-input", "property": "units"}, "object"),
        ({"service": "READ_PROPERTY", "object": "device,1", "property": "colour"}, "property"),
        ({"service": "NO_SUCH"}, "service"),
        ({"function": "FORWARDED_NPDU", "origin": "nowhere"}, "origin"),
        (
            {
                "service": "READ_PROPERTY_MULTIPLE",
                "reads": [{"object": "device,1", "property": "all"}],
            },
            "reads.0.property",
        ),
        (
            {"service": "READ_PROPERTY", "max_segments": 3, "object": "device,1", "property": 1},
            "max_segments",
        ),
    ],
)
def test_what_cannot_be_a_message_is_told(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as raised:
        CODEC.encode(fields)
    assert raised.value.path == path


VALUES = [
    ("NULL", None),
    ("BOOLEAN", True),
    ("UNSIGNED", 0),
    ("UNSIGNED", 1 << 40),
    ("INTEGER", -1),
    ("INTEGER", 128),
    ("REAL", 72.0),
    ("DOUBLE", 72.1),
    ("OCTET_STRING", b"\x12" * 300),
    ("CHARACTER_STRING", "This is a BACnet string!"),
    ("BIT_STRING", "10101"),
    ("BIT_STRING", ""),
    ("ENUMERATED", 0),
    ("DATE", "1991-01-24"),
    ("DATE", "*-13-32"),
    ("DATE", "2026-11-26/1"),
    ("TIME", "17:35:45.17"),
    ("TIME", "*:*:*.*"),
    ("OBJECT_IDENTIFIER", "binary-input,15"),
    ("OBJECT_IDENTIFIER", "300,4194303"),
    ("LIST", []),
    ("LIST", [{"type": "REAL", "value": 1.0}, {"type": "NULL", "value": None}]),
    (
        "LIST",
        [{"type": "OPENED", "tag": 20, "value": [{"type": "CONTEXT", "tag": 1, "value": b"a"}]}],
    ),
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_values_of_all_types_come_back(kind: str, value: Any) -> None:
    fields = {"service": "WRITE_PROPERTY", "object": "device,1", "property": 600}
    message = CODEC.decode(CODEC.encode({**fields, "type": kind, "value": value}))
    assert (message["type"], message["value"]) == (kind, value)


TAGGED = [
    ("00", "NULL", None),
    ("11", "BOOLEAN", True),
    ("21 48", "UNSIGNED", 72),
    ("31 48", "INTEGER", 72),
    ("44 42900000", "REAL", 72.0),
    ("55 08 4052000000000000", "DOUBLE", 72.0),
    ("63 1234ff", "OCTET_STRING", b"\x12\x34\xff"),
    (
        "75 19 00" + b"This is a BACnet string!".hex(),
        "CHARACTER_STRING",
        "This is a BACnet string!",
    ),
    ("82 03a8", "BIT_STRING", "10101"),
    ("91 00", "ENUMERATED", 0),
    ("a4 5b011804", "DATE", "1991-01-24"),
    ("b4 11232d11", "TIME", "17:35:45.17"),
    ("c4 00c0000f", "OBJECT_IDENTIFIER", "binary-input,15"),
]


@pytest.mark.parametrize(("octets", "kind", "value"), TAGGED)
def test_the_examples_of_clause_20_2(octets: str, kind: str, value: Any) -> None:
    """Clauses 20.2.2 to 20.2.14: what each example of a value is in octets."""
    fields = {"service": "WRITE_PROPERTY", "object": "device,1", "property": 600}
    data = CODEC.encode({**fields, "type": kind, "value": value})
    assert data.endswith(b"\x3e" + bytes.fromhex(octets) + b"\x3f")


# -- scenarios and rules -----------------------------------------------------------------------------


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


# -- hostile input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_mutated_messages_break_neither_the_codec_nor_the_device(seed: int) -> None:
    chance = random.Random(seed)
    one = device({"subscriptions": 4}, seed=seed)
    seeds = [vector.data for vector in LOADED.vectors]
    seeds += [
        CODEC.encode(READ_ALL),
        CODEC.encode({**READ_ALL, "max_apdu": 50, "segmented_response_accepted": True}),
    ]
    seeds += [
        CODEC.encode(part) for part in segments(REQUEST, 20, service="READ_PROPERTY_MULTIPLE")
    ]
    for item, kind, value in (
        ("analog-value,1", "REAL", 5.0),
        ("binary-output,1", "ENUMERATED", 1),
    ):
        fields = {"service": "WRITE_PROPERTY", "object": item, "property": "present-value"}
        seeds.append(CODEC.encode({**fields, "type": kind, "value": value, "priority": 8}))
    seeds.append(CODEC.encode({"function": "FORWARDED_NPDU", "origin": OTHER, "service": "WHO_IS"}))
    seeds.append(CODEC.encode({"apdu": "SEGMENT_ACK", "sequence_number": 0, "server": False}))
    decoded = 0
    for _ in range(1500):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(0, 3)):
            where = chance.randrange(4, len(data))
            if chance.random() < 0.7:
                data[where] = chance.choice((0, 1, 0x3E, 0x3F, 0xFF, chance.randrange(256)))
            else:
                data[where : where + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
            data += b"\x00" * (5 - len(data))
        data[2:4] = len(data).to_bytes(2, "big")
        try:
            message = CODEC.decode(bytes(data))
        except DecodeError:
            pass
        else:
            decoded += 1
            again = CODEC.decode(CODEC.encode(message))
            assert repr(again) == repr(message)
        one.receive(bytes(data), at=BROADCAST if chance.random() < 0.1 else "")
        one.wait(chance.choice((0, 0, 0.5, 3)))
    assert decoded > 300
    assert all(len(payload) <= 1497 for _, payload in one.datagrams)
    assert not [each for each in one.events if isinstance(each, (DeviceFailed, SessionFailed))]
    one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable="ENABLE")
    assert read(one, "device,1000", "object-name") == "device[0]"
