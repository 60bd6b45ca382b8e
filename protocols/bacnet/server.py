"""`Bacnet`, the session: requests, the answers of the device, and what it says by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from iotsim import DecodeError, Peer, Ticket, Unanswered

from .codes import MAX_APDU, NAKS
from .cov import Subscriptions
from .message import (
    Message,
    endpoint,
    kind_of,
    read_headers,
    read_service,
    write_service,
)
from .objects import Database, RefusedError
from .schema import has_npdu, refuse_others
from .segments import HEADER, InSegments, Request
from .tags import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model import Model

BROADCAST_NETWORK = 0xFFFF
MULTICAST = 0xE0000000
"""From here on, addresses are nobody's alone."""


class Bacnet(InSegments):
    def __init__(self) -> None:
        super().__init__()
        self.database = Database(self)
        self.subscriptions = Subscriptions(self)
        self.silent = ""
        """What DEVICE_COMMUNICATION_CONTROL has disabled."""
        self._silence: Any = None
        self._invoke = 0

    @classmethod
    def check(cls, message: Mapping[str, Any], model: Model) -> None:
        refuse_others(message)

    # -- in --

    def receive(self, message: Message, peer: Peer) -> None:
        asks_bbmd = message["function"] in NAKS
        destination = message.get("destination")
        if not asks_bbmd and destination and destination["network"] != BROADCAST_NETWORK:
            return  # for others: a device routes nothing
        if message["function"] == "FORWARDED_NPDU":
            peer = self._origin(message["origin"], peer)
        apdu = message.get("apdu")
        if self.silent == "DISABLE" and message.get("service") not in (
            "DEVICE_COMMUNICATION_CONTROL",
            "REINITIALIZE_DEVICE",
        ):
            return
        if asks_bbmd:
            self.deliver(message, peer, Request(message, peer))
            return
        if apdu in ("CONFIRMED_REQUEST", "SEGMENT_ACK") and is_broadcast(message, peer):
            return  # clause 5.4.5.1, ConfirmedBroadcastReceived
        if apdu in ("SEGMENT_ACK", "ABORT"):
            self._segment_answered(message, peer)
        elif "sequence_number" in message:
            self._segment(message, peer)
        else:
            self.deliver(message, peer, Request(message, peer))

    def _origin(self, origin: str, peer: Peer) -> Peer:
        """Who has sent what a BBMD forwards; the BBMD, if that can be nobody."""
        address, port = endpoint(origin)
        found = self.peer(address, port) if 0 < address < MULTICAST and port else None
        return peer if found is None else found._replace(group=peer.group, simulated=peer.simulated)

    def refuse(self, datagram: bytes, error: DecodeError, peer: Peer) -> Message | None:
        """Clause 5.4.5.1: a request whose parameters are none is rejected, with the reason."""
        try:
            message, octets = read_headers(datagram, 0)
            if message.get("apdu") != "CONFIRMED_REQUEST" or "sequence_number" in message:
                return None
            if is_broadcast(message, peer) or self.silent == "DISABLE":
                return None
            if message["service"] not in SERVICES:
                return self._rejected(message, "UNRECOGNIZED_SERVICE")
            read_service(message["apdu"], message["service"], datagram, octets.at)
        except MalformedError as malformed:
            return self._rejected(message, malformed.reject)
        except DecodeError:
            return None
        return None

    # -- answers --

    def reply(self, message: Message, exchange: Request) -> None:
        request, peer = exchange
        message = {**message}
        if not has_npdu(message):
            self.send(message, peer, says=message)
            return
        if kind_of(message) == "UNCONFIRMED_REQUEST":
            self._announce(message, request, peer)
            return
        message.setdefault("destination", request.get("source"))
        message.setdefault("invoke_id", request.get("invoke_id"))
        if message.get("apdu") == "COMPLEX_ACK" and "parameters" not in message:
            octets = write_service("COMPLEX_ACK", message)
            room = min(self.model.max_apdu, max(request.get("max_apdu", 0), MAX_APDU[0])) - HEADER
            if len(octets) > room + 2:
                self._in_segments(message, octets, room, exchange)
                return
        self.send(message, peer, says=message)

    def _announce(self, message: Message, request: Message, peer: Peer) -> None:
        """Clauses 16.9 and 16.10: to all, if all were asked, in the network of who has asked; an I-Am also to
        that one alone.

        Other devices of the run have not asked, and do not hear it, unless one of them has.
        """
        source = request.get("source")
        service = message.get("service")
        foreign = self.bbmd
        alone = service == "I_AM" and self.model.i_am == "unicast"
        # What comes to a foreign device by its BBMD was a broadcast, too.
        forwarded = foreign is not None and request["function"] == "FORWARDED_NPDU"
        if alone or not (peer.group or forwarded):
            whole = {**message, "destination": source}
            self.send(whole, peer, says=whole)
            return
        message["destination"] = source and {"network": source["network"], "address": b""}
        if foreign is not None:
            message["function"] = "DISTRIBUTE_BROADCAST_TO_NETWORK"
            self.send(message, foreign, says=message)
            return
        to = peer._replace(address=peer.group, port=peer.local_port, group=0)
        message["function"] = "ORIGINAL_BROADCAST_NPDU"
        self.send(message, to, says=message, outside=service in ANNOUNCED and not peer.simulated)

    @property
    def bbmd(self) -> Peer | None:
        """With whom the device is registered (clause J.5)."""
        foreign = self.model.foreign
        if foreign is None:
            return None
        return self.peer(*endpoint(foreign.bbmd))

    @property
    def may_initiate(self) -> bool:
        return not self.silent

    def respond(self, message: Message, peer: Peer) -> Message | list[Message] | None:
        nak = NAKS.get(message["function"])
        if nak is not None:  # a device is no BBMD
            return None if peer.group else {"function": "BVLC_RESULT", "result": nak}
        apdu, service = message.get("apdu"), message.get("service")
        if apdu == "UNCONFIRMED_REQUEST":
            return self._unconfirmed(message)
        if apdu != "CONFIRMED_REQUEST":
            return None
        execute = SERVICES.get(str(service))
        if execute is None:
            return {"apdu": "REJECT", "reason": "UNRECOGNIZED_SERVICE"}
        try:
            found: Message | None = execute(self, message, peer)
        except RefusedError as refused:
            error = {"error_class": refused.kind, "error_code": refused.code}
            return {"apdu": "ERROR", "service": service, **error}
        if found is None:
            return {"apdu": "SIMPLE_ACK", "service": service}
        if "apdu" in found:
            return {"service": service, **found}
        return {"apdu": "COMPLEX_ACK", "service": service, **found}

    # -- services --

    def _unconfirmed(self, message: Message) -> Message | list[Message] | None:
        service = message["service"]
        if service in ("TIME_SYNCHRONIZATION", "UTC_TIME_SYNCHRONIZATION"):
            self._set_clock(message)
            return []
        if service not in ("WHO_IS", "WHO_HAS"):
            return None
        instance = int(self.database.device.partition(",")[2])
        low, high = message["low"], message["high"]
        if (low is None) != (high is None) or (low is not None and not low <= instance <= high):
            return []
        if service == "WHO_HAS":
            return self._has(message)
        return {
            "service": "I_AM",
            "device": self.database.device,
            "max_apdu_accepted": self.model.max_apdu,
            "segmentation": self.model.segmentation,
            "vendor": self.model.vendor,
        }

    def _has(self, message: Message) -> Message | list[Message]:
        base = self.database
        for item in (base.device, *self.model.objects):
            if message["object"] == item or message["object_name"] == base.name(item):
                return {
                    "service": "I_HAVE",
                    "device": base.device,
                    "object": item,
                    "object_name": base.name(item),
                }
        return []

    def _set_clock(self, message: Message) -> None:
        date = message["date"].partition("/")[0]
        try:
            at = datetime.strptime(f"{date} {message['time']}", "%Y-%m-%d %H:%M:%S.%f")
        except ValueError:
            return
        self.database.clock_offset = at.replace(tzinfo=UTC).timestamp() - self.wall_time

    def read_property(self, message: Message, _: Peer) -> Message:
        item, prop = self.database.find(message["object"]), message["property"]
        if prop in ("all", "required", "optional"):
            raise RefusedError("property", "unknown-property")
        kind, value = self.database.read(item, prop, message["array_index"])
        same = {"object": item, "property": prop, "array_index": message["array_index"]}
        return {**same, "type": kind, "value": value}

    def read_multiple(self, message: Message, _: Peer) -> Message:
        results, values = [], 0
        for read in message["reads"]:
            found: list[Message] = []
            item = self.database.known(read["object"])
            results.append({"object": item or read["object"], "properties": found})
            for one in self._reads(item, read["properties"]):
                found.append(one)
                values += 1 + (len(one["value"]) if one.get("type") == "LIST" else 0)
                if values > MOST_VALUES:
                    return {"apdu": "ABORT", "reason": "OUT_OF_RESOURCES"}
        return {"results": results}

    def _reads(self, item: str, properties: list[Message]) -> Iterator[Message]:
        """What is read of one object; of one that is not there, an error for each (clause 15.7.3)."""
        for one in properties:
            wanted = self.database.listed(item, one["property"]) if item else None
            for prop in [one["property"]] if wanted is None else wanted:
                yield self._result(item, prop, one["array_index"])

    def _result(self, item: str, prop: str, index: int | None) -> Message:
        result: Message = {"property": prop, "array_index": index}
        try:
            kind, value = self.database.read(item, prop, index)
        except RefusedError as refused:
            error = {"error_class": refused.kind, "error_code": refused.code}
            return {**result, "error": error}
        return {**result, "type": kind, "value": value}

    def write_property(self, message: Message, _: Peer) -> None:
        self.database.write(message, message["object"])
        self.subscriptions.written()

    def write_multiple(self, message: Message, _: Peer) -> Message | None:
        """Clause 15.10: in their order, up to the first that fails."""
        for write in message["writes"]:
            for one in write["values"]:
                try:
                    self.database.write(one, write["object"])
                except RefusedError as refused:
                    self.subscriptions.written()
                    failed = {name: one[name] for name in ("property", "array_index")}
                    error = {"error_class": refused.kind, "error_code": refused.code}
                    first = {"object": write["object"], **failed}
                    return {"apdu": "ERROR", "error": error, "first_failed": first}
        self.subscriptions.written()
        return None

    def subscribe(self, message: Message, peer: Peer) -> Message | None:
        if message["process"] >= 1 << 32:  # an Unsigned32 (clause 21)
            return {"apdu": "REJECT", "reason": "PARAMETER_OUT_OF_RANGE"}
        self.subscriptions.subscribe(message, peer)
        return None

    def control(self, message: Message, _: Peer) -> None:
        """DEVICE_COMMUNICATION_CONTROL (clause 16.1)."""
        self._check_password(message)
        enable, minutes = message["enable"], message["duration"]
        if enable not in ("ENABLE", "DISABLE", "DISABLE_INITIATION"):
            raise RefusedError("services", "parameter-out-of-range")
        if self._silence is not None:
            self._silence.cancel()
        self.silent = "" if enable == "ENABLE" else enable
        if self.silent and minutes:
            self._silence = self.call_later(60.0 * minutes, self._speak)

    def _speak(self) -> None:
        self.silent = ""

    def reinitialize(self, message: Message, _: Peer) -> None:
        """REINITIALIZE_DEVICE (clause 16.4): a cold start is a reboot; a warm one keeps what was written."""
        self._check_password(message)
        if message["reinitialized"] not in ("COLDSTART", "WARMSTART"):
            raise RefusedError("services", "optional-functionality-not-supported")
        self.silent = ""
        self.subscriptions.clear()
        if message["reinitialized"] == "COLDSTART":
            self.reboot()

    def _check_password(self, message: Message) -> None:
        if self.model.password is not None and message["password"] != self.model.password:
            raise RefusedError("security", "password-failure")

    # -- what the device says by itself --

    def submit(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        """Requests by a rule or a behavior; a confirmed one is repeated until it is answered."""
        if not self.may_initiate:
            reason = f"the device initiates nothing: its communication is {self.silent}"
            self.log(reason)
            if ticket is not None:
                ticket.give_up(reason)
            return
        if kind_of(message) == "CONFIRMED_REQUEST" and message.get("network_message") is None:
            self.start(self._ask(message, peer, ticket))
            return
        super().submit(message, peer, ticket)

    async def _ask(self, message: Message, peer: Peer, ticket: Ticket | None) -> None:
        try:
            answer = await self.confirm(message, peer)
        except Unanswered as error:
            if ticket is not None:
                ticket.give_up(error.reason)
            return
        self.answered(answer, peer, ticket)

    async def confirm(self, message: Message, peer: Peer) -> Message:
        """Send a confirmed request until it is answered (clause 5.4.4). Unanswered."""
        self._invoke = (self._invoke + 1) & 255
        number = self._invoke
        whole = {"max_apdu": self.model.max_apdu, **message, "invoke_id": number}
        return await self.ask(
            whole,
            peer,
            lambda one: one.get("invoke_id") == number and one.get("apdu") in ANSWERS,
            timeout=self.model.apdu_timeout,
            tries=1 + self.model.apdu_retries,
            says=whole,
        )

    async def run(self) -> None:
        """A foreign device registers, and again before that ends (clause J.5.2)."""
        foreign = self.model.foreign
        while foreign is not None:
            peer = self.bbmd
            if peer is None:  # the device has no address yet
                await self.sleep(self.model.apdu_timeout)
                continue
            message = {"function": "REGISTER_FOREIGN_DEVICE", "ttl": round(foreign.ttl)}
            try:
                answer = await self.ask(
                    message,
                    peer,
                    lambda one: one["function"] == "BVLC_RESULT",
                    timeout=self.model.apdu_timeout,
                    tries=1 + self.model.apdu_retries,
                    says=message,
                )
            except Unanswered:
                self.log(f"{peer} does not take the registration")
                continue
            if answer["result"]:
                self.log(f"{peer} refuses the registration")
            await self.sleep(foreign.ttl / 2 if not answer["result"] else self.model.apdu_timeout)


def is_broadcast(message: Message, peer: Peer) -> bool:
    """Whether more than one device is meant: by the link, the BVLC (J.4), or the network layer (6.2.2)."""
    alone = message["function"] == "ORIGINAL_UNICAST_NPDU" and not message["destination"]
    return bool(peer.group) or not alone


ANSWERS = frozenset({"SIMPLE_ACK", "COMPLEX_ACK", "ERROR", "REJECT", "ABORT"})
ANNOUNCED = frozenset({"I_AM", "I_HAVE"})
MOST_VALUES = 10_000
"""Of one answer, with those in lists."""
SERVICES: dict[str, Any] = {
    "READ_PROPERTY": Bacnet.read_property,
    "READ_PROPERTY_MULTIPLE": Bacnet.read_multiple,
    "WRITE_PROPERTY": Bacnet.write_property,
    "WRITE_PROPERTY_MULTIPLE": Bacnet.write_multiple,
    "SUBSCRIBE_COV": Bacnet.subscribe,
    "DEVICE_COMMUNICATION_CONTROL": Bacnet.control,
    "REINITIALIZE_DEVICE": Bacnet.reinitialize,
}
