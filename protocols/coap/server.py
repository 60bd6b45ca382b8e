"""`Coap`: the session of a CoAP endpoint; as a server it is here, as a client in `client`.

A request goes this way: duplicates are answered as the first was (RFC 7252, section 4.5); what cannot be
served at all is refused; blocks are put together; then rules, behavior and model see it, once and whole.
The answer goes back in the acknowledgment if it comes in time, else in a message of its own (section 5.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim import Peer, Recent, Session

from .blocks import Downloads, Uploads, is_long
from .client import Client
from .codes import METHODS, code_class
from .exchange import Exchange, key_of
from .message import BARE, check_code, not_understood
from .notifications import Notifications
from .observe import DEREGISTER, REGISTER, Observers
from .representation import to_bytes
from .served import change, discover, get, holds, refusal_of
from .transmission import ACKNOWLEDGED, RESET, Transmissions

if TYPE_CHECKING:
    from iotsim import Ticket

    from .model import Model, Resource

Message: TypeAlias = dict[str, Any]

MOST_SEEN = 64
"""So many messages of each kind, CON and NON, are remembered to know duplicates."""
MOST_AT_LEISURE = 8
"""So many answers to groups wait to be sent; with more, a request is not answered."""
PARTICULAR = frozenset({"options", "proxy_uri", "proxy_scheme", "hop_limit", "block1", "block2"})
"""Options that ask for more than an answer."""
ANSWERED: Message = {}
"""Stands for a request that needs to be kept no longer."""
HEADER = ("type", "message_id", "token")
"""What a block has in common with the whole response."""
NO_RESPONSE = {2: 2, 4: 8, 5: 16}
"""Of each class of codes, the bit that asks for none (RFC 7967, section 2.1)."""


class Coap(Session):
    """A CoAP endpoint. What it remembers is bounded: `MOST_SEEN` messages, bodies as in `blocks`, observers
    as the model says."""

    __slots__ = (
        "_client",
        "_downloads",
        "_leisurely",
        "_message_id",
        "_nons",
        "_observers",
        "_transmissions",
        "_uploads",
        "seen",
    )

    model: Model

    def __init__(self) -> None:
        self._message_id = self.bits(16)
        # What many devices never need is made when it is needed.
        self.seen: Recent[int, Exchange | bytes] | None = None
        """The confirmable messages of late, by `key_of`; bytes are what duplicates are answered with."""
        self._nons: Recent[int, Exchange | bytes] | None = None
        self._transmissions: Transmissions | None = None
        self._observers: Observers | None = None
        self._uploads: Uploads | None = None
        self._downloads: Downloads | None = None
        self._client: Client | None = None
        self._leisurely = 0

    # -- messages (section 4) ------------------------------------------------------------------------

    def receive(self, message: Message, peer: Peer) -> None:
        kind, code = message["type"], message["code"]
        if kind == "CON" and peer.group:
            return  # section 8.1
        if code in METHODS:
            if kind == "CON" or kind == "NON":
                self._take_request(message, peer)
        elif code == "EMPTY":
            if kind == "CON":  # a ping (section 4.3)
                self._send_empty("RST", message["message_id"], peer)
            elif kind != "NON":
                self._settle(message, peer, kind)
        elif kind == "RST":
            return  # it has to be empty
        elif code.__class__ is int and code < 32:
            if kind != "ACK":
                self._take_request(message, peer)
        elif code_class(code) in (2, 4, 5):
            self._take_response(message, peer, kind)
        elif kind == "CON":  # a reserved class
            self._send_empty("RST", message["message_id"], peer)

    def next_id(self) -> int:
        self._message_id = (self._message_id + 1) & 0xFFFF
        return self._message_id

    def remember_confirmable(self) -> Recent[int, Exchange | bytes]:
        """Make ``seen``, which is not there yet."""
        self.seen = Recent(self.model.exchange_lifetime, MOST_SEEN)
        return self.seen

    @property
    def transmissions(self) -> Transmissions:
        if self._transmissions is None:
            self._transmissions = Transmissions(self)
        return self._transmissions

    def forget(self, done: Client | Transmissions) -> None:
        """Nothing of `done` is on its way. Of a fleet in which each device speaks now and then, few have
        anything."""
        if self._transmissions is done:
            self._transmissions = None
        elif self._client is done:
            self._client = None

    def _send_empty(self, kind: str, number: int, peer: Peer) -> bytes:
        return self.send({"type": kind, "code": "EMPTY", "message_id": number, "token": b""}, peer)

    def _settle(self, message: Message, peer: Peer, kind: str) -> None:
        """An acknowledgment, or a reset, of a message that was sent."""
        number = message["message_id"]
        if self._transmissions is not None:
            self._transmissions.settle(peer, number, RESET if kind == "RST" else ACKNOWLEDGED)
        if kind == "RST":
            if self._observers is not None:
                self._observers.reset(peer, number)
            if self._client is not None:
                self._client.reset(peer, number)

    def _begun(self, message: Message, peer: Peer) -> Exchange | None:
        """A new exchange for a message; None if it is a duplicate, which is answered as the first was."""
        if message["type"] == "CON":
            seen = self.remember_confirmable() if self.seen is None else self.seen
        elif self._nons is None:
            seen = self._nons = Recent(self.model.non_lifetime, MOST_SEEN)
        else:
            seen = self._nons
        exchange = Exchange(message, peer)
        key = key_of(peer.address, peer.port, exchange.message_id)
        known = seen.setdefault(key, exchange, self.now)
        if known is exchange:
            return exchange
        sent = known if isinstance(known, bytes) else known.sent
        if sent:
            self.resend(sent, peer)
        return None

    def has_come(self, message: Message, peer: Peer) -> bool:
        """Whether a message to come would be a duplicate; for what is built on CoAP."""
        seen = {"CON": self.seen, "NON": self._nons}.get(message["type"])
        key = key_of(peer.address, peer.port, message["message_id"])
        return seen is not None and seen.get(key, self.now) is not None

    def _forget(self, exchange: Exchange) -> None:
        """As if its request had never come."""
        peer = exchange.peer
        key = key_of(peer.address, peer.port, exchange.message_id)
        for seen in (self.seen, self._nons):
            if seen is not None and seen.get(key, self.now) is exchange:
                seen.pop(key)

    # -- requests ----------------------------------------------------------------------------------

    def _take_request(self, message: Message, peer: Peer) -> None:
        exchange = self._begun(message, peer)
        if exchange is None:
            return
        if len(message) > BARE and not PARTICULAR.isdisjoint(message):
            if not exchange.confirmable and not_understood(message):  # section 5.4.1
                if not peer.group:
                    self._send_empty("RST", exchange.message_id, peer)
                return
            refusal = refusal_of(message)
            if refusal is None and "block1" in message:
                exchange.block1 = message["block1"]
                if self._uploads is None:
                    self._uploads = Uploads(self.model)
                refusal, message = self._uploads.add(message, peer, self.now)
            elif refusal is None and self._downloads is not None:
                refusal = self._downloads.next(message, peer, self.now)
            if refusal is not None:
                if not peer.group:
                    self._send_response(refusal, exchange)
                return
            exchange.request = message
        outcome = self.deliver(message, peer, exchange)
        if outcome == "answered":
            return
        if outcome == "consumed.drop-rule":
            self._forget(exchange)
        elif not exchange.acknowledged:
            if outcome == "pending":
                exchange.timer = self.call_later(self.model.ack_delay, self._acknowledge, exchange)
            elif outcome.startswith("consumed"):
                self._acknowledge(exchange)

    def _acknowledge(self, exchange: Exchange) -> None:
        if not exchange.acknowledged:
            exchange.acknowledged = True
            exchange.sent = self._send_empty("ACK", exchange.message_id, exchange.peer)

    # -- responses (section 5.2) ---------------------------------------------------------------------

    def reply(self, message: Message, exchange: Any) -> None:
        check_code(message)
        if exchange.__class__ is not Exchange:  # a rule has something to say to a response
            if message["code"] in METHODS:
                self.submit(message, exchange, None)
            return
        request, payload, size = exchange.request, message.get("payload"), self.model.block_size
        if (
            len(request) <= BARE
            and not exchange.peer.group
            and exchange.block1 is None
            and not (payload and is_long(payload, size))
        ):
            self._send_response(message, exchange, message)
        else:
            self._reply_in_full(message, exchange)

    def _reply_in_full(self, message: Message, exchange: Exchange) -> None:
        """As `reply`, where the request has options, or is for a group, or the response takes blocks."""
        said, request, group = message, exchange.request, exchange.peer.group
        if group and not self._is_for_group(message):
            return
        if "observe" in request and not group:
            self._observe(message, exchange)
        if exchange.block1 is not None:
            message["block1"] = exchange.block1
        if "block2" in request or is_long(message.get("payload"), self.model.block_size):
            message = self.in_blocks(message, request, exchange.peer)
        elif "size2" in request and message["code"] == "CONTENT":  # RFC 7959, section 4
            message["size2"] = len(to_bytes(message.get("payload", "")))
        if group:
            self._leisurely += 1
            leisure = self.uniform(0.0, self.model.leisure)
            self.call_later(leisure, self._at_leisure, message, exchange, said)
        else:
            self._send_response(message, exchange, said)

    def _is_for_group(self, message: Message) -> bool:
        """Whether an answer is worth sending to who has asked many (section 8.2)."""
        if code_class(message["code"]) > 2 or self._leisurely >= MOST_AT_LEISURE:
            return False
        return message["code"] != "CONTENT" or bool(message.get("payload"))

    def _at_leisure(self, message: Message, exchange: Exchange, said: Message) -> None:
        self._leisurely -= 1
        self._send_response(message, exchange, said)

    def _send_response(
        self, message: Message, exchange: Exchange, said: Message | None = None
    ) -> None:
        """Send the response to a request: what the device has `said`, or a block of it."""
        request, kind = exchange.request, message.get("type")
        exchange.request = ANSWERED
        if "no_response" in request:
            unwanted = NO_RESPONSE.get(code_class(message["code"]), 0)
            if request["no_response"] & unwanted:
                self._acknowledge(exchange)
                return
        if "token" not in message:
            message["token"] = exchange.token if message["code"] != "EMPTY" else b""
        if kind != "RST" and (exchange.acknowledged or (kind is not None and kind != "ACK")):
            self._send_separately(message, exchange, said)
            return
        message["type"] = kind or "ACK"
        message["message_id"] = exchange.message_id
        exchange.acknowledged = True
        if exchange.timer is not None:
            exchange.timer.cancel()
        if said is not message and said is not None:
            said |= {name: message[name] for name in HEADER}
        exchange.sent = self.send(message, exchange.peer, says=said)

    def _send_separately(
        self, message: Message, exchange: Exchange, said: Message | None = None
    ) -> None:
        """Send a response in a message of its own."""
        self._acknowledge(exchange)
        kind = message.get("type") or ("CON" if exchange.confirmable else "NON")
        message["type"] = kind
        if "message_id" not in message:
            message["message_id"] = self.next_id()
        if said is not None and said is not message:
            said |= {name: message[name] for name in HEADER}
        if kind == "CON":
            self.transmissions.send(message, exchange.peer, _nothing, says=said)
        else:
            self.send(message, exchange.peer, says=said)

    def in_blocks(self, message: Message, request: Message, peer: Peer) -> Message:
        """The first block of an answer, or that which is asked for, if it takes several."""
        if "block2" not in request and not is_long(message.get("payload"), self.model.block_size):
            return message
        if self._downloads is None:
            self._downloads = Downloads(self.model)
        return self._downloads.cut(message, request, peer, self.now)

    # -- observers (RFC 7641) ------------------------------------------------------------------------

    def resource_at(self, path: str) -> Resource | None:
        """How `path` is observed; for what is built on CoAP."""
        return self.model.resources.get(path)

    def make_observers(self) -> Observers:
        """Where those of the device are kept; likewise."""
        return Observers(self)

    def changed(self, path: str) -> None:
        """Something has written to `path`: its observers are told."""
        if self._observers is not None:
            self.call_later(0.0, self._observers.changed, path)

    def _observe(self, message: Message, exchange: Exchange) -> None:
        request, peer = exchange.request, exchange.peer
        if request["observe"] == DEREGISTER and self._observers is not None:
            self._observers.cancel(peer, request["token"])
        if request["observe"] != REGISTER or request["code"] not in ("GET", "FETCH"):
            return
        if "block2" in request and request["block2"]["number"]:
            return  # it is what is left of a notification (RFC 7959, section 2.6)
        resource = self.resource_at(request["path"])
        if resource is None or resource.observe is None or code_class(message["code"]) != 2:
            return
        if self._observers is None:
            self._observers = self.make_observers()
        self._observers.register(request, peer, resource, message)

    # -- out of the model (section 5.8) ----------------------------------------------------------------

    def respond(self, message: Message, peer: Peer) -> Message | list[Message] | None:
        answer = self.answer_of_model(message)
        return [] if answer is None else answer  # a response needs no rule

    def answer_of_model(self, message: Message) -> Message | None:
        """The response to a request; None to what is none."""
        method = message["code"]
        if method not in METHODS:
            is_method = method.__class__ is int and method < 32
            return {"code": "METHOD_NOT_ALLOWED"} if is_method else None
        path = message["path"]
        resource = self.model.resources.get(path)
        if resource is None:
            if path == "/.well-known/core":
                return discover(self, message)
            if "if_match" in message:
                return {"code": "PRECONDITION_FAILED"}
            return {"code": "DELETED" if method == "DELETE" else "NOT_FOUND"}  # section 5.8.4
        if method not in resource.methods:
            return {"code": "METHOD_NOT_ALLOWED"}
        if len(message) > BARE and not holds(self, message, resource):
            return {"code": "PRECONDITION_FAILED"}
        if method == "GET" or method == "FETCH":
            return get(self, message, resource)
        return change(self, message, resource)

    # -- as a client -----------------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(self)
        return self._client

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        """A request goes to `peer`; a response, with a ``path``, to the observers of that."""
        check_code(message)
        if message["code"] in METHODS or message["code"] == "EMPTY":
            self.client.submit(message, peer, ticket)
            return
        if self._observers is not None:
            self._observers.tell(message.get("path", "/"), message)
        if ticket is not None:
            ticket.needs_none("a response has no answer")

    def observe(self, message: Message, peer: Peer) -> Notifications:
        """Observe a resource of `peer`: ``async for notification in session.observe(request, peer)``."""
        return Notifications(self, {**message, "observe": REGISTER}, peer)

    def _take_response(self, message: Message, peer: Peer, kind: str) -> None:
        is_rejected = bool(not_understood(message))  # section 5.4.1
        if kind == "ACK":
            if is_rejected:
                return  # as if it had not come (section 4.2)
            self._settle(message, peer, kind)
        else:
            begun = self._begun(message, peer)
            if begun is None:
                return
            exchange = begun
        expected = (
            self._client is not None and not is_rejected and self._client.expects(message, peer)
        )
        if kind == "CON":
            exchange.acknowledged = True
            answer = "ACK" if expected else "RST"
            exchange.sent = self._send_empty(answer, message["message_id"], peer)
        elif kind == "NON" and "observe" in message and not (expected or peer.group):
            self._send_empty("RST", message["message_id"], peer)  # RFC 7641, section 3.5
        if expected:
            self.client.take(message, peer)


def _nothing(how: str) -> None:
    pass
