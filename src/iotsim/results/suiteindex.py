"""``index.html`` of a suite: a small page that says how each run ended, and leads to its report."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

    from iotsim.results.suite import SuiteResult, SuiteRun

GRAVE = ("error", "failed", "inconclusive", "empty", "running", "waiting", "skipped", "passed")
"""Verdicts, what needs a look first."""


def render_index(result: SuiteResult, reports: Mapping[str, str]) -> bytes:
    """The page. `reports` has the page of each run's folder that has one, as paths from the suite's."""
    rows = sorted(
        enumerate(result.runs),
        key=lambda pair: (_grave(pair[1]), pair[0]),
    )
    text = _template().render(
        suite=result,
        rows=[
            {
                "run": run,
                "link": _link(reports.get(run.folder) or f"{run.folder}/") if run.folder else "",
                "report": run.folder in reports,
            }
            for _, run in rows
        ],
    )
    return text.encode(errors="backslashreplace")


def _link(path: str) -> str:
    return quote(path, errors="backslashreplace")


def _grave(run: SuiteRun) -> int:
    return GRAVE.index(run.verdict) if run.verdict in GRAVE else 0


@cache
def _template() -> Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["line"] = safe_line
    environment.filters["seconds"] = lambda value: f"{value:.2f}"
    page = Path(__file__).with_name("suiteindex.html")
    return environment.from_string(page.read_text(encoding="utf-8"))
