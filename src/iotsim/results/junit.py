"""JUnit XML, in the shape that CI systems read (the Jenkins and Surefire dialect).

A run is a ``testsuite``, each expectation a ``testcase``, and one more testcase, "run", stands for
all that is no expectation: a crash of the gateway, an error in the scenario, a machine that cannot
run it. While the run goes on, that testcase holds an error that says so; it is what is left of a
run that was killed.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from iotsim.results.result import RUNNING
from iotsim.results.verdict import Verdict
from iotsim.safetext import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.events import Outcome
    from iotsim.results.result import RunResult

State = Literal["passed", "failure", "error", "skipped"]
RUN_CASE = "run"


@dataclass(frozen=True, slots=True)
class Case:
    """A ``testcase``. ``kind`` is the type attribute of what went wrong, ``text`` its details."""

    name: str
    state: State = "passed"
    kind: str = ""
    message: str = ""
    text: str = ""
    output: str = ""
    time_s: float = 0.0
    file: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """A ``testsuite``. ``timestamp`` is ISO 8601 text."""

    name: str
    cases: Sequence[Case]
    time_s: float = 0.0
    timestamp: str = ""
    properties: Mapping[str, str] | None = None
    output: str = ""


def encode_junit(suites: Sequence[Suite]) -> bytes:
    """One document of all `suites`."""
    root = ET.Element("testsuites", _totals(*suites))
    for suite in suites:
        element = ET.SubElement(
            root, "testsuite", {"name": safe_text(suite.name), **_totals(suite)}
        )
        if suite.timestamp:
            element.set("timestamp", suite.timestamp)
        if suite.properties:
            properties = ET.SubElement(element, "properties")
            for name, value in suite.properties.items():
                ET.SubElement(properties, "property", name=safe_text(name), value=safe_text(value))
        for case in suite.cases:
            _add_case(element, suite, case)
        if suite.output:
            ET.SubElement(element, "system-out").text = safe_text(suite.output)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_case(parent: ET.Element, suite: Suite, case: Case) -> None:
    element = ET.SubElement(
        parent,
        "testcase",
        name=safe_text(case.name),
        classname=safe_text(suite.name),
        time=f"{case.time_s:.3f}",
    )
    if case.file:
        element.set("file", safe_text(case.file))
    if case.state != "passed":
        attributes = {"message": safe_text(case.message)}
        if case.kind:
            attributes["type"] = safe_text(case.kind)
        ET.SubElement(element, case.state, attributes).text = safe_text(case.text)
    if case.output:
        ET.SubElement(element, "system-out").text = safe_text(case.output)


def _totals(*suites: Suite) -> dict[str, str]:
    states = [case.state for suite in suites for case in suite.cases]
    return {
        "tests": str(len(states)),
        "failures": str(states.count("failure")),
        "errors": str(states.count("error")),
        "skipped": str(states.count("skipped")),
        "time": f"{sum(suite.time_s for suite in suites):.3f}",
    }


def suite_of(result: RunResult) -> Suite:
    """The testsuite of one run."""
    cases = [_run_case(result)]
    cases += [_expectation_case(result, expectation) for expectation in result.expectations]
    properties = {"seed": str(result.seed), "verdict": result.verdict, "repeat": result.repeat}
    properties |= {f"parameter.{name}": text for name, text in result.parameters.items()}
    lines = result.gateway.last_lines if result.gateway else []
    return Suite(
        name=result.scenario,
        cases=cases,
        time_s=result.duration_s,
        timestamp=result.started,
        properties=properties,
        output="\n".join([*result.notes, *lines]),
    )


def _run_case(result: RunResult) -> Case:
    text = "\n".join([*result.errors, *result.notes])
    crashed = result.gateway is not None and result.gateway.crashed
    state: State = "passed"
    message = result.reason
    if result.verdict == RUNNING:
        state, message = "error", "the run has not ended: it is still running, or was killed"
    elif result.verdict == Verdict.SKIPPED:
        state = "skipped"
    elif result.verdict == Verdict.FAILED:
        state = "failure" if crashed or not _failures(result) else "passed"
    elif result.verdict != Verdict.PASSED:
        state = "error"
    return Case(
        name=RUN_CASE,
        state=state,
        kind=result.verdict,
        message=message,
        text=text,
        time_s=result.duration_s,
        file=result.path,
    )


def _failures(result: RunResult) -> bool:
    failed = (e for e in result.expectations if not e.passed and not e.inconclusive)
    return any(e.severity == "error" for e in failed)


def _expectation_case(result: RunResult, expectation: Outcome) -> Case:
    if expectation.passed and not expectation.error:
        return Case(name=expectation.name, file=expectation.place)
    lines = [f"expected: {expectation.expected}", f"actual: {expectation.actual}"]
    if expectation.error:
        lines.append(f"error: {expectation.error}")
    if expectation.inconclusive:
        lines.append(f"inconclusive: {expectation.inconclusive}")
    if expectation.nearest:
        lines.append(f"nearest: {expectation.nearest}")
    for device, detail in zip(expectation.devices, expectation.details, strict=False):
        lines.append(f"{device}: {detail}")
    text = "\n".join(lines)
    if expectation.error:
        state: State = "error"
        kind: str = Verdict.ERROR
    elif expectation.severity == "warning":
        return Case(name=expectation.name, output=f"warning\n{text}", file=expectation.place)
    elif expectation.inconclusive:
        state, kind = "error", Verdict.INCONCLUSIVE
    else:
        state, kind = "failure", expectation.kind
    return Case(
        name=expectation.name,
        state=state,
        kind=kind,
        message=expectation.error or expectation.inconclusive or expectation.actual,
        text=text,
        file=expectation.place,
    )
