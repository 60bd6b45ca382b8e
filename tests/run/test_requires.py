"""A run that wants a program which is missing: skipped, with the fix, in every file of the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import junitparser
import pytest

from iotsim.cli.app import EXIT_SKIPPED, run_command_line
from iotsim.run.run import RunOptions, run_scenario
from iotsim.scenario import load_text

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
[scenario]
requires = [{}]

[link]
kind = "{}"

[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"
"""


@pytest.mark.parametrize("kind", ["memory", "tun"])
def test_the_run_is_skipped_with_the_fix(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    path, out = tmp_path / "x.toml", tmp_path / "out"
    path.write_text(TEXT.format('"nmap", "sh"', kind))
    assert run_command_line(["run", str(path), "--out", str(out)]) == EXIT_SKIPPED
    told = capsys.readouterr().err
    reason = "not on the PATH: nmap, sh, which the scenario requires"
    fix = "sudo apt install nmap; put sh on the PATH"
    # Another link would not help, and is not named.
    assert told == f"iotsim: skipped: {reason}\n  fix: {fix}\n"
    result = json.loads((out / "result.json").read_text())
    assert (result["verdict"], result["reason"]) == ("skipped", reason)
    (suite,) = junitparser.JUnitXml.fromfile(str(out / "junit.xml"))
    assert (suite.tests, suite.skipped) == (1, 1)
    assert fix in (out / "junit.xml").read_text()


def test_a_check_does_not_mind(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(TEXT.format('"no-such-program"', "memory"))
    assert run_command_line(["check", str(path)]) == 0


def test_with_the_programs_there_it_runs(tmp_path: Path) -> None:
    scenario = load_text(TEXT.format('"sh"', "memory"), tmp_path / "x.toml")
    report = run_scenario(scenario, RunOptions(out=tmp_path / "out"))
    assert report.result.verdict == "empty"  # without expectations, but not skipped
