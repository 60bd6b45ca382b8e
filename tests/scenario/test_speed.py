"""``speed``: who may run faster, and what stays real."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario import load_text
from iotsim.units import Tolerance

FLEET = """
[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
"""
GATEWAY = '[gateway]\ncommand = ["./gateway"]\n'
SEQUENCE = """
[[expect]]
name = "polls every minute"
each = "meter"
sequence = [
  { receives = { kind = "READ" } },
  { receives = { kind = "READ" }, after = "60s ± 1%" },
  { receives = { kind = "READ" }, after = "60s ± 500ms" },
]
"""


def load(head: str, rest: str = GATEWAY):  # type: ignore[no-untyped-def]
    return load_text(f"[scenario]\n{head}\n{rest}{FLEET}", Path("s.toml"))


def test_a_run_with_a_gateway_of_its_own() -> None:
    assert load("speed = 60").pace == 60
    assert load("speed = 0.5").pace == 0.5
    assert load("").pace == 1


def test_in_virtual_time_there_is_no_speed() -> None:
    scenario = load("speed = 60", '[link]\nkind = "memory"\n')
    assert (scenario.speed, scenario.pace) == (60, 1)


@pytest.mark.parametrize("rest", ["", "[gateway]\nport = 5600\n"])
def test_somebody_elses_gateway_would_keep_to_the_real_time(rest: str) -> None:
    with pytest.raises(ScenarioError, match="the run has to start the gateway"):
        load("speed = 60", rest)


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "1e9", '"60"'])
def test_no_such_speed(speed: str) -> None:
    with pytest.raises(ScenarioError, match=r"scenario\.speed"):
        load(f"speed = {speed}")


@pytest.mark.parametrize(("speed", "floor_s"), [(1, 0.02), (60, 1.2), (0.5, 0.02)])
def test_the_floor_of_a_tolerance_is_real_time(speed: float, floor_s: float) -> None:
    scenario = load(f'duration = "1h"\nspeed = {speed}', GATEWAY + SEQUENCE)
    _, percent, absolute = (part.after for part in scenario.expectations[0].parts)
    assert percent == Tolerance(60, 0.01, pytest.approx(floor_s))
    assert absolute == Tolerance(60, 0.0, 0.5)
