"""A device as MQTT-SN gateway. The sections are those of the specification, version 1.2."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocols.mqttsn import GROUP, Gateway, shown

from iotsim.errors import ScenarioError

A, B, C = "10.77.0.1:40001", "10.77.0.2:40002", "10.77.0.3:40003"
ACCEPTED = {"kind": "CONNACK", "return_code": "ACCEPTED"}


def test_it_advertises_itself() -> None:
    """Section 6.1."""
    gateway = Gateway({"gateway_id": 7, "advertise": "20m"})
    gateway.wait(1)
    assert gateway.sent == [{"kind": "ADVERTISE", "gateway_id": 7, "duration": 1200}]
    assert gateway.events[-1].peer == f"{GROUP}:1883"
    gateway.wait(2400)
    assert gateway.kinds == ["ADVERTISE"] * 3


def test_it_tells_who_searches_where_it_is() -> None:
    gateway = Gateway({"gateway_id": 7})
    info = {"kind": "GWINFO", "gateway_id": 7}
    assert gateway.receive(kind="SEARCHGW", peer=A, at=GROUP) == [info]
    assert gateway.events[-1].peer == f"{GROUP}:1883"
    assert gateway.receive(kind="SEARCHGW", peer=A) == [info]
    assert gateway.events[-1].peer == A


# -- connections (sections 6.2 to 6.4, 6.11, 6.12) -----------------------------------------------------


def test_clients_connect() -> None:
    gateway = Gateway()
    assert gateway.connect("a", A) == [ACCEPTED]
    assert gateway.connect("a", A) == [ACCEPTED]  # its CONNACK was lost
    assert gateway.connect("", B) == [{"kind": "CONNACK", "return_code": "NOT_SUPPORTED"}]
    assert gateway.connect("b", B, protocol_id=2)[0]["return_code"] == "NOT_SUPPORTED"
    assert [shown(one, "kind", "client_id") for one in gateway.heard][:1] == [("CONNECT", "a")]


def test_a_client_id_has_23_characters_at_most() -> None:
    """Section 5.3.1."""
    gateway = Gateway()
    rejected = [{"kind": "CONNACK", "return_code": "NOT_SUPPORTED"}]
    assert gateway.connect("x" * 23, A) == [ACCEPTED]
    assert gateway.connect("x" * 24, B) == rejected
    assert gateway.connect("", B) == rejected
    (note,) = gateway.notes
    assert note.startswith(f"device[0]: {B} is rejected: 'xxx")
    assert note.endswith("is no client id: that has 1 to 23 characters, and this 24")


def test_a_client_is_asked_for_its_will_which_is_published_when_it_is_lost() -> None:
    gateway = Gateway({"retry": "10s"})
    gateway.connect("b", B, duration=3000)
    gateway.subscribe("will/+", B, qos=1)
    assert gateway.connect("a", A, will=True, duration=30) == [{"kind": "WILLTOPICREQ"}]
    will = {"kind": "WILLTOPIC", "will_topic": "will/a", "qos": 2, "retain": True}
    assert gateway.receive(will, peer=A) == [{"kind": "WILLMSGREQ"}]
    assert gateway.after(10.1) == [{"kind": "WILLMSGREQ"}]
    assert gateway.receive(kind="WILLMSG", will_message="gone", peer=A) == [ACCEPTED]
    gateway.wait(44)
    assert "REGISTER" not in gateway.kinds
    (register,) = gateway.after(2)  # 30 s and a half (section 7.2)
    (publish,) = gateway.receive(
        kind="REGACK", topic_id=register["topic_id"], message_id=register["message_id"], peer=B
    )
    assert shown(publish, "topic_id", "data", "qos", "retain") == (1, "gone", 1, False)
    assert gateway.notes == ["device[0]: a is lost"]
    gateway.connect("c", C)
    (_, register) = gateway.subscribe("will/#", C)  # it is retained
    assert shown(register, "kind", "topic") == ("REGISTER", "will/a")


def test_who_does_not_tell_its_will_is_not_connected() -> None:
    gateway = Gateway({"retry": "2s", "retries": 1})
    gateway.connect("a", A, will=True)
    gateway.wait(5)
    assert gateway.kinds.count("WILLTOPICREQ") == 2
    assert gateway.notes == ["device[0]: a has not told its will"]
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "DISCONNECT"}]


def test_who_is_asked_for_its_will_may_repeat_itself() -> None:
    """Section 6.13: its timer is shorter than the gateway's, and each answer to it is lost once."""
    gateway = Gateway()
    topic = {"kind": "WILLTOPIC", "will_topic": "will/a"}
    message = {"kind": "WILLMSG", "will_message": "gone"}
    for _ in range(2):
        assert gateway.connect("a", A, will=True) == [{"kind": "WILLTOPICREQ"}]
    for _ in range(2):
        assert gateway.receive(topic, peer=A) == [{"kind": "WILLMSGREQ"}]
    for _ in range(2):
        assert gateway.receive(message, peer=A) == [ACCEPTED]
    assert gateway.after(5) == []
    assert not any("will" in note for note in gateway.notes)
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "PINGRESP"}]


def test_who_begins_anew_while_it_is_asked_for_its_will_is_not_made_to_wait() -> None:
    gateway = Gateway()
    gateway.connect("a", A, will=True)
    assert gateway.connect("b", A) == [ACCEPTED]
    assert gateway.after(59) == []
    assert gateway.receive(kind="WILLMSGUPD", will_message="x", peer=A)[0]["kind"] == "WILLMSGRESP"


def test_an_empty_will_topic_ends_the_questions() -> None:
    gateway = Gateway()
    gateway.connect("a", A, will=True)
    assert gateway.receive(b"\x02\x07", peer=A) == [ACCEPTED]


def test_a_will_is_updated_and_deleted() -> None:
    """Section 6.4."""
    gateway = Gateway({"topics": {"w/new": 5}})
    gateway.connect("b", B, duration=3000)
    gateway.receive(kind="SUBSCRIBE", topic_id_type="PREDEFINED", topic_id=5, message_id=1, peer=B)
    for topic, peer in (("w/new", A), ("", C)):
        gateway.connect(f"of {topic}", peer, will=True, duration=10)
        gateway.receive(kind="WILLTOPIC", will_topic="w/old", peer=peer)
        gateway.receive(kind="WILLMSG", will_message="old", peer=peer)
        update = {"kind": "WILLTOPICUPD"} | ({"will_topic": topic} if topic else {})
        (answer,) = gateway.receive(update, peer=peer)
        assert answer == {"kind": "WILLTOPICRESP", "return_code": "ACCEPTED"}
    (answer,) = gateway.receive(kind="WILLMSGUPD", will_message="new", peer=A)
    assert answer == {"kind": "WILLMSGRESP", "return_code": "ACCEPTED"}
    (answer,) = gateway.receive(kind="WILLTOPICUPD", will_topic="a/#", peer=A)
    assert answer["return_code"] == "INVALID_TOPIC_ID"
    gateway.wait(20)
    sent = [one for one in gateway.sent if one["kind"] == "PUBLISH"]
    assert [shown(one, "topic_id", "data") for one in sent] == [(5, "new")]


def test_who_disconnects_has_no_will() -> None:
    gateway = Gateway()
    gateway.connect("b", B, duration=3000)
    gateway.subscribe("ab", B)
    gateway.connect("a", A, will=True)
    gateway.receive(kind="WILLTOPIC", will_topic="ab", peer=A)
    gateway.receive(kind="WILLMSG", will_message="gone", peer=A)
    assert gateway.receive(kind="DISCONNECT", peer=A) == [{"kind": "DISCONNECT"}]
    gateway.wait(200)
    assert "PUBLISH" not in gateway.kinds


@pytest.mark.parametrize(
    ("duration", "allowance"), [(30, 45.0), (60, 90.0), (100, 110.0), (1000, 1100.0)]
)
def test_a_silent_client_is_lost_after_its_keep_alive_and_a_tolerance(
    duration: int, allowance: float
) -> None:
    """Section 7.2: 10 percent, and of up to a minute 50."""
    gateway = Gateway()
    gateway.connect("a", A, duration=duration)
    gateway.wait(allowance - 1)
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "PINGRESP"}]
    gateway.wait(allowance - 0.1)
    assert gateway.notes == []
    gateway.wait(0.2)
    assert gateway.notes == ["device[0]: a is lost"]
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "DISCONNECT"}]


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        ({"kind": "PUBLISH", "topic_id_type": "SHORT", "topic": "ab"}, True),
        ({"kind": "REGISTER", "topic": "a/b"}, True),
        ({"kind": "SUBSCRIBE", "topic": "a/b"}, True),
        ({"kind": "PINGREQ"}, True),
        ({"kind": "PINGREQ", "client_id": "a"}, True),
        ({"kind": "DISCONNECT"}, False),  # or two gateways would answer each other for ever
        ({"kind": "PUBACK"}, False),
        ({"kind": "CONNACK"}, False),
        ({"kind": "GWINFO", "gateway_id": 1}, False),
        ({"kind": "ADVERTISE", "gateway_id": 1, "duration": 900}, False),
    ],
)
def test_who_is_not_connected_is_told_so(message: dict[str, Any], answers: bool) -> None:
    """Section 6.12."""
    gateway = Gateway()
    assert gateway.receive(message, peer=A) == [{"kind": "DISCONNECT"}] * answers
    assert gateway.receive(message, peer=A, at=GROUP) == []


def test_a_repeated_disconnect_is_answered_but_not_for_ever() -> None:
    gateway = Gateway({"retries": 3})
    gateway.connect("a", A)
    answers = [len(gateway.receive(kind="DISCONNECT", peer=A)) for _ in range(10)]
    assert answers == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_the_gateway_disconnects_a_client_as_it_is_told() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    gateway.connect("b", B)
    gateway.say(kind="DISCONNECT", client_id="b")
    assert gateway.sent[-1] == {"kind": "DISCONNECT"}
    assert gateway.said[-1]["client_id"] == "b"
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "PINGRESP"}]
    gateway.say(kind="DISCONNECT")
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "DISCONNECT"}]


def test_clients_are_bounded() -> None:
    gateway = Gateway({"clients": 2})
    gateway.connect("a", A)
    gateway.connect("b", B)
    (answer,) = gateway.connect("c", C)
    assert answer["return_code"] == "CONGESTION"
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "PINGRESP"}]
    gateway.receive(kind="DISCONNECT", peer=A)
    assert gateway.connect("c", C) == [ACCEPTED]  # who is not connected gives way


def test_a_session_goes_on_without_clean_session_and_elsewhere() -> None:
    """Section 6.3."""
    gateway = Gateway()
    gateway.connect("a", A, clean_session=False)
    gateway.subscribe("ab", A, qos=1)
    gateway.receive(kind="DISCONNECT", peer=A)
    for qos in (0, 1):
        gateway.say(kind="PUBLISH", topic="ab", data=str(qos), qos=qos)
    answer, publish = gateway.connect("a", B, clean_session=False)
    assert answer == ACCEPTED
    assert shown(publish, "topic", "data", "qos") == ("ab", "1", 1)  # of QoS 0 nothing is kept
    assert gateway.events[-1].peer == B
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "DISCONNECT"}]
    gateway.receive(kind="PUBACK", topic_id=0, message_id=publish["message_id"], peer=B)
    assert gateway.connect("a", B) == [ACCEPTED]  # a clean one
    gateway.say(kind="PUBLISH", topic="ab", data="2", qos=1)
    assert gateway.sent[-1] == ACCEPTED


# -- topics and publications (sections 6.5 to 6.10) ----------------------------------------------------


def test_topics_are_registered() -> None:
    gateway = Gateway({"topics": {"fixed": 1}})
    gateway.connect("a", A)
    gateway.connect("b", B)
    number = gateway.register("a/b", A)
    assert number == 2  # 1 is predefined
    assert gateway.register("a/b", A) == number
    assert gateway.register("a/b", B) == number
    assert gateway.register("a/c", A) == 3
    (answer,) = gateway.receive(kind="REGISTER", topic="a/#", message_id=9, peer=A)
    assert shown(answer, "kind", "return_code", "message_id") == ("REGACK", "INVALID_TOPIC_ID", 9)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publication_reaches_who_has_subscribed(qos: int) -> None:
    gateway = Gateway()
    for client_id, peer in (("a", A), ("b", B), ("c", C)):
        gateway.connect(client_id, peer)
    (suback,) = gateway.subscribe("a/b", B, qos=1)
    assert shown(suback, "kind", "topic_id", "qos", "message_id", "return_code") == (
        ("SUBACK", 1, 1, 1, "ACCEPTED")
    )
    assert gateway.subscribe("other", C, qos=1)[0]["topic_id"] == 2
    gateway.register("a/b", A)
    sent = gateway.receive(kind="PUBLISH", topic_id=1, data="x", qos=qos, message_id=7, peer=A)
    *answers, publish = sent
    assert [shown(one, "kind", "message_id") for one in answers] == (
        [[], [("PUBACK", 7)], [("PUBREC", 7)]][qos]
    )
    assert shown(publish, "topic_id", "data", "qos") == (1, "x", min(qos, 1))
    assert gateway.events[-1].peer == B
    assert shown(gateway.heard[-1], "kind", "topic", "data", "qos", "client_id") == (
        ("PUBLISH", "a/b", "x", qos, "a")
    )


def test_quality_of_service_2_comes_once() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    publication = {
        "kind": "PUBLISH",
        "topic_id_type": "SHORT",
        "topic": "ab",
        "qos": 2,
        "data": "x",
    }
    for dup in (False, True):
        (answer,) = gateway.receive(publication, message_id=7, dup=dup, peer=A)
        assert shown(answer, "kind", "message_id") == ("PUBREC", 7)
    assert gateway.receive(kind="PUBREL", message_id=7, peer=A) == [
        {"kind": "PUBCOMP", "message_id": 7}
    ]
    gateway.receive(publication, message_id=7, peer=A)
    assert len([one for one in gateway.heard if one["kind"] == "PUBLISH"]) == 2


def test_quality_of_service_2_is_passed_on_in_four_steps() -> None:
    gateway = Gateway({"retry": "5s"})
    gateway.connect("a", A, duration=600)
    gateway.subscribe("ab", A, qos=2)
    gateway.say(kind="PUBLISH", topic="ab", data="x", qos=2)
    publish = gateway.sent[-1]
    assert shown(publish, "qos", "dup") == (2, False)
    assert gateway.after(5.1) == [{**publish, "dup": True}]
    (release,) = gateway.receive(kind="PUBREC", message_id=publish["message_id"], peer=A)
    assert release == {"kind": "PUBREL", "message_id": publish["message_id"]}
    gateway.say(kind="PUBLISH", topic="ab", data="y", qos=2)
    assert gateway.sent[-1] == release  # one at a time
    (publish,) = gateway.receive(kind="PUBCOMP", message_id=publish["message_id"], peer=A)
    assert publish["data"] == "y"


def test_quality_of_service_minus_1_needs_no_connection() -> None:
    """Section 6.8."""
    gateway = Gateway({"topics": {"sensors/t": 7}})
    gateway.connect("b", B)
    gateway.subscribe("#", B)
    publication = {"kind": "PUBLISH", "qos": -1, "data": "1"}
    (publish,) = gateway.receive(publication, topic_id_type="SHORT", topic="ab", peer=A)
    assert shown(publish, "topic", "qos") == ("ab", 0)
    (register,) = gateway.receive(publication, topic_id_type="PREDEFINED", topic_id=7, peer=A)
    assert shown(register, "kind", "topic") == ("REGISTER", "sensors/t")
    assert shown(gateway.heard[-1], "qos", "client_id") == (-1, "")
    for unknown in ({"topic_id": 1}, {"topic_id_type": "PREDEFINED", "topic_id": 8}):
        assert gateway.receive(publication, **unknown, peer=A) == []


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(
    "fields",
    [
        {"topic_id": 99},
        {"topic_id": 1},  # which b has registered, and a has not
        {"topic_id_type": "PREDEFINED", "topic_id": 99},
        {"topic_id_type": "SHORT", "topic": "+a"},
    ],
)
def test_unknown_topics_are_refused(qos: int, fields: dict[str, Any]) -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    gateway.connect("b", B)
    gateway.register("a/b", B)
    (answer,) = gateway.receive(kind="PUBLISH", qos=qos, message_id=qos, peer=A, **fields)
    assert shown(answer, "kind", "message_id", "return_code") == ("PUBACK", qos, "INVALID_TOPIC_ID")
    assert "PUBLISH" not in [one["kind"] for one in gateway.heard]


def test_a_topic_that_a_wildcard_stands_for_is_registered_with_the_client() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    assert gateway.subscribe("a/+", A, qos=1)[0]["topic_id"] == 0
    gateway.say(kind="PUBLISH", topic="a/b", data="x", qos=1)
    register = gateway.sent[-1]
    assert shown(register, "kind", "topic", "topic_id") == ("REGISTER", "a/b", 1)
    answer = {"topic_id": 1, "message_id": register["message_id"]}
    (publish,) = gateway.receive(kind="REGACK", **answer, peer=A)
    forgotten = {"topic_id": 1, "message_id": publish["message_id"]}
    (register,) = gateway.receive(
        kind="PUBACK", **forgotten, return_code="INVALID_TOPIC_ID", peer=A
    )
    assert register["kind"] == "REGISTER"
    gateway.receive(
        kind="REGACK",
        topic_id=1,
        message_id=register["message_id"],
        return_code="CONGESTION",
        peer=A,
    )
    assert gateway.notes == ["device[0]: a rejects 'a/b': CONGESTION"]
    gateway.say(kind="PUBLISH", topic="a/b", data="y")
    assert gateway.sent[-1]["kind"] == "REGISTER"


def test_a_topic_that_was_forgotten_shows_at_quality_of_service_0_too() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    number = gateway.subscribe("a/b", A)[0]["topic_id"]
    gateway.say(kind="PUBLISH", topic="a/b", data="x")
    gateway.receive(kind="PUBACK", topic_id=number, return_code="INVALID_TOPIC_ID", peer=A)
    gateway.say(kind="PUBLISH", topic="a/b", data="y")
    assert gateway.sent[-1]["kind"] == "REGISTER"


def test_who_subscribes_by_an_id_is_told_by_it() -> None:
    gateway = Gateway({"topics": {"sensors/t": 7}})
    gateway.connect("a", A)
    subscription = {"kind": "SUBSCRIBE", "topic_id_type": "PREDEFINED", "message_id": 1}
    (answer,) = gateway.receive(subscription, topic_id=7, peer=A)
    assert shown(answer, "topic_id", "return_code") == (7, "ACCEPTED")
    (answer,) = gateway.receive(subscription, topic_id=8, peer=A)
    assert answer["return_code"] == "INVALID_TOPIC_ID"
    gateway.say(kind="PUBLISH", topic="sensors/t", data="x")
    assert shown(gateway.sent[-1], "topic_id_type", "topic_id") == ("PREDEFINED", 7)


def test_short_topics_go_as_they_are() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    (answer,) = gateway.subscribe("ab", A, topic_id_type="SHORT")
    assert shown(answer, "topic_id", "return_code") == (0, "ACCEPTED")
    gateway.say(kind="PUBLISH", topic="ab", data="x")
    assert shown(gateway.sent[-1], "topic_id_type", "topic") == ("SHORT", "ab")
    answer = gateway.receive(
        kind="UNSUBSCRIBE", topic_id_type="SHORT", topic="ab", message_id=2, peer=A
    )
    assert answer == [{"kind": "UNSUBACK", "message_id": 2}]
    gateway.say(kind="PUBLISH", topic="ab", data="y")
    assert gateway.sent[-1]["kind"] == "UNSUBACK"


def test_the_last_publication_is_retained_until_an_empty_one() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    for data in ("1", "2"):
        gateway.say(kind="PUBLISH", topic="ab", data=data, retain=True, qos=1)
    suback, publish = gateway.subscribe("#", A)
    assert shown(publish, "topic", "data", "retain", "qos") == ("ab", "2", True, 0)
    gateway.say(kind="PUBLISH", topic="ab", data="3", retain=True)
    assert shown(gateway.sent[-1], "data", "retain") == ("3", False)  # it is not new to it
    gateway.say(kind="PUBLISH", topic="ab", data="", retain=True)
    assert gateway.subscribe("#", A) == [suback]


@pytest.mark.parametrize("topic", ["", "a/#/b", "a+", "#a", "a/b#", "\0"])
def test_what_is_no_topic_cannot_be_subscribed_to(topic: str) -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    (answer,) = gateway.subscribe(topic, A)
    assert answer["return_code"] == "INVALID_TOPIC_ID"


def test_subscriptions_of_a_client_are_bounded() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    codes = [gateway.subscribe(f"topic/{number}", A)[0]["return_code"] for number in range(70)]
    assert codes == ["ACCEPTED"] * 64 + ["CONGESTION"] * 6


def test_topics_are_bounded() -> None:
    gateway = Gateway()
    gateway.connect("a", A, duration=0)
    for number in range(4096):
        gateway.register(f"topic/{number}", A)
    (answer,) = gateway.receive(kind="REGISTER", topic="one/more", message_id=1, peer=A)
    assert shown(answer, "topic_id", "return_code") == (0, "CONGESTION")


# -- asleep (section 6.14) -----------------------------------------------------------------------------


def asleep(**model: Any) -> Gateway:
    gateway = Gateway(model)
    gateway.connect("a", A)
    gateway.subscribe("ab", A, qos=1)
    assert gateway.receive(kind="DISCONNECT", duration=300, peer=A) == [{"kind": "DISCONNECT"}]
    return gateway


def test_publications_wait_for_a_client_that_sleeps() -> None:
    gateway = asleep()
    for data in ("1", "2"):
        gateway.say(kind="PUBLISH", topic="ab", data=data, qos=1)
    gateway.wait(200)
    (publish,) = gateway.receive(kind="PINGREQ", client_id="a", peer=A)
    assert publish["data"] == "1"
    ack = {"kind": "PUBACK", "topic_id": 0x6162, "peer": A}
    (publish,) = gateway.receive(**ack, message_id=publish["message_id"])
    assert publish["data"] == "2"
    assert gateway.receive(**ack, message_id=publish["message_id"]) == [{"kind": "PINGRESP"}]
    gateway.say(kind="PUBLISH", topic="ab", data="3", qos=1)
    assert gateway.sent[-1] == {"kind": "PINGRESP"}  # it sleeps again
    assert gateway.receive(kind="PINGREQ", peer=A) == [{"kind": "PINGRESP"}]  # without its id
    (answer, publish) = gateway.connect("a", A, clean_session=False)
    assert answer == ACCEPTED
    assert publish["data"] == "3"


def test_a_client_that_sleeps_may_wake_at_another_address() -> None:
    """Section 6.14: PINGREQ has its id, by which the gateway knows it."""
    gateway = asleep()
    for data in ("1", "2"):
        gateway.say(kind="PUBLISH", topic="ab", data=data, qos=1)
    gateway.wait(299)
    assert gateway.receive(kind="PINGREQ", client_id="b", peer=B) == [{"kind": "DISCONNECT"}]
    assert gateway.receive(kind="PINGREQ", peer=B) == [{"kind": "DISCONNECT"}]
    (publish,) = gateway.receive(kind="PINGREQ", client_id="a", peer=B)
    assert shown(publish, "data", "dup") == ("1", False)
    # It moves again before it has acknowledged that.
    (again,) = gateway.receive(kind="PINGREQ", client_id="a", peer=C)
    assert again == {**publish, "dup": True}
    ack = {"kind": "PUBACK", "topic_id": 0x6162}
    assert gateway.receive(ack, message_id=publish["message_id"], peer=B) == []
    (publish,) = gateway.receive(ack, message_id=publish["message_id"], peer=C)
    assert publish["data"] == "2"
    answers = gateway.receive(ack, message_id=publish["message_id"], peer=C)
    assert (answers, gateway.events[-1].peer) == ([{"kind": "PINGRESP"}], C)
    gateway.wait(320)
    assert gateway.notes == []
    gateway.wait(20)
    assert gateway.notes == ["device[0]: a is lost"]


def test_a_client_that_is_awake_all_the_time_does_not_move() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    assert gateway.receive(kind="PINGREQ", client_id="a", peer=B) == [{"kind": "DISCONNECT"}]
    assert gateway.receive(kind="PINGREQ", client_id="a", peer=A) == [{"kind": "PINGRESP"}]


def test_a_buffer_keeps_the_newest() -> None:
    gateway = asleep(buffer=3)
    for number in range(5):
        gateway.say(kind="PUBLISH", topic="ab", data=str(number))
    sent = gateway.receive(kind="PINGREQ", client_id="a", peer=A)
    assert [one.get("data") for one in sent] == ["2", "3", "4", None]
    assert gateway.notes == ["device[0]: a loses a publication: 3 wait"] * 2


def test_a_client_that_does_not_wake_is_lost() -> None:
    gateway = asleep()
    gateway.wait(329)
    assert gateway.notes == []
    gateway.wait(2)
    assert gateway.notes == ["device[0]: a is lost"]
    assert gateway.receive(kind="PINGREQ", client_id="a", peer=A) == [{"kind": "DISCONNECT"}]


def test_it_may_go_to_sleep_in_the_midst() -> None:
    gateway = Gateway({"retry": "5s"})
    gateway.connect("a", A, duration=600)
    gateway.subscribe("ab", A, qos=1)
    gateway.say(kind="PUBLISH", topic="ab", data="x", qos=1)
    first = gateway.sent[-1]
    gateway.receive(kind="DISCONNECT", duration=100, peer=A)
    assert gateway.after(30) == []
    (again,) = gateway.receive(kind="PINGREQ", client_id="a", peer=A)
    assert again == {**first, "dup": True}


def test_it_keeps_its_topic_ids_in_its_sleep() -> None:
    gateway = Gateway()
    gateway.connect("a", A)
    number = gateway.register("a/b", A)
    gateway.receive(kind="DISCONNECT", duration=100, peer=A)
    gateway.connect("a", A, clean_session=False)
    (answer,) = gateway.receive(kind="PUBLISH", topic_id=number, qos=1, message_id=3, peer=A)
    assert answer["return_code"] == "ACCEPTED"


def test_who_does_not_acknowledge_is_lost() -> None:
    """Section 6.13."""
    gateway = Gateway({"retry": "5s", "retries": 2})
    gateway.connect("a", A, duration=0)
    gateway.subscribe("ab", A, qos=1)
    gateway.say(kind="PUBLISH", topic="ab", data="x", qos=1)
    gateway.wait(16)
    assert gateway.kinds.count("PUBLISH") == 3
    assert gateway.notes == ["device[0]: a is lost"]


# -- behind a forwarder (section 5.4.27) ---------------------------------------------------------------


def test_clients_behind_a_forwarder_are_answered_through_it() -> None:
    gateway = Gateway()
    for node in (b"\1", b"\2"):
        connect = b"\x09\x04\x04\x01\x00\x3cn-" + node.hex()[1:].encode()
        (answer,) = gateway.receive(kind="ENCAPSULATED", node=node, message=connect, peer=A)
        assert answer == {
            "kind": "ENCAPSULATED", "radius": 0, "node": node, "message": b"\x03\x05\x00",
        }  # fmt: skip
    assert [one["client_id"] for one in gateway.heard] == ["n-1", "n-2"]
    subscribe = b"\x07\x12\x02\x00\x01ab"
    gateway.receive(kind="ENCAPSULATED", node=b"\2", message=subscribe, peer=A)
    gateway.say(kind="PUBLISH", topic="ab", data="x")
    assert shown(gateway.sent[-1], "kind", "node", "message") == (
        ("ENCAPSULATED", b"\2", b"\x08\x0c\x02ab\x00\x00x")
    )
    assert gateway.said[-1]["data"] == "x"
    assert gateway.receive(kind="ENCAPSULATED", node=b"\3", message=b"\x02", peer=A) == []
    assert "no message" in gateway.notes[-1]


# -- rules come first ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"kind": "CONNECT", "client_id": "x", "duration": 9}, "CONNACK"),
        ({"kind": "REGISTER", "topic": "a/b", "message_id": 5}, "REGACK"),
        ({"kind": "SUBSCRIBE", "topic": "a/b", "message_id": 5}, "SUBACK"),
        (
            {"kind": "PUBLISH", "topic": "ab", "topic_id_type": "SHORT", "qos": 1, "message_id": 5},
            "PUBACK",
        ),
        (
            {"kind": "PUBLISH", "topic": "ab", "topic_id_type": "SHORT", "qos": 2, "message_id": 5},
            "PUBACK",
        ),
        ({"kind": "WILLTOPICUPD", "will_topic": "a"}, "WILLTOPICRESP"),
        ({"kind": "WILLMSGUPD", "will_message": "a"}, "WILLMSGRESP"),
    ],
)
@pytest.mark.parametrize("code", ["CONGESTION", "INVALID_TOPIC_ID", "NOT_SUPPORTED"])
def test_a_rule_rejects(asked: dict[str, Any], answer: str, code: str) -> None:
    rule = {
        "when": {"kind": asked["kind"], "client_id": "x"},
        "reply": {"kind": answer, "return_code": code},
    }
    gateway = Gateway(rules=[rule])
    if asked["kind"] != "CONNECT":
        gateway = Gateway(rules=[{**rule, "when": {"kind": asked["kind"]}}])
        gateway.connect("x", A)
    (got,) = gateway.receive(asked, peer=A)
    assert shown(got, "kind", "return_code") == (answer, code)
    if "message_id" in asked:
        assert got["message_id"] == 5
    assert shown(gateway.said[-1], "kind", "return_code", "client_id") == (answer, code, "x")


def test_a_rule_answers_late_and_drops() -> None:
    rules = [
        {"when": {"kind": "REGISTER"}, "reply": {"kind": "REGACK"}, "delay": "2s"},
        {"when": {"kind": "SUBSCRIBE"}, "drop": True},
    ]
    gateway = Gateway(rules=rules)
    gateway.connect("a", A)
    assert gateway.receive(kind="REGISTER", topic="a/b", message_id=4, peer=A) == []
    assert [shown(one, "kind", "topic_id", "message_id") for one in gateway.after(2)] == [
        ("REGACK", 1, 4),
    ]
    assert gateway.subscribe("a/b", A) == []


def test_a_rule_answers_a_publication_with_another() -> None:
    rule = {
        "when": {"kind": "PUBLISH", "topic": "ab"},
        "reply": {"kind": "PUBLISH", "topic": "cd", "data": "=msg.data + msg.client_id"},
    }
    gateway = Gateway(rules=[rule])
    gateway.connect("a", A)
    gateway.subscribe("#", A)
    sent = gateway.receive(
        kind="PUBLISH", topic_id_type="SHORT", topic="ab", data="x", qos=1, message_id=3, peer=A
    )
    assert [shown(one, "kind", "topic", "data") for one in sent] == [
        ("PUBACK", None, None),
        ("PUBLISH", "ab", "x"),
        ("PUBLISH", "cd", "xa"),
    ]


def test_what_a_gateway_cannot_say_is_found_before_the_run() -> None:
    with pytest.raises(ScenarioError, match="a gateway says PUBLISH or DISCONNECT"):
        Gateway(rules=[{"every": "1s", "send": {"kind": "SUBSCRIBE", "topic": "a"}}])


def test_an_answer_to_something_else_is_the_rules_mistake() -> None:
    rule = {"when": {"kind": "SUBSCRIBE"}, "reply": {"kind": "REGACK"}}
    gateway = Gateway(rules=[rule])
    gateway.connect("a", A)
    with pytest.raises(AssertionError, match="answers nothing of that kind"):
        gateway.subscribe("ab", A)


def test_a_will_of_no_topic_is_none() -> None:
    gateway = Gateway()
    gateway.connect("b", B, duration=0)
    gateway.subscribe("#", B)
    gateway.connect("a", A, duration=10)
    gateway.receive(kind="WILLMSGUPD", will_message="x", peer=A)
    assert gateway.after(30) == []


def test_a_reboot_forgets() -> None:
    gateway = asleep()
    gateway.say(kind="PUBLISH", topic="ab", data="x", retain=True)
    gateway.reboot()
    assert gateway.receive(kind="PINGREQ", client_id="a", peer=A) == [{"kind": "DISCONNECT"}]
    gateway.connect("a", A, clean_session=False)
    assert len(gateway.subscribe("ab", A)) == 1
