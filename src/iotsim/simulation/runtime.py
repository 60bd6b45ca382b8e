"""What behaviors may ask for, carried out: waiting by trio, sending by the services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from iotsim.events import Note, NotSent
from iotsim.match import Names, compile_match
from iotsim.session import Peer, Ticket, Unanswered
from iotsim.simulation.requests import field_at
from iotsim.simulation.sessions import SessionService
from iotsim.simulation.watchdog import FAULTS
from iotsim.wire.address import is_ipv4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.device.schedule import Endpoint
    from iotsim.simulation.exchange import Service
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.listening import Listener
    from iotsim.simulation.timers import Timers


class SimulationRuntime:
    """The `iotsim.device.behavior.Runtime` of a simulation; one for all of its devices.

    `gateway4` and `gateway6` are where devices send that nobody has spoken to yet, if the scenario
    declares it. `wake` has the pump see what a behavior's task has done while the pump slept;
    `reboot` lets a device begin anew, as soon as it has dealt with what it is about.
    """

    def __init__(
        self,
        services: Mapping[str, list[Service]],
        journal: Journal,
        clock: Callable[[], float],
        *,
        gateway4: Endpoint | None,
        gateway6: Endpoint | None,
        timers: Timers,
        wake: Callable[[], None],
        reboot: Callable[[SimDevice], object],
    ) -> None:
        self._services = services
        self._journal = journal
        self._clock = clock
        self._gateway4 = gateway4
        self._gateway6 = gateway6
        self._timers = timers
        self._wake = wake
        self._reboot = reboot

    def now(self) -> float:
        return self._clock()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(max(0.0, seconds))

    async def sleep_until(self, t: float) -> None:
        await trio.sleep(max(0.0, t - self._clock()))

    def gateway(self, device: SimDevice) -> Endpoint | None:
        return device.peer or self.declared_gateway(device)

    def declared_gateway(self, device: SimDevice) -> Endpoint | None:
        """Where the scenario says that the gateway is."""
        blocks = device.fleet.spec.blocks
        if device.fleet.spec.network.dhcp or (blocks and is_ipv4(blocks[0].first)):
            return self._gateway4
        return self._gateway6

    def note(self, device: SimDevice, text: str) -> None:
        self._journal.emit(Note(self._clock(), f"{device.name}: {text}"))
        self._wake()

    def send_nowait(
        self, device: SimDevice, message: Mapping[str, Any], to: Endpoint | None, service: int
    ) -> None:
        """Send by service number `service`; EncodeError as `Service.send`."""
        self._wake()
        peer = to or self.gateway(device)
        if device.failed:
            return
        if peer is None:
            reason = "nobody has spoken to it yet, and the scenario declares no gateway port"
            self._journal.emit(NotSent(self._clock(), device.name, reason))
            return
        local = self.address_for(device, peer)
        if local is None:
            reason = "it has no address of the family of its destination"
            self._journal.emit(NotSent(self._clock(), device.name, reason))
            return
        self._services[device.fleet.spec.name][service].speak(device, message, local, *peer)

    async def request(
        self,
        device: SimDevice,
        message: Mapping[str, Any],
        to: Endpoint | None,
        service: int,
        timeout_s: float,
    ) -> dict[str, Any]:
        """A session knows the answer; elsewhere it is the next message from there with the same values in
        the fields that the protocol echoes."""
        self._wake()
        whom = to or self.declared_gateway(device) or device.peer
        local = None if whom is None else self.address_for(device, whom)
        if whom is None or local is None:
            raise Unanswered("there is nobody to ask, or no address to ask from")
        speaker = self._services[device.fleet.spec.name][service]
        if isinstance(speaker, SessionService):
            ticket = TaskTicket(dict(message))
            speaker.submit(device, message, Peer(*whom, local, speaker.port), ticket)
            with trio.move_on_after(timeout_s):
                await ticket.event.wait()
            ticket.give_up()
            answer: dict[str, Any] = await ticket
            return answer
        protocol = speaker.protocol
        asked = protocol.answer_codec.tell(message, device)[1]
        repeated = [(path.split("."), field_at(asked, path.split("."))) for path in protocol.echo]

        def answers(device: SimDevice, message: dict[str, Any], now: float) -> bool:
            return device.peer == whom and all(
                field_at(message, at) == value for at, value in repeated
            )

        with speaker.listening(device, answers) as listener:
            speaker.speak(device, message, local, *whom)
            return await _heard(listener, timeout_s)

    async def receive(
        self, device: SimDevice, match: Mapping[str, Any], service: int, timeout_s: float
    ) -> dict[str, Any]:
        speaker = self._services[device.fleet.spec.name][service]
        schema = speaker.protocol.delivered_schema
        matcher = compile_match(match, schema, Names(device.fleet.spec.signals))

        def wants(device: SimDevice, message: dict[str, Any], now: float) -> bool:
            return bool(matcher.matches(message, device, now))

        with speaker.listening(device, wants) as listener:
            return await _heard(listener, timeout_s)

    def call_later(
        self, device: SimDevice, seconds: float, function: Callable[..., object], *arguments: Any
    ) -> None:
        due = self._clock() + max(0.0, seconds)
        self._timers.call_at(due, self._fire, device, device.reboots, function, arguments)

    def reboot(self, device: SimDevice) -> None:
        self._reboot(device)
        self._wake()

    def _fire(
        self,
        device: SimDevice,
        reboots: int,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
    ) -> None:
        if device.failed or device.reboots != reboots:
            return
        try:
            function(*arguments)
        except FAULTS as error:
            self._services[device.fleet.spec.name][0].fail(device, error)

    def address_for(self, device: SimDevice, peer: Endpoint) -> int | None:
        """The device's address of the same family as `peer`'s."""
        if device.leased and is_ipv4(peer[0]):
            return device.leased
        for block in device.fleet.spec.blocks:
            if is_ipv4(block.first) == is_ipv4(peer[0]):
                return block.first + device.index
        return None


class TaskTicket(Ticket):
    """A ticket for which a task waits."""

    __slots__ = ("event",)

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__(request)
        self.event = trio.Event()

    def _end(self, value: Any, error: BaseException | None) -> None:
        super()._end(value, error)
        self.event.set()


async def _heard(listener: Listener, timeout_s: float) -> dict[str, Any]:
    """What the listener hears; Unanswered after `timeout_s` seconds."""
    with trio.move_on_after(timeout_s):
        await listener.event.wait()
    if listener.message is None:
        raise Unanswered
    return listener.message
