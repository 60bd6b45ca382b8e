"""CoAP's blocks (RFC 7959), the device being the server: what the plugtests do not try."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.coap import OTHER, Server, shown

LARGE = "".join(f"{number:04}" for number in range(100))
STORE: dict[str, Any] = {"/large": {"value": LARGE, "methods": ["GET", "PUT"]}}


def put(
    server: Server, number: int, more: bool, payload: str, size: int = 16, **fields: Any
) -> Any:
    block = {"number": number, "more": more, "size": size}
    return server.ask("PUT", "/large", payload=payload, block1=block, **fields)


def test_section_2_4_a_block_beyond_the_end() -> None:
    server = Server(STORE)
    for first in (False, True):
        if first:
            server.get("/large", block2={"number": 0, "size": 16})
        answer = server.get("/large", block2={"number": 1000, "size": 16})
        assert answer["code"] == "BAD_REQUEST"


def test_any_block_can_be_asked_for() -> None:
    answer = Server(STORE).get("/large", block2={"number": 2, "size": 16})
    assert answer["payload"] == LARGE[32:48]
    assert answer["block2"] == {"number": 2, "more": True, "size": 16}


def test_section_2_4_the_blocks_are_those_of_one_body() -> None:
    """What is written meanwhile does not show in it."""
    server = Server(STORE)
    first = server.get("/large", block2={"number": 0, "size": 16})
    assert server.ask("PUT", "/large", payload="other")["code"] == "CHANGED"
    second = server.get("/large", block2={"number": 1, "size": 16})
    assert shown(second, "payload", "etag") == (LARGE[16:32], first["etag"])
    assert server.get("/large")["payload"] == "other"


def test_two_clients_fetch_what_each_began() -> None:
    server = Server({"/large": {"value": "=state.large"}}, state={"large": "a" * 32})
    server.get("/large", block2={"number": 0, "size": 16})
    server.device.state["large"] = "b" * 32
    request = {"code": "GET", "path": "/large", "message_id": 1}
    server.receive(request, block2={"number": 0, "size": 16}, peer=OTHER)
    assert server.get("/large", block2={"number": 1, "size": 16})["payload"] == "a" * 16
    request["message_id"] = 2
    (answer,) = server.receive(request, block2={"number": 1, "size": 16}, peer=OTHER)
    assert answer["payload"] == "b" * 16


def test_section_4_sizes() -> None:
    server = Server(STORE, {"body_limit": 1000})
    answer = server.get("/large", block2={"number": 0, "size": 64}, size2=0)
    assert answer["size2"] == 400
    assert shown(server.get("/large", size2=0), "size2", "block2") == (400, None)
    assert shown(server.get("/none", size2=0), "code", "size2") == ("NOT_FOUND", None)
    refused = put(server, 0, True, "x" * 16, size1=1001)
    assert shown(refused, "code", "size1") == ("REQUEST_ENTITY_TOO_LARGE", 1000)


def test_section_2_5_a_body_in_one_block() -> None:
    server = Server(STORE)
    answer = put(server, 0, False, "short")
    assert shown(answer, "code", "block1") == ("CHANGED", {"number": 0, "more": False, "size": 16})
    assert server.get("/large")["payload"] == "short"


@pytest.mark.parametrize("number", [1, 3, 5])
def test_section_2_9_2_a_block_that_is_missing(number: int) -> None:
    server = Server(STORE)
    assert put(server, 0, True, "a" * 16)["code"] == "CONTINUE"
    assert put(server, 1, True, "b" * 16)["code"] == "CONTINUE"
    assert put(server, number, False, "c")["code"] == "REQUEST_ENTITY_INCOMPLETE"
    assert put(server, 2, False, "c")["code"] == "CHANGED"
    assert server.get("/large")["payload"] == "a" * 16 + "b" * 16 + "c"


def test_section_2_5_a_block_that_comes_again_in_another_message() -> None:
    """As that of a client which has not heard the answer, and sends messages that are not confirmable."""
    server = Server(STORE)
    put(server, 0, True, "a" * 16)
    for number, letter in ((1, "b"), (1, "b"), (2, "c"), (1, "b")):
        answer = put(server, number, True, letter * 16)
        assert shown(answer, "code", "block1") == (
            "CONTINUE",
            {"number": number, "more": True, "size": 16},
        )
    assert put(server, 3, False, "d")["code"] == "CHANGED"
    assert server.get("/large")["payload"] == "a" * 16 + "b" * 16 + "c" * 16 + "d"


def test_a_block_without_a_beginning() -> None:
    assert put(Server(STORE), 1, False, "x")["code"] == "REQUEST_ENTITY_INCOMPLETE"


def test_a_body_is_begun_anew() -> None:
    server = Server(STORE)
    put(server, 0, True, "a" * 16)
    put(server, 1, True, "b" * 16)
    put(server, 0, True, "c" * 16)
    assert put(server, 1, False, "d")["code"] == "CHANGED"
    assert server.get("/large")["payload"] == "c" * 16 + "d"


@pytest.mark.parametrize(
    ("more", "payload"), [(True, "short"), (True, "x" * 17), (False, "x" * 17)]
)
def test_section_2_3_a_block_of_another_size(more: bool, payload: str) -> None:
    assert put(Server(STORE), 0, more, payload)["code"] == "BAD_REQUEST"


def test_section_2_9_3_a_body_that_grows_too_large() -> None:
    server = Server(STORE, {"body_limit": 40})
    assert put(server, 0, True, "a" * 16)["code"] == "CONTINUE"
    assert put(server, 1, True, "a" * 16)["code"] == "CONTINUE"
    refused = put(server, 2, True, "a" * 16)
    assert shown(refused, "code", "size1") == ("REQUEST_ENTITY_TOO_LARGE", 40)
    assert put(server, 3, False, "a")["code"] == "REQUEST_ENTITY_INCOMPLETE"


def test_a_body_that_was_not_finished_is_forgotten() -> None:
    server = Server(STORE)
    put(server, 0, True, "a" * 16)
    server.wait(248)
    assert put(server, 1, False, "b")["code"] == "REQUEST_ENTITY_INCOMPLETE"


def test_a_slow_transfer_is_not_forgotten() -> None:
    large = {"value": "=state.large", "methods": ["GET", "PUT"]}
    server = Server({"/large": large}, state={"large": ""})
    for number in range(3):
        assert put(server, number, True, "a" * 16)["code"] == "CONTINUE"
        server.wait(200)
    assert put(server, 3, False, "b")["code"] == "CHANGED"
    body = ""
    for number in range(4):
        body += server.get("/large", block2={"number": number, "size": 16})["payload"]
        server.device.state["large"] = "another" * 20
        server.wait(200)
    assert body == "a" * 48 + "b"


def test_only_so_many_bodies_are_kept() -> None:
    server = Server(STORE)
    for number in range(10):
        put(server, 0, True, "a" * 16, request_tag=[bytes([number])])
    codes = [put(server, 1, False, "b", request_tag=[bytes([n])])["code"] for n in range(10)]
    assert codes == ["REQUEST_ENTITY_INCOMPLETE"] * 6 + ["CHANGED"] * 4


def test_rules_see_a_body_whole_and_once() -> None:
    server = Server(
        rules=[{"when": {"code": "PUT"}, "set": {"seen": "=state.seen + [msg.payload]"}}],
        state={"seen": []},
    )
    server.send("PUT", "/a", payload="a" * 16, block1={"number": 0, "more": True, "size": 16})
    server.send("PUT", "/a", payload="b", block1={"number": 1, "more": False, "size": 16})
    assert server.device.state["seen"] == ["a" * 16 + "b"]
    assert any("[application]" in line for line in server.lines())


def test_links_in_blocks() -> None:
    server = Server(
        {f"/resource/{number}": {"value": 1} for number in range(50)}, {"block_size": 64}
    )
    body, number, more = "", 0, True
    while more:
        answer = server.get("/.well-known/core", block2={"number": number, "size": 64})
        body, number, more = body + answer["payload"], number + 1, answer["block2"]["more"]
    assert len(body.split(",")) == 50


def test_a_group_is_answered_with_the_first_block() -> None:
    """Section 2.8."""
    server = Server(STORE, {"block_size": 64})
    request = {"type": "NON", "code": "GET", "path": "/large", "message_id": 7}
    server.receive(request, at="224.0.1.187")
    (answer,) = server.after(5)
    assert answer["block2"] == {"number": 0, "more": True, "size": 64}
    assert server.get("/large", block2={"number": 1, "size": 64})["payload"] == LARGE[64:128]
