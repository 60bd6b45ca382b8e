"""Runs in one process leave nothing in it: not themselves, and not their memory."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from iotsim.events import Received
from iotsim.run.run import RunOptions, run_scenario
from iotsim.scenario import load_scenario, load_text
from iotsim.testing import run_virtually, simulated

if TYPE_CHECKING:
    from iotsim.simulation.simulation import Simulation

QUICKSTART = Path(__file__).parents[2] / "scenarios/quickstart.toml"
BEHAVIOR = """
[scenario]
name = "meters"
duration = "5s"
[link]
kind = "memory"
[gateway]
port = 5600
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"
behavior = "meter.py:Meter"
[[expect]]
name = "reports"
each = "meter"
sends = { kind = "REPORT" }
within = "5s"
"""
METER = """
from dataclasses import dataclass
from iotsim import Device

@dataclass
class Reading:
    value: float

class Meter(Device):
    async def run(self):
        async for tick in self.every("1s"):
            reading = Reading(tick)
            await self.send({"kind": "REPORT", "device": 1, "seq": tick, "value": reading.value})
"""
RUNS = 20


async def poll_all(scenario: Any, alive: list[weakref.ref[Simulation]]) -> str:
    async with simulated(scenario) as gateway:
        alive.append(weakref.ref(gateway.simulation))
        for index in range(14):
            gateway.send(f"meter[{index}]", {"kind": "READ", "device": index, "seq": 1})
        await trio.sleep(0.5)
    assert len([event for event in gateway.events if isinstance(event, Received)]) == 14
    return gateway.run.result.verdict


def grown(run_once: Any) -> tuple[int, int]:
    """By how many objects and modules `RUNS` further runs have let this process grow."""
    for _ in range(3):
        run_once()
    gc.collect()
    before = len(gc.get_objects()), len(sys.modules)
    for _ in range(RUNS):
        run_once()
    gc.collect()
    return len(gc.get_objects()) - before[0], len(sys.modules) - before[1]


def test_runs_that_a_program_opens_leave_nothing() -> None:
    scenario = load_scenario(QUICKSTART, default_seed=1)
    alive: list[weakref.ref[Simulation]] = []
    objects, modules = grown(lambda: run_virtually(poll_all, scenario, alive))
    assert len(alive) == RUNS + 3
    assert [ref() for ref in alive if ref() is not None] == []
    assert modules == 0
    assert objects < 10 * RUNS  # a simulation is thousands


def test_runs_of_the_command_leave_nothing_and_neither_do_their_behaviors(tmp_path: Path) -> None:
    (tmp_path / "meter.py").write_text(METER)
    scenario = load_text(BEHAVIOR, tmp_path / "meters.toml", default_seed=1)
    verdicts: set[str] = set()

    def run_once() -> None:
        report = run_scenario(scenario, RunOptions(out=tmp_path / "out"))
        verdicts.add(report.result.verdict)

    frozen = gc.get_freeze_count()
    objects, modules = grown(run_once)
    assert verdicts == {"passed"}
    assert gc.get_freeze_count() == frozen
    assert modules == 0
    assert objects < 10 * RUNS
