"""Whoever shows how a suite goes on, and what is printed at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from iotsim.expect.text import clip
from iotsim.results.suite import count_verdicts
from iotsim.results.verdict import Verdict
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iotsim.results.result import RunResult
    from iotsim.run.suite import Ended, Job, Turn

REASON_CHARACTERS = 200


class SuiteView(Protocol):
    """What is told of a suite while it goes on, inside of the context, from one thread.

    A run is known by its turn, since repetitions of a job may go on at the same time. Each that has ``begun``
    has ``ended`` once, and may make ``progress``, told in a line, meanwhile. `folder` has its results,
    `output` is what its process printed.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def begun(self, turn: Turn, name: str) -> None: ...

    def progress(self, turn: Turn, text: str) -> None: ...

    def ended(
        self, turn: Turn, result: RunResult, folder: Path | None = None, output: str = ""
    ) -> None: ...


def print_summary(jobs: Sequence[Job], ended: Sequence[Ended], waiting: int, passes: int) -> None:
    """What did not pass, with the lines that repeat it; then how many there were of each verdict."""
    for one in ended:
        if one.result.verdict != Verdict.PASSED:
            print("\n".join(_told_again(jobs[one.turn.job], one)))
    verdicts = [one.result.verdict for one in ended] + [str(Verdict.PASSED)] * passes
    counts = ", ".join(f"{count} {verdict}" for verdict, count in count_verdicts(verdicts).items())
    total = len(verdicts) + waiting
    what = "runs" if any(one.turn.repetition for one in ended) else "scenarios"
    left = f"; {waiting} not begun" if waiting else ""
    print(f"{len(verdicts)} of {total} {what}: {counts or 'none was run'}{left}")


def _told_again(job: Job, one: Ended) -> list[str]:
    """What became of a run that has not passed, and the line that repeats it."""
    result = one.result
    reason = clip(safe_line(result.reason), REASON_CHARACTERS)
    again = f" #{one.turn.repetition}" if one.turn.repetition else ""
    shown = safe_line(f"{job}{again}")
    what = f"{shown}: {reason}" if reason else shown
    return [f"{result.verdict:<13} {what}", f"{'':13} {safe_line(result.repeat)}"]
