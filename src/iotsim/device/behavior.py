"""Behaviors: devices written in Python.

A behavior is a class in a file of the user's::

    class Meter(Device):
        async def run(self):                       # a task of its own, only if it is there
            async for _ in self.every("10s", jitter="1s"):
                await self.send({"kind": "REPORT", "value": self.signal("temperature")})

        @on(kind="READ")                           # a plain function: no task switch
        def read(self, request):
            return {"kind": "REPORT", "value": self.signal("temperature")}

Everything that takes time goes through the `Runtime` that the simulation gives, so this module knows
no event loop. Instances are made when a device is first needed: at its boot if the class has
``run``, else with its first message that no rule took.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from iotsim.rng import key, stream, unit
from iotsim.units import parse_duration, parse_endpoint
from iotsim.userfile import check_plain

if TYPE_CHECKING:
    from random import Random

    from iotsim.device.fleet import SimDevice
    from iotsim.device.schedule import Endpoint

HANDLER_MARK = "_iotsim_on"
Handler = TypeVar("Handler", bound=Callable[..., Any])


class Runtime(Protocol):
    """What the simulation does for behaviors. Times are seconds since the start of the run."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 lets other tasks run."""

    async def sleep_until(self, t: float) -> None:
        """Wait until `t`; if that has passed, let other tasks run."""

    def send_nowait(
        self, device: SimDevice, message: Mapping[str, Any], to: Endpoint | None, service: int
    ) -> None:
        """Send `message` from `device`, by its service number `service`; None is the gateway.

        EncodeError if no message of the protocol can be made of it. Without a destination an event
        says so.
        """

    async def request(
        self,
        device: SimDevice,
        message: Mapping[str, Any],
        to: Endpoint | None,
        service: int,
        timeout_s: float,
    ) -> dict[str, Any]:
        """Send `message`, and wait for what answers it. `Unanswered` if nothing does in time.

        None is the gateway: the declared one, else who last spoke to the device.
        """
        ...

    async def receive(
        self, device: SimDevice, match: Mapping[str, Any], service: int, timeout_s: float
    ) -> dict[str, Any]:
        """Wait for a message that matches. `Unanswered` if none comes in time."""
        ...

    def call_later(
        self, device: SimDevice, seconds: float, function: Callable[..., object], *arguments: Any
    ) -> None:
        """Call `function` then, unless the device has rebooted or failed."""

    def reboot(self, device: SimDevice) -> None:
        """Let `device` begin anew, as soon as it has dealt with what it is about."""

    def gateway(self, device: SimDevice) -> Endpoint | None:
        """Whom `device` takes for the gateway: who last spoke to it, else the declared one."""

    def note(self, device: SimDevice, text: str) -> None:
        """Report `text` as an event."""


def on(match: Mapping[str, Any] | None = None, /, **fields: Any) -> Callable[[Handler], Handler]:
    """Mark a method of a `Device` as the handler of messages that match.

    The conditions are those of ``when`` in a scenario: ``@on(kind="READ")``, ``@on(value={"min":
    5})``; ``@on({"header.code": 1})`` for fields in structs; ``@on()`` for every message. Handlers
    are tried in the order in which they are written. Several marks on one method are alternatives.

    The method is called with the message, a dict, and returns the reply (a dict), a list of
    replies, or None for silence. Fields that the protocol echoes need not be given. TypeError if
    it is no plain function.
    """
    conditions = {**(match or {}), **fields}

    def mark(function: Handler) -> Handler:
        if not inspect.isfunction(function):
            raise TypeError("@on belongs above a method")
        check_plain(
            function,
            f"{function.__name__}()",
            "an @on handler answers at once and is a plain 'def'; what waits belongs in 'async def run'",
        )
        try:
            inspect.signature(function).bind(None, None)
        except TypeError:
            raise TypeError(
                f"{function.__name__}() must take two arguments: self and the message"
            ) from None
        # The mark nearest to the method is applied first.
        marks = [conditions, *getattr(function, HANDLER_MARK, ())]
        setattr(function, HANDLER_MARK, marks)
        return function

    return mark


class Device:
    """The base class of behaviors. Override ``run``, add ``@on`` handlers, keep what you like in
    attributes; ``__init__`` takes no arguments, and everything below works in it already."""

    _sim: SimDevice
    _runtime: Runtime
    _clocks: int = 0
    _random: Random | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not inspect.iscoroutinefunction(cls.run):
            raise TypeError(
                f"{cls.__name__}.run is a task of the device's own, so it must be an 'async def'"
            )

    async def run(self) -> None:
        """The device's own task, from its boot on. When it returns, the handlers still answer."""

    @property
    def index(self) -> int:
        """The device's number in its fleet, from 0."""
        return self._sim.index

    @property
    def name(self) -> str:
        """As in scenarios: ``meter[3]``."""
        return self._sim.name

    @property
    def address(self) -> str:
        """The device's (first) IP address."""
        return self._sim.address

    @property
    def state(self) -> dict[str, Any]:
        """What the device remembers, shared with its rules; it begins as the scenario says."""
        return self._sim.state

    @property
    def now(self) -> float:
        """Seconds since the start of the run."""
        return self._runtime.now()

    @property
    def random(self) -> Random:
        """This device's own random numbers, which the scenario's seed repeats."""
        if self._random is None:
            fleet = self._sim.fleet
            self._random = stream(fleet.seed, fleet.spec.name, self.index, "behavior")
        return self._random

    @property
    def gateway(self) -> Endpoint | None:
        """Whom this device takes for the gateway: who last spoke to it, else the declared one."""
        return self._runtime.gateway(self._sim)

    def signal(self, name: str) -> float:
        """The reading of the signal `name` now."""
        return self._sim.signal(name, self._runtime.now())

    def log(self, text: object) -> None:
        """Write a note into the run's events."""
        self._runtime.note(self._sim, str(text))

    async def sleep(self, duration: str | float) -> None:
        """Wait for `duration`, in seconds or as ``"1.5s"``."""
        await self._runtime.sleep(_seconds(duration))

    def every(self, interval: str | float, jitter: str | float = 0.0) -> AsyncIterator[int]:
        """Ticks for ``async for``: 0, 1, 2 …, one per `interval`, without drift.

        The first comes after a part of the interval that is this device's own, so that a fleet
        does not speak in unison. Each is late by at most `jitter`. Where the body takes longer than
        the interval, the ticks that it missed are left out, and their numbers too.
        """
        self._clocks += 1
        fleet = self._sim.fleet
        stream_key = key(fleet.seed, fleet.spec.name, "every", self._clocks)
        return _Ticks(self, stream_key, _seconds(interval), _seconds(jitter))

    async def send(
        self, message: Mapping[str, Any], to: Endpoint | str | None = None, *, service: int = 0
    ) -> None:
        """Send `message` to the gateway, or `to` (``"10.77.0.9:5600"``), and let others run.

        `service` is the number of the protocol, for devices that speak several.
        """
        self.send_nowait(message, to, service=service)
        await self._runtime.sleep(0.0)

    def send_nowait(
        self, message: Mapping[str, Any], to: Endpoint | str | None = None, *, service: int = 0
    ) -> None:
        """The same from a plain function, such as an ``@on`` handler."""
        self._runtime.send_nowait(self._sim, message, _endpoint(to), service)

    async def request(
        self,
        message: Mapping[str, Any],
        to: Endpoint | str | None = None,
        *,
        timeout: str | float,  # noqa: ASYNC109  # what is waited for is not the event loop's
        service: int = 0,
    ) -> dict[str, Any]:
        """Send `message`, and wait for what answers it, which is returned; no rule and no handler sees that.

        A protocol with a session knows what answers, and repeats the request as it has it. Elsewhere it is
        the next message from there that has the same values in the fields that the protocol echoes.
        `iotsim.Unanswered` if nothing answers within `timeout`, or the request was refused.
        """
        seconds = _seconds(timeout)
        return await self._runtime.request(self._sim, message, _endpoint(to), service, seconds)

    async def receive(
        self,
        match: Mapping[str, Any] | None = None,
        /,
        *,
        within: str | float = math.inf,
        service: int = 0,
        **fields: Any,
    ) -> dict[str, Any]:
        """Wait for a message that matches, as of `on`, and return it; no rule and no handler sees it.

        `iotsim.Unanswered` if none comes within that time.
        """
        wanted = {**(match or {}), **fields}
        return await self._runtime.receive(self._sim, wanted, service, _seconds(within))

    def later(self, delay: str | float, function: Callable[..., object], *arguments: Any) -> None:
        """Call a plain function after `delay`, unless the device has rebooted meanwhile."""
        check_plain(
            function,
            f"{getattr(function, '__name__', 'that')}()",
            "later() calls a plain function; what waits belongs in 'async def run'",
        )
        self._runtime.call_later(self._sim, _seconds(delay), function, *arguments)

    def reboot(self) -> None:
        """Begin anew, as soon as the handler has returned: what the device remembers is lost, and what it was
        about to do is not done."""
        self._runtime.reboot(self._sim)


class _Ticks:
    def __init__(self, device: Device, stream_key: int, interval: float, jitter: float) -> None:
        if interval <= 0:
            raise ValueError("the interval of every() must be above 0")
        self._device = device
        self._key = stream_key
        self._interval = interval
        self._jitter = jitter
        index = device._sim.index
        self._start = device._runtime.now() + interval * unit(stream_key, index, -1)
        self._n = -1

    def __aiter__(self) -> _Ticks:
        return self

    async def __anext__(self) -> int:
        passed = (self._device._runtime.now() - self._start) // self._interval
        self._n = max(self._n + 1, int(passed))
        late = self._jitter * unit(self._key, self._device._sim.index, self._n)
        due = self._start + self._n * self._interval + late
        await self._device._runtime.sleep_until(due)
        return self._n


def _endpoint(to: Endpoint | str | None) -> Endpoint | None:
    """Where `to` is; None is the gateway."""
    if isinstance(to, str):
        return None if to == "gateway" else parse_endpoint(to)
    return to


def _seconds(duration: str | float) -> float:
    return parse_duration(duration) if isinstance(duration, str) else float(duration)
