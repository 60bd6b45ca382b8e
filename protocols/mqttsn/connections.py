"""The clients of a gateway: how they connect, are watched, sleep, wake and part (sections 6.2, 6.3, 6.11,
6.12, 6.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Unanswered

from .broker import CONNECTED, State, Subscriber
from .message import PROTOCOL_ID
from .model import client_id_of
from .schema import told
from .topics import is_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .broker import Asked
    from .gateway import Gateway
    from .line import Line
    from .session import MqttSn

    Message = dict[str, Any]
    Key = tuple[int, int, bytes | None]

MOST_ENTERING = 64
"""So many clients at a time are asked for their wills."""
LATE_S = 1e-6
WILL = frozenset({"WILLTOPIC", "WILLMSG"})


class Connections:
    __slots__ = ("_clients", "_entering", "_gateway", "_has_told_of_ids", "_session")

    def __init__(self, session: MqttSn, gateway: Gateway) -> None:
        self._session = session
        self._gateway = gateway
        self._clients: dict[Key, Subscriber] = {}
        """By address and port, and by the node if they are behind a forwarder."""
        self._entering: dict[Key, Line] = {}
        """Those whose wills are being asked for."""
        self._has_told_of_ids = False

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(list(self._clients.values()))

    def get(self, key: Key) -> Subscriber | None:
        return self._clients.get(key)

    def line_of(self, key: Key) -> Line | None:
        client = self._clients.get(key)
        entering = self._entering.get(key)
        return entering if entering is not None or client is None else client.line

    # -- they come -----------------------------------------------------------------------------------------

    def connect(self, message: Message, line: Line, key: Key) -> None:
        """CONNECT has come: ask for the will if there is one, then ask the rules."""
        before = self._entering.pop(key, None)
        if before is not None:  # what it has been asked for its will was lost, or it begins anew
            before.give_up("it has sent CONNECT again")
        if not message["will"]:
            self._enter(message, line, None)
        elif len(self._entering) < MOST_ENTERING:
            self._entering[key] = line
            self._session.start(self._ask_for_will(message, line, key))
        else:
            line.send({"kind": "CONNACK", "return_code": "CONGESTION"})

    async def _ask_for_will(self, message: Message, line: Line, key: Key) -> None:
        will = None
        try:
            answer = await line.ask({"kind": "WILLTOPICREQ"}, frozenset({"WILLTOPIC"}))
            while answer.get("will_topic"):
                topic = answer  # and again where what this is answered with was lost (section 6.13)
                answer = await line.ask({"kind": "WILLMSGREQ"}, WILL)
                if answer["kind"] == "WILLMSG":
                    will = will_of({**topic, **answer})
        except Unanswered as error:
            if error.reason == "timeout":
                self._session.log(f"{message['client_id']} has not told its will")
            return
        finally:
            if self._entering.get(key) is line:
                del self._entering[key]
        self._enter(message, line, will)

    def _enter(self, message: Message, line: Line, will: Message | None) -> None:
        said = told("CONNECT", client_id=message["client_id"])
        self._gateway.hand_up({**message, "told_will": will}, line, None, said)

    def open(self, asked: Asked, code: str) -> None:
        """Answer CONNECT, by `code` if a rule has one."""
        message, line = asked.message, asked.line
        key = (*line.peer.endpoint, line.node)
        client_id, will = message["client_id"], message["told_will"]
        places = [place for place, one in self._clients.items() if one.client_id == client_id]
        if not code:
            code = "ACCEPTED"
            if message["protocol_id"] != PROTOCOL_ID or not self._takes(client_id, line):
                code = "NOT_SUPPORTED"
            elif will is not None and not is_name(will["topic"]):
                code = "INVALID_TOPIC_ID"
            elif not places and not self._makes_room(key):
                code = "CONGESTION"
        if code != "ACCEPTED":
            self._gateway.answer(asked, code)
            return
        client = Subscriber(line, client_id)
        for place in dict.fromkeys((*places, key)):
            former = self._clients.pop(place, None)
            if former is None:
                continue
            if former.client_id == client_id and not message["clean_session"]:
                client.resume(former)
            former.end("it has connected again")
        if message["will"]:
            client.will = will
        client.clean, client.duration = message["clean_session"], message["duration"]
        self._clients[key] = client
        self._watch(client)
        self._gateway.answer(asked, code)
        self._gateway.delivery.drain(client)

    def _takes(self, client_id: str, line: Line) -> bool:
        """Whether it is a client id; a note says once that one is not."""
        try:
            client_id_of(client_id)
        except ValueError as error:
            if not self._has_told_of_ids:
                self._has_told_of_ids = True
                self._session.log(f"{line.peer} is rejected: {error}")
            return False
        return True

    def _makes_room(self, key: Key) -> bool:
        """Whether one more client may connect; who is not connected gives way."""
        if key in self._clients or len(self._clients) < self._session.model.clients:
            return True
        for place, one in self._clients.items():
            if one.state not in CONNECTED:
                del self._clients[place]
                return True
        return False

    # -- they are watched ----------------------------------------------------------------------------------

    def _watch(self, client: Subscriber) -> None:
        """See to it that something is heard of a client in time."""
        if client.duration:
            wait = client.line.heard_at + client.allowance - self._session.now
            client.timer = self._session.call_later(max(wait, LATE_S), self._look, client)

    def _look(self, client: Subscriber) -> None:
        if self._session.now - client.line.heard_at >= client.allowance - LATE_S:
            self.lose(client)
        else:
            self._watch(client)

    def lose(self, client: Subscriber) -> None:
        """Nothing is heard of a client any more: its will is published."""
        if client.state not in CONNECTED:
            return
        self._session.log(f"{client.client_id} is lost")
        will, client.will = client.will, None
        client.end("it is lost", State.LOST)
        if will is not None and will["topic"]:
            self._gateway.publish(will)

    # -- they sleep, wake, and go --------------------------------------------------------------------------

    def disconnect(self, message: Message, client: Subscriber) -> None:
        said = told("DISCONNECT", client_id=client.client_id)
        self._session.deliver(said, client.line.peer, client)
        duration = message.get("duration", 0)
        if duration:
            client.sleep(duration)
            self._watch(client)
        else:
            client.will = None
            client.end("it has disconnected")
        client.line.send({"kind": "DISCONNECT"}, said)

    def expel(self, message: Message) -> None:
        """The gateway says DISCONNECT to a client, or to all."""
        for client in self:
            if message["client_id"] in ("", client.client_id) and client.state in CONNECTED:
                client.will = None
                client.end("the gateway has disconnected")
                client.line.send({"kind": "DISCONNECT"}, {**message, "client_id": client.client_id})

    def move(self, message: Message, line: Line, key: Key) -> Subscriber | None:
        """The client that PINGREQ is of, if it wakes at another address than where it fell asleep: it has its
        id for that (section 6.14)."""
        client_id = message.get("client_id") if message["kind"] == "PINGREQ" else None
        if not client_id:
            return None
        for place, client in self._clients.items():
            if client.client_id == client_id and client.state in (State.ASLEEP, State.AWAKE):
                del self._clients[place]
                self._clients[key] = client
                client.move(line)
                return client
        return None

    def ping(self, message: Message, client: Subscriber) -> None:
        """PINGRESP; a client that wakes is given what waits before that."""
        if client.state is State.ACTIVE or message.get("client_id") != client.client_id:
            client.line.send({"kind": "PINGRESP"})
        else:
            client.state = State.AWAKE
            self._gateway.delivery.drain(client)


def will_of(message: Message) -> Message:
    """The publication that a client wants to be its will."""
    return told(
        "PUBLISH",
        topic=message["will_topic"],
        data=message["will_message"],
        qos=max(message["qos"], 0),
        retain=message["retain"],
    )
