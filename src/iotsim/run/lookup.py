"""Which results somebody means: by their folder, by the scenario that they are of, or the last ones."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import IotsimError
from iotsim.results.result import decode_result
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


def find_results(word: str, below: Path | None = None) -> Path:
    """The folder of results that `word` means, IotsimError if there is none.

    It is a folder; or ``last``, the newest results in `below`; or a scenario, by its name, its file, or that
    of a bundled one: the newest results of it in `below`. Without that it is where the project, of which the
    current folder is part, has its results.
    """
    path = Path(word)
    if path.is_dir():
        return _the_one_in(path)
    if below is None:
        below = Path(shown_folder(find_project().results))
    if word == LAST:
        newest = next(_newest_first(below), None)
        if newest is None:
            raise IotsimError(f"there are no results in {below}")
        return newest
    own = below / slug(path.stem if word.endswith(".toml") else word)
    newest = next(_newest_first(own), None)
    if newest is not None:
        return newest
    # A scenario is called otherwise than its file.
    for folder in islice(_newest_first(below), MOST_READ):
        try:
            result = decode_result(read_file(folder / "result.json"))
        except (OSError, ValueError):
            continue
        if word in (result.scenario, result.path):
            return folder
    raise IotsimError(
        f"no results of {word!r}: that is no folder, and no scenario with results in {below}"
    )


def _the_one_in(path: Path) -> Path:
    """`path` itself if it holds results, else those of its folders that do, if it is a single one."""
    if _has_results(path):
        return path
    found = list(_newest_first(path))
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(sorted(map(str, found))[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise IotsimError(f"{path} has the results of several runs, name one: {named}{more}")
    return path  # whoever reads it says what is missing


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
