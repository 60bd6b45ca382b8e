"""From the link to a session: a datagram is decoded, and its session, or a shortcut of that, takes it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from iotsim.errors import DecodeError
from iotsim.events import Untold
from iotsim.net.outcome import ANSWERED
from iotsim.session import Peer, Session
from iotsim.simulation.sessions.delivery import SessionDelivery
from iotsim.simulation.sessions.handling import Asked, Handling, make_peer, peer_of
from iotsim.simulation.sessions.lifecycle import BROKEN
from iotsim.simulation.sessions.sending import WIRE
from iotsim.simulation.transit import FAILED, Transit
from iotsim.simulation.watchdog import FAULTS, Stalled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.net.datagram import Datagram
    from iotsim.protocol.definition import Shortcut
    from iotsim.session.host import Host, Message
    from iotsim.simulation.transit import Arriving


class SessionService(SessionDelivery):
    """One protocol with sessions at one port of a fleet, and the host of them all
    (`iotsim.session.host.Host`)."""

    def __init__(self, fleet: Fleet, index: int, **rest: Any) -> None:
        super().__init__(fleet, index, **rest)
        self._shortcut: Shortcut | None = None
        if self._is_alone(fleet, index):
            self._shortcut = self.protocol.shortcut
        self._unruled = self._respond
        self._unheard = self._judge.lost_observers(fleet.spec.name)
        self._losses = self._judge.losses(fleet.spec.name)
        if self._inbound is not None and self._unheard:
            self._inbound.on_lost = self._note_unheard
        self._layer_at_link = WIRE
        self._heard_at_link = self._heard_wire

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
            and self._reception is None
            and not self._judge.answers(spec.name)
        )

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
        peer = make_peer(  # as `peer_of`, in place
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
        self._handling = handling = Handling(datagram, peer, message)
        handling.event = event = self._tell_received(datagram, payload, message, WIRE)
        try:
            for observe in self._heard_wire:
                observe(device, message, now)
            if self._inbound is not None:
                outcome = self._inbound.take(device, datagram, payload, message, event)
                if outcome is not None:
                    return outcome
            if self._losses:
                self._losses.came(index, (datagram.peer, datagram.peer_port, payload))
            session = self._sessions[index] or self._session(device)
            if session._waiters:
                session._take(message, peer)
            else:
                session.receive(message, peer)
        except FAULTS as error:
            self._broken(device, error, payload)
            return FAILED if device.failed else BROKEN
        finally:
            self._handling = None
        return ANSWERED if handling.sent else handling.outcome

    def _note_unheard(self, transit: Transit) -> None:
        """A datagram never reaches the session: tell whom its message would have proved wrong."""
        device: Any = transit.device
        payload = transit.was or transit.payload
        with suppress(DecodeError):
            message = self.protocol.codec.decode(payload, device)
            self._missed(device, transit.datagram, payload, message)

    def _missed(
        self, device: SimDevice, datagram: Datagram, payload: bytes, message: Message
    ) -> None:
        if not self._unheard:
            return
        carried: list[Message] | None = [message]
        if self._apart:
            try:
                carried = self._carried_by(device, datagram, message)
            except FAULTS as error:
                self._broken(device, error, payload)
                return
        if carried is None:
            key = datagram.peer, datagram.peer_port, payload
            self._losses.lost(datagram.index, key, datagram.time)
            return
        for one in carried:
            for observe in self._unheard:
                observe(device, one, datagram.time)

    def _carried_by(
        self, device: SimDevice, datagram: Datagram, message: Message
    ) -> list[Message] | None:
        """What a session would have made of `message`: that of the device, or such as it begins with."""
        self.now, peer = datagram.time, peer_of(datagram)
        session = self._sessions[datagram.index]
        if session is not None:
            return session.carried(message, peer)
        if self._class.carried is Session.carried:
            return None
        with suppress(*FAULTS):  # as will be told once it boots
            session = self._class._made_for(cast("Host", self), device, self._model)
            try:
                return session.carried(message, peer)
            finally:  # it was made to be asked, and is to do nothing by itself
                session._close()
                self.ports.close_all(device.index)
        return None

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
                return self._wait_to_leave(sending, device, datagram, answer, shown, shown)
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
        peer = peer_of(datagram)
        if self._losses:
            key = datagram.peer, datagram.peer_port, transit.payload
            self._losses.came(datagram.index, key)
        handling = Handling(datagram, peer)
        outer, self._handling = self._handling, handling
        if isinstance(transit, Transit):
            handling.transit = transit
        if outer is not None and not transit.late:
            handling.message, handling.event = outer.message, outer.event
        try:
            refusal = self._refuse_on_wire(device, message, transit)
            if refusal is not None:
                return self.send(device, datagram, refusal)
            self._session(device)._take(message, peer)
        except FAULTS as error:
            self._broken(device, error, transit.payload)
            return FAILED if device.failed else BROKEN
        finally:
            self._handling = outer
        return handling.outcome

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
        try:
            return self._session(device).refuse(payload, error, peer_of(datagram))
        except FAULTS as failure:
            self._broken(device, failure, payload)
            return None
