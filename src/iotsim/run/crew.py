"""Who simulates: this process alone, or several, each a shard of all fleets.

A run deals with its crew by the same few calls, whichever it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio

from iotsim.events import Northbound
from iotsim.results.jsonl import plain_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from iotsim.expect.judge import Judge
    from iotsim.expect.report import Findings
    from iotsim.simulation.commands import Command
    from iotsim.simulation.counters import Counters, Progress
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.simulation import Simulation


class Crew(Protocol):
    """``journal`` takes the run's own events; ``judge`` is told of the gateway's process.

    ``settled`` is set once every expectation is decided, ``heard`` once somebody else than a device has
    sent a datagram to one. ``errors`` tells of what broke among ourselves; ``broken`` is set with the
    first of them, when to go on makes no sense. ``on_held`` is called with the name of each expectation that
    holds, and when it was found to.
    """

    journal: Journal
    judge: Judge
    settled: trio.Event
    heard: trio.Event
    broken: trio.Event
    errors: list[str]
    on_held: Callable[[str, float], object]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; it has started when what it simulates can be reached."""

    def boot(self, now: float) -> None:
        """Devices boot that do not boot with the run."""

    def ready(self, now: float) -> None:
        """The windows of expectations begin."""

    async def do(self, command: Command) -> None:
        """Carry out `command`; see `Simulation.do`."""

    def do_now(self, command: Command) -> bool:
        """The same without waiting, if it can be done so; else nothing is done, and False returned."""
        ...

    def call_at(self, due: float, callback: Callable[..., object], *arguments: Any) -> object:
        """Call `callback` once `due` has come, in seconds of the run."""

    def happened(self, name: str, t: float) -> None:
        """A step or an expectation of this name has happened."""

    def wake(self) -> None:
        """Look at `journal` and `judge` soon: somebody else has told them something."""

    def northbound(self, service: str, fields: Mapping[str, Any], now: float) -> None:
        """A northbound service received something: see `iotsim.events.Northbound`."""

    async def conclude(self, now: float, look: Callable[[], object]) -> Findings:
        """Handle what the link still holds, `look` what was lost of it, then judge everything as of `now`."""
        ...

    async def finish(self) -> None:
        """After `run` was cancelled: handle what has come since. Then nothing is counted any more."""

    def counters(self) -> Counters: ...

    def progress(self) -> Progress: ...

    def put_together(self, folder: Path) -> list[str]:
        """The files are closed: make one of those that have parts. What went wrong, in words."""
        ...


def report_northbound(
    journal: Journal, judge: Judge, service: str, fields: Mapping[str, Any], now: float
) -> None:
    """Make an event of what `service` received, and let expectations see it."""
    number = next(journal.message_ids)
    journal.emit(Northbound(now, number, service, plain_message(fields)))
    for observe in judge.northbound(service):
        observe(None, fields, now)  # type: ignore[arg-type]  # it sees the service in place of a device


class Alone:
    """A crew of one: `simulation`, in this process."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.journal = simulation.journal
        self.judge = simulation.judge
        self.settled = simulation.settled
        self.heard = simulation.heard
        self.broken = trio.Event()  # what breaks here ends the process
        self.errors: list[str] = []
        self.run = simulation.run
        self.boot = simulation.boot
        self.ready = simulation.ready
        self.wake = simulation.pump.wake
        self.counters = simulation.counters
        self.progress = simulation.progress
        self.call_at = simulation.pump.timers.call_at
        self.happened = simulation.happened
        simulation.on_held = lambda name, t: self.on_held(name, t)
        self.on_held: Callable[[str, float], object] = lambda _name, _t: None

    def do_now(self, command: Command) -> bool:
        self.simulation.do(command)
        return True

    async def do(self, command: Command) -> None:
        self.simulation.do(command)

    def northbound(self, service: str, fields: Mapping[str, Any], now: float) -> None:
        report_northbound(self.journal, self.judge, service, fields, now)

    async def conclude(self, now: float, look: Callable[[], object]) -> Findings:
        simulation = self.simulation
        simulation.drain()
        look()
        return simulation.judge.finish(now, gateway_heard=simulation.heard.is_set())

    async def finish(self) -> None:
        self.simulation.drain()

    def put_together(self, folder: Path) -> list[str]:
        return []
