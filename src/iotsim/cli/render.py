"""What a terminal shows of a run that has ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from iotsim.cli.console import make_console
from iotsim.cli.page import Page
from iotsim.results.context import device_context
from iotsim.results.summary import moments_wanted, summarize
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.results.context import ContextLine
    from iotsim.results.result import RunResult
    from iotsim.results.summary import Row
    from iotsim.run.report import RunReport

COLORS = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "warning": "yellow",
    "inconclusive": "yellow",
    "empty": "yellow",
    "skipped": "yellow",
}
LABEL_COLUMNS = 10


def show_report(report: RunReport, *, quiet: bool) -> None:
    """Print what came of a run."""
    page = Page(make_console())
    result = report.result
    if quiet:
        verdict = Text.assemble((result.verdict, COLORS.get(result.verdict, "")), " ")
        page.hang(verdict, f"{safe_line(result.scenario)} (seed {result.seed})")
        return
    page.print()
    print_result(page, result, report.folder)


def print_result(page: Page, result: RunResult, folder: Path | None) -> None:
    """Print what `result` says, with the messages around each failure from the events in `folder`."""
    summary = summarize(result, context_of(result, folder))
    for note in summary.notes:
        page.hang("  ", note)
    for row in summary.rows:
        _show_row(page, row)
    if summary.gateway_lines:
        page.print("  the gateway's last lines:")
        for line in summary.gateway_lines:
            page.hang("    | ", line, "dim", repeat=True)
    page.print()
    color = COLORS.get(result.verdict, "")
    page.hang(Text.assemble((summary.verdict.upper(), f"bold {color}"), "  "), summary.title)
    if summary.reason:
        page.hang("  ", summary.reason)
    # Both are whole, to be copied.
    if folder is not None:
        page.print(Text(f"  results: {safe_line(_short(folder))}"))
    if summary.repeat:
        page.print(Text(f"  repeat:  {summary.repeat}"))


def context_of(result: RunResult, folder: Path | None) -> Mapping[str, Sequence[ContextLine]]:
    """The messages around the failures of `result`, from the events in `folder`, if they are there."""
    wanted = moments_wanted(result.expectations)
    if not wanted or folder is None:
        return {}
    try:
        with (folder / "events.jsonl").open("rb") as lines:
            return device_context(lines, wanted)
    except OSError:  # it could not be written, or somebody has removed it
        return {}


def _show_row(page: Page, row: Row) -> None:
    shown = page.console.shown
    told = (shown(f": {row.told}"), "dim") if row.told else ""
    state = Text.assemble("  ", (f"{row.state:<7}", COLORS[row.state]), "  ")
    page.hang(state, Text.assemble(shown(row.name), told))
    for label, text in row.facts:
        page.hang(Text(f"{page.indent}{label:<{LABEL_COLUMNS}} ", "dim"), text)
    for device, lines in row.context:
        page.hang(Text(f"{page.indent}around ", "dim"), device, "dim")
        for line in lines:
            page.hang(Text(f"{page.indent}  {line.head}", "dim"), line.body, "dim")


def _short(folder: Path) -> str:
    """`folder` as seen from here, where that is shorter."""
    relative = os.path.relpath(folder)
    return relative if not relative.startswith("..") else str(folder)
