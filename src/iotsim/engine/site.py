"""Where a run takes place: the link, and the testbed behind it if there is one.

=========  ===========================================================================
link       testbed
=========  ===========================================================================
tun, tap   holds the interface, and the gateway if iotsim starts it
loopback   none, or one without an interface that holds the gateway
memory     none: nobody outside the process is there
=========  ===========================================================================
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.errors import MachineError
from iotsim.link.loopback import LoopbackLink
from iotsim.link.memory import MemoryLink
from iotsim.testbed.bed import Helper, Testbed, open_testbed, spawn_helper
from iotsim.testbed.plan import NO_INTERFACE, TestbedPlan, resolve_isolation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iotsim.link.base import Link
    from iotsim.scenario.model import Scenario


@dataclass(frozen=True)
class Site:
    """``testbed`` is None where nothing but the link is needed."""

    link: Link
    testbed: Testbed | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What this machine could not give, in words."""
        return () if self.testbed is None else self.testbed.notes


def queue_count(scenario: Scenario) -> int:
    """How many queues the interface of `scenario` has, and so how many processes simulate."""
    link = scenario.link
    if link.kind != "tun":
        return 1
    return link.queues or len(os.sched_getaffinity(0))


def make_plan(scenario: Scenario, folder: Path) -> TestbedPlan | None:
    """The testbed that `scenario` needs; None if it needs none."""
    link = scenario.link
    starts_gateway = scenario.gateway is not None and bool(scenario.gateway.command)
    if link.kind == "memory":
        if starts_gateway:
            raise MachineError(
                "a memory link is inside this process, where a gateway's process cannot reach it",
                "use --link tun or --link loopback",
            )
        return None
    if link.kind == "loopback":
        if not starts_gateway:
            return None
        return TestbedPlan(
            isolate="host", kind=NO_INTERFACE, run_name=scenario.name, results=str(folder)
        )
    return TestbedPlan(
        isolate=resolve_isolation(link.isolate, starts_gateway=starts_gateway),
        name=link.name,
        kind=link.kind,
        addresses=tuple(address for address in (link.address4, link.address6) if address),
        routes=scenario.routes,
        mtu=link.mtu,
        queues=queue_count(scenario),
        run_name=scenario.name,
        results=str(folder),
    )


@asynccontextmanager
async def open_site(
    scenario: Scenario, plan: TestbedPlan | None, helper: Helper | None
) -> AsyncIterator[Site]:
    """The site of a run; `helper` was spawned for `plan`. MachineError if it cannot be had."""
    if scenario.link.kind == "memory":
        yield Site(MemoryLink(mtu=scenario.link.mtu))
        return
    if scenario.link.kind == "loopback":
        ports = [service.port for fleet in scenario.fleets for service in fleet.services]
        link = LoopbackLink(ports)
        try:
            if plan is None:
                yield Site(link)
            else:
                async with open_testbed(plan, helper) as testbed:
                    yield Site(link, testbed)
        finally:
            link.close()
        return
    assert plan is not None
    async with open_testbed(plan, helper) as testbed:
        assert testbed.link is not None
        yield Site(testbed.link, testbed)


__all__ = ["Site", "make_plan", "open_site", "spawn_helper"]
