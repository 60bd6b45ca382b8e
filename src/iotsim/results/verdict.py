"""Verdicts: what a run comes to, and the exit code that says so."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim.events import Outcome


class Verdict(enum.StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"
    EMPTY = "empty"


EXIT_CODES = {
    Verdict.PASSED: 0,
    Verdict.FAILED: 1,
    Verdict.ERROR: 2,
    Verdict.SKIPPED: 3,
    Verdict.INCONCLUSIVE: 4,
    Verdict.EMPTY: 5,
}
EXIT_SIGNALLED = 128
"""Of a run that a signal ended: this and the number of the signal, as shells have it."""

GRAVEST_FIRST = (
    Verdict.ERROR,
    Verdict.FAILED,
    Verdict.INCONCLUSIVE,
    Verdict.EMPTY,
    Verdict.SKIPPED,
    Verdict.PASSED,
)


class Decision(NamedTuple):
    """A verdict and, in one line, why; "" where the verdict says it all."""

    verdict: Verdict
    reason: str


def exit_code(verdict: str) -> int:
    """The exit code of ``iotsim run`` for `verdict`."""
    return EXIT_CODES[Verdict(verdict)]


def combine(verdicts: Iterable[str]) -> Verdict:
    """The verdict of several runs: the gravest of theirs, or empty where there was none."""
    present = {Verdict(verdict) for verdict in verdicts}
    return next((verdict for verdict in GRAVEST_FIRST if verdict in present), Verdict.EMPTY)


def decide(
    outcomes: Sequence[Outcome],
    *,
    errors: Sequence[str] = (),
    crash: str = "",
    served: bool = False,
) -> Decision:
    """The verdict of one run.

    ``errors``: what was wrong with the scenario, a protocol or a behavior. ``crash``: how the
    gateway crashed. ``served``: the run was there to be used by hand, so that it need not check
    anything. What is certain counts before what is inconclusive.
    """
    errors = [*errors, *(f"{o.name}: {o.error}" for o in outcomes if o.error)]
    if errors:
        return Decision(Verdict.ERROR, _first(errors))
    if crash:
        return Decision(Verdict.FAILED, crash)
    grave = [o for o in outcomes if not o.passed and o.severity == "error"]
    failed = [o for o in grave if not o.inconclusive]
    if failed:
        return Decision(Verdict.FAILED, _first([f"{o.name}: {o.actual}" for o in failed]))
    if grave:
        return Decision(
            Verdict.INCONCLUSIVE, _first([f"{o.name}: {o.inconclusive}" for o in grave])
        )
    if not outcomes and not served:
        return Decision(Verdict.EMPTY, "the scenario has no expectations")
    warnings = sum(not o.passed for o in outcomes)
    return Decision(Verdict.PASSED, f"with {_counted(warnings, 'warning')}" if warnings else "")


def _first(texts: Sequence[str]) -> str:
    more = len(texts) - 1
    return f"{texts[0]} (and {more} more)" if more else texts[0]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
