"""A simulation over a memory link, with the test as its gateway."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.simulation import Simulation
from iotsim.testing import simulated as simulated_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from iotsim.events import Event
    from iotsim.testing import Gateway


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[..., Any]:
    """``async with simulated(toml) as gateway``, whose files are looked for in the test's folder.

    For virtual time a test asks for ``autojump_clock`` besides: pytest-trio looks for it there.
    """

    @asynccontextmanager
    async def simulate(text: str, seed: int = 1) -> AsyncIterator[Gateway]:
        scenario = load_text(text, tmp_path / "scenario.toml", default_seed=seed)
        async with simulated_run(scenario) as gateway:
            yield gateway

    return simulate


@dataclass
class FarEnd:
    """The other end of a link: raw frames of whatever kind the link is."""

    simulation: Simulation
    link: MemoryLink
    _events: list[Event] = field(default_factory=list)

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        self.simulation.journal.flush()
        return self._events


@pytest.fixture
def linked(tmp_path: Path) -> Callable[..., Any]:
    """``async with linked(toml) as far_end``: hosts as on the kind of link that the scenario names, on
    which frames go through memory. All devices boot, and all windows begin, at once."""

    @asynccontextmanager
    async def link(text: str, *, live: bool = False) -> AsyncIterator[FarEnd]:
        scenario = load_text(text, tmp_path / "scenario.toml", default_seed=1)
        ours, theirs = MemoryLink.pair()
        start = trio.current_time()
        simulation = Simulation(
            scenario, ours, seed=1, clock=lambda: trio.current_time() - start, live=live
        )
        far_end = FarEnd(simulation, theirs)
        simulation.journal.add_event_sink(far_end._events.extend)
        async with trio.open_nursery() as nursery:
            await nursery.start(simulation.run)
            simulation.boot(simulation.clock())
            simulation.ready(simulation.clock())
            yield far_end
            nursery.cancel_scope.cancel()

    return link
