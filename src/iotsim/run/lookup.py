"""Which results somebody means: by their folder, by the scenario that they are of, or the last ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError
from iotsim.results.result import decode_result
from iotsim.results.suite import decode_suite
from iotsim.run.files import read_file
from iotsim.run.folder import OWN_FOLDER, shown_folder, slug
from iotsim.run.project import find_project

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LAST = "last"
SUITE_FILE = "index.html"
DEEPEST = 4
"""Folders below that of all results: scenario, time, and those of a suite or a matrix."""
MOST_READ = 1_000
MOST_NAMED = 5


def find_results(word: str, below: Path | None = None, *, expectation: str = "") -> Path:
    """The folder of results that `word` means, IotsimError if there is none.

    It is a folder; or ``last``, the newest results in `below`, of those of a suite the first that did not
    pass; or a scenario, by its name, its file, or that
    of a bundled one: the newest results of it in `below`. Without that it is where the project, of which the
    current folder is part, has its results. `expectation`: of several runs of a suite, one that has an
    expectation with this in its name.
    """
    path = Path(word)
    if path.is_dir():
        return _the_one_in(path, expectation)
    if below is None:
        below = Path(shown_folder(find_project().results))
    if word == LAST:
        newest = next(_newest_first(below), None)
        if newest is None:
            raise IotsimError(f"there are no results in {below}")
        suite = next((folder for folder in newest.parents if _is_suite(folder, below)), None)
        return newest if suite is None else _told_first(suite, expectation) or newest
    own = below / slug(path.stem if word.endswith(".toml") else word)
    # What is elsewhere, as in a suite's folder, may be newer than what is in its own.
    for number, folder in enumerate(_newest_first(below)):
        if folder.is_relative_to(own):
            return folder
        if number < MOST_READ and _is_of(folder, word):
            return folder
    raise IotsimError(
        f"no results of {word!r}: that is no folder, and no scenario with results in {below}"
    )


def _is_of(folder: Path, word: str) -> bool:
    """Whether the results in `folder` are of the scenario that `word` means: by its name, or its file."""
    try:
        result = decode_result(read_file(folder / "result.json"))
    except (OSError, ValueError):
        return False
    known = word in (result.scenario, result.path)
    return known or f"/{result.path}".endswith(f"/{word}.toml")


def _the_one_in(path: Path, expectation: str) -> Path:
    """`path` itself if it holds results, else those of its folders that do, if it is a single one, or one
    that has the `expectation`."""
    if _has_results(path):
        return path
    found = list(_newest_first(path))
    if len(found) == 1:
        return found[0]
    if found:
        if expectation and (one := _told_first(path, expectation)) is not None:
            return one
        verdicts = _verdicts(path)
        ordered = sorted(found, key=lambda folder: (_rank(verdicts.get(folder, "")), str(folder)))
        named = ", ".join(
            f"{folder} ({verdicts[folder]})" if folder in verdicts else str(folder)
            for folder in ordered[:MOST_NAMED]
        )
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise IotsimError(f"{path} has the results of several runs, name one: {named}{more}")
    return path  # whoever reads it says what is missing


def _is_suite(folder: Path, below: Path) -> bool:
    return folder.is_relative_to(below) and (folder / SUITE_FILE).exists()


def _verdicts(suite: Path) -> dict[Path, str]:
    """By the folder of each run of a suite, in its order, what the run came to."""
    try:
        runs = decode_suite(read_file(suite / "result.json")).runs
    except (OSError, ValueError, RecursionError):
        return {}
    there = set(_newest_first(suite))  # whatever the file says, nothing else
    return {suite / run.folder: run.verdict for run in runs if suite / run.folder in there}


def _rank(verdict: str) -> int:
    """Which runs are told of first: those that did not pass, then those that have not ended."""
    return {"running": 1, "": 2, "passed": 2, "skipped": 3}.get(verdict, 0)


def _told_first(suite: Path, expectation: str) -> Path | None:
    """Of the runs of a suite the first that did not pass; with `expectation`, the first that has it, and
    failed by it if there is one. None if that is none of them."""
    verdicts = _verdicts(suite)
    ordered = sorted(verdicts, key=lambda folder: _rank(verdicts[folder]))
    if not expectation:
        return next((folder for folder in ordered if _rank(verdicts[folder]) == 0), None)
    found: dict[tuple[bool, bool], Path] = {}
    for folder in ordered[:MOST_READ]:
        try:
            outcomes = decode_result(read_file(folder / "result.json")).expectations
        except (OSError, ValueError):
            continue
        for outcome in outcomes:
            if expectation.casefold() in outcome.name.casefold():
                found.setdefault((outcome.passed, outcome.name != expectation), folder)
    return found[min(found)] if found else None


def _newest_first(below: Path) -> Iterator[Path]:
    """The folders with results in `below`."""
    found = []
    for top, folders, names in os.walk(below):
        folder = Path(top)
        if len(folder.relative_to(below).parts) >= DEEPEST:
            folders.clear()
        if _are_results(names):
            folders[:] = [name for name in folders if not OWN_FOLDER.fullmatch(name)]
            found.append((_changed(folder), folder))
    return (folder for _, folder in sorted(found, reverse=True))


def _has_results(folder: Path) -> bool:
    try:
        return _are_results(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False


def _are_results(names: Collection[str]) -> bool:
    """Whether these are files of a run; a suite has a ``result.json`` too, and an index."""
    events = any(name.startswith("events") and name.endswith(".jsonl") for name in names)
    return events or ("result.json" in names and SUITE_FILE not in names)


def _changed(folder: Path) -> float:
    """When its results were last written; of a killed run, when it began."""
    times = []
    for name in ("result.json", "events.jsonl"):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)
