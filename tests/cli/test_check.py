"""``iotsim check``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iotsim.cli.app import run_command_line

if TYPE_CHECKING:
    from pathlib import Path

WRONG = """\
[scenario]
duration = "10 lightyears"

[devices.meter]
count = 3
addres = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
when = { kind = "RAED" }
reply = { kind = "REPORT", valeu = 3 }

[[expect]]
name = "x"
each = "metre"
receives = { kind = "READ" }
within = "5s"
"""
RIGHT = """\
[devices.meter]
count = 3
address = "${first}"
protocol = "sensornet"
behavior = "meter.py:Meter"
"""


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.toml").write_text(WRONG)
    (tmp_path / "right.toml").write_text(RIGHT)
    (tmp_path / "cut.toml").write_text("[scenario\n")


def test_every_problem_has_its_place_and_the_nearest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(["check", "wrong.toml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "wrong.toml:2:12",
        "wrong.toml:4:1",
        "wrong.toml:6:1",
        "wrong.toml:10:17",
        "wrong.toml:11:28",
        "wrong.toml:15:8",
    ]
    assert "scenario.duration: unknown unit 'lightyears'" in lines[0]
    assert "unknown key (did you mean 'address'?)" in lines[2]
    assert "devices.meter.rules[0].when.kind:" in lines[3]
    assert "(did you mean 'READ'?)" in lines[3]
    assert "(did you mean 'value'?)" in lines[4]
    assert "(did you mean 'meter'?)" in lines[5]


def test_all_files_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "meter.py").write_text("")
    (tmp_path / "right.toml").write_text(RIGHT.replace("${first}", "10.77.1.1"))
    assert run_command_line(["check", "cut.toml", "right.toml", "quickstart"]) == 2
    cut, right, quickstart = capsys.readouterr().out.splitlines()
    assert cut.startswith("cut.toml:1:")
    assert right == "right.toml: ok, 3 devices, 0 expectations"
    assert quickstart.endswith("quickstart.toml: ok, 14 devices, 4 expectations")


def test_a_parameter_that_is_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["check", "right.toml"]) == 2
    assert "right.toml:3:" in capsys.readouterr().out


def test_a_folder_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["check", "."]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["cut.toml", "right.toml"]


def test_behaviors_are_code_and_are_loaded_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "right.toml", "--set", "first=10.77.1.1"]
    (tmp_path / "meter.py").write_text("open('loaded', 'w').close()\nclass Motor: pass\n")
    assert run_command_line(words) == 0
    assert not (tmp_path / "loaded").exists()
    capsys.readouterr()
    assert run_command_line([*words, "--behaviors"]) == 2
    assert (tmp_path / "loaded").exists()
    (line,) = capsys.readouterr().out.splitlines()
    assert "meter.py" in line
    assert "Meter" in line


def test_what_is_suspicious_is_a_warning_and_strictly_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "[[devices.meter.rules]]\ndrop = true\n"
    text = RIGHT.replace("${first}", "10.77.1.1").replace('behavior = "meter.py:Meter"\n', "")
    (tmp_path / "right.toml").write_text(text + rule + rule)
    assert run_command_line(["check", "right.toml"]) == 0
    warning, ok = capsys.readouterr().out.splitlines()
    assert warning.startswith("right.toml:7:1: devices.meter.rules[1]: warning: this rule never ")
    assert ok == "right.toml: ok, 3 devices, 0 expectations, 1 warning"
    assert run_command_line(["check", "--strict", "right.toml"]) == 2
    again, wrong = capsys.readouterr().out.splitlines()
    assert again == warning
    assert wrong == "right.toml: wrong, 3 devices, 0 expectations, 1 warning"


def test_a_folder_that_vanishes_meanwhile_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "gone").mkdir()
    (tmp_path / "some" / "right.toml").write_text(RIGHT.replace("${first}", "10.77.1.1"))
    (tmp_path / "some" / "meter.py").write_text("")
    scandir = os.scandir

    def vanishing(path: str) -> object:
        if str(path).endswith("gone"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert run_command_line(["check", "some"]) == 0
    assert "some/right.toml: ok" in capsys.readouterr().out


def test_what_is_wrong_with_a_base_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base.toml").write_text(WRONG.partition("[[expect]]")[0])
    (tmp_path / "own").mkdir()
    for name in "abc":
        text = f"extends = '../base.toml'\n[gateway]\nport = '${{{name}}}'\n"
        (tmp_path / "own" / f"{name}.toml").write_text(text)
    assert run_command_line(["check", "own"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "base.toml:" in line]) == 5
    assert len([line for line in lines if line.startswith("own/")]) == 3
    assert len(lines) == 8
    assert run_command_line(["check", "own/a.toml", "own/b.toml", "right.toml"]) == 2
    lines = [line for line in capsys.readouterr().out.splitlines() if "base.toml:" in line]
    assert len(lines) == 5
    assert all(", for own/a.toml, own/b.toml" in line for line in lines)
