"""``iotsim compare``: what has changed from one run to another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from iotsim.results.compare.thresholds import Threshold


def compare(
    before: Path,
    after: Path,
    /,
    *,
    threshold: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    json: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> int:
    """Say what has changed from one run to another, or from one suite to another.

    Parameters
    ----------
    before
        The results folder of a run, or a folder with those of several.
    after
        The same of what is compared with it.
    threshold
        'FIGURE=LIMIT': how much a figure may change, such as 'latency.p95=20%' (may rise by so much) or
        'rate=-10%' (may fall by so much). May be given several times.
    json
        Print it as JSON.
    """
    from iotsim.results.compare.comparison import EXIT_CODES
    from iotsim.run.compare import compare_folders, encode_comparison
    from iotsim.safetext import safe_json

    thresholds = parse_thresholds(threshold or ())
    told = compare_folders(before, after, thresholds)
    if json:
        print(safe_json(encode_comparison(told).decode()), end="")
    else:
        from iotsim.cli.compared import show_comparison

        show_comparison(told)
    if idle := told.idle_thresholds():
        for text in idle:
            print(f"iotsim: --threshold {text}: no run has such a figure", file=sys.stderr)
        return 2
    return EXIT_CODES[told.state]


def parse_thresholds(texts: list[str] | tuple[str, ...]) -> list[Threshold]:
    """The thresholds of `texts`; ScenarioError tells all that are wrong."""
    from iotsim.errors import Problem, ScenarioError
    from iotsim.results.compare.thresholds import parse_threshold

    found, problems = [], []
    for text in texts:
        try:
            found.append(parse_threshold(text))
        except ValueError as error:
            problems.append(Problem(str(error), "--threshold"))
    if problems:
        raise ScenarioError(problems)
    return found
