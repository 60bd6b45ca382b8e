"""Which results are meant by a word: `iotsim.run.lookup`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import IotsimError
from iotsim.events import Outcome
from iotsim.results.result import RunResult, encode_result
from iotsim.results.suite import SuiteResult, SuiteRun, encode_suite
from iotsim.run.lookup import find_results

if TYPE_CHECKING:
    from pathlib import Path


def leave(folder: Path, at: float, scenario: str = "a", path: str = "a.toml") -> Path:
    """Results of a run that ended at that time."""
    folder.mkdir(parents=True)
    file = folder / "result.json"
    file.write_bytes(encode_result(RunResult(scenario=scenario, path=path, seed=1)))
    os.utime(file, (at, at))
    return folder


def test_the_last_ones_are_those_that_were_written_last(tmp_path: Path) -> None:
    older = leave(tmp_path / "b/2026-01-02_00-00-00", 100)
    newest = leave(tmp_path / "a/2026-01-01_00-00-00", 300)
    leave(tmp_path / "a/2026-01-03_00-00-00", 200)
    assert find_results("last", tmp_path) == newest
    assert find_results("b", tmp_path) == older
    assert find_results("some/where/a.toml", tmp_path) == newest


def test_a_killed_run_without_a_result_counts_too(tmp_path: Path) -> None:
    leave(tmp_path / "a/1", 100)
    killed = tmp_path / "a/2"
    killed.mkdir()
    (killed / "events.jsonl").write_text("")
    assert find_results("last", tmp_path) == killed


def test_a_scenario_may_be_called_otherwise_than_its_file(tmp_path: Path) -> None:
    found = leave(tmp_path / "a/1", 100, scenario="Two meters", path="x/a.toml")
    leave(tmp_path / "b/1", 200)
    assert find_results("Two meters", tmp_path) == found
    assert find_results("x/a.toml", tmp_path) == found


def test_the_newest_is_found_wherever_it_is(tmp_path: Path) -> None:
    leave(tmp_path / "suite/1/b", 100, scenario="a", path="x/b.toml")
    leave(tmp_path / "a/1", 200, scenario="An alarm", path="x/a.toml")
    newest = leave(tmp_path / "suite/2/a", 300, scenario="An alarm", path="x/a.toml")
    leave(tmp_path / "suite/2/c", 400, scenario="c", path="x/c.toml")
    assert find_results("a", tmp_path) == newest
    assert find_results("x/a.toml", tmp_path) == newest
    newer = leave(tmp_path / "a/2", 350)
    assert find_results("a", tmp_path) == newer


def test_the_runs_of_a_matrix_are_found(tmp_path: Path) -> None:
    leave(tmp_path / "a/1/rate-1", 100)
    second = leave(tmp_path / "a/1/rate-2", 200)
    assert find_results("a", tmp_path) == second


def test_a_folder_is_itself_or_the_only_one_in_it(tmp_path: Path) -> None:
    inner = leave(tmp_path / "out/a", 100)
    assert find_results(str(inner), tmp_path) == inner
    assert find_results(str(tmp_path / "out"), tmp_path) == inner
    leave(tmp_path / "out/b", 100)
    with pytest.raises(IotsimError, match=r"several runs, name one: .*out/a, .*out/b"):
        find_results(str(tmp_path / "out"), tmp_path)


def test_a_suite_is_no_run_but_its_runs_are(tmp_path: Path) -> None:
    suite = leave(tmp_path / "suite/1", 300)
    (suite / "index.html").write_text("")
    found = leave(suite / "a", 200)
    assert find_results("last", tmp_path) == found
    assert find_results(str(suite), tmp_path) == found


def leave_suite(folder: Path, **runs: str) -> Path:
    """A suite whose runs, begun in this order, have these verdicts; the last of them ended last. Of each
    there is an expectation called after it, and "replies", which those that failed did not hold."""
    listed = []
    for number, (name, verdict) in enumerate(runs.items()):
        run = leave(folder / name, 1000.0 + number, scenario=name)
        names = (f"{name} is polled", "replies")
        outcomes = [made(one, passed=one != "replies" or verdict == "passed") for one in names]
        result = RunResult(
            scenario=name, path="a.toml", seed=1, verdict=verdict, expectations=outcomes
        )
        (run / "result.json").write_bytes(encode_result(result))
        os.utime(run / "result.json", (1000.0 + number, 1000.0 + number))
        listed.append(SuiteRun(name, name, "a.toml", verdict, name))
    told = SuiteResult(1, "suite", "failed", "", 1.0, 1, {}, listed)
    (folder / "result.json").write_bytes(encode_suite(told))
    (folder / "index.html").write_text("")
    return folder


def made(name: str, *, passed: bool) -> Outcome:
    return Outcome(
        name=name, kind="within", passed=passed, severity="error", expected="a", actual="b"
    )


def test_the_last_of_a_suite_is_the_first_that_did_not_pass(tmp_path: Path) -> None:
    leave(tmp_path / "a/1", 100)
    suite = leave_suite(
        tmp_path / "suite/1", a="passed", b="failed", c="error", d="running", e="passed"
    )
    assert find_results("last", tmp_path) == suite / "b"


def test_the_last_of_a_suite_that_passed_is_what_ended_last(tmp_path: Path) -> None:
    suite = leave_suite(tmp_path / "suite/1", a="passed", b="passed")
    assert find_results("last", tmp_path) == suite / "b"


def test_of_a_suite_an_expectation_tells_which_run_is_meant(tmp_path: Path) -> None:
    suite = leave_suite(tmp_path / "suite/1", a="passed", b="failed", c="failed", d="passed")
    for word in ("last", str(suite)):
        assert find_results(word, tmp_path, expectation="D is polled") == suite / "d"
        assert find_results(word, tmp_path, expectation="replies") == suite / "b"
    with pytest.raises(IotsimError, match=r"name one: .*/b \(failed\), .*/c \(failed\), .*/a"):
        find_results(str(suite), tmp_path, expectation="nothing")


def test_what_a_suite_says_leads_out_of_it_nowhere(tmp_path: Path) -> None:
    leave(tmp_path / "elsewhere/1", 100)
    suite = leave_suite(tmp_path / "suite/1", a="passed")
    told = SuiteResult(
        1,
        "suite",
        "failed",
        "",
        1.0,
        1,
        {},
        [SuiteRun("x", "x", "x", "failed", "../../elsewhere/1")],
    )
    (suite / "result.json").write_bytes(encode_suite(told))
    assert find_results("last", tmp_path) == suite / "a"


def test_what_a_gateway_left_is_no_run(tmp_path: Path) -> None:
    found = leave(tmp_path / "a/1", 100)
    leave(found / "work", 200)
    assert find_results("last", tmp_path) == found


@pytest.mark.parametrize("word", ["last", "nothing", "no/such/folder", "\x00"])
def test_where_there_is_nothing_that_is_said(word: str, tmp_path: Path) -> None:
    with pytest.raises(IotsimError, match="no results"):
        find_results(word, tmp_path / "results")
