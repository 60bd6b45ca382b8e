"""A device as client of a gateway: it finds one, connects, subscribes, and passes on what it says; it keeps
the connection alive, or sleeps and wakes; and it begins anew when the gateway is lost.

What it does is one conversation, `Client.run`: what it says waits in a queue until that comes to it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim import EncodeError, ExpressionError, Ticket, Unanswered

from .directory import Directory
from .line import SHORTEST_S, Line, Outgoing
from .model import client_id_of
from .schema import told
from .topics import has_wildcard, reference

if TYPE_CHECKING:
    from iotsim import Peer

    from .model import Model
    from .session import MqttSn

    Message = dict[str, Any]

FIRST_WAIT_S = 1.0
"""After a first failure it begins anew within this time, so that a fleet does not do so at once."""
PING_AFTER = 0.9
"""Of the keep alive: not all gateways have patience beyond that."""
SLEEP_MARGIN = 1.1
"""It tells the gateway that it sleeps so much longer than it does, for the same reason."""
LONGEST_DURATION = 0xFFFF
MOST_NAMES = 1024
"""So many topic names that a gateway has registered are known at a time."""
CONNACK = frozenset({"CONNACK"})
ENTERING = CONNACK | {"WILLTOPICREQ", "WILLMSGREQ"}
SILENT = frozenset({"PINGRESP", "PUBREC", "WILLTOPICREQ", "WILLMSGREQ"})
"""Answers of which the device hears nothing above."""
ANSWERS = {
    "PUBLISH": "PUBACK",
    "SUBSCRIBE": "SUBACK",
    "UNSUBSCRIBE": "UNSUBACK",
    "WILLTOPICUPD": "WILLTOPICRESP",
    "WILLMSGUPD": "WILLMSGRESP",
    "DISCONNECT": "DISCONNECT",
    "CONNECT": "CONNACK",
}
"""What a device says, and what comes of it."""


class Client:
    __slots__ = (
        "_asleep",
        "_away",
        "_current",
        "_directory",
        "_failures",
        "_hold_until",
        "_idle",
        "_ids",
        "_line",
        "_lost",
        "_names",
        "_queue",
        "_session",
    )

    def __init__(self, session: MqttSn) -> None:
        self._session = session
        self._directory = Directory(session)
        self._line: Line | None = None
        self._queue: list[Outgoing] = []  # an empty deque takes ten times as much
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._current: Outgoing | None = None
        self._idle: Ticket | None = None
        self._asleep = self._away = self._lost = False
        self._failures = 0
        self._hold_until = 0.0
        """Until then the gateway is not to be asked for more (section 6.6)."""

    @property
    def model(self) -> Model:
        return self._session.model

    @property
    def client_id(self) -> str:
        cell = self.model.client
        try:
            return client_id_of(self._session.read(cell))
        except ValueError as error:
            raise ExpressionError(str(error), cell.text) from None

    # -- what comes ------------------------------------------------------------------------------------

    def receive(self, message: Message, peer: Peer) -> None:
        line = self._line
        if self._asleep or self._directory.take(message, peer):
            return
        if line is None or line.peer.endpoint != peer.endpoint or peer.group:
            return  # from nobody that it is connected to
        if line.take(message):
            return
        kind = message["kind"]
        if kind == "PUBLISH":
            self._take_publication(message, line, peer)
        elif kind == "REGISTER":
            self._register(message["topic"], message["topic_id"])
            answer = {name: message[name] for name in ("topic_id", "message_id")}
            line.send({"kind": "REGACK", **answer})
        elif kind == "PUBREL":
            line.release(message)
        elif kind == "PINGREQ":
            line.send({"kind": "PINGRESP"})
        elif kind == "DISCONNECT":
            self._lost = True
            line.give_up("the gateway has disconnected")
            self._wake()

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        line, kind = self._line, message["kind"]
        if line is None or line.peer.endpoint != peer.endpoint or self._asleep or peer.group:
            return []
        if line.awaits(message):
            return self._concluded(kind, message.get("return_code", "ACCEPTED"))
        publication = self._publication(message) if kind == "PUBLISH" else None
        return [] if publication is None or not line.is_new(message) else [publication]

    def _concluded(self, kind: str, code: str) -> list[Message] | None:
        """What the gateway's answer says above, of the wire's `kind`; None if there is more to it."""
        if kind == "CONNACK":
            return [told(kind, client_id=self.client_id, return_code=code)]
        if self._current is None or kind in SILENT or (kind == "REGACK" and code == "ACCEPTED"):
            return []
        if code == "INVALID_TOPIC_ID":
            return None  # perhaps the topic is registered again
        return [self._answer_to(self._current.message, code)]

    def _publication(self, message: Message) -> Message | None:
        """What a PUBLISH says; None if its topic is not known."""
        topic = self.model.predefined.name_of(message)
        if message["topic_id_type"] == "NORMAL":
            topic = self._names.get(message["topic_id"])
        if topic is None:
            return None
        fields = {name: message[name] for name in ("qos", "retain", "data")}
        return told("PUBLISH", topic=topic, **fields)

    @staticmethod
    def _answer_to(said: Message, code: str) -> Message:
        return told(**{**said, "kind": ANSWERS[said["kind"]], "return_code": code})

    def _take_publication(self, message: Message, line: Line, peer: Peer) -> None:
        publication = self._publication(message)
        if publication is None:
            line.acknowledge(message, "INVALID_TOPIC_ID")
            return
        is_new = line.is_new(message)
        line.acknowledge(message, "ACCEPTED")
        if is_new:
            self._session.deliver(publication, peer)

    def _register(self, topic: str, number: int) -> None:
        if len(self._names) >= MOST_NAMES and number not in self._names:
            self._ids.pop(self._names.pop(next(iter(self._names))), None)
        self._names[number] = topic
        self._ids[topic] = number

    # -- what it says ------------------------------------------------------------------------------------

    def submit(self, message: Message, ticket: Ticket | None) -> None:
        """Put it into the queue; of QoS -1, send it."""
        outgoing = Outgoing(message, ticket)
        if message["kind"] == "PUBLISH" and message["qos"] < 0:
            self._publish_unconnected(outgoing)
            return
        if len(self._queue) >= self.model.buffer:
            # What is on its way stays the first.
            place = 1 if len(self._queue) > 1 and self._queue[0] is self._current else 0
            oldest = self._queue[place]
            del self._queue[place]
            self._session.log(
                f"{oldest.message['kind']} is lost: more than {self.model.buffer} wait"
            )
            if oldest.ticket is not None:
                oldest.ticket.give_up("too many messages wait")
        self._queue.append(outgoing)
        self._wake()

    def reply(self, message: Message, exchange: Any) -> None:
        """What a rule answers to a publication is said as anything else."""
        self.submit(message, None)

    def _publish_unconnected(self, outgoing: Outgoing) -> None:
        """QoS -1 needs to know where a gateway is, and nothing else (section 6.8)."""
        known = self._directory.any()
        peer = known[1] if known else None
        if self._line is not None:
            peer = self._line.peer
        elif self.model.gateway == "gateway":
            peer = self._session.gateway
        said, ticket = outgoing.message, outgoing.ticket
        if peer is None:
            self._session.log(f"no gateway is known for a publication to {said['topic']!r}")
        else:
            message = {name: said[name] for name in ("kind", "qos", "retain", "data")}
            message |= reference(said["topic"], self.model.topics)
            self._session.send(message, peer, says=said)
        if ticket is not None:
            ticket.needs_none("QoS -1 has no answer")

    # -- what it does --------------------------------------------------------------------------------------

    async def run(self) -> None:
        session = self._session
        while True:
            try:
                peer = await self._find()
                await self._connect(peer)
                await self._subscribe_all()
                await self._stay()
            except Unanswered as error:
                session.log(f"no connection: {error.reason}")
                if error.reason == "timeout" and self._line is not None:
                    self._directory.forget(self._line.peer)
            self._line, self._current, self._asleep = None, None, False
            if self._away:
                await self._wait_for_connect()
            else:
                await session.sleep(self._back_off())

    def _back_off(self) -> float:
        """So long it waits before it begins anew: longer each time that it fails again."""
        session, model = self._session, self.model
        failures, self._failures = self._failures, self._failures + 1
        held = self._hold_until - session.now
        if held > 0:
            return held
        if not failures:
            return session.uniform(0, FIRST_WAIT_S)
        longest: float = min(model.retry * 2 ** min(failures - 1, 20), model.wait)
        return session.uniform(0.5, 1.0) * longest

    async def _find(self) -> Peer:
        if self.model.gateway == "search":
            return await self._directory.find()
        while (peer := self._session.gateway) is None:
            await self._session.sleep(self.model.retry)
        return peer

    async def _connect(self, peer: Peer, *, anew: bool = True) -> None:
        """CONNECT, and the will if there is one (sections 6.2 and 6.3). Who has only slept keeps all."""
        model, client_id = self.model, self.client_id
        if anew or self._line is None:
            self._line = Line(self._session, peer)
            self._ids.clear()
            self._names.clear()
        line, self._lost = self._line, False
        will = model.will if anew else None
        connect = {
            "kind": "CONNECT",
            "will": will is not None,
            "clean_session": model.clean and anew,
            "duration": math.ceil(model.keep_alive),
            "client_id": client_id,
        }
        said = told("CONNECT", client_id=client_id)
        answer = await line.ask(connect, CONNACK | {"WILLTOPICREQ"}, says=said)
        # What the gateway asks again it is told again, for it may not have heard it (section 6.13).
        while will is not None and answer["kind"] != "CONNACK":
            if answer["kind"] == "WILLTOPICREQ":
                topic = {"will_topic": will.topic, "qos": will.qos, "retain": will.retain}
                answer = await line.ask({"kind": "WILLTOPIC", **topic}, ENTERING)
            else:
                data = self._session.read(will.data)
                answer = await line.ask({"kind": "WILLMSG", "will_message": data}, ENTERING)
        code = answer.get("return_code", "NOT_SUPPORTED")
        answer = told("CONNACK", client_id=client_id, return_code=code)
        self._session.deliver(answer, line.peer)
        if code == "CONGESTION":
            self._hold()
        if code != "ACCEPTED":
            raise Unanswered(f"CONNECT is rejected: {code}")

    async def _subscribe_all(self) -> None:
        for one in self.model.subscribe:
            said = told("SUBSCRIBE", topic=one.topic, qos=one.qos)
            while await self._perform(Outgoing(said)) == "CONGESTION":
                await self._pause(self._hold_until - self._session.now)

    async def _stay(self) -> None:
        """Be connected, until that is lost or given up."""
        session, line, model = self._session, self._line, self.model
        assert line is not None
        begun = session.now
        while await self._work_off():
            if session.now - begun >= model.retry:
                self._failures = 0
            if model.sleep is not None and not self._queue:
                await self._sleep_and_wake(model.sleep)
                continue
            ping_at = line.said_at + model.keep_alive * PING_AFTER
            until = min(ping_at, self._hold_until) if self._queue else ping_at
            await self._pause(until - session.now)
            if session.now >= ping_at:
                await line.ask({"kind": "PINGREQ"}, frozenset({"PINGRESP"}))

    async def _work_off(self) -> bool:
        """Pass on what waits, one after another, unless the gateway is congested. Returns False once it has
        disconnected."""
        while self._queue and self._session.now >= self._hold_until and not self._away:
            first = self._queue[0]
            code = await self._perform(first)
            if code != "CONGESTION" and self._queue and self._queue[0] is first:
                del self._queue[0]
        return not self._away

    async def _sleep_and_wake(self, seconds: float) -> None:
        """Asleep, and awake now and then for as long as the gateway has something (section 6.14); active once
        there is something to say."""
        session, line = self._session, self._line
        assert line is not None
        duration = min(math.ceil(seconds * SLEEP_MARGIN), LONGEST_DURATION)
        asleep = {"kind": "DISCONNECT", "duration": duration}
        await line.ask(asleep, frozenset({"DISCONNECT"}), says=told("DISCONNECT"))
        ping = {"kind": "PINGREQ", "client_id": self.client_id}
        while not self._queue:
            self._asleep = True
            await session.sleep(seconds)
            self._asleep = False
            await line.ask(ping, frozenset({"PINGRESP"}), patient=True)
        await self._connect(line.peer, anew=False)

    async def _perform(self, outgoing: Outgoing) -> str:
        """Do what is said; returns the gateway's return code."""
        said, line = outgoing.message, self._line
        assert line is not None
        self._current = outgoing
        kind, code = said["kind"], "ACCEPTED"
        if kind == "PUBLISH":
            code = await self._publish(outgoing, line)
        elif kind == "SUBSCRIBE":
            code = await self._subscribe(said, line)
        elif kind == "UNSUBSCRIBE":
            await self._unsubscribe(said, line)
        elif kind in ("WILLTOPICUPD", "WILLMSGUPD"):
            code = await self._update_will(said, line)
        elif kind == "DISCONNECT":
            await line.ask({"kind": kind}, frozenset({kind}), says=said)
            self._away = True
        self._current = None
        if code == "CONGESTION":
            self._hold()
        elif code != "ACCEPTED":
            self._session.log(f"{kind} {said.get('topic', '')!r} is rejected: {code}")
        ticket = None if code == "CONGESTION" else outgoing.ticket  # it will be said again
        if kind == "CONNECT" or (kind == "PUBLISH" and said["qos"] == 0 and code == "ACCEPTED"):
            if ticket is not None:
                ticket.needs_none("it has no answer")
        else:
            self._session.answered(self._answer_to(said, code), line.peer, ticket)
        return code

    async def _publish(self, outgoing: Outgoing, line: Line) -> str:
        topic = outgoing.message["topic"]
        code = "ACCEPTED"
        for _ in range(2):
            refers = reference(topic, self.model.topics)
            if refers["topic_id_type"] == "NORMAL":
                if topic not in self._ids:
                    code = await self._ask_for_id(topic, line)
                    if code != "ACCEPTED":
                        return code
                refers = {"topic_id": self._ids[topic]}
            code = await line.publish(outgoing, refers)
            if code != "INVALID_TOPIC_ID":
                break
            self._ids.pop(topic, None)  # the gateway has forgotten it: it is registered again
        return code

    async def _ask_for_id(self, topic: str, line: Line) -> str:
        """REGISTER (section 6.5)."""
        message = {"kind": "REGISTER", "topic": topic, "message_id": line.next_id()}
        answer = await line.ask(message, frozenset({"REGACK"}))
        if answer["return_code"] == "ACCEPTED":
            self._register(topic, answer["topic_id"])
        return str(answer["return_code"])

    async def _subscribe(self, said: Message, line: Line) -> str:
        """SUBSCRIBE (section 6.9)."""
        topic = said["topic"]
        refers = reference(topic, self.model.topics)
        message = {"kind": "SUBSCRIBE", "message_id": line.next_id(), "qos": said["qos"], **refers}
        answer = await line.ask(message, frozenset({"SUBACK"}), says=said)
        code = str(answer["return_code"])
        by_name = refers["topic_id_type"] == "NORMAL" and not has_wildcard(topic)
        if code == "ACCEPTED" and by_name and answer["topic_id"]:
            self._register(topic, answer["topic_id"])
        return code

    async def _unsubscribe(self, said: Message, line: Line) -> None:
        refers = reference(said["topic"], self.model.topics)
        message = {"kind": "UNSUBSCRIBE", "message_id": line.next_id(), **refers}
        await line.ask(message, frozenset({"UNSUBACK"}), says=said)

    async def _update_will(self, said: Message, line: Line) -> str:
        """Section 6.4. An update to no topic deletes the will."""
        message: Message = {"kind": said["kind"]}
        if said["kind"] == "WILLMSGUPD":
            message["will_message"] = said["data"]
        elif said["topic"]:
            message |= {"will_topic": said["topic"], "qos": said["qos"], "retain": said["retain"]}
        answer = await line.ask(message, frozenset({ANSWERS[said["kind"]]}), says=said)
        return str(answer["return_code"])

    # -- waiting -------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        self._hold_until = self._session.now + self.model.wait

    async def _pause(self, seconds: float) -> None:
        """Wait, at most so long, for something to say; `Unanswered` if the gateway is lost."""
        if self._lost:
            raise Unanswered("the gateway has disconnected")
        ticket = self._idle = Ticket({})
        timer = self._session.call_later(max(seconds, SHORTEST_S), ticket.wake)
        await ticket
        timer.cancel()
        self._idle = None
        if self._lost:
            raise Unanswered("the gateway has disconnected")

    def _wake(self) -> None:
        if self._idle is not None:
            self._idle.wake()

    async def _wait_for_connect(self) -> None:
        """Be disconnected until it is said to connect. What else is said waits."""
        self._lost = False
        while True:
            for outgoing in self._queue:
                if outgoing.message["kind"] == "CONNECT":
                    self._away, self._failures = False, 0
                    return
            await self._pause(self.model.wait)


def check(message: Message, model: Model) -> None:
    """EncodeError for what a client cannot say."""
    kind = message["kind"]
    if kind not in ANSWERS:
        raise EncodeError(f"a client says {', '.join(ANSWERS)}", "kind")
    if kind == "PUBLISH" and message["qos"] < 0:
        refers = reference(message["topic"], model.topics)
        if refers["topic_id_type"] == "NORMAL":
            raise EncodeError("QoS -1 needs a predefined topic, or a short one", "topic")
