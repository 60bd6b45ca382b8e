"""What can be told of a TOML file without loading it: whether it is a scenario, its parameters and parts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import ScenarioError
from iotsim.scenario.csvdata import FileError, read_text
from iotsim.scenario.merge import Merged
from iotsim.scenario.placeholders import is_parameter, names_in, strings
from iotsim.scenario.sections import SECTIONS
from iotsim.scenario.sources import COMPOSING, read_sources
from iotsim.scenario.toml import LARGEST_CHARACTERS, TomlError, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any


class Outline(NamedTuple):
    """``is_scenario``: it has a table of ours. ``parameters`` are the names of its ``${NAME}``. ``parts``
    are the other files that it is made of, by their real paths. ``is_whole``: it has something to check,
    and a value for each parameter. ``name`` and the names of its ``protocols`` are what it says, as far as
    that is plainly there: "" and none else."""

    is_scenario: bool
    parameters: frozenset[str]
    parts: frozenset[str] = frozenset()
    is_whole: bool = True
    name: str = ""
    protocols: frozenset[str] = frozenset()


def read_outline(path: Path) -> Outline | None:
    """The outline of the file at `path`; None if it cannot be read, or is no TOML. Of one whose parts
    cannot be had, it is that of the file alone."""
    try:
        text = read_text(path, LARGEST_CHARACTERS)
    except FileError:
        return None
    try:
        sources = read_sources(path, text)
    except ScenarioError:
        try:
            alone = read_toml(text).value
        except TomlError:
            return None
        return Outline(_is_scenario(alone), _parameters(alone))
    tables = Merged(sources).value
    parameters = _parameters(tables)
    declared: set[str] = set()
    for name in ("parameters", "matrix"):
        table = tables.get(name)
        declared |= table.keys() if isinstance(table, dict) else set()
    return Outline(
        _is_scenario(sources[-1].document.value),
        parameters,
        frozenset(os.path.realpath(source.path) for source in sources[:-1]),
        parameters <= declared and "expect" in tables,
        _name(tables.get("scenario")),
        frozenset(_protocols(tables.get("devices"))),
    )


def _protocols(fleets: Any) -> Iterator[str]:
    """The names that stand for protocols in ``[devices.NAME]``."""
    for fleet in fleets.values() if isinstance(fleets, dict) else ():
        named = fleet.get("protocol") if isinstance(fleet, dict) else None
        for one in named if isinstance(named, list) else [named]:
            name = one.get("name") if isinstance(one, dict) else one
            if isinstance(name, str):
                yield name


def _name(head: Any) -> str:
    """What ``[scenario]`` calls itself, whether that is right or not."""
    name = head.get("name") if isinstance(head, dict) else None
    return name if isinstance(name, str) and name.strip() and not names_in(name) else ""


def _is_scenario(tables: dict[str, Any]) -> bool:
    if not tables.keys() - COMPOSING:
        return bool(tables)
    return not SECTIONS.keys().isdisjoint(tables)


def _parameters(tables: dict[str, Any]) -> frozenset[str]:
    names = (name for _, text in strings(tables) for name in names_in(text))
    return frozenset(name for name in names if is_parameter(name))
