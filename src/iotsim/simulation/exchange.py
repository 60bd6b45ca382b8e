"""The way of a message: in from a datagram, out to a datagram. Each has exactly one.

Everything here is a plain call made by the pump. A service is one protocol at one port of one fleet;
its `receive` is what the stack calls for a datagram, its `send` the only way by which a device speaks.
So this is the place where a message can be seen, counted, delayed or spoiled, whoever made it. The
`Datagram` that brought a message goes with it, and back with the answer.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from iotsim.errors import DecodeError, IotsimError
from iotsim.events import DeviceFailed, NotSent, Received, Sent, Undecodable
from iotsim.net.datagram import Datagram, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed, dropped
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.device.reaction import Reply
    from iotsim.expect.judge import Judge
    from iotsim.simulation.hosts import Hosts
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump

FAILED = dropped("device-failed")
NOT_BOOTED = dropped("device-not-booted")
UNDECODABLE = dropped("undecodable")
NOT_SENT = consumed("not-sent")
"""The answer could not leave."""
EVENT_DATA_BYTES = 256


class Service:
    """One protocol at one port of `fleet`; `index` is its place in the fleet's services."""

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
    ) -> None:
        spec = fleet.spec.services[index]
        self.protocol = spec.protocol
        self.port = spec.port
        self._name = spec.protocol.name
        self._device = fleet.device
        self._boots_at = fleet.boots_at if fleet.boots_later else None
        self._decode = spec.protocol.codec.decode
        self._encode = spec.protocol.codec.encode
        self._respond = fleet.responders[index]
        self._send_udp = hosts.send_udp
        self._pump = pump
        self._clock = pump.clock
        self._judge = judge
        self._emit = journal.emit
        self._recorded = journal.recording.messages
        self._heard = judge.observers(fleet.spec.name, "receives")
        self._told = judge.observers(fleet.spec.name, "sends")
        self._on_failure = on_failure

    def receive(self, datagram: Datagram, payload: bytes, /) -> str:
        """Take a datagram for one of the devices; returns its outcome (see `iotsim.net`)."""
        device = self._device(datagram.index)
        now = datagram.time
        if device.failed:
            return FAILED
        if self._boots_at is not None and now < self._boots_at(datagram.index):
            return NOT_BOOTED
        try:
            message = self._decode(payload)
        except DecodeError as error:
            return self._undecodable(device, datagram, payload, error)
        peer = datagram.peer, datagram.peer_port
        device.peer = peer
        name = who = ""
        if self._recorded:
            name, who = device.name, format_endpoint(*peer)
            self._emit(Received(now, name, who, self._name, message))
        try:
            for observe in self._heard:
                observe(device, message, now)
            reaction = self._respond(device, message, now)
            if isinstance(reaction, dict):
                return self._send(device, datagram, reaction, name, who)
            if isinstance(reaction, str):
                return reaction
            return self._reply_in_turn(device, datagram, reaction)
        except Exception as error:
            self.fail(device, error)
            return FAILED

    def speak(
        self, device: SimDevice, message: Mapping[str, Any], local: int, peer: int, peer_port: int
    ) -> None:
        """Send `message` from `device`'s address `local`, unasked. EncodeError if it cannot be sent."""
        datagram = Datagram(device.index, local, self.port, peer, peer_port, self._clock())
        self.send(device, datagram, message)

    def send(self, device: SimDevice, datagram: Datagram, message: Mapping[str, Any]) -> str:
        """Send `message` from `device` to the other side of `datagram` now; the outcome of what
        is answered by it. EncodeError if it cannot be sent."""
        who = format_endpoint(datagram.peer, datagram.peer_port)
        return self._send(device, datagram, message, device.name, who)

    def _send(
        self,
        device: SimDevice,
        datagram: Datagram,
        message: Mapping[str, Any],
        name: str,
        who: str,
    ) -> str:
        """The same; `name` and `who` are the device's and the peer's, as events have them."""
        payload = self._encode(message)
        sending = self._send_udp(datagram, payload)
        if sending is not None:
            return self._not_sent_yet(sending, device, datagram, message, payload)
        self._tell_sent(device, message, payload, name, who)
        return ANSWERED

    def _tell_sent(
        self, device: SimDevice, message: Mapping[str, Any], payload: bytes, name: str, who: str
    ) -> None:
        """Tell whom it concerns that `message` has just left as `payload`."""
        now = self._pump.sent_at
        if self._recorded:
            self._emit(Sent(now, name, who, self._name, message))
        if self._told:
            carried = self._as_carried(payload, message)
            for observe in self._told:
                observe(device, carried, now)

    def _not_sent_yet(
        self,
        sending: str | Waiting,
        device: SimDevice,
        datagram: Datagram,
        message: Mapping[str, Any],
        payload: bytes,
    ) -> str:
        """Nobody is told of `message` before it has left, and nobody but the journal if it cannot."""

        def left(reason: str) -> None:
            outcome = ANSWERED
            if reason:
                self._emit(NotSent(self._clock(), device.name, reason))
                outcome = NOT_SENT
            else:
                who = format_endpoint(datagram.peer, datagram.peer_port)
                self._tell_sent(device, message, payload, device.name, who)
            self._pump.settle(datagram, outcome)

        if isinstance(sending, Waiting):
            sending.told = left
            return self._pump.defer(datagram)
        left(sending)
        return NOT_SENT

    def _as_carried(self, payload: bytes, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the other side reads: with defaults, computed fields, and numbers of the wire.

        Only expectations are given that; a decode for each event would be a twentieth of the rate.
        """
        try:
            return self._decode(payload)
        except DecodeError:
            return message  # a protocol may write what it does not read

    def fail(self, device: SimDevice, error: Exception) -> None:
        """`device` has done what it cannot go on from: report it and let it be silent."""
        device.failed = True
        text = "".join(traceback.format_exception(error))
        why = _one_line(error)
        self._emit(DeviceFailed(self._clock(), device.name, why, text))
        self._on_failure(device, why)

    def _reply_in_turn(self, device: SimDevice, datagram: Datagram, replies: list[Reply]) -> str:
        """Send what is due at once; for the rest the request stays pending until the first is sent."""
        outcome = ""
        for delay_s, message in replies:
            if delay_s > 0:
                self._pump.timers.call_at(
                    datagram.time + delay_s, self._send_later, device, datagram, message
                )
            else:
                outcome = outcome or self.send(device, datagram, message)
        return outcome or self._pump.defer(datagram)

    def _send_later(
        self, device: SimDevice, datagram: Datagram, message: Mapping[str, Any]
    ) -> None:
        outcome = FAILED
        if not device.failed:
            try:
                outcome = self.send(device, datagram, message)
            except Exception as error:
                self.fail(device, error)
        if outcome is not PENDING:
            self._pump.settle(datagram, outcome)

    def _undecodable(
        self, device: SimDevice, datagram: Datagram, payload: bytes, error: DecodeError
    ) -> str:
        """Report it, and answer as the protocol says."""
        self._emit(
            Undecodable(
                datagram.time,
                device.name,
                format_endpoint(datagram.peer, datagram.peer_port),
                self._name,
                error.reason,
                error.path,
                error.offset,
                payload[:EVENT_DATA_BYTES].hex(),
            )
        )
        self._judge.undecodable(device, datagram.time, error)
        error_reply = self.protocol.error_reply
        if error_reply is None:
            return UNDECODABLE
        try:
            reply = error_reply(error, payload)
            return UNDECODABLE if reply is None else self.send(device, datagram, reply)
        except Exception as failure:
            self.fail(device, failure)
            return FAILED


def _one_line(error: Exception) -> str:
    if isinstance(error, IotsimError):
        return str(error).splitlines()[0]  # written for people; its class would tell them nothing
    return f"{type(error).__name__}: {error}".splitlines()[0]
