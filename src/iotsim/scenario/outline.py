"""What can be told of a TOML file without loading it: whether it is a scenario, and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.scenario.csvdata import FileError, read_text
from iotsim.scenario.placeholders import is_parameter, names_in, strings
from iotsim.scenario.sections import SECTIONS
from iotsim.scenario.toml import LARGEST_CHARACTERS, TomlError, read_toml

if TYPE_CHECKING:
    from pathlib import Path


class Outline(NamedTuple):
    """``is_scenario``: it has a table of ours. ``parameters`` are the names of its ``${NAME}``."""

    is_scenario: bool
    parameters: frozenset[str]


def read_outline(path: Path) -> Outline | None:
    """The outline of the file at `path`; None if it cannot be read, or is no TOML."""
    try:
        tables = read_toml(read_text(path, LARGEST_CHARACTERS)).value
    except (FileError, TomlError):
        return None
    names = (name for _, text in strings(tables) for name in names_in(text))
    parameters = frozenset(name for name in names if is_parameter(name))
    return Outline(not SECTIONS.keys().isdisjoint(tables), parameters)
