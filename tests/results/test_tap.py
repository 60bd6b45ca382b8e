"""TAP, as its readers take it: tap.py, Perl's harness, and a YAML parser."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tap.parser import Parser

from iotsim.events import Outcome
from iotsim.results.cases import Case, Suite, suite_of
from iotsim.results.result import RunResult
from iotsim.results.tap import encode_tap

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b[2J\n  ...\nok 99 - # TODO # SKIP \\\nBail out! \ud800\u2028\x85: [{'\"%@`é"
READS = Outcome(
    name="reads come", kind="within", passed=True, severity="error", expected="a", actual="b"
)


def outcome(**fields: Any) -> Outcome:
    base = {name: getattr(READS, name) for name in READS.__struct_fields__}
    return Outcome(**{**base, **fields})


def document(*outcomes: Outcome, **fields: Any) -> str:
    result = RunResult(
        scenario="polls", path="polls.toml", seed=7, expectations=list(outcomes), **fields
    )
    return encode_tap([suite_of(result)]).decode()


def results(text: str) -> list[Any]:
    lines = list(Parser().parse_text(text))
    assert [line.category for line in lines[:2]] == ["version", "plan"]
    assert {line.category for line in lines[2:]} <= {"test"}
    assert lines[1].expected_tests == len(lines) - 2
    return lines[2:]


def blocks(text: str, indent: str = "  ") -> list[Any]:
    """The YAML of each case, read by a parser of YAML alone."""
    found = re.findall(rf"(?ms)^{indent}---\n(.*?)^{indent}\.\.\.$", text)
    return [yaml.safe_load(block) for block in found]


def test_a_run_that_passed() -> None:
    text = document(outcome(place="a.toml:12", t=1.5), verdict="passed", duration_s=3.0)
    run, reads = results(text)
    assert (run.ok, reads.ok, reads.description) == (True, True, "- reads come")
    assert blocks(text)[1] == {"duration_ms": 1500, "at": {"file": "a.toml", "line": 12}}


def test_what_failed_says_why() -> None:
    failed = outcome(passed=False, actual="none", devices=("m[0]",), details=("heard nothing",))
    text = document(failed, verdict="failed", reason="none")
    run, reads = results(text)
    assert (run.ok, reads.ok) == (True, False)
    told = blocks(text)[1]
    assert (told["severity"], told["type"], told["message"]) == ("failure", "within", "none")
    assert (told["expected"], told["actual"]) == ("a", "none")
    assert told["devices"] == {"m[0]": "heard nothing"}


def test_what_is_in_doubt_is_no_success() -> None:
    (_, reads) = results(document(outcome(passed=False, inconclusive="late"), verdict="failed"))
    assert not reads.ok


def test_a_warning_fails_nothing() -> None:
    (_, reads) = results(document(outcome(passed=False, severity="warning"), verdict="passed"))
    assert reads.todo


def test_what_this_machine_cannot_run_is_skipped() -> None:
    (run,) = results(document(verdict="skipped", reason="no TUN # here"))
    assert (run.ok, run.skip) == (True, True)


def test_a_killed_run_is_no_success() -> None:
    text = document(outcome())
    run, reads = results(text)
    assert (run.ok, reads.ok) == (False, True)
    assert "was killed" in blocks(text)[0]["message"]


def test_several_scenarios_are_subtests() -> None:
    passed = suite_of(RunResult(scenario="a", path="", seed=1, verdict="passed"))
    failed = suite_of(RunResult(scenario="b # x", path="", seed=1, verdict="error", reason="bad"))
    text = encode_tap([passed, failed]).decode()
    assert text.startswith("TAP version 14\n1..2\n# Subtest: a\n    1..1\n    ok 1 - run\n")
    assert re.findall("(?m)^(?:not )?ok .*$", text) == ["ok 1 - a", "not ok 2 - b \\# x"]
    assert blocks(text, " " * 6)[1]["message"] == "bad"
    assert encode_tap([]) == b"TAP version 14\n1..0 # no scenarios\n"


def test_hostile_text_adds_no_line_and_ends_no_block() -> None:
    failed = outcome(
        name=HOSTILE,
        passed=False,
        actual=HOSTILE,
        nearest=HOSTILE,
        place=HOSTILE,
        devices=(HOSTILE,),
        details=(HOSTILE,),
    )
    text = document(failed, verdict="failed", reason=HOSTILE, notes=[HOSTILE], errors=[HOSTILE])
    _, reads = results(text)
    assert (reads.ok, reads.todo, reads.skip) == (False, False, False)
    _, told = blocks(text)
    shown = "\\x1b[2J\n  ...\nok 99 - # TODO # SKIP \\\nBail out! \\ud800\\u2028\\x85: [{'\"%@`é"
    assert told["message"] == shown
    (skipped,) = results(document(verdict="skipped", reason=HOSTILE))
    assert skipped.skip


@pytest.mark.needs("prove")
def test_perls_harness_agrees(tmp_path: Path) -> None:
    for state, outcomes in {
        "passed": [outcome(), outcome(name=HOSTILE), outcome(passed=False, severity="warning")],
        "failed": [outcome(name=HOSTILE, passed=False, actual=HOSTILE)],
    }.items():
        file = tmp_path / f"{state}.tap"
        text = document(*outcomes, verdict=state, reason="x")
        # Before 3.45, of 2023, it refuses the version.
        file.write_text(text.replace("TAP version 14", "TAP version 13"))
        done = subprocess.run(
            ["prove", "--exec", "cat", str(file)], capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == (state == "passed"), done.stdout + done.stderr
        assert f"Tests={len(outcomes) + 1}" in done.stdout
        assert "Parse errors" not in done.stdout


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.characters()),
    st.sampled_from(["passed", "failure", "error", "skipped"]),
    st.floats(),
    st.booleans(),
)
def test_any_text_stays_where_it_belongs(
    text: str, state: Any, time_s: float, warning: bool
) -> None:
    case = Case(
        text,
        state,
        text,
        text,
        text,
        (("actual", text),),
        ((text, text),),
        warning,
        time_s,
        text,
        3,
    )
    made = encode_tap([Suite(text, [case, Case("last")])]).decode()
    assert len(re.findall("(?m)^(?:not )?ok [12] - ", made)) == 2
    assert not re.findall("(?mi)^bail out", made)
    told, _ = blocks(made)
    if text:
        assert told["at"]["line"] == 3
    assert told["duration_ms"] >= 0
