"""A device as gateway: it advertises itself, connects clients, and is the broker between them.

Each request of a client goes to the scenario's rules first, which may answer it: with a rejection, for
example. What no rule has answered is carried out. Publications for a client wait in its buffer and are passed
on one after another, each acknowledged before the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, EncodeError, Peer

from .broker import CONNECTED, MOST_SUBSCRIPTIONS, Asked, Retained, Subscriber, Topics
from .connections import Connections
from .delivery import Delivery
from .directory import group
from .line import Line
from .message import read
from .schema import told
from .topics import has_wildcard, is_filter, is_name

if TYPE_CHECKING:
    from .model import Model
    from .session import MqttSn

    Message = dict[str, Any]

FIRST_ADVERTISE_S = 1.0
"""The first ADVERTISE comes within this time."""
ANSWERS = {
    "CONNECT": "CONNACK",
    "REGISTER": "REGACK",
    "PUBLISH": "PUBACK",
    "SUBSCRIBE": "SUBACK",
    "UNSUBSCRIBE": "UNSUBACK",
    "WILLTOPICUPD": "WILLTOPICRESP",
    "WILLMSGUPD": "WILLMSGRESP",
}
"""What clients ask, and the answers above the session."""
SETTLING = frozenset({"PUBACK", "PUBREC", "PUBCOMP", "REGACK"})
"""Answers of clients of which rules see nothing."""
DROPPED = "consumed.drop-rule"
PENDING = "pending"


class Gateway:
    __slots__ = ("_connections", "_retained", "_session", "_topics", "delivery")

    def __init__(self, session: MqttSn) -> None:
        self._session = session
        self._connections = Connections(session, self)
        self._topics = Topics(session.model)
        self._retained = Retained()
        self.delivery = Delivery(session, self._topics, self._connections.lose)

    @property
    def model(self) -> Model:
        return self._session.model

    async def run(self) -> None:
        """ADVERTISE (section 6.1)."""
        session, every = self._session, self.model.advertise
        await session.sleep(session.uniform(0, FIRST_ADVERTISE_S))
        message = {
            "kind": "ADVERTISE",
            "gateway_id": self.model.gateway_id,
            "duration": round(every),
        }
        while True:
            everybody = group(session)
            if everybody is not None:
                session.send(message, everybody)
            await session.sleep(every)

    # -- what comes ------------------------------------------------------------------------------------

    def receive(self, message: Message, peer: Peer) -> None:
        node = None
        if message["kind"] == "ENCAPSULATED":
            node = message["node"]
            try:
                message = read(message["message"])[0]
            except DecodeError as error:
                self._session.log(f"a forwarder has sent what is no message: {error}")
                return
        if message["kind"] == "SEARCHGW":
            self._inform(peer)
            return
        if peer.group:
            return  # all else is for one gateway alone
        key = (*peer.endpoint, node)
        line, client = self._connections.line_of(key), self._connections.get(key)
        if line is not None and line.take(message):
            return
        if message["kind"] == "CONNECT":
            self._connections.connect(message, Line(self._session, peer, node), key)
        elif message["kind"] == "PUBLISH" and message["qos"] < 0:
            self._take_publication(message, Line(self._session, peer, node), None)
        elif client is None or client.state not in CONNECTED:
            moved = self._connections.move(message, Line(self._session, peer, node), key)
            if moved is None:
                self._refuse(message, peer, node, client)
            else:
                self._connections.ping(message, moved)
        else:
            self._dispatch(message, client)

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        node, kind = None, message["kind"]
        if kind == "ENCAPSULATED":
            node = message["node"]
            try:
                message = read(message["message"])[0]
            except DecodeError:
                return []
            kind = message["kind"]
        key = (*peer.endpoint, node)
        line, client = self._connections.line_of(key), self._connections.get(key)
        if peer.group or kind == "SEARCHGW":
            return []
        if line is not None and line.awaits(message):
            return [] if kind in SETTLING else None
        if kind == "CONNECT":
            return [told(kind, client_id=message["client_id"])] if not message["will"] else None
        anybody = kind == "PUBLISH" and message["qos"] < 0
        if not anybody and (client is None or client.state not in CONNECTED):
            return []
        if kind == "PUBLISH":
            said = self._publication(message, None if anybody else client)
            is_new = said is not None and (client is None or client.line.is_new(message))
            return [said] if said is not None and is_new else []
        if client is None or kind not in (*ANSWERS, "DISCONNECT"):
            return []
        return [self._told(message, client)]

    def _inform(self, peer: Peer) -> None:
        """Answer SEARCHGW where it was asked (section 6.1)."""
        to = group(self._session) if peer.group else peer
        if to is not None:
            self._session.send({"kind": "GWINFO", "gateway_id": self.model.gateway_id}, to)

    def _refuse(
        self, message: Message, peer: Peer, node: bytes | None, client: Subscriber | None
    ) -> None:
        """Tell a client that it is not connected (section 6.12), unless it could be another gateway."""
        kind = message["kind"]
        if kind == "DISCONNECT" and client is not None and client.farewells < self.model.retries:
            client.farewells += 1  # the answer to the first was lost
            client.line.send({"kind": "DISCONNECT"})
        elif kind in ANSWERS or kind == "PINGREQ":
            Line(self._session, peer, node).send({"kind": "DISCONNECT"})

    def _dispatch(self, message: Message, client: Subscriber) -> None:
        kind, line = message["kind"], client.line
        if kind == "PUBLISH":
            self._take_publication(message, line, client)
        elif kind == "PUBREL":
            line.release(message)
        elif kind == "PINGREQ":
            self._connections.ping(message, client)
        elif kind == "WILLMSG":  # the CONNACK that answered it was lost
            line.send({"kind": "CONNACK"})
        elif kind == "DISCONNECT":
            self._connections.disconnect(message, client)
        elif kind == "PUBACK" and message["return_code"] == "INVALID_TOPIC_ID":
            client.known.discard(self._topics.name_of(message["topic_id"]) or "")  # of QoS 0
        elif kind in ANSWERS:
            self.hand_up(message, line, client, self._told(message, client))

    def _told(self, message: Message, client: Subscriber) -> Message:
        """A request as rules see it."""
        topic = self.model.predefined.name_of(message) if "topic_id_type" in message else None
        topic = topic or message.get("topic") or message.get("will_topic") or ""
        data = message.get("will_message", "")
        fields = {**message, "client_id": client.client_id, "topic": topic, "data": data}
        return told(**fields)

    def hand_up(
        self, message: Message, line: Line, client: Subscriber | None, said: Message
    ) -> None:
        """Ask the rules; carry out what none of them answers, or drops."""
        asked = Asked(message, said, line, client)
        outcome = self._session.deliver(said, line.peer, asked)
        if outcome not in (DROPPED, PENDING):
            self._settle(asked, "")

    def reply(self, message: Message, asked: Any) -> None:
        """A rule answers a request: with a return code, or with something to publish besides."""
        is_answer = isinstance(asked, Asked) and message["kind"] == ANSWERS.get(asked.told["kind"])
        if isinstance(asked, Asked):
            self._settle(asked, message.get("return_code", "") if is_answer else "")
        if not is_answer:
            self.submit(message, None)

    def _settle(self, asked: Asked, code: str) -> None:
        """Carry a request out and answer it; `code` is a rule's return code, if there was one. What cannot be
        is not accepted by a rule either."""
        if asked.settled or (asked.client is not None and asked.client.state not in CONNECTED):
            return
        asked.settled = True
        code = "" if code == "ACCEPTED" else code
        settle = {
            "CONNECT": self._connections.open,
            "REGISTER": self._register,
            "PUBLISH": self._accept,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "WILLTOPICUPD": self._update_will,
            "WILLMSGUPD": self._update_will,
        }.get(asked.told["kind"])
        if settle is not None:
            settle(asked, code)

    def answer(self, asked: Asked, code: str, **fields: Any) -> None:
        """Send the answer to a request."""
        said = told(**{**asked.told, "kind": ANSWERS[asked.told["kind"]], "return_code": code})
        if "message_id" in asked.message:
            fields["message_id"] = asked.message["message_id"]
        if said["kind"] != "UNSUBACK":
            fields["return_code"] = code
        asked.line.send({"kind": said["kind"], **fields}, said)

    # -- wills and topics (sections 6.4, 6.5 and 6.9) ------------------------------------------------------

    def _update_will(self, asked: Asked, code: str) -> None:
        client, message = asked.client, asked.message
        assert client is not None
        topic = message.get("will_topic", "")
        if not code:
            code = "INVALID_TOPIC_ID" if topic and not is_name(topic) else "ACCEPTED"
        if code == "ACCEPTED":
            will = client.will or told("PUBLISH")
            if message["kind"] == "WILLMSGUPD":
                client.will = {**will, "data": message["will_message"]}
            elif topic:
                flags = {"qos": max(message["qos"], 0), "retain": message["retain"]}
                client.will = {**will, "topic": topic, **flags}
            else:
                client.will = None
        self.answer(asked, code)

    def _register(self, asked: Asked, code: str) -> None:
        client, topic = asked.client, asked.message["topic"]
        assert client is not None
        number = None
        if not code:
            code = "ACCEPTED" if is_name(topic) else "INVALID_TOPIC_ID"
        if code == "ACCEPTED":
            number = self._topics.id_of(topic)
            code = "CONGESTION" if number is None else code
        if number is not None:
            client.known.add(topic)
        self.answer(asked, code, topic_id=number or 0)

    def _subscribe(self, asked: Asked, code: str) -> None:
        client, message, topic = asked.client, asked.message, asked.told["topic"]
        assert client is not None
        kind, qos, number = message["topic_id_type"], max(message["qos"], 0), 0
        if not code:
            code = "ACCEPTED"
            if not is_filter(topic):
                code = "INVALID_TOPIC_ID"
            elif (
                topic not in client.subscriptions
                and len(client.subscriptions) >= MOST_SUBSCRIPTIONS
            ):
                code = "CONGESTION"
        if code == "ACCEPTED" and kind == "PREDEFINED":
            number = message["topic_id"]
            client.predefined.add(topic)
        elif code == "ACCEPTED" and kind == "NORMAL" and not has_wildcard(topic):
            number = self._topics.id_of(topic) or 0
            if number:
                client.known.add(topic)
            else:
                code = "CONGESTION"
        if code == "ACCEPTED":
            client.subscriptions[topic] = qos
        self.answer(asked, code, topic_id=number, qos=qos)
        if code == "ACCEPTED":
            for one in self._retained.matching(topic):
                self.delivery.enqueue(client, one, qos)

    def _unsubscribe(self, asked: Asked, code: str) -> None:
        assert asked.client is not None
        asked.client.subscriptions.pop(asked.told["topic"], None)
        self.answer(asked, "ACCEPTED")

    # -- publications (sections 6.6 to 6.8, 6.10) ----------------------------------------------------------

    def _publication(self, message: Message, client: Subscriber | None) -> Message | None:
        """What a PUBLISH says; None if its topic is none."""
        topic = self.model.predefined.name_of(message)
        if message["topic_id_type"] == "NORMAL":
            topic = self._topics.name_of(message["topic_id"])
            if client is None or topic not in client.known:
                topic = None
        if topic is None or not is_name(topic):
            return None
        fields = {name: message[name] for name in ("qos", "retain", "data")}
        client_id = client.client_id if client else ""
        return told("PUBLISH", topic=topic, client_id=client_id, **fields)

    def _take_publication(self, message: Message, line: Line, client: Subscriber | None) -> None:
        said = self._publication(message, client)
        if said is None:
            if client is not None:
                line.acknowledge(message, "INVALID_TOPIC_ID")
            return
        if client is not None and message["topic_id_type"] == "PREDEFINED":
            client.predefined.add(said["topic"])
        if not line.is_new(message):
            line.acknowledge(message, "ACCEPTED")
            return
        self.hand_up(message, line, client, said)

    def _accept(self, asked: Asked, code: str) -> None:
        """Acknowledge a publication, and pass it on."""
        code = code or "ACCEPTED"
        if asked.client is not None:
            said = told(**{**asked.told, "kind": "PUBACK", "return_code": code})
            asked.line.acknowledge(asked.message, code, said)
        if code == "ACCEPTED":
            self.publish({**asked.told, "qos": max(asked.told["qos"], 0), "client_id": ""})

    def submit(self, message: Message, ticket: Any) -> None:
        """What the gateway says by itself: a publication, or DISCONNECT to a client, or to all."""
        if message["kind"] == "PUBLISH":
            self.publish({**message, "qos": max(message["qos"], 0)})
        elif message["kind"] == "DISCONNECT":
            self._connections.expel(message)
        else:
            raise EncodeError("answers nothing of that kind", "kind")
        if ticket is not None:
            ticket.needs_none("what a gateway says has no answer")

    def publish(self, message: Message) -> None:
        """Pass a publication on to all who have subscribed to it."""
        if message["retain"] and not self._retained.keep(message):
            self._session.log(f"{message['topic']!r} is not retained: there are too many")
        for client in self._connections:
            qos = client.qos_of(message["topic"])
            if qos is not None:
                self.delivery.enqueue(client, {**message, "retain": False}, qos)


def check(message: Message, model: Model) -> None:
    """EncodeError for what a gateway cannot say."""
    if message["kind"] not in ("PUBLISH", "DISCONNECT", *ANSWERS.values()):
        raise EncodeError("a gateway says PUBLISH or DISCONNECT, or answers", "kind")
