"""``iotsim init``: what it writes runs as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.cli.app import run_command_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine, Done

background = pytest.mark.background

NAMES = {"scenario.toml", "gateway.py", "thermometer.py", "protocols/thermo.py"}


def init_and_run(iotsim: CommandLine) -> Done:
    assert iotsim("init").status == 0
    return iotsim.run("scenario.toml")


@pytest.mark.needs("tun")
@background(job=init_and_run)
def test_what_it_writes_runs(done: Done) -> None:
    assert done.status == 0, done.text
    assert done.result["verdict"] == "passed"
    assert "degrees" in done.log


def test_it_checks_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a" / "b"
    assert run_command_line(["init", str(target)]) == 0
    written = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert written == NAMES
    monkeypatch.chdir(target)
    assert run_command_line(["check", "--behaviors", "scenario.toml"]) == 0
    assert run_command_line(["protocols", "check", "thermo"]) == 0


def test_it_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gateway.py").write_text("mine")
    assert run_command_line(["init", str(tmp_path)]) == 2
    assert "gateway.py" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.py"]
    assert (tmp_path / "gateway.py").read_text() == "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run_command_line(["init", str(tmp_path / "file" / "below")]) == 2
    assert "iotsim: " in capsys.readouterr().err
