"""The services of one run, opened for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from iotsim.run.site import isolation_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from iotsim.northbound.spec import NorthboundSpec
    from iotsim.run.northbound.northbound import Injected, Northbound
    from iotsim.run.run import Run


class Inbox:
    """What services report to a run. It keeps what comes before the run has a crew, until `open`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._early: list[Callable[[], None]] | None = []

    def open(self) -> None:
        """The run has begun: its time, and whoever is to be told."""
        early, self._early = self._early or (), None
        for call in early:
            call()

    def received(self, spec: NorthboundSpec, fields: dict[str, Any]) -> None:
        """A service received something."""
        if self._early is not None:
            self._early.append(lambda: self.received(spec, fields))
            return
        crew = self._run.crew
        crew.northbound(spec.name, fields, self._run.clock())
        crew.wake()

    def fail(self, reason: str) -> None:
        """Something else than the gateway has failed, without which the run makes no sense."""
        if self._early is not None:
            self._early.append(lambda: self.fail(reason))
            return
        crew = self._run.crew
        if reason not in crew.errors:
            crew.errors.append(reason)
        crew.broken.set()


@asynccontextmanager
async def open_services(run: Run, inbox: Inbox) -> AsyncIterator[Northbound | Injected | None]:
    """The gateway's other side of `run`, from before its time begins; None if it has none."""
    scenario, files, site = run.scenario, run.preparation.northbound, run.site
    if files is None:
        yield None
        return
    # Here, since few scenarios need it, and loading it takes 0.1 s.
    from iotsim.run.northbound.northbound import Injected, Northbound
    from iotsim.run.northbound.service import Surroundings

    def now() -> float:
        """Before the run's time begins, somebody else than our gateway may be there already."""
        return run.clock() if hasattr(run, "clock") else 0.0

    services = tuple(scenario.northbound.values())
    if run.virtual:
        yield Injected(services, scenario.seed, now, inbox.received)
        return
    assert site.testbed is not None
    surroundings = Surroundings(
        site.testbed,
        files,
        scenario.seed,
        now,
        lambda: run.wall_time + now(),
        inbox.received,
        inbox.fail,
        scenario.tolerance,
        isolation_of(scenario) == "private",
        lambda text: scenario.expand(text, run.preparation.folder),
    )
    northbound = Northbound(services, scenario.host_addresses, surroundings)
    async with northbound.opened():
        yield northbound
