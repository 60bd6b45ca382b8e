"""CoAP's server: each test names the section of RFC 7252, or of another RFC, that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.protocols.coap import OTHER, Server, shown

from iotsim.errors import ScenarioError
from iotsim.events import DeviceFailed

if TYPE_CHECKING:
    from pathlib import Path

TEMP: dict[str, Any] = {"/temp": {"value": 20.5}}
STATES: dict[str, Any] = {
    "/led": {"value": "=state.led", "methods": ["GET", "PUT", "POST", "DELETE"]},
    "/json": {
        "value": "=state.table",
        "format": "application/json",
        "methods": ["GET", "PUT", "PATCH", "IPATCH", "FETCH"],
    },
    "/read": {"value": "=1 + 1", "methods": ["GET", "PUT", "POST", "DELETE"]},
    "/act": {"methods": ["POST"]},
}


def states(**state: Any) -> Server:
    return Server(STATES, state={"led": 1, "table": {"a": 1, "b": {"c": 2}}, **state})


def late(delay: str = "1s", code: str = "CONTENT", **reply: Any) -> list[dict[str, Any]]:
    """Rules that answer a request after a while."""
    return [
        {"when": {"path": "/late"}, "reply": {"code": code, **reply}, "delay": delay},
        {"when": {"path": "/drop"}, "times": 1, "drop": True},
        {"when": {"path": "/silent"}, "set": {"heard": True}},
    ]


def test_a_transcript() -> None:
    server = Server(TEMP)
    server.get("/temp")
    server.send("GET", "/nowhere", type="NON")
    assert server.lines()[:3] == [
        "0.000 <- CON GET /temp  id=1001 token=74",
        "0.000 -> ACK CONTENT  20.5 id=1001 token=74",
        "0.000 <- NON GET /nowhere  id=1002 token=74",
    ]
    assert server.lines()[3].startswith("0.000 -> NON NOT_FOUND")


# -- messages ------------------------------------------------------------------------------------------


def test_section_4_2_reserved_codes_are_reset() -> None:
    server = Server()
    for code in (0x20, 0x61, 0xC0, 0xE1):
        (reset,) = server.receive(type="CON", code=code, message_id=7, token=b"t")
        assert shown(reset, "type", "code", "message_id", "token") == ("RST", "EMPTY", 7, b"")
        assert server.receive(type="NON", code=code, message_id=8) == []


def test_section_4_2_what_is_no_message_is_reset() -> None:
    server = Server()
    (reset,) = server.receive(bytes.fromhex("40010007ff"))
    assert shown(reset, "type", "message_id") == ("RST", 7)
    assert server.receive(bytes.fromhex("50010007ff")) == []


def test_section_4_2_a_response_that_nobody_asked_for_is_reset() -> None:
    server = Server()
    (reset,) = server.receive(type="CON", code="CONTENT", message_id=7, token=b"x")
    assert shown(reset, "type", "message_id") == ("RST", 7)
    assert server.receive(type="NON", code="CONTENT", message_id=8, token=b"x") == []
    assert server.receive(type="ACK", code="CONTENT", message_id=9, token=b"x") == []
    (reset,) = server.receive(type="NON", code="CONTENT", message_id=10, token=b"x", observe=5)
    assert shown(reset, "type", "message_id") == ("RST", 10)


@pytest.mark.parametrize("kind", ["ACK", "RST"])
def test_a_request_is_never_in_an_acknowledgment(kind: str) -> None:
    assert Server(TEMP).receive(type=kind, code="GET", path="/temp", message_id=7) == []


def test_section_4_5_a_duplicate_is_answered_as_before_and_not_seen_again() -> None:
    server = states()
    counted = {"code": "POST", "path": "/led", "payload": "5", "message_id": 7}
    (first,) = server.receive(counted)
    assert server.ask("PUT", "/led", payload="6")["code"] == "CHANGED"
    assert server.receive(counted) == [first]
    assert server.device.state["led"] == 6
    (other,) = server.receive(counted, peer=OTHER)  # the same id of another endpoint
    assert other["code"] == "CHANGED"
    assert server.device.state["led"] == 5


def test_section_4_5_a_duplicate_that_is_not_confirmable_is_ignored() -> None:
    server = Server(TEMP)
    request = {"type": "NON", "code": "GET", "path": "/temp", "message_id": 7}
    assert len(server.receive(request)) == 1
    assert server.receive(request) == []


def test_section_4_8_2_an_id_means_another_message_after_a_while() -> None:
    server = Server(TEMP)
    for kind, lifetime in (("CON", 247.0), ("NON", 145.0)):
        request = {"type": kind, "code": "GET", "path": "/temp", "message_id": 7}
        server.receive(request)
        server.wait(lifetime - 1)
        before = len(server.lines())
        server.receive(request)
        assert "[wire]" in server.lines()[before]
        server.wait(2)
        before = len(server.lines())
        server.receive(request)
        assert "[wire]" not in server.lines()[before]


def test_a_request_that_a_rule_drops_may_come_again() -> None:
    server = Server(rules=late(), state={"heard": False})
    request = {"code": "GET", "path": "/drop", "message_id": 7}
    assert server.receive(request) == []
    (answer,) = server.receive(request)
    assert answer["code"] == "NOT_FOUND"


def test_what_is_taken_without_an_answer_is_acknowledged() -> None:
    server = Server(rules=late(), state={"heard": False})
    (ack,) = server.send("GET", "/silent")
    assert shown(ack, "type", "code", "token") == ("ACK", "EMPTY", b"")
    assert server.send("GET", "/silent", type="NON") == []


# -- answers that come late ----------------------------------------------------------------------------


def test_section_5_2_1_an_answer_in_time_is_in_the_acknowledgment() -> None:
    server = Server(rules=late("50ms"), state={"heard": False})
    assert server.send("GET", "/late") == []
    (answer,) = server.after(1)
    assert shown(answer, "type", "code", "message_id") == ("ACK", "CONTENT", server.last_id)


def test_section_5_2_2_a_late_answer_is_a_message_of_its_own() -> None:
    server = Server(rules=late(), state={"heard": False})
    server.send("GET", "/late")
    ack, answer = server.after(1.5)
    assert shown(ack, "type", "code", "message_id") == ("ACK", "EMPTY", server.last_id)
    assert shown(answer, "type", "code", "token") == ("CON", "CONTENT", b"t")
    server.last_id -= 1
    assert server.send("GET", "/late") == [ack]  # a duplicate


def test_a_rule_may_ask_for_a_message_of_its_own() -> None:
    for kind in ("CON", "NON"):
        server = Server(rules=late("0s", type=kind), state={"heard": False})
        ack, answer = server.send("GET", "/late")
        assert shown(ack, "type", "code") == ("ACK", "EMPTY")
        assert shown(answer, "type", "code") == (kind, "CONTENT")


def test_a_rule_may_reset_or_acknowledge_and_be_silent() -> None:
    for kind in ("RST", "ACK"):
        server = Server(rules=late("0s", type=kind, code="EMPTY"), state={"heard": False})
        (empty,) = server.send("GET", "/late")
        fields = "type", "code", "message_id", "token"
        assert shown(empty, *fields) == (kind, "EMPTY", server.last_id, b"")


def test_several_answers_of_a_rule() -> None:
    """The first is in the acknowledgment; the others are messages of their own, with its token."""
    reply = {"code": "CONTENT", "payload": "1"}
    server = Server(
        rules=[{"when": {"path": "/a"}, "reply": [reply, {**reply, "payload": "2", "type": "NON"}]}]
    )
    first, second = server.send("GET", "/a")
    assert shown(first, "type", "payload", "token") == ("ACK", "1", b"t")
    assert shown(second, "type", "payload", "token") == ("NON", "2", b"t")


def test_messages_that_wait_are_bounded() -> None:
    server = Server(rules=late(), state={"heard": False})
    for number in range(100):
        server.send("GET", "/late", token=bytes([number]))
    server.wait(2)
    notes = [line for line in server.lines() if "is not sent: 64 wait already" in line]
    assert len(notes) == 100 - 64 - 1


@pytest.mark.parametrize(
    "answer", ['{"payload": "x"}', '{"code": "NOPE"}', '{"code": "CONTENT", "x": 1}']
)
def test_a_behavior_that_says_what_is_no_message(answer: str, tmp_path: Path) -> None:
    source = f"""
from iotsim import Device, on

class Wrong(Device):
    @on()
    def answer(self, request):
        return {answer}
"""
    (tmp_path / "wrong.py").write_text(source)
    server = Server(behavior="wrong.py:Wrong", folder=tmp_path, may_fail=True)
    assert server.send("GET", "/") == []
    (failed,) = [one for one in server.events if isinstance(one, DeviceFailed)]
    assert "code" in failed.error or "x: " in failed.error


def test_section_4_2_repetitions_grow_and_end() -> None:
    server = Server(rules=late(), state={"heard": False})
    server.send("GET", "/late")
    assert len(server.after(200)) == 6
    times = server.times[1:]  # the first is the acknowledgment
    assert len(times) == 5
    first = times[1] - times[0]
    assert 2 <= first <= 3
    for index in range(1, 4):
        assert times[index + 1] - times[index] == pytest.approx(first * 2**index)


def test_section_4_8_the_parameters_are_the_models() -> None:
    model = {"ack_timeout": "1s", "ack_random_factor": 1, "max_retransmit": 1, "ack_delay": "10ms"}
    server = Server(model=model, rules=late(), state={"heard": False})
    server.send("GET", "/late")
    assert len(server.after(0.02)) == 1
    assert len(server.after(1.1)) == 1
    assert server.after(0.8) == []
    assert len(server.after(0.2)) == 1
    assert server.after(100) == []


@pytest.mark.parametrize("kind", ["ACK", "RST"])
def test_section_4_2_an_acknowledgment_or_a_reset_ends_them(kind: str) -> None:
    server = Server(rules=late(), state={"heard": False})
    server.send("GET", "/late")
    _, answer = server.after(1.5)
    server.acknowledge(answer, kind, OTHER)  # another endpoint's is not meant
    assert len(server.after(2)) == 1
    server.acknowledge(answer, kind)
    assert server.after(200) == []


def test_section_4_7_one_message_at_a_time() -> None:
    server = Server(rules=late(), state={"heard": False})
    for token in (b"1", b"2", b"3"):
        server.send("GET", "/late", token=token)
    first = [one for one in server.after(1.5) if one["type"] == "CON"]
    assert [one["token"] for one in first] == [b"1"]
    server.acknowledge(first[0])
    assert [one["token"] for one in server.sent[-1:]] == [b"2"]
    server.acknowledge(server.sent[-1])
    assert [one["token"] for one in server.sent[-1:]] == [b"3"]
    server.acknowledge(server.sent[-1])
    assert server.after(200) == []


# -- requests that cannot be served --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"options": [{"number": 9, "value": b""}]}, "BAD_OPTION"),  # 5.4.1: critical
        ({"options": [{"number": 10, "value": b""}]}, "CONTENT"),  # elective
        ({"proxy_uri": "coap://elsewhere/"}, "PROXYING_NOT_SUPPORTED"),  # 5.10.2
        ({"proxy_scheme": "http"}, "PROXYING_NOT_SUPPORTED"),
        ({"hop_limit": 0}, "BAD_REQUEST"),  # RFC 8768, section 3
        ({"hop_limit": 1}, "CONTENT"),
        ({"uri_host": "other", "uri_port": 1}, "CONTENT"),
        ({"block2": {"size": 2048}}, "BAD_REQUEST"),  # RFC 7959, section 2.2
        ({"block1": {"size": 2048}}, "BAD_REQUEST"),
        ({"code": 8}, "METHOD_NOT_ALLOWED"),  # 5.8: an unknown method
        ({"code": 31}, "METHOD_NOT_ALLOWED"),
        ({"code": "PUT"}, "METHOD_NOT_ALLOWED"),
        ({"path": "/"}, "NOT_FOUND"),
        ({"path": "/temp/"}, "NOT_FOUND"),
        ({"accept": 50}, "NOT_ACCEPTABLE"),  # 5.10.4
        ({"accept": 0}, "CONTENT"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: str) -> None:
    answer = Server(TEMP).ask(**{"code": "GET", "path": "/temp", **fields})
    assert answer["code"] == code


def test_section_5_4_1_a_critical_option_that_is_not_understood() -> None:
    """The refusal says which; what is not confirmable is rejected, and so is a response."""
    server = Server(TEMP)
    options = [{"number": 9, "value": b""}]
    answer = server.get("/temp", options=options)
    assert shown(answer, "code", "payload") == ("BAD_OPTION", "option 9 is not understood")
    (reset,) = server.send("GET", "/temp", type="NON", options=options)
    assert shown(reset, "type", "code", "message_id") == ("RST", "EMPTY", server.last_id)
    request = {"type": "NON", "code": "GET", "message_id": 9, "path": "/temp", "options": options}
    assert server.receive(request, at="224.0.1.187") == []
    assert server.after(10) == []


def test_section_5_4_3_an_option_of_a_wrong_length() -> None:
    server = Server(TEMP)
    (answer,) = server.receive(bytes.fromhex("40010007 54 00000000 64 74656d70"))
    assert answer["code"] == "BAD_OPTION"  # If-None-Match is critical
    (answer,) = server.receive(bytes.fromhex("40010008 64 00000000 54 74656d70"))
    assert answer["code"] == "CONTENT"  # Observe is not


def test_an_unknown_response_is_that_of_its_class() -> None:
    """Section 5.9: nothing happens to who did not ask."""
    assert Server().receive(type="NON", code=0x5D, message_id=7) == []


# -- resources -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "format_", "payload"),
    [
        (20.5, "text/plain", "20.5"),
        (True, "text/plain", "true"),
        ("a text", "text/plain", "a text"),
        ({"a": [1, 2]}, "application/json", '{"a":[1,2]}'),
        ({"a": [1, 2]}, "application/cbor", bytes.fromhex("a161618201 02".replace(" ", ""))),
        ("hex:00ff", "application/octet-stream", b"\x00\xff"),
        ("<a/>", 41, "<a/>"),
    ],
)
def test_a_value_in_its_format(value: Any, format_: Any, payload: Any) -> None:
    answer = Server({"/a": {"value": value, "format": format_}}).get("/a")
    assert shown(answer, "code", "payload") == ("CONTENT", payload)


def test_max_age() -> None:
    server = Server({"/a": {"value": 1, "max_age": 7}, "/b": {"value": 1}})
    assert server.get("/a")["max_age"] == 7
    assert "max_age" not in server.get("/b")


def test_section_5_8_3_put_sets_a_state() -> None:
    server = states()
    assert server.ask("PUT", "/led", payload="7")["code"] == "CHANGED"
    assert server.device.state["led"] == 7
    assert server.get("/led")["payload"] == "7"


@pytest.mark.parametrize("payload", ["on", "", "1e999", "nan", "9" * 30, b"\xff", "1_0", "\u0663"])
def test_a_number_stays_a_number(payload: Any) -> None:
    """What a gateway writes must not break what reckons with it."""
    server = states()
    assert server.ask("PUT", "/led", payload=payload)["code"] == "BAD_REQUEST"
    assert server.device.state["led"] == 1


@pytest.mark.parametrize(("payload", "value"), [("true", True), ("0", False), ("1", True)])
def test_true_and_false(payload: str, value: bool) -> None:
    server = states(led=not value)
    assert server.ask("PUT", "/led", payload=payload)["code"] == "CHANGED"
    assert server.device.state["led"] is value
    assert server.ask("PUT", "/led", payload="7")["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("like", "payload", "expected"),
    [
        ({"a": 1}, "1", "a table or a list"),
        ({"a": 1}, "true", "a table or a list"),
        ({"a": 1}, "null", "a table or a list"),
        ([1], '"text"', "a table or a list"),
        (1, "{}", "a finite number"),
        (1, "true", "a finite number"),
        (True, "{}", "true or false"),
        (True, "2", "true or false"),
    ],
)
def test_a_refusal_says_what_was_expected(like: Any, payload: str, expected: str) -> None:
    resource = {"value": like, "format": "application/json", "methods": ["GET", "PUT"]}
    server = Server({"/json": resource})
    answer = server.ask("PUT", "/json", payload=payload)
    assert answer["code"] == "BAD_REQUEST"
    assert answer["payload"] == f"{expected}, and nothing else"


def test_a_text_that_is_no_table_is_refused_likewise() -> None:
    server = Server({"/table": {"value": {"a": 1}, "methods": ["GET", "PUT"]}})
    answer = server.ask("PUT", "/table", payload="{}")
    assert answer["payload"] == "a table or a list, and nothing else"


def test_a_literal_is_each_devices_own() -> None:
    server = Server({"/a": {"value": 1, "methods": ["GET", "PUT"]}})
    server.ask("PUT", "/a", payload="2")
    assert server.get("/a")["payload"] == "2"
    server.reboot()
    assert server.get("/a")["payload"] == "1"


def test_an_expression_cannot_be_written() -> None:
    server = states()
    for method in ("PUT", "DELETE"):
        assert server.ask(method, "/read", payload="7")["code"] == "METHOD_NOT_ALLOWED"
    assert server.ask("POST", "/read", payload="7")["code"] == "CHANGED"
    assert server.get("/read")["payload"] == "2"
    assert server.ask("POST", "/act", payload="7")["code"] == "CHANGED"


def test_section_5_8_4_delete_and_make_again() -> None:
    server = states()
    assert server.ask("DELETE", "/led")["code"] == "DELETED"
    assert server.get("/led")["code"] == "NOT_FOUND"
    assert server.ask("DELETE", "/led")["code"] == "DELETED"
    assert "/led" not in server.get("/.well-known/core")["payload"]
    assert server.ask("PUT", "/led", payload="7")["code"] == "CREATED"
    assert server.get("/led")["payload"] == "7"


def test_section_5_10_3_another_format() -> None:
    server = states()
    answer = server.ask("PUT", "/led", payload="{}", content_format="application/json")
    assert answer["code"] == "UNSUPPORTED_CONTENT_FORMAT"
    answer = server.ask("PUT", "/json", payload="{}", content_format="text/plain")
    assert answer["code"] == "UNSUPPORTED_CONTENT_FORMAT"
    answer = server.ask("PUT", "/json", payload='{"x":[1]}', content_format="application/json")
    assert answer["code"] == "CHANGED"
    assert server.device.state["table"] == {"x": [1]}
    assert server.ask("PUT", "/json", payload="{")["code"] == "BAD_REQUEST"


def test_section_5_10_8_conditions() -> None:
    server = states()
    assert server.ask("PUT", "/led", payload="2", if_match=[b""])["code"] == "CHANGED"
    assert server.ask("PUT", "/led", payload="3", if_match=[b"x"])["code"] == "PRECONDITION_FAILED"
    (etag,) = server.get("/led", etag=[b"x"])["etag"]
    assert server.ask("PUT", "/led", payload="4", if_match=[b"x", etag])["code"] == "CHANGED"
    for condition in ({"if_match": [etag]}, {"if_none_match": True}):
        assert server.ask("DELETE", "/led", **condition)["code"] == "PRECONDITION_FAILED"
    assert server.ask("DELETE", "/led")["code"] == "DELETED"
    assert server.ask("PUT", "/led", payload="5", if_match=[b""])["code"] == "PRECONDITION_FAILED"
    assert server.ask("PUT", "/led", payload="5", if_none_match=True)["code"] == "CREATED"
    assert server.ask("PUT", "/nowhere", if_match=[b""])["code"] == "PRECONDITION_FAILED"


def test_section_5_10_8_1_the_tag_of_any_representation() -> None:
    formats = {"application/json": "=state.led"}
    led = {"value": "=state.led", "formats": formats, "methods": ["GET", "PUT"], "etag": True}
    server = Server({"/led": led}, state={"led": 1})
    (tag,) = server.get("/led", accept="application/json")["etag"]
    assert server.ask("PUT", "/led", payload="2", if_match=[tag])["code"] == "CHANGED"
    assert server.ask("PUT", "/led", payload="3", if_match=[tag])["code"] == "PRECONDITION_FAILED"


def test_section_5_10_8_a_condition_holds_for_get_too() -> None:
    server = Server(TEMP)
    assert server.get("/temp", if_match=[b""])["code"] == "CONTENT"
    assert server.get("/temp", if_match=[b"other"])["code"] == "PRECONDITION_FAILED"
    assert server.get("/temp", if_none_match=True)["code"] == "PRECONDITION_FAILED"


def test_section_5_8_4_what_was_not_there_is_deleted() -> None:
    server = Server(TEMP)
    assert server.ask("DELETE", "/nowhere")["code"] == "DELETED"
    refused = server.ask("DELETE", "/nowhere", if_match=[b""])
    assert refused["code"] == "PRECONDITION_FAILED"


def test_rfc_8132_section_3_patch() -> None:
    server = states()
    patch = {"content_format": "application/merge-patch+json"}
    for method in ("PATCH", "IPATCH"):
        answer = server.ask(method, "/json", payload='{"a":null,"b":{"d":3}}', **patch)
        assert answer["code"] == "CHANGED"
    assert server.device.state["table"] == {"b": {"c": 2, "d": 3}}
    assert server.ask("PATCH", "/json", payload="{", **patch)["code"] == "BAD_REQUEST"
    wrong = server.ask("PATCH", "/json", payload="{}", content_format="application/json")
    assert wrong["code"] == "UNSUPPORTED_CONTENT_FORMAT"
    assert server.ask("PATCH", "/led", payload="{}", **patch)["code"] == "METHOD_NOT_ALLOWED"


def test_a_patch_does_not_grow_a_body_beyond_its_limit() -> None:
    table = {"value": "=state.table", "format": "application/json", "methods": ["PATCH"]}
    server = Server({"/json": table}, {"body_limit": 100}, state={"table": {}})
    patch = {"content_format": "application/merge-patch+json"}
    codes = {
        server.ask("PATCH", "/json", payload=f'{{"k{number}":{number}}}', **patch)["code"]
        for number in range(20)
    }
    assert codes == {"CHANGED", "REQUEST_ENTITY_TOO_LARGE"}


def test_rfc_8132_section_2_fetch() -> None:
    server = states()
    answer = server.ask("FETCH", "/json", payload="{}", content_format="application/json")
    assert shown(answer, "code", "payload") == ("CONTENT", '{"a":1,"b":{"c":2}}')
    answer = server.ask("FETCH", "/json", payload="x", content_format="application/xml")
    assert answer["code"] == "UNSUPPORTED_CONTENT_FORMAT"


def test_a_body_that_is_too_large() -> None:
    resources = {"/a": {"value": "x", "methods": ["PUT"]}}
    server = Server(resources, {"body_limit": 10})
    answer = server.ask("PUT", "/a", payload="x" * 11)
    assert shown(answer, "code", "size1") == ("REQUEST_ENTITY_TOO_LARGE", 10)


def test_rules_come_first() -> None:
    server = Server(TEMP, rules=[{"when": {"path": "/temp"}, "reply": {"code": "FORBIDDEN"}}])
    assert server.get("/temp")["code"] == "FORBIDDEN"


def test_rfc_7967_no_response() -> None:
    server = Server(TEMP)
    (ack,) = server.send("GET", "/temp", no_response=2)
    assert shown(ack, "type", "code") == ("ACK", "EMPTY")
    assert server.send("GET", "/temp", type="NON", no_response=2) == []
    assert server.get("/nowhere", no_response=2)["code"] == "NOT_FOUND"
    assert server.send("GET", "/nowhere", type="NON", no_response=26) == []


# -- discovery (RFC 6690) --------------------------------------------------------------------------------


def test_links() -> None:
    server = Server(
        {
            "/temp": {"value": 1, "rt": "temperature-c", "if": "sensor", "observe": "1s"},
            "/a b/ü": {"value": 1, "title": 'a "title"', "sz": 7, "format": 99},
            "/two": {"value": 1, "formats": {"application/json": "{}"}},
            "/none": {"methods": ["GET", "PUT"]},
        }
    )
    answer = server.get("/.well-known/core")
    assert answer["content_format"] == "application/link-format"
    assert answer["payload"].split(",") == [
        '</temp>;rt="temperature-c";if="sensor";ct=0;obs',
        '</a%20b/%C3%BC>;title="a \\"title\\"";sz=7;ct=99',
        '</two>;ct="0 50"',
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (["ct=50"], ["/b"]),
        (["ct=4*"], []),
        (["obs"], ["/a"]),
        (["rt=x", "if=y"], ["/a"]),
        (["rt=x", "if=z"], []),
        (["title=a b"], ["/b"]),
        (["title=a"], []),
        (["unknown=1"], []),
        (["rt="], []),
        ([""], []),
    ],
)
def test_rfc_6690_section_4_1_filters(query: list[str], found: list[str]) -> None:
    server = Server(
        {
            "/a": {"value": 1, "rt": "w x", "if": "y", "observe": "1s"},
            "/b": {"value": 1, "title": "a b", "formats": {"application/json": "1"}},
        }
    )
    answer = server.get("/.well-known/core", query=query)
    assert [link[1:3] for link in answer["payload"].split(",") if link] == found


def test_what_core_is_not_asked_for() -> None:
    server = Server(TEMP)
    assert server.ask("PUT", "/.well-known/core")["code"] == "METHOD_NOT_ALLOWED"
    assert server.get("/.well-known/core", accept=50)["code"] == "NOT_ACCEPTABLE"


# -- groups (section 8) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "peer"),
    [
        ("224.0.1.187", "10.77.0.1:40000"),
        ("ff02::fd", "[fd77::1]:40000"),
        ("ff05::fd", "[fd77::1]:40000"),
    ],
)
def test_section_8_2_an_answer_to_a_group_takes_its_time(group: str, peer: str) -> None:
    waits = set()
    for seed in range(5):
        server = Server(TEMP, {"leisure": "3s"}, seed=seed)
        request = {"type": "NON", "code": "GET", "message_id": 7, "path": "/.well-known/core"}
        assert server.receive(request, at=group, peer=peer) == []
        (answer,) = server.after(3)
        assert shown(answer, "type", "code", "payload") == ("NON", "CONTENT", "</temp>;ct=0")
        waits.add(server.events[-1].t)
    assert len(waits) == 5


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "NON", "code": "GET", "path": "/nowhere"},
        {"type": "NON", "code": "PUT", "path": "/temp"},
        {"type": "NON", "code": "GET", "path": "/.well-known/core", "query": ["rt=none"]},
        {"type": "CON", "code": "GET", "path": "/temp"},  # section 8.1
        {"type": "CON", "code": "EMPTY"},
        {"type": "CON", "code": 0x61},
        {"type": "CON", "code": "CONTENT"},
        {"type": "NON", "code": "CONTENT", "observe": 1},
        {"type": "NON", "code": "GET", "path": "/temp", "proxy_uri": "coap://x"},
        {"type": "NON", "code": "GET", "path": "/temp", "options": [{"number": 9, "value": b""}]},
    ],
)
def test_section_8_2_a_group_is_told_nothing_of_errors(request_: dict[str, Any]) -> None:
    server = Server(TEMP)
    server.receive({"message_id": 7, **request_}, at="224.0.1.187")
    server.wait(10)
    assert server.datagrams == []


def test_a_flood_of_requests_to_a_group_is_bounded() -> None:
    server = Server(TEMP)
    for number in range(100):
        request = {"type": "NON", "code": "GET", "path": "/temp", "message_id": number}
        server.receive(request, at="224.0.1.187")
    assert len(server.after(6)) == 8


# -- models that are wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({"value": 1, "format": "text/none"}, "no content format is known"),
        ({"value": 1, "format": 70000}, "0 to 65535"),
        ({"value": 1, "methods": ["HEAD"]}, "'GET'"),
        ({"value": 1, "observe": 5}, "has no unit"),
        ({"value": "=nothing"}, "nothing"),
        ({"valu": 1}, "valu"),
        ({"value": 1, "interface": "x"}, r"interface: unknown key .* formats, if, max_age"),
    ],
)
def test_a_model_that_is_wrong(resource: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Server({"/a": resource})


def test_a_path_has_a_slash() -> None:
    with pytest.raises(ScenarioError, match="a path begins with a slash"):
        Server({"a": {"value": 1}})
