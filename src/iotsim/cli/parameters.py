"""Options of commands that load scenarios: from text to values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.csvdata import parse_cell
from iotsim.scenario.load import PlannedRun, planned_runs
from iotsim.scenario.outline import read_outline
from iotsim.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


def parse_set(pairs: Iterable[str]) -> dict[str, str]:
    """What ``--set NAME=VALUE`` says; ScenarioError for what is no such pair."""
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ScenarioError([Problem(f"{pair!r} is not NAME=VALUE", "--set")])
        if name in parameters:
            raise ScenarioError([Problem("it is set twice", f"--set {name}")])
        parameters[name] = value
    return parameters


def option_duration(text: str, option: str = "--duration") -> float:
    """What ``--duration 30s`` says, in seconds; ScenarioError for what is no duration."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ScenarioError([Problem(str(error), option)]) from None


def parse_values(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """What ``--state NAME=VALUE`` says, the value as in a data file; ScenarioError for what is no such
    pair."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ScenarioError([Problem(f"{pair!r} is not NAME=VALUE", option)])
        try:
            values[name] = parse_cell(value)
        except ValueError as error:
            raise ScenarioError([Problem(f"{name}: {error}", option)]) from None
    return values


def runs_of(file: Path, given: Mapping[str, str]) -> list[PlannedRun]:
    """The runs of the scenario in `file`, where `given` is set; a single one with that alone if it cannot be
    told, which is for its loading to say."""
    try:
        return planned_runs(file, given)
    except ScenarioError:
        return [PlannedRun(dict(given))]


def known_parameters(
    files: Sequence[Path], given: Mapping[str, str]
) -> Mapping[Path, Mapping[str, str]]:
    """For each of `files`, those of the `given` parameters that are meant for it.

    Of several, each takes what it has; ScenarioError if none has a parameter. A single one is to have
    them all, which is for its loading to tell.
    """
    if len(files) < 2 or not given:
        return dict.fromkeys(files, given)
    outlines = {file: read_outline(file) for file in files}
    meant = {
        file: {
            name: value for name, value in given.items() if outline and name in outline.parameters
        }
        for file, outline in outlines.items()
    }
    if None not in outlines.values():  # else the one that cannot be read may have it
        used = {name for parameters in meant.values() for name in parameters}
        unused = [name for name in given if name not in used]
        if unused:
            raise ScenarioError(
                Problem(f"no scenario has '${{{name}}}'", f"--set {name}") for name in unused
            )
    return meant
