"""LwM2M's device management (TS Core 1.1.1, section 6.3): what is read, written and executed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.protocols.lwm2m import CBOR, JSON, LINKS, OBJECTS, TLV, Client, records, said

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed, SessionFailed

# -- read, discover (sections 6.3.1 and 6.3.2) ---------------------------------------------------------


def test_read() -> None:
    client = Client()
    assert client.ask("GET", "/3303/0/5700")["content_format"] == "text/plain"
    assert client.get("/3303/0/5700") == "20.0"
    assert client.get("/3311/1/5850") == "0"
    assert client.ask("GET", "/3303/0")["content_format"] == TLV
    objects = records(client.get("/3311", accept=JSON))
    assert objects[0] == {"bn": "/3311/", "n": "0/5850", "vb": True}
    assert objects[2] == {"n": "1/5850", "vb": False}
    assert client.get("/3303/0/5700", accept=TLV).hex() == "e816" + "44" + "084034000000000000"
    assert client.ask("GET", "/3303/0/5700", accept=CBOR)["content_format"] == CBOR
    assert client.get("/3/0/11/0") == "0"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/9", "NOT_FOUND"),
        ("/3303/1", "NOT_FOUND"),
        ("/3303/0/5999", "NOT_FOUND"),
        ("/3303/0/5700/0", "NOT_FOUND"),
        ("/3/0/11/1", "NOT_FOUND"),
        ("/3/0/4", "METHOD_NOT_ALLOWED"),
        ("/1/0/8", "METHOD_NOT_ALLOWED"),
        ("/0", "UNAUTHORIZED"),
        ("/0/0/1", "UNAUTHORIZED"),
        ("/", "METHOD_NOT_ALLOWED"),
        ("/nowhere", "NOT_FOUND"),
        ("/3/0/11/0/0", "NOT_FOUND"),
        ("/03", "NOT_FOUND"),
        ("/65535", "NOT_FOUND"),
    ],
)
def test_what_cannot_be_read(path: str, code: str) -> None:
    assert Client().code("GET", path) == code


def test_what_is_written_only_is_not_read() -> None:
    client = Client({"5": {"0": {}}})
    assert client.code("GET", "/5/0/0") == "METHOD_NOT_ALLOWED"
    assert not any(one.get("n") == "0" for one in records(client.get("/5/0", accept=JSON)))
    assert client.code("PUT", "/5/0/0", payload=b"\0\1", content_format=42) == "CHANGED"


@pytest.mark.parametrize(
    "accept", ["text/plain", "application/octet-stream", "application/xml", 60]
)
def test_formats_that_it_cannot_be_read_in(accept: Any) -> None:
    assert Client().code("GET", "/3303/0", accept=accept) == "NOT_ACCEPTABLE"


def test_discover() -> None:
    client = Client({"3": {"0": {"7": {"0": 3800, "1": 5000}}}})
    assert client.code("PUT", "/3", query=["pmin=10"]) == "CHANGED"
    assert client.code("PUT", "/3/0", query=["pmax=60"]) == "CHANGED"
    assert client.code("PUT", "/3/0/7", query=["gt=50", "lt=42.2"]) == "CHANGED"
    assert client.get("/3", accept=LINKS).startswith("</3>;pmin=10,</3/0>;pmax=60,</3/0/0>,")
    assert "</3/0/7>;dim=2;gt=50;lt=42.2," in client.get("/3/0", accept=LINKS)
    expected = "</3/0/7>;dim=2;pmin=10;pmax=60;gt=50;lt=42.2"
    assert client.get("/3/0/7", accept=LINKS) == expected
    assert "</1/0/8>" in client.get("/1/0", accept=LINKS)
    assert client.code("GET", "/9", accept=LINKS) == "NOT_FOUND"
    assert client.code("GET", "/0", accept=LINKS) == "UNAUTHORIZED"


def test_values_of_the_model_that_fit_no_resource_are_the_scenario_s_mistake() -> None:
    with pytest.raises(ScenarioError, match="/3303/0/5700: 'hot' is no float"):
        Client({"3303": {"0": {"5700": "=state.word"}}}, state={"word": "hot"})
    client = Client({"3303": {"0": {"5700": "='hot' if t >= 0 else ''"}}}, may_fail=True)
    client.send("GET", "/3303/0/5700")
    (failed,) = (event for event in client.events if isinstance(event, DeviceFailed))
    assert "'hot' is no float, in " in failed.error


def test_links_have_attributes_to_the_last_digit() -> None:
    client = Client()
    query = ["pmin=0", "pmax=1234567", "gt=101325.25", "lt=-1e20", "st=0.00001"]
    assert client.code("PUT", "/3303/0/5700", query=query) == "CHANGED"
    expected = f";pmin=0;pmax=1234567;gt=101325.25;lt=-{10**20};st=0.00001"
    assert client.get("/3303/0/5700", accept=LINKS) == "</3303/0/5700>" + expected


# -- write (section 6.3.3) -----------------------------------------------------------------------------


def test_write_a_resource() -> None:
    client = Client()
    assert client.code("PUT", "/3303/0/5750", payload="cellar") == "CHANGED"
    assert client.get("/3303/0/5750") == "cellar"
    assert client.code("PUT", "/3311/0/5850", payload="0") == "CHANGED"
    assert client.device.state["on"] is False
    tlv = b"\xe1\x16\xdb\x32"
    assert client.code("PUT", "/3311/0/5851", payload=tlv, content_format=TLV) == "CHANGED"
    assert client.get("/3311/0/5851") == "50"


def test_write_an_instance() -> None:
    client = Client()
    body = '[{"bn":"/3311/0/","n":"5850","vb":false},{"n":"5851","v":7}]'
    for method in ("PUT", "POST"):
        assert client.code(method, "/3311/0", payload=body, content_format=JSON) == "CHANGED"
        assert client.get("/3311/0/5851") == "7"
    assert [one["operation"] for one in said(client, "WRITE") + said(client, "WRITE_UPDATE")]
    assert said(client, "WRITE")[0]["value"] == {"5850": False, "5851": 7}


@pytest.mark.parametrize(
    ("number", "code"), [("7.0", "CHANGED"), ("7e0", "CHANGED"), ("7.5", "BAD_REQUEST")]
)
def test_json_has_one_type_of_numbers(number: str, code: str) -> None:
    client = Client()
    assert replace(client, "/3311/0/5851", f'{{"n":"/3311/0/5851","v":{number}}}') == code
    assert client.get("/3311/0/5851") == ("7" if code == "CHANGED" else "10")


def test_all_of_it_is_written_or_nothing() -> None:
    client = Client()
    body = '[{"bn":"/3311/0/","n":"5851","v":7},{"n":"5850","vs":"on"}]'
    assert client.code("POST", "/3311/0", payload=body, content_format=JSON) == "BAD_REQUEST"
    assert client.get("/3311/0/5851") == "10"


def test_what_is_not_there_yet_but_known_is_made() -> None:
    client = Client()
    assert client.code("GET", "/1/0/2") == "NOT_FOUND"
    assert client.code("PUT", "/1/0/2", payload="5") == "CHANGED"
    assert client.get("/1/0/2") == "5"


def test_instances_of_resources() -> None:
    """A replacement has those that it names, an update adds and changes."""
    client = Client({"2": {"0": {}}, "3303": OBJECTS["3303"]})
    assert records(client.get("/2/0/2", accept=JSON)) == [{"bn": "/2/0/2/", "n": "0", "v": 31}]
    body = '[{"bn":"/2/0/2/","n":"1","v":5},{"n":"2","v":6}]'
    assert client.code("PUT", "/2/0/2", payload=body, content_format=JSON) == "CHANGED"
    assert [one["n"] for one in records(client.get("/2/0/2", accept=JSON))] == ["1", "2"]
    body = '[{"bn":"/2/0/2/","n":"2","v":7},{"n":"3","v":8}]'
    assert client.code("POST", "/2/0/2", payload=body, content_format=JSON) == "CHANGED"
    values = [one["v"] for one in records(client.get("/2/0/2", accept=JSON))]
    assert values == [5, 7, 8]
    assert client.code("PUT", "/2/0/2/3", payload="9") == "CHANGED"
    assert client.get("/2/0/2/3") == "9"
    many = json.dumps([{"n": f"/2/0/2/{number}", "v": 1} for number in range(70)])
    assert client.code("PUT", "/2/0/2", payload=many, content_format=JSON) == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        (
            "/3303/0/5700",
            {"payload": "5"},
            "METHOD_NOT_ALLOWED",
        ),  # read-only, as the registry has it
        ("/3303/0/5701", {"payload": "F"}, "METHOD_NOT_ALLOWED"),
        ("/1/0/8", {"payload": "5"}, "METHOD_NOT_ALLOWED"),
        ("/3303/0/5999", {"payload": "5"}, "NOT_FOUND"),
        ("/3303/5/5750", {"payload": "5"}, "NOT_FOUND"),
        ("/9/0/0", {"payload": "5"}, "NOT_FOUND"),
        ("/0/0/0", {"payload": "5"}, "UNAUTHORIZED"),
        ("/3311/0/5851", {"payload": "x"}, "BAD_REQUEST"),
        ("/3311/0/5850", {"payload": "2"}, "BAD_REQUEST"),
        ("/3311/0/5851", {"payload": "7", "content_format": 41}, "UNSUPPORTED_CONTENT_FORMAT"),
        ("/3311/0", {"payload": "7"}, "UNSUPPORTED_CONTENT_FORMAT"),
        ("/3311/0", {"payload": b"\xff", "content_format": TLV}, "BAD_REQUEST"),
        ("/3311/0/5851", {"payload": b"\xe1\x16\xda\x32", "content_format": TLV}, "BAD_REQUEST"),
        ("/3311/0/5851", {"payload": "1_0"}, "BAD_REQUEST"),
        ("/3311/0/5851", {"payload": " 7"}, "BAD_REQUEST"),
        ("/1/0/1", {"payload": "-5"}, "BAD_REQUEST"),  # there is no such time
        ("/1/0/7", {"payload": "T"}, "BAD_REQUEST"),  # a device has UDP alone
        ("/3311", {"payload": "7"}, "METHOD_NOT_ALLOWED"),
        ("/", {"payload": "7"}, "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_cannot_be_written(path: str, fields: Any, code: str) -> None:
    assert Client().code("PUT", path, **fields) == code


def keys(client: Client, path: str) -> list[str]:
    return [one["n"] for one in records(client.get(path, accept=JSON))]


def replace(client: Client, path: str, *entries: str) -> Any:
    body = "[" + ",".join(entries) + "]"
    return client.code("PUT", path, payload=body, content_format=JSON)


def test_a_replaced_instance_has_what_it_is_given() -> None:
    """Optional resources that can be written are removed, where it is known that they are optional."""
    client = Client({"1": {"0": {"2": 4, "3": 60}}, "3": {"0": {"14": "+01:00", "15": "=str(t)"}}})
    assert client.code("PUT", "/1/0/22", payload="x") == "CHANGED"
    assert replace(client, "/1/0", '{"n":"/1/0/2","v":9}') == "CHANGED"
    assert keys(client, "/1/0") == ["0", "1", "2", "6", "7"]
    assert client.get("/1/0/2") == "9"
    assert client.code("PUT", "/1/0/3", payload="70") == "CHANGED"  # and can be made again
    assert replace(client, "/3/0", '{"n":"/3/0/15","vs":"Europe/Oslo"}') == "METHOD_NOT_ALLOWED"
    assert client.get("/3/0/14") == "+01:00"  # all of it, or nothing
    assert replace(client, "/3/0") == "CHANGED"
    assert keys(client, "/3/0") == ["0", "1", "2", "3", "11/0", "15", "16"]


def test_what_a_replaced_instance_cannot_be_without_is_as_in_the_model() -> None:
    objects = {"2": {"0": {"3": 7}}, "3311": {"0": {"5850": "=state.on", "5851": 10}}}
    client = Client({**objects, "10250": {"0": {"0": 1, "1": {"0": "a", "1": "b"}}}})
    for path, text in (("/1/0/1", "60"), ("/3311/0/5851", "50"), ("/2/0/3", "9")):
        assert client.code("PUT", path, payload=text) == "CHANGED"
    assert client.code("PUT", "/3311/0/5850", payload="0") == "CHANGED"
    assert replace(client, "/10250/0/1", '{"n":"/10250/0/1/1","vs":"z"}') == "CHANGED"
    for path in ("/1/0", "/2/0", "/3311/0", "/10250/0"):
        assert replace(client, path) == "CHANGED"
    assert [client.get(path) for path in ("/1/0/1", "/3311/0/5851", "/2/0/3")] == [
        "86400",
        "10",
        "7",
    ]
    assert client.get("/3311/0/5850") == "0"  # it is the device's state
    assert client.code("GET", "/2/0/2") == "NOT_FOUND"
    assert client.code("PUT", "/2/0/2", payload="5") == "BAD_REQUEST"  # it has instances
    entry = '[{"n":"/2/0/2/4","v":5}]'
    assert client.code("POST", "/2/0/2", payload=entry, content_format=JSON) == "CHANGED"
    assert client.get("/2/0/2/4") == "5"
    assert keys(client, "/10250/0") == ["0", "1/0", "1/1"]
    assert client.get("/10250/0/1/1") == "b"


def test_a_replacement_counts_as_a_change() -> None:
    client = Client()
    for number in range(64):
        body = f'[{{"n":"/3311/{number + 10}/5850","vb":true}}]'
        client.code("POST", "/3311", payload=body, content_format=JSON)
    client.code("PUT", "/3311/0/5851", payload="50")
    assert replace(client, "/3311/0") == "CHANGED"  # the values alone
    assert client.get("/3311/0/5851") == "10"
    assert replace(client, "/3311/10", '{"n":"/3311/10/5851","v":1}') == "CHANGED"
    assert keys(client, "/3311/10") == ["5851"]


# -- execute (section 6.3.5) ---------------------------------------------------------------------------


def test_execute_is_a_rule_s() -> None:
    rule = {
        "when": {"operation": "EXECUTE", "path": "/3/0/4"},
        "reply": {"code": "CHANGED"},
        "set": {"on": False},
    }
    client = Client(rules=[rule])
    assert client.code("POST", "/3/0/4", payload="0='x'") == "CHANGED"
    assert client.device.state["on"] is False
    assert said(client, "EXECUTE")[0]["value"] == "0='x'"
    assert client.code("POST", "/3/0/5") == "METHOD_NOT_ALLOWED"
    assert client.code("POST", "/3303/0/5700") == "METHOD_NOT_ALLOWED"
    assert client.code("POST", "/9/0/1") == "NOT_FOUND"
    assert client.code("POST", "/3303/0/9999") == "NOT_FOUND"


def test_rules_answer_with_values_of_their_own() -> None:
    rules = [
        {"when": {"operation": "READ", "path": "/3303/0/5700"}, "reply": {"value": "=1 + 0.5"}},
        {"when": {"operation": "READ", "path": "/9"}, "reply": {"value": {"0": {"1": "x"}}}},
        {"when": {"operation": "WRITE"}, "reply": {"code": "CONFLICT", "value": "busy"}},
    ]
    client = Client(rules=rules)
    assert client.get("/3303/0/5700") == "1.5"
    assert client.get("/3303/0/5700", accept=JSON) == '[{"bn":"/3303/0/5700","v":1.5}]'
    assert client.get("/9") == b"\x03\x00\xc1\x01x"
    answer = client.ask("PUT", "/3311/0/5851", payload="5")
    assert (answer["code"], answer["payload"]) == ("CONFLICT", "busy")


def test_a_value_of_a_rule_that_cannot_be_said() -> None:
    client = Client(
        rules=[{"when": {"operation": "READ"}, "reply": {"value": "hot"}}], may_fail=True
    )
    client.send("GET", "/3303/0/5700")
    (failed,) = (event for event in client.events if isinstance(event, DeviceFailed))
    assert "'hot' is no float" in failed.error


# -- below ---------------------------------------------------------------------------------------------


def test_coap_s_own_resources_are_there() -> None:
    resources = {"/temp": {"value": 20.5, "observe": "1s", "methods": ["GET", "PUT"]}}
    client = Client(model={"resources": resources})
    assert client.get("/temp") == "20.5"
    assert client.get("/.well-known/core") == "</temp>;ct=0;obs"
    client.ask("GET", "/temp", observe=0)
    assert client.code("PUT", "/temp", payload="21.5") == "CHANGED"
    client.wait(0)
    assert client.sent[-1]["payload"] == "21.5"


def test_long_values_go_in_blocks() -> None:
    client = Client({"5": {"0": {}}}, {"block_size": 64})
    for number in range(4):
        block = {"number": number, "more": number < 3, "size": 64}
        part = bytes([number]) * 64
        answer = client.ask("PUT", "/5/0/0", payload=part, content_format=42, block1=block)
    assert answer["code"] == "CHANGED"
    assert len(said(client, "WRITE")[0]["value"]) == 256


def test_ipv6_and_duplicates() -> None:
    client = Client()
    (answer,) = client.send("GET", "/3303/0/5701", peer="[fd77::1]:6000")
    assert answer["payload"] == "Cel"
    client.last_id -= 1
    (again,) = client.send("GET", "/3303/0/5701", peer="[fd77::1]:6000")
    assert again == answer
    assert not [e for e in client.events if isinstance(e, DeviceFailed | SessionFailed)]


def test_a_second_response_to_a_request_is_the_rules_fault() -> None:
    reply = [{"operation": "RESPONSE", "value": value} for value in (True, False)]
    rules = [{"when": {"operation": "READ"}, "reply": reply}]
    client = Client({"3311": {"0": {"5850": False}}}, rules=rules, may_fail=True)
    assert client.get("/3311/0/5850") == "1"
    assert "rules[0]" in client.lines()[-1]
    assert client.lines()[-1].endswith("the request is answered already, and has one response")
