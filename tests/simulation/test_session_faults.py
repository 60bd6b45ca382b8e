"""Device faults of protocols with sessions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.lwm2m import Client

from iotsim.events import DeviceRebooted, Received, Sent
from iotsim.testing import Transcript

ROOM = {"resources": {"/room": {"value": "21.5"}, "/time": {"value": "=t"}}}


def coap(*faults: Any, **table: Any) -> Transcript:
    return Transcript("coap", faults=faults, model=ROOM, **table)


def get(device: Transcript, path: str = "/room", **more: Any) -> list[Any]:
    return device.receive(
        {"type": "CON", "code": "GET", "message_id": 7, "token": b"\x01", "path": path, **more}
    )


# -- CoAP ---------------------------------------------------------------------------------------


def test_coap_answers_a_slow_request_in_a_message_of_its_own() -> None:
    device = coap({"slow": "5s"})
    assert get(device) == []
    device.wait(3)
    assert [(one["type"], one["code"]) for one in device.sent] == [("ACK", "EMPTY")]
    device.wait(3)
    assert [(one["type"], one["code"]) for one in device.sent[1:2]] == [("CON", "CONTENT")]
    assert device.sent[1]["payload"] == "21.5"
    received = next(event for event in device.events if isinstance(event, Received))
    assert (received.impaired, received.fate, received.delay_s) == ("fault 1", "slow", 5.0)


def test_coap_refuses_a_request_in_the_acknowledgement() -> None:
    device = coap({"when": {"path": "/room"}, "error": "SERVICE_UNAVAILABLE"})
    (refused,) = get(device)
    assert refused["type"] == "ACK"
    assert (refused["code"], refused["message_id"]) == ("SERVICE_UNAVAILABLE", 7)
    assert refused["token"] == b"\x01"
    # A duplicate gets the same again; and is not counted anew.
    assert get(device)[0]["code"] == "SERVICE_UNAVAILABLE"
    (other,) = get(device, "/time", message_id=8)
    assert other["code"] == "CONTENT"


def test_of_coap_any_field_can_be_malformed() -> None:
    fault = {
        "malform": {"message_id": 70000, "token": "hex:ff", "code": "NOT_FOUND", "payload": "x"}
    }
    (answer,) = get(coap(fault))
    assert (answer["message_id"], answer["token"]) == (70000 & 0xFFFF, b"\xff")
    assert (answer["code"], answer["payload"]) == ("NOT_FOUND", "x")
    assert answer["content_format"] == "text/plain"


def test_the_faults_of_a_block_are_of_that_block_alone() -> None:
    model = {"resources": {"/big": {"value": "y" * 200}}, "block_size": 64}
    faults = [
        {
            "when": {"block2": {"exists": True}},
            "skip": 1,
            "first": 1,
            "malform": {"block2.number": 3},
        }
    ]
    device = Transcript("coap", faults=faults, model=model)
    numbers = []
    for number in range(3):
        (block,) = get(
            device,
            "/big",
            message_id=10 + number,
            block2={"number": number, "more": False, "size": 64},
        )
        numbers.append(block["block2"]["number"])
    assert numbers == [0, 3, 2]


def test_what_is_truncated_is_told_on_the_wire_alone() -> None:
    device = coap({"truncate": 2})
    get(device)
    [(_, payload)] = device.datagrams
    sent = [event for event in device.events if isinstance(event, Sent)]
    assert [event.layer for event in sent] == [""]
    assert sent[0].message["payload"] == "21"  # which is still a message
    assert payload.endswith(b"\xff21")


def test_an_expression_of_a_model_goes_by_the_devices_clock() -> None:
    device = coap({"at": "10s", "clock_skew": {"offset": "-5s"}})
    device.wait(9)
    assert get(device, "/time")[0]["payload"] == "9.0"
    device.wait(11)
    assert get(device, "/time", message_id=8)[0]["payload"] == "15.0"


def test_a_reboot_ends_a_session() -> None:
    device = coap({"when": {"path": "/room"}, "first": 1, "reboot": {"down": "2s"}})
    assert get(device) == []
    device.wait(1)
    assert get(device, "/time", message_id=8) == []
    device.wait(1.5)
    # It does not know that it was asked before.
    (answer,) = get(device)
    assert answer["code"] == "CONTENT"
    assert sum(isinstance(event, DeviceRebooted) for event in device.events) == 1


# -- LwM2M --------------------------------------------------------------------------------------


def test_lwm2m_registers_again_after_a_reboot() -> None:
    client = Client(faults=[{"at": "100s", "reboot": {"down": "5s"}}], model={"lifetime": "1h"})
    assert client.get("/3311/1/5850") == "0"
    client.ask("PUT", "/3311/1/5850", payload="1", content_format="text/plain")
    before = len(client.requests)
    client.wait(101)
    assert client.send("GET", "/3311/1/5850") == []
    assert len(client.requests) == before
    client.wait(5)
    registration = client.requests[before]
    assert (registration["code"], registration["path"]) == ("POST", "/rd")
    client.answer("CREATED", location_path=["rd", "2"])
    assert client.get("/3311/1/5850") == "0"  # what was written is lost


def test_lwm2m_refuses_operations_by_their_names() -> None:
    fault = {
        "when": {"operation": "READ", "path": "/3303/0/5700"},
        "error": "INTERNAL_SERVER_ERROR",
    }
    client = Client(faults=[fault])
    assert client.ask("GET", "/3303/0/5700")["code"] == "INTERNAL_SERVER_ERROR"
    assert client.ask("GET", "/3303/0/5701")["code"] == "CONTENT"


def test_faults_of_what_is_said_look_above_the_session_where_the_wire_has_no_such_field() -> None:
    fault = {"when": {"operation": "RESPONSE", "path": "/3303/0/5701"}, "mute": True}
    client = Client(faults=[fault])
    assert client.send("GET", "/3303/0/5701") == []
    assert client.ask("GET", "/3303/0/5700")["code"] == "CONTENT"


# -- others -------------------------------------------------------------------------------------


def test_sntp_tells_the_time_that_the_device_believes_it_is() -> None:
    clock = Transcript("sntp", wall_time=1e9)
    skewed = Transcript("sntp", wall_time=1e9, faults=[{"clock_skew": {"offset": "-1h"}}])
    right, wrong = (
        device.receive(mode="CLIENT", transmit=7)[0]["transmit"] for device in (clock, skewed)
    )
    # A timestamp of NTP has 32 bits of seconds, and as many of a second.
    assert (right >> 32) - (wrong >> 32) == 3600


COILS = {"unit": {"1": {"coils": {"0": True}}}}
MODBUS_READ = {"transaction": 5, "unit": 1, "function": "READ_COILS", "address": 0, "count": 1}


def test_modbus_answers_by_an_exception() -> None:
    device = Transcript("modbus", model=COILS, faults=[{"error": "SERVER_DEVICE_BUSY"}])
    (answer,) = device.receive(MODBUS_READ)
    assert answer["function"] == "READ_COILS_ERROR"
    assert (answer["exception"], answer["transaction"]) == ("SERVER_DEVICE_BUSY", 5)


def test_modbus_has_a_length_that_can_be_wrong() -> None:
    device = Transcript(
        "modbus",
        model=COILS,
        faults=[{"malform": {"length": "wrong", "protocol": 9}}],
    )
    device.receive(MODBUS_READ)
    [(_, payload)] = device.datagrams
    assert payload[:6] == bytes.fromhex("0005 0009 0005")


def test_tftp_refuses_before_there_is_a_transfer() -> None:
    device = Transcript(
        "tftp", model={"files": {"a": {"text": "hello"}}}, faults=[{"error": "DISK_FULL"}]
    )
    (answer,) = device.receive(opcode="RRQ", filename="a")
    assert (answer["opcode"], answer["code"]) == ("ERROR", "DISK_FULL")
    assert [port for port, _ in device.datagrams] == [69]


def test_knxnet_refuses_a_connection() -> None:
    device = Transcript("knxnet", faults=[{"first": 1, "error": "E_NO_MORE_CONNECTIONS"}])
    control = {"address": "10.77.0.1", "port": 40000}
    request = {
        "service": "CONNECT_REQUEST",
        "control": control,
        "data_endpoint": control,
        "cri": {"connection_type": "TUNNEL_CONNECTION"},
    }
    (refused,) = device.receive(request)
    assert refused["status"] == "E_NO_MORE_CONNECTIONS"
    assert device.receive(request)[0]["status"] == "E_NO_ERROR"


def test_snmp_says_that_it_cannot() -> None:
    device = Transcript("snmp", faults=[{"error": "GEN_ERR"}])
    request = {
        "version": 2,
        "community": "public",
        "pdu": "GET",
        "request_id": 9,
        "bindings": [{"oid": "1.3.6.1.2.1.1.1.0", "type": "NULL", "value": None}],
    }
    (answer,) = device.receive(request)
    assert (answer["pdu"], answer["request_id"]) == ("RESPONSE", 9)
    assert (answer["error"], answer["index"]) == ("GEN_ERR", 1)


@pytest.mark.parametrize(
    "error", ["DEVICE_BUSY", "REJECT_UNRECOGNIZED_SERVICE", "ABORT_OUT_OF_RESOURCES"]
)
def test_bacnet_refuses_by_error_reject_or_abort(error: str) -> None:
    device = Transcript("bacnet", model={"instance": 1}, faults=[{"error": error}])
    request = {
        "apdu": "CONFIRMED_REQUEST",
        "service": "READ_PROPERTY",
        "invoke_id": 3,
        "object": "device,1",
        "property": "object-name",
    }
    (answer,) = device.receive(request)
    assert answer["invoke_id"] == 3
    assert answer["apdu"] == {"D": "ERROR", "R": "REJECT", "A": "ABORT"}[error[0]]


def test_of_an_observation_the_notifications_can_be_wrong_alone() -> None:
    model = {"resources": {"/t": {"value": "=int(t)", "observe": "10s"}}}
    fault = {"when": {"observe": {"exists": True}}, "skip": 1, "malform": {"payload": "-999"}}
    device = Transcript("coap", model=model, faults=[fault])
    (first,) = get(device, "/t", observe=0)
    assert first["payload"] == "0"
    device.wait(25)
    told = [one["payload"] for one in device.sent if "observe" in one]
    assert set(told[1:]) == {"-999"}
