"""All services of a run: started before the gateway, stopped after it, and told to do so in between."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from iotsim.errors import IotsimError
from iotsim.northbound.rules import UNANSWERED, Answer, RuleError, Rules
from iotsim.run.northbound.amqtt import AmqttService
from iotsim.run.northbound.broker import BrokerService
from iotsim.run.northbound.command import CommandService
from iotsim.run.northbound.datagrams import SyslogService, UdpService
from iotsim.run.northbound.files import SUBSTITUTE
from iotsim.run.northbound.http import HttpService
from iotsim.run.northbound.resolver import Resolver
from iotsim.run.northbound.service import Service, ServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.service import Surroundings


def make_broker(spec: NorthboundSpec, surroundings: Surroundings) -> Service:
    """By mosquitto, else by what stands in for it."""
    if surroundings.files.broker == SUBSTITUTE:
        return AmqttService(spec, surroundings)
    return BrokerService(spec, surroundings)


SERVICES: dict[str, Callable[[NorthboundSpec, Surroundings], Service]] = {
    "http": HttpService,
    "udp": UdpService,
    "syslog": SyslogService,
    "mqtt": make_broker,
    "command": CommandService,
}


class Northbound:
    """The services `specs`, and the name server of `hosts`, in `surroundings`."""

    def __init__(
        self,
        specs: Sequence[NorthboundSpec],
        hosts: Mapping[str, Sequence[str]],
        surroundings: Surroundings,
    ) -> None:
        self._run = surroundings
        self._services = {spec.name: SERVICES[spec.kind](spec, surroundings) for spec in specs}
        self._resolver = Resolver(hosts) if hosts else None
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """They serve while the block goes on. ServiceError if one cannot."""
        async with trio.open_nursery() as self._nursery:
            if self._resolver is not None:
                await self._nursery.start(self._resolver.live, self._run.testbed)
            for service in self._services.values():
                await service.start(self._nursery)
            yield
            await self.close()
            self._nursery.cancel_scope.cancel()

    async def close(self) -> None:
        """Stop them all, and report what they have got."""
        for service in self._services.values():
            await service.stop()

    async def do(self, name: str, action: str) -> None:
        """``stop`` or ``start`` the service `name`; returns when that is done.

        IotsimError if there is none, ServiceError if it does not start again.
        """
        service = self._services.get(name)
        if service is None:
            raise IotsimError(f"there is no northbound service {name!r}")
        if action == "stop":
            await service.stop()
        elif action == "start":
            assert self._nursery is not None
            await service.start(self._nursery)
        else:
            raise IotsimError(f"{action!r} is not what a northbound service can do: start, stop")

    async def drain(self) -> None:
        """Report what the services have got already."""
        for service in self._services.values():
            if service.running:
                await service.drain()

    def counters(self) -> dict[str, int]:
        """Everything counted, by name: ``northbound.NAME.…``."""
        return dict(self._run.counters)

    def lost(self) -> int:
        """Datagrams that were dropped since we did not take them in time."""
        for service in self._services.values():
            service.note_lost()
        return sum(n for name, n in self._run.counters.items() if name.endswith(".lost"))

    def notes(self) -> list[str]:
        """What people should know of a run besides."""
        notes = []
        if self._resolver is not None and (unknown := self._resolver.server.unknown):
            names = ", ".join(unknown)
            notes.append(f"The gateway asked for names that [link] hosts does not have: {names}.")
        for name, what in NOTED.items():
            for counter, number in self._run.counters.items():
                if counter.endswith(f".{name}"):
                    service = counter.removesuffix(f".{name}")
                    notes.append(f"{service}: {what}: {number}.")
        return notes


NOTED = {
    "connections_refused": "connections closed at once, beyond the most that it holds",
    "handshakes_failed": "TLS handshakes that failed (events.jsonl has the reasons)",
    "requests_refused": "requests that were no HTTP, or too large (events.jsonl has the reasons)",
    "lines_refused": "lines of its output that are no JSON objects (events.jsonl has them)",
    "lost": "datagrams that were dropped before they could be taken",
    "answers_dropped": "answers that could not be sent",
}


class Injected:
    """The services of a run on a memory link, where nobody is who could connect: the program that has
    opened the run tells what they receive, and gets the answer."""

    def __init__(
        self,
        specs: Sequence[NorthboundSpec],
        seed: int,
        clock: Callable[[], float],
        report: Callable[[NorthboundSpec, dict[str, Any]], None],
    ) -> None:
        self._clock = clock
        self._report = report
        self._specs = {spec.name: spec for spec in specs}
        self._rules = {spec.name: Rules(spec, seed, _unasked(spec)) for spec in specs}
        self._stopped: set[str] = set()

    async def receive(self, name: str, fields: Mapping[str, Any]) -> Answer:
        """Let the service `name` receive what these `fields` say, as its kind has them; its answer.

        One of HTTP gives it a ``status``. ConnectionError if it is stopped, LookupError if there is none,
        IotsimError if an expression of its rules fails.
        """
        spec = self._specs[name]
        if name in self._stopped:
            raise ConnectionRefusedError(f"northbound.{name} is stopped")
        seen = dict(fields)
        try:
            answer = self._rules[name].answer(seen, self._clock())
        except RuleError as error:
            raise IotsimError(str(error)) from error
        if answer.delay_s:
            await trio.sleep(answer.delay_s)
        if name in self._stopped:
            self._report(spec, {**seen, "status": UNANSWERED} if spec.kind == "http" else seen)
            raise ConnectionResetError(f"northbound.{name} was stopped")
        if spec.kind == "http":
            taken = answer.body is not None and answer.cut is None
            seen["status"] = answer.status if taken else UNANSWERED
        self._report(spec, seen)
        return answer

    async def drain(self) -> None:
        """Nothing is on its way."""

    async def close(self) -> None:
        """Nobody connects."""

    def counters(self) -> dict[str, int]:
        return {}

    def notes(self) -> list[str]:
        return []

    def lost(self) -> int:
        return 0

    async def do(self, name: str, action: str) -> None:
        """``stop`` or ``start`` the service `name`."""
        if name not in self._specs:
            raise IotsimError(f"there is no northbound service {name!r}")
        if action == "stop":
            self._stopped.add(name)
        else:
            self._stopped.discard(name)


def _unasked(spec: NorthboundSpec) -> Answer:
    return Answer() if spec.kind == "http" else Answer(body=None)


__all__ = ["Injected", "Northbound", "ServiceError"]
