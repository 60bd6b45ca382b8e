"""From a session to the link: what a session sends, and what is told of it once it has left.

A datagram shows a *wire* message, and the device says something with it, or nothing: mostly the very same
message, else one of the application. What is said with a datagram was said once that has left, and not
before: an answer that its session withholds, or that waits, is nobody's yet.

A message that goes out is thus three things, as everywhere below: ``payload``, its bytes; ``wire``, the
message that these show, None where nobody is to be told; and ``said``, what the device says with it: `wire`
itself, another message, or None. If it is ``untold``, `wire` is what was encoded, and whoever writes it down
tells what its bytes show.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from iotsim.errors import DecodeError, EncodeError
from iotsim.events import Sent, note_what_befell
from iotsim.net.datagram import NO_FRAME, Datagram, Waiting
from iotsim.net.outcome import ANSWERED
from iotsim.simulation.requests import answering
from iotsim.simulation.sessions.handling import SESSION, Handling, peer_of
from iotsim.simulation.sessions.lifecycle import SessionLifecycle
from iotsim.simulation.sessions.unsaid import Saying, Unsaid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.events import Befell
    from iotsim.session import Peer, Session
    from iotsim.simulation.transit import Arriving

WIRE: Final = "wire"
APPLICATION: Final = "application"


class SessionSending(SessionLifecycle):
    """A service with sessions, as far as these send."""

    def __init__(self, fleet: Fleet, index: int, **rest: Any) -> None:
        super().__init__(fleet, index, **rest)
        judge, name = self._judge, fleet.spec.name
        self._heard = judge.observers(name, "receives", APPLICATION)
        self._told = judge.observers(name, "sends", APPLICATION)
        self._heard_wire = judge.observers(name, "receives", WIRE)
        self._told_wire = judge.observers(name, "sends", WIRE)
        self._said_codec = self.protocol.said_codec
        self._apart = self.protocol.application is not None
        """Whether the messages above the sessions have a schema of their own."""
        self._handling: Handling | None = None
        self._unsaid = Unsaid(fleet.spec.count)
        if self._outbound is None:
            self.transmit = self._transmit_plainly  # type: ignore[method-assign]
        else:
            self._outbound.on_lost = self._unsaid.note

    def send(self, device: SimDevice, datagram: Datagram, message: Mapping[str, Any]) -> str:
        """Answer `datagram` past the session. To a group, nothing is sent."""
        if datagram.group:
            return SESSION
        payload, wire, untold = self._encoded(device, message, message)
        said = None if self._apart else wire
        handling = Handling(datagram, peer_of(datagram))
        self._handling, outer = handling, self._handling
        try:
            self._send_payload(device, payload, handling.peer, wire, said, untold=untold)
        finally:
            self._handling = outer
        return handling.outcome

    def transmit(
        self,
        session: Session,
        message: Mapping[str, Any],
        peer: Peer,
        says: Mapping[str, Any] | None,
        outside: bool,
    ) -> bytes:
        device: Any = session.device
        payload, wire, untold = self._encoded(device, message, says)
        said = wire if says is message else says
        if self._unsaid:  # the same bytes anew have nothing to do with those that were lost
            self._unsaid.take(device, payload, peer)
        self._send_payload(device, payload, peer, wire, said, outside=outside, untold=untold)
        return payload

    def _transmit_plainly(
        self,
        session: Session,
        message: Mapping[str, Any],
        peer: Peer,
        says: Mapping[str, Any] | None,
        outside: bool,
    ) -> bytes:
        """As `transmit`, where nothing stands between codec and link: the short way of what answers the
        datagram that is being handled."""
        handling = self._handling
        device: Any = session.device
        if handling is None or handling.peer is not peer or device.failed:
            return SessionSending.transmit(self, session, message, peer, says, outside)
        payload, wire, untold = self._encoded(device, message, says)
        datagram = handling.datagram
        sending = self._leave(datagram, payload)
        if sending is not None:
            said = wire if says is message else says
            outcome = self._wait_to_leave(
                sending, device, datagram, payload, wire, said, untold=untold
            )
            handling.note_answer(outcome)
            return payload
        handling.sent = True
        if untold:  # as `_tell_or_leave`, in place
            if self._recorded:
                self._emit_untold(datagram, payload, message, WIRE if says is None else "")
        elif wire is not None:
            self._tell(device, datagram, wire, wire if says is message else says)
        return payload

    def resend(self, session: Session, datagram: bytes, peer: Peer) -> None:
        device: Any = session.device
        wire: Mapping[str, Any] | None = None
        if self._recorded or self._told_wire or self._outbound is not None:
            try:
                wire = self._answer_codec.decode(datagram, device)
            except DecodeError:
                wire = {}  # a protocol may write what it does not read
        packets = len(self._packets)
        unsaid = self._unsaid.take(device, datagram, peer)
        said = None
        if unsaid is not None:
            said = wire if unsaid.same else unsaid.said
        self._send_payload(device, datagram, peer, wire, said)
        self._remark_out(packets, f"{device.name}: sent again")

    def unsaid(self, session: Session, datagram: bytes, peer: Peer) -> dict[str, Any] | None:
        device: Any = session.device
        unsaid = self._unsaid.take(device, datagram, peer)
        return None if unsaid is None or unsaid.said is None else dict(unsaid.said)

    def _encoded(
        self, device: SimDevice, message: Mapping[str, Any], says: Mapping[str, Any] | None
    ) -> tuple[bytes, Mapping[str, Any] | None, bool]:
        """The bytes of `message`, with which the device `says` something or nothing; what is to be told of
        them; and whether they can stay untold."""
        told = self._told_wire or (says is not None and self._told)
        if (
            self._untold
            and not told
            and (says is message or says is None)
            and message.__class__ is dict
        ):
            return self._encode(message, device), message, True
        if self._recorded or told or self._outbound is not None:
            return (*self._answer_codec.tell(message, device), False)
        return self._encode(message, device), None, False

    def _send_payload(
        self,
        device: SimDevice,
        payload: bytes,
        peer: Peer,
        wire: Mapping[str, Any] | None,
        said: Mapping[str, Any] | None,
        *,
        outside: bool = False,
        untold: bool = False,
    ) -> None:
        """Send a datagram, and tell of it once it has left."""
        if device.failed:
            return
        handling = self._handling
        if handling is not None and handling.peer is peer:
            datagram = handling.datagram
        else:
            address, port, local, local_port, *_ = peer
            index, now = device.index, self.now
            datagram = Datagram(index, local, local_port, address, port, now, frame=NO_FRAME)
            datagram.outside = outside
            if handling is not None and peer.endpoint == handling.peer.endpoint:
                datagram.id = handling.datagram.id  # an answer from another port
            else:
                handling = None
        if self._outbound is not None:
            luggage = Saying(said is not None and said is wire, said)
            above = None
            if self._apart and said is not None and self._outbound.looks:
                with suppress(EncodeError):
                    above = self._said_codec.tell(said, device)[1]
            outcome = self._outbound.send(
                device, datagram, payload, wire, luggage, above, untold=untold
            )
        else:
            sending = self._leave(datagram, payload)
            outcome = None
            if sending is not None:
                outcome = self._wait_to_leave(
                    sending, device, datagram, payload, wire, said, untold=untold
                )
        if handling is not None:
            handling.note_answer(ANSWERED if outcome is None else outcome)
        if outcome is None and wire is not None:
            self._tell_or_leave(device, datagram, payload, wire, said, untold=untold)

    def _wait_to_leave(
        self,
        sending: str | Waiting,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        wire: Mapping[str, Any] | None,
        said: Mapping[str, Any] | None,
        *,
        untold: bool = False,
    ) -> str:
        """A datagram waits to leave, or cannot; the outcome, for now, of what it answers."""
        if wire is None:
            return self._leave_later(sending, device, datagram, None)
        if untold:
            same, wire = said is wire, self._answer_codec.tell_bytes(payload, wire)
            said = wire if same else said
        tell = partial(self._tell, device, datagram, wire, said)
        return self._leave_later(sending, device, datagram, tell)

    def _tell_or_leave(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        wire: Mapping[str, Any],
        said: Mapping[str, Any] | None,
        *,
        untold: bool,
        befell: Befell | None = None,
    ) -> None:
        """Tell of a datagram that has just left, or leave that to who writes it down."""
        if not untold:
            self._tell(device, datagram, wire, said, befell)
        elif self._recorded:
            self._emit_untold(datagram, payload, wire, "" if said is wire else WIRE, befell)

    def tell_departed(self, transit: Arriving, befell: Befell) -> None:
        """As `Telling.tell_departed`. Of a datagram that was changed, only what it shows is told, unless that
        is all that the device says."""
        device: Any = transit.device
        wire: Any = transit.message
        luggage: Saying = transit.luggage
        same, said = luggage.same, luggage.said
        untold = transit.untold
        if transit.changed:
            self._unsaid.note(transit)
            try:
                wire = self._answer_codec.decode(transit.payload, device)
            except DecodeError as error:
                self._tell_garbled(device, transit.datagram, transit.payload, error)
                return
            said, untold = None, False
        elif untold and (self._told_wire or (said is not None and self._told)):
            wire, untold = self._answer_codec.tell_bytes(transit.payload, wire), False
        luggage.done = luggage.done or not transit.changed
        self._tell_or_leave(
            device,
            transit.datagram,
            transit.payload,
            wire,
            wire if same else said,
            untold=untold,
            befell=befell,
        )

    def _tell(
        self,
        device: SimDevice,
        datagram: Datagram,
        wire: Mapping[str, Any],
        said: Mapping[str, Any] | None,
        befell: Befell | None = None,
    ) -> None:
        """Tell whom it concerns of a datagram that has left: of both messages, if what the device says with
        it is another than what it shows."""
        if said is not None and said is not wire:
            self._emit_sent(datagram, wire, WIRE, befell)
            # With defaults and computed fields, as a datagram would show it.
            with suppress(EncodeError):
                said = self._said_codec.tell(said, device)[1]
            self._emit_sent(datagram, said, APPLICATION, befell)
        elif self._recorded:
            self._emit_sent(datagram, wire, "" if said is wire else WIRE, befell)
        now = self._pump.sent_at
        request = datagram.request
        if request is None:
            for observe in self._told_wire:
                observe(device, wire, now)
            if said is not None:
                for observe in self._told:
                    observe(device, said, now)
            return
        with answering(device, request.wire):
            for observe in self._told_wire:
                observe(device, wire, now)
        if said is not None:
            delivered = request.delivered
            with nullcontext() if delivered is None else answering(device, delivered):
                for observe in self._told:
                    observe(device, said, now)

    def _emit_sent(
        self, datagram: Datagram, message: Mapping[str, Any], layer: str, befell: Befell | None
    ) -> None:
        if self._recorded:
            name, asked = self._name_of(datagram.index), datagram.id
            who = self._endpoint(datagram.peer, datagram.peer_port)
            now, number = self._pump.sent_at, next(self._ids)
            sent = Sent(now, number, name, who, self._name, message, asked, layer)
            if befell is not None:
                note_what_befell(sent, befell)
            self._emit(sent)
