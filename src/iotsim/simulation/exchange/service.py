"""From the link to a device: a datagram is decoded, told of, and answered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.errors import DecodeError, IotsimError
from iotsim.events import Untold, note_what_befell
from iotsim.net.outcome import dropped
from iotsim.protocol.device import DeviceError
from iotsim.simulation.exchange.answering import Answering
from iotsim.simulation.transit import FAILED, Transit
from iotsim.simulation.watchdog import FAULTS, Stalled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.events import Befell, Received
    from iotsim.expect.judge import Judge
    from iotsim.expect.subscription import Observer
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram
    from iotsim.simulation.disturbance import Disturbances
    from iotsim.simulation.exchange.layer import Layer
    from iotsim.simulation.hosts import Hosts
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.transit import Arriving
    from iotsim.simulation.ways import Inbound

UNDECODABLE = dropped("undecodable")
MISSED = dropped("host-absent")
AWAY: Befell = ("away", "lost", 0.0)
"""What befalls a message to a device that is not there."""


def _cannot_reboot(_device: SimDevice, _down_s: float) -> None:
    raise IotsimError("a service by itself cannot let its devices reboot")


class Service(Answering):
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
        super().__init__(
            fleet,
            index,
            hosts=hosts,
            pump=pump,
            judge=judge,
            journal=journal,
            on_failure=on_failure,
            reboot=reboot,
            layers=layers,
            disturbances=disturbances,
        )
        self._devices = fleet.devices
        self._device = fleet.device
        self._decode = self.protocol.codec.decode
        self.receive: PortHandler = self._receive
        self._noting: Datagram | None = None
        """The datagram that is being decoded; only where somebody wants to know what an answer answers."""
        if judge.answers(fleet.spec.name):
            self._decode = self._decode_request
            self.receive = self._receive_request
        self._heard_at_link: Collection[Observer] = self._heard
        """Who looks at what comes, whatever becomes of it."""
        self._layer_at_link = ""
        for layer in reversed(layers):
            self.receive = partial(layer.receive, onward=self.receive)
        self._inbound: Inbound | None = None
        if disturbances is not None:
            faulty = self._met_on_wire is not None or self._reception is not None
            self._inbound = disturbances.inbound(fleet, index, self._arrived, faulty=faulty)
        if self._inbound is not None:
            self._inbound.fail = self.fail
        self._may_be_left_untold(
            seen=self._outbound is not None and self._outbound.looks,
            straight=self._inbound is None and self._outbound is None and not layers,
        )

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
