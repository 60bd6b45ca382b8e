"""Sessions and what their devices say: the half of a session's host that leads to the link.

It makes sessions, ends them, and lets a device go on with a new one if one fails. What a device says was said
once a datagram with it has left, and not before: an answer that its session withholds, or that waits, is
nobody's yet.
"""

from __future__ import annotations

import traceback
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from iotsim.errors import DecodeError, EncodeError, ExpressionError
from iotsim.events import Note, NotSent, Received, Sent, SessionFailed, note_what_befell
from iotsim.net.datagram import NO_FRAME, Datagram, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed, dropped
from iotsim.rng import key
from iotsim.session import Peer, Session
from iotsim.session.clock import by_clock
from iotsim.simulation.exchange import (
    REBOOTED,
    Service,
    one_line,
)
from iotsim.simulation.ports import OpenPorts
from iotsim.simulation.requests import answering
from iotsim.simulation.telling import EVENT_DATA_BYTES
from iotsim.simulation.transit import FAILED
from iotsim.simulation.watchdog import FAULTS, Stalled
from iotsim.simulation.ways import NOT_SENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.events import Befell, Untold
    from iotsim.net.datagram import Sending
    from iotsim.session import Ticket
    from iotsim.session.session import Host, Message, Timer
    from iotsim.simulation.runtime import SimulationRuntime
    from iotsim.simulation.transit import Arriving, Transit

SESSION = consumed("session")
"""The session took the message, and sent nothing."""
BROKEN = dropped("session-failed")
WIRE = "wire"
APPLICATION = "application"
PROTOCOL_MODULES = ("iotsim.protocols.", "iotsim_user_")
RESTART_S = 1.0
"""After this long, what a device does by itself begins anew if its session has failed."""
MOST_UNSAID = 64
"""So many datagrams of a device that were lost are remembered; with more, the first are not."""
Copy: TypeAlias = tuple[int, int, bytes]
"""Address and port of a peer, and a datagram."""
make_peer: Any = tuple.__new__  # a third of the time that calling the class takes


class Saying(msgspec.Struct, gc=False):
    """What a device says with a datagram, in all copies that impairments make of it. ``same``: it is the very
    message of the datagram; ``done``: a copy has left."""

    same: bool
    said: Mapping[str, Any] | None
    done: bool = False


class Hand(msgspec.Struct, gc=False):
    """The datagram that is being dealt with: what is sent to its very peer answers it.

    ``message`` is what it carries, ``transit`` its passage, where faults meet what devices take.
    ``tried`` is the outcome of what was to answer it, and has not left; ``delivered`` is what rules,
    behavior and model have made of it.
    """

    datagram: Datagram
    peer: Peer
    message: Message | None = None
    event: Received | Untold | None = None
    transit: Transit | None = None
    sent: bool = False
    tried: str = ""
    delivered: str = SESSION

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


class SpeakingService(Service):
    """One protocol with sessions at one port of `fleet`, as far as its devices speak.

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
        self._alters = self._apart or bool(self._echo)
        """Whether what a model answers is not yet what its session is to reply with."""
        self._runtime = runtime
        self.wall_time = wall_time
        self._sessions: list[Session | None] = [None] * fleet.spec.count
        self._drawn: dict[int, int] = {}
        """How many numbers a device had drawn before its session ended: it does not draw them again."""
        self._blamed: set[int] = set()
        self._unsaid: dict[int, dict[Copy, Saying]] = {}
        """Of each device, what it was to say with datagrams that have been lost."""
        self.ports = OpenPorts({}, self.receive)
        self.now = 0.0
        self._call = self._fire  # bound once, and not for each timer
        self.key = key(fleet.seed, fleet.spec.name, "session", index)
        self.has_run = self._class.run is not Session.run
        judge = rest["judge"]
        name = fleet.spec.name
        self._heard = judge.observers(name, "receives", APPLICATION)
        self._told = judge.observers(name, "sends", APPLICATION)
        self._heard_wire = judge.observers(name, "receives", WIRE)
        self._told_wire = judge.observers(name, "sends", WIRE)
        self._hand: Hand | None = None
        if self._outbound is None:
            self.transmit = self._transmit_plainly  # type: ignore[method-assign]
        else:
            self._outbound.on_lost = self._note_unsaid

    # -- sessions --------------------------------------------------------------------------------

    def _session(self, device: SimDevice) -> Session:
        """The session of `device`, made if there is none."""
        session = self._sessions[device.index]
        if session is None:
            draws = self._drawn.pop(device.index, 0)
            host = cast("Host", self)  # which the subclass is
            session = self._class._made_for(host, device, self._model, draws)
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
        self._unsaid.pop(device.index, None)
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
        payload, wire, untold = self._encoded(device, message, message)
        said = None if self._apart else wire
        hand = Hand(datagram, Peer(datagram.peer, datagram.peer_port, datagram.local, self.port))
        self._hand, outer = hand, self._hand
        try:
            self._send_payload(device, payload, hand.peer, wire, said, untold=untold)
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
        payload, wire, untold = self._encoded(device, message, says)
        said = wire if says is message else says
        if self._unsaid:  # the same bytes anew have nothing to do with those that were lost
            self._take_unsaid(device, payload, peer)
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
        datagram at hand."""
        hand = self._hand
        device: Any = session.device
        if hand is None or hand.peer is not peer or device.failed:
            return SpeakingService.transmit(self, session, message, peer, says, outside)
        payload, wire, untold = self._encoded(device, message, says)
        datagram = hand.datagram
        sending = self._leave(datagram, payload)
        if sending is not None:
            if untold:
                wire = self._answer_codec.tell_bytes(payload, message)
            said = wire if says is message else says
            self._note_tried(hand, self._leave_later(sending, device, datagram, wire, said))
            return payload
        hand.sent = True
        if untold:
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
        unsaid = self._take_unsaid(device, datagram, peer)
        said = None
        if unsaid is not None:
            said = wire if unsaid.same else unsaid.said
        self._send_payload(device, datagram, peer, wire, said)
        self._remark_out(packets, f"{device.name}: sent again")

    def unsaid(self, session: Session, datagram: bytes, peer: Peer) -> dict[str, Any] | None:
        device: Any = session.device
        unsaid = self._take_unsaid(device, datagram, peer)
        return None if unsaid is None or unsaid.said is None else dict(unsaid.said)

    def _take_unsaid(self, device: SimDevice, datagram: bytes, peer: Peer) -> Saying | None:
        unsaid = self._unsaid.get(device.index, {}).pop((*peer.endpoint, datagram), None)
        return None if unsaid is None or unsaid.done else unsaid

    def _note_unsaid(self, transit: Arriving) -> None:
        """What was to be said with a datagram is said with its next copy, as this one is lost, or garbled."""
        luggage: Saying | None = transit.luggage
        if luggage is None or luggage.said is None or luggage.done:
            return
        unsaid = self._unsaid.setdefault(transit.device.index, {})
        if len(unsaid) >= MOST_UNSAID:
            del unsaid[next(iter(unsaid))]
        datagram = transit.datagram
        was = getattr(transit, "was", b"") or transit.payload
        unsaid[datagram.peer, datagram.peer_port, was] = luggage

    def _encoded(
        self, device: SimDevice, message: Mapping[str, Any], says: Mapping[str, Any] | None
    ) -> tuple[bytes, Mapping[str, Any] | None, bool]:
        """The bytes of `message`, with which the device `says` something or nothing; what they show, where
        somebody is to be told; and whether that can stay untold: then it is `message` itself."""
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
        """Send a datagram, and tell of it once it has left: of what it shows, and of what the device says
        with it, which may be the very same. Nobody is to be told if `wire` is None. If it is `untold`, `wire`
        is what was encoded."""
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
            luggage = Saying(said is not None and said is wire, said)
            above = None
            if self._apart and said is not None and self._outbound.looks:
                with suppress(EncodeError):
                    above = self._said_codec.tell(said, device)[1]
            outcome = self._outbound.send(
                device, datagram, payload, wire, luggage, above, untold=untold
            )
        else:
            outcome = None
            sending = self._leave(datagram, payload)
            if sending is not None:
                if untold and wire is not None:
                    same, wire = said is wire, self._answer_codec.tell_bytes(payload, wire)
                    said = wire if same else said
                outcome = self._leave_later(sending, device, datagram, wire, said)
        if hand is not None:
            self._note_tried(hand, ANSWERED if outcome is None else outcome)
        if outcome is None and wire is not None:
            self._tell_or_leave(device, datagram, payload, wire, said, untold=untold)

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

    @staticmethod
    def _note_tried(hand: Hand, outcome: str) -> None:
        if outcome is ANSWERED:
            hand.sent = True
        elif hand.tried is not PENDING:
            hand.tried = outcome

    def tell_departed(self, transit: Arriving, befell: Befell) -> None:
        """As `Service.tell_departed`. Of a datagram that was changed, only what it shows is told, unless that
        is all that the device says."""
        device: Any = transit.device
        wire: Any = transit.message
        luggage: Saying = transit.luggage
        same, said = luggage.same, luggage.said
        untold = transit.untold
        if transit.changed:
            self._note_unsaid(transit)
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
        befell: Befell | None = None,
    ) -> None:
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

    # -- the rest of a Host ------------------------------------------------------------------------

    def call_later(
        self,
        session: Session,
        delay: float,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
    ) -> Timer:
        return self._pump.timers.call_at(self.now + delay, self._call, session, function, arguments)

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
