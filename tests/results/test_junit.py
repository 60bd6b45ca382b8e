from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from iotsim.events import Outcome
from iotsim.results.junit import Case, Suite, encode_junit, suite_of
from iotsim.results.result import GatewayResult, RunResult

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b[2J]]></testcase>&\"'<\x00\ud800\ufffe\x85é\n"


def result_of(**fields: Any) -> RunResult:
    return RunResult(scenario="polls", path="polls.toml", seed=7, **fields)


def expected(*, passed: bool, **fields: Any) -> Outcome:
    fields = {
        "kind": "within",
        "severity": "error",
        "expected": "reads",
        "actual": "none",
        **fields,
    }
    return Outcome(name="reads come", passed=passed, **fields)


def read_back(path: Path, result: RunResult) -> dict[str, tuple[str, str]]:
    """Testcase name -> (outcome, message), as an independent reader sees them."""
    path.write_bytes(encode_junit([suite_of(result)]))
    document = JUnitXml.fromfile(str(path))
    (suite,) = document
    found = {}
    for case in suite:
        outcomes = [(type(r).__name__.lower(), r.message or "") for r in case.result]
        found[case.name] = outcomes[0] if outcomes else ("passed", "")
    assert suite.tests == len(found)
    states = [state for state, _ in found.values()]
    assert (suite.failures, suite.errors, suite.skipped) == (
        states.count("failure"),
        states.count("error"),
        states.count("skipped"),
    )
    return found


def test_a_passed_run(tmp_path: Path) -> None:
    result = result_of(verdict="passed", expectations=[expected(passed=True)])
    assert read_back(tmp_path / "x", result) == {
        "run": ("passed", ""),
        "reads come": ("passed", ""),
    }


def test_a_failed_expectation(tmp_path: Path) -> None:
    failed = expected(
        passed=False, nearest="meter[1]: near", devices=["meter[1]"], details=["near"]
    )
    result = result_of(verdict="failed", reason="reads come: none", expectations=[failed])
    found = read_back(tmp_path / "x", result)
    assert found == {"run": ("passed", ""), "reads come": ("failure", "none")}
    assert "nearest: meter[1]: near" in (tmp_path / "x").read_text()


def test_a_crash_of_the_gateway(tmp_path: Path) -> None:
    gateway = GatewayResult(command=["gw"], signal="SIGSEGV", crashed=True, last_lines=["bye"])
    result = result_of(
        verdict="failed",
        reason="the gateway was ended by SIGSEGV",
        gateway=gateway,
        expectations=[expected(passed=False)],
    )
    found = read_back(tmp_path / "x", result)
    assert found["run"] == ("failure", "the gateway was ended by SIGSEGV")
    assert found["reads come"][0] == "failure"


def test_the_other_verdicts(tmp_path: Path) -> None:
    for verdict, state in (
        ("error", "error"),
        ("empty", "error"),
        ("interrupted", "error"),
        ("skipped", "skipped"),
    ):
        found = read_back(tmp_path / "x", result_of(verdict=verdict, reason="because"))
        assert found == {"run": (state, "because")}


def test_what_is_inconclusive_is_no_failure_of_the_gateway(tmp_path: Path) -> None:
    doubted = expected(passed=False, inconclusive="0.3 s late")
    result = result_of(verdict="inconclusive", reason="lag", expectations=[doubted])
    found = read_back(tmp_path / "x", result)
    assert found == {"run": ("error", "lag"), "reads come": ("error", "0.3 s late")}


def test_a_warning_passes(tmp_path: Path) -> None:
    warning = expected(passed=False, severity="warning")
    found = read_back(tmp_path / "x", result_of(verdict="passed", expectations=[warning]))
    assert found["reads come"] == ("passed", "")


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    found = read_back(tmp_path / "x", result_of())
    assert found["run"][0] == "error"
    assert "still running, or was killed" in found["run"][1]


def test_hostile_text(tmp_path: Path) -> None:
    failed = expected(passed=False, actual=HOSTILE, nearest=HOSTILE, place=HOSTILE, error=HOSTILE)
    gateway = GatewayResult(command=["gw"], crashed=True, last_lines=[HOSTILE])
    result = RunResult(
        scenario=HOSTILE,
        path=HOSTILE,
        seed=1,
        verdict="failed",
        reason=HOSTILE,
        repeat=HOSTILE,
        notes=[HOSTILE],
        errors=[HOSTILE],
        gateway=gateway,
        expectations=[failed],
    )
    found = read_back(tmp_path / "x", result)
    assert found["reads come"] == (
        "error",
        "\\x1b[2J]]></testcase>&\"'<\\x00\\ud800\\ufffe\\x85é\n",
    )


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters()), st.sampled_from(["passed", "failure", "error", "skipped"]))
def test_any_text_gives_xml_that_can_be_read(text: str, state: Any) -> None:
    case = Case(text, state, text, text, text, text, 1.5, text)
    suite = Suite(text, [case], 1.5, "2026-01-01T00:00:00", {text: text}, text)
    root = ET.fromstring(encode_junit([suite, suite]))
    assert root.get("tests") == "2"
    assert len(root.findall("testsuite/testcase")) == 2
