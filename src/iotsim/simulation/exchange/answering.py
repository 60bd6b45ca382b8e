"""From a message to its answer: rules and behavior, who listens for it, and the faults that a device has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iotsim.device.explain import answering_rule
from iotsim.device.reaction import NO_RULE
from iotsim.device.template import echo_fields
from iotsim.errors import EncodeError
from iotsim.events import Note
from iotsim.net.datagram import NO_FRAME, Datagram
from iotsim.net.outcome import PENDING, dropped
from iotsim.simulation.exchange.sending import MessageSending
from iotsim.simulation.listening import Listener, Listeners
from iotsim.simulation.requests import Requests
from iotsim.simulation.transit import FAILED
from iotsim.simulation.unmatched import UnmatchedMessages
from iotsim.simulation.watchdog import FAULTS
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.device.reaction import Reaction, Reply
    from iotsim.device.schedule import Endpoint
    from iotsim.simulation.disturbance import Disturbances
    from iotsim.simulation.listening import Wants
    from iotsim.simulation.reception import Met, Reception

REBOOTED = dropped("device-rebooted")
"""The device has forgotten that it was asked."""


class Answering(MessageSending):
    """A service, as far as its devices answer. `reboot` lets one begin anew, as soon as it has dealt with
    what it is about."""

    def __init__(
        self,
        fleet: Fleet,
        index: int,
        *,
        reboot: Callable[[SimDevice, float], object],
        disturbances: Disturbances | None,
        **rest: Any,
    ) -> None:
        super().__init__(fleet, index, disturbances=disturbances, **rest)
        self._respond = fleet.responders[index]
        self._requests: Requests | None = None
        self._silence = fleet.unanswered[index]
        if self._silence is not None:
            echo, timers = self.protocol.echo, self._pump.timers
            self._requests = Requests(echo, self._respond, timers, self._unanswered)
            self._respond = self._requests.respond
        self._listeners = Listeners(self._respond)
        self.unmatched = UnmatchedMessages(fleet, index, self._journal)
        self._met_on_wire: Reception | None = None
        self._reception: Reception | None = None
        if disturbances is not None:
            self._met_on_wire, self._reception = disturbances.receptions(fleet, index)
        self._reboot = reboot

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
