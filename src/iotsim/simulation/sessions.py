"""Services of protocols that have sessions: the way of a message with one more stop.

A datagram is decoded, seen as a *wire* message, and given to the device's session. What the session hands
up is seen as an *application* message and goes to rules, behavior and model; what they answer goes to the
session, which sends. Mostly both are one and the same dict: then there is one event for both, without a
layer. Otherwise each level has its own. How devices speak is in `iotsim.simulation.speaking`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from iotsim.device.reaction import NO_REPLY, NO_RULE
from iotsim.device.template import echo_fields
from iotsim.errors import DecodeError
from iotsim.events import Received, Untold
from iotsim.expect.subscription import OnBothLayers
from iotsim.net.outcome import ANSWERED, PENDING
from iotsim.session import Peer, Session
from iotsim.simulation.exchange import (
    REBOOTED,
)
from iotsim.simulation.requests import answering
from iotsim.simulation.speaking import (
    APPLICATION,
    BROKEN,
    WIRE,
    Asked,
    Hand,
    SpeakingService,
    make_peer,
)
from iotsim.simulation.transit import FAILED, Transit
from iotsim.simulation.watchdog import FAULTS, Stalled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.net.datagram import Datagram
    from iotsim.protocol.definition import Shortcut
    from iotsim.session import Ticket
    from iotsim.session.session import Message
    from iotsim.simulation.reception import Met
    from iotsim.simulation.transit import Arriving


class SessionService(SpeakingService):
    """One protocol with sessions at one port of a fleet, and the host of them all
    (`iotsim.session.session.Host`)."""

    def __init__(self, fleet: Fleet, index: int, **rest: Any) -> None:
        super().__init__(fleet, index, **rest)
        self._shortcut: Shortcut | None = None
        if self._reception is not None or rest["judge"].answers(fleet.spec.name):
            self.deliver = self._deliver_watched  # type: ignore[method-assign]
        elif self._is_alone(fleet, index):
            self._shortcut = self.protocol.shortcut
        self._unruled = self._respond
        self._unheard = rest["judge"].lost_observers(fleet.spec.name)
        if self._inbound is not None and self._unheard and not self._apart:
            self._inbound.on_lost = self._note_unheard
        self._layer_at_link = WIRE
        self._heard_at_link = (
            self._heard_wire if self._apart else OnBothLayers(self._heard_wire, self._unheard)
        )

    def _is_alone(self, fleet: Fleet, index: int) -> bool:
        """Whether nothing but the protocol's very session has to do with what comes."""
        spec = fleet.spec
        ruled = any(rule.service == index and not rule.send for rule in spec.rules)
        return (
            not ruled
            and self._silence is None
            and spec.behavior is None
            and self._class is self.protocol.session
            and self._inbound is None
            and self._outbound is None
        )

    # -- in ----------------------------------------------------------------------------------------

    def _receive(self, datagram: Datagram, payload: bytes, /) -> str:
        index = datagram.index
        device = self._devices[index] or self._device(index)
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
        if (
            self._shortcut is not None
            and self._respond is self._unruled  # else somebody listens
            and not datagram.group
        ):
            outcome = self._answer_at_once(self._shortcut, device, datagram, payload, message)
            if outcome is not None:
                return outcome
        peer = make_peer(
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
        hand.event = event = self._tell_received(datagram, payload, message, WIRE)
        try:
            for observe in self._heard_wire:
                observe(device, message, now)
            if self._inbound is not None:
                outcome = self._inbound.take(device, datagram, payload, message, event)
                if outcome is not None:
                    return outcome
            session = self._sessions[index] or self._session(device)
            if session._waiters:
                session._take(message, peer)
            else:
                session.receive(message, peer)
        except FAULTS as error:
            self._broken(device, error, payload)
            return FAILED if device.failed else BROKEN
        finally:
            self._hand = None
        return ANSWERED if hand.sent else hand.outcome

    def _note_unheard(self, transit: Transit) -> None:
        """A datagram never reaches the session: tell whom its message would have proved wrong."""
        device: Any = transit.device
        with suppress(DecodeError):
            message = self.protocol.codec.decode(transit.was or transit.payload, device)
            for observe in self._unheard:
                observe(device, message, transit.datagram.time)

    def _answer_at_once(
        self,
        shortcut: Shortcut,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Message,
    ) -> str | None:
        """Answer a datagram by the protocol's shortcut; None if that does not lead there."""
        try:
            session = self._sessions[datagram.index] or self._session(device)
            if session._waiters:
                return None
            answer = shortcut(session, message, datagram.peer, datagram.peer_port)
        except FAULTS:
            return None  # it comes again, and is told, on the usual way
        if answer is None:
            return None
        now, teller = datagram.time, self._teller
        if teller is None:
            self._tell_received(datagram, payload, message)
        else:
            # As that does, in place.
            emit, index = self._emit, datagram.index
            datagram.id = number = next(self._ids)
            if self._brief and datagram.flow is not None and self._journal.at_link:
                emit((len(self._packets) - 1, number, teller, index))
            else:
                peer, port = datagram.peer, datagram.peer_port
                emit(Untold(now, number, teller, index, peer, port, payload))
        try:
            for observe in self._heard_wire:
                observe(device, message, now)
            for observe in self._heard:
                observe(device, message, now)
            device.received += 1  # which is all that rules do where there are none
            sending = self._leave(datagram, answer)
            if sending is None and self._untold and not (self._told_wire or self._told):
                if teller is not None:
                    self._emit_untold(datagram, answer, {})
                return ANSWERED
            shown = self._answer_codec.decode(answer, device)
            if sending is not None:
                return self._leave_later(sending, device, datagram, shown, shown)
            self._tell(device, datagram, shown, shown)
        except FAULTS as error:
            self._broken(device, error, payload)
            return FAILED if device.failed else BROKEN
        return ANSWERED

    def _arrived(self, transit: Arriving) -> str:
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
        if isinstance(transit, Transit):
            hand.transit = transit
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
        self, device: SimDevice, message: Message, transit: Arriving
    ) -> Mapping[str, Any] | None:
        """The error that a fault has the device answer to `message`, before its session gets that."""
        if self._met_on_wire is None:
            return None
        met = self._met_on_wire.meet(device, message, transit.t, self.protocol.errors)
        if met is None:
            return None
        assert isinstance(transit, Transit)  # as whatever meets faults
        transit.meet(met)
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
        hand = self._hand
        if hand is None or message is not hand.message or self._heard:
            self.observe(session, message, peer)
        elif hand.event is not None:
            hand.event.layer = ""
        outcome = self._hand_over(session, message, peer, exchange, request)
        if self._hand is not None:
            self._hand.delivered = outcome
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
        hand = self._hand
        if hand is not None and hand.datagram.request is not None:
            hand.datagram.request.delivered = message
        take = self._hand_over if self._reception is None else self._deliver_to_faulty
        self.observe(session, message, peer)
        outcome = take(session, message, peer, exchange, request)
        if self._hand is not None:
            self._hand.delivered = outcome
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
        hand = self._hand
        if hand is not None and hand.transit is not None:
            hand.transit.meet(met)
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
            if answer.__class__ is not dict or self._alters:
                return self._reply_by_model(session, message, answer, exchange)
            session.reply(answer, exchange)
            return ANSWERED
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
        hand = self._hand
        device: Any = session.device
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
