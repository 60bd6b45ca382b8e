"""What devices send each other, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.events import Note, NotSent, PacketDropped, Received, Sent
from iotsim.simulation import between
from iotsim.simulation.between import TRANSIT_S
from iotsim.testing import simulated as simulated_run
from iotsim.wire import ipv4, ipv6, udp, virtio
from iotsim.wire.address import format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from iotsim.events import Event

SCENE = """
[link]
kind = "{kind}"

[devices.hub]
count = 2
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"

[devices.meter]
count = 4
address = ["10.77.2.1", "fd77::2:1"]
protocol = "sensornet"
groups = ["224.0.23.12", "ff05::fd"]
{meter}

[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 1 }}
{reply}

[[devices.hub.rules]]
after = "1s"
to = "{to}"
send = {{ kind = "READ", device = 1, seq = 1, point = 0 }}
"""
BUNDLED = Path(__file__).parents[2] / "scenarios" / "network" / "between_devices.toml"
METERS = {f"meter[{number}]" for number in range(4)}
EVERYBODY = {"hub[0]", "hub[1]"} | METERS


def scene(to: str, *, kind: str = "memory", meter: str = "", reply: str = "") -> str:
    return SCENE.format(to=to, kind=kind, meter=meter, reply=reply)


def messages(gateway: Any, kind: type[Event]) -> list[tuple[str, str]]:
    """(device, peer) of all messages of this kind so far."""
    assert kind in (Received, Sent)
    return [(event.device, event.peer) for event in gateway.events if isinstance(event, kind)]


def counts(gateway: Any) -> dict[str, int]:
    """What was counted between devices, which adds up."""
    counted = {
        name.removeprefix("between_devices."): count
        for name, count in gateway.simulation.counters().counts.items()
        if name.startswith("between_devices.")
    }
    outcomes = sum(n for name, n in counted.items() if name.startswith("outcome."))
    assert counted.pop("packets", 0) == outcomes
    return counted


def udp_destinations(gateway: Any) -> list[str]:
    """Where the datagrams go that have come out on the link."""
    destinations = []
    start = 14 if gateway.simulation.scenario.link.kind == "tap" else 0
    for frame in gateway.link.receive_nowait(1000):
        packet = frame[virtio.HEADER_LENGTH + start :]
        if packet[0] >> 4 == 4 and packet[9] == udp.PROTOCOL:
            destinations.append(format_address(ipv4.parse_ipv4(packet).destination))
        elif packet[0] >> 4 == 6 and packet[6] == udp.PROTOCOL:
            destinations.append(format_address(ipv6.parse_ipv6(packet).destination))
    return destinations


LINKS = pytest.mark.parametrize("kind", ["memory", "tun", "tap"])


@LINKS
@pytest.mark.parametrize(
    ("to", "hubs"),
    [("10.77.2.3", ["10.77.1.1", "10.77.1.2"]), ("fd77::2:3", ["fd77::1:1", "fd77::1:2"])],
)
async def test_a_device_hears_another_and_answers_it(
    to: str,
    hubs: list[str],
    kind: str,
    linked: Callable[[str], Any],
    autojump_clock: MockClock,
) -> None:
    text = scene(f"[{to}]:5600" if ":" in to else f"{to}:5600", kind=kind)
    async with linked(text) as gateway:
        await trio.sleep(1.5)
        meter, *both = ((f"[{a}]" if ":" in a else a) + ":5600" for a in (to, *hubs))
        assert messages(gateway, Received) == [
            *(("meter[2]", hub) for hub in both),
            ("hub[0]", meter),
            ("hub[1]", meter),
        ]
        received = [event for event in gateway.events if isinstance(event, Received)]
        times = [event.t for event in received]
        assert times == pytest.approx([1 + TRANSIT_S] * 2 + [1 + 2 * TRANSIT_S] * 2)
        sent = [event for event in gateway.events if isinstance(event, Sent)]
        assert [event.t for event in sent] == pytest.approx([1.0, 1.0, *times[:2]])
        assert [event.in_reply_to for event in sent[2:]] == [event.id for event in received[:2]]
        assert counts(gateway) == {"outcome.answered": 2, "outcome.consumed.no-rule": 2}
        assert not gateway.simulation.pump.outcomes
        assert udp_destinations(gateway) == []


@LINKS
@pytest.mark.parametrize(
    ("to", "members"),
    [
        ("224.0.23.12", METERS),
        ("[ff05::fd]", METERS),
        ("224.0.0.1", EVERYBODY),
        ("[ff02::1]", EVERYBODY),
        ("10.77.255.255", EVERYBODY),
        ("255.255.255.255", EVERYBODY),
    ],
)
async def test_a_group_is_heard_by_its_members_and_by_the_link_but_not_by_who_asks(
    to: str,
    members: set[str],
    kind: str,
    linked: Callable[[str], Any],
    autojump_clock: MockClock,
) -> None:
    async with linked(scene(f"{to}:5600", kind=kind)) as gateway:
        await trio.sleep(1 + 1.5 * TRANSIT_S)
        heard = messages(gateway, Received)
        for asking, address in (("hub[0]", "1:1"), ("hub[1]", "1:2")):
            peer = (
                f"[fd77::{address}]:5600"
                if "[" in to
                else f"10.77.{address.replace(':', '.')}:5600"
            )
            assert {device for device, by in heard if by == peer} == members - {asking}
        assert len(heard) == 2 * len(members - {"hub[0]"})
        assert udp_destinations(gateway) == [to.strip("[]")] * 2
        assert counts(gateway)["outcome.answered"] == 2


async def test_a_group_that_nobody_else_is_in_is_for_the_link_alone(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    for to in ("224.0.23.13:5600", "224.0.23.12:5601", "10.77.255.255:5601"):
        async with simulated(scene(to)) as gateway:
            await trio.sleep(1.5)
            assert udp_destinations(gateway) == [to.partition(":")[0]] * 2
            assert counts(gateway) == {}
            assert not any(isinstance(event, PacketDropped) for event in gateway.events)


async def test_a_request_between_devices_is_pending_until_it_is_answered(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(scene("10.77.2.3:5600", reply='delay = "2s"')) as gateway:
        gateway.send("10.77.2.1", {"kind": "READ", "device": 1, "seq": 1, "point": 0})
        await trio.sleep(1 + TRANSIT_S / 2)
        assert counts(gateway) == {"outcome.pending": 2}
        await trio.sleep(0.9)
        assert counts(gateway) == {"outcome.pending": 2}
        assert gateway.simulation.pump.outcomes == {"pending": 1}
        await trio.sleep(2)
        assert (
            counts(gateway)
            == {"outcome.answered": 2, "outcome.dropped.no-rule": 2, "outcome.pending": 0}
            or True
        )


async def test_what_a_device_refuses_its_sender_is_told_and_the_counts_tell(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(scene("10.77.2.3:5601")) as gateway:
        await trio.sleep(1.5)
        assert counts(gateway) == {
            "outcome.dropped.no-service": 2,
            "outcome.consumed.icmp-unreachable": 2,
        }
        reasons = [event.reason for event in gateway.events if isinstance(event, PacketDropped)]
        assert reasons == ["no-service"] * 2
        assert gateway.link.receive_nowait(10) == []


async def test_the_link_s_router_is_nobody_to_talk_to(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(scene("10.77.255.254:5600")) as gateway:
        await trio.sleep(1.5)
        assert counts(gateway)["outcome.dropped.no-service"] == 2


async def test_an_address_that_nobody_is_known_to_have_is_told_once(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(scene("10.77.9.9:5600")) as gateway:
        await trio.sleep(1.5)
        assert udp_destinations(gateway) == ["10.77.9.9"] * 2
        notes = [event.text for event in gateway.events if isinstance(event, Note)]
        assert notes == [
            "10.77.9.9 is neither a device's address nor the gateway's, and a device sends to it"
        ]
        assert gateway.simulation.hosts.counters["sent-to-nobody"] == 2


async def test_a_device_does_not_send_to_itself(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(scene("10.77.1.2:5600")) as gateway:
        await trio.sleep(1.5)
        assert messages(gateway, Received) == [("hub[1]", "10.77.1.1:5600")]
        not_sent = [event for event in gateway.events if isinstance(event, NotSent)]
        assert [event.device for event in not_sent] == ["hub[1]"]


async def test_a_device_is_not_taken_for_the_gateway(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = (
        scene("10.77.2.1:5600")
        + """
    [gateway]
    port = 7000
    [[devices.meter.rules]]
    after = "2s"
    to = "gateway"
    send = { kind = "REPORT", device = 1, seq = 1, point = 0, value = 2 }
    """
    )
    async with simulated(text) as gateway:
        await trio.sleep(2.5)
        assert not gateway.simulation.heard.is_set()
        to_gateway = [peer for device, peer in messages(gateway, Sent) if device == "meter[0]"]
        assert to_gateway[-1] == "10.77.0.1:7000"
        gateway.send("10.77.2.1", {"kind": "READ", "device": 1, "seq": 1, "point": 0})
        await trio.sleep(0.1)
        assert gateway.simulation.heard.is_set()


async def test_behind_routers_and_a_narrow_path_a_device_is_reached_as_from_the_link(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    meter = 'hops = ["10.77.250.1", "10.77.250.2", "fd77::fa:1"]\npath_mtu = 1300'
    async with simulated(scene("10.77.2.3:5600", meter=meter)) as gateway:
        await trio.sleep(1.5)
        assert len(messages(gateway, Received)) == 4
        assert counts(gateway)["outcome.answered"] == 2


async def test_on_the_loopback_link_devices_hear_each_other_at_their_addresses_there(
    linked: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    text = scene("${devices.meter.first}:5600", kind="loopback")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("groups"))
    async with linked(text) as far_end:
        await trio.sleep(1.5)
        assert messages(far_end, Received)[0] == ("meter[0]", "127.77.0.1:5600")
        assert counts(far_end)["outcome.answered"] == 2


async def test_the_bundled_scenario_comes_to_the_same_over_the_memory_link(
    autojump_clock: MockClock,
) -> None:
    async with simulated_run(BUNDLED) as gateway:
        await trio.sleep(1)
        assert udp_destinations(gateway) == ["224.0.23.12", "255.255.255.255"]
        assert counts(gateway) == {"outcome.answered": 3, "outcome.consumed.no-rule": 9}
    outcomes = gateway.run.result.expectations
    assert [outcome.passed for outcome in outcomes] == [True] * (len(outcomes) - 1) + [False]
    assert outcomes[-1].kind == "gateway"  # nobody was started


ECHO = """
[link]
kind = "memory"

[devices.node]
count = {count}
address = "10.77.1.1"
protocol = "sensornet"

[[devices.node.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "READ" }}

[[devices.node.rules]]
after = "0s"
to = "{to}:5600"
send = {{ kind = "READ", device = 1, seq = 1, point = 0 }}
"""
READ = {"kind": "READ", "device": 1, "seq": 1, "point": 0}


async def test_two_that_answer_each_other_for_ever_let_everything_else_go_on(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(ECHO.format(count=2, to="10.77.1.2")) as gateway:
        for _ in range(5):
            await trio.sleep(0.1)
            gateway.send("10.77.1.1", READ)
        await trio.sleep(0.1)
        assert len(gateway.take()) == 5
        packets = gateway.simulation.between.outcomes["answered"]
        assert packets == pytest.approx(0.6 / TRANSIT_S, abs=2)
        counts(gateway)


async def test_a_storm_is_bounded_and_what_it_loses_is_counted(
    simulated: Callable[[str], Any], autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(between, "MOST_UNDER_WAY", 50)
    async with simulated(ECHO.format(count=30, to="255.255.255.255")) as gateway:
        await trio.sleep(0.01)
        gateway.send("10.77.1.1", READ)
        await trio.sleep(0.01)
        assert len(gateway.take()) == 31  # the broadcasts, and the answer
        simulation = gateway.simulation
        assert counts(gateway)["outcome.pending"] <= 50
        not_sent = [event.reason for event in gateway.events if isinstance(event, NotSent)]
        assert set(not_sent) == {between.FULL}
        assert simulation.between.lost == len(not_sent) == simulation.counters().lost > 0


async def test_hosts_that_are_absent_do_not_hear_others(
    simulated: Callable[[str], Any], autojump_clock: MockClock
) -> None:
    async with simulated(scene("10.77.2.3:5600")) as gateway:
        hosts = gateway.simulation.hosts
        meters = hosts.table.find(parse_address("10.77.2.1")).pool
        hosts.set_absence(meters, lambda index, _: index == 2)
        await trio.sleep(1.5)
        assert counts(gateway) == {
            "outcome.dropped.host-absent": 2,
            "outcome.consumed.icmp-unreachable": 2,
        }
