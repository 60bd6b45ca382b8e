"""Whatever a run comes to, its results say so, and never an older one's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.errors import IotsimError, MachineError, ScenarioError
from iotsim.results.verdict import Verdict
from iotsim.run import job
from iotsim.run.folder import open_results
from iotsim.run.job import leave_verdict, run_file
from iotsim.run.run import RunOptions
from iotsim.scenario import Overrides
from iotsim.simulation.journal import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.run.report import RunReport

SCENARIO = """
[link]
kind = "memory"

[gateway]
address = "10.77.0.1"
port = 9000

[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", device = 1, seq = 1, value = 2 }

[[expect]]
name = "every meter reports"
each = "meter"
sends = { kind = "REPORT" }
within = "3s"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "meters.toml"
    path.write_text(SCENARIO)
    return path


def run(file: Path, out: Path, **options: Any) -> RunReport:
    return run_file(file, RunOptions(out=out, **options), Overrides(seed=7))


def told(out: Path) -> tuple[str, str]:
    """The verdict in each form, after a look that nothing else in `out` is of another run."""
    result = json.loads((out / "result.json").read_text())
    junit = (out / "junit.xml").read_text()
    (kind,) = [verdict for verdict in Verdict if f'name="verdict" value="{verdict}"' in junit]
    if (out / "events.jsonl").exists():
        events = (out / "events.jsonl").read_text().splitlines()
        assert json.loads(events[-1])["verdict"] == result["verdict"]
    return result["verdict"], kind


def test_a_run_that_passes(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(file, out)
    assert report.error is None
    assert (report.result.verdict, report.trouble) == ("passed", "")
    assert told(out) == ("passed", "passed")


def broken_scenario(file: Path, out: Path, _patch: pytest.MonkeyPatch) -> RunReport:
    file.write_text(SCENARIO.replace("sensornet", "nosuch"))
    return run(file, out)


def broken_protocol(file: Path, out: Path, _patch: pytest.MonkeyPatch) -> RunReport:
    (file.parent / "protocols").mkdir()
    (file.parent / "protocols" / "broken.py").write_text("raise SystemExit(0)")
    file.write_text(SCENARIO.replace("sensornet", "broken"))
    return run(file, out)


def broken_behavior(file: Path, out: Path, _patch: pytest.MonkeyPatch) -> RunReport:
    (file.parent / "meter.py").write_text("raise SystemExit(0)")
    file.write_text(SCENARIO.replace("[[devices.meter.rules]]", 'behavior = "meter.py:Meter"\n[x]'))
    return run(file, out)


def gone(file: Path, out: Path, _patch: pytest.MonkeyPatch) -> RunReport:
    file.unlink()
    return run(file, out)


def bad_filter(file: Path, out: Path, _patch: pytest.MonkeyPatch) -> RunReport:
    return run(file, out, recording=Recording(only=("nosuch",)))


def served_for_ever(file: Path, out: Path, _patch: pytest.MonkeyPatch) -> RunReport:
    return run(file, out, serve=True)


def machine(file: Path, out: Path, patch: pytest.MonkeyPatch) -> RunReport:
    def fails(*_: object) -> None:
        raise MachineError("no TUN", "modprobe tun")

    patch.setattr("iotsim.run.run.make_plan", fails)
    return run(file, out)


def our_fault(file: Path, out: Path, patch: pytest.MonkeyPatch) -> RunReport:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    patch.setattr("iotsim.run.run.Simulation", fails)
    return run(file, out)


def interrupted(file: Path, out: Path, patch: pytest.MonkeyPatch) -> RunReport:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    patch.setattr(job, "load_scenario", interrupt)
    return run(file, out)


def ended_by_a_file(file: Path, out: Path, patch: pytest.MonkeyPatch) -> RunReport:
    def end(*_: object, **__: object) -> None:
        raise SystemExit(0)

    patch.setattr(job, "load_scenario", end)
    return run(file, out)


@pytest.mark.parametrize(
    ("ending", "kind", "verdict"),
    [
        (broken_scenario, ScenarioError, "error"),
        (broken_protocol, IotsimError, "error"),
        (broken_behavior, ScenarioError, "error"),
        (gone, ScenarioError, "error"),
        (bad_filter, ScenarioError, "error"),
        (served_for_ever, ScenarioError, "error"),
        (machine, MachineError, "skipped"),
        (our_fault, ZeroDivisionError, "error"),
        (interrupted, KeyboardInterrupt, "error"),
        (ended_by_a_file, SystemExit, "error"),
    ],
)
def test_what_was_green_before_is_not_any_more(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: Any,
    kind: type[BaseException],
    verdict: str,
) -> None:
    out = tmp_path / "out"
    assert run(file, out).result.verdict == "passed"
    report = ending(file, out, monkeypatch)
    assert isinstance(report.error, kind)
    assert report.result.verdict == verdict
    assert report.result.reason
    assert report.result.repeat == f"iotsim run {file} --seed 7"
    assert told(out) == (verdict, verdict)
    assert not (out / "capture.pcapng").exists() or ending is our_fault


def test_a_folder_in_use_is_left_to_who_uses_it(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(file, out)
    before = {path: path.read_bytes() for path in out.iterdir()}
    with open_results("other", tmp_path / "other") as other:
        other.write(run(file, out).result)
        before = {path: path.read_bytes() for path in other.path.iterdir()}
        with pytest.raises(IotsimError, match="in use"):
            run(file, other.path)
        assert {path: path.read_bytes() for path in other.path.iterdir()} == before


def test_where_nothing_was_run_that_is_told(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(file, out)
    leave_verdict(out, "nosuch", Verdict.EMPTY, "no scenario found")
    assert told(out) == ("empty", "empty")
    assert not (out / "events.jsonl").exists()
    leave_verdict(None, "nosuch", Verdict.EMPTY, "there is no folder to leave it in")
    assert {path.name for path in tmp_path.iterdir()} == {"meters.toml", "out"}


def test_the_results_that_cannot_be_written_do_not_take_the_verdict_with_them(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("iotsim.run.folder.replace_file", full)
    report = run(file, tmp_path / "out")
    assert (report.result.verdict, report.error) == ("passed", None)
    assert report.trouble == f"{tmp_path}/out/result.json is not written: No space left on device"
