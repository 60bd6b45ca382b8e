"""Scenario files, as the command line names them: files, folders, bundled names."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import Problem, ScenarioError
from iotsim.run.folder import OWN_FOLDER
from iotsim.scenario.outline import read_outline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from iotsim.scenario.outline import Outline
    from iotsim.scenario.project import Project

FOREIGN_FOLDERS = ("node_modules", "__pycache__")
MOST_NAMED = 5
MOST_NEAR = 3


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


def find_scenarios(words: Collection[str]) -> Found:
    """The files that `words` name: files, folders (all scenarios below), bundled names.

    Of a folder, what only others are made of is left out: a part that lacks the value of a parameter, or
    has nothing to check. ScenarioError names every word that is none of these.
    """
    found: list[Path] = []
    foreign: list[Path] = []
    outlines: dict[Path, Outline | None] = {}
    notes: list[str] = []
    unknown: list[Problem] = []
    bundled = bundled_scenarios()
    for word in words:
        path = Path(word)
        if path.is_dir():
            for file in sorted(_toml_files(path, notes)):
                outlines[file] = outline = read_outline(file)
                # What cannot be read is for its run to tell.
                (found if outline is None or outline.is_scenario else foreign).append(file)
        elif path.exists():
            found.append(path)
        elif "\0" not in word and (bundled / f"{word}.toml").is_file():
            found.append(bundled / f"{word}.toml")
        else:
            unknown.append(Problem("there is no such scenario", word, hint=_near(word, bundled)))
    if unknown:
        raise ScenarioError(unknown)
    if foreign:
        notes.append(f"no scenario, so left out: {some_files(foreign)}")
    named = {Path(word) for word in words}
    parts = _mere_parts(found, outlines) - named
    if parts:
        listed = some_files([file for file in outlines if file in parts])
        notes.append(f"only a part of others, so not run by itself: {listed}")
    return Found([file for file in dict.fromkeys(found) if file not in parts], notes)


def _near(word: str, bundled: Path) -> str:
    """A hint with what `word` was probably meant to be: a scenario of the project, or a bundled one."""
    import difflib

    from iotsim.match.fieldpath import MOST_KNOWN
    from iotsim.run.project import find_project

    project = find_project()
    ours = [
        Path(os.path.relpath(file))
        for place in project.scenarios
        for file in (sorted(_toml_files(place, [])) if place.is_dir() else [place])
        if file.is_file()
    ]
    names = scenario_names(bundled)
    stem = PurePath(word).stem.lower()[:100]
    for known in ({str(file): file.stem for file in ours}, dict(zip(names, names, strict=True))):
        stems = list(dict.fromkeys(called.lower() for called in known.values()))[:MOST_KNOWN]
        near = difflib.get_close_matches(stem, stems, 1)
        found = [name for name, called in known.items() if called.lower() in near][:MOST_NEAR]
        if found:
            return f"did you mean {' or '.join(map(repr, found))}?"
    if ours:
        return f"the project has {some_files(ours)}"
    return f"bundled: {', '.join(names)}"


def scenarios_of(project: Project) -> list[str]:
    """The words that name the project's scenarios, as people would write them here; none without a project.

    ScenarioError if something is not there.
    """
    words = []
    for path in project.scenarios:
        if not path.exists():
            hint = f"'scenarios' of {project.file} tells where they are; the default is scenarios/"
            raise ScenarioError([Problem("there are no scenarios", str(path), hint=hint)])
        near = os.path.relpath(path)
        words.append(str(path) if near.startswith("../../..") else near)
    return words


def some_files(files: Sequence[Path]) -> str:
    """The first few of `files`, and how many more there are."""
    shown = ", ".join(map(str, files[:MOST_NAMED]))
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return shown + more


def _mere_parts(found: Sequence[Path], outlines: Mapping[Path, Outline | None]) -> set[Path]:
    """Those of the files that have `outlines` that others in `found` are made of, and no more."""
    parts = {
        part
        for file in found
        if (outline := outlines[file] if file in outlines else read_outline(file)) is not None
        for part in outline.parts
    }
    return {
        file
        for file, outline in outlines.items()
        if outline is not None and not outline.is_whole and os.path.realpath(file) in parts
    }


def _toml_files(folder: Path, notes: list[str]) -> Iterator[Path]:
    """The TOML files below `folder`, but for what tools keep there, and what runs have left."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # it may just have gone
            notes.append(f"{error.filename} cannot be looked into: {error.strerror}")

    for top, folders, names in os.walk(folder, onerror=unreadable):
        inner = [name for name in folders if not name.startswith(".")]
        inner = [name for name in inner if name not in FOREIGN_FOLDERS]
        if "result.json" in names:  # what a gateway has left there is no scenario of its user's
            inner = [name for name in inner if not OWN_FOLDER.fullmatch(name)]
        folders[:] = [name for name in inner if not Path(top, name, "pyvenv.cfg").exists()]
        for name in names:
            if name.endswith(".toml") and not name.startswith("."):
                yield Path(top, name)


def scenario_names(folder: Path) -> list[str]:
    """What the scenarios below `folder` are called: ``quickstart``, ``scale/million``."""
    return [
        str(path.relative_to(folder).with_suffix("")) for path in sorted(folder.rglob("*.toml"))
    ]
