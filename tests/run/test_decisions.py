"""Every expectation is told of as an event, and the last ones make up the result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.run.run import RunOptions, run_scenario
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from pathlib import Path

# Each meter reports once a second, four or five times, and hears nothing.
METERS = """
[scenario]
duration = "4.5s"
[link]
kind = "memory"
[gateway]
port = 5600
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", value = 1, device = 1, seq = 1 }
"""
EXPECTATIONS = {
    "within": 'each = "meter"\nsends = { kind = "REPORT" }\nwithin = "2s"',
    "within, missed": 'each = "meter"\nreceives = { kind = "READ" }\nwithin = "2s"',
    "never": 'each = "meter"\nsends = { kind = "COMMAND" }\nnever = true',
    "never, broken": 'each = "meter"\nsends = { kind = "REPORT" }\nnever = true',
    "always": 'each = "meter"\nsends = { kind = "REPORT" }\nalways = { value = 1 }',
    "maximum": 'each = "meter"\nsends = { kind = "REPORT" }\ncount = { max = 5 }',
    "maximum, broken": 'each = "meter"\nsends = { kind = "REPORT" }\ncount = { max = 2 }',
    "minimum": 'each = "meter"\nsends = { kind = "REPORT" }\ncount = { min = 4 }',
    "minimum, missed": 'each = "meter"\nsends = { kind = "REPORT" }\ncount = { min = 9 }',
    "rate": 'each = "meter"\nsends = { kind = "REPORT" }\ncount = { max = 1 }\nper = "1s"',
    "pool": 'all = "meter"\nsends = { kind = "REPORT" }\ncount = { min = 8, max = 10 }',
}


def run(tmp_path: Path, names: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The expectations of the result, and the events that tell of them."""
    tables = (f'[[expect]]\nname = "{name}"\n{EXPECTATIONS[name]}\n' for name in names)
    scenario = load_text(METERS + "".join(tables), tmp_path / "meters.toml", default_seed=1)
    run_scenario(scenario, RunOptions(out=tmp_path / "out"))
    result = json.loads((tmp_path / "out/result.json").read_text())
    lines = (tmp_path / "out/events.jsonl").read_text().splitlines()
    events = [event for line in lines if (event := json.loads(line))["event"] != "note"]
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    decided = [event for event in events if event["event"] == "expectation-decided"]
    return result["expectations"], decided


def test_the_last_word_on_each_expectation_is_its_result(tmp_path: Path) -> None:
    expectations, events = run(tmp_path, list(EXPECTATIONS))
    assert [one["name"] for one in expectations] == list(EXPECTATIONS)
    assert [one["passed"] for one in expectations] == [
        "missed" not in name and "broken" not in name for name in EXPECTATIONS
    ]
    last = {event["outcome"]["number"]: event["outcome"] for event in events}
    assert [last[number] for number in range(len(expectations))] == expectations


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_what_is_told_twice_has_changed(tmp_path: Path, name: str) -> None:
    (expectation,), events = run(tmp_path, [name])
    assert len(events) in (1, 2)
    assert events[0]["outcome"] != expectation or len(events) == 1
    assert {event["outcome"]["passed"] for event in events} == {expectation["passed"]}
