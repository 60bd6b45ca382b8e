"""``iotsim run``: what it makes of files, folders and options, and whose word counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iotsim.cli.app import run_command_line

if TYPE_CHECKING:
    from tests.conftest import CommandLine

PASSES = """
[link]
kind = "memory"

[gateway]
address = "10.77.0.1"
port = 9000

[devices.meter]
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", device = 1, seq = 1, value = 2 }

[[expect]]
name = "the meter reports"
each = "meter"
sends = { kind = "REPORT" }
within = "3s"
"""
FAILS = PASSES.replace('within = "3s"', "never = true")


def verdict(out: Path) -> str:
    result = json.loads((out / "result.json").read_text())
    kind: str = result["verdict"]
    junit = (out / "junit.xml").read_text()
    assert f'name="verdict" value="{kind}"' in junit
    return kind


def test_no_file_in_the_users_folder_decides_for_a_suite(iotsim: CommandLine) -> None:
    for name in ("queue", "types", "iotsim", "trio", "usercustomize"):
        iotsim.write(f"{name}.py", "raise SystemExit(0)")
    iotsim.write("a.toml", PASSES)
    iotsim.write("b.toml", FAILS)
    words = ["run", "a.toml", "b.toml", "--out", "out", "--seed", "7", "-q"]
    done = subprocess.run(
        [Path(sys.executable).parent / "iotsim", *words],
        cwd=iotsim.folder,
        env=iotsim.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 of 2 scenarios: 1 passed, 1 failed"
    assert "iotsim run b.toml --seed 7" in done.stdout
    assert verdict(iotsim.folder / "out" / "b") == "failed"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the results of a run that has passed."""
    monkeypatch.chdir(tmp_path)
    # For good, and for the whole process, which other tests need whole.
    monkeypatch.setattr("iotsim.run.run.drop_privileges", lambda *_: True)
    Path("a.toml").write_text(PASSES)
    assert run_command_line(["run", "a.toml", "--out", "out", "-q"]) == 0
    assert verdict(tmp_path / "out") == "passed"
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["nosuch.toml"], 2),
        (["a.toml", "--set", "novalue"], 2),
        (["a.toml", "--set", "nosuch=1"], 2),
        (["a.toml", "--duration", "soon"], 2),
        (["a.toml", "--jobs", "0"], 2),
        (["a.toml", "--capture-filter", "nosuch"], 2),
        (["a.toml", "--serve"], 2),
        (["a.toml", "a.txt", "--serve"], 2),
        (["a.toml", "a.txt", "--set", "nosuch=1"], 2),
        (["empty"], 5),
        ([], 5),
    ],
    ids=str,
)
def test_an_older_verdict_never_survives_a_command_that_could_not_run(
    out: Path, words: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (out.parent / "empty").mkdir()
    (out.parent / "a.txt").write_text(PASSES)
    assert run_command_line(["run", *words, "--out", "out", "-q"]) == status
    assert verdict(out) == {2: "error", 5: "empty"}[status]
    assert not (out / "events.jsonl").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_a_results_folder_that_cannot_be_had_is_an_error(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["run", "a.toml", "--out", "a.toml"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "iotsim: the results folder a.toml cannot be used: it is, or stands below"
    )
    assert verdict(out) == "passed"


def test_an_earlier_gateways_folder_is_replaced(iotsim: CommandLine) -> None:
    scenario = iotsim.write(
        "touch.toml",
        """
        [scenario]
        until = "gateway_exit"
        [link]
        kind = "loopback"
        [gateway]
        command = ["sh", "-c", "ls; touch mine"]
        [devices.meter]
        address = "10.77.1.1"
        protocol = "sensornet"
        port = 5603
        [[expect]]
        name = "it ends well"
        gateway = { exit = 0 }
        """,
    )
    for _ in range(3):
        done = iotsim.run(scenario)
        assert done.status == 0, done.text
        assert done.log == ""
        assert done.result["files"][-1] == "work/"
    assert [path.name for path in iotsim.out.iterdir() if path.is_dir()] == ["work"]


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=2m tmpfs disk
"$@" --out disk/out
status=$?
cp -r disk/out copy
exit $status
"""


@pytest.mark.needs("root")  # to mount a small disk
def test_a_disk_that_fills_up_costs_no_verdict(iotsim: CommandLine) -> None:
    (iotsim.folder / "disk").mkdir()
    text = FAILS.replace('address = "10.77.1.1"', 'count = 50\naddress = "10.77.1.1"')
    iotsim.write("a.toml", text + '[scenario]\nduration = "300s"\nuntil = "duration"\n')
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", *iotsim.words("run", "a.toml")],
        cwd=iotsim.folder,
        env=iotsim.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED" in done.stdout
    assert "Traceback" not in done.stderr
    out = iotsim.folder / "copy"
    assert verdict(out) == "failed"
    notes = json.loads((out / "result.json").read_text())["notes"]
    assert any("events.jsonl lacks" in note and "No space left" in note for note in notes), notes
    lines = (out / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "run-ended"


def test_documents_that_are_asked_for_are_made(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not (out / "results.tap").exists()
    words = [
        "run",
        "a.toml",
        "--out",
        "out",
        "-q",
        "--report",
        "tap,devices.csv",
        "--report",
        "xunit",
    ]
    assert run_command_line(words) == 0
    assert (out / "results.tap").read_text().startswith("TAP version 14\n1..2\nok 1 - run\n")
    _, row = (out / "devices.csv").read_text().splitlines()
    assert row.startswith("meter[0],meter,0,10.77.1.1,0,")
    assert "line=" not in (out / "xunit.xml").read_text()
    files = json.loads((out / "result.json").read_text())["files"]
    assert {"results.tap", "devices.csv", "xunit.xml"} <= set(files)
    assert run_command_line(["run", "a.toml", "--out", "out", "-q"]) == 0
    assert not (out / "results.tap").exists()


def test_a_document_that_there_is_not_runs_nothing(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["run", "a.toml", "--out", "out", "--report", "tap,tpa"]) == 2
    assert "there is no document 'tpa' (documents: result, junit, " in capsys.readouterr().err
    assert verdict(out) == "error"


def test_a_document_that_cannot_be_made_changes_no_verdict(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from iotsim.run import documents

    def fail(_past: object) -> bytes:
        raise RuntimeError("a fault")

    broken = documents.DOCUMENTS["tap"]._replace(build=fail)
    monkeypatch.setitem(documents.DOCUMENTS, "tap", broken)
    assert run_command_line(["run", "a.toml", "--out", "out", "-q", "--report", "tap"]) == 0
    assert "not all are made: RuntimeError('a fault')" in capsys.readouterr().err
    assert verdict(out) == "passed"


def test_a_scenario_with_a_mistake_has_its_documents_too(out: Path) -> None:
    (out.parent / "a.toml").write_text("[devices]\nx = 1\n")
    assert run_command_line(["run", "a.toml", "--out", "out", "-q", "--report", "tap"]) == 2
    assert "not ok 1 - run" in (out / "results.tap").read_text()
