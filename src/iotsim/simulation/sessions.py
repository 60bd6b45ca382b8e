"""Services of protocols that have sessions: the way of a message with one more stop.

A datagram is decoded, seen as a *wire* message, and given to the device's session. What the session hands
up is seen as an *application* message and goes to rules, behavior and model; what they answer goes to the
session, which sends. Mostly both are one and the same dict: then there is one event for both, without a
layer. Otherwise each level has its own. What a device says was said once a datagram with it has left, and
not before: an answer that its session withholds, or that waits, is nobody's yet.
"""

from __future__ import annotations

import traceback
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from iotsim.device.reaction import NO_REPLY, NO_RULE
from iotsim.device.template import echo_fields
from iotsim.errors import DecodeError, EncodeError, ExpressionError
from iotsim.events import Note, NotSent, Received, Sent, SessionFailed
from iotsim.impair.fate import names
from iotsim.net.datagram import NO_FRAME, Datagram, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed, dropped
from iotsim.rng import key
from iotsim.session import Peer, Session
from iotsim.session.clock import by_clock
from iotsim.simulation.disturbance import FAILED, NOT_SENT
from iotsim.simulation.exchange import (
    EVENT_DATA_BYTES,
    FAULTS,
    REBOOTED,
    Service,
    one_line,
)
from iotsim.simulation.ports import OpenPorts
from iotsim.simulation.requests import answering
from iotsim.simulation.watchdog import Stalled
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.expect.subscription import Observer
    from iotsim.net.datagram import Sending
    from iotsim.session import Ticket
    from iotsim.session.session import Message, Timer
    from iotsim.simulation.disturbance import Transit
    from iotsim.simulation.reception import Met
    from iotsim.simulation.runtime import SimulationRuntime

SESSION = consumed("session")
"""The session took the message, and sent nothing."""
BROKEN = dropped("session-failed")
WIRE = "wire"
APPLICATION = "application"
PROTOCOL_MODULES = ("iotsim.protocols.", "iotsim_user_")
RESTART_S = 1.0
"""After this long, what a device does by itself begins anew if its session has failed."""
_peer: Any = tuple.__new__  # a third of the time that calling the class takes


class Hand:
    """The datagram that is being dealt with: what is sent to its very peer answers it."""

    __slots__ = ("datagram", "delivered", "event", "message", "peer", "sent", "tried")

    def __init__(self, datagram: Datagram, peer: Peer, message: Message | None = None) -> None:
        self.datagram = datagram
        self.peer = peer
        self.message = message
        self.event: Received | None = None
        self.sent = False
        self.tried = ""
        """The outcome of what was to answer it, and has not left."""
        self.delivered = SESSION
        """What rules, behavior and model have made of it."""

    @property
    def outcome(self) -> str:
        """What has become of the datagram so far: it is answered by what has left alone."""
        if self.sent:
            return ANSWERED
        return self.tried or (SESSION if self.delivered is ANSWERED else self.delivered)


class Asked:
    """What a datagram asks: its own message, and what the session has made of it, once it has."""

    __slots__ = ("delivered", "wire")

    def __init__(self, wire: Message) -> None:
        self.wire = wire
        self.delivered: Message | None = None


class SessionService(Service):
    """One protocol with sessions at one port of `fleet`, and the `iotsim.session.session.Host` of them all.

    `wall_time` is the Unix time of the start of the run.
    """

    def __init__(
        self,
        fleet: Fleet,
        index: int,
        *,
        runtime: SimulationRuntime,
        wall_time: float,
        **rest: Any,
    ) -> None:
        super().__init__(fleet, index, **rest)
        spec = fleet.spec.services[index]
        self._class: type[Session] = spec.protocol.session or Session
        if fleet.by_clock:
            self._class = by_clock(self._class)
        self._model = spec.model
        self._echo = self.protocol.echo
        self._said_codec = self.protocol.said_codec
        self._apart = self.protocol.application is not None
        """Whether the messages above the sessions have a schema of their own."""
        self._runtime = runtime
        self.wall_time = wall_time
        self._sessions: list[Session | None] = [None] * fleet.spec.count
        self._drawn: dict[int, int] = {}
        """How many numbers a device had drawn before its session ended: it does not draw them again."""
        self._blamed: set[int] = set()
        self.ports = OpenPorts({}, self.receive)
        self.now = 0.0
        self.key = key(fleet.seed, fleet.spec.name, "session", index)
        self.has_run = self._class.run is not Session.run
        judge = rest["judge"]
        name = fleet.spec.name
        self._heard = judge.observers(name, "receives", APPLICATION)
        self._told = judge.observers(name, "sends", APPLICATION)
        self._heard_wire = judge.observers(name, "receives", WIRE)
        self._told_wire = judge.observers(name, "sends", WIRE)
        self._hand: Hand | None = None
        self._delivering = self._deliver if self._reception is None else self._deliver_to_faulty

    # -- sessions --------------------------------------------------------------------------------

    def _session(self, device: SimDevice) -> Session:
        """The session of `device`, made if there is none."""
        session = self._sessions[device.index]
        if session is None:
            draws = self._drawn.pop(device.index, 0)
            session = self._class._made_for(self, device, self._model, draws)
            self._sessions[device.index] = session
        return session

    def boot(self, device: SimDevice, reboots: int) -> None:
        """`device` begins to do what it does by itself."""
        if device.failed or device.reboots != reboots:
            return
        self.now = self._clock()
        try:
            session = self._session(device)
            session.start(session.run())
        except FAULTS as error:
            self._broken(device, error)

    def restart(self, device: SimDevice) -> None:
        self._end(device)

    def _end(self, device: SimDevice) -> None:
        session, self._sessions[device.index] = self._sessions[device.index], None
        if session is not None:
            session._close()
            self._drawn[device.index] = session._draws
            self.ports.close_all(device.index)

    def _broken(self, device: SimDevice, error: BaseException, payload: bytes = b"") -> None:
        """The session of `device` has raised `error`: report it, and let the device go on with a new one.

        What the scenario is to blame for, an expression of a model that fails, stops the device as in a
        rule; so does code that never comes to an end.
        """
        if isinstance(error, ExpressionError | Stalled):
            self.fail(device, error)
            return
        self._end(device)
        why = f"the session of {self._name} failed: {one_line(error)}{_place_of(error)}"
        details = "".join(traceback.format_exception(error))
        data = payload[:EVENT_DATA_BYTES].hex()
        self._emit(SessionFailed(self._clock(), device.name, self._name, why, details, data))
        if device.index not in self._blamed:
            self._blamed.add(device.index)
            self._on_failure(device, why)
        if self.has_run:
            due = self._clock() + RESTART_S
            self._pump.timers.call_at(due, self.boot, device, device.reboots)

    # -- in ----------------------------------------------------------------------------------------

    def _receive(self, datagram: Datagram, payload: bytes, /) -> str:
        device = self._device(datagram.index)
        if device.failed:
            return FAILED
        try:
            message = self._decode(payload, device)
        except DecodeError as error:
            return self._undecodable(device, datagram, payload, error)
        except Stalled as error:
            self.fail(device, error)
            return FAILED
        self.now = now = datagram.time
        if not datagram.from_host:
            device.peer = datagram.peer, datagram.peer_port
        peer = _peer(
            Peer,
            (
                datagram.peer,
                datagram.peer_port,
                datagram.local,
                datagram.local_port,
                datagram.group,
                datagram.from_host,
            ),
        )
        self._hand = hand = Hand(datagram, peer, message)
        if self._recorded:
            datagram.id = number = next(self._ids)
            name = self._names.get(datagram.index) or self._name_of(device)
            who = self._endpoint(datagram.peer, datagram.peer_port)
            hand.event = event = Received(now, number, name, who, self._name, message, WIRE)
            self._emit(event)
        try:
            for observe in self._heard_wire:
                observe(device, message, now)
            if self._inbound is not None:
                return self._inbound.take(device, datagram, payload, message, hand.event)
            session = self._sessions[datagram.index] or self._session(device)
            session._take(message, peer)
        except FAULTS as error:
            self._broken(device, error, payload)
            return FAILED if device.failed else BROKEN
        finally:
            self._hand = None
        return hand.outcome

    def _arrived(self, transit: Transit) -> str:
        """A datagram has come to its device, past impairments. What was told of it may be written by now,
        so that what reaches the device above its session is told by itself."""
        device: Any = transit.device
        datagram = transit.datagram
        datagram.time = self.now = transit.t
        if device.failed:
            return FAILED
        message: Any = transit.message
        if message is None:
            try:
                message = self._decode(transit.payload, device)
            except DecodeError as error:
                return self._refuse(device, datagram, transit.payload, error)
        peer = Peer(
            datagram.peer,
            datagram.peer_port,
            datagram.local,
            datagram.local_port,
            datagram.group,
            datagram.from_host,
        )
        outer, self._hand = self._hand, Hand(datagram, peer)
        hand = self._hand
        if outer is not None and not transit.late:
            hand.message, hand.event = outer.message, outer.event
        try:
            refusal = self._refuse_on_wire(device, message, transit)
            if refusal is not None:
                return self.send(device, datagram, refusal)
            self._session(device)._take(message, peer)
        except FAULTS as error:
            self._broken(device, error, transit.payload)
            return FAILED if device.failed else BROKEN
        finally:
            self._hand = outer
        return hand.outcome

    def _decode_request(self, payload: bytes, device: Any = None, /) -> dict[str, Any]:
        datagram, message = self._noting, super()._decode_request(payload, device)
        if datagram is not None:
            datagram.request = Asked(message)
        return message

    def _refuse_on_wire(
        self, device: SimDevice, message: Message, transit: Transit
    ) -> Mapping[str, Any] | None:
        """The error that a fault has the device answer to `message`, before its session gets that."""
        if self._met_on_wire is None:
            return None
        met = self._met_on_wire.meet(device, message, transit.t, self.protocol.errors)
        if met is None:
            return None
        transit.impaired = names(transit.impaired, met.impaired)
        transit.fate = names(transit.fate, met.fate)
        return met.reply

    def _refusal(
        self, device: SimDevice, datagram: Datagram, payload: bytes, error: DecodeError
    ) -> Mapping[str, Any] | None:
        if self._class.refuse is Session.refuse:
            return super()._refusal(device, datagram, payload, error)
        self.now = datagram.time
        peer = Peer(datagram.peer, datagram.peer_port, datagram.local, self.port, datagram.group)
        try:
            return self._session(device).refuse(payload, error, peer)
        except FAULTS as failure:
            self._broken(device, failure, payload)
            return None

    def deliver(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None = None,
    ) -> str:
        if self._hand is not None and self._hand.datagram.request is not None:
            self._hand.datagram.request.delivered = message
        outcome = self._delivering(session, message, peer, exchange, request)
        if self._hand is not None:
            self._hand.delivered = outcome
        return outcome

    def _deliver(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None,
    ) -> str:
        self.observe(session, message, peer)
        return self._hand_over(session, message, peer, exchange, request)

    def _deliver_to_faulty(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None,
    ) -> str:
        """As `_deliver`, past the faults that the device has."""
        self.observe(session, message, peer)
        device: Any = session.device
        assert self._reception is not None
        try:
            met = self._reception.meet(device, message, self.now, self.protocol.errors)
        except FAULTS as error:
            self.fail(device, error)
            return FAILED
        if met is None:
            return self._hand_over(session, message, peer, exchange, request)
        hand = self._hand
        if hand is not None and hand.event is not None:
            event = hand.event
            event.impaired = names(event.impaired, met.impaired)
            event.fate, event.delay_s = names(event.fate, met.fate), event.delay_s + met.delay_s
        return self._meet_above(met, session, message, peer, exchange, request)

    def _meet_above(
        self,
        met: Met,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None,
    ) -> str:
        """Do to `message` what faults do to it above the session."""
        device: Any = session.device
        hand = self._hand
        if met.reboot is not None:
            self._reboot(device, met.reboot.down_s)
            return REBOOTED
        if met.delay_s > 0:
            datagram = hand.datagram if hand is not None and hand.peer is peer else None
            if datagram is not None:
                self._pump.defer(datagram)
            late = met._replace(delay_s=0.0)
            arguments = late, session, message, peer, exchange, request, datagram
            self._pump.timers.call_at(self.now + met.delay_s, self._meet_above_late, *arguments)
            return PENDING
        if met.reply is not None:
            answer = self._echoing(message, met.reply)
            return self._reply_by_rule(session, answer, exchange, peer)
        return self._hand_over(session, message, peer, exchange, request)

    def _meet_above_late(
        self,
        met: Met,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None,
        datagram: Datagram | None,
    ) -> None:
        def meet() -> str:
            return self._meet_above(met, session, message, peer, exchange, request)

        self._do_later(session, peer, datagram, meet)

    def _hand_over(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None,
    ) -> str:
        """Let rules, behavior and model deal with `message`."""
        device: Any = session.device
        try:
            if request is None:
                reaction = self._respond(device, message, self.now)
            else:
                with answering(device, request):
                    reaction = self._respond(device, message, self.now)
        except FAULTS as error:
            self.fail(device, error)
            return FAILED
        if reaction is NO_RULE:
            answer = session.respond(message, peer)
            if answer is None:
                self.unmatched.add(device, message, self.now)
                return NO_RULE
            for one in (answer,) if isinstance(answer, dict) else answer:
                said = self._echoed(message, one) if self._echo else one
                session.reply(self._whole(device, said) if self._apart else said, exchange)
            return NO_REPLY if answer == [] else ANSWERED
        if isinstance(reaction, str):
            return reaction
        if isinstance(reaction, dict):
            return self._reply_by_rule(session, reaction, exchange, peer)
        outcome = PENDING
        for delay_s, answer in reaction:
            if delay_s <= 0:
                outcome = self._reply_by_rule(session, answer, exchange, peer)
                continue
            datagram = self._hand.datagram if self._hand and self._hand.peer is peer else None
            due = self.now + delay_s
            arguments = session, answer, exchange, peer, datagram
            self._pump.timers.call_at(due, self._reply_later, *arguments)
        if outcome is PENDING and self._hand is not None:
            self._pump.defer(self._hand.datagram)
        return outcome

    def _echoed(self, message: Message, answer: Message) -> Message:
        """`answer` with what the protocol repeats of the message that it is to."""
        if all(path in answer for path in self._echo):
            return answer
        answer = dict(answer)  # which may be a constant of the session's
        echo_fields(self._echo, message, answer)
        return answer

    def observe(self, session: Session, message: Message, peer: Peer) -> None:
        """An application message has come: mark its event, and let expectations see it."""
        hand, device = self._hand, cast("Any", session.device)
        if hand is not None and message is hand.message:
            if hand.event is not None:
                hand.event.layer = ""
        elif self._recorded:
            number, who = next(self._ids), str(peer)
            self._emit(
                Received(self.now, number, device.name, who, self._name, message, APPLICATION)
            )
        for observe in self._heard:
            observe(device, message, self.now)

    def expect(self, session: Session, ticket: Ticket, peer: Peer) -> None:
        device: Any = session.device
        if self._requests is not None:
            self._requests.note(device, ticket.request, peer.endpoint, self.now)

    def evaluate(self, session: Session, message: Message, peer: Peer) -> Message | None:
        device: Any = session.device
        reaction = self._respond(device, message, self.now)
        if reaction is NO_RULE:
            answer = session.respond(message, peer)
            if not isinstance(answer, dict):
                return None
            return self._echoed(message, answer)
        if isinstance(reaction, list):
            return reaction[0].message if reaction else None
        return reaction if isinstance(reaction, dict) else None

    # -- out ---------------------------------------------------------------------------------------

    def _whole(self, device: SimDevice, message: Mapping[str, Any]) -> Message:
        """`message` with all fields of its own schema. EncodeError if it is none."""
        return dict(self._said_codec.tell(message, device)[1])

    def _reply_by_rule(self, session: Session, message: Message, exchange: Any, _peer: Peer) -> str:
        """A rule or a behavior answers; what it says may be no message."""
        device: Any = session.device
        try:
            session.reply(self._whole(device, message) if self._apart else message, exchange)
        except EncodeError as error:
            self.fail(device, error)
            return FAILED
        return ANSWERED

    def _reply_later(
        self,
        session: Session,
        message: Message,
        exchange: Any,
        peer: Peer,
        datagram: Datagram | None,
    ) -> None:
        def reply() -> str:
            return self._reply_by_rule(session, message, exchange, peer)

        self._do_later(session, peer, datagram, reply)

    def _do_later(
        self,
        session: Session,
        peer: Peer,
        datagram: Datagram | None,
        do: Callable[[], str],
    ) -> None:
        """Do what answers `datagram`, which waits for it, if the session still lives."""
        device: Any = session.device
        outcome = FAILED
        if session._closed:
            outcome = REBOOTED
        elif not device.failed:
            self.now = self._clock()
            self._hand = hand = None if datagram is None else Hand(datagram, peer)
            try:
                outcome = do()
                if hand is not None:
                    hand.delivered = outcome
                    outcome = hand.outcome
            except FAULTS as error:
                self._broken(device, error)
            finally:
                self._hand = None
        if datagram is not None and outcome is not PENDING:
            self._pump.settle(datagram, outcome)

    def submit(
        self, device: SimDevice, message: Mapping[str, Any], peer: Peer, ticket: Ticket | None
    ) -> None:
        """What `device` says by itself. EncodeError if it is no message."""
        self.now = self._clock()
        try:
            whole = self._whole(device, message) if self._apart else dict(message)
            self._session(device).submit(whole, peer, ticket)
        except EncodeError:
            raise
        except FAULTS as error:
            self._broken(device, error)

    def speak(
        self, device: SimDevice, message: Mapping[str, Any], local: int, peer: int, peer_port: int
    ) -> None:
        to = Peer(peer, peer_port, local, self.port)
        if self._requests is None:
            self.submit(device, message, to, None)
        else:
            asked = self._whole(device, message)
            self.submit(device, message, to, self._requests.ticket(device, asked, to.endpoint))

    def send(self, device: SimDevice, datagram: Datagram, message: Mapping[str, Any]) -> str:
        """Answer `datagram` past the session. To a group, nothing is sent."""
        if datagram.group:
            return SESSION
        payload, wire = self._encoded(device, message, message)
        said = None if self._apart else wire
        hand = Hand(datagram, Peer(datagram.peer, datagram.peer_port, datagram.local, self.port))
        self._hand, outer = hand, self._hand
        try:
            self._send_payload(device, payload, hand.peer, wire, said)
        finally:
            self._hand = outer
        return hand.outcome

    def transmit(
        self,
        session: Session,
        message: Mapping[str, Any],
        peer: Peer,
        says: Mapping[str, Any] | None,
        outside: bool,
    ) -> bytes:
        device: Any = session.device
        payload, wire = self._encoded(device, message, says)
        said = wire if says is message else says
        self._send_payload(device, payload, peer, wire, said, outside=outside)
        return payload

    def resend(self, session: Session, datagram: bytes, peer: Peer) -> None:
        device: Any = session.device
        wire: Mapping[str, Any] | None = None
        if self._recorded or self._told_wire or self._outbound is not None:
            try:
                wire = self._answer_codec.decode(datagram, device)
            except DecodeError:
                wire = {}  # a protocol may write what it does not read
        self._send_payload(device, datagram, peer, wire, None)

    def _encoded(
        self, device: SimDevice, message: Mapping[str, Any], said: Mapping[str, Any] | None
    ) -> tuple[bytes, Mapping[str, Any] | None]:
        """The bytes of `message`, and what they show, where somebody is to see that, or what is `said`
        with them."""
        told = self._told_wire or (said is not None and self._told)
        if self._recorded or told or self._outbound is not None:
            return self._answer_codec.tell(message, device)
        return self._encode(message, device), None

    def _send_payload(
        self,
        device: SimDevice,
        payload: bytes,
        peer: Peer,
        wire: Mapping[str, Any] | None,
        said: Mapping[str, Any] | None,
        *,
        outside: bool = False,
    ) -> None:
        """Send a datagram, and tell of it once it has left: of what it shows, and of what the device says
        with it, which may be the very same. Nobody is to be told if `wire` is None."""
        if device.failed:
            return
        hand = self._hand
        if hand is not None and hand.peer is peer:
            datagram = hand.datagram
        else:
            address, port, local, local_port, *_ = peer
            index, now = device.index, self.now
            datagram = Datagram(index, local, local_port, address, port, now, frame=NO_FRAME)
            datagram.outside = outside
            if hand is not None and peer.endpoint == hand.peer.endpoint:
                datagram.id = hand.datagram.id  # an answer from another port
            else:
                hand = None
        if self._outbound is not None:
            told = said is not None and said is wire, said
            above = None
            if self._apart and said is not None:
                with suppress(EncodeError):
                    above = self._said_codec.tell(said, device)[1]
            outcome = self._outbound.send(device, datagram, payload, wire, told, above)
        else:
            sending = self._leave(datagram, payload)
            if sending is None:
                if hand is not None:
                    hand.sent = True
                if wire is not None:
                    self._tell(device, datagram, wire, said)
                return
            outcome = self._leave_later(sending, device, datagram, wire, said)
        if hand is None:
            return
        if outcome is ANSWERED:
            hand.sent = True
        elif hand.tried is not PENDING:
            hand.tried = outcome

    def tell_departed(self, transit: Transit) -> None:
        """As `Service.tell_departed`. Of a datagram that was changed, only what it shows is told, unless that
        is all that the device says."""
        device: Any = transit.device
        wire: Any = transit.message
        same, above = transit.luggage
        if transit.changed:
            try:
                wire = self._answer_codec.decode(transit.payload, device)
            except DecodeError as error:
                self._tell_garbled(device, transit.datagram, transit.payload, error)
                return
            above = None
        self._tell(device, transit.datagram, wire, wire if same else above)

    def _leave_later(
        self,
        sending: Sending,
        device: SimDevice,
        datagram: Datagram,
        wire: Mapping[str, Any] | None,
        said: Mapping[str, Any] | None,
    ) -> str:
        def left(reason: str) -> None:
            outcome = ANSWERED
            if reason:
                self._emit(NotSent(self._clock(), device.name, reason, datagram.id))
                outcome = NOT_SENT
            elif wire is not None:
                with suppress(Stalled):  # which its device is known for by now
                    self._tell(device, datagram, wire, said)
            self._pump.settle(datagram, outcome)

        if isinstance(sending, Waiting):
            sending.told = left
            return self._pump.defer(datagram)
        left(sending or "")
        return NOT_SENT

    def _tell(
        self,
        device: SimDevice,
        datagram: Datagram,
        wire: Mapping[str, Any],
        said: Mapping[str, Any] | None,
    ) -> None:
        if said is None or said is wire:
            self._emit_sent(device, datagram, wire, "" if said is wire else WIRE)
        else:
            self._emit_sent(device, datagram, wire, WIRE)
            # With defaults and computed fields, as a datagram would show it.
            with suppress(EncodeError):
                said = self._said_codec.tell(said, device)[1]
            self._emit_sent(device, datagram, said, APPLICATION)
        request = datagram.request
        with nullcontext() if request is None else answering(device, request.wire):
            self._observe_sent(self._told_wire, device, wire)
        if said is not None:
            delivered = None if request is None else request.delivered
            with nullcontext() if delivered is None else answering(device, delivered):
                self._observe_sent(self._told, device, said)

    def _observe_sent(
        self, observers: Iterable[Observer], device: SimDevice, message: Mapping[str, Any]
    ) -> None:
        now = self._pump.sent_at
        for observe in observers:
            observe(device, message, now)

    def _emit_sent(
        self, device: SimDevice, datagram: Datagram, message: Mapping[str, Any], layer: str
    ) -> None:
        if self._recorded:
            name = self._names.get(datagram.index) or self._name_of(device)
            who = self._endpoint(datagram.peer, datagram.peer_port)
            now, number = self._pump.sent_at, next(self._ids)
            self._emit(Sent(now, number, name, who, self._name, message, datagram.id, layer))

    def _endpoint(self, address: int, port: int) -> str:
        if port != self._peer[1] or address != self._peer[0]:
            self._peer = address, port
            self._who = format_endpoint(address, port)
        return self._who

    # -- the rest of a Host ------------------------------------------------------------------------

    def call_later(
        self,
        session: Session,
        delay: float,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
    ) -> Timer:
        return self._pump.timers.call_at(self.now + delay, self._fire, session, function, arguments)

    def _fire(
        self, session: Session, function: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        device: Any = session.device
        if session._closed or device.failed:
            return
        self.now = self._clock()
        try:
            function(*arguments)
        except FAULTS as error:
            self._broken(device, error)

    def open_port(self, session: Session) -> int:
        return self.ports.open(session.device.index, session.bits)

    def close_port(self, session: Session, port: int) -> None:
        self.ports.close(session.device.index, port)

    def gateway(self, session: Session) -> Peer | None:
        device: Any = session.device
        to = self._runtime.declared_gateway(device) or device.peer
        return None if to is None else self.peer(session, *to)

    def peer(self, session: Session, address: int, port: int) -> Peer | None:
        device: Any = session.device
        local = self._runtime.address_for(device, (address, port))
        return None if local is None else Peer(address, port, local, self.port)

    def reboot(self, session: Session) -> None:
        device: Any = session.device
        self._runtime.reboot(device)

    def note(self, session: Session, text: str) -> None:
        self._emit(Note(self.now, f"{session.device.name}: {text}"))


def _place_of(error: BaseException) -> str:
    """Where in a protocol's file something was raised, as far as that is known."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").startswith(PROTOCOL_MODULES):
            place = f" ({Path(frame.f_code.co_filename).name}:{line})"
    return place
