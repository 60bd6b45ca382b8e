"""Who simulates: this process alone, or several, each a shard of all fleets.

A run deals with its crew by the same few calls, whichever it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.expect.judge import Judge
    from iotsim.expect.report import Findings
    from iotsim.simulation.counters import Books, Progress
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.simulation import Simulation


class Crew(Protocol):
    """``journal`` takes the run's own events; ``judge`` is told of the gateway's process.

    ``settled`` is set once every expectation is decided. ``errors`` tells of what broke among
    ourselves; ``broken`` is set with the first of them, when to go on makes no sense.
    """

    journal: Journal
    judge: Judge
    settled: trio.Event
    broken: trio.Event
    errors: list[str]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; it has started when what it simulates can be reached."""

    def ready(self, now: float) -> None:
        """The gateway is ready, or there is none: the windows of expectations begin."""

    def wake(self) -> None:
        """Look at `journal` and `judge` soon: somebody else has told them something."""

    async def conclude(self, now: float) -> Findings:
        """Handle what the link still holds, then judge everything as of `now`."""
        ...

    async def finish(self) -> None:
        """After `run` was cancelled: handle what has come since. Then the books are closed."""

    def books(self) -> Books: ...

    def progress(self) -> Progress: ...

    def put_together(self, folder: Path) -> list[str]:
        """The files are closed: make one of those that have parts. What went wrong, in words."""
        ...


class Alone:
    """A crew of one: `simulation`, in this process."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.journal = simulation.journal
        self.judge = simulation.judge
        self.settled = simulation.settled
        self.broken = trio.Event()  # what breaks here ends the process
        self.errors: list[str] = []
        self.run = simulation.run
        self.ready = simulation.ready
        self.wake = simulation.pump.wake
        self.books = simulation.books
        self.progress = simulation.progress

    async def conclude(self, now: float) -> Findings:
        simulation = self.simulation
        simulation.drain()
        return simulation.judge.finish(now, gateway_heard=simulation.gateway_heard())

    async def finish(self) -> None:
        self.simulation.drain()

    def put_together(self, folder: Path) -> list[str]:
        return []
