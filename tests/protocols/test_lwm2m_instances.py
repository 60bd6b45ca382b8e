"""Instances that servers make and delete, and composite operations (TS Core 1.1.1, section 6.3)."""

from __future__ import annotations

import pytest
from tests.protocols.lwm2m import CBOR, JSON, OBJECTS, TLV, Client, records, said

# -- create, delete (sections 6.3.7 and 6.3.8) ---------------------------------------------------------


def test_create_and_delete() -> None:
    client = Client()
    body = b"\xe1\x16\xda\x01"
    first = client.ask("POST", "/3311", payload=body, content_format=TLV)
    assert (first["code"], first["location_path"]) == ("CREATED", ["3311", "2"])
    client.answer("CHANGED")
    named = b"\x08\x09\x04" + body
    second = client.ask("POST", "/3311", payload=named, content_format=TLV)
    assert second["location_path"] == ["3311", "9"]
    client.answer("CHANGED")
    assert client.get("/3311/9/5850") == "1"
    assert client.code("PUT", "/3311/9/5850", payload="0") == "CHANGED"
    assert client.get("/3311/9/5850") == "0"
    assert client.code("POST", "/3311", payload=named, content_format=TLV) == "BAD_REQUEST"
    for path in ("/3311/9", "/3311/0"):
        assert client.code("DELETE", path) == "DELETED"
        client.answer("CHANGED")
        assert client.code("GET", path) == "NOT_FOUND"
        assert client.code("DELETE", path) == "NOT_FOUND"
    assert client.requests[-1]["payload"].endswith("</3303/0>,</3311/1>,</3311/2>")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/9", "NOT_FOUND"),
        ("POST", "/3", "METHOD_NOT_ALLOWED"),
        ("POST", "/", "METHOD_NOT_ALLOWED"),
        ("DELETE", "/3/0", "METHOD_NOT_ALLOWED"),
        ("DELETE", "/3311", "METHOD_NOT_ALLOWED"),
        ("DELETE", "/3311/0/5850", "METHOD_NOT_ALLOWED"),
        ("PATCH", "/3311/0/5850", "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_not_created_or_deleted(method: str, path: str, code: str) -> None:
    body = b"\xe1\x16\xda\x01"
    assert Client().code(method, path, payload=body, content_format=TLV) == code


def test_what_servers_make_is_bounded() -> None:
    client = Client()
    codes = []
    for number in range(100):
        body = f'[{{"n":"/3311/{number + 10}/5850","vb":true}}]'
        codes.append(client.code("POST", "/3311", payload=body, content_format=JSON))
    assert codes == ["CREATED"] * 64 + ["SERVICE_UNAVAILABLE"] * 36
    assert client.code("PUT", "/1/0/2", payload="5") == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/3311", b"\x20\xff\xff"),
        ("/3311", b"\x08\x09\x04\xe1\xff\xff\x01"),
        ("/10250", b"\xe1\xff\xff\x05"),
        ("/2", b"\x86\x02\x61\xff\xff\x05"),
    ],
)
def test_an_id_that_is_reserved_makes_nothing(path: str, body: bytes) -> None:
    """65535 (section 7.1)."""
    client = Client({**OBJECTS, "2": {}, "10250": {"0": {"0": 1}}})
    assert client.code("POST", path, payload=body, content_format=TLV) == "BAD_REQUEST"
    assert client.ask("GET", path, accept=JSON)["code"] == "CONTENT"


def test_resources_of_a_new_instance_are_bounded() -> None:
    client = Client({"10250": {"0": {"0": 1}}})
    for count, code in ((256, "CREATED"), (257, "BAD_REQUEST")):
        body = b"".join(
            b"\xe1" + number.to_bytes(2, "big") + b"x" for number in range(1, count + 1)
        )
        for at in range(0, len(body), 512):
            block = {"number": at // 512, "more": at + 512 < len(body), "size": 512}
            part = body[at : at + 512]
            answer = client.ask("POST", "/10250", payload=part, content_format=TLV, block1=block)
        assert answer["code"] == code


def test_a_new_instance_has_the_types_of_others() -> None:
    client = Client({"10250": {"3": {"0": 1, "1": 1.5, "2": {"7": True}}}})
    body = bytes.fromhex("08050e c10005 c4013f800000 8302410001")
    assert client.code("POST", "/10250", payload=body, content_format=TLV) == "CREATED"
    client.answer("CHANGED")
    assert records(client.get("/10250/5", accept=JSON)) == [
        {"bn": "/10250/5/", "n": "0", "v": 5},
        {"n": "1", "v": 1.0},
        {"n": "2/0", "vb": True},
    ]
    text = '[{"n":"/10250/6/0","vs":"one"}]'
    assert client.code("POST", "/10250", payload=text, content_format=JSON) == "BAD_REQUEST"


# -- composite (sections 6.3.9 and 6.3.10) -------------------------------------------------------------


def test_read_composite() -> None:
    client = Client()
    body = '[{"n":"/3303/0/5701"},{"n":"/3311/1"},{"n":"/9"},{"n":"/0"}]'
    answer = client.ask("FETCH", "/", payload=body, content_format=JSON, accept=JSON)
    assert answer["code"] == "CONTENT"
    expected = [{"n": "/3303/0/5701", "vs": "Cel"}, {"n": "/3311/1/5850", "vb": False}]
    assert records(answer["payload"]) == expected
    cbor = client.ask("FETCH", "/", payload=body, content_format=JSON, accept=CBOR)
    assert cbor["content_format"] == CBOR
    assert client.code("FETCH", "/", payload=body, content_format=JSON, accept=TLV) == (
        "NOT_ACCEPTABLE"
    )
    assert client.code("FETCH", "/", payload="x", content_format="text/plain") == (
        "UNSUPPORTED_CONTENT_FORMAT"
    )
    assert client.code("FETCH", "/", payload="[]", content_format=JSON) == "BAD_REQUEST"


def test_write_composite_is_all_or_nothing() -> None:
    client = Client()
    good = '[{"n":"/3303/0/5750","vs":"x"},{"n":"/3311/0/5851","v":1}]'
    assert client.code("IPATCH", "/", payload=good, content_format=JSON) == "CHANGED"
    assert (client.get("/3303/0/5750"), client.get("/3311/0/5851")) == ("x", "1")
    bad = '[{"n":"/3303/0/5750","vs":"y"},{"n":"/3311/0/5999","v":1}]'
    assert client.code("IPATCH", "/", payload=bad, content_format=JSON) == "NOT_FOUND"
    assert client.get("/3303/0/5750") == "x"


def test_observe_composite() -> None:
    client = Client()
    body = '[{"n":"/3311/0/5851"},{"n":"/3303/0/5750"}]'
    answer = client.ask("FETCH", "/", payload=body, content_format=JSON, observe=0)
    assert "observe" in answer
    assert client.code("PUT", "/3311/0/5851", payload="77") == "CHANGED"
    assert records(client.sent[-1]["payload"])[0] == {"n": "/3311/0/5851", "v": 77}
    assert said(client)[-1]["value"] == {"/3311/0/5851": 77, "/3303/0/5750": "hall"}
