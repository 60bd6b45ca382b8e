"""``report.html`` stands beside the results of every run, is made again from them, and decides nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.run.reporting import SCENARIO

from iotsim.results.result import decode_result
from iotsim.results.verdict import Verdict
from iotsim.run import html
from iotsim.run.documents import write_documents
from iotsim.run.folder import open_results
from iotsim.run.html import page_data
from iotsim.run.job import leave_verdict, run_file
from iotsim.run.past import PastRun
from iotsim.run.run import RunOptions, open_run
from iotsim.scenario import Overrides, load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotsim.run.report import RunReport


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "meters.toml"
    path.write_text(SCENARIO)
    return path


def run(file: Path, out: Path) -> RunReport:
    return run_file(file, RunOptions(out=out), Overrides(), default_seed=7)


def test_a_run_leaves_a_page_that_is_made_again_just_the_same(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(file, out)
    assert (report.result.verdict, report.trouble) == (Verdict.PASSED, "")
    assert "report.html" in report.result.files
    page = (out / "report.html").read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert b"every meter reports" in page
    (out / "report.html").unlink()
    assert write_documents(PastRun(out), ["report"]) == [out / "report.html"]
    assert (out / "report.html").read_bytes() == page


def test_the_bytes_of_messages_are_from_the_capture_of_the_run(file: Path, tmp_path: Path) -> None:
    run(file, tmp_path / "out")
    data = page_data(PastRun(tmp_path / "out"))
    assert data["messages"]["count"] == len(data["bytes"]["row"]) >= 3
    assert set(data["bytes"]["from"]) == {"capture"}
    assert min(data["bytes"]["layout"]) == 0


def test_a_failed_run_a_broken_one_and_one_of_nothing_have_pages(
    file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    file.write_text(SCENARIO.replace('"REPORT" }', '"READ" }').replace("READ", "STATUS"))
    assert run(file, out).result.verdict == Verdict.ERROR
    assert b"STATUS" in (out / "report.html").read_bytes()
    file.write_text(SCENARIO + "\n[[expect]]\nname = 'asked'\neach = 'meter'\n"
                    'receives = { kind = "READ" }\nwithin = "1s"\n')  # fmt: skip
    assert run(file, out).result.verdict == Verdict.FAILED
    assert b"asked" in (out / "report.html").read_bytes()
    leave_verdict(out, "nothing", Verdict.EMPTY, "there was nothing to run")
    assert b"there was nothing to run" in (out / "report.html").read_bytes()


async def test_a_run_that_was_interrupted_or_broke_has_a_page(file: Path, tmp_path: Path) -> None:
    scenario = load_scenario(file)
    with pytest.raises(KeyError):
        async with open_run(scenario, RunOptions(out=tmp_path / "out")):
            raise KeyError("in the test")
    assert decode_result((tmp_path / "out/result.json").read_bytes()).verdict == Verdict.ERROR
    assert b"in the test" in (tmp_path / "out/report.html").read_bytes()


async def test_a_run_without_files_makes_no_page(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "build_page", pytest.fail)
    async with open_run(load_scenario(file), RunOptions(files=False)) as going:
        await going.wait()
    assert going.result.verdict == Verdict.PASSED


def raising(error: BaseException) -> Callable[..., bytes]:
    def build(*_: Any) -> bytes:
        raise error

    return build


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (KeyboardInterrupt(), "interrupted"),
        (RecursionError("too deep"), "RecursionError: too deep"),
    ],
)
def test_a_page_that_cannot_be_made_is_a_note(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: str
) -> None:
    monkeypatch.setattr(html, "build_page", raising(error))
    report = run(file, tmp_path / "out")
    assert report.result.verdict == Verdict.PASSED
    assert told in report.trouble
    written = json.loads((tmp_path / "out/result.json").read_bytes())
    assert written["verdict"] == "passed"
    assert f"report.html is not written: {told}" in written["notes"][-1]
    assert not (tmp_path / "out/report.html").exists()


def test_the_page_of_an_earlier_run_goes_with_its_other_files(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(file, out)
    with open_results("x", out):
        assert list(out.iterdir()) == []


def test_protocols_are_not_looked_for_where_results_say(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    (folder / "protocols").mkdir(parents=True)
    (folder / "protocols/sensornet2.py").write_text(
        "from iotsim.protocol import Protocol\nraise SystemExit('executed')\n"
        "PROTOCOL = Protocol(name='sensornet2')\n"
    )
    run(file, folder / "out")
    events = folder / "out/events.jsonl"
    events.write_bytes(
        events.read_bytes().replace(b'"protocol":"sensornet"', b'"protocol":"sensornet2"')
    )
    data = page_data(PastRun(folder / "out"))
    assert set(data["bytes"]["from"]) == {"capture"}
    assert set(data["bytes"]["layout"]) == {-1}


def test_captures_of_segments_and_processes_are_read_one_after_the_other(
    file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(file, out)
    capture = out / "capture.pcapng"
    capture.rename(out / "capture.shard0.2.pcapng")
    (out / "capture.shard1.pcapng").write_bytes(b"no capture at all")
    data = page_data(PastRun(out))
    assert set(data["bytes"]["from"]) == {"capture"}


@pytest.mark.parametrize("place", ["protocols/p.py", "p.py", "p/__init__.py", "far/p.py", "link"])
def test_no_code_that_stands_in_results_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    code = f"from pathlib import Path\nPath({str(tmp_path / 'executed')!r}).touch()\n"
    code += "from iotsim import Protocol\nPROTOCOL = None\n"
    path = {"far/p.py": tmp_path / place, "link": results / "protocols/p.py"}.get(
        place, results / place
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    if place == "far/p.py":
        (results / "iotsim.toml").write_text('protocols = ["../far"]\n')
    below = results / "below"
    below.mkdir()
    if place == "link":
        (below / "protocols").symlink_to(results / "protocols")
    monkeypatch.chdir(below if place == "link" else results)
    assert html._find_protocol(results, "p") is None
    assert not (tmp_path / "executed").exists()
    assert html._find_protocol(results, "sensornet") is not None, "those that come with iotsim"


def test_protocols_of_the_project_around_the_results_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iotsim.toml").touch()
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols/p.py").write_text(
        "from construct import Int8ub, Struct\nfrom iotsim import Protocol\n"
        'PROTOCOL = Protocol(name="p", message=Struct("kind" / Int8ub), port=7000)\n'
    )
    results = tmp_path / "results"
    results.mkdir()
    monkeypatch.chdir(results)
    assert html._find_protocol(results, "p") is not None


def test_a_run_that_was_killed_gets_its_page_from_what_it_has_left(
    file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(file, out)
    events = (out / "events.jsonl").read_bytes()
    (out / "events.jsonl").write_bytes(events[: events.index(b'"run-ended"') + 40])
    capture = (out / "capture.pcapng").read_bytes()
    (out / "capture.pcapng").write_bytes(capture[:-30])
    for name in ("result.json", "junit.xml", "report.html"):
        (out / name).unlink()
    data = page_data(PastRun(out))
    assert (data["run"]["verdict"], data["run"]["ended"]) == ("running", False)
    assert [one["state"] for one in data["expectations"]] == ["passed"]
    assert data["messages"]["whole"]
    assert len(data["bytes"]["row"]) == data["messages"]["count"]
    write_documents(PastRun(out), ["report"])
    assert b"every meter reports" in (out / "report.html").read_bytes()
