"""``iotsim compare``: what has changed from one run to another."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from iotsim.results.compare.thresholds import Threshold


def compare(
    before: str,
    after: str,
    /,
    *,
    threshold: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    json: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> int:
    """Say what has changed from one run to another, or from one suite to another.

    Parameters
    ----------
    before
        The results folder of a run, a folder with those of several, or a baseline; or 'last', or a
        scenario, for the newest results there are of it.
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
    told = compare_folders(_meant(before), _meant(after), thresholds)
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


def _meant(word: str) -> Path:
    """What `word` means: a file or a folder, else what `iotsim.run.lookup` finds; IotsimError if nothing."""
    from iotsim.run.lookup import find_results

    return Path(word) if os.path.exists(word) else find_results(word)  # noqa: PTH110


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
