"""`Line`: one side's end of a conversation, the same for clients and gateways.

What expects an answer is sent again after Tretry, Nretry times, with the DUP flag where there is one (section
6.13). Of these messages there is one at a time (sections 6.5 and 6.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Ticket, Unanswered

from .message import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim import Peer, Session

    Message = dict[str, Any]

MOST_RECEIVED = 64
"""So many publications of QoS 2 are known that are not released yet; with more, the oldest is forgotten."""
SHORTEST_S = 0.001
"""What is left of a time is waited for if it is more: less may be what rounding has left of it."""
REPEATED_AS_DUPLICATE = frozenset({"PUBLISH", "SUBSCRIBE"})


class Outgoing:
    """A publication, or another message, that is to be passed on."""

    __slots__ = ("message", "message_id", "released", "ticket")

    def __init__(self, message: Message, ticket: Ticket | None = None) -> None:
        self.message = message
        """As the application has it."""
        self.ticket = ticket
        self.message_id = 0
        """That of its last PUBLISH with QoS 1 or 2."""
        self.released = False
        """Of QoS 2: PUBREC has come, so that PUBREL is next."""


class Line:
    """The way to one other side: `node`, behind the forwarder at `peer`, or `peer` itself."""

    __slots__ = (
        "_last_id",
        "_received",
        "_session",
        "_ticket",
        "_wanted",
        "heard_at",
        "node",
        "peer",
        "said_at",
    )

    def __init__(self, session: Session, peer: Peer, node: bytes | None = None) -> None:
        self.peer = peer
        self.node = node
        self.heard_at = self.said_at = session.now
        self._session = session
        self._last_id = 0
        self._ticket: Ticket | None = None
        self._wanted: Callable[[Message], bool] | None = None
        self._received: dict[int, None] = {}

    def send(self, message: Message, says: Message | None = None) -> bytes:
        """Send `message`, with which the device says something or nothing; the datagram."""
        if self.node is not None:
            data = write(message)
            message = {"kind": "ENCAPSULATED", "node": self.node, "message": data}
        datagram = self._session.send(message, self.peer, says=says)
        self.said_at = self._session.now
        return datagram

    def awaits(self, message: Message) -> bool:
        """Whether somebody waits for it."""
        ticket, wanted = self._ticket, self._wanted
        return ticket is not None and not ticket.done and wanted is not None and wanted(message)

    def take(self, message: Message) -> bool:
        """A message has come; whether somebody waited for it."""
        self.heard_at = self._session.now
        if self._ticket is None or not self.awaits(message):
            return False
        self._ticket.answer(message)
        return True

    def give_up(self, reason: str) -> None:
        """Who waits for an answer will have none."""
        if self._ticket is not None:
            self._ticket.give_up(reason)

    def resume(self, former: Line) -> None:
        """Go on with the message ids of a former line to the same."""
        self._last_id, self._received = former._last_id, former._received

    def next_id(self) -> int:
        """1 to 65535: 0 is no message id (section 5.3.8)."""
        self._last_id = self._last_id % 0xFFFF + 1
        return self._last_id

    async def ask(
        self,
        message: Message,
        answers: frozenset[str],
        *,
        says: Message | None = None,
        patient: bool = False,
    ) -> Message:
        """Send `message` until one of the types `answers` comes, with its id if it has one; `Unanswered` if
        none does. A `patient` one is not repeated as long as anything comes."""
        number = message.get("message_id")

        def wanted(answer: Message) -> bool:
            return answer["kind"] in answers and answer.get("message_id", number) == number

        session, model = self._session, self._session.model
        datagram = b""
        for attempt in range(1 + model.retries):
            if attempt and message["kind"] in REPEATED_AS_DUPLICATE:
                message = {**message, "dup": True}
            if attempt and says is not None:
                says = session.unsaid(datagram, self.peer)
            datagram = self.send(message, says)
            left = model.retry
            while left > SHORTEST_S:
                answer = await self._next(wanted, left)
                if answer is not None:
                    return answer
                left = self.heard_at + model.retry - session.now if patient else 0.0
        raise Unanswered

    async def _next(self, wanted: Callable[[Message], bool], seconds: float) -> Message | None:
        ticket, self._wanted = Ticket({}), wanted
        self._ticket = ticket
        timer = self._session.call_later(seconds, ticket.wake)
        try:
            answer: Message | None = await ticket
        finally:
            timer.cancel()
            if self._ticket is ticket:
                self._ticket = self._wanted = None
        return answer

    async def publish(self, outgoing: Outgoing, topic: Message) -> str:
        """Pass a publication on, `topic` being the fields that refer to its topic. Returns the return code
        of the other side."""
        said = outgoing.message
        message = {
            "kind": "PUBLISH",
            "qos": said["qos"],
            "retain": said["retain"],
            "data": said["data"],
            **topic,
        }
        if said["qos"] < 1:
            self.send(message, said)
            return "ACCEPTED"
        if not outgoing.released:
            if outgoing.message_id:
                message["dup"] = True
            else:
                outgoing.message_id = self.next_id()
            message["message_id"] = outgoing.message_id
            # An error is a PUBACK whatever the QoS (section 5.4.14).
            answers = frozenset({"PUBACK"} if said["qos"] == 1 else {"PUBREC", "PUBACK"})
            answer = await self.ask(message, answers, says=said)
            if answer["kind"] == "PUBACK":
                if answer["return_code"] != "ACCEPTED":
                    outgoing.message_id = 0
                return str(answer["return_code"])
            outgoing.released = True
        release = {"kind": "PUBREL", "message_id": outgoing.message_id}
        await self.ask(release, frozenset({"PUBCOMP"}))
        return "ACCEPTED"

    def is_new(self, message: Message) -> bool:
        """Whether a PUBLISH is none that came before: of QoS 2 each comes once (section 6.7)."""
        return message["qos"] != 2 or message["message_id"] not in self._received

    def acknowledge(self, message: Message, code: str, says: Message | None = None) -> None:
        """Answer a PUBLISH as its QoS has it."""
        number = message["message_id"]
        if code != "ACCEPTED" or message["qos"] == 1:
            topic_id = message.get("topic_id")
            if topic_id is None:
                topic_id = int.from_bytes(message["topic"].encode(), "big")
            answer = {"topic_id": topic_id, "message_id": number, "return_code": code}
            self.send({"kind": "PUBACK", **answer}, says)
        elif message["qos"] == 2:
            if number not in self._received and len(self._received) >= MOST_RECEIVED:
                del self._received[next(iter(self._received))]
            self._received[number] = None
            self.send({"kind": "PUBREC", "message_id": number}, says)

    def release(self, message: Message) -> None:
        """Answer a PUBREL."""
        self._received.pop(message["message_id"], None)
        self.send({"kind": "PUBCOMP", "message_id": message["message_id"]})
