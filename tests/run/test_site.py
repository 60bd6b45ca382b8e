"""Where a run takes place, as its scenario says: what is asked of a testbed, and which link is opened."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import MachineError
from iotsim.link.memory import MemoryLink
from iotsim.run.launch import Launch
from iotsim.run.site import isolation_of, make_plan, open_site, queue_count
from iotsim.scenario import load_text
from iotsim.testbed import cgroup
from iotsim.testbed.plan import NO_INTERFACE
from iotsim.testbed.users import User
from iotsim.wire.address import format_address, parse_address

if TYPE_CHECKING:
    from iotsim.scenario.model import Scenario

SCENARIO = """
[scenario]
name = "meters"
[link]
{link}
[gateway]
{gateway}
[devices.meter]
count = 300
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
{device}
"""
COMMAND = 'command = ["gateway"]'
GROUPS = 'groups = ["224.0.1.187", "ff02::fd"]'
RESULTS = Path("/results")
LAUNCH = Launch(
    ("gateway",), {}, Path("/"), user=User(1000, 1000, (), "ann", "/home/ann"), capabilities=1 << 13
)


def scenario_of(tmp_path: Path, link: str, gateway: str = "", device: str = "") -> Scenario:
    text = SCENARIO.format(link=link, gateway=gateway, device=device)
    return load_text(text, tmp_path / "meters.toml", default_seed=1)


def plan_of(
    tmp_path: Path, link: str, gateway: str = "", device: str = "", launch: Launch | None = None
) -> Any:
    plan = make_plan(scenario_of(tmp_path, link, gateway, device), RESULTS, launch)
    assert plan is not None
    return plan


def prefixes(entries: tuple[tuple[int, int], ...]) -> list[str]:
    return [f"{format_address(address)}/{length}" for address, length in entries]


# --- what is asked of a testbed ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "gateway", "where"),
    [
        ('kind = "tun"', COMMAND, "private"),
        ('kind = "tun"', "", "host"),
        ('kind = "tun"\nisolate = "host"', COMMAND, "host"),
        ('kind = "tun"\nisolate = "netns:lab"', "", "netns:lab"),
        ('kind = "tap"\nbridge = "br0"', "", "host"),
    ],
)
def test_where_the_testbed_stands(tmp_path: Path, link: str, gateway: str, where: str) -> None:
    scenario = scenario_of(tmp_path, link, gateway)
    assert isolation_of(scenario) == plan_of(tmp_path, link, gateway).isolate == where


def test_nobody_needs_a_testbed_where_nothing_is_outside(tmp_path: Path) -> None:
    assert make_plan(scenario_of(tmp_path, 'kind = "memory"'), RESULTS, None) is None
    loopback = scenario_of(tmp_path, 'kind = "memory"').over("loopback")
    assert make_plan(loopback, RESULTS, None) is None


def test_a_gateway_beside_the_loopback_link_needs_no_interface(tmp_path: Path) -> None:
    loopback = scenario_of(tmp_path, 'kind = "memory"').over("loopback")
    plan = make_plan(loopback, RESULTS, LAUNCH)
    assert plan is not None
    assert (plan.isolate, plan.kind, plan.addresses) == ("host", NO_INTERFACE, ())
    assert (plan.run_name, plan.results) == ("meters", "/results")
    # It is not more than it would be elsewhere.
    assert (plan.user, plan.capabilities) == (LAUNCH.user, LAUNCH.capabilities)


def test_a_private_network_routes_every_group_to_the_devices(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 'kind = "tun"', COMMAND, launch=LAUNCH)
    assert prefixes(plan.routes)[-2:] == ["224.0.0.0/4", "255.255.255.255/32"]
    assert plan.reach == ()  # nobody else is there who would have to know the way
    assert (plan.user, plan.capabilities) == (LAUNCH.user, LAUNCH.capabilities)


def test_the_host_routes_only_groups_that_devices_are_in(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 'kind = "tun"\nisolate = "host"', device=GROUPS)
    assert "224.0.1.187/32" in prefixes(plan.routes)
    assert "224.0.0.0/4" not in prefixes(plan.routes)
    # The kernel has its own routes for groups of IPv6.
    assert "ff02::fd/32" not in prefixes(plan.routes)
    assert plan.user is None


def test_who_is_elsewhere_is_told_the_least_prefixes_that_hold_the_devices(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 'kind = "tun"\nisolate = "host"')
    reach = prefixes(plan.reach)
    assert reach == ["10.77.0.0/22", "fd77::1:0/119"]
    first, last = parse_address("10.77.1.1"), parse_address("10.77.1.1") + 299
    network, length = plan.reach[0]
    assert first >> (32 - length) == last >> (32 - length) == network >> (32 - length)


def test_an_interface_in_a_bridge_has_no_addresses_of_its_own(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 'kind = "tap"\nbridge = "br0"')
    assert (plan.bridge, plan.kind) == ("br0", "tap")
    assert plan.addresses == plan.routes == plan.reach == ()


# --- how many simulate ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "count"),
    [
        ('kind = "tun"', 1),
        ('kind = "tun"\nqueues = 3', 3),
        ('kind = "tun"\nqueues = "auto"', cgroup.processors()),
        ('kind = "tap"', 1),
        ('kind = "memory"', 1),
    ],
)
def test_each_queue_is_read_by_a_process(tmp_path: Path, link: str, count: int) -> None:
    scenario = scenario_of(tmp_path, link)
    assert queue_count(scenario) == count
    if scenario.link.kind != "memory":
        assert plan_of(tmp_path, link).queues == count


# --- which link is opened ---------------------------------------------------------------------


async def test_the_memory_link_is_the_scenarios(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, 'kind = "memory"\nmtu = 1280')
    async with open_site(scenario, None, None) as site:
        assert (site.link.kind, site.link.mtu, site.testbed, site.notes) == (
            "memory",
            1280,
            None,
            (),
        )


async def test_a_link_that_was_given_stays_open(tmp_path: Path) -> None:
    ours, theirs = MemoryLink.pair()
    async with open_site(scenario_of(tmp_path, 'kind = "memory"'), None, None, ours) as site:
        assert site.link is ours
    assert ours.send_nowait(b"after the run")
    assert theirs.receive_nowait(1) == [b"after the run"]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_the_loopback_link_has_the_devices_ports_as_long_as_the_run_lasts(
    tmp_path: Path,
) -> None:
    port = free_port()
    scenario = scenario_of(tmp_path, 'kind = "memory"', device=f"port = {port}").over("loopback")
    async with open_site(scenario, None, None) as site:
        assert site.link.kind == "loopback"
        with pytest.raises(MachineError, match=f"UDP port {port} .* is in use"):
            async with open_site(scenario, None, None):
                pass
    async with open_site(scenario, None, None) as site:
        assert site.link.kind == "loopback"
