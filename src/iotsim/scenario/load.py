"""From a file to a `Scenario`.

The steps, each of which collects its problems and goes on as far as makes sense:

1. read the TOML, with the place of every key;
2. refuse what this version does not support, put the caller's overrides in, fill in parameters;
3. plan what addresses depend on (`iotsim.scenario.sections`): the link, and where all fleets are;
4. fill in the placeholders that show addresses;
5. build the rest of the sections.

Protocol files are imported in step 3: they are code, and say which fields there are. Behaviors are
not, but for `check_behaviors`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from iotsim.device.loader import load_behavior, match_handlers
from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.csvdata import FileError, read_text
from iotsim.scenario.loading import Loading, Overrides
from iotsim.scenario.model import LinkSpec, Scenario
from iotsim.scenario.placeholders import fill_addresses, fill_parameters, placeholder_values
from iotsim.scenario.problems import Problems, TooManyProblems, nearest
from iotsim.scenario.schema import NOT_YET
from iotsim.scenario.sections import SECTIONS, scope_at
from iotsim.scenario.suspicions import look_closely
from iotsim.scenario.toml import LARGEST_CHARACTERS, TomlError, read_toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iotsim.scenario.sections import Section

_LISTS = "|".join(section.name for section in SECTIONS.values() if section.form == "list")
_NAMED = "|".join(section.name for section in SECTIONS.values() if section.form == "tables by name")
LIST_HEADER = re.compile(rf"\s*\[\s*({_LISTS}|(?:{_NAMED})\.[\w-]+\.rules)\s*\]", re.ASCII)
"""The header of a table, where there should be one of a list of tables."""


def load_scenario(
    path: Path,
    *,
    overrides: Overrides | None = None,
    default_seed: int = 0,
    warn: Callable[[Problem], object] | None = None,
) -> Scenario:
    """The scenario in the file at `path`.

    `default_seed` is taken where neither the file nor `overrides` name one. ScenarioError tells all
    that is wrong, with places. With `warn` the scenario is looked at more closely
    (`iotsim.scenario.suspicions`); it is told of what is merely suspicious.
    """
    try:
        text = read_text(path, LARGEST_CHARACTERS)
    except FileError as error:
        raise ScenarioError([Problem(str(error), str(path), error.line)]) from None
    return load_text(text, path, overrides=overrides, default_seed=default_seed, warn=warn)


def load_text(
    text: str,
    path: Path,
    *,
    overrides: Overrides | None = None,
    default_seed: int = 0,
    warn: Callable[[Problem], object] | None = None,
) -> Scenario:
    """As `load_scenario`, of a `text` that stands (or would stand) at `path`."""
    problems = Problems(str(path))
    try:
        document = read_toml(text)
    except TomlError as error:
        raise ScenarioError([_no_toml(error, text, path)]) from None
    problems.document = document
    loading = Loading(problems, overrides or Overrides(), default_seed)
    try:
        scenario = load_document(document.value, path, loading)
    except TooManyProblems:
        problems.raise_any()
        raise
    problems.raise_any()
    if warn is not None:
        look_closely(scenario, loading)
        for problem in problems.warnings:
            warn(problem)
        problems.raise_any()
    return scenario


def _no_toml(error: TomlError, text: str, path: Path) -> Problem:
    message, hint = str(error), ""
    line = text.split("\n")[error.place.line - 1] if error.place.line else ""
    header = LIST_HEADER.match(line)
    if path.suffix.lower() not in (".toml", ""):
        message = f"this is no scenario, which would be a TOML file: {message}"
    elif header is not None and "duplicate key" in message:
        hint = f"write [[{header[1]}]] for each of several"
    return Problem(message, str(path), *error.place, hint=hint)


def load_document(document: dict[str, Any], path: Path, loading: Loading) -> Scenario:
    """The scenario in `document`, which stands at `path`; it is sound if there are no problems."""
    problems = loading.problems
    tables = _overridden(_sections(document, problems), loading.overrides)
    loading.tables = fill_parameters(tables, loading.overrides.parameters, scope_at, problems)
    scenario = Scenario(path, path.stem, LinkSpec())
    for section in SECTIONS.values():
        if section.plan is not None:
            loading.tables.setdefault(section.name, {})
            scenario = section.plan(scenario, loading)
    values = placeholder_values(scenario.link, scenario.fleets)
    unknown = loading.doubtful | {f"{name}.port" for name in loading.mute}
    loading.tables = fill_addresses(loading.tables, values, unknown, scope_at, problems)
    for section in SECTIONS.values():
        if section.build is not None and section.name in loading.tables:
            scenario = section.build(scenario, loading)
    return scenario


def _sections(document: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """The sections of the document that are supported and have the right form."""
    found = {}
    for name, value in document.items():
        section = SECTIONS.get(name)
        if section is None:
            problems.add((name,), "unknown table", nearest(name, SECTIONS), of_key=True)
        elif not section.supported:
            problems.add((name,), NOT_YET, of_key=True)
        elif _has_form(value, section):
            found[name] = value
        elif section.form == "list":
            problems.add((name,), "must be a list of tables", f"write [[{name}]]")
        else:
            problems.add((name,), "must be a table")
    return found


def _has_form(value: Any, section: Section) -> bool:
    return isinstance(value, list if section.form == "list" else dict)


def _overridden(tables: dict[str, Any], given: Overrides) -> dict[str, Any]:
    """`tables` with what the command line says; it is checked as if the file said so."""
    for table, key, value in (
        ("scenario", "seed", given.seed),
        ("scenario", "tolerance", given.tolerance),
        ("link", "kind", given.link),
        ("gateway", "command", given.gateway_command and list(given.gateway_command)),
    ):
        if value is not None:
            tables[table] = {**tables.get(table, {}), key: value}
    return tables


def check_behaviors(scenario: Scenario) -> None:
    """Import the behaviors of `scenario`: their code runs. ScenarioError tells what is wrong."""
    found: list[Problem] = []
    for fleet in scenario.fleets:
        if fleet.behavior is not None:
            try:
                with load_behavior(fleet.behavior) as behavior:
                    match_handlers(behavior, fleet)
            except ScenarioError as error:
                found += error.problems
    if found:
        raise ScenarioError(found)
