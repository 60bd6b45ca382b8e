"""`Lwm2m`: the session of a device. CoAP is below it; above it are operations.

A request becomes an operation, which rules, behavior and model see; what they answer becomes a response, in
the format that was asked for. What is no operation is refused before anybody sees it. Paths that are none of
LwM2M's are those of CoAP's own resources, and of ``/.well-known/core``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import EncodeError, Ticket
from iotsim.protocols.coap import Coap
from iotsim.protocols.coap.codes import METHODS
from iotsim.protocols.coap.exchange import Exchange

from . import operations
from .attributes import Attributes, Notes
from .message import SAID, Carrier, Message, Path, RefusedError, path_of, text_of
from .model import endpoint_of
from .objects import BINDING, MAXIMUM_PERIOD, MINIMUM_PERIOD, MUTE_SEND
from .observe import OBSERVED, Notifications
from .registration import Registration
from .senml import SENML_CBOR
from .served import SERVED
from .tree import Tree

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from iotsim import Peer
    from iotsim.protocols.coap.observe import Observers

    from .model import Model

REGISTRATION = ("REGISTER", "UPDATE", "DEREGISTER")
PERIODS = {"pmin": MINIMUM_PERIOD, "pmax": MAXIMUM_PERIOD}
"""The resources of the Server object that are the defaults of these attributes."""


class Lwm2m(Coap):
    """An LwM2M client with one server. What servers make in it is bounded, as in `tree`."""

    __slots__ = ("_awake_until", "_has_ignored", "_notes", "registration", "tree")

    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.tree = Tree(self)
        self._notes: Notes | None = None
        self.registration = Registration(self)
        self._awake_until = 0.0
        self._has_ignored = False

    def run(self) -> Coroutine[Any, Any, None]:
        return self.registration.run()

    @property
    def notes(self) -> Notes:
        if self._notes is None:
            self._notes = Notes()
        return self._notes

    @classmethod
    def check(cls, message: Mapping[str, Any], model: Any) -> None:
        if message["operation"] not in ("RESPONSE", *SAID):
            raise EncodeError("that is what a server says, not a device", "operation")
        if message["operation"] in ("NOTIFY", "SEND") and path_of(message["path"]) is None:
            raise EncodeError("no path of an object, an instance or a resource", "path")

    # -- when it hears (TS Core, sections 6.3 to 6.5) ------------------------------------------------

    @property
    def is_asleep(self) -> bool:
        """Whether the device hears nothing: it is registered with a queue, and has been idle."""
        if self.now < self._awake_until or not self.registration.location:
            return False
        if self._transmissions is not None and len(self._transmissions):
            return False  # it waits to be acknowledged
        return "Q" in self.server_value(BINDING)

    def receive(self, message: Message, peer: Peer) -> None:
        if self.is_asleep:
            return
        is_operation = message["code"] in METHODS and path_of(message["path"]) is not None
        if is_operation and not self.registration.location:
            self._ignore(message)
            return
        self._stay_awake()
        super().receive(message, peer)

    def carried(self, message: Message, peer: Peer) -> list[Message] | None:
        code, kind = message["code"], message["type"]
        if self.is_asleep or self.has_come(message, peer) or (kind == "CON" and peer.group):
            return []
        if code not in METHODS:
            if self._client is None or not self._client.expects(message, peer):
                return []
            return None if is_part(message) else [operations.told(message)]
        path = path_of(message["path"])
        if path is None or kind not in ("CON", "NON") or not self.registration.location:
            return []
        if is_part(message):
            return None
        try:
            return [operations.asked(message, path, self.tree.kind)]
        except RefusedError:
            return []

    def _ignore(self, message: Message) -> None:
        """A device serves nobody before it is registered; it says so once."""
        if not self._has_ignored:
            self._has_ignored = True
            what = f"{message['code']} {message['path']:.60}"
            self.log(f"{what} is ignored, and all others are: it is not registered")

    def send(
        self,
        message: Mapping[str, Any],
        peer: Peer,
        *,
        says: Mapping[str, Any] | None = None,
        outside: bool = False,
    ) -> bytes:
        self._stay_awake()
        said = says.carries if isinstance(says, Carrier) else None
        return super().send(message, peer, says=said, outside=outside)

    def resend(self, datagram: bytes, peer: Peer) -> None:
        self._stay_awake()
        super().resend(datagram, peer)

    def _stay_awake(self) -> None:
        self._awake_until = self.now + self.model.awake

    # -- requests of a server ------------------------------------------------------------------------

    def deliver(self, message: Message, peer: Peer, exchange: Any = None) -> str:
        path = path_of(message["path"])
        if path is None:
            answer = self.answer_of_model(message)
            if answer is None:
                return "consumed.no-rule"
        else:
            try:
                operation = operations.asked(message, path, self.tree.kind)
            except RefusedError as refused:
                answer = {"code": refused.code}
            else:
                return super().deliver(operation, peer, exchange)
        if peer.group:
            return "consumed.no-reply"
        super().reply(Carrier(answer, None), exchange)
        return "answered"

    def reply(self, message: Message, exchange: Any) -> None:
        if isinstance(exchange, Exchange):
            if not exchange.request:  # what it asked is not kept beyond its answer
                raise EncodeError("the request is answered already, and has one response")
            super().reply(self.answer_to(exchange.request, message), exchange)
        elif message["operation"] in SAID:  # a rule has something to say to a response
            self.submit(message, exchange, None)

    def evaluate(self, message: Message, peer: Peer) -> Message | None:
        path = path_of(message["path"])
        if path is None:
            return self.answer_of_model(message)
        answer = super().evaluate(operations.asked(message, path, self.tree.kind), peer)
        if answer is None:
            return None
        return self.answer_to(message, {**answer, "operation": "NOTIFY"})

    def answer_to(self, request: Message, message: Message) -> Carrier:
        """The response that says `message`. EncodeError if that cannot be said to `request`."""
        message = {"code": "CONTENT", "value": None, **message}
        message["path"] = message.get("path") or request["path"]
        try:
            return operations.answer(message, request)
        except RefusedError as refused:
            refusal = {**message, "code": refused.code, "value": None}
            return operations.answer(refusal, request)
        except (ValueError, TypeError) as error:
            raise EncodeError(str(error), "value") from None

    def respond(self, message: Message, peer: Peer) -> Message | list[Message] | None:
        serve = SERVED.get(message["operation"])
        if serve is None:  # a response, which needs no rule
            return []
        try:
            answer = serve(self, path_of(message["path"]) or (), message["value"])
        except RefusedError as refused:
            answer = {"code": refused.code}
        return {"operation": "RESPONSE", "path": message["path"], "value": None, **answer}

    # -- observations --------------------------------------------------------------------------------

    def make_observers(self) -> Observers:
        return Notifications(self)

    def resource_at(self, path: str) -> Any:
        if path_of(path) is None:
            return super().resource_at(path)
        return OBSERVED

    def forget_observers(self) -> None:
        if isinstance(self._observers, Notifications):
            self._observers.forget()

    def attributes_at(self, path: Path) -> Attributes:
        """Those that hold for an observation; the Server object has the periods of all others."""
        found: Attributes = {}
        for name, resource in PERIODS.items():
            period = self.server_value(resource)
            if period:
                found[name] = period
        if self._notes is not None:
            found |= self._notes.over(path)
        if found.get("pmax", 0) < max(1, found.get("pmin", 0)):
            found.pop("pmax", None)  # 0 stands for none
        return found

    # -- what the device says --------------------------------------------------------------------------

    @property
    def server(self) -> Peer | None:
        """Whom the device registers with."""
        if self.model.server == "gateway":
            return self.gateway
        return self.peer(*endpoint_of(self.model.server))

    @property
    def identity(self) -> Message:
        """What a registration says of the device, and no update again."""
        return {"ep": str(self.read(self.model.endpoint)), "lwm2m": self.model.version}

    def server_value(self, resource: int) -> Any:
        """A resource of the first instance of the Server object; None if it has none."""
        return self.tree.server_value(resource)

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        operation = message["operation"]
        self.check(message, self.model)
        if operation in REGISTRATION:
            self.registration.ask(operation, ticket)
        elif operation == "SEND":
            self._send_values(message, ticket)
        else:
            if operation == "NOTIFY" and self._observers is not None:
                self._observers.tell(message["path"], message)
            if ticket is not None:
                ticket.give_up("it has no answer")

    def _send_values(self, message: Message, ticket: Ticket | None) -> None:
        """Send (section 6.4.6): the values that the message has, or those that are at its path."""
        path, value = path_of(message["path"]) or (), message.get("value")
        server, reason = self.server, ""
        if server is None:
            reason = "there is no server"
        elif self.server_value(MUTE_SEND):
            reason = "the server has muted it"
        elif path and value is None:
            try:
                value = self.tree.read(path)
            except RefusedError as refused:
                reason = f"{message['path']} cannot be read: {refused.code}"
        if server is None or reason:
            self.log(f"SEND is not sent: {reason}")
            if ticket is not None:
                ticket.give_up(reason)
            return
        if path:
            value = {text_of(path): value}
        try:
            payload = operations.records(value, SENML_CBOR)
        except (ValueError, TypeError) as error:
            raise EncodeError(str(error), "value") from None
        request = {"code": "POST", "path": "/dp", "content_format": SENML_CBOR, "payload": payload}
        super().submit(Carrier(request, {**message, "value": value}), server, ticket)

    async def ask_server(self, request: Carrier, server: Peer) -> Message:
        """Send a request that says something; the answer, as `operations.told` has it."""
        ticket = Ticket(request)
        super().submit(request, server, ticket)
        answer: Message = await ticket
        return answer

    def answered(self, message: Message, peer: Peer, ticket: Ticket | None) -> str:
        return super().answered(operations.told(message), peer, ticket)


def is_part(message: Message) -> bool:
    """Whether it is a block of what came before, or comes later."""
    return "block1" in message or "block2" in message
