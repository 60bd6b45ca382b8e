"""The agent: answers out of a MIB, and notifications (RFC 3416, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim import ExpressionError, Peer, Session, Ticket, Unanswered

from .mib import SYS_OBJECT_ID, SYS_UP_TIME, UPTIME, Mib, Variable, as_kind
from .writing import envelope_size, type_of, write_binding

if TYPE_CHECKING:
    from .vocabulary import Binding, Message

NO_SUCH_NAME_V1 = (
    "NO_ACCESS",
    "NO_CREATION",
    "NOT_WRITABLE",
    "AUTHORIZATION_ERROR",
    "INCONSISTENT_NAME",
)
BAD_VALUE_V1 = ("WRONG_VALUE", "WRONG_ENCODING", "WRONG_TYPE", "WRONG_LENGTH", "INCONSISTENT_VALUE")
ERRORS_V1 = dict.fromkeys(NO_SUCH_NAME_V1, "NO_SUCH_NAME") | dict.fromkeys(
    BAD_VALUE_V1, "BAD_VALUE"
)
"""What v1 calls the errors of v2c (RFC 3584, section 4.4); it calls all others genErr."""
SMALLEST_BINDING = 7
"""Octets of the least that a binding can be."""
TRAP_PORT = 162
BACKOFF = 2.0


class Agent(Session):
    __slots__ = ("_asker", "_mib")

    def __init__(self) -> None:
        self._mib: Mib = self.model.mib
        self._asker: Peer | None = None
        """Who has asked last, from a port where it takes no notifications."""

    def receive(self, message: Message, peer: Peer) -> None:
        if message["pdu"] in ANSWERS:
            self._asker = peer
        self.deliver(message, peer)

    def respond(self, message: Message, peer: Peer) -> Message | None:
        answer, community = ANSWERS.get(message["pdu"]), message["community"]
        if answer is None or (
            community != self.model.read_community and community != self.model.write_community
        ):
            return None
        response: Message = answer(self, message)
        return response

    # -- requests (RFC 3416, section 4.2) --

    def get(self, message: Message) -> Message:
        variables, v1 = self._mib.variables, message["version"] == 1
        bindings = message["bindings"]
        if len(bindings) * SMALLEST_BINDING > self.model.max_message_size:
            return self.too_big(message)
        found: list[Binding] = []
        for one in bindings:
            oid = one["oid"]
            variable = variables.get(oid)
            if variable is not None:
                binding = self.binding(variable)
                if not v1 or binding["type"] != "COUNTER64":
                    found.append(binding)
                    continue
            if v1:
                return failure(message, "NO_SUCH_NAME", len(found) + 1)
            kind = "NO_SUCH_INSTANCE" if self._mib.has_type_of(oid) else "NO_SUCH_OBJECT"
            found.append({"oid": oid, "type": kind, "value": None})
        return self.bounded(message, found)

    def get_next(self, message: Message) -> Message:
        bindings = message["bindings"]
        if len(bindings) * SMALLEST_BINDING > self.model.max_message_size:
            return self.too_big(message)
        v1 = message["version"] == 1
        found = []
        for index, one in enumerate(bindings, 1):
            binding = self.following(one["oid"], v1)
            if v1 and binding["type"] == "END_OF_MIB_VIEW":
                return failure(message, "NO_SUCH_NAME", index)
            found.append(binding)
        return self.bounded(message, found)

    def get_bulk(self, message: Message) -> Message:
        """Section 4.2.3: as many bindings, in their order, as the message holds."""
        asked = [one["oid"] for one in message["bindings"]]
        once = max(message["non_repeaters"], 0)
        row, left = asked[once:], max(message["max_repetitions"], 0)
        found: list[Binding] = []
        room = self.model.max_message_size - envelope_size(message, self.model.max_message_size)
        for oid in asked[:once]:
            binding = self.following(oid, False)
            room -= len(write_binding(binding, 2))
            if room < 0:
                return response_to(message, found)
            found.append(binding)
        while row and left > 0:
            left -= 1
            ended = True
            for column, oid in enumerate(row):
                binding = self.following(oid, False)
                room -= len(write_binding(binding, 2))
                if room < 0:
                    return response_to(message, found)
                found.append(binding)
                row[column] = binding["oid"]
                ended = ended and binding["type"] == "END_OF_MIB_VIEW"
            if ended:
                break
        return response_to(message, found)

    def set(self, message: Message) -> Message:
        """Section 4.2.5: either all variables are written, or none."""
        for index, one in enumerate(message["bindings"], 1):
            error = self.refusal(message["community"], one)
            if error:
                v1 = message["version"] == 1
                return failure(message, ERRORS_V1[error] if v1 else error, index)
        response = self.bounded(message, message["bindings"])
        if response["error"] == "NO_ERROR":
            for one in message["bindings"]:
                self.write(self._mib.variables[one["oid"]].cell, one["value"])
        return response

    def refusal(self, community: str, binding: Binding) -> str:
        """Why a variable cannot be written; "" if it can."""
        if community != self.model.write_community:
            return "NO_ACCESS"
        mib = self._mib
        variable = mib.variables.get(binding["oid"])
        if variable is None:
            return "NO_CREATION" if mib.has_writable_type_of(binding["oid"]) else "NOT_WRITABLE"
        if not variable.writable:
            return "NOT_WRITABLE"
        kind = variable.kind or self.binding(variable)["type"]
        return "" if binding["type"] == kind else "WRONG_TYPE"

    # -- variables --

    def binding(self, variable: Variable) -> Binding:
        """A variable with its present value."""
        cell, kind = variable.cell, variable.kind
        if cell is None:
            value = self.uptime if variable.value is UPTIME else variable.value
            return {"oid": variable.oid, "type": kind, "value": value}
        value = self.read(cell)
        try:
            kind = kind or type_of(value)
            return {"oid": variable.oid, "type": kind, "value": as_kind(value, kind)}
        except ValueError as error:
            raise ExpressionError(f"{variable.oid}: {error}", cell.text) from None

    def following(self, oid: str, v1: bool) -> Binding:
        """The next variable after `oid`; in v1, that is no Counter64 (RFC 3584, section 4.2.2.2)."""
        after, name = self._mib.after, oid
        while True:
            variable = after(name)
            if variable is None:
                return {"oid": oid, "type": "END_OF_MIB_VIEW", "value": None}
            binding = self.binding(variable)
            if not v1 or binding["type"] != "COUNTER64":
                return binding
            name = variable.oid

    @property
    def uptime(self) -> int:
        """Hundredths of a second since boot."""
        return round(max(self.now - self.device.booted_at, 0.0) * 100) & 0xFFFFFFFF

    # -- sizes --

    def bounded(self, message: Message, found: list[Binding]) -> Message:
        """The response with `found`, or tooBig if that is larger than a message may be."""
        most = self.model.max_message_size
        # No object identifier, and no text, has more octets than this; a number has 11 with its tag.
        least = 64 + len(message["community"])
        for one in found:
            value = one["value"]
            least += len(one["oid"]) + 24
            if value.__class__ is str or value.__class__ is bytes:
                least += 4 * len(value)
        if least > most:
            size = sum(len(write_binding(one, message["version"])) for one in found)
            if size + envelope_size(message, size) > most:
                return self.too_big(message)
        return response_to(message, found)

    def too_big(self, message: Message) -> Message:
        """Section 4.2.1; in v1 the bindings are those of the request (RFC 1157, section 4.1.2)."""
        if message["version"] == 1:
            return failure(message, "TOO_BIG", 0)
        return response_to(message, [], "TOO_BIG")

    # -- what the device says by itself --

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        """Traps, and informs until they are acknowledged."""
        pdu = message.get("pdu")
        if pdu in ("TRAP", "INFORM"):
            self.complete(message)
            if self._asker is not None and peer.endpoint == self._asker.endpoint:
                peer = self.sink(peer)
        if pdu == "INFORM":
            self.start(self.inform(message, peer, ticket))
        else:
            super().submit(message, peer, None if pdu == "TRAP" else ticket)
            if pdu == "TRAP" and ticket is not None:
                ticket.needs_none("a trap has no answer")

    def complete(self, message: Message) -> None:
        """Fill in what a notification does not say."""
        message.setdefault("community", self.model.read_community)
        if message.get("version", 2) == 1:
            address = self.device.address
            message.setdefault("agent_addr", address if "." in address else "0.0.0.0")
            message.setdefault("time_stamp", self.uptime)
            variable = self._mib.variables.get(SYS_OBJECT_ID)
            if variable is not None:
                message.setdefault("enterprise", self.binding(variable)["value"])
            return
        message.setdefault("request_id", self.bits(31))
        bindings = message.get("bindings", [])
        if not any(one.get("oid") == SYS_UP_TIME for one in bindings[:1]):
            # Section 4.2.6: the first binding is sysUpTime.0.
            up_time = {"oid": SYS_UP_TIME, "type": "TIMETICKS", "value": self.uptime}
            message["bindings"] = [up_time, *bindings]

    def sink(self, asker: Peer) -> Peer:
        """Where notifications go, other than to the port from which somebody asks: to the declared port
        of the gateway, else to the standard's."""
        gateway = self.gateway
        if gateway is not None and gateway.endpoint != asker.endpoint:
            return gateway
        return asker._replace(port=TRAP_PORT)

    async def inform(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        number = message["request_id"]
        try:
            answer = await self.ask(
                message,
                peer,
                lambda one: one["pdu"] == "RESPONSE" and one["request_id"] == number,
                timeout=self.model.inform_timeout,
                tries=1 + self.model.inform_retries,
                backoff=BACKOFF,
                says=message,
            )
        except Unanswered as error:
            self.log(f"the inform {number} to {peer} is not acknowledged")
            if ticket is not None:
                ticket.give_up(error.reason)
            return
        self.answered(answer, peer, ticket)


ANSWERS = {
    "GET": Agent.get,
    "GETNEXT": Agent.get_next,
    "GETBULK": Agent.get_bulk,
    "SET": Agent.set,
}


def response_to(message: Message, bindings: list[Binding], error: str = "NO_ERROR") -> Message:
    return {
        "version": message["version"],
        "community": message["community"],
        "pdu": "RESPONSE",
        "request_id": message["request_id"],
        "error": error,
        "index": 0,
        "bindings": bindings,
    }


def failure(message: Message, error: str, index: int) -> Message:
    """The response to a request of which the binding `index` cannot be had: its bindings come back."""
    return {**response_to(message, message["bindings"], error), "index": index}
