"""The test cases of the ETSI CoAP plugtests (CoAP#4), the device being the server.

Each is named as there. CORE_24 to 30 are about proxies, which a device is none of.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.coap import OTHER, Server, shown

TEST = {"/test": {"value": "the test", "methods": ["GET", "PUT", "POST", "DELETE"]}}
SEPARATE: dict[str, Any] = {
    "rules": [
        {
            "when": {"path": "/separate"},
            "reply": {"code": "CONTENT", "content_format": "text/plain", "payload": "late"},
            "delay": "2s",
        }
    ]
}


@pytest.mark.parametrize("kind", ["CON", "NON"])
@pytest.mark.parametrize(
    ("case", "method", "code"),
    [
        (1, "GET", "CONTENT"),
        (2, "DELETE", "DELETED"),
        (3, "PUT", "CHANGED"),
        (4, "POST", "CHANGED"),
    ],
)
def test_td_coap_core_01_to_08(kind: str, case: int, method: str, code: str) -> None:
    """01 to 04 confirmable, 05 to 08 not."""
    server = Server(TEST)
    body = {"payload": "new", "content_format": "text/plain"} if method in ("PUT", "POST") else {}
    (answer,) = server.send(method, "/test", type=kind, token=b"abc", **body)
    assert shown(answer, "code", "token") == (code, b"abc")
    if kind == "CON":
        assert shown(answer, "type", "message_id") == ("ACK", server.last_id)
    else:
        assert answer["type"] == "NON"
    if method == "GET":
        assert shown(answer, "content_format", "payload") == ("text/plain", "the test")


def separate(token: bytes) -> None:
    server = Server(**SEPARATE)
    assert server.send("GET", "/separate", token=token) == []
    ack, response = server.after(2.1)
    assert shown(ack, "type", "code", "message_id") == ("ACK", "EMPTY", server.last_id)
    assert shown(response, "type", "code", "token") == ("CON", "CONTENT", token)
    assert shown(response, "content_format", "payload") == ("text/plain", "late")
    server.acknowledge(response)
    assert server.after(300) == []


def test_td_coap_core_09() -> None:
    separate(b"t")


def test_td_coap_core_10() -> None:
    assert Server(TEST).get("/test", token=b"12345678")["token"] == b"12345678"


def test_td_coap_core_11() -> None:
    separate(b"12345678")


def test_td_coap_core_12() -> None:
    answer = Server(TEST).get("/test", token=b"")
    assert shown(answer, "token", "payload") == (b"", "the test")


def test_td_coap_core_13() -> None:
    server = Server({"/seg1/seg2/seg3": {"value": "deep"}})
    answer = server.get("/seg1/seg2/seg3")
    assert shown(answer, "code", "payload", "content_format") == ("CONTENT", "deep", "text/plain")


def test_td_coap_core_14() -> None:
    server = Server({"/query": {"value": "found"}})
    answer = server.get("/query", query=["first=1", "second=2", "third=3"])
    assert shown(answer, "code", "payload") == ("CONTENT", "found")


def test_td_coap_core_15() -> None:
    """The acknowledgment is lost: the repeated request is answered as the first."""
    server = Server(TEST)
    first = server.get("/test")
    server.wait(2.5)
    server.last_id -= 1
    assert server.get("/test") == first


def test_td_coap_core_16() -> None:
    """The first acknowledgment is lost, and then the first response."""
    server = Server(**SEPARATE)
    server.send("GET", "/separate")
    (ack,) = server.after(0.5)
    server.last_id -= 1
    assert server.send("GET", "/separate") == [ack]
    (response,) = server.after(2)
    (again,) = server.after(3.1)
    assert again == response
    server.acknowledge(again)
    assert server.after(300) == []


def test_td_coap_core_17() -> None:
    server = Server(**SEPARATE)
    assert server.send("GET", "/separate", type="NON") == []
    (response,) = server.after(2.1)
    assert shown(response, "type", "code", "payload") == ("NON", "CONTENT", "late")


def test_td_coap_core_18_and_19() -> None:
    created = {"code": "CREATED", "location_path": ["location1", "location2", "location3"]}
    queried = {"code": "CREATED", "location_query": ["first=1", "second=2"]}
    server = Server(
        rules=[
            {"when": {"code": "POST", "path": "/test"}, "reply": created},
            {"when": {"code": "POST", "path": "/location-query"}, "reply": queried},
        ]
    )
    answer = server.ask("POST", "/test", payload="x", content_format="text/plain")
    assert shown(answer, "code", "location_path") == ("CREATED", created["location_path"])
    answer = server.ask("POST", "/location-query", payload="x", content_format="text/plain")
    assert shown(answer, "code", "location_query") == ("CREATED", queried["location_query"])


def test_td_coap_core_20() -> None:
    server = Server({"/multi-format": {"value": "a", "formats": {"application/xml": "<a/>"}}})
    plain = server.get("/multi-format", accept="text/plain")
    assert shown(plain, "content_format", "payload") == ("text/plain", "a")
    xml = server.get("/multi-format", accept="application/xml")
    assert shown(xml, "content_format", "payload") == ("application/xml", "<a/>")
    assert server.get("/multi-format", accept=50)["code"] == "NOT_ACCEPTABLE"


VALIDATE = {"/validate": {"value": "one", "methods": ["GET", "PUT"], "etag": True}}


def test_td_coap_core_21() -> None:
    server = Server(VALIDATE)
    first = server.get("/validate")
    assert first["code"] == "CONTENT"
    (etag,) = first["etag"]
    valid = server.get("/validate", etag=[etag])
    assert shown(valid, "code", "etag", "payload") == ("VALID", [etag], "")
    assert server.ask("PUT", "/validate", payload="two")["code"] == "CHANGED"
    second = server.get("/validate", etag=[etag])
    assert shown(second, "code", "payload") == ("CONTENT", "two")
    assert second["etag"] != [etag]


def test_td_coap_core_22() -> None:
    server = Server(VALIDATE)
    etag = server.get("/validate")["etag"]
    assert server.ask("PUT", "/validate", if_match=etag, payload="two")["code"] == "CHANGED"
    etag = server.get("/validate")["etag"]
    assert server.ask("PUT", "/validate", payload="three")["code"] == "CHANGED"
    refused = server.ask("PUT", "/validate", if_match=etag, payload="four")
    assert refused["code"] == "PRECONDITION_FAILED"
    assert server.get("/validate")["payload"] == "three"


def test_td_coap_core_23() -> None:
    server = Server({"/create1": {"methods": ["GET", "PUT", "DELETE"]}})
    assert server.get("/create1")["code"] == "NOT_FOUND"
    put = {"if_none_match": True, "content_format": "text/plain"}
    assert server.ask("PUT", "/create1", payload="made", **put)["code"] == "CREATED"
    again = server.ask("PUT", "/create1", payload="again", **put)
    assert again["code"] == "PRECONDITION_FAILED"
    assert server.get("/create1")["payload"] == "made"


def test_td_coap_core_31() -> None:
    server = Server()
    (reset,) = server.receive(type="CON", code="EMPTY", message_id=7)
    assert shown(reset, "type", "code", "message_id") == ("RST", "EMPTY", 7)
    assert server.datagrams[-1][1] == bytes.fromhex("70000007")


# -- links ---------------------------------------------------------------------------------------------


def links(server: Server, *query: str) -> set[str]:
    """The targets of the links that a query finds."""
    answer = server.get("/.well-known/core", query=list(query))
    assert shown(answer, "code", "content_format") == ("CONTENT", "application/link-format")
    return {link.partition(">")[0].lstrip("<") for link in answer["payload"].split(",") if link}


TYPED = {
    "/1": {"value": 1, "rt": "Type1 Type2", "if": "If1", "sz": 5},
    "/2": {"value": 2, "rt": "Type2 Type3", "if": "If2"},
    "/3": {"value": 3, "rt": "Type1 Type3", "if": "foo"},
    "/4": {"value": 4},
}


@pytest.mark.parametrize(
    ("case", "query", "found"),
    [
        ("LINK_01", [], "1234"),
        ("LINK_02", ["rt=Type1"], "13"),
        ("LINK_03", ["rt=*"], "123"),
        ("LINK_04", ["rt=Type2"], "12"),
        ("LINK_05", ["if=If*"], "12"),
        ("LINK_06", ["sz=*"], "1"),
    ],
)
def test_td_coap_link_01_to_06(case: str, query: list[str], found: str) -> None:
    assert links(Server(TYPED), *query) == {f"/{one}" for one in found}


def test_td_coap_link_07_and_08() -> None:
    paths = ["/link1", "/link2", "/link3", "/test"]
    server = Server({path: {"value": 1} for path in paths})
    assert links(server, "href=/link1") == {"/link1"}
    assert links(server, "href=/link*") == {"/link1", "/link2", "/link3"}


def test_td_coap_link_09() -> None:
    inner = "</path/sub1>,</path/sub2>"
    server = Server(
        {
            "/path": {"value": inner, "format": "application/link-format"},
            "/path/sub1": {"value": "/path/sub1"},
        }
    )
    assert "</path>;ct=40" in server.get("/.well-known/core")["payload"]
    answer = server.get("/path")
    assert shown(answer, "content_format", "payload") == ("application/link-format", inner)
    assert server.get("/path/sub1")["payload"] == "/path/sub1"


# -- blocks --------------------------------------------------------------------------------------------

LARGE = "".join(f"{number:04}" for number in range(500))
STORE = {"/large": {"value": LARGE, "methods": ["GET", "PUT"]}}


def fetch(server: Server, path: str, size: int, first: Any = None, code: str = "GET") -> str:
    """A body by Block2, from its first block on."""
    block: Any = {"number": 0, "more": False, "size": size}
    answer = first or server.ask(code, path, block2=block)
    body, etag = "", answer["etag"]
    while True:
        block = answer["block2"]
        assert block["size"] <= size
        assert block["number"] * block["size"] == len(body)
        assert len(answer["payload"]) == block["size"] or not block["more"]
        assert answer["etag"] == etag
        body += answer["payload"]
        if not block["more"]:
            return body
        following = {"number": block["number"] + 1, "more": False, "size": block["size"]}
        answer = server.ask(code, path, block2=following)


@pytest.mark.parametrize(
    ("case", "size", "own"), [("BLOCK_01", 64, 1024), ("BLOCK_01", 512, 128), ("BLOCK_06", 16, 64)]
)
def test_td_coap_block_01_and_06(case: str, size: int, own: int) -> None:
    assert fetch(Server(STORE, {"block_size": own}), "/large", size) == LARGE


def test_td_coap_block_02() -> None:
    """The client learns from the answer that there are blocks, and wants smaller ones."""
    server = Server(STORE, {"block_size": 512})
    first = server.get("/large")
    assert first["block2"] == {"number": 0, "more": True, "size": 512}
    second = server.get("/large", block2={"number": 4, "more": False, "size": 128})
    assert second["block2"] == {"number": 4, "more": True, "size": 128}
    assert first["payload"] + second["payload"] == LARGE[:640]


def upload(server: Server, code: str, path: str, body: str, size: int) -> Any:
    """Send a body by Block1; the answer to its last block."""
    sent = 0
    while True:
        part = body[sent : sent + size]
        more = sent + size < len(body)
        block = {"number": sent // size, "more": more, "size": size}
        answer = server.ask(code, path, payload=part, block1=block, content_format="text/plain")
        if not more:
            assert answer["block1"] == block
            return answer
        assert answer["code"] == "CONTINUE"
        assert shown(answer["block1"], "number", "more") == (block["number"], True)
        sent += len(part)
        size = answer["block1"]["size"]


@pytest.mark.parametrize(("size", "own"), [(64, 1024), (128, 32)])
def test_td_coap_block_03(size: int, own: int) -> None:
    server = Server({"/large-update": STORE["/large"]}, {"block_size": own})
    body = LARGE[::-1]
    assert upload(server, "PUT", "/large-update", body, size)["code"] == "CHANGED"
    assert fetch(server, "/large-update", 1024) == body


def test_td_coap_block_04() -> None:
    """A rule sees the whole body, once, and says where the new resource is."""
    location = ["large-create", "7"]
    server = Server(
        rules=[
            {
                "when": {"code": "POST", "path": "/large-create"},
                "set": {"made": "=msg.payload"},
                "reply": {"code": "CREATED", "location_path": location},
            },
            {
                "when": {"path": "/large-create/7"},
                "reply": {"code": "CONTENT", "payload": "=state.made"},
            },
        ],
        state={"made": ""},
    )
    answer = upload(server, "POST", "/large-create", LARGE, 256)
    assert shown(answer, "code", "location_path") == ("CREATED", location)
    assert fetch(server, "/large-create/7", 512) == LARGE


def test_td_coap_block_05() -> None:
    """Both ways: the answer to the last block is the first of several."""
    server = Server(
        model={"block_size": 64},
        rules=[
            {
                "when": {"code": "POST", "path": "/large-post"},
                "reply": {"code": "CHANGED", "payload": "=msg.payload"},
            }
        ],
    )
    answer = upload(server, "POST", "/large-post", LARGE, 256)
    assert answer["code"] == "CHANGED"
    assert answer["block2"] == {"number": 0, "more": True, "size": 64}
    assert fetch(server, "/large-post", 64, answer, code="POST") == LARGE


# -- observation ---------------------------------------------------------------------------------------

OBS: dict[str, Any] = {"value": "=int(t)", "observe": "5s", "methods": ["GET", "PUT", "DELETE"]}
CONFIRMED: dict[str, Any] = {"/obs": {**OBS, "confirmable": True}}
STATE: dict[str, Any] = {"/obs": {**OBS, "confirmable": True, "value": "=state.obs"}}


def observed(server: Server, path: str = "/obs", **fields: Any) -> Any:
    answer = server.get(path, observe=0, token=b"obs", **fields)
    assert shown(answer, "code", "token") == ("CONTENT", b"obs")
    assert answer["observe"] is not None
    return answer


def test_td_coap_obs_01() -> None:
    server = Server(CONFIRMED)
    last = observed(server)
    for _ in range(4):
        (notification,) = server.after(5)
        fields = "type", "code", "content_format", "token"
        assert shown(notification, *fields) == ("CON", "CONTENT", "text/plain", b"obs")
        assert notification["observe"] > last["observe"]
        server.acknowledge(notification)
        last = notification


def test_td_coap_obs_02() -> None:
    server = Server({"/obs-non": OBS})
    (last,) = server.send("GET", "/obs-non", type="NON", observe=0, token=b"obs")
    assert shown(last, "type", "code") == ("NON", "CONTENT")
    for _ in range(4):
        (notification,) = server.after(5)
        fields = "type", "code", "content_format", "token"
        assert shown(notification, *fields) == ("NON", "CONTENT", "text/plain", b"obs")
        assert notification["observe"] > last["observe"]
        last = notification


def test_td_coap_obs_04() -> None:
    """The server loses its observers; the client asks again with its token."""
    server = Server(CONFIRMED)
    observed(server)
    (notification,) = server.after(5)
    server.acknowledge(notification)
    server.reboot()
    assert server.after(100) == []
    observed(server)
    (notification,) = server.after(5)
    assert shown(notification, "type", "token") == ("CON", b"obs")


def test_td_coap_obs_05() -> None:
    """The client is off: its notification is repeated, and then there are no more."""
    server = Server(CONFIRMED)
    observed(server)
    sent = server.after(300)
    assert len(sent) == 5
    assert {one["message_id"] for one in sent} == {sent[0]["message_id"]}
    assert server.after(300) == []


def test_td_coap_obs_06() -> None:
    server = Server(CONFIRMED)
    observed(server)
    (notification,) = server.after(5)
    server.acknowledge(notification, "RST")
    assert server.after(300) == []


def test_td_coap_obs_07() -> None:
    server = Server(STATE, state={"obs": 1})
    observed(server)
    deleted, gone = server.send("DELETE", "/obs", token=b"d")
    assert deleted["code"] == "DELETED"
    assert shown(gone, "type", "code", "token") == ("CON", "NOT_FOUND", b"obs")
    assert "observe" not in gone
    server.acknowledge(gone)
    assert server.after(300) == []


def test_td_coap_obs_08() -> None:
    json = {"code": "CONTENT", "content_format": "application/json", "payload": "{}"}
    server = Server(
        STATE,
        state={"obs": 1},
        rules=[{"when": {"path": "/obs"}, "where": "state.obs == 2", "reply": json}],
    )
    observed(server)
    server.device.state["obs"] = 2
    (ended,) = server.after(5)
    assert shown(ended, "type", "code", "token") == ("CON", "NOT_ACCEPTABLE", b"obs")
    assert "observe" not in ended
    server.acknowledge(ended)
    assert server.after(300) == []


def test_td_coap_obs_09() -> None:
    server = Server(STATE, state={"obs": 1})
    first = observed(server)
    put = {"code": "PUT", "path": "/obs", "payload": "42", "message_id": 1, "token": b"p"}
    changed, notification = server.receive(put, peer=OTHER)
    assert changed["code"] == "CHANGED"
    assert shown(notification, "type", "code", "payload") == ("CON", "CONTENT", "42")
    assert notification["observe"] > first["observe"]


def test_td_coap_obs_10() -> None:
    """A GET without observe leaves the observation alone."""
    server = Server(CONFIRMED)
    observed(server)
    (notification,) = server.after(5)
    server.acknowledge(notification)
    assert "observe" not in server.get("/obs", token=b"two")
    (notification,) = server.after(5)
    assert shown(notification, "type", "token") == ("CON", b"obs")


def test_td_coap_obs_11() -> None:
    """However long it takes, one notification at a time is on its way."""
    server = Server(CONFIRMED)
    observed(server)
    first, *again = server.after(12)
    assert again
    assert {one["message_id"] for one in again} == {first["message_id"]}
    server.acknowledge(first)
    (second,) = server.after(5)
    assert second["message_id"] != first["message_id"]
    assert second["observe"] > first["observe"]


def test_td_coap_obs_12() -> None:
    server = Server(CONFIRMED)
    observed(server)
    answer = server.get("/obs", observe=1, token=b"obs")
    assert answer["code"] == "CONTENT"
    assert "observe" not in answer
    assert server.after(300) == []


def test_td_coap_obs_13_and_14() -> None:
    """A body that takes several blocks now and then: the notification has the first."""
    resource = {**OBS, "value": "=state.obs", "confirmable": True}
    server = Server({"/obs-large": resource}, {"block_size": 64}, state={"obs": LARGE})
    answer = observed(server, "/obs-large")
    assert answer["block2"] == {"number": 0, "more": True, "size": 64}
    assert fetch(server, "/obs-large", 64, answer) == LARGE
    server.device.state["obs"] = LARGE[::-1]
    (notification,) = server.after(5)
    assert shown(notification, "type", "token") == ("CON", b"obs")
    assert notification["block2"] == {"number": 0, "more": True, "size": 64}
    server.acknowledge(notification)
    assert fetch(server, "/obs-large", 64, notification) == LARGE[::-1]
    server.device.state["obs"] = "short"
    (notification,) = server.after(5)
    assert shown(notification, "payload", "block2") == ("short", None)
