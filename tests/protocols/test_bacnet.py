"""BACnet/IP: what a device answers, by the clauses of ASHRAE 135."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.protocols.bacnet import (
    BROADCAST,
    OBJECTS,
    OTHER,
    device,
    error,
    read,
    subscribe,
    told,
    who_is,
    write,
)

from iotsim.events import Note, Received
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from iotsim.testing import Transcript

# -- discovery (clauses 16.9 and 16.10) ------------------------------------------------------------


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
        service="WHO_HAS",
        object="analog-value,2",
    )
    assert "-> 10.77.0.9:47809 UNCONFIRMED_REQUEST I_HAVE" in one.lines()[-1]


@pytest.mark.parametrize(
    "how",
    [
        {"at": BROADCAST},
        {"function": "ORIGINAL_BROADCAST_NPDU"},
        {"function": "FORWARDED_NPDU", "origin": "10.77.0.9:47809"},
        {"destination": {"network": 0xFFFF, "address": b""}},
    ],
)
def test_confirmed_requests_by_broadcast_are_not_answered(how: dict[str, Any]) -> None:
    """Clause 5.4.5.1, ConfirmedBroadcastReceived; how it came is told by the link, the BVLC or the NPDU."""
    request = {"service": "READ_PROPERTY", "object": "device,1000", "property": "object-name"}
    one = device()
    assert len(one.receive(**request)) == 1
    assert one.receive(**request, **how) == []


# -- reading (clauses 15.5 and 15.7) ---------------------------------------------------------------


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


def properties(one: Transcript, item: str, which: str) -> tuple[str, set[Any]]:
    """The object that ReadPropertyMultiple tells of, and those of its properties."""
    reads = [{"object": item, "properties": [{"property": which}]}]
    (answer,) = one.receive(service="READ_PROPERTY_MULTIPLE", reads=reads)
    (result,) = answer["results"]
    return result["object"], {str(each["property"]) for each in result["properties"]}


def test_what_is_optional_by_the_standard_is_not_required() -> None:
    """Clause 15.7.3.1.2, and the conformance codes of clause 12."""
    objects = {"integer-value,1": {"value": 1, "properties": {"profile-name": "1-p", "600": 7}}}
    one = device({"objects": objects})
    times = {"local-time", "local-date", "utc-offset", "daylight-savings-status"}
    segments = {"max-segments-accepted", "apdu-segment-timeout"}
    others = {"location", "description", "active-cov-subscriptions"}
    assert properties(one, "device,1000", "optional")[1] == times | segments | others
    optional = properties(one, "integer-value,1", "optional")[1]
    assert {"event-state", "out-of-service", "profile-name"} <= optional
    # what is a vendor's is neither
    assert read(one, "integer-value,1", "600") == 7
    assert "600" in properties(one, "integer-value,1", "all")[1]
    assert "600" not in optional | properties(one, "integer-value,1", "required")[1]


def test_the_device_has_its_own_instance_where_any_was_asked_for() -> None:
    """Clauses 15.5.2 and 15.7.2: 4194303 is the device's, whichever that is."""
    one = device()
    assert properties(one, "device,4194303", "object-name") == ("device,1000", {"object-name"})


def test_an_answer_without_end_is_refused() -> None:
    one = device()
    read = {"object": "device,1000", "properties": [{"property": "all"}]}
    (answer,) = one.receive(service="READ_PROPERTY_MULTIPLE", reads=[read] * 1000)
    assert (answer["apdu"], answer["reason"]) == ("ABORT", "OUT_OF_RESOURCES")


# -- writing (clauses 15.9, 15.10 and 19.2) --------------------------------------------------------


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


def test_a_text_in_a_character_set_that_is_not_known_is_an_error() -> None:
    """Clauses 15.9.1.3 and 20.2.9: here JIS X 0208, and DBCS with a code page."""
    one = device()
    for text in (b"\x02\x46\x7c", b"\x01\x03\x52text"):
        why = write(one, "characterstring-value,1", "CHARACTER_STRING", text)
        assert why == "property/character-set-not-supported"
        heard = [event for event in one.events if isinstance(event, Received)][-1]
        assert heard.message["value"] == text
        values = [{"property": "present-value", "type": "CHARACTER_STRING", "value": text}]
        writes = [{"object": "characterstring-value,1", "values": values}]
        (answer,) = one.receive(service="WRITE_PROPERTY_MULTIPLE", writes=writes)
        assert error(answer["error"] | {"apdu": "ERROR"}) == "property/character-set-not-supported"
        assert answer["first_failed"]["object"] == "characterstring-value,1"
    assert read(one, "characterstring-value,1") == "text"


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


# -- device management (clause 16) -----------------------------------------------------------------


def test_a_device_is_silenced_for_some_minutes() -> None:
    one = device({"password": "pass"})
    control = {"service": "DEVICE_COMMUNICATION_CONTROL", "enable": "DISABLE", "duration": 1}
    assert error(one.receive(control)[0]) == "security/password-failure"
    assert one.receive(control, password="pass")[0]["apdu"] == "SIMPLE_ACK"
    assert who_is(one) == []
    one.wait(61)
    assert len(who_is(one)) == 1


@pytest.mark.parametrize("enable", ["DISABLE", "DISABLE_INITIATION"])
def test_a_device_that_initiates_nothing_says_nothing_by_a_rule(enable: str) -> None:
    one = device()
    one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable=enable)
    heard = len(one.sent)
    one.say(service="WHO_IS")
    one.say(service="READ_PROPERTY", object="device,1", property="object-name")
    one.wait(10)
    assert len(one.sent) == heard
    assert "initiates nothing" in [e.text for e in one.events if isinstance(e, Note)][-1]
    one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable="ENABLE")
    one.say(service="WHO_IS")
    assert one.sent[-1]["service"] == "WHO_IS"


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


@pytest.mark.parametrize(
    ("datagram", "result"),
    [
        ("8101000e 0a4d0002bac0ffffffff", 0x10),
        ("81020004", 0x20),
        ("81050006 003c", 0x30),
        ("81060004", 0x40),
        ("8108000a 0a4d0002bac0", 0x50),
        ("8109000c 0120ffff00ff 1008", 0x60),
        ("81090011 0104 0005010c 0c00800002 1955", 0x60),
        ("8109000c 0120000900ff 1008", 0x60),
    ],
)
def test_what_a_bbmd_is_asked_for_is_refused(datagram: str, result: int) -> None:
    """Clause J.2.1."""
    for one in (device(), device({"foreign": {"bbmd": OTHER}})):
        (answer,) = one.receive(bytes.fromhex(datagram))
        assert answer == {"function": "BVLC_RESULT", "result": result}
        assert one.datagrams[-1][1] == bytes.fromhex(f"81000006{result:04x}")
        assert one.receive(bytes.fromhex(datagram), at=BROADCAST) == []
        one.receive(service="DEVICE_COMMUNICATION_CONTROL", enable="DISABLE")
        assert one.receive(bytes.fromhex(datagram)) == []


def test_a_rule_answers_as_a_bbmd() -> None:
    rule = {
        "when": {"function": "REGISTER_FOREIGN_DEVICE"},
        "reply": {"function": "BVLC_RESULT", "result": 0},
    }
    (answer,) = device(rules=[rule]).receive(function="REGISTER_FOREIGN_DEVICE", ttl=60)
    assert answer == {"function": "BVLC_RESULT", "result": 0}


@pytest.mark.parametrize("answer", [{"service": "WHO_IS"}, {"apdu": "REJECT"}])
def test_a_rule_answers_what_has_no_apdu(answer: dict[str, Any]) -> None:
    rule = {"when": {"function": "READ_FOREIGN_DEVICE_TABLE"}, "reply": answer}
    (sent,) = device(rules=[rule]).receive(function="READ_FOREIGN_DEVICE_TABLE")
    assert answer.items() <= sent.items()


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


def test_a_foreign_device_registers_once_it_has_an_address() -> None:
    """As one that gets it by DHCP, after its boot."""
    one = device({"foreign": {"bbmd": OTHER}}, address="fd77::1:1")
    one.wait(10)
    assert one.sent == []
    (fleet,) = one.simulation.fleets.values()
    fleet.leases[0] = parse_address("10.77.1.1")
    one.wait(10)
    assert one.sent[0]["function"] == "REGISTER_FOREIGN_DEVICE"


def test_a_foreign_device_has_all_told_that_a_bbmd_asks_for() -> None:
    """Clause J.5.3: a BBMD forwards broadcasts to foreign devices, each by itself."""
    one = device({"foreign": {"bbmd": OTHER}})
    fields = {"function": "FORWARDED_NPDU", "origin": "10.77.0.9:47808", "peer": OTHER}
    (answer,) = one.receive(service="WHO_IS", **fields)
    assert answer["function"] == "DISTRIBUTE_BROADCAST_TO_NETWORK"
    assert one.lines()[-1].split()[2] == OTHER
