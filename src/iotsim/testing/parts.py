"""What takes part in a run, in the hands of a test: devices, the gateway, services on its other side.

All of it is of a `iotsim.testing.live.LiveRun`, and given by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from iotsim.errors import IotsimError, Problem, ScenarioError
from iotsim.events import GatewayOutput
from iotsim.scenario.selectors import select
from iotsim.simulation.commands import (
    ActOnGateway,
    ActOnNorthbound,
    Reboot,
    Send,
    SetSignal,
    SetState,
)
from iotsim.testing.waiting import NotSeen
from iotsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.fleet import SimDevice
    from iotsim.device.spec import ServiceSpec
    from iotsim.events import Event
    from iotsim.expect.spec import Layer
    from iotsim.northbound.rules import Answer
    from iotsim.run.gateway import GatewayAction
    from iotsim.testing.live import LiveRun

Time = float | str
"""Seconds of the run, or a text as in scenarios: "5s", "200ms"."""


class LiveDevices:
    """Devices that a selector names. ``state``, ``address``, ``signal``, ``encode`` and ``decode`` are of a
    sole one."""

    def __init__(self, sim: LiveRun, selector: str) -> None:
        self._sim = sim
        self.selector = selector
        fleets = sim._simulation.fleets
        try:
            chosen = select(
                selector,
                {name: len(fleet) for name, fleet in fleets.items()},
                sim.run.scenario.seed,
            )
        except ValueError as error:
            hint = getattr(error, "hint", "")
            raise ScenarioError([Problem(str(error), hint=hint)]) from None
        self._fleet = fleets[chosen.fleet]
        self._indexes = chosen.indexes

    @property
    def _sole(self) -> SimDevice:
        if len(self._indexes) != 1:
            raise IotsimError(f"{self.selector} are {len(self._indexes)} devices, and not one")
        return self._fleet.device(self._indexes[0])

    @property
    def names(self) -> list[str]:
        return [f"{self._fleet.spec.name}[{index}]" for index in self._indexes]

    @property
    def address(self) -> str:
        return self._sole.address

    @property
    def state(self) -> dict[str, Any]:
        """A copy of what the device remembers."""
        return dict(self._sole.state)

    def signal(self, name: str) -> float:
        """What a signal of the device is now."""
        if name not in self._fleet.signals:
            raise ScenarioError([Problem(f"'{self._fleet.spec.name}' has no signal {name!r:.100}")])
        return self._sole.signal(name, self._sim.now)

    def encode(self, message: Mapping[str, Any], *, protocol: str | None = None) -> bytes:
        """The bytes of a message to them, by the protocol of this name, or their first."""
        return self._service(protocol).protocol.codec.encode(message, self._sole)

    def decode(self, payload: bytes, *, protocol: str | None = None) -> dict[str, Any]:
        """What a message of theirs says. DecodeError if it is none."""
        message: dict[str, Any] = self._service(protocol).protocol.answer_codec.decode(
            payload, self._sole
        )
        return message

    def _service(self, protocol: str | None) -> ServiceSpec:
        for service in self._fleet.spec.services:
            if protocol in (None, service.protocol.name):
                return service
        what = "protocol" if protocol is None else repr(protocol)
        raise ScenarioError([Problem(f"'{self._fleet.spec.name}' speaks no {what:.100}")])

    def received(
        self, match: Mapping[str, Any] | None = None, *, layer: Layer = "application"
    ) -> list[Event]:
        return self._sim.received(self.selector, match, layer=layer)

    def sent(
        self, match: Mapping[str, Any] | None = None, *, layer: Layer = "application"
    ) -> list[Event]:
        return self._sim.sent(self.selector, match, layer=layer)

    async def set(self, **state: Any) -> None:
        """Give them new state, as ``set`` of a rule."""
        await self._sim.do(SetState(self.selector, state))

    async def set_signal(self, **values: float) -> None:
        """Let signals be these numbers from now on."""
        await self._sim.do(SetSignal(self.selector, values))

    async def send(
        self,
        message: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        to: str = "gateway",
        *,
        protocol: str | None = None,
    ) -> None:
        """Let them send a message, or several."""
        table: Any = dict(message) if hasattr(message, "keys") else [dict(one) for one in message]
        await self._sim.do(Send(self.selector, table, to=to, protocol=protocol))

    async def reboot(self) -> None:
        """Let them begin anew."""
        await self._sim.do(Reboot(self.selector))

    async def wait_for(self, **what: Any) -> Any:
        """As `LiveRun.wait_for`, of these devices."""
        __tracebackhide__ = True
        return await self._sim.wait_for(self.selector, **what)


class LiveGateway:
    """The gateway's process."""

    def __init__(self, sim: LiveRun) -> None:
        self._sim = sim

    @property
    def state(self) -> str:
        """A `iotsim.run.gateway.State`, such as "ready"; "" where there is none of ours."""
        gateway = self._sim.run.gateway
        return "" if gateway is None else gateway.state

    @property
    def pid(self) -> int:
        """Of its present life, or the last; 0 if there was none."""
        gateway = self._sim.run.gateway
        return 0 if gateway is None or gateway.life is None else gateway.life.pid

    @property
    def output(self) -> list[str]:
        """The lines that it has printed so far."""
        return [event.line for event in self._sim.events if isinstance(event, GatewayOutput)]

    async def wait_ready(self, within: Time = "10s") -> None:
        """Wait until it is ready."""
        __tracebackhide__ = True
        with trio.move_on_after(in_seconds(within) * self._sim.run.scenario.tolerance):
            while self.state not in ("ready", ""):
                await self._sim._seen.news()
        if self.state not in ("ready", ""):
            raise NotSeen(f"the gateway is not ready within {within}, but {self.state}")

    async def start(self) -> None:
        await self._do("start")

    async def stop(self) -> None:
        await self._do("stop")

    async def kill(self) -> None:
        await self._do("kill")

    async def restart(self) -> None:
        await self._do("restart")

    async def pause(self) -> None:
        await self._do("pause")

    async def resume(self) -> None:
        await self._do("resume")

    async def _do(self, action: GatewayAction) -> None:
        await self._sim.do(ActOnGateway(action))


class LiveService:
    """A service on the gateway's other side."""

    def __init__(self, sim: LiveRun, name: str) -> None:
        self._sim = sim
        self.name = name
        sim._looking.northbound(name, {})

    def received(self, match: Mapping[str, Any] | None = None) -> list[Event]:
        """What it has received so far that matches: `iotsim.events.Northbound`, in order."""
        return self._sim._seen.find(self._sim._looking.northbound(self.name, match or {}))

    async def wait_for(self, receives: Mapping[str, Any] | None = None, **how: Any) -> Any:
        """As `LiveRun.wait_for`, of this service."""
        __tracebackhide__ = True
        return await self._sim.wait_for(northbound=self.name, receives=receives or {}, **how)

    async def start(self) -> None:
        await self._sim.do(ActOnNorthbound(self.name, "start"))

    async def stop(self) -> None:
        await self._sim.do(ActOnNorthbound(self.name, "stop"))

    async def receive(self, **fields: Any) -> Answer:
        """On a memory link: let it receive something; see `iotsim.run.run.Run.receive`."""
        return await self._sim.run.receive(self.name, fields)


def in_seconds(time: Time) -> float:
    """Seconds, of a number of them or a text such as "5s". ScenarioError for what is neither."""
    if not isinstance(time, str):
        return float(time)
    try:
        return parse_duration(time)
    except ValueError as error:
        raise ScenarioError([Problem(str(error))]) from None
