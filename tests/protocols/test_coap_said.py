"""What a CoAP device says, for expectations and events: once, whole, and when it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.protocols.coap import Server, shown
from tests.protocols.test_coap_client import LARGE, Client

from iotsim.events import Sent

if TYPE_CHECKING:
    from tests.protocols.coap import Message

TEMP = {"/temp": {"value": 21}}
STORE = {"/large": {"value": LARGE}}
GROUP = "224.0.1.187"


def said(server: Server) -> list[tuple[float, Message]]:
    """What the device has said, and when; without what is on the wire alone."""
    sent = [event for event in server.events if isinstance(event, Sent)]
    return [(event.t, event.message) for event in sent if event.layer != "wire"]


def on_the_wire(server: Server) -> list[Message]:
    sent = [event for event in server.events if isinstance(event, Sent)]
    return [event.message for event in sent if event.layer == "wire"]


def test_an_answer_is_one_message_on_both_layers() -> None:
    server = Server(TEMP)
    answer = server.get("/temp")
    assert [message for _, message in said(server)] == [answer]
    assert on_the_wire(server) == []


@pytest.mark.parametrize("kind", ["CON", "NON"])
def test_what_nobody_wants_was_not_said(kind: str) -> None:
    """RFC 7967: only the empty acknowledgment goes out."""
    server = Server(TEMP)
    server.send("GET", "/temp", type=kind, no_response=2)
    assert said(server) == []
    assert [one["code"] for one in on_the_wire(server)] == (["EMPTY"] if kind == "CON" else [])


@pytest.mark.parametrize("path", ["/nowhere", "/temp"])
def test_an_answer_to_a_group_was_said_when_its_time_has_come(path: str) -> None:
    """RFC 7252, section 8.2: after the leisure, and never if it is an error."""
    server = Server(TEMP, {"leisure": "3s"})
    request = {"type": "NON", "code": "GET", "path": path, "message_id": 7}
    server.receive(request, at=GROUP)
    assert said(server) == []
    server.wait(3)
    assert len(said(server)) == (path == "/temp")
    assert [time for time, _ in said(server)] == server.times
    assert on_the_wire(server) == []


def test_answers_to_a_group_beyond_the_most_were_not_said() -> None:
    server = Server(TEMP)
    for number in range(20):
        request = {"type": "NON", "code": "GET", "path": "/temp", "message_id": number}
        server.receive(request, at=GROUP)
    server.wait(6)
    assert len(said(server)) == len(server.sent) == 8


def test_what_waits_for_its_turn_was_not_said_yet() -> None:
    """RFC 7252, section 4.7."""
    separate = {"code": "CONTENT", "type": "CON"}
    server = Server(rules=[{"when": {"path": "/late"}, "reply": separate}])
    for token in (b"1", b"2"):
        server.send("GET", "/late", token=token)
    assert [message["token"] for _, message in said(server)] == [b"1"]
    server.wait(1)
    server.acknowledge(said(server)[0][1])
    assert [(time, message["token"]) for time, message in said(server)] == [(0, b"1"), (1, b"2")]
    assert [one["code"] for one in on_the_wire(server)] == ["EMPTY", "EMPTY"]


@pytest.mark.parametrize("at", ["", GROUP])
def test_a_long_answer_is_said_whole_and_once(at: str) -> None:
    server = Server(STORE, {"block_size": 256})
    request = {"code": "GET", "path": "/large", "token": b"t"}
    first = {**request, "type": "NON" if at else "CON", "message_id": 7}
    server.receive(first, **({"at": at} if at else {}))
    server.wait(5)
    block = {"number": 1, "size": 256}
    server.receive({**request, "type": "CON", "message_id": 8, "block2": block})
    ((_, whole),) = said(server)
    assert (whole["payload"], whole.get("block2")) == (LARGE, None)
    parts = on_the_wire(server)
    assert [part["block2"]["number"] for part in parts] == [0, 1]
    fields = ("type", "code", "message_id", "token")
    assert shown(whole, *fields) == shown(parts[0], *fields)


def test_a_long_request_is_said_whole_and_once() -> None:
    client = Client(block_size=256)
    (request,) = client.ask_peer("PUT", path="/a", payload=LARGE)
    (other,) = client.answer(request, "CONTINUE", block1=request["block1"])
    client.answer(other, "CHANGED", block1=other["block1"])
    ((_, whole),) = said(client)
    assert (whole["code"], whole["payload"], whole.get("block1")) == ("PUT", LARGE, None)
    parts = [part for part in on_the_wire(client) if part["code"] == "PUT"]
    assert [part["block1"]["number"] for part in parts] == [0, 1]
    assert [answer["code"] for answer in client.answers] == ["CHANGED"]


def test_a_request_that_must_wait_was_not_said_yet() -> None:
    """RFC 8516."""
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.answer(request, "TOO_MANY_REQUESTS", max_age=30)
    assert client.ask_peer(path="/a") == []
    assert [time for time, _ in said(client)] == [0]
    client.wait(31)
    assert [time for time, _ in said(client)] == [0, 30]


@pytest.mark.parametrize("block_size", [1024, 128])
def test_a_notification_is_said_whole_and_once_to_each_observer(block_size: int) -> None:
    resource: dict[str, Any] = {"value": "=state.text", "observe": "1s", "confirmable": False}
    server = Server({"/text": resource}, {"block_size": block_size}, state={"text": "short"})
    for port in (41001, 41002):
        request = {"code": "GET", "path": "/text", "observe": 0, "message_id": 1, "token": b"t"}
        server.receive(request, peer=f"10.77.0.2:{port}")
    before = len(said(server))
    server.device.state["text"] = LARGE
    server.wait(1.5)
    told = [message for _, message in said(server)[before:]]
    assert [shown(one, "type", "payload", "block2") for one in told] == [("NON", LARGE, None)] * 2
    assert len(on_the_wire(server)) == (0 if block_size == 1024 else 2)
