"""A device as gateway: it advertises itself, connects clients, and is the broker between them.

Each request of a client goes to the scenario's rules first, which may answer it: with a rejection, for
example. What no rule has answered is carried out. Publications for a client wait in its buffer and are passed
on one after another, each acknowledged before the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, EncodeError, Peer, Unanswered

from .broker import (
    CONNECTED,
    HEARS,
    MOST_SUBSCRIPTIONS,
    Retained,
    State,
    Subscriber,
    Topics,
)
from .directory import group
from .line import Line, Outgoing
from .message import read
from .schema import told
from .topics import has_wildcard, is_filter, is_name, is_short

if TYPE_CHECKING:
    from .model import Model
    from .session import MqttSn

    Message = dict[str, Any]
    Key = tuple[int, int, bytes | None]

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
DROPPED = "consumed.drop-rule"
PENDING = "pending"
MOST_ENTERING = 64
"""So many clients at a time are asked for their wills."""


class Asked:
    """A request of a client's, until it is settled."""

    __slots__ = ("client", "line", "message", "settled", "told")

    def __init__(self, message: Message, said: Message, line: Line, client: Subscriber | None):
        self.message = message
        self.told = said
        """The same as rules see it."""
        self.line = line
        self.client = client
        """None of what connects, and of QoS -1."""
        self.settled = False


class Gateway:
    __slots__ = ("_clients", "_entering", "_retained", "_session", "_topics")

    def __init__(self, session: MqttSn) -> None:
        self._session = session
        self._clients: dict[Key, Subscriber] = {}
        self._entering: dict[Key, Line] = {}
        """Those whose wills are being asked for."""
        self._topics = Topics(session.model)
        self._retained = Retained()

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
        key = (*peer.endpoint, node)
        client = self._clients.get(key)
        line = client.line if client else self._entering.get(key)
        if line is not None:
            line.peer = peer._replace(group=0)
            if line.take(message):
                self._hear(client)
                return
        if message["kind"] == "CONNECT":
            self._connect(message, Line(self._session, peer._replace(group=0), node), key)
        elif message["kind"] == "PUBLISH" and message["qos"] < 0:
            self._take_publication(message, Line(self._session, peer, node), None)
        elif client is None or client.state not in CONNECTED:
            self._refuse(message, peer, node, client)
        else:
            self._hear(client)
            self._dispatch(message, client)

    def _hear(self, client: Subscriber | None) -> None:
        if client is not None and client.timer is None:
            self._watch(client)

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
        elif (kind in ANSWERS or kind == "PINGREQ") and not peer.group:
            Line(self._session, peer, node).send({"kind": "DISCONNECT"})

    def _dispatch(self, message: Message, client: Subscriber) -> None:
        kind, line = message["kind"], client.line
        if kind == "PUBLISH":
            self._take_publication(message, line, client)
        elif kind == "PUBREL":
            line.release(message)
        elif kind == "PINGREQ":
            self._ping(message, client)
        elif kind == "DISCONNECT":
            self._disconnect(message, client)
        elif kind in ANSWERS:
            self._hand_up(message, line, client, self._told(message, client))

    def _told(self, message: Message, client: Subscriber) -> Message:
        """A request as rules see it."""
        topic = self.model.predefined.name_of(message) if "topic_id_type" in message else None
        topic = topic or message.get("topic") or message.get("will_topic") or ""
        data = message.get("will_message", "")
        fields = {**message, "client_id": client.client_id, "topic": topic, "data": data}
        return told(**fields)

    def _hand_up(
        self, message: Message, line: Line, client: Subscriber | None, said: Message
    ) -> None:
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
        """Carry a request out and answer it; `code` is a rule's return code, if there was one."""
        if asked.settled or (asked.client is not None and asked.client.state not in CONNECTED):
            return
        asked.settled = True
        kind = asked.told["kind"]
        settle = {
            "CONNECT": self._open,
            "REGISTER": self._register,
            "PUBLISH": self._accept,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "WILLTOPICUPD": self._update_will,
            "WILLMSGUPD": self._update_will,
        }.get(kind)
        if settle is not None:
            settle(asked, code)

    def _answer(self, asked: Asked, code: str, **fields: Any) -> None:
        """Send the answer to a request."""
        said = told(**{**asked.told, "kind": ANSWERS[asked.told["kind"]], "return_code": code})
        if "message_id" in asked.message:
            fields["message_id"] = asked.message["message_id"]
        if said["kind"] != "UNSUBACK":
            fields["return_code"] = code
        asked.line.send({"kind": said["kind"], **fields}, said)

    # -- connections (sections 6.2 to 6.4, 6.11, 6.12) -----------------------------------------------------

    def _connect(self, message: Message, line: Line, key: Key) -> None:
        if key in self._entering:
            return  # CONNECT was repeated, and it has been asked for its will
        if not message["will"]:
            self._enter(message, line, None)
        elif len(self._entering) < MOST_ENTERING:
            self._entering[key] = line
            self._session.start(self._ask_for_will(message, line, key))
        else:
            line.send({"kind": "CONNACK", "return_code": "CONGESTION"})

    async def _ask_for_will(self, message: Message, line: Line, key: Key) -> None:
        try:
            ask = {"kind": "WILLTOPICREQ"}, {"kind": "WILLMSGREQ"}
            topic = await line.ask(ask[0], frozenset({"WILLTOPIC"}))
            will = None
            if topic.get("will_topic"):
                data = await line.ask(ask[1], frozenset({"WILLMSG"}))
                rest = {"qos": max(topic["qos"], 0), "retain": topic["retain"]}
                name, said = topic["will_topic"], data["will_message"]
                will = told("PUBLISH", topic=name, data=said, **rest)
        except Unanswered:
            self._session.log(f"{message['client_id']} has not told its will")
            return
        finally:
            self._entering.pop(key, None)
        self._enter(message, line, will)

    def _enter(self, message: Message, line: Line, will: Message | None) -> None:
        said = told("CONNECT", client_id=message["client_id"])
        self._hand_up({**message, "last_will": will}, line, None, said)

    def _open(self, asked: Asked, code: str) -> None:
        message, line = asked.message, asked.line
        key = (*line.peer.endpoint, line.node)
        former = self._former(key, message["client_id"])
        will = message["last_will"]
        if not code:
            code = "ACCEPTED"
            if message["protocol_id"] != 1 or not message["client_id"]:
                code = "NOT_SUPPORTED"
            elif will is not None and not is_name(will["topic"]):
                code = "INVALID_TOPIC_ID"
            elif former is None and not self._makes_room():
                code = "CONGESTION"
        if code == "ACCEPTED":
            client = Subscriber(line, message["client_id"])
            if former is not None and not message["clean_session"]:
                client.subscriptions, client.queue = former.subscriptions, former.queue
                client.will = former.will
            if will is not None or message["will"]:
                client.will = will
            client.clean, client.duration = message["clean_session"], message["duration"]
            self._clients[key] = client
            self._watch(client)
            self._answer(asked, code)
            self._drain(client)
        else:
            self._answer(asked, code)

    def _former(self, key: Key, client_id: str) -> Subscriber | None:
        """Take the client of this id, which may come from elsewhere now, and end who was at this place."""
        found = None
        for place, one in list(self._clients.items()):
            if place == key or one.client_id == client_id:
                del self._clients[place]
                one.stop("it has connected again")
                one.state = State.DISCONNECTED
                if one.client_id == client_id:
                    found = one
        return found

    def _makes_room(self) -> bool:
        """Whether one more client may connect; who is not connected gives way."""
        if len(self._clients) < self.model.clients:
            return True
        for key, one in self._clients.items():
            if one.state not in CONNECTED:
                del self._clients[key]
                return True
        return False

    def _watch(self, client: Subscriber) -> None:
        """See to it that something is heard of a client in time."""
        if client.duration:
            wait = client.line.heard_at + client.allowance - self._session.now
            client.timer = self._session.call_later(max(wait, 0.0), self._look, client)

    def _look(self, client: Subscriber) -> None:
        client.timer = None
        if self._session.now - client.line.heard_at >= client.allowance - 1e-6:
            self._lose(client)
        else:
            self._watch(client)

    def _lose(self, client: Subscriber) -> None:
        """Nothing is heard of it any more: its will is published."""
        if client.state in CONNECTED:
            self._session.log(f"{client.client_id} is lost")
            will, client.will = client.will, None
            self._part(client, State.LOST)
            if will is not None:
                self._publish(will)

    def _part(self, client: Subscriber, state: State) -> None:
        client.state = state
        client.stop(state.value)
        if client.clean:
            client.subscriptions.clear()
            client.queue.clear()

    def _disconnect(self, message: Message, client: Subscriber) -> None:
        duration = message.get("duration", 0)
        self._session.deliver(
            told("DISCONNECT", client_id=client.client_id), client.line.peer, client
        )
        if duration:
            client.state, client.duration = State.ASLEEP, duration
            client.stop("asleep")
            self._watch(client)
        else:
            client.will = None
            self._part(client, State.DISCONNECTED)
        client.line.send({"kind": "DISCONNECT"}, told("DISCONNECT", client_id=client.client_id))

    def _ping(self, message: Message, client: Subscriber) -> None:
        """A client that wakes is given what waits, and PINGRESP after that (section 6.14)."""
        if client.state is State.ACTIVE or message.get("client_id") != client.client_id:
            client.line.send({"kind": "PINGRESP"})
            return
        client.state = State.AWAKE
        self._drain(client)

    def _update_will(self, asked: Asked, code: str) -> None:
        client, message = asked.client, asked.message
        assert client is not None
        topic = message.get("will_topic", "")
        if not code:
            bad = topic and not is_name(topic)
            code = "INVALID_TOPIC_ID" if bad else "ACCEPTED"
        if code == "ACCEPTED":
            will = client.will or told("PUBLISH")
            if message["kind"] == "WILLMSGUPD":
                client.will = {**will, "data": message["will_message"]}
            elif topic:
                rest = {"qos": max(message["qos"], 0), "retain": message["retain"]}
                client.will = {**will, "topic": topic, **rest}
            else:
                client.will = None
        self._answer(asked, code)

    # -- topics (sections 6.5 and 6.9) ---------------------------------------------------------------------

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
        self._answer(asked, code, topic_id=number or 0)

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
            code = code if number else "CONGESTION"
            client.known.add(topic)
        if code == "ACCEPTED":
            client.subscriptions[topic] = qos
        self._answer(asked, code, topic_id=number, qos=qos)
        if code == "ACCEPTED":
            for one in self._retained.matching(topic):
                self._enqueue(client, one, qos)

    def _unsubscribe(self, asked: Asked, code: str) -> None:
        assert asked.client is not None
        asked.client.subscriptions.pop(asked.told["topic"], None)
        self._answer(asked, "ACCEPTED")

    # -- publications (sections 6.6 to 6.8, 6.10) ----------------------------------------------------------

    def _take_publication(self, message: Message, line: Line, client: Subscriber | None) -> None:
        kind = message["topic_id_type"]
        topic = self.model.predefined.name_of(message)
        if kind == "NORMAL":
            topic = self._topics.name_of(message["topic_id"])
            if client is None or topic not in client.known:
                topic = None
        if topic is None or not is_name(topic):
            if client is not None:
                line.acknowledge(message, "INVALID_TOPIC_ID")
            return
        if client is not None and kind == "PREDEFINED":
            client.predefined.add(topic)
        if not line.is_new(message):
            line.acknowledge(message, "ACCEPTED")
            return
        fields = {name: message[name] for name in ("qos", "retain", "data")}
        said = told("PUBLISH", topic=topic, client_id=client.client_id if client else "", **fields)
        self._hand_up(message, line, client, said)

    def _accept(self, asked: Asked, code: str) -> None:
        """Acknowledge a publication, and pass it on."""
        code = code or "ACCEPTED"
        if asked.client is not None:
            said = told(**{**asked.told, "kind": "PUBACK", "return_code": code})
            asked.line.acknowledge(asked.message, code, said)
        if code == "ACCEPTED":
            self._publish({**asked.told, "qos": max(asked.told["qos"], 0), "client_id": ""})

    def submit(self, message: Message, ticket: Any) -> None:
        """What the gateway says by itself: a publication, or DISCONNECT to a client, or to all."""
        if message["kind"] == "PUBLISH":
            self._publish({**message, "qos": max(message["qos"], 0)})
        elif message["kind"] == "DISCONNECT":
            for client in list(self._clients.values()):
                if message["client_id"] in ("", client.client_id) and client.state in CONNECTED:
                    said = {**message, "client_id": client.client_id}
                    client.will = None
                    self._part(client, State.DISCONNECTED)
                    client.line.send({"kind": "DISCONNECT"}, said)
        if ticket is not None:
            ticket.give_up("what a gateway says has no answer")

    def _publish(self, message: Message) -> None:
        """Pass a publication on to all who have subscribed to it."""
        if message["retain"] and not self._retained.keep(message):
            self._session.log(f"{message['topic']!r} is not retained: there are too many")
        for client in list(self._clients.values()):
            qos = client.qos_of(message["topic"])
            if qos is not None:
                self._enqueue(client, {**message, "retain": False}, qos)

    def _enqueue(self, client: Subscriber, message: Message, qos: int) -> None:
        qos = min(qos, message["qos"])
        if client.state not in CONNECTED and not qos:
            return  # it comes at most once, and now is not the time
        if len(client.queue) >= self.model.buffer:
            self._session.log(f"{client.client_id} loses a publication: {self.model.buffer} wait")
            # What is on its way stays the first.
            del client.queue[1 if client.draining and len(client.queue) > 1 else 0]
        said = {**message, "qos": qos, "client_id": client.client_id}
        client.queue.append(Outgoing(said))
        self._drain(client)

    def _drain(self, client: Subscriber) -> None:
        if not client.draining and client.state in HEARS:
            client.draining = True
            self._session.start(self._pass_on_all(client))

    async def _pass_on_all(self, client: Subscriber) -> None:
        try:
            while client.queue and client.state in HEARS:
                first = client.queue[0]
                code = await self._pass_on(first, client)
                if code != "ACCEPTED":
                    topic = first.message["topic"]
                    self._session.log(f"{client.client_id} rejects {topic!r}: {code}")
                if client.queue and client.queue[0] is first:
                    client.queue.popleft()
            if client.state is State.AWAKE:
                client.state = State.ASLEEP
                client.line.send({"kind": "PINGRESP"})
        except Unanswered as error:
            if error.reason == "timeout":
                self._lose(client)
        finally:
            client.draining = False
        # What came as it went to sleep or connected again, and so found it still busy.
        if client.queue:
            self._drain(client)

    async def _pass_on(self, outgoing: Outgoing, client: Subscriber) -> str:
        topic, line = outgoing.message["topic"], client.line
        code = "ACCEPTED"
        for _ in range(2):
            if topic in client.predefined:
                number = self.model.topics[topic]
                refers: Message = {"topic_id_type": "PREDEFINED", "topic_id": number}
            elif is_short(topic):
                refers = {"topic_id_type": "SHORT", "topic": topic}
            else:
                number = self._topics.id_of(topic) or 0
                if topic not in client.known:
                    code = await self._tell_id(topic, number, client)
                    if code != "ACCEPTED":
                        return code
                refers = {"topic_id": number}
            code = await line.publish(outgoing, refers)
            if code != "INVALID_TOPIC_ID":
                break
            client.known.discard(topic)
        return code

    async def _tell_id(self, topic: str, number: int, client: Subscriber) -> str:
        """REGISTER of a topic that the client knows by a wildcard only, or has forgotten."""
        if not number:
            return "CONGESTION"
        line = client.line
        message = {"kind": "REGISTER", "topic": topic, "topic_id": number}
        message["message_id"] = line.next_id()
        answer = await line.ask(message, frozenset({"REGACK"}))
        if answer["return_code"] == "ACCEPTED":
            client.known.add(topic)
        return str(answer["return_code"])


def check(message: Message, model: Model) -> None:
    """EncodeError for what a gateway cannot say."""
    if message["kind"] not in ("PUBLISH", "DISCONNECT", *ANSWERS.values()):
        raise EncodeError("a gateway says PUBLISH or DISCONNECT, or answers", "kind")
