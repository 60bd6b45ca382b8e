"""What a run came to, as lines of text: what a test that has failed says in the place of a traceback."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from iotsim.results.context import device_context
from iotsim.results.summary import moments_wanted, summarize
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iotsim.results.result import RunResult
    from iotsim.results.summary import Row

REPORT = "report.html"


def explain(result: RunResult, folder: Path | None, *, repeat: str = "") -> str:
    """What `result` is, and why, as the end of ``iotsim run`` tells it. Its files are in `folder`, if it has
    left any; `repeat` is the command that repeats it."""
    return "\n".join(_lines(result, folder, repeat))


def _lines(result: RunResult, folder: Path | None, repeat: str) -> Iterator[str]:
    context = {}
    if folder is not None:
        with suppress(OSError), (folder / "events.jsonl").open("rb") as lines:
            context = device_context(lines, moments_wanted(result.expectations))
    summary = summarize(result, context)
    yield f"{summary.verdict.upper()}  {summary.title}"
    if summary.reason:
        yield f"  {summary.reason}"
    for note in summary.notes:
        yield f"  {note}"
    for row in summary.rows:
        yield from _row(row)
    if summary.gateway_lines:
        yield "  the gateway's last lines:"
        yield from (f"    | {line}" for line in summary.gateway_lines)
    if folder is not None:
        report = folder / REPORT
        near = os.path.relpath(report if report.exists() else folder)
        yield safe_line(f"  results: {folder if near.startswith('..') else near}")
    if repeat:
        yield safe_line(f"  repeat:  {repeat}")


def _row(row: Row) -> Iterator[str]:
    told = f": {row.told}" if row.told else ""
    yield f"  {row.state:<7}  {row.name}{told}"
    for label, text in row.facts:
        yield f"           {label:<10} {text}"
    for device, lines in row.context:
        yield f"           around {device}"
        for line in lines:
            yield f"             {line}"
