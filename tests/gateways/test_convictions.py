"""Gateways with a known bug each are convicted by their scenario, and the correct one is acquitted by it.

All run as users run them, with the same seed. docs/convictions.md is made of what they printed: a run of all
tests of this file writes it, and in CI a page that says anything else is a failure.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.gateways.convictions import (
    BASES,
    BEGIN,
    END,
    PAGE,
    SCENARIOS,
    Case,
    Done,
    cases,
    page_of,
    run,
    stable,
    with_part,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASES = cases()
RUNS_AT_A_TIME = 2
ATTEMPTS = 3  # at a verdict: on a machine that is too slow at the moment, a run may be inconclusive

pytestmark = pytest.mark.needs("tun")


class Runs:
    """The runs of all cases, each with the correct gateway and with its own, all begun at once."""

    def __init__(self, pool: ThreadPoolExecutor, folder: Path) -> None:
        self.folder = folder
        self.futures: dict[tuple[Case, bool], Future[Done]] = {
            (case, buggy): pool.submit(self.judge, case, case.name if buggy else case.correct)
            for case in CASES
            for buggy in (False, True)
        }

    def judge(self, case: Case, bug: str) -> Done:
        for attempt in range(ATTEMPTS):
            done = run(case.scenario, bug, self.folder / f"{case.name}-{bug}-{attempt}")
            if done.verdict != "inconclusive":
                break
        return done

    def correct(self, case: Case) -> Done:
        return self.futures[case, False].result()

    def buggy(self, case: Case) -> Done:
        return self.futures[case, True].result()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    pool = ThreadPoolExecutor(RUNS_AT_A_TIME)
    yield Runs(pool, tmp_path_factory.mktemp("convictions"))
    pool.shutdown(cancel_futures=True)


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_correct_gateway_is_acquitted(case: Case, runs: Runs) -> None:
    done = runs.correct(case)
    assert done.verdict == "passed", done.text


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_gateway_with_the_bug_is_convicted(case: Case, runs: Runs) -> None:
    done = runs.buggy(case)
    assert done.verdict == "failed", done.text


def test_the_page_shows_what_they_printed(runs: Runs) -> None:
    found = [(case, runs.correct(case), runs.buggy(case)) for case in CASES]
    verdicts = {case.name: (correct.verdict, buggy.verdict) for case, correct, buggy in found}
    assert verdicts == {case.name: ("passed", "failed") for case in CASES}
    page = PAGE.read_text()
    made = with_part(page, page_of(found))
    if os.environ.get("CI"):
        assert made == page
    else:
        PAGE.write_text(made)


def test_each_bug_has_a_scenario_and_says_what_is_wrong() -> None:
    assert len(CASES) >= 20
    assert {case.scenario.stem for case in CASES} == {p.stem for p in SCENARIOS.glob("*.toml")} - {
        *BASES
    }
    assert all(case.wrong.endswith(".") and case.about.endswith(".") for case in CASES)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2 came: t=0.131 s, seq=1 crc=47919 (t=12 ms)", "… came: t=… s, seq=… crc=… (t=… ms)"),
        ("value=20.13078 from 10.77.0.1:41234", "value=… from 10.77.0.1:…"),
        ("meter[3] of 14, to 10.77.0.1:5600", "meter[3] of 14, to 10.77.0.1:5600"),
        ("it used 29.0% of a core, 87.3 MB", "it used …% of a core, … MB"),
        ('{"id": "1.12", "seq": 3}: 1 of 9 lost: a', '{"id": "…", "seq": …}: … of … lost: a'),
        ("2 of 9 out of order: magic=SN; magic=SN", "… of … out of order: magic=SN"),
    ],
)
def test_what_differs_from_run_to_run_is_not_shown(text: str, shown: str) -> None:
    assert stable(text) == shown


def test_only_its_part_of_the_page_is_made() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = with_part(page, "new\n")
    assert made == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert with_part(made, "new\n") == made
