"""The way of a message: in from a datagram, out to a datagram. Each has exactly one.

Everything here is a plain call made by the pump. A service is one protocol at one port of one fleet;
its `receive` is what the stack calls for a datagram, its `send` the only way by which a device speaks.
So this is the place where a message can be seen, counted, delayed or spoiled, whoever made it.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from iotsim.errors import DecodeError, IotsimError
from iotsim.events import DeviceFailed, Received, Sent, Undecodable
from iotsim.net.outcome import ANSWERED, PENDING, dropped
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

    def receive(
        self, index: int, payload: bytes, peer: int, peer_port: int, local: int, now: float, /
    ) -> str:
        """Take a datagram for device `index`; returns the outcome (see `iotsim.net`)."""
        device = self._device(index)
        if device.failed:
            return FAILED
        if self._boots_at is not None and now < self._boots_at(index):
            return NOT_BOOTED
        try:
            message = self._decode(payload)
        except DecodeError as error:
            return self._undecodable(device, payload, error, (peer, peer_port), local, now)
        device.peer = (peer, peer_port)
        name = who = ""
        if self._recorded:
            name, who = device.name, format_endpoint(peer, peer_port)
            self._emit(Received(now, name, who, self._name, message))
        try:
            for observe in self._heard:
                observe(device, message, now)
            reaction = self._respond(device, message, now)
            if isinstance(reaction, dict):
                self._send(device, reaction, local, peer, peer_port, name, who)
                return ANSWERED
            if isinstance(reaction, str):
                return reaction
            return self._reply_in_turn(device, reaction, local, peer, peer_port, now)
        except Exception as error:
            self.fail(device, error)
            return FAILED

    def send(
        self, device: SimDevice, message: Mapping[str, Any], local: int, peer: int, peer_port: int
    ) -> None:
        """Send `message` from `device`'s address `local` now. EncodeError if it cannot be sent."""
        who = format_endpoint(peer, peer_port)
        self._send(device, message, local, peer, peer_port, device.name, who)

    def _send(
        self,
        device: SimDevice,
        message: Mapping[str, Any],
        local: int,
        peer: int,
        peer_port: int,
        name: str,
        who: str,
    ) -> None:
        """The same; `name` and `who` are the device's and the peer's, as events have them."""
        payload = self._encode(message)
        self._send_udp(local, self.port, peer, peer_port, payload)
        now = self._pump.sent_at
        if self._recorded:
            self._emit(Sent(now, name, who, self._name, message))
        if self._told:
            carried = self._as_carried(payload, message)
            for observe in self._told:
                observe(device, carried, now)

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

    def _reply_in_turn(
        self,
        device: SimDevice,
        replies: list[Reply],
        local: int,
        peer: int,
        peer_port: int,
        now: float,
    ) -> str:
        """Send what is due at once; for the rest the request stays pending until the first is sent."""
        outcome = PENDING
        frame = self._pump.frames_received
        for delay_s, message in replies:
            if delay_s > 0:
                arguments = (device, message, local, peer, peer_port, frame)
                self._pump.timers.call_at(now + delay_s, self._send_later, *arguments)
            else:
                self.send(device, message, local, peer, peer_port)
                outcome = ANSWERED
        return outcome

    def _send_later(
        self,
        _due: float,
        device: SimDevice,
        message: Mapping[str, Any],
        local: int,
        peer: int,
        peer_port: int,
        frame: int,
    ) -> None:
        outcome = FAILED
        if not device.failed:
            try:
                self.send(device, message, local, peer, peer_port)
                outcome = ANSWERED
            except Exception as error:
                self.fail(device, error)
        self._pump.settle_pending(frame, outcome)

    def _undecodable(
        self,
        device: SimDevice,
        payload: bytes,
        error: DecodeError,
        peer: tuple[int, int],
        local: int,
        now: float,
    ) -> str:
        """Report it, and answer as the protocol says."""
        data = payload[:EVENT_DATA_BYTES].hex()
        self._emit(
            Undecodable(
                now,
                device.name,
                format_endpoint(*peer),
                self._name,
                error.reason,
                error.path,
                error.offset,
                data,
            )
        )
        self._judge.undecodable(device, now, error)
        error_reply = self.protocol.error_reply
        if error_reply is None:
            return UNDECODABLE
        try:
            reply = error_reply(error, payload)
            if reply is None:
                return UNDECODABLE
            self.send(device, reply, local, *peer)
        except Exception as failure:
            self.fail(device, failure)
            return FAILED
        return ANSWERED


def _one_line(error: Exception) -> str:
    if isinstance(error, IotsimError):
        return str(error).splitlines()[0]  # written for people; its class would tell them nothing
    return f"{type(error).__name__}: {error}".splitlines()[0]
