"""The way of a message: in from a datagram, out to a datagram. Each has exactly one.

Everything here is a plain call made by the pump. A service is one protocol at one port of one fleet;
its `receive` is what the stack calls for a datagram, its `send` the only way by which a device speaks.
So this is the place where a message can be seen, counted, delayed or spoiled, whoever made it. The
`Datagram` that brought a message goes with it, and back with the answer.

The way is chosen when a service is made. The *plain* way leads from the hosts to the codec and back with
nothing between. The *layered* way has one `Layer` or several there, which can keep or pass on whole
datagrams, before they are decoded. The *disturbed* way has impairments and faults between the codec and the
device, in each direction that any is for (`iotsim.simulation.ways`): what is expected is seen on the
link's side of them, rules are on the device's. A service without these does not pay for those of others.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.device.explain import answering_rule
from iotsim.device.reaction import NO_RULE
from iotsim.device.template import echo_fields, rule_behind
from iotsim.errors import DecodeError, EncodeError, IotsimError
from iotsim.events import DeviceFailed, Note, NotSent, Untold, note_what_befell
from iotsim.net.datagram import NO_FRAME, Datagram, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, dropped
from iotsim.protocol.device import DeviceError
from iotsim.simulation.listening import Listener, Listeners
from iotsim.simulation.requests import Requests
from iotsim.simulation.telling import Telling
from iotsim.simulation.transit import FAILED, Transit
from iotsim.simulation.unmatched import UnmatchedMessages
from iotsim.simulation.watchdog import FAULTS, Stalled, fault_in_one_line
from iotsim.simulation.ways import NOT_SENT
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.device.reaction import Reaction, Reply
    from iotsim.device.schedule import Endpoint
    from iotsim.events import Befell, Received
    from iotsim.expect.judge import Judge
    from iotsim.expect.subscription import Observer
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Sending
    from iotsim.simulation.disturbance import Disturbances
    from iotsim.simulation.hosts import Hosts
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.listening import Wants
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.reception import Met, Reception
    from iotsim.simulation.transit import Arriving
    from iotsim.simulation.ways import Inbound, Outbound

REBOOTED = dropped("device-rebooted")
"""The device has forgotten that it was asked."""
UNDECODABLE = dropped("undecodable")
MISSED = dropped("host-absent")
AWAY: Befell = ("away", "lost", 0.0)
"""What befalls a message to a device that is not there."""


class Layer:
    """What stands between hosts and codec on the layered way; here, it lets everything pass.

    `onward` is the rest of the way. What a layer passes on later, it defers first (`Pump.defer`), and
    settles with the outcome that it then has.
    """

    def receive(self, datagram: Datagram, payload: bytes, onward: PortHandler) -> str:
        """A datagram has come; returns its outcome."""
        return onward(datagram, payload)

    def send(
        self, datagram: Datagram, payload: bytes, onward: Callable[[Datagram, bytes], Sending]
    ) -> Sending:
        """A datagram is to leave."""
        return onward(datagram, payload)


def _cannot_reboot(_device: SimDevice, _down_s: float) -> None:
    raise IotsimError("a service by itself cannot let its devices reboot")


class Service(Telling):
    """One protocol at one port of `fleet`; `index` is its place in the fleet's services.

    `layers` are those of the layered way, the nearest to the link first. ``receive`` is what the stack
    calls for a datagram to one of the devices; it returns the outcome (see `iotsim.net`). `reboot` lets a
    device begin anew, as soon as it has dealt with what it is about.
    """

    def __init__(
        self,
        fleet: Fleet,
        index: int,
        *,
        hosts: Hosts,
        pump: Pump,
        judge: Judge,
        journal: Journal,
        on_failure: Callable[[SimDevice, str], None],
        reboot: Callable[[SimDevice, float], object] = _cannot_reboot,
        layers: Sequence[Layer] = (),
        disturbances: Disturbances | None = None,
    ) -> None:
        super().__init__(fleet, index, pump=pump, judge=judge, journal=journal)
        spec = fleet.spec.services[index]
        self.port = spec.port
        self._devices = fleet.devices
        self._device = fleet.device
        self._decode = spec.protocol.codec.decode
        self._encode = self._answer_codec.encode
        self._respond = fleet.responders[index]
        self._requests: Requests | None = None
        self._silence = fleet.unanswered[index]
        if self._silence is not None:
            echo = spec.protocol.echo
            self._requests = Requests(echo, self._respond, pump.timers, self._unanswered)
            self._respond = self._requests.respond
        self._listeners = Listeners(self._respond)
        self.unmatched = UnmatchedMessages(fleet, index, journal)
        self.receive: PortHandler = self._receive
        self._noting: Datagram | None = None
        """The datagram that is being decoded; only where somebody wants to know what an answer answers."""
        if judge.answers(fleet.spec.name):
            self._decode = self._decode_request
            self.receive = self._receive_request
        self._heard_at_link: Collection[Observer] = self._heard
        """Who looks at what comes, whatever becomes of it."""
        self._layer_at_link = ""
        self._leave: Callable[[Datagram, bytes], Sending] = hosts.send_udp
        for layer in layers:
            self._leave = partial(layer.send, onward=self._leave)
        for layer in reversed(layers):
            self.receive = partial(layer.receive, onward=self.receive)
        self._inbound: Inbound | None = None
        self._outbound: Outbound | None = None
        self._met_on_wire: Reception | None = None
        self._reception: Reception | None = None
        if disturbances is not None:
            self._met_on_wire, self._reception = disturbances.receptions(fleet, index)
            faulty = self._met_on_wire is not None or self._reception is not None
            self._inbound = disturbances.inbound(fleet, index, self._arrived, faulty=faulty)
            self._outbound = disturbances.outbound(
                fleet,
                index,
                self._leave,
                hosts.send_corrupt,
                self.tell_departed,
                self._answer_codec,
            )
            for way in (self._inbound, self._outbound):
                if way is not None:
                    way.fail = self.fail
        self._may_be_left_untold(
            seen=self._outbound is not None and self._outbound.looks,
            straight=self._inbound is None and self._outbound is None and not layers,
        )
        self._on_failure = on_failure
        self._reboot = reboot

    def _receive_request(self, datagram: Datagram, payload: bytes, /) -> str:
        """As `_receive`; the datagram keeps its message, for expectations about the answer."""
        self._noting = datagram
        return self._receive(datagram, payload)

    def _decode_request(self, payload: bytes, device: Any = None, /) -> dict[str, Any]:
        datagram, self._noting = self._noting, None
        message = self.protocol.codec.decode(payload, device)
        if datagram is not None:
            datagram.request = message
        return message

    def _receive(self, datagram: Datagram, payload: bytes, /) -> str:
        index, now = datagram.index, datagram.time
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
        if not datagram.from_host:
            device.peer = datagram.peer, datagram.peer_port
        event: Received | Untold | None = None
        if self._teller is not None:
            # As `_tell_received`, in place: so it is for most there ever are.
            datagram.id = number = next(self._ids)
            if self._brief and datagram.flow is not None and self._journal.at_link:
                self._emit((len(self._packets) - 1, number, self._teller, index))
            else:
                peer, port = datagram.peer, datagram.peer_port
                event = Untold(now, number, self._teller, index, peer, port, payload)
                self._emit(event)
        elif self._recorded:
            event = self._tell_received(datagram, payload, message)
        try:
            for observe in self._heard:
                observe(device, message, now)
            if self._inbound is not None:
                outcome = self._inbound.take(device, datagram, payload, message, event)
                if outcome is not None:
                    return outcome
            reaction = self._respond(device, message, now)
            if reaction.__class__ is dict:
                return self.send(device, datagram, reaction)
            return self._follow(reaction, device, datagram, message)
        except FAULTS as error:
            self.fail(device, error, rule=self._answering(device, datagram, message, error))
            return FAILED

    def miss(self, datagram: Datagram, payload: bytes) -> str:
        """A datagram has come for a device that is away, and so is only told: the gateway has sent it."""
        device = self._devices[datagram.index] or self._device(datagram.index)
        now = datagram.time
        try:
            message = self.protocol.codec.decode(payload, device)
        except DecodeError as error:
            if not isinstance(error.__cause__, DeviceError):
                datagram.id = next(self._ids)
                self._report_undecodable(device, datagram, payload, error, now, datagram.id)
                self._judge.undecodable(device, now, error)
            return MISSED
        except Stalled as error:
            self.fail(device, error)
            return MISSED
        event = self._tell_received(datagram, payload, message, self._layer_at_link)
        if isinstance(event, Untold):
            event.befell = AWAY
        elif event is not None:
            note_what_befell(event, AWAY)
        try:
            for observe in self._heard_at_link:
                observe(device, message, now)
            self._missed(device, datagram, payload, message)
        except FAULTS as error:
            self.fail(device, error)
        return MISSED

    def _missed(
        self, device: SimDevice, datagram: Datagram, payload: bytes, message: dict[str, Any]
    ) -> None:
        """A message was seen on the link, and is lost on its way to what the device has above it."""

    def _arrived(self, transit: Arriving) -> str:
        """A datagram has come to its device, past impairments."""
        device: Any = transit.device
        datagram = transit.datagram
        datagram.time = transit.t
        if device.failed:
            return FAILED
        message: Any = transit.message
        if message is None:
            try:
                message = self._decode(transit.payload, device)
            except DecodeError as error:
                return self._refuse(device, datagram, transit.payload, error)
        try:
            if self._reception is not None:
                errors = self.protocol.errors
                met = self._reception.meet(device, message, transit.t, errors)
                if met is not None:
                    assert isinstance(transit, Transit)  # as whatever meets faults
                    transit.meet(met)
                    return self._meet(met, device, datagram, message)
            reaction = self._respond(device, message, datagram.time)  # as `_react` does
            if reaction.__class__ is dict:
                return self.send(device, datagram, reaction)
            return self._follow(reaction, device, datagram, message)
        except FAULTS as error:
            self.fail(device, error, rule=self._answering(device, datagram, message, error))
            return FAILED

    def _answering(
        self,
        device: SimDevice,
        datagram: Datagram,
        message: Mapping[str, Any],
        error: BaseException,
    ) -> str:
        """The rule whose answer cannot be encoded; "" if `error` is another, or no rule is known."""
        if not isinstance(error, EncodeError):
            return ""
        return answering_rule(self.unmatched.rules, device, message, datagram.time)

    def _react(self, device: SimDevice, datagram: Datagram, message: dict[str, Any]) -> str:
        """Let rules and behavior deal with `message`."""
        reaction = self._respond(device, message, datagram.time)
        if reaction.__class__ is dict:
            return self.send(device, datagram, reaction)
        return self._follow(reaction, device, datagram, message)

    def _follow(
        self, reaction: Reaction, device: SimDevice, datagram: Datagram, message: dict[str, Any]
    ) -> str:
        """Do what rules and behavior have said is to be done about `message`."""
        if isinstance(reaction, dict):
            return self.send(device, datagram, reaction)
        if isinstance(reaction, str):
            if reaction is NO_RULE:
                self.unmatched.add(device, message, datagram.time)
            return reaction
        return self._reply_in_turn(device, datagram, reaction)

    def _meet(
        self, met: Met, device: SimDevice, datagram: Datagram, message: dict[str, Any]
    ) -> str:
        """Do to `message` what faults do to it at the device."""
        if met.reboot is not None:
            self._reboot(device, met.reboot.down_s)
            return REBOOTED
        if met.delay_s > 0:
            outcome = self._pump.defer(datagram)
            due = datagram.time + met.delay_s
            late = met._replace(delay_s=0.0)
            arguments = late, device, device.reboots, datagram, message, due
            self._pump.timers.call_at(due, self._meet_late, *arguments)
            return outcome
        if met.reply is not None:
            return self.send(device, datagram, self._echoing(message, met.reply))
        return self._react(device, datagram, message)

    def _meet_late(
        self,
        met: Met,
        device: SimDevice,
        reboots: int,
        datagram: Datagram,
        message: dict[str, Any],
        due: float,
    ) -> None:
        outcome = FAILED
        datagram.time = due
        if device.reboots != reboots:
            outcome = REBOOTED
        elif not device.failed:
            try:
                outcome = self._meet(met, device, datagram, message)
            except FAULTS as error:
                self.fail(device, error)
        if outcome is not PENDING:
            self._pump.settle(datagram, outcome)

    def _echoing(self, message: Mapping[str, Any], reply: Mapping[str, Any]) -> dict[str, Any]:
        """`reply` with what the protocol repeats of the message that it is to."""
        said = dict(reply)
        echo_fields(self.protocol.echo, message, said)
        return said

    @contextmanager
    def listening(self, device: SimDevice, wants: Wants) -> Iterator[Listener]:
        """Until the block ends, a message to `device` that somebody `wants` goes to them: to the listener
        that is given."""
        listener = Listener(device, wants)
        self._listeners.add(listener)
        self._respond = self._listeners.respond
        try:
            yield listener
        finally:
            self._listeners.remove(listener)
            if not self._listeners:
                self._respond = self._listeners.otherwise

    def watch(self, look: Callable[[SimDevice, dict[str, Any], float], object]) -> None:
        """Have `look` see each message just before rules, behavior and model do."""
        otherwise = self._listeners.otherwise

        def respond(device: SimDevice, message: dict[str, Any], now: float) -> Reaction:
            look(device, message, now)
            return otherwise(device, message, now)

        self._listeners.otherwise = respond
        if not self._listeners:
            self._respond = respond

    def speak(
        self, device: SimDevice, message: Mapping[str, Any], local: int, peer: int, peer_port: int
    ) -> None:
        """Send `message` from `device`'s address `local`, unasked. EncodeError if it cannot be sent."""
        now = self._clock()
        datagram = Datagram(device.index, local, self.port, peer, peer_port, now, frame=NO_FRAME)
        self.send(device, datagram, message)
        if self._requests is not None:
            asked = self._answer_codec.tell(message, device)[1]
            self._requests.note(device, asked, (peer, peer_port), now)

    def _unanswered(
        self, device: SimDevice, reboots: int, request: Mapping[str, Any], to: Endpoint
    ) -> None:
        """Nobody has answered `request`: set what the rules for that say."""
        if device.failed or device.reboots != reboots or self._silence is None:
            return
        now = self._clock()
        who = format_endpoint(*to)
        said = self.protocol.summarize(request)
        self._emit(Note(now, f"{device.name}: {who} has not answered: {said}"))
        try:
            self._silence(device, dict(request), now)
        except FAULTS as error:
            self.fail(device, error)

    def send(self, device: SimDevice, datagram: Datagram, message: Mapping[str, Any]) -> str:
        """Send `message` from `device` to the other side of `datagram` now; the outcome of what
        is answered by it. EncodeError if it cannot be sent."""
        untold = self._untold and not self._told and message.__class__ is dict
        if self._outbound is not None:
            wire = message
            if untold:
                payload = self._encode(message, device)
            else:
                payload, wire = self._answer_codec.tell(message, device)
            outcome = self._outbound.send(device, datagram, payload, wire, None, untold=untold)
            if outcome is not None:
                return outcome
            if not untold:
                self._tell_sent(device, datagram, wire)
            elif self._recorded:
                self._emit_untold(datagram, payload, message)
            return ANSWERED
        if not (self._recorded or self._told):
            sending = self._leave(datagram, self._encode(message, device))
            return ANSWERED if sending is None else self._not_sent_yet(sending, device, datagram)
        if untold:
            payload = self._encode(message, device)
            sending = self._leave(datagram, payload)
            if sending is None:
                self._emit_untold(datagram, payload, message)
                return ANSWERED
            wire = self._answer_codec.tell_bytes(payload, message)
            return self._not_sent_yet(sending, device, datagram, wire)
        payload, wire = self._answer_codec.tell(message, device)
        sending = self._leave(datagram, payload)
        if sending is not None:
            return self._not_sent_yet(sending, device, datagram, wire)
        self._tell_sent(device, datagram, wire)
        return ANSWERED

    def _not_sent_yet(
        self,
        sending: str | Waiting,
        device: SimDevice,
        datagram: Datagram,
        message: Mapping[str, Any] | None = None,
    ) -> str:
        """Nobody is told of `message` before it has left, and nobody but the journal if it cannot."""

        def left(reason: str) -> None:
            outcome = ANSWERED
            if reason:
                self._emit(NotSent(self._clock(), device.name, reason, datagram.id))
                outcome = NOT_SENT
            elif message is not None:
                with suppress(Stalled):  # which its device is known for by now
                    self._tell_sent(device, datagram, message)
            self._pump.settle(datagram, outcome)

        if isinstance(sending, Waiting):
            sending.told = left
            return self._pump.defer(datagram)
        left(sending)
        return NOT_SENT

    def fail(
        self, device: SimDevice, error: BaseException, details: str = "", rule: str = ""
    ) -> None:
        """`device` has done what it cannot go on from: report it and let it be silent.

        `details` are the traceback, where `error` has none yet; `rule` is whose doing it was, where the
        traceback does not tell.
        """
        if device.failed:
            return
        device.failed = True
        details = details or "".join(traceback.format_exception(error))
        rule = rule or rule_behind(error)
        why = ": ".join(filter(None, (rule, fault_in_one_line(error))))
        self._emit(DeviceFailed(self._clock(), device.name, why, details))
        self._on_failure(device, why)

    def restart(self, device: SimDevice) -> None:
        """`device` begins anew."""

    def _reply_in_turn(self, device: SimDevice, datagram: Datagram, replies: list[Reply]) -> str:
        """Send what is due at once; for the rest the request stays pending until the first is sent."""
        outcome = ""
        for delay_s, message, rule in replies:
            if delay_s > 0:
                due = datagram.time + delay_s
                arguments = (device, device.reboots, datagram, message, rule)
                self._pump.timers.call_at(due, self._send_later, *arguments)
                continue
            try:
                sent = self.send(device, datagram, message)
            except FAULTS as error:
                self.fail(device, error, rule=rule)
                return FAILED
            outcome = outcome or sent
        return outcome or self._pump.defer(datagram)

    def _send_later(
        self,
        device: SimDevice,
        reboots: int,
        datagram: Datagram,
        message: Mapping[str, Any],
        rule: str,
    ) -> None:
        outcome = FAILED
        if device.reboots != reboots:
            outcome = REBOOTED
        elif not device.failed:
            try:
                outcome = self.send(device, datagram, message)
            except FAULTS as error:
                self.fail(device, error, rule=rule)
        if outcome is not PENDING:
            self._pump.settle(datagram, outcome)

    def _undecodable(
        self, device: SimDevice, datagram: Datagram, payload: bytes, error: DecodeError
    ) -> str:
        """Report it, and answer as the protocol says. Where the device lacks what the protocol asks of
        it, no datagram is to blame."""
        if isinstance(error.__cause__, DeviceError):
            self.fail(device, error)
            return FAILED
        datagram.id = next(self._ids)
        now = datagram.time
        self._report_undecodable(device, datagram, payload, error, now, datagram.id)
        self._remark(f"{device.name}: no message of {self._name}: {error}")
        self._judge.undecodable(device, now, error)
        if self._inbound is not None:
            outcome = self._inbound.take(device, datagram, payload, None, None)
            if outcome is not None:
                return outcome
        return self._refuse(device, datagram, payload, error)

    def _refuse(
        self, device: SimDevice, datagram: Datagram, payload: bytes, error: DecodeError
    ) -> str:
        try:
            reply = self._refusal(device, datagram, payload, error)
            return UNDECODABLE if reply is None else self.send(device, datagram, reply)
        except FAULTS as failure:
            self.fail(device, failure)
            return FAILED

    def _refusal(
        self, device: SimDevice, datagram: Datagram, payload: bytes, error: DecodeError
    ) -> Mapping[str, Any] | None:
        """The reply to what is no message, if there is one."""
        error_reply = self.protocol.error_reply
        return None if error_reply is None else error_reply(error, payload)
