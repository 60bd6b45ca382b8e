"""What the process of a run has proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.results.result import RunResult, encode_result
from iotsim.run.judging import judge
from iotsim.run.suitejobs import Job

JOB = Job(Path("a.toml"))
STACK = """something that was printed
Stack (most recent call first):
  File "/x/y z.py", line 12 in spin
  File "/x/main.py", line 3 in main
"""


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("passed", 0), ("failed", 1), ("error", 2), ("skipped", 3), ("inconclusive", 4), ("empty", 5)],
)
def test_the_verdict_is_that_of_the_result(verdict: str, status: int) -> None:
    result = RunResult(scenario="a", path="a.toml", seed=1, verdict=verdict)
    assert judge(JOB, encode_result(result), status, "") == result


def test_a_run_that_was_interrupted_is_the_error_that_it_says() -> None:
    result = RunResult(scenario="a", path="a.toml", seed=1, verdict="error", reason="interrupted")
    assert judge(JOB, encode_result(result), 130, "") == result


@pytest.mark.parametrize("data", [b"", b"{}", b"{", b"null", b"[1]", b"\xff"])
@pytest.mark.parametrize("status", [0, 1, 2, 139, -9])
def test_an_exit_status_without_a_result_proves_nothing(data: bytes, status: int) -> None:
    job = Job(Path("x/a b.toml"), ("--seed", "3"))
    result = judge(job, data, status, "one\nthe last line\n")
    assert result.verdict == "error"
    how = "by SIGKILL" if status == -9 else f"with status {status}"
    assert result.reason == f"it has left no result, and ended {how}: the last line"
    assert (result.scenario, result.repeat) == ("a b", "iotsim run 'x/a b.toml' --seed 3")


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("passed", 1), ("passed", -11), ("passed", 130), ("failed", 0), ("running", 0), ("good", 0)],
)
def test_a_result_that_does_not_go_with_the_status_is_no_proof(verdict: str, status: int) -> None:
    result = RunResult(scenario="a", path="a.toml", seed=1, verdict=verdict)
    judged = judge(JOB, encode_result(result), status, "")
    assert judged.verdict == "error"
    assert f"its result says {verdict}, but it ended" in judged.reason


@pytest.mark.parametrize(
    ("output", "doing", "told"),
    [
        (STACK, "waiting for x", "too late: waiting for x; its process was at spin() at /x/y z.py:12"),
        (STACK, "", "too late: its process was at spin() at /x/y z.py:12"),
        ("", "waiting for x", "too late: waiting for x"),
        ("", "", "too late: what it was doing is not known"),
    ],
)  # fmt: skip
def test_of_one_that_was_killed_it_is_told_what_it_was_doing(
    output: str, doing: str, told: str
) -> None:
    for data in (b"", encode_result(RunResult(scenario="a", path="a.toml", seed=1))):
        result = judge(JOB, data, -9, output, doing=doing, killed_for="too late")
        assert (result.verdict, result.reason) == ("error", told)


def test_a_signal_without_a_name() -> None:
    assert "by signal 40" in judge(JOB, b"", -40, "").reason
