"""What simulated hosts do later, and packets that are for many of them, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.device import Fleet
from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.between import BetweenDevices
from iotsim.simulation.hosts import make_hosts
from iotsim.simulation.journal import EVERYTHING, Journal
from iotsim.simulation.pump import Pump
from iotsim.simulation.timers import Timers
from iotsim.wire import ethernet, ipv4, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

GROUP = """
[link]
kind = "memory"

[devices.meter]
count = 5
address = "10.77.1.1"
protocol = "sensornet"
groups = "224.0.23.12"

[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 1 }}
{delay}
"""
READ = {"kind": "READ", "device": 1, "seq": 1, "point": 0}


def outcomes(gateway: Any) -> dict[str, int]:
    return {name: n for name, n in gateway.simulation.pump.outcomes.items() if n}


@pytest.mark.parametrize(("delay", "at_once"), [("", "answered"), ('delay = "1s..2s"', "pending")])
async def test_a_request_to_a_group_counts_once(
    delay: str,
    at_once: str,
    simulated: Callable[[str], Any],
    autojump_clock: MockClock,
) -> None:
    async with simulated(GROUP.format(delay=delay)) as gateway:
        gateway.send("224.0.23.12", READ)
        await trio.sleep(0.5)
        assert outcomes(gateway) == {at_once: 1}
        await trio.sleep(3)
        assert outcomes(gateway) == {"answered": 1}
        assert sorted(arrival.device for arrival in gateway.take()) == [
            f"meter[{index}]" for index in range(5)
        ]


async def test_members_answer_each_at_a_time_of_its_own(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(GROUP.format(delay='delay = "0s..1s"')) as gateway:
        gateway.send("224.0.23.12", READ)
        counts = []
        for _ in range(10):
            await trio.sleep(0.1)
            counts.append(len(gateway.take()))
        assert sum(counts) == 5
        assert max(counts) < 5


async def test_incomplete_datagrams_are_given_up_in_their_time(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    source, destination = parse_address("10.77.0.1"), parse_address("10.77.1.1")
    segment = udp.build_udp(source, destination, 1, 5600, bytes(64))
    first = ipv4.build_ipv4(
        source, destination, ipv4.UDP, segment[:16], identification=7, more_fragments=True
    )
    async with simulated(GROUP.format(delay="")) as gateway:
        gateway.link.send_nowait(virtio.PLAIN + first)
        await trio.sleep(29)
        assert gateway.simulation.hosts.counters["reassembly-timeouts"] == 0
        await trio.sleep(2)
        assert gateway.simulation.hosts.counters["reassembly-timeouts"] == 1


TAP = """
[link]
kind = "tap"

[devices.meter]
count = 2
address = "10.77.1.1"
mac = "02:00:00:00:00:11"
protocol = "sensornet"
"""


@pytest.mark.parametrize(
    ("mac", "outcome"), [(0x020000000012, "answered"), (0x020000000013, "dropped.other-mac")]
)
def test_on_an_ethernet_a_frame_is_for_the_device_with_its_mac_address(
    mac: int, outcome: str, tmp_path: Path
) -> None:
    scenario = load_text(TAP, tmp_path / "scenario.toml")
    journal = Journal(EVERYTHING)
    pump = Pump(MemoryLink(), Timers(), journal, lambda: 0.0)
    hosts = make_hosts(scenario, 1500, pump, BetweenDevices(pump), seed=1, journal=journal)
    hosts.add(Fleet(scenario.fleets[0], 1), {5600: lambda datagram, payload: "answered"})
    source, destination = parse_address("10.77.0.1"), parse_address("10.77.1.2")
    segment = udp.build_udp(source, destination, 1, 5600, b"")
    packet = ipv4.build_ipv4(source, destination, ipv4.UDP, segment)
    header = ethernet.EthernetHeader(mac, 0x020000000001, ethernet.IPV4)
    frame = virtio.PLAIN + ethernet.build_ethernet(header) + packet
    assert hosts.receive(frame, 0.0) == outcome
