"""Publications on their way from a gateway to its clients (section 6.10): each waits in the client's buffer,
and is passed on once the one before it is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Unanswered

from .broker import CONNECTED, HEARS, State, Subscriber, Topics
from .line import Outgoing
from .topics import is_short

if TYPE_CHECKING:
    from collections.abc import Callable

    from .session import MqttSn

    Message = dict[str, Any]


class Delivery:
    """``lost`` is called with a client that does not answer."""

    __slots__ = ("_lost", "_session", "_topics")

    def __init__(self, session: MqttSn, topics: Topics, lost: Callable[[Subscriber], None]) -> None:
        self._session = session
        self._topics = topics
        self._lost = lost

    def enqueue(self, client: Subscriber, message: Message, qos: int) -> None:
        qos = min(qos, message["qos"])
        if client.state not in CONNECTED and not qos:
            return  # it comes at most once, and now is not the time
        if len(client.queue) >= self._session.model.buffer:
            self._session.log(
                f"{client.client_id} loses a publication: {self._session.model.buffer} wait"
            )
            # What is on its way stays the first.
            del client.queue[1 if client.draining and len(client.queue) > 1 else 0]
        said = {**message, "qos": qos, "client_id": client.client_id}
        client.queue.append(Outgoing(said))
        self.drain(client)

    def drain(self, client: Subscriber) -> None:
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
                self._lost(client)
        finally:
            client.draining = False
        # What came as it went to sleep or connected again, and so found it still busy.
        if client.queue:
            self.drain(client)

    async def _pass_on(self, outgoing: Outgoing, client: Subscriber) -> str:
        topic, line = outgoing.message["topic"], client.line
        code = "ACCEPTED"
        for _ in range(2):
            if topic in client.predefined:
                number = self._session.model.topics[topic]
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
