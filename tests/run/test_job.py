"""Whatever a run comes to, its results say so, and never an older one's."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tests.run.reporting import SCENARIO

from iotsim.errors import IotsimError, MachineError, ScenarioError
from iotsim.events import Sent
from iotsim.results.fold import fold
from iotsim.results.jsonl import decode_events
from iotsim.results.verdict import Verdict
from iotsim.run import job
from iotsim.run.folder import open_results
from iotsim.run.job import leave_verdict, run_file
from iotsim.run.run import EPOCH_OF_VIRTUAL_TIME, RunOptions
from iotsim.scenario import Overrides
from iotsim.simulation.journal import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.run.report import RunReport


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

    patch.setattr("iotsim.run.preparation.make_plan", fails)
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


@pytest.mark.parametrize(
    ("head", "called"),
    [
        ('name = "Valves are polled"', "Valves are polled"),
        ('name = "${what} are polled"', "Valves are polled [size=small]"),
        ('name = " "', "meters [size=small]"),
    ],
)
def test_a_scenario_with_a_mistake_is_called_as_ever(
    file: Path, tmp_path: Path, head: str, called: str
) -> None:
    matrix = "[matrix]\nsize = ['small']\n" if "size" in called else ""
    more = "[parameters]\nwhat = 'Valves'\n" if "$" in head else ""
    mistake = '[devices.valve]\nprotocol = "no-such-thing"\n'
    file.write_text(f"[scenario]\n{head}\n{matrix}{more}{mistake}")
    report = run(file, tmp_path / "out")
    assert (report.result.verdict, report.result.scenario) == ("error", called)


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


def test_of_a_long_run_the_result_the_newest_and_what_failed_are_kept(
    file: Path, tmp_path: Path
) -> None:
    """Some 20,000 messages, one of which is not as it should be; 1 MB is kept of each file."""
    text = SCENARIO.replace("count = 3", "count = 20").replace(
        "[[devices.meter.rules]]",
        """
[[devices.meter.rules]]
after = "400s"
every = "1h"
times = 1
where = "=device.index == 7"
send = { kind = "REPORT", device = 1, seq = 2, value = -40 }

[[devices.meter.rules]]""",
    )
    text += """
[[expect]]
name = "no report is out of range"
each = "meter"
sends = { kind = "REPORT", value = { max = -30 } }
never = true

[results]
events = "1MB"
capture = "1MB"

[scenario]
duration = "1000s"
until = "duration"
"""
    file.write_text(text)
    out = tmp_path / "out"
    result = run(file, out).result
    assert (result.verdict, result.counters["events"] > 20_000) == ("failed", True), result.reason
    (failed,) = [outcome for outcome in result.expectations if not outcome.passed]
    assert failed.t is not None
    with (out / "events.jsonl").open("rb") as lines:
        events = list(decode_events(lines))
    assert (out / "events.jsonl").stat().st_size <= 1_000_000
    assert fold(events) == result
    around = [event for event in events if abs(event.t - failed.t) < 2]
    assert {event.device for event in around if isinstance(event, Sent)} >= {"meter[7]"}
    assert len(around) > 60
    assert len([event for event in events if event.t > 990]) >= 200
    assert not [event for event in events if 10 < event.t < 300]
    capture = (out / "capture.pcapng").read_bytes()
    assert len(capture) <= 1_000_000
    times = [(t - EPOCH_OF_VIRTUAL_TIME * 1e9) / 1e9 for t in packet_times(capture)]
    assert [t for t in times if abs(t - failed.t) < 1]
    assert max(times) > 999
    assert not [t for t in times if 10 < t < 300]
    for name in ("events.jsonl", "capture.pcapng"):
        assert any(note.startswith(f"{name} is held to 1 MB: ") for note in result.notes)
    assert sorted(path.name for path in out.iterdir()) == sorted(["result.json", *result.files])


def packet_times(capture: bytes) -> list[int]:
    """The nanoseconds of the packet blocks of a pcapng file, which is looked through block by block."""
    times = []
    at = 0
    while at < len(capture):
        kind, length = struct.unpack_from("<II", capture, at)
        assert struct.unpack_from("<I", capture, at + length - 4) == (length,)
        if kind == 6:
            high, low = struct.unpack_from("<II", capture, at + 12)
            times.append(high << 32 | low)
        at += length
    assert at == len(capture)
    return times
