"""A run as test cases, which is how CI systems see it: for JUnit XML and TAP alike.

Each expectation is a case, and one more, "run", stands for all that is no expectation: a crash of the
gateway, an error in the scenario, a machine that cannot run it. While the run goes on, that case is an
error that says so; it is what is left of a run that was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from iotsim.results.result import RUNNING
from iotsim.results.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.events import Outcome
    from iotsim.results.result import RunResult

State = Literal["passed", "failure", "error", "skipped"]
RUN_CASE = "run"
ATTACHED = ("report.html", "events.jsonl", "capture.pcapng")
"""Files of a run that has not passed, which readers may offer with it."""


LONGEST_S = 1e9


@dataclass(frozen=True, slots=True)
class Case:
    """A test case.

    ``kind`` says of which sort it is if it went wrong; ``text``, ``facts`` (label, text) and ``devices``
    (name, text) are its details. ``warning``: what did not hold, and fails nothing. ``time_s`` is when it
    was decided, ``file`` and ``line`` where it stands, 0 if only the file is known. ``attached`` are paths
    of files.
    """

    name: str
    state: State = "passed"
    kind: str = ""
    message: str = ""
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    devices: tuple[tuple[str, str], ...] = ()
    warning: bool = False
    time_s: float = 0.0
    file: str = ""
    line: int = 0
    attached: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """``time_s``, where it is a time that readers take."""
        return self.time_s if 0 < self.time_s < LONGEST_S else 0.0

    @property
    def details(self) -> str:
        """``text``, and a line for each of ``facts`` and ``devices``, and where it stands."""
        pairs = [*self.facts, *self.devices]
        lines = [*filter(None, [self.text]), *(f"{label}: {text}" for label, text in pairs)]
        if self.line:
            lines.append(f"stands in: {self.file}:{self.line}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one run. ``timestamp`` is ISO 8601 text, ``output`` what the gateway printed last."""

    name: str
    cases: Sequence[Case]
    time_s: float = 0.0
    timestamp: str = ""
    properties: Mapping[str, str] | None = None
    output: str = ""
    file: str = ""


def suite_of(result: RunResult, *, folder: str = "") -> Suite:
    """The cases of one run. With a ``folder``, which is that of its results, files of a run that has not
    passed are attached."""
    cases = [_run_case(result, folder)]
    cases += [_expectation_case(result, expectation) for expectation in result.expectations]
    properties = {"seed": str(result.seed), "verdict": result.verdict, "repeat": result.repeat}
    properties |= {f"parameter.{name}": text for name, text in result.parameters.items()}
    if version := result.versions.get("iotsim"):
        properties["iotsim"] = version
    lines = result.gateway.last_lines if result.gateway else []
    return Suite(
        name=result.scenario,
        cases=cases,
        time_s=result.duration_s,
        timestamp=result.started,
        properties=properties,
        output="\n".join([*result.notes, *lines]),
        file=result.path,
    )


def _run_case(result: RunResult, folder: str) -> Case:
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
    attached: tuple[str, ...] = ()
    if folder and result.verdict not in (Verdict.PASSED, RUNNING):
        attached = tuple(f"{folder}/{name}" for name in ATTACHED if name in result.files)
    return Case(
        name=RUN_CASE,
        state=state,
        kind=result.verdict,
        message=message,
        text="\n".join([*result.errors, *result.notes]),
        time_s=result.duration_s,
        file=result.path,
        attached=attached,
    )


def _failures(result: RunResult) -> bool:
    failed = (e for e in result.expectations if not e.passed and not e.inconclusive)
    return any(e.severity == "error" for e in failed)


def _expectation_case(result: RunResult, expectation: Outcome) -> Case:
    state: State = "passed"
    kind: str = expectation.kind
    message = ""
    warning = False
    if expectation.error:
        state, kind, message = "error", Verdict.ERROR, expectation.error
    elif not expectation.passed and expectation.severity == "warning":
        warning, message = True, expectation.inconclusive or expectation.actual
    elif expectation.inconclusive:
        state, kind, message = "error", Verdict.INCONCLUSIVE, expectation.inconclusive
    elif not expectation.passed:
        state, message = "failure", expectation.actual
    file, line = split_place(expectation.place)
    told = warning or state != "passed"
    return Case(
        name=expectation.name,
        state=state,
        kind=kind,
        message=message,
        facts=_facts(expectation) if told else (),
        devices=tuple(zip(expectation.devices, expectation.details, strict=False)) if told else (),
        warning=warning,
        # What was decided at the end only took as long as the run.
        time_s=result.duration_s if expectation.t is None else expectation.t,
        file=file,
        line=line,
    )


def _facts(expectation: Outcome) -> tuple[tuple[str, str], ...]:
    facts = [
        ("expected", expectation.expected),
        ("actual", expectation.actual),
        ("error", expectation.error),
        ("inconclusive", expectation.inconclusive),
        ("nearest", expectation.nearest),
    ]
    return tuple((label, text) for label, text in facts if text)


def split_place(place: str) -> tuple[str, int]:
    """The file and the line of ``file:line``; 0 where there is no line."""
    file, colon, line = place.rpartition(":")
    if colon and line.isascii() and line.isdigit() and len(line) < 10:
        return file, int(line)
    return place, 0
