"""From what was written on the command line to scenario files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import Problem, ScenarioError
from iotsim.protocol.registry import bundled_folder

if TYPE_CHECKING:
    from collections.abc import Iterable


def bundled_scenarios() -> Path:
    """The folder of the scenarios that come with iotsim."""
    return bundled_folder().parent / "scenarios"


def find_scenarios(words: Iterable[str]) -> list[Path]:
    """The files that `words` name: files, folders (all ``.toml`` below), bundled names.

    ScenarioError names every word that is none of these.
    """
    found: list[Path] = []
    unknown: list[Problem] = []
    bundled = bundled_scenarios()
    for word in words:
        path = Path(word)
        if path.is_dir():
            # os.walk, unlike rglob, takes it that a folder vanishes or cannot be read
            files = (Path(top, name) for top, _, names in os.walk(path) for name in names)
            found += sorted(file for file in files if file.suffix == ".toml")
        elif path.exists():
            found.append(path)
        elif "\0" not in word and (bundled / f"{word}.toml").is_file():
            found.append(bundled / f"{word}.toml")
        else:
            names = ", ".join(scenario_names(bundled))
            unknown.append(Problem("there is no such scenario", word, hint=f"bundled: {names}"))
    if unknown:
        raise ScenarioError(unknown)
    return list(dict.fromkeys(found))


def scenario_names(folder: Path) -> list[str]:
    """What the scenarios below `folder` are called: ``quickstart``, ``scale/million``."""
    return [
        str(path.relative_to(folder).with_suffix("")) for path in sorted(folder.rglob("*.toml"))
    ]
