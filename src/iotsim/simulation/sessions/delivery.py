"""From a session to its device, and back.

What a session hands up goes to who waits for it, to rules, behavior and model, past the faults that the
device has. What these answer goes to the session, at once or later, and so does what the device says by
itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.device.explain import answering_rule
from iotsim.device.reaction import NO_REPLY, NO_RULE
from iotsim.device.template import echo_fields
from iotsim.errors import EncodeError
from iotsim.events import Received
from iotsim.net.outcome import ANSWERED, PENDING
from iotsim.session import Peer
from iotsim.simulation.exchange import REBOOTED
from iotsim.simulation.requests import answering
from iotsim.simulation.sessions.handling import Handling
from iotsim.simulation.sessions.sending import APPLICATION, SessionSending
from iotsim.simulation.transit import FAILED
from iotsim.simulation.watchdog import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.session import Session, Ticket
    from iotsim.session.host import Message
    from iotsim.simulation.reception import Met


class Delivery(NamedTuple):
    """What a session hands up, as of `iotsim.session.host.Host.deliver`."""

    session: Session
    message: Message
    peer: Peer
    exchange: Any
    request: Message | None


class SessionDelivery(SessionSending):
    """A service with sessions, as far as these and their devices have to do with each other."""

    def __init__(self, fleet: Fleet, index: int, **rest: Any) -> None:
        super().__init__(fleet, index, **rest)
        self._echo = self.protocol.echo
        self._alters = self._apart or bool(self._echo)
        """Whether what a model answers is not yet what its session is to reply with."""
        if self._reception is not None or self._judge.answers(fleet.spec.name):
            self.deliver = self._deliver_watched  # type: ignore[method-assign]

    # -- from the session ----------------------------------------------------------------------------

    def deliver(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None = None,
    ) -> str:
        handling = self._handling
        if handling is None or message is not handling.message or self._heard:
            self.observe(session, message, peer)
        elif handling.event is not None:
            handling.event.layer = ""
        outcome = self._hand_over(session, message, peer, exchange, request)
        if self._handling is not None:
            self._handling.delivered = outcome
        return outcome

    def _deliver_watched(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None = None,
    ) -> str:
        """As `deliver`, where faults meet what devices take, or expectations look at what an answer is to."""
        handling = self._handling
        if handling is not None and handling.datagram.request is not None:
            handling.datagram.request.delivered = message
        take = self._hand_over if self._reception is None else self._deliver_to_faulty
        self.observe(session, message, peer)
        outcome = take(session, message, peer, exchange, request)
        if self._handling is not None:
            self._handling.delivered = outcome
        return outcome

    def _deliver_to_faulty(
        self,
        session: Session,
        message: Message,
        peer: Peer,
        exchange: Any,
        request: Message | None,
    ) -> str:
        """As `_hand_over`, past the faults that the device has."""
        device: Any = session.device
        assert self._reception is not None
        try:
            met = self._reception.meet(device, message, self.now, self.protocol.errors)
        except FAULTS as error:
            self.fail(device, error)
            return FAILED
        if met is None:
            return self._hand_over(session, message, peer, exchange, request)
        handling = self._handling
        if handling is not None and handling.transit is not None:
            handling.transit.meet(met)
        return self._meet_above(met, Delivery(session, message, peer, exchange, request))

    def _meet_above(self, met: Met, delivery: Delivery) -> str:
        """Do to what is delivered what faults do to it above the session."""
        session, message, peer, exchange, _ = delivery
        if met.reboot is not None:
            device: Any = session.device
            self._reboot(device, met.reboot.down_s)
            return REBOOTED
        if met.delay_s > 0:
            meet = partial(self._meet_above, met._replace(delay_s=0.0), delivery)
            due, handled = self.now + met.delay_s, self._hold(peer)
            self._pump.timers.call_at(due, self._answer_later, session, handled, meet)
            return PENDING
        if met.reply is not None:
            answer = self._echoing(message, met.reply)
            return self._reply_by_rule(session, answer, exchange, peer)
        return self._hand_over(*delivery)

    def _hold(self, peer: Peer) -> Handling | None:
        """What is being handled, if `peer` has sent it: that datagram waits for its answer now."""
        handling = self._handling
        if handling is None or handling.peer.endpoint != peer.endpoint:
            return None
        self._pump.defer(handling.datagram)
        handling.waits = True
        return handling

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
            if answer.__class__ is not dict or self._alters:
                return self._reply_by_model(session, message, answer, exchange)
            session.reply(answer, exchange)
            return ANSWERED
        if isinstance(reaction, str):
            return reaction
        if isinstance(reaction, dict):
            return self._reply_by_rule(session, reaction, exchange, peer, asked=message)
        outcome = PENDING
        for delay_s, answer, rule in reaction:
            if delay_s <= 0:
                outcome = self._reply_by_rule(session, answer, exchange, peer, rule)
                continue
            due, handled = self.now + delay_s, self._hold(peer)
            reply = partial(self._reply_by_rule, session, answer, exchange, peer, rule)
            self._pump.timers.call_at(due, self._answer_later, session, handled, reply)
        return outcome

    def _reply_by_model(
        self,
        session: Session,
        message: Message,
        answer: Message | list[Message] | None,
        exchange: Any,
    ) -> str:
        """Reply with what the session has to say to what neither a rule nor a behavior took."""
        device: Any = session.device
        if answer is None:
            self.unmatched.add(device, message, self.now)
            return NO_RULE
        for one in (answer,) if isinstance(answer, dict) else answer:
            said = self._echoed(message, one) if self._echo else one
            session.reply(self._whole(device, said) if self._apart else said, exchange)
        return NO_REPLY if answer == [] else ANSWERED

    def _echoed(self, message: Message, answer: Message) -> Message:
        """`answer` with what the protocol repeats of the message that it is to."""
        for path in self._echo:  # all() of as few costs more
            if path not in answer:
                break
        else:
            return answer
        answer = dict(answer)  # which may be a constant of the session's
        echo_fields(self._echo, message, answer)
        return answer

    def observe(self, session: Session, message: Message, peer: Peer) -> None:
        """An application message has come: mark its event, and let expectations see it."""
        handling = self._handling
        device: Any = session.device
        if handling is not None and message is handling.message:
            if handling.event is not None:
                handling.event.layer = ""
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

    # -- to the session ------------------------------------------------------------------------------

    def _whole(self, device: SimDevice, message: Mapping[str, Any]) -> Message:
        """`message` with all fields of its own schema. EncodeError if it is none."""
        return dict(self._said_codec.tell(message, device)[1])

    def _reply_by_rule(
        self,
        session: Session,
        message: Message,
        exchange: Any,
        _peer: Peer,
        rule: str = "",
        asked: Message | None = None,
    ) -> str:
        """A rule or a behavior answers; what it says may be no message. It is this `rule`, or, if that is not
        known, one that answers what was `asked`."""
        device: Any = session.device
        try:
            session.reply(self._whole(device, message) if self._apart else message, exchange)
        except EncodeError as error:
            if asked is not None:
                rule = answering_rule(self.unmatched.rules, device, asked, self.now)
            self.fail(device, error, rule=rule)
            return FAILED
        return ANSWERED

    def _answer_later(
        self, session: Session, handled: Handling | None, answer: Callable[[], str]
    ) -> None:
        """Have `answer` answer what was `handled`, if anything, and waits for it, if the session still
        lives."""
        datagram = None if handled is None else handled.datagram
        device: Any = session.device
        outcome = FAILED
        if session._closed:
            outcome = REBOOTED
        elif not device.failed:
            self.now = self._clock()
            handling = None if handled is None else Handling(handled.datagram, handled.peer)
            self._handling = handling
            try:
                outcome = answer()
                if handling is not None:
                    handling.delivered = outcome
                    outcome = handling.outcome
            except FAULTS as error:
                self._broken(device, error)
            finally:
                self._handling = None
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
