"""What no signal and no exception ends: the run ends all the same, and its results say why."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
[scenario]
name = "stalls"
duration = "1s"
tolerance = 0.05
[link]
kind = "memory"
[gateway]
port = 7001
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
behavior = "meter.py:Meter"
[[expect]]
name = "is asked"
each = "meter"
receives = { kind = "READ" }
within = "1s"
"""
CATCHES_ALL = """
        while True:
            try:
                time.sleep(1)
            except:
                pass
"""
KEEPS_THE_LOCK = """
        sum(range(10 ** 13))
"""


@pytest.mark.parametrize(
    ("body", "status", "who"),
    [(CATCHES_ALL, 2, r"meter\[[01]\]: Meter\.run\(\)"), (KEEPS_THE_LOCK, -9, r"run\(\) at ")],
    ids=["catches all", "keeps the lock"],
)
def test_the_run_ends_in_time_and_says_why(
    body: str, status: int, who: str, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(SCENARIO)
    (tmp_path / "meter.py").write_text(
        "import time\nfrom iotsim import Device\n\nclass Meter(Device):\n    async def run(self):"
        + body
    )
    command = [sys.executable, "-P", "-m", "iotsim", "run", "run.toml", "--out", "out"]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=50, check=False
    )
    assert done.returncode == status
    assert time.monotonic() - began < 30
    (line,) = done.stderr.splitlines()
    assert re.match(rf"iotsim: error: {who}", line)
    assert "has kept all devices waiting for" in line
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["verdict"] == "error"
    assert result["reason"] in line
    assert "<error" in (tmp_path / "out" / "junit.xml").read_text()
