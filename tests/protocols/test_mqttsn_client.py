"""A device as client of an MQTT-SN gateway. The sections are those of the specification, version 1.2."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.protocols.mqttsn import GROUP, Client, shown

from iotsim.errors import ScenarioError
from iotsim.events import NoRule

ONLY = {"gateway": "search", "client": "node"}
OTHER = "10.77.0.2:1883"


# -- connections (sections 6.2 to 6.4) -----------------------------------------------------------------


def test_it_connects_and_subscribes_once_it_boots() -> None:
    client = Client({"subscribe": ["cmd/led", {"topic": "all/#", "qos": 2}], "keep_alive": "30s"})
    client.accept()
    client.receive(kind="SUBACK", topic_id=3, message_id=1, qos=1)
    client.receive(kind="SUBACK", topic_id=0, message_id=2, qos=2)
    assert client.lines() == [
        "0.000 -> CONNECT node [wire]",
        "0.000 -> CONNECT node [application]",
        "0.000 <- CONNACK ACCEPTED [wire]",
        "0.000 <- CONNACK ACCEPTED node [application]",
        "0.000 -> SUBSCRIBE cmd/led [wire]",
        "0.000 -> SUBSCRIBE cmd/led [application]",
        "0.000 <- SUBACK 3 ACCEPTED [wire]",
        "0.000 <- SUBACK cmd/led ACCEPTED [application]",
        "0.000 -> SUBSCRIBE all/# [wire]",
        "0.000 -> SUBSCRIBE all/# [application]",
        "0.000 <- SUBACK 0 ACCEPTED [wire]",
        "0.000 <- SUBACK all/# ACCEPTED [application]",
    ]
    connect = client.sent[0]
    assert shown(connect, "protocol_id", "duration", "clean_session", "will") == (
        1,
        30,
        True,
        False,
    )


def test_what_answers_it_needs_no_rule() -> None:
    client = Client()
    client.accept()
    assert not [event for event in client.events if isinstance(event, NoRule)]


@pytest.mark.parametrize("client_id", ["x" * 24, "", 10**23])
def test_a_client_id_has_1_to_23_characters(client_id: Any) -> None:
    """Section 5.3.1."""
    with pytest.raises(ScenarioError, match=r"client: .* is no client id: that has 1 to 23"):
        Client({"client": client_id})


@pytest.mark.parametrize(
    "model", [{"client": "='x' * 24 if t >= 0 else ''"}, {"client": "=state.name"}]
)
def test_an_expression_that_gives_no_client_id_is_the_scenario_s_mistake(
    model: dict[str, Any],
) -> None:
    rules = [{"after": "1h", "set": {"name": "other"}}]  # so that it is known in a run alone
    client = Client(model, state={"name": ""}, rules=rules, may_fail=True)
    assert client.sent == []
    (failed,) = client.failures
    assert "is no client id: that has 1 to 23 characters" in failed.error
    assert failed.error.endswith(f"in '{model['client']}'")


def test_a_will_is_told_when_it_is_asked_for() -> None:
    will = {"topic": "will/node", "data": "=str(1 + 1)", "qos": 1, "retain": True}
    client = Client({"will": will, "clean": False})
    assert shown(client.sent[0], "will", "clean_session") == (True, False)
    (topic,) = client.receive(kind="WILLTOPICREQ")
    assert shown(topic, "kind", "will_topic", "qos", "retain") == (
        "WILLTOPIC",
        "will/node",
        1,
        True,
    )
    (message,) = client.receive(kind="WILLMSGREQ")
    assert shown(message, "kind", "will_message") == ("WILLMSG", "2")
    client.accept()
    assert client.heard[-1]["kind"] == "CONNACK"


def test_a_gateway_that_asks_for_the_will_again_is_told_again() -> None:
    """Section 6.13: one whose timer is shorter than the device's, and has not heard it."""
    client = Client({"will": {"topic": "w/1", "data": "bye"}})
    for _ in range(2):
        (topic,) = client.receive(kind="WILLTOPICREQ")
        assert shown(topic, "kind", "will_topic") == ("WILLTOPIC", "w/1")
    for _ in range(2):
        (message,) = client.receive(kind="WILLMSGREQ")
        assert shown(message, "kind", "will_message") == ("WILLMSG", "bye")
    client.accept()
    assert client.publish("ab", "1", qos=1)[0]["kind"] == "PUBLISH"


@pytest.mark.parametrize("code", ["CONGESTION", "NOT_SUPPORTED", "INVALID_TOPIC_ID"])
def test_a_rejected_connection_is_tried_again_later(code: str) -> None:
    """Sections 6.2 and 7.2: after congestion not before TWAIT."""
    client = Client({"wait": "5m"})
    client.receive(kind="CONNACK", return_code=code)
    first = 300.0 if code == "CONGESTION" else 0.0
    client.wait(299.5 if first else 1.1)
    assert client.kinds.count("CONNECT") == (1 if first else 2)
    client.wait(1)
    assert client.kinds.count("CONNECT") == 2
    assert client.heard[-1]["return_code"] == code


def test_the_will_is_updated_and_deleted() -> None:
    """Section 6.4."""
    client = Client()
    client.accept()
    client.say(kind="WILLTOPICUPD", topic="w/2", qos=1)
    assert shown(client.sent[-1], "kind", "will_topic", "qos") == ("WILLTOPICUPD", "w/2", 1)
    client.receive(kind="WILLTOPICRESP")
    client.say(kind="WILLMSGUPD", data="bye")
    assert shown(client.sent[-1], "kind", "will_message") == ("WILLMSGUPD", "bye")
    client.receive(kind="WILLMSGRESP", return_code="NOT_SUPPORTED")
    client.say(kind="WILLTOPICUPD")
    assert client.datagrams[-1][1] == b"\x02\x1a"  # of two bytes: it deletes the will
    client.receive(kind="WILLTOPICRESP")
    assert [shown(one, "kind", "return_code") for one in client.heard[1:]] == [
        ("WILLTOPICRESP", "ACCEPTED"),
        ("WILLMSGRESP", "NOT_SUPPORTED"),
        ("WILLTOPICRESP", "ACCEPTED"),
    ]


# -- topics and publications (sections 6.5 to 6.8) -----------------------------------------------------


def connected(model: dict[str, Any] | None = None, **table: Any) -> Client:
    client = Client(model, **table)
    client.accept()
    return client


def test_a_topic_is_registered_once() -> None:
    client = connected()
    (register,) = client.publish("a/b", 21.5)
    assert shown(register, "kind", "topic", "topic_id") == ("REGISTER", "a/b", 0)
    (publish,) = client.receive(kind="REGACK", topic_id=9, message_id=register["message_id"])
    assert shown(publish, "topic_id_type", "topic_id", "qos", "data", "message_id") == (
        ("NORMAL", 9, 0, "21.5", 0)
    )
    (publish,) = client.publish("a/b", "hex:0001")
    assert shown(publish, "kind", "topic_id", "data") == ("PUBLISH", 9, b"\x00\x01")
    assert [one["data"] for one in client.said if one["kind"] == "PUBLISH"] == ["21.5", b"\x00\x01"]


def test_short_and_predefined_topics_need_no_registration() -> None:
    client = connected({"topics": {"sensors/temperature": 7}})
    (publish,) = client.publish("ab", "1", retain=True)
    assert shown(publish, "topic_id_type", "topic", "retain") == ("SHORT", "ab", True)
    (publish,) = client.publish("sensors/temperature", "2")
    assert shown(publish, "topic_id_type", "topic_id") == ("PREDEFINED", 7)


def test_quality_of_service_1_is_repeated_as_a_duplicate_until_it_is_acknowledged() -> None:
    client = connected({"retry": "10s"})
    (first,) = client.publish("ab", "x", qos=1)
    assert shown(first, "dup", "qos", "message_id") == (False, 1, 1)
    client.wait(9.9)
    assert client.kinds.count("PUBLISH") == 1
    (again,) = client.after(0.2)
    assert again == {**first, "dup": True}
    assert client.receive(kind="PUBACK", topic_id=0x6162, message_id=99) == []  # of another
    client.receive(kind="PUBACK", topic_id=0x6162, message_id=1)
    assert client.after(30) == []
    assert shown(client.heard[-1], "kind", "topic", "return_code") == ("PUBACK", "ab", "ACCEPTED")
    assert [one["kind"] for one in client.said] == ["CONNECT", "PUBLISH"]  # said once


def test_one_publication_at_a_time_is_on_its_way() -> None:
    """Section 6.6."""
    client = connected()
    client.publish("ab", "1", qos=1)
    assert client.publish("ab", "2", qos=1) == []
    (second,) = client.receive(kind="PUBACK", topic_id=0x6162, message_id=1)
    assert shown(second, "data", "message_id") == ("2", 2)


def test_quality_of_service_2_is_released() -> None:
    client = connected()
    client.publish("ab", "x", qos=2)
    (release,) = client.receive(kind="PUBREC", message_id=1)
    assert shown(release, "kind", "message_id") == ("PUBREL", 1)
    (again,) = client.after(10.1)
    assert again == release
    client.receive(kind="PUBCOMP", message_id=1)
    assert client.after(30) == []
    assert client.heard[-1]["kind"] == "PUBACK"


def test_what_was_received_is_released_after_a_new_connection() -> None:
    """QoS 2 comes once: what has had PUBREC is not published again."""
    client = connected({"clean": False})
    client.publish("ab", "x", qos=2)
    client.receive(kind="PUBREC", message_id=1)
    client.receive(kind="DISCONNECT")
    client.wait(1.1)
    (release,) = client.accept()
    assert shown(release, "kind", "message_id") == ("PUBREL", 1)


def test_what_was_not_acknowledged_is_published_again_after_a_new_connection() -> None:
    client = connected()
    client.publish("ab", "x", qos=1)
    client.receive(kind="DISCONNECT")
    client.wait(1.1)
    (publish,) = client.accept()
    assert shown(publish, "kind", "data", "dup", "message_id") == ("PUBLISH", "x", True, 1)


def test_quality_of_service_minus_1_needs_no_connection() -> None:
    client = Client({"topics": {"sensors/t": 7}})
    assert client.kinds == ["CONNECT"]
    (publish,) = client.publish("sensors/t", "1", qos=-1)
    assert shown(publish, "qos", "topic_id_type", "topic_id") == (-1, "PREDEFINED", 7)
    assert client.said[-1]["qos"] == -1
    (publish,) = client.publish("ab", "2", qos=-1)
    assert shown(publish, "qos", "topic_id_type", "message_id") == (-1, "SHORT", 0)


def test_a_forgotten_topic_id_is_registered_again() -> None:
    client = connected()
    client.publish("a/b", "x", qos=1)
    client.receive(kind="REGACK", topic_id=9, message_id=1)
    (register,) = client.receive(
        kind="PUBACK", topic_id=9, message_id=2, return_code="INVALID_TOPIC_ID"
    )
    assert register["kind"] == "REGISTER"
    (publish,) = client.receive(kind="REGACK", topic_id=4, message_id=register["message_id"])
    assert shown(publish, "topic_id", "data", "dup") == (4, "x", False)


@pytest.mark.parametrize("at", ["REGACK", "PUBACK"])
def test_a_congested_gateway_is_left_in_peace(at: str) -> None:
    """Sections 6.5 and 6.6: nothing more for TWAIT, and the connection is kept alive."""
    client = connected({"wait": "2m", "keep_alive": "55s"})
    client.publish("a/b", "x", qos=1)
    if at == "PUBACK":
        client.receive(kind="REGACK", topic_id=9, message_id=1)
    number = client.sent[-1]["message_id"]
    client.receive(kind=at, topic_id=9, message_id=number, return_code="CONGESTION")
    asked = len(client.sent)
    for _ in range(2):
        client.wait(50)
        client.receive(kind="PINGRESP")
    assert client.kinds[asked:] == ["PINGREQ", "PINGREQ"]
    client.wait(20.1)
    assert client.kinds[-1] == ("REGISTER" if at == "REGACK" else "PUBLISH")


def test_a_rejected_publication_is_told_and_given_up() -> None:
    client = connected()
    client.publish("ab", "1", qos=1)
    client.publish("ab", "2", qos=1)
    (second,) = client.receive(
        kind="PUBACK", topic_id=0x6162, message_id=1, return_code="NOT_SUPPORTED"
    )
    assert second["data"] == "2"
    assert client.heard[-1]["return_code"] == "NOT_SUPPORTED"
    assert "rejected: NOT_SUPPORTED" in client.notes[-1]


def test_what_waits_is_bounded() -> None:
    client = connected({"buffer": 3})
    for number in range(6):
        client.publish("ab", str(number), qos=1)
    assert len([note for note in client.notes if "is lost" in note]) == 3
    told = [client.sent[-1]["data"]]
    for number in (1, 2):
        (publish,) = client.receive(kind="PUBACK", topic_id=0x6162, message_id=number)
        told.append(publish["data"])
    assert told == ["0", "4", "5"]  # what was on its way, and the newest


# -- subscriptions, and what comes (sections 6.9 and 6.10) ---------------------------------------------


def subscribed(topic: str = "cmd/led", topic_id: int = 3, **model: Any) -> Client:
    client = connected({"subscribe": [topic], **model})
    client.receive(kind="SUBACK", topic_id=topic_id, message_id=1, qos=1)
    return client


@pytest.mark.parametrize(
    ("topic", "fields"),
    [
        ("cmd/+", {"topic_id_type": "NORMAL", "topic": "cmd/+"}),
        ("ab", {"topic_id_type": "SHORT", "topic": "ab"}),
        ("sensors/t", {"topic_id_type": "PREDEFINED", "topic_id": 7}),
        ("+", {"topic_id_type": "NORMAL", "topic": "+"}),
    ],
)
def test_it_subscribes_and_unsubscribes_to_topics_of_all_types(
    topic: str, fields: dict[str, Any]
) -> None:
    client = connected({"topics": {"sensors/t": 7}})
    client.say(kind="SUBSCRIBE", topic=topic, qos=2)
    asked = client.sent[-1]
    assert asked.items() >= {"kind": "SUBSCRIBE", "qos": 2, **fields}.items()
    client.receive(kind="SUBACK", message_id=asked["message_id"], topic_id=0)
    client.say(kind="UNSUBSCRIBE", topic=topic)
    asked = client.sent[-1]
    assert asked.items() >= {"kind": "UNSUBSCRIBE", **fields}.items()
    client.receive(kind="UNSUBACK", message_id=asked["message_id"])
    assert [one["kind"] for one in client.heard] == ["CONNACK", "SUBACK", "UNSUBACK"]


def test_publications_are_acknowledged_as_their_quality_of_service_has_it() -> None:
    client = subscribed()
    assert client.receive(kind="PUBLISH", topic_id=3, data="0") == []
    (answer,) = client.receive(kind="PUBLISH", topic_id=3, data="1", qos=1, message_id=5)
    assert shown(answer, "kind", "topic_id", "message_id", "return_code") == (
        ("PUBACK", 3, 5, "ACCEPTED")
    )
    for dup in (False, True):  # of QoS 2 it comes once
        (answer,) = client.receive(
            kind="PUBLISH", topic_id=3, data="2", qos=2, message_id=6, dup=dup
        )
        assert shown(answer, "kind", "message_id") == ("PUBREC", 6)
    for _ in range(2):
        (answer,) = client.receive(kind="PUBREL", message_id=6)
        assert shown(answer, "kind", "message_id") == ("PUBCOMP", 6)
    client.receive(kind="PUBLISH", topic_id=3, data="3", qos=2, message_id=6)  # another
    heard = [shown(one, "topic", "data", "qos") for one in client.heard if one["kind"] == "PUBLISH"]
    assert heard == [
        ("cmd/led", "0", 0),
        ("cmd/led", "1", 1),
        ("cmd/led", "2", 2),
        ("cmd/led", "3", 2),
    ]


def test_the_gateway_registers_what_a_wildcard_stands_for() -> None:
    client = subscribed("cmd/#", 0)
    (answer,) = client.receive(kind="REGISTER", topic_id=12, message_id=1, topic="cmd/fan")
    assert shown(answer, "kind", "topic_id", "message_id", "return_code") == (
        ("REGACK", 12, 1, "ACCEPTED")
    )
    client.receive(kind="PUBLISH", topic_id=12, data="on")
    assert shown(client.heard[-1], "topic", "data") == ("cmd/fan", "on")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_unknown_topic_id_is_refused(qos: int) -> None:
    """Section 5.4.14: with an error, whatever the QoS."""
    client = subscribed()
    (answer,) = client.receive(kind="PUBLISH", topic_id=99, data="x", qos=qos, message_id=qos)
    assert shown(answer, "kind", "topic_id", "return_code") == ("PUBACK", 99, "INVALID_TOPIC_ID")
    assert client.heard[-1]["kind"] == "SUBACK"


def test_a_rule_answers_a_publication_with_another() -> None:
    rule = {
        "when": {"kind": "PUBLISH", "topic": "cmd/led"},
        "set": {"led": "=msg.data"},
        "reply": {"kind": "PUBLISH", "topic": "ab", "data": "=state.led", "qos": 1},
    }
    client = connected({"subscribe": ["cmd/led"]}, rules=[rule], state={"led": "off"})
    client.receive(kind="SUBACK", topic_id=3, message_id=1)
    (reply,) = client.receive(kind="PUBLISH", topic_id=3, data="on")
    assert shown(reply, "kind", "topic", "data", "qos") == ("PUBLISH", "ab", "on", 1)


def test_nobody_but_its_gateway_is_heard() -> None:
    client = subscribed()
    publication = {"kind": "PUBLISH", "topic_id": 3, "data": "x", "qos": 1, "message_id": 1}
    assert client.receive(publication, peer=OTHER) == []
    assert client.receive(publication, at=GROUP) == []
    assert client.receive(kind="DISCONNECT", peer=OTHER) == []
    client.wait(5)
    assert client.kinds.count("CONNECT") == 1
    assert client.heard[-1]["kind"] == "SUBACK"


# -- alive, lost, away (sections 6.11 to 6.13) ---------------------------------------------------------


def test_it_pings_when_it_has_said_nothing_for_so_long() -> None:
    client = connected({"keep_alive": "60s"})
    client.wait(40)
    client.publish("ab", "x")
    client.wait(53.9)
    assert "PINGREQ" not in client.kinds
    (ping,) = client.after(0.2)  # a little before the minute is over
    assert ping == {"kind": "PINGREQ"}
    client.receive(kind="PINGRESP")
    assert client.after(53) == []
    assert client.receive(kind="PINGREQ") == [{"kind": "PINGRESP"}]  # and it answers others


def test_a_lost_gateway_is_asked_again_at_growing_intervals() -> None:
    client = connected({"keep_alive": "10s", "retry": "2s", "retries": 2, "wait": "30s"})
    client.wait(10.1)
    assert client.kinds == ["CONNECT", "PINGREQ"]
    client.wait(300)
    times = [t for t, kind in client.sent_at if kind == "CONNECT"]
    begun = [
        times[1],
        *(t for before, t in itertools.pairwise(times) if t - before > 2.5),
    ]
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    assert times[1] - 16 < 1.1  # three pings, then at once
    assert gaps[0] < gaps[2] < 36.1
    assert max(gaps) <= 36.1  # Nretry times Tretry, and TWAIT
    client.accept()
    client.wait(5)
    assert client.kinds[-1] == "CONNECT"
    assert client.receive(kind="PINGREQ") == [{"kind": "PINGRESP"}]


def test_a_gateway_that_restarts_is_told_everything_again() -> None:
    client = subscribed()
    client.publish("a/b", "1")
    client.receive(kind="REGACK", topic_id=9, message_id=2)
    client.receive(kind="DISCONNECT")  # it does not know the client (section 6.12)
    client.wait(1.1)
    (subscribe,) = client.accept()
    assert shown(subscribe, "kind", "topic") == ("SUBSCRIBE", "cmd/led")
    client.receive(kind="SUBACK", topic_id=1, message_id=subscribe["message_id"])
    assert client.publish("a/b", "2")[0]["kind"] == "REGISTER"


def test_a_gateway_that_disconnects_all_the_time_is_not_asked_all_the_time() -> None:
    client = Client({"retry": "10s"})
    for _ in range(40):
        client.receive(kind="CONNACK")
        client.receive(kind="DISCONNECT")
        client.wait(5)
    assert client.kinds.count("CONNECT") < 12


def test_it_disconnects_and_connects_as_it_is_told() -> None:
    client = connected()
    client.say(kind="DISCONNECT")
    assert client.sent[-1] == {"kind": "DISCONNECT"}
    client.receive(kind="DISCONNECT")
    assert client.publish("ab", "x") == []
    assert client.after(1000) == []
    client.say(kind="CONNECT")
    assert client.sent[-1]["kind"] == "CONNECT"
    (publish,) = client.accept()
    assert publish["data"] == "x"


def test_a_reboot_forgets() -> None:
    client = connected()
    client.publish("a/b", "1")
    client.receive(kind="REGACK", topic_id=9, message_id=1)
    client.publish("ab", "2", qos=1)
    client.reboot()
    assert client.kinds[-1] == "CONNECT"
    assert client.accept() == []
    assert client.publish("a/b", "3")[0]["kind"] == "REGISTER"


# -- asleep (section 6.14) -----------------------------------------------------------------------------


def test_it_sleeps_and_asks_for_what_came_meanwhile() -> None:
    client = subscribed(sleep="5m")
    assert client.sent[-1] == {"kind": "DISCONNECT", "duration": 330}
    client.receive(kind="DISCONNECT")
    client.wait(100)
    assert client.receive(kind="PUBLISH", topic_id=3, data="unheard", qos=1, message_id=1) == []
    (ping,) = client.after(200.1)
    assert ping == {"kind": "PINGREQ", "client_id": "node"}
    client.wait(8)
    client.receive(kind="PUBLISH", topic_id=3, data="first", qos=1, message_id=1)
    assert client.after(8) == []  # it is patient: something comes
    client.receive(kind="PUBLISH", topic_id=3, data="second", qos=1, message_id=2)
    client.receive(kind="PINGRESP")
    assert [one["data"] for one in client.heard if one["kind"] == "PUBLISH"] == ["first", "second"]
    assert client.after(299) == []  # asleep again, without a word


def test_it_becomes_active_to_say_something() -> None:
    client = subscribed(sleep="1m")
    client.receive(kind="DISCONNECT")
    client.publish("ab", "x", qos=1)
    (ping,) = client.after(60.1)
    assert ping["kind"] == "PINGREQ"
    (connect,) = client.receive(kind="PINGRESP")
    assert shown(connect, "kind", "clean_session", "will") == ("CONNECT", False, False)
    (publish,) = client.accept()
    assert publish["kind"] == "PUBLISH"
    (sleep,) = client.receive(kind="PUBACK", topic_id=0, message_id=publish["message_id"])
    assert shown(sleep, "kind", "duration") == ("DISCONNECT", 66)


def test_who_is_forgotten_while_asleep_begins_anew() -> None:
    client = subscribed(sleep="1m")
    client.receive(kind="DISCONNECT")
    client.wait(60.1)
    client.receive(kind="DISCONNECT")  # the answer to its PINGREQ
    client.wait(1.1)
    assert shown(client.sent[-1], "kind", "clean_session") == ("CONNECT", True)
    assert client.accept()[0]["kind"] == "SUBSCRIBE"


# -- gateways are found (section 6.1) ------------------------------------------------------------------


def test_it_searches_for_a_gateway_after_a_random_time() -> None:
    times = set()
    for seed in range(5):
        client = Client(ONLY, seed=seed)
        client.wait(5)
        ((t, kind),) = client.sent_at
        assert kind == "SEARCHGW"
        times.add(t)
        (connect,) = client.receive(kind="GWINFO", gateway_id=1, peer=OTHER, at=GROUP)
        assert connect["kind"] == "CONNECT"
        assert client.events[-1].peer == OTHER
    assert len(times) == 5


def test_it_searches_again_at_growing_intervals() -> None:
    client = Client({**ONLY, "retry": "10s", "wait": "1m"})
    client.wait(600)
    times = [t for t, _ in client.sent_at]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert [round(gap / 10) for gap in gaps[:2]] == [1, 2] or gaps[0] < gaps[1] < gaps[2]
    assert all(55 < gap < 66 for gap in gaps[4:])


def test_who_hears_another_search_does_not() -> None:
    client = Client(ONLY, seed=3)
    client.receive(kind="SEARCHGW", peer="10.77.0.9:1883", at=GROUP)
    client.wait(12)
    assert client.kinds == []  # it waits for the answer to that
    client.wait(8)
    assert client.kinds == ["SEARCHGW"]


def test_it_takes_a_gateway_that_advertises_itself() -> None:
    client = Client(ONLY)
    (connect,) = client.receive(kind="ADVERTISE", gateway_id=7, duration=900, peer=OTHER, at=GROUP)
    assert connect["kind"] == "CONNECT"
    assert "SEARCHGW" not in client.kinds


def test_it_goes_to_another_gateway_when_its_own_is_lost() -> None:
    """Section 6.13."""
    client = Client({**ONLY, "retry": "1s", "retries": 1})
    client.receive(kind="ADVERTISE", gateway_id=1, duration=900, peer=OTHER, at=GROUP)
    client.receive(kind="ADVERTISE", gateway_id=2, duration=900, peer="10.77.0.3:1883", at=GROUP)
    client.wait(4)
    connects = [
        event.peer for event in client.events if getattr(event, "layer", "") == "application"
    ]
    assert connects == [OTHER, "10.77.0.3:1883"]


def test_a_gateway_that_no_longer_advertises_itself_is_not_there() -> None:
    client = Client({**ONLY, "retry": "1s", "retries": 0})
    client.receive(kind="ADVERTISE", gateway_id=1, duration=10, peer=OTHER, at=GROUP)
    client.receive(kind="CONNACK", peer=OTHER)
    client.wait(29)
    client.receive(kind="SEARCHGW", peer="10.77.0.9:1883", at=GROUP)
    client.wait(6)  # it knows of none, and so has nothing to tell
    assert "GWINFO" not in client.kinds


def test_a_client_tells_others_of_its_gateway_unless_somebody_has() -> None:
    client = Client(ONLY)
    client.receive(kind="ADVERTISE", gateway_id=9, duration=900, peer=OTHER, at=GROUP)
    client.receive(kind="CONNACK", peer=OTHER)
    assert client.receive(kind="SEARCHGW", peer="10.77.0.9:1883", at=GROUP) == []
    (info,) = client.after(5)
    assert info == {"kind": "GWINFO", "gateway_id": 9, "gateway_address": bytes([10, 77, 0, 2])}
    client.receive(kind="SEARCHGW", peer="10.77.0.9:1883", at=GROUP)
    client.receive(kind="GWINFO", gateway_id=9, peer=OTHER, at=GROUP)
    assert client.after(6) == []


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (bytes([10, 77, 0, 5]), "10.77.0.5:1883"),
        (bytes([10, 77, 0, 5, 0x75, 0x30]), "10.77.0.5:30000"),
        (bytes.fromhex("fd77" + "00" * 13 + "05"), "[fd77::5]:1883"),
    ],
)
def test_a_client_may_tell_where_a_gateway_is(address: bytes, peer: str) -> None:
    client = Client(ONLY)
    client.receive(
        kind="GWINFO", gateway_id=1, gateway_address=address, peer="10.77.0.9:1883", at=GROUP
    )
    assert client.kinds == ["CONNECT"]
    assert client.events[-1].peer == peer


def test_addresses_that_are_none_are_not_taken() -> None:
    client = Client(ONLY)
    for address in (b"\1", b"\1\2\3\4\5", b"\1\2\3\4\0\0"):
        client.receive(kind="GWINFO", gateway_id=1, gateway_address=address, at=GROUP)
    assert client.kinds == []


# -- scenarios ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"kind": "PUBLISH", "topic": "a/#"}, "without wildcards"),
        ({"kind": "PUBLISH"}, "must have a topic"),
        ({"kind": "PUBLISH", "topic": "a/b", "qos": 3}, "must be 0, 1 or 2"),
        ({"kind": "PUBLISH", "topic": "a/b", "qos": -1}, "needs a predefined topic"),
        ({"kind": "SUBSCRIBE", "topic": "a/#/b"}, "'#' for all that follow"),
        ({"kind": "CONNACK"}, "a client says PUBLISH"),
        ({"kind": "PUBLISH", "topic": "a/b", "data": "x" * 60_001}, "at most 60000 bytes"),
        ({"kind": "SUBSCRIBE", "topic": "a", "data": "x"}, "data"),
    ],
)
def test_what_cannot_be_said_is_found_before_the_run(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        Client(rules=[{"every": "1s", "send": said}])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"subscribe": ["a/b#"]}, "is no topic"),
        ({"will": {"topic": "a/+"}}, "is no topic"),
        ({"topics": {"a": 1, "b": 1}}, "the same id"),
        ({"keep_alive": "20h"}, "must be 1s to 65535s"),
        ({"retry": "0s"}, "10ms or more"),
    ],
)
def test_a_wrong_model_is_told(model: dict[str, Any], reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        Client(model)
