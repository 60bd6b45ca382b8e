"""CoAP's client: requests of a device's own, and what it observes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.protocols.coap import OTHER, Server, shown

from iotsim import Unanswered
from iotsim.events import NoRule, Received
from iotsim.testing.transcript import PEER

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.protocols.coap import Message

LARGE = "".join(f"{number:04}" for number in range(100))


class Client(Server):
    """A CoAP device that asks `PEER`. What its session has been answered is in ``answers``: messages, or
    the reasons why there are none."""

    def __init__(self, **model: Any) -> None:
        super().__init__(model=model)
        self.answers: list[Any] = []
        self.receive(type="CON", code="EMPTY", message_id=0)  # so that there is a session
        (service,) = self.simulation._services["device"]
        self.service: Any = service
        self.session: Any = service._sessions[0]
        self.peer = self.session.gateway

    def begin(self, conversation: Coroutine[Any, Any, None]) -> list[Message]:
        """Let the session do something; what is sent at once."""
        self.simulation.pump.timers.call_at(
            self.now, self.service._fire, self.session, self.session.start, (conversation,)
        )
        return self.after(0)

    def ask_peer(self, code: str = "GET", **fields: Any) -> list[Message]:
        """Let the session ask; what is sent at once."""

        async def asking() -> None:
            try:
                self.answers.append(await self.session.request({"code": code, **fields}, self.peer))
            except Unanswered as error:
                self.answers.append(error.reason)

        return self.begin(asking())

    def answer(self, request: Message, code: str = "CONTENT", **fields: Any) -> list[Message]:
        """Answer a request in its acknowledgment; what is sent then."""
        own = {"type": "ACK", "message_id": request["message_id"], "token": request["token"]}
        return self.receive({**own, "code": code, **fields})


def test_an_answer_in_the_acknowledgment() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a", query=["x=1"], accept="text/plain")
    assert shown(request, "type", "code", "path", "query") == ("CON", "GET", "/a", ["x=1"])
    assert len(request["token"]) == 4
    client.answer(request, payload="21")
    assert [answer["payload"] for answer in client.answers] == ["21"]
    assert client.after(300) == []


def test_a_late_answer_is_acknowledged_and_its_duplicates_too() -> None:
    """Section 5.2.2."""
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.acknowledge(request)
    assert client.after(100) == []
    late = {"type": "CON", "code": "CONTENT", "message_id": 9, "token": request["token"]}
    (ack,) = client.receive(late, payload="21")
    assert shown(ack, "type", "code", "message_id") == ("ACK", "EMPTY", 9)
    assert client.receive(late, payload="21") == [ack]
    assert len(client.answers) == 1


def test_an_answer_before_the_acknowledgment() -> None:
    """Section 5.2.2: whose acknowledgment was lost."""
    client = Client()
    (request,) = client.ask_peer(path="/a")
    late = {"type": "CON", "code": "CONTENT", "message_id": 9, "token": request["token"]}
    (ack,) = client.receive(late, payload="21")
    assert ack["type"] == "ACK"
    assert len(client.answers) == 1
    assert client.after(300) == []


def test_a_request_is_repeated_and_given_up() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    assert client.after(300) == [request] * 4
    assert client.answers == ["timeout"]


def test_an_answer_that_never_comes() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.acknowledge(request)
    client.wait(248)
    assert client.answers == ["timeout"]
    (request,) = client.ask_peer(path="/a", type="NON")
    client.wait(146)
    assert client.answers == ["timeout", "timeout"]


def test_section_4_3_a_reset_of_what_is_not_confirmable() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a", type="NON")
    client.acknowledge(request, "RST", OTHER)
    assert client.answers == []
    client.acknowledge(request, "RST")
    assert client.answers == ["reset"]


def test_section_5_3_2_an_acknowledgment_has_the_id_of_the_request() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    stranger = {**request, "message_id": request["message_id"] ^ 1}
    assert client.answer(stranger, payload="21") == []
    assert client.answers == []
    client.answer(request, payload="22")
    assert [answer["payload"] for answer in client.answers] == ["22"]


@pytest.mark.parametrize("kind", ["ACK", "CON", "NON"])
def test_section_5_4_1_a_response_with_a_critical_option_is_rejected(kind: str) -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    own = {"type": kind, "message_id": request["message_id"], "token": request["token"]}
    options = [{"number": 9, "value": b""}]
    sent = client.receive({**own, "code": "CONTENT", "payload": "21", "options": options})
    assert [one["type"] for one in sent] == (["RST"] if kind == "CON" else [])
    assert client.answers == []
    assert client.after(3) == [request]  # nothing has acknowledged it


def test_a_reset() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.acknowledge(request, "RST")
    assert client.answers == ["reset"]
    assert client.after(300) == []


@pytest.mark.parametrize(
    "other", [{"peer": OTHER}, {"token": b"other"}, {"token": b""}, {"type": "NON", "token": b"x"}]
)
def test_another_answer_is_not_taken(other: dict[str, Any]) -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    answer = {"type": "CON", "code": "CONTENT", "message_id": 9, "token": request["token"]}
    client.receive(
        {**answer, **{k: v for k, v in other.items() if k != "peer"}}, peer=other.get("peer", PEER)
    )
    assert client.answers == []


def test_section_4_7_requests_wait_for_each_other() -> None:
    client = Client()
    (first,) = client.ask_peer(path="/1")
    assert client.ask_peer(path="/2") == []
    (second,) = client.answer(first)
    assert second["path"] == "/2"
    client.answer(second)
    assert len(client.answers) == 2


def test_a_ping() -> None:
    client = Client()
    (ping,) = client.ask_peer("EMPTY")
    assert client.datagrams[-1][1][:2] == b"\x40\x00"
    client.acknowledge(ping, "RST")
    assert [answer["type"] for answer in client.answers] == ["RST"]


def test_what_answers_it_needs_no_rule() -> None:
    client = Server()
    client.say(code="POST", path="/readings", payload="1")
    (asked,) = client.sent
    client.receive(type="ACK", code="CHANGED", message_id=asked["message_id"], token=asked["token"])
    assert [event for event in client.events if isinstance(event, Received)]
    assert not [event for event in client.events if isinstance(event, NoRule)]


def test_what_a_rule_sends_and_what_answers_it() -> None:
    """The answer goes through the rules; one of them may ask on."""
    on = {"code": "POST", "path": "/next", "payload": "=msg.payload"}
    client = Server(rules=[{"when": {"code": "CONTENT"}, "reply": on}])
    client.say(code="GET", path="/first")
    (request,) = client.sent
    answer = {"type": "ACK", "code": "CONTENT", "payload": "21"}
    keys = {"message_id": request["message_id"], "token": request["token"]}
    (following,) = client.receive(answer, **keys)
    assert shown(following, "type", "code", "path", "payload") == ("CON", "POST", "/next", "21")
    assert following["token"] != request["token"]


def test_section_8_a_request_to_a_group() -> None:
    client = Server()
    client.say(code="GET", path="/.well-known/core", to="224.0.1.187:5683")
    (request,) = client.sent
    assert request["type"] == "NON"
    for peer in (PEER, OTHER):
        answer = {"type": "NON", "code": "CONTENT", "token": request["token"], "message_id": 1}
        client.receive(answer, payload="<a>", peer=peer)
    assert len([line for line in client.lines() if "<a>" in line and "[wire]" not in line]) == 2


# -- blocks --------------------------------------------------------------------------------------------


def test_a_body_is_put_together() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a", query=["x=1"])
    for number in range(7):
        block = {"number": number, "more": number < 6, "size": 64}
        part = LARGE[number * 64 : number * 64 + 64]
        sent = client.answer(request, payload=part, block2=block, etag=[b"e"])
        if block["more"]:
            (request,) = sent
            assert shown(request, "code", "path", "query") == ("GET", "/a", ["x=1"])
            assert request["block2"] == {"number": number + 1, "more": False, "size": 64}
    (answer,) = client.answers
    assert shown(answer, "payload", "block2") == (LARGE, None)


def test_a_body_that_changes_is_fetched_anew() -> None:
    """RFC 7959, section 2.4: blocks of different entity tags do not belong together."""
    client = Client()
    (request,) = client.ask_peer(path="/a")
    block = {"number": 0, "more": True, "size": 16}
    (request,) = client.answer(request, payload="x" * 16, block2=block, etag=[b"1"])
    block = {"number": 1, "more": False, "size": 16}
    (request,) = client.answer(request, payload="y", block2=block, etag=[b"2"])
    assert request["block2"]["number"] == 0
    block = {"number": 0, "more": False, "size": 16}
    client.answer(request, payload="y", block2=block, etag=[b"2"])
    assert [answer["payload"] for answer in client.answers] == ["y"]


def test_a_body_that_never_ends() -> None:
    client = Client(body_limit=100)
    (request,) = client.ask_peer(path="/a")
    sent: list[Any] = [request]
    for number in range(20):
        block = {"number": number, "more": True, "size": 16}
        sent = client.answer(sent[0], payload="x" * 16, block2=block)
        if not sent:
            break
    assert client.answers == ["the body is too large"]


def test_blocks_in_the_wrong_order() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.answer(request, payload="x" * 16, block2={"number": 3, "more": True, "size": 16})
    assert client.answers == ["a block that nobody asked for"]


def test_a_long_body_goes_in_blocks() -> None:
    client = Client(block_size=128)
    (request,) = client.ask_peer("PUT", path="/a", payload=LARGE, content_format="text/plain")
    assert request["size1"] == 400
    body = ""
    while True:
        assert shown(request, "code", "path", "content_format") == ("PUT", "/a", "text/plain")
        block = request["block1"]
        assert block["number"] * block["size"] == len(body)
        body += request["payload"]
        if not block["more"]:
            break
        # The other side takes smaller blocks (RFC 7959, section 2.5).
        (request,) = client.answer(request, "CONTINUE", block1={**block, "size": 64})
    client.answer(request, "CHANGED", block1=block)
    assert body == LARGE
    assert [answer["code"] for answer in client.answers] == ["CHANGED"]


def test_rfc_7959_section_2_9_3_a_first_block_that_is_too_large() -> None:
    client = Client(block_size=128)
    (request,) = client.ask_peer("PUT", path="/a", payload=LARGE)
    block = {"number": 0, "more": True, "size": 16}
    (request,) = client.answer(request, "REQUEST_ENTITY_TOO_LARGE", block1=block)
    assert shown(request, "block1", "payload") == (block, LARGE[:16])
    client.answer(request, "REQUEST_ENTITY_TOO_LARGE", block1=block)
    assert [answer["code"] for answer in client.answers] == ["REQUEST_ENTITY_TOO_LARGE"]


def test_rfc_7959_section_2_9_3_a_body_that_was_sent_at_once_is_too_large() -> None:
    client = Client()
    (request,) = client.ask_peer("PUT", path="/a", payload=LARGE)
    assert "block1" not in request
    block = {"number": 0, "more": True, "size": 64}
    (request,) = client.answer(request, "REQUEST_ENTITY_TOO_LARGE", block1=block)
    assert shown(request, "block1", "payload", "size1") == (block, LARGE[:64], len(LARGE))
    client.answer(request, "REQUEST_ENTITY_TOO_LARGE")
    assert [answer["code"] for answer in client.answers] == ["REQUEST_ENTITY_TOO_LARGE"]


def test_rfc_7959_figure_8_a_server_that_takes_each_block_by_itself() -> None:
    client = Client(block_size=128)
    (request,) = client.ask_peer("PUT", path="/a", payload=LARGE)
    body = request["payload"]
    for number in range(1, 4):
        block = {**request["block1"], "more": False}
        (request,) = client.answer(request, "CHANGED", block1=block)
        assert request["block1"] == {"number": number, "more": number < 3, "size": 128}
        body += request["payload"]
    assert client.answers == []
    client.answer(request, "CHANGED", block1=request["block1"])
    assert [answer["code"] for answer in client.answers] == ["CHANGED"]
    assert body == LARGE


def test_an_error_instead_of_a_further_block_is_told_as_it_is() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    block = {"number": 0, "more": True, "size": 16}
    (request,) = client.answer(request, payload=LARGE[:16], block2=block)
    client.answer(request, "NOT_FOUND", payload="it is gone")
    assert [shown(one, "code", "payload") for one in client.answers] == [
        ("NOT_FOUND", "it is gone")
    ]


# -- observation (RFC 7641) ------------------------------------------------------------------------------


class Observer(Client):
    """Observes ``/a`` of `PEER`, by GET or `how`; ``seen`` is what it has read."""

    def __init__(self, how: Message | None = None, **model: Any) -> None:
        super().__init__(**model)
        self.how = {"code": "GET", "path": "/a", **(how or {})}
        self.seen: list[Any] = []
        self.over = False
        (self.request,) = self.begin(self.observe())

    async def observe(self) -> None:
        self.notifications = self.session.observe(self.how, self.peer)
        async for notification in self.notifications:
            self.seen.append(notification["payload"])
        self.over = True

    def notify(self, number: int | None, payload: Any, **fields: Any) -> list[Message]:
        own = {"type": "NON", "code": "CONTENT", "token": self.request["token"]}
        self.last_id += 1
        more: dict[str, Any] = {"message_id": self.last_id, "payload": payload, **fields}
        return self.receive({**own, **more, "observe": number})


def test_what_is_observed_is_read_one_by_one() -> None:
    observer = Observer()
    assert shown(observer.request, "code", "path", "observe") == ("GET", "/a", 0)
    observer.answer(observer.request, payload="1", observe=7)
    observer.notify(8, "2")
    (ack,) = observer.notify(9, "3", type="CON")
    assert shown(ack, "type", "message_id") == ("ACK", observer.last_id)
    assert (observer.seen, observer.over) == (["1", "2", "3"], False)
    observer.notify(None, "gone", code="NOT_FOUND")
    assert (observer.seen, observer.over) == (["1", "2", "3", "gone"], True)
    (reset,) = observer.notify(10, "4", type="CON")
    assert reset["type"] == "RST"


def test_section_3_4_what_was_overtaken_is_not_news() -> None:
    observer = Observer()
    observer.answer(observer.request, payload="1", observe=5)
    observer.notify(9, "3")
    observer.notify(7, "2")
    observer.notify(9, "3 again")
    assert observer.seen == ["1", "3"]
    observer.notify(9 + (1 << 23) - 1, "4")
    observer.notify(3, "5")  # the numbers begin again
    assert observer.seen == ["1", "3", "4", "5"]
    observer.notify(4, "6", max_age=1000)
    observer.wait(129)
    observer.notify(2, "7")
    assert observer.seen[-1] == "7"


def test_section_3_3_1_what_is_stale_is_asked_for_again() -> None:
    observer = Observer()
    observer.answer(observer.request, payload="1", observe=5, max_age=10)
    assert observer.after(14) == []
    again, *_ = observer.after(11.5)
    fields = "type", "code", "path", "observe", "token"
    assert shown(again, *fields) == shown(observer.request, *fields)
    observer.answer(again, payload="2", observe=1, max_age=10)
    assert observer.seen == ["1", "2"]
    observer.wait(300)
    assert observer.over


def test_a_long_body_of_what_is_observed_goes_in_blocks_each_time() -> None:
    """RFC 7959, section 2.5: the server goes by the options of the last block, and by its token."""
    observer = Observer({"code": "FETCH", "payload": "x" * 40}, block_size=32)

    def send_all(request: Message, observe: int) -> None:
        fields = "code", "observe", "token", "payload"
        assert shown(request, *fields) == ("FETCH", observe, observer.request["token"], "x" * 32)
        (request,) = observer.answer(request, "CONTINUE", block1=request["block1"])
        assert shown(request, *fields) == ("FETCH", observe, observer.request["token"], "x" * 8)
        number = None if observe else 5
        assert observer.answer(request, payload="1", observe=number, max_age=10) == []

    send_all(observer.request, 0)
    again, *_ = observer.after(26)
    send_all(again, 0)
    before = len(observer.sent)
    observer.notifications.cancel()
    send_all((observer.after(0) or observer.sent[before:])[0], 1)
    assert (observer.seen, observer.over) == (["1", "1"], True)
    assert observer.after(300) == []


def test_section_3_6_cancel() -> None:
    observer = Observer()
    observer.answer(observer.request, payload="1", observe=5)
    before = len(observer.sent)
    observer.notifications.cancel()
    (request,) = observer.after(0) or observer.sent[before:]
    fields = "code", "path", "observe", "token"
    assert shown(request, *fields) == ("GET", "/a", 1, observer.request["token"])
    observer.answer(request, payload="1")
    assert (observer.seen, observer.over) == (["1"], True)
    assert observer.after(300) == []


def test_a_server_that_does_not_know_observe() -> None:
    observer = Observer()
    observer.answer(observer.request, payload="1")
    assert (observer.seen, observer.over) == (["1"], True)
    assert observer.after(300) == []


def test_rfc_7959_section_2_6_a_notification_in_blocks() -> None:
    observer = Observer()
    observer.answer(observer.request, payload="1", observe=5)
    block = {"number": 0, "more": True, "size": 16}
    (request,) = observer.notify(6, "x" * 16, block2=block)
    assert shown(request, "code", "path", "observe") == ("GET", "/a", None)
    assert request["token"] != observer.request["token"]
    observer.answer(request, payload="y", block2={"number": 1, "more": False, "size": 16})
    observer.notify(7, "2")
    assert observer.seen == ["1", "x" * 16 + "y", "2"]


def test_notifications_of_a_rules_request_go_to_the_rules() -> None:
    client = Server(
        rules=[{"when": {"code": "CONTENT"}, "set": {"seen": "=msg.payload"}}], state={"seen": ""}
    )
    client.say(code="GET", path="/a", observe=0)
    (request,) = client.sent
    own = {"code": "CONTENT", "token": request["token"]}
    client.receive(own, type="ACK", message_id=request["message_id"], observe=1, payload="1")
    assert client.device.state["seen"] == "1"
    client.receive(own, type="NON", message_id=9, observe=2, payload="2")
    assert client.device.state["seen"] == "2"


# -- RFC 8516 ------------------------------------------------------------------------------------------


def test_rfc_8516_the_same_request_waits() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.answer(request, "TOO_MANY_REQUESTS", max_age=30)
    assert client.ask_peer(path="/a") == []
    (other,) = client.ask_peer(path="/b")
    client.answer(other)
    assert client.after(29) == []
    (again,) = client.after(2)
    assert again["path"] == "/a"
    client.answer(again)
    assert [answer["code"] for answer in client.answers] == [
        "TOO_MANY_REQUESTS",
        "CONTENT",
        "CONTENT",
    ]


def test_what_is_observed_after_a_wait_can_be_cancelled() -> None:
    observer = Observer()
    observer.answer(observer.request, "TOO_MANY_REQUESTS", max_age=30)
    assert observer.begin(observer.observe()) == []
    (again,) = observer.after(31)
    observer.answer(again, payload="1", observe=5)
    before = len(observer.sent)
    observer.notifications.cancel()
    (cancelled,) = observer.after(0) or observer.sent[before:]
    assert shown(cancelled, "code", "observe", "token") == ("GET", 1, again["token"])


def test_what_is_cancelled_while_it_waits_is_not_observed() -> None:
    observer = Observer()
    observer.answer(observer.request, "TOO_MANY_REQUESTS", max_age=30)
    assert observer.begin(observer.observe()) == []
    observer.notifications.cancel()
    (again,) = observer.after(31)
    seen = list(observer.seen)
    before = len(observer.sent)
    observer.answer(again, payload="1", observe=5)
    (cancelled,) = observer.sent[before:]
    assert shown(cancelled, "code", "observe", "token") == ("GET", 1, again["token"])
    assert observer.seen == seen
    assert observer.over


def test_nothing_is_kept_of_a_request_that_has_waited_long_enough() -> None:
    client = Client()
    (request,) = client.ask_peer(path="/a")
    client.answer(request, "TOO_MANY_REQUESTS", max_age=30)
    (request,) = client.ask_peer(path="/b")
    client.answer(request, "TOO_MANY_REQUESTS", max_age=40)
    client.wait(35)
    (request,) = client.ask_peer(path="/a")
    client.answer(request)
    assert client.session._client is not None
    client.wait(6)
    assert client.session._client is None
