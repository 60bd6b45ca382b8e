"""Where a run takes place: the link, and the testbed behind it if there is one.

=========  ===========================================================================
link       testbed
=========  ===========================================================================
tun, tap   holds the interface, and the gateway if iotsim starts it
loopback   none, or one without an interface that holds the gateway and northbound services
memory     none: nobody outside the process is there
=========  ===========================================================================
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.impair.fault import Rebind
from iotsim.link.loopback import LoopbackLink
from iotsim.link.memory import MemoryLink
from iotsim.testbed import cgroup
from iotsim.testbed.bed import Helper, Testbed, open_testbed, spawn_helper
from iotsim.testbed.plan import NO_INTERFACE, TestbedPlan, resolve_isolation
from iotsim.units import parse_interface
from iotsim.wire.address import covering_prefix, is_ipv4

ALL_GROUPS = (0xE0000000, 4)
LIMITED_BROADCAST = (0xFFFFFFFF, 32)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iotsim.link.base import Link
    from iotsim.run.launch import Launch
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
    return link.queues or cgroup.processors()


def isolation_of(scenario: Scenario) -> str:
    """Where the testbed of `scenario` stands: "private", "host" or "netns:NAME"."""
    link = scenario.link
    if link.kind == "loopback":
        return "host"
    starts_gateway = scenario.gateway is not None and bool(scenario.gateway.command)
    return resolve_isolation(link.isolate, starts_gateway=starts_gateway, bridge=link.bridge)


def make_plan(scenario: Scenario, folder: Path, launch: Launch | None) -> TestbedPlan | None:
    """The testbed that `scenario` needs; None if it needs none. `launch` is its gateway's."""
    link = scenario.link
    user = None if launch is None else launch.user
    capabilities = 0 if launch is None else launch.capabilities
    if link.kind == "memory":
        return None  # with it, the loader refuses a gateway's command
    if link.kind == "loopback":
        if launch is None and not scenario.northbound:
            return None
        return TestbedPlan(
            isolate="host",
            kind=NO_INTERFACE,
            run_name=scenario.name,
            results=str(folder),
            user=user,
            capabilities=capabilities,
        )
    isolate = isolation_of(scenario)
    sides = tuple(side for side in (link.address4, link.address6) if side)
    return TestbedPlan(
        isolate=isolate,
        name=link.name,
        kind=link.kind,
        addresses=() if link.bridge else sides,
        routes=() if link.bridge else _routes(scenario, private=isolate == "private"),
        bridge=link.bridge,
        reach=_reach(scenario) if isolate != "private" and link.kind == "tun" else (),
        mtu=link.mtu,
        queues=queue_count(scenario),
        hosts=tuple(scenario.host_addresses.items()) if isolate == "private" else (),
        run_name=scenario.name,
        results=str(folder),
        user=user,
        capabilities=capabilities,
    )


def _routes(scenario: Scenario, *, private: bool) -> tuple[tuple[int, int], ...]:
    """Prefixes that go to the devices besides the link's own.

    In a network of its own that is every IPv4 group, and the limited broadcast address, for which
    there would be no route; elsewhere it is the groups that devices have joined. With IPv6, the
    kernel has such routes by itself.
    """
    if private:
        return (*scenario.routes, ALL_GROUPS, LIMITED_BROADCAST)
    groups = {group for fleet in scenario.fleets for group in fleet.network.groups}
    return (*scenario.routes, *((group, 32) for group in sorted(groups) if is_ipv4(group)))


def _reach(scenario: Scenario) -> tuple[tuple[int, int], ...]:
    """What a gateway elsewhere needs routes for: the least prefixes that hold each fleet."""
    prefixes = [
        parse_interface(covering_prefix(block.first, block.count))
        for fleet in scenario.fleets
        for block in fleet.blocks
    ]
    return tuple(dict.fromkeys((int(address), length) for address, length in prefixes))


@asynccontextmanager
async def open_site(
    scenario: Scenario, plan: TestbedPlan | None, helper: Helper | None, link: Link | None = None
) -> AsyncIterator[Site]:
    """The site of a run; `helper` was spawned for `plan`. MachineError if it cannot be had.

    With `link`, which stays open, the run is over that one.
    """
    if link is not None:
        yield Site(link)
        return
    if scenario.link.kind == "memory":
        yield Site(MemoryLink(mtu=scenario.link.mtu))
        return
    if scenario.link.kind == "loopback":
        ports = [service.port for fleet in scenario.fleets for service in fleet.services]
        ports += [one.spec.port for one in scenario.faults if isinstance(one.spec, Rebind)]
        link = LoopbackLink(filter(None, ports))
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
