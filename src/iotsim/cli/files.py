"""Scenario files, as the command line names them: files, folders, bundled names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import Problem, ScenarioError
from iotsim.run.folder import WORK_FOLDER
from iotsim.scenario.outline import read_outline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOREIGN_FOLDERS = ("node_modules", "__pycache__")
MOST_NAMED = 5


class Found(NamedTuple):
    """The scenario ``files``, and what people should know of what was left out: ``notes``."""

    files: list[Path]
    notes: list[str]


def bundled_scenarios() -> Path:
    """The folder of the scenarios that come with iotsim."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "bundled" / "scenarios"
    return installed if installed.is_dir() else package.parent.parent / "scenarios"


def format_reference() -> str:
    """The reference of the scenario format, docs/scenario.md, which comes with iotsim."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "bundled" / "scenario.md"
    page = installed if installed.is_file() else package.parent.parent / "docs" / "scenario.md"
    return page.read_text(encoding="utf-8")


def find_scenarios(words: Iterable[str]) -> Found:
    """The files that `words` name: files, folders (all scenarios below), bundled names.

    ScenarioError names every word that is none of these.
    """
    found: list[Path] = []
    foreign: list[Path] = []
    notes: list[str] = []
    unknown: list[Problem] = []
    bundled = bundled_scenarios()
    for word in words:
        path = Path(word)
        if path.is_dir():
            for file in sorted(_toml_files(path, notes)):
                (found if _may_be_scenario(file) else foreign).append(file)
        elif path.exists():
            found.append(path)
        elif "\0" not in word and (bundled / f"{word}.toml").is_file():
            found.append(bundled / f"{word}.toml")
        else:
            names = ", ".join(scenario_names(bundled))
            unknown.append(Problem("there is no such scenario", word, hint=f"bundled: {names}"))
    if unknown:
        raise ScenarioError(unknown)
    if foreign:
        shown = ", ".join(map(str, foreign[:MOST_NAMED]))
        more = f" and {len(foreign) - MOST_NAMED} more" if len(foreign) > MOST_NAMED else ""
        notes.append(f"no scenario, so left out: {shown}{more}")
    return Found(list(dict.fromkeys(found)), notes)


def _toml_files(folder: Path, notes: list[str]) -> Iterator[Path]:
    """The TOML files below `folder`, but for what tools keep there, and what runs have left."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # it may just have gone
            notes.append(f"{error.filename} cannot be looked into: {error.strerror}")

    for top, folders, names in os.walk(folder, onerror=unreadable):
        inner = [name for name in folders if not name.startswith(".")]
        inner = [name for name in inner if name not in FOREIGN_FOLDERS]
        if "result.json" in names:  # what a gateway has left there is no scenario of its user's
            inner = [name for name in inner if not WORK_FOLDER.fullmatch(name)]
        folders[:] = [name for name in inner if not Path(top, name, "pyvenv.cfg").exists()]
        for name in names:
            if name.endswith(".toml") and not name.startswith("."):
                yield Path(top, name)


def _may_be_scenario(path: Path) -> bool:
    """Whether the TOML file has a table of ours, or cannot be read, which is for its run to tell."""
    outline = read_outline(path)
    return outline is None or outline.is_scenario


def scenario_names(folder: Path) -> list[str]:
    """What the scenarios below `folder` are called: ``quickstart``, ``scale/million``."""
    return [
        str(path.relative_to(folder).with_suffix("")) for path in sorted(folder.rglob("*.toml"))
    ]
