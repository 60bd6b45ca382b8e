"""CoAP's observers (RFC 7641): what the plugtests do not try."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.coap import OTHER, Server, shown

from iotsim.protocol.registry import load_protocol
from iotsim.testing.frames import datagram_frame
from iotsim.units import parse_endpoint

CODEC = load_protocol("coap").protocol.codec

TEMP: dict[str, Any] = {"value": "=state.temp", "observe": "1s", "methods": ["GET", "FETCH"]}


def server_of(model: Any = None, temp: Any = 1, **resource: Any) -> Server:
    return Server({"/temp": {**TEMP, **resource}}, model, state={"temp": temp})


def observe(server: Server, token: bytes = b"o", **fields: Any) -> Any:
    return server.get("/temp", observe=0, token=token, **fields)


def test_there_is_a_notification_when_the_value_has_changed() -> None:
    server = server_of()
    observe(server)
    assert server.after(10) == []
    server.device.state["temp"] = 2
    (notification,) = server.after(10)
    assert shown(notification, "type", "payload") == ("NON", "2")


def test_section_4_3_1_or_when_the_last_is_stale() -> None:
    server = server_of(max_age=7)
    assert observe(server)["max_age"] == 7
    notifications = server.after(21.5)
    assert [shown(one, "payload", "max_age") for one in notifications] == [("1", 7)] * 3


def test_section_4_5_one_in_twenty_is_confirmable() -> None:
    server = Server({"/temp": {"value": "=int(t)", "observe": "1s"}})
    observe(server)
    kinds = []
    for _ in range(60):
        (notification,) = server.after(1)
        kinds.append(notification["type"])
        if notification["type"] == "CON":
            server.acknowledge(notification)
    assert [number for number, kind in enumerate(kinds, 1) if kind == "CON"] == [20, 40, 60]


def test_section_4_5_and_one_a_day() -> None:
    server = server_of(max_age=36000, observe="1000s")
    observe(server)
    kinds = [one["type"] for one in server.after(3 * 36000 + 10)]
    assert kinds[:3] == ["NON", "NON", "CON"]


def test_section_4_5_who_does_not_acknowledge_is_forgotten() -> None:
    server = server_of(confirmable=True)
    observe(server)
    server.device.state["temp"] = 2
    assert len(server.after(200)) == 5
    server.device.state["temp"] = 3
    assert server.after(200) == []


def test_section_3_2_a_reset_of_any_notification_ends_it() -> None:
    server = server_of()
    observe(server)
    server.device.state["temp"] = 2
    (notification,) = server.after(1.5)
    server.acknowledge(notification, "RST", OTHER)
    server.device.state["temp"] = 3
    (notification,) = server.after(1.5)
    server.acknowledge(notification, "RST")
    server.device.state["temp"] = 4
    assert server.after(100) == []


def test_section_3_3_1_who_has_some_states_is_told_that_they_are_valid() -> None:
    resource = {"value": "=state.temp", "observe": "1s", "etag": True}
    server = Server({"/temp": resource}, state={"temp": 1})
    tags = []
    for temp in (1, 2):
        server.device.state["temp"] = temp
        tags += server.get("/temp")["etag"]
    answer = server.get("/temp", observe=0, etag=tags)
    assert shown(answer, "code", "etag") == ("VALID", tags[1:])
    told = []
    for temp in (1, 3, 2):
        server.device.state["temp"] = temp
        (notification,) = server.after(1.5)
        told.append(shown(notification, "code", "content_format", "payload"))
        assert "observe" in notification
    assert told == [("VALID", None, ""), ("CONTENT", "text/plain", "3"), ("VALID", None, "")]


def test_section_4_5_1_what_changes_meanwhile_is_told_once_the_last_is_acknowledged() -> None:
    temp = {"value": "=state.temp", "observe": "1h", "confirmable": True, "max_age": 3600}
    server = Server({"/temp": {**temp, "methods": ["GET", "PUT"]}}, state={"temp": 1})
    observe(server)
    (_, notification) = server.send("PUT", "/temp", payload="2", token=b"p")
    server.send("PUT", "/temp", payload="3", token=b"p")
    server.acknowledge(notification)
    assert shown(server.sent[-1], "type", "payload") == ("CON", "3")


def test_what_changes_all_the_time_is_looked_at_no_oftener_for_who_acknowledges_at_once() -> None:
    server = Server({"/temp": {"value": "=t", "observe": "1s", "confirmable": True}})
    observe(server)
    for _ in range(3):
        (notification,) = server.after(1)
        before = len(server.sent)
        server.acknowledge(notification)
        assert len(server.sent) == before


def test_section_4_1_who_asks_again_is_there_once() -> None:
    server = server_of()
    first = observe(server)
    again = observe(server)
    assert again["observe"] > first["observe"]
    server.device.state["temp"] = 2
    assert len(server.after(5)) == 1


def test_section_4_1_there_is_room_for_so_many() -> None:
    server = server_of({"observers": 3})
    answers = [observe(server, bytes([number])) for number in range(5)]
    assert ["observe" in answer for answer in answers] == [True, True, True, False, False]
    assert {answer["code"] for answer in answers} == {"CONTENT"}
    server.device.state["temp"] = 2
    assert len(server.after(1.5)) == 3


def test_20_000_observe_requests() -> None:
    server = server_of()
    request = {"type": "NON", "code": "GET", "path": "/temp", "observe": 0}
    for number in range(20_000):
        message = {**request, "message_id": number, "token": number.to_bytes(4, "big")}
        source = parse_endpoint(f"10.77.0.9:{number + 1}")
        own = parse_endpoint("10.77.1.1:5683")
        server._link.send_nowait(datagram_frame(source, own, CODEC.encode(message)))
        if number % 100 == 99:
            server.wait(0)
    assert len(server.sent) == 20_000
    server.device.state["temp"] = 2
    assert len(server.after(1.5)) == 16


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "/plain"},
        {"path": "/nowhere"},
        {"observe": 2},
        {"observe": 1},
        {"block2": {"number": 1, "size": 16}},
    ],
)
def test_what_is_not_observed(fields: dict[str, Any]) -> None:
    """Section 4.1: the request is answered as any other."""
    server = Server({"/temp": TEMP, "/plain": {"value": "=state.temp"}}, state={"temp": 1})
    answer = server.get(**{"path": "/temp", "observe": 0, **fields})
    assert "observe" not in answer
    server.device.state["temp"] = 2
    assert server.after(100) == []


def test_a_group_is_not_observed() -> None:
    server = server_of()
    request = {"type": "NON", "code": "GET", "path": "/temp", "observe": 0, "message_id": 7}
    server.receive(request, at="224.0.1.187")
    (answer,) = server.after(6)
    assert "observe" not in answer
    server.device.state["temp"] = 2
    assert server.after(100) == []


def test_rfc_8132_section_2_4_fetch_observes_too() -> None:
    server = server_of()
    answer = server.ask("FETCH", "/temp", observe=0, payload="x")
    assert "observe" in answer
    server.device.state["temp"] = 2
    assert len(server.after(1.5)) == 1


def test_what_a_rule_sends_goes_to_the_observers() -> None:
    server = server_of()
    observe(server)
    server.say(code="CONTENT", path="/temp", content_format="text/plain", payload="now")
    notification = server.sent[-1]
    assert shown(notification, "type", "payload", "path") == ("NON", "now", None)
    assert notification["observe"] > 1


def test_what_rules_answer_is_observed_as_well() -> None:
    rule = {
        "when": {"path": "/temp"},
        "reply": {"code": "CONTENT", "content_format": "text/plain", "payload": "=state.temp"},
    }
    server = Server({"/temp": TEMP}, rules=[rule], state={"temp": 1})
    assert "observe" in observe(server)
    server.device.state["temp"] = 2
    (notification,) = server.after(1.5)
    assert notification["payload"] == "2"


def test_a_reboot_forgets_them() -> None:
    server = server_of()
    observe(server)
    server.reboot()
    server.device.state["temp"] = 2
    assert server.after(100) == []
