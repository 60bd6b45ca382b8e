from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import CommandLine

SPEAKS = """
[scenario]
duration = "3s"
[gateway]
port = 5600
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", value = 1, device = 1, seq = 1 }
[[expect]]
name = "they speak"
each = "meter"
sends = { kind = "REPORT" }
within = "2s"
"""


def test_a_reader_that_goes_away_does_not_end_the_run(iotsim: CommandLine) -> None:
    scenario = iotsim.write("speaks.toml", SPEAKS)
    process = iotsim.start("run", scenario, "--link", "memory", "--out", iotsim.out)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    result = json.loads((iotsim.out / "result.json").read_text())
    assert result["verdict"] == "passed"


def test_virtual_time_is_not_served(iotsim: CommandLine) -> None:
    scenario = iotsim.write("speaks.toml", SPEAKS)
    done = iotsim("run", scenario, "--link", "memory", "--serve")
    assert done.status == 2
    assert "--serve: a memory link is in virtual time" in done.text
