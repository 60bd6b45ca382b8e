from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from iotsim.errors import IotsimError, ScenarioError
from iotsim.results.result import RunResult, decode_result, encode_result
from iotsim.run import suite
from iotsim.run.folder import open_results
from iotsim.run.suite import SUITE, Job, join_suite, judge, name_folders, parse_jobs, run_suite

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSED = RunResult(
    scenario="a", path="a.toml", seed=1, verdict="passed", repeat="iotsim run a.toml"
)


def test_folders_are_named_by_what_differs(tmp_path: Path) -> None:
    base = tmp_path / ("x" * 100)
    files = [base / "a.toml", base / "deeper" / "a.toml", base / "deeper-a.toml"]
    assert list(name_folders(files).values()) == ["a", "deeper-a", "deeper-a_2"]


def test_the_same_names_in_different_folders(tmp_path: Path) -> None:
    files = [tmp_path / name / "x.toml" for name in ("one", "two")]
    assert list(name_folders(files).values()) == ["one-x", "two-x"]


def test_long_names_that_begin_alike(tmp_path: Path) -> None:
    files = [tmp_path / f"{'y' * 80}{end}.toml" for end in "ab"]
    names = list(name_folders(files).values())
    assert len(set(names)) == 2


def test_jobs() -> None:
    assert parse_jobs("3") == 3
    assert parse_jobs("auto") >= 1
    for text in ("0", "-1", "x", "", "10000", "٣"):
        with pytest.raises(ScenarioError, match="a number from 1 to 9999, or auto"):
            parse_jobs(text)


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("passed", 0), ("failed", 1), ("error", 2), ("skipped", 3), ("inconclusive", 4), ("empty", 5)],
)
def test_the_verdict_is_that_of_the_result(verdict: str, status: int) -> None:
    result = RunResult(scenario="a", path="a.toml", seed=1, verdict=verdict)
    assert judge(Path("a.toml"), [], encode_result(result), status, "") == result


def test_a_run_that_was_interrupted_is_the_error_that_it_says() -> None:
    result = RunResult(scenario="a", path="a.toml", seed=1, verdict="error", reason="interrupted")
    assert judge(Path("a.toml"), [], encode_result(result), 130, "") == result


@pytest.mark.parametrize("data", [b"", b"{}", b"{", b"null", b"[1]", b"\xff"])
@pytest.mark.parametrize("status", [0, 1, 2, 139, -9])
def test_an_exit_status_without_a_result_proves_nothing(data: bytes, status: int) -> None:
    result = judge(Path("x/a.toml"), ["run", "a b.toml"], data, status, "one\nthe last line\n")
    assert result.verdict == "error"
    how = "by SIGKILL" if status == -9 else f"with status {status}"
    assert result.reason == f"it has left no result, and ended {how}: the last line"
    assert (result.scenario, result.repeat) == ("a", "iotsim run 'a b.toml'")


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("passed", 1), ("passed", -11), ("passed", 130), ("failed", 0), ("running", 0), ("good", 0)],
)
def test_a_result_that_does_not_go_with_the_status_is_no_proof(verdict: str, status: int) -> None:
    result = RunResult(scenario="a", path="a.toml", seed=1, verdict=verdict)
    judged = judge(Path("a.toml"), ["run", "a.toml"], encode_result(result), status, "")
    assert judged.verdict == "error"
    assert f"its result says {verdict}, but it ended" in judged.reason


def test_a_run_by_itself_hands_its_result_to_nobody(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.delenv(SUITE, raising=False)
    join_suite()(PASSED)
    assert capfdbinary.readouterr() == (b"", b"")


def child(code: str) -> Sequence[str]:
    """A process in the place of ``iotsim run``, which can `hand_over` a result with a verdict."""
    head = (
        "import sys; from iotsim.run.suite import join_suite; from iotsim.results.result import *\n"
        "hand = join_suite()\n"
        "def hand_over(verdict, reason=''):\n"
        "    hand(RunResult(scenario='n', path=sys.argv[2], seed=7, verdict=verdict, reason=reason,"
        " repeat='iotsim run ' + sys.argv[2] + ' --seed 7'))\n"
    )
    return [sys.executable, "-c", head + code]


CHILDREN = {
    "passes.toml": "hand_over('passed')",
    "fails.toml": "hand_over('failed', 'meter[1]\\nheard \\x1b[1m nothing'); sys.exit(1)",
    "ends.toml": "print('a rogue'); sys.exit(0)",
    "crashes.toml": "import os; os.kill(os.getpid(), 11)",
    "skips.toml": "hand_over('skipped', 'no TUN'); sys.exit(3)",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    def command(_module: str, _run: str, *words: str) -> list[str]:
        name = next(word for word in words if word.endswith(".toml"))
        return [*child(CHILDREN[Path(name).name]), "run", name, *words]

    monkeypatch.setattr(suite.interpreter, "command", command)
    monkeypatch.chdir(tmp_path)
    return [Path(name) for name in CHILDREN]


def test_the_end_lists_what_has_not_passed_with_the_line_that_repeats_it(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_suite(
        [Job(file, ("--seed", "7")) for file in files], parallel=2, out=tmp_path / "out"
    )
    assert status == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("==")] == [
        "== passes.toml: passed",
        "== fails.toml: failed",
        "== ends.toml: error",
        "== crashes.toml: error",
        "== skips.toml: skipped",
    ]
    ends = "it has left no result, and ended with status 0: a rogue"
    crashes = "it has left no result, and ended by SIGSEGV: it has printed nothing"
    assert lines[-9:] == [
        "failed        fails.toml: meter[1]\\nheard \\x1b[1m nothing",
        "              iotsim run fails.toml --seed 7",
        f"error         ends.toml: {ends}",
        "              iotsim run ends.toml --seed 7",
        f"error         crashes.toml: {crashes}",
        "              iotsim run crashes.toml --seed 7",
        "skipped       skips.toml: no TUN",
        "              iotsim run skips.toml --seed 7",
        "5 of 5 scenarios: 1 passed, 1 failed, 2 error, 1 skipped",
    ]


def test_one_document_has_what_became_of_all(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "junit.xml").write_text("of an earlier suite")
    run_suite([Job(file) for file in files], parallel=2, out=out)
    root = ET.parse(out / "junit.xml").getroot()
    states = {
        element.find("properties/property[@name='verdict']").get("value")  # type: ignore[union-attr]
        for element in root
    }
    assert len(root) == 5
    assert states == {"passed", "failed", "error", "skipped"}
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("1", "2", "1")


def test_of_those_that_a_signal_has_kept_from_running_the_document_says_so(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run = suite.Suite.run

    def run_and_stop(self: suite.Suite, number: int) -> suite.Ended | None:
        ended = run(self, number)
        self.stop(signal.SIGTERM)
        return ended

    monkeypatch.setattr(suite.Suite, "run", run_and_stop)
    assert run_suite([Job(file) for file in files], parallel=1, out=out) == 143
    cases = ET.parse(out / "junit.xml").getroot().findall("testsuite/testcase")
    messages = [error.get("message", "") for case in cases for error in case.findall("error")]
    assert len(cases) == 5
    assert sum("has not ended" in message for message in messages) == 4


def test_two_suites_do_not_share_a_folder(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_results("other", out), pytest.raises(IotsimError, match="in use"):
        run_suite([Job(file) for file in files], parallel=1, out=out)


def test_what_is_handed_over_cannot_be_reached_by_what_a_run_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fd = os.memfd_create("x")
    monkeypatch.setenv(SUITE, f"{os.getppid()} {fd}")
    monkeypatch.setattr(suite.linux, "prctl", lambda *_: None)
    os.set_inheritable(fd, True)
    hand_over = join_suite()
    assert not os.get_inheritable(fd)
    assert SUITE not in os.environ
    hand_over(PASSED)
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        assert decode_result(file.read()) == PASSED
