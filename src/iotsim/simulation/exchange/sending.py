"""From a device to the link: the only way by which it speaks, and the end of a device that cannot go on."""

from __future__ import annotations

import traceback
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.device.template import rule_behind
from iotsim.events import DeviceFailed, NotSent
from iotsim.net.datagram import Datagram, Waiting
from iotsim.net.outcome import ANSWERED
from iotsim.simulation.telling import Telling
from iotsim.simulation.watchdog import Stalled, fault_in_one_line
from iotsim.simulation.ways import NOT_SENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.expect.judge import Judge
    from iotsim.net.datagram import Sending
    from iotsim.simulation.disturbance import Disturbances
    from iotsim.simulation.exchange.layer import Layer
    from iotsim.simulation.hosts import Hosts
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.ways import Outbound


class MessageSending(Telling):
    """A service, as far as its devices send."""

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
        layers: Sequence[Layer],
        disturbances: Disturbances | None,
    ) -> None:
        super().__init__(fleet, index, pump=pump, judge=judge, journal=journal)
        self.port = fleet.spec.services[index].port
        self._encode = self._answer_codec.encode
        self._on_failure = on_failure
        self._leave: Callable[[Datagram, bytes], Sending] = hosts.send_udp
        for layer in layers:
            self._leave = partial(layer.send, onward=self._leave)
        self._outbound: Outbound | None = None
        if disturbances is not None:
            self._outbound = disturbances.outbound(
                fleet,
                index,
                self._leave,
                hosts.send_corrupt,
                self.tell_departed,
                self._answer_codec,
            )
        if self._outbound is not None:
            self._outbound.fail = self.fail

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
            if sending is None:
                return ANSWERED
            return self._leave_later(sending, device, datagram, None)
        if untold:
            payload = self._encode(message, device)
            sending = self._leave(datagram, payload)
            if sending is None:
                self._emit_untold(datagram, payload, message)
                return ANSWERED
            wire = self._answer_codec.tell_bytes(payload, message)
            tell = partial(self._tell_sent, device, datagram, wire)
            return self._leave_later(sending, device, datagram, tell)
        payload, wire = self._answer_codec.tell(message, device)
        sending = self._leave(datagram, payload)
        if sending is not None:
            tell = partial(self._tell_sent, device, datagram, wire)
            return self._leave_later(sending, device, datagram, tell)
        self._tell_sent(device, datagram, wire)
        return ANSWERED

    def _leave_later(
        self,
        sending: str | Waiting,
        device: SimDevice,
        datagram: Datagram,
        tell: Callable[[], object] | None,
    ) -> str:
        """What answers `datagram` waits to leave, or cannot: `tell` of it once it has left. The outcome of
        that for now."""

        def left(reason: str) -> None:
            outcome = ANSWERED
            if reason:
                self._emit(NotSent(self._clock(), device.name, reason, datagram.id))
                outcome = NOT_SENT
            elif tell is not None:
                with suppress(Stalled):  # which its device is known for by now
                    tell()
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
