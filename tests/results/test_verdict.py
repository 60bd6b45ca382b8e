from __future__ import annotations

import itertools

import pytest

from iotsim.events import Outcome
from iotsim.results.verdict import Verdict, combine, decide, exit_code


def outcome(
    *, passed: bool, severity: str = "error", error: str = "", inconclusive: str = ""
) -> Outcome:
    return Outcome(
        name="reads",
        kind="within",
        passed=passed,
        severity=severity,
        expected="a read",
        actual="none came",
        error=error,
        inconclusive=inconclusive,
    )


def test_exit_codes() -> None:
    codes = {verdict: exit_code(verdict) for verdict in Verdict}
    assert codes == {
        "passed": 0,
        "failed": 1,
        "error": 2,
        "skipped": 3,
        "inconclusive": 4,
        "empty": 5,
    }


def test_the_gravest_verdict_stands_for_several() -> None:
    order = ["error", "failed", "inconclusive", "empty", "skipped", "passed"]
    for size in range(1, 4):
        for verdicts in itertools.combinations(order, size):
            assert combine(reversed(verdicts)) == verdicts[0]
    assert combine([]) == Verdict.EMPTY


def test_a_verdict_for_one_run() -> None:
    good, bad = outcome(passed=True), outcome(passed=False)
    warning = outcome(passed=False, severity="warning")
    assert decide([good]) == (Verdict.PASSED, "")
    assert decide([bad, good]) == (Verdict.FAILED, "reads: none came")
    assert decide([bad, bad]).reason == "reads: none came (and 1 more)"
    assert decide([good, warning]) == (Verdict.PASSED, "with 1 warning")
    assert decide([]).verdict == Verdict.EMPTY
    assert decide([], served=True).verdict == Verdict.PASSED


def test_whose_fault_it_is() -> None:
    good, bad = outcome(passed=True), outcome(passed=False)
    assert decide([good], crash="SIGSEGV").verdict == Verdict.FAILED
    doubted = outcome(passed=False, inconclusive="3 s late")
    assert decide([doubted, good]) == (Verdict.INCONCLUSIVE, "reads: 3 s late")
    assert decide([doubted], crash="SIGSEGV").verdict == Verdict.FAILED
    # What is certain counts, wherever else there is a doubt.
    assert decide([doubted, bad]) == (Verdict.FAILED, "reads: none came")
    soft = outcome(passed=False, severity="warning", inconclusive="3 s late")
    assert decide([good, soft]) == (Verdict.PASSED, "with 1 warning")
    assert decide([bad], errors=["a behavior raised"], crash="x").verdict == Verdict.ERROR
    assert decide([outcome(passed=True, error="no field x")]).reason == "reads: no field x"


def test_no_other_word_is_a_verdict() -> None:
    with pytest.raises(ValueError):
        exit_code("running")
