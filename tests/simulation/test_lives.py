"""Boots, reboots and commands: the lives of devices, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iotsim.errors import ScenarioError
from iotsim.events import CommandDone, DeviceRebooted, NotSent, Sent
from iotsim.link.memory import MemoryLink
from iotsim.scenario import load_text
from iotsim.simulation.commands import (
    Command,
    Reboot,
    Send,
    SetState,
    WriteNote,
    decode_command,
    encode_command,
)
from iotsim.simulation.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

METERS = """
[scenario]
duration = "10m"
[link]
kind = "memory"
[gateway]
address = "10.77.0.1"
port = 5600
[devices.meter]
count = 4
address = "10.77.1.1"
protocol = "sensornet"
state = { level = 1, seen = 0 }
"""
RULE = """
[[devices.meter.rules]]
when = { kind = "READ" }
set = { seen = "=state.seen + 1" }
reply = { kind = "REPORT", value = "=state.level * 100 + state.seen" }
"""
REPORTS = """
[[devices.meter.rules]]
send = { kind = "REPORT", device = "=device.index", seq = 0, value = "=state.level" }
every = "10s"
"""
READ = {"kind": "READ", "device": 1, "seq": 1}


def reports(gateway: Any) -> list[tuple[str, float]]:
    return [(arrival.device, arrival.message["value"]) for arrival in gateway.take()]


async def ask(gateway: Any, device: str) -> float:
    gateway.send(device, READ)
    arrival = await gateway.receive(timeout_s=60)
    assert arrival.device == device
    value: float = arrival.message["value"]
    return value


@pytest.fixture
def simulation_of(tmp_path: Path) -> Callable[[str], Simulation]:
    """A simulation that nothing has been told yet."""

    def make(text: str) -> Simulation:
        scenario = load_text(text, tmp_path / "x.toml", default_seed=1)
        start = trio.current_time()
        link, _ = MemoryLink.pair()
        return Simulation(scenario, link, seed=1, clock=lambda: trio.current_time() - start)

    return make


# --- boots ------------------------------------------------------------------------------------


def sent_times(simulation: Simulation) -> list[float]:
    return [event.t for event in simulation.journal.events if isinstance(event, Sent)]


@pytest.mark.parametrize(
    ("boot", "first", "last"),
    [("", 30.0, 40.0), ('boot = { delay = "5s" }', 35.0, 45.0), ('boot = { with = "run" }', 0, 10)],
)
async def test_boots_count_from_the_gateways_readiness_or_the_run(
    simulation_of: Callable[[str], Simulation],
    autojump_clock: MockClock,
    boot: str,
    first: float,
    last: float,
) -> None:
    simulation = simulation_of(METERS + boot + "\n" + REPORTS)
    # Nothing is to be flushed from under the test's eyes.
    simulation.journal.flush = lambda: None  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        await nursery.start(simulation.run)
        await trio.sleep(30)
        simulation.boot(simulation.clock())
        simulation.ready(simulation.clock())
        await trio.sleep(30)
        nursery.cancel_scope.cancel()
    times = sent_times(simulation)
    assert first <= min(times) < last
    assert len(times) >= 4


async def test_a_device_answers_before_the_gateway_is_ready(
    simulation_of: Callable[[str], Simulation], autojump_clock: MockClock
) -> None:
    """A gateway may well ask before it calls itself ready, and wait for the answers."""
    simulation = simulation_of(METERS + RULE)
    fleet = simulation.fleets["meter"]
    respond = fleet.responders[0]
    assert isinstance(respond(fleet.device(0), dict(READ), 0.0), dict)
    assert fleet.device(0).booted_at == float("inf")
    simulation.boot(7.0)
    assert fleet.device(0).booted_at == 7.0
    assert fleet.device(1).booted_at == 7.0


async def test_a_delay_keeps_a_device_silent_until_it_has_booted(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = METERS + 'boot = { delay = "10s" }\n' + RULE
    async with simulated(text) as gateway:
        gateway.send("meter[0]", READ)
        await trio.sleep(5)
        assert gateway.take() == []
        outcomes = gateway.simulation.pump.outcomes
        assert outcomes == {"dropped.host-absent": 1}
        await trio.sleep(6)
        assert await ask(gateway, "meter[0]") == 101


async def test_in_a_ramp_those_are_there_that_have_booted(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = METERS + 'boot = { ramp = "40s" }\n' + RULE
    async with simulated(text) as gateway:
        for there in range(1, 5):
            for index in range(4):
                gateway.send(f"meter[{index}]", READ)
            await trio.sleep(0.5)
            assert {arrival.device for arrival in gateway.take()} == {
                f"meter[{index}]" for index in range(there)
            }
            await trio.sleep(9.5)


# --- reboots ----------------------------------------------------------------------------------


async def test_a_reboot_loses_state_uses_of_rules_and_what_was_to_be_sent(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    once = (
        RULE
        + 'delay = "2s"\ntimes = 1\n[[devices.meter.rules]]\n'
        + 'when = { kind = "READ" }\nreply = { kind = "REPORT", value = -1 }\n'
    )
    async with simulated(METERS + once) as gateway:
        assert await ask(gateway, "meter[0]") == 101
        assert await ask(gateway, "meter[0]") == -1  # the rule is used up
        await gateway.run.do(Reboot("meter[0]"))
        assert await ask(gateway, "meter[0]") == 101
        gateway.send("meter[1]", READ)
        await trio.sleep(1)
        await gateway.run.do(Reboot("meter[1]"))
        await trio.sleep(5)
        assert gateway.take() == []  # the answer was forgotten
        outcomes = gateway.simulation.pump.outcomes
        assert outcomes["dropped.device-rebooted"] == 1
        assert outcomes.by_category()["pending"] == 0
        rebooted = [e.device for e in gateway.events if isinstance(e, DeviceRebooted)]
        assert rebooted == ["meter[0]", "meter[1]"]


async def test_after_a_reboot_schedules_and_rules_count_from_it(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    text = METERS + REPORTS + RULE.replace("when =", 'after = "20s"\nwhen =')
    async with simulated(text) as gateway:
        await trio.sleep(100)
        before = [name for name, _ in reports(gateway)]
        assert {name: before.count(name) for name in before} == {
            f"meter[{index}]": 10 for index in range(4)
        }
        await gateway.run.do(Reboot("meter[0]"))
        gateway.send("meter[0]", READ)
        await trio.sleep(0.1)
        assert [name for name, value in reports(gateway) if value > 1] == []
        await trio.sleep(99.9)
        # One series goes on for each device, and not two for that which has rebooted.
        after = [name for name, _ in reports(gateway)]
        assert {name: after.count(name) for name in after} == {
            f"meter[{index}]": 10 for index in range(4)
        }
        assert await ask(gateway, "meter[0]") > 100


async def test_a_reboot_ends_the_task_of_a_behavior_and_begins_another(
    simulated: Callable[..., Any], autojump_clock: MockClock, tmp_path: Path
) -> None:
    (tmp_path / "meter.py").write_text(
        """
from iotsim import Device

class Meter(Device):
    def __init__(self):
        self.state["level"] += 10

    async def run(self):
        while True:
            await self.sleep("10s")
            self.state["level"] += 1
            await self.send(
                {"kind": "REPORT", "device": 0, "seq": 0, "value": self.state["level"]},
                "10.77.0.1:5600",
            )
"""
    )
    text = METERS.replace("count = 4", 'count = 1\nbehavior = "meter.py:Meter"')
    async with simulated(text) as gateway:
        await trio.sleep(25)
        assert [value for _, value in reports(gateway)] == [12, 13]
        await gateway.run.do(Reboot("meter"))
        await trio.sleep(25)
        assert [value for _, value in reports(gateway)] == [12, 13]


# --- commands ---------------------------------------------------------------------------------


async def test_state_is_set_on_the_devices_that_are_selected(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    async with simulated(METERS + RULE) as gateway:
        await gateway.run.do(SetState("meter[1:3]", {"level": "=device.index + 5"}))
        values = [await ask(gateway, f"meter[{index}]") for index in range(4)]
        assert values == [101, 601, 701, 101]


async def test_devices_send_what_they_are_told(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    message = {"kind": "REPORT", "device": "=device.index", "seq": 9, "value": "=state.level"}
    async with simulated(METERS) as gateway:
        await gateway.run.do(Send("meter[2]", message, to="10.77.0.1:7000"))
        arrival = await gateway.receive(timeout_s=1)
        assert (arrival.device, arrival.port) == ("meter[2]", 7000)
        assert arrival.message["device"] == 2
        await gateway.run.do(Send("meter[0:2]", [message, message]))
        await trio.sleep(0.1)
        assert [(a.device, a.port) for a in gateway.take()] == [
            *[("meter[0]", 5600)] * 2,
            *[("meter[1]", 5600)] * 2,
        ]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Reboot("pump"), "no devices called 'pump'"),
        (Reboot("meter[9]"), "there is no 'meter[9]'"),
        (Send("meter", {"kind": "REPORT", "value": 1}), "'device'"),
        (Send("meter", {"kind": "REPORTED"}), "REPORTED"),
        (Send("meter", {"kind": "READ"}, to="nowhere"), "nowhere"),
        (SetState("meter", {"level": "=what + 1"}), "what"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_nothing_is_done(
    simulated: Callable[..., Any], autojump_clock: MockClock, command: Command, words: str
) -> None:
    async with simulated(METERS) as gateway:
        with pytest.raises(ScenarioError, match=words.replace("[", r"\[")):
            await gateway.run.do(command)
        await trio.sleep(1)
        assert gateway.take() == []
        assert not [event for event in gateway.events if isinstance(event, CommandDone)]


async def test_a_device_without_a_way_to_its_peer_says_so(
    simulated: Callable[..., Any], autojump_clock: MockClock
) -> None:
    message = {"kind": "READ", "device": 1, "seq": 1}
    async with simulated(METERS) as gateway:
        await gateway.run.do(Send("meter[0]", message, to="[fd77::9]:5600"))
        [event] = [event for event in gateway.events if isinstance(event, NotSent)]
        assert (event.device, event.reason) == (
            "meter[0]",
            "it has no address of the family of its destination",
        )


@pytest.mark.parametrize(
    "command",
    [
        Reboot("meter[0]"),
        SetState("meter", {"level": 2}),
        Send("meter", {"kind": "READ"}, to="10.77.0.1:1"),
        WriteNote("lunch"),
    ],
)
async def test_commands_are_data_and_become_events(
    simulated: Callable[..., Any], autojump_clock: MockClock, command: Command
) -> None:
    data = encode_command(command)
    assert decode_command(data) == command
    if isinstance(command, Send):
        return  # as data it need not be complete
    async with simulated(METERS) as gateway:
        await gateway.run.do(command)
        [done] = [event for event in gateway.events if isinstance(event, CommandDone)]
        assert done.command == data


def test_what_is_no_command_is_refused() -> None:
    for data in ({"do": "explode"}, {"do": "reboot"}, {"do": "note", "note": "x", "y": 1}, 7):
        with pytest.raises(ValueError, match=r"."):
            decode_command(data)
