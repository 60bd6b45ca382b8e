"""From a file to a `Scenario`, or to several: one for each combination of its matrix.

The steps, each of which collects its problems and goes on as far as makes sense:

1. read the TOML of all files that it is made of, with the place of every key (`iotsim.scenario.sources`),
   and merge them (`iotsim.scenario.merge`); from here on they are one document;
2. refuse what this version does not support, put the caller's overrides in, fill in the parameters of one
   combination (`iotsim.scenario.parameters`, `iotsim.scenario.filling`);
3. plan what addresses depend on (`iotsim.scenario.sections`): the link, and where all fleets are;
4. fill in the placeholders that show addresses;
5. build the rest of the sections.

Protocol files are imported in step 3: they are code, and say which fields there are. Behaviors are
not, but for `check_behaviors`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.device.loader import load_behavior, match_handlers
from iotsim.errors import ScenarioError
from iotsim.scenario.blackouts import check_blackouts
from iotsim.scenario.filling import Filling
from iotsim.scenario.head import MOST_TAGS, read_head
from iotsim.scenario.loading import Loading, Overrides
from iotsim.scenario.merge import Merged
from iotsim.scenario.model import LinkSpec, Scenario
from iotsim.scenario.order import check_moments
from iotsim.scenario.parameters import Parameters, combination_text
from iotsim.scenario.placeholders import (
    fill_addresses,
    names_in,
    placeholder_values,
    settle_scopes,
    strings,
    variable_of,
)
from iotsim.scenario.problems import Problems, TooManyProblems, nearest
from iotsim.scenario.schema import NOT_YET
from iotsim.scenario.sections import SECTIONS, scope_at
from iotsim.scenario.sources import COMPOSING, read_sources
from iotsim.scenario.speed import at_speed
from iotsim.scenario.suspicions import look_closely

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from iotsim.errors import Problem
    from iotsim.scenario.head import Head
    from iotsim.scenario.sections import Section


def load_scenario(
    path: Path,
    *,
    overrides: Overrides | None = None,
    default_seed: int = 0,
    warn: Callable[[Problem], object] | None = None,
    head_known: Callable[[Head], object] | None = None,
) -> Scenario:
    """The scenario in the file at `path`, which is to be a single one: `overrides` set whatever has
    several values in its matrix.

    `default_seed` is taken where neither the file nor `overrides` name one. ScenarioError tells all
    that is wrong, with places. With `warn` the scenario is looked at more closely
    (`iotsim.scenario.suspicions`); it is told of what is merely suspicious. `head_known` is told
    what it is called, and its limit, before protocols are imported, whose code may take any time.
    """
    merged = Merged(read_sources(path))
    return load_merged(merged, path, overrides, default_seed, warn, head_known)


def load_scenarios(
    path: Path, overrides: Overrides | None = None, *, default_seed: int = 0
) -> list[Scenario]:
    """The scenarios in the file at `path`, one for each combination of its matrix that `overrides` leave;
    else as `load_scenario`."""
    return list(each_scenario(path, overrides, default_seed=default_seed))


def each_scenario(
    path: Path,
    overrides: Overrides | None = None,
    *,
    default_seed: int = 0,
    warn: Callable[[Problem], object] | None = None,
) -> Iterator[Scenario]:
    """As `load_scenarios`, one after the other. What is wrong is told at the end, of all together."""
    given = overrides or Overrides()
    merged = Merged(read_sources(path))
    found: dict[Problem, list[str]] = {}
    settings = [run.setting for run in merged_runs(merged, path, given.parameters)]
    for setting in settings:
        one = replace(given, parameters=setting)
        try:
            scenario = load_merged(merged, path, one, default_seed, warn)
        except ScenarioError as error:
            for problem in error.problems:
                found.setdefault(problem, []).append(combination_text(setting))
        else:
            yield scenario
    if found:
        raise ScenarioError(
            problem if len(where) == len(settings) else _of_some(problem, where)
            for problem, where in found.items()
        )


def _of_some(problem: Problem, where: list[str]) -> Problem:
    more = f" and {len(where) - 1} more" if len(where) > 1 else ""
    return replace(problem, message=f"{problem.message}, with {where[0]}{more}")


def load_text(
    text: str,
    path: Path,
    *,
    overrides: Overrides | None = None,
    default_seed: int = 0,
    warn: Callable[[Problem], object] | None = None,
) -> Scenario:
    """As `load_scenario`, of a `text` that stands (or would stand) at `path`."""
    return load_merged(Merged(read_sources(path, text)), path, overrides, default_seed, warn)


class PlannedRun(NamedTuple):
    """What is to be set for one run of a scenario, and its tags and its own limit, as far as these can be
    told before it is loaded."""

    setting: dict[str, str]
    tags: tuple[str, ...] = ()
    limit_s: float | None = None


def planned_runs(path: Path, given: Mapping[str, str]) -> list[PlannedRun]:
    """The runs of the scenario at `path` where `given` is set: see `Parameters.combinations`.
    ScenarioError if its files cannot be read."""
    return merged_runs(Merged(read_sources(path)), path, given)


def merged_runs(merged: Merged, path: Path, given: Mapping[str, str]) -> list[PlannedRun]:
    """As `planned_runs`, of files that are merged already."""
    problems = Problems(str(path), merged)  # each run is going to tell them
    try:
        declared = Parameters(_sections(merged.value, problems), problems)
    except TooManyProblems:
        return [PlannedRun(dict(given))]
    table = merged.value.get("scenario")
    table = table if isinstance(table, dict) else {}
    told = {name: table[name] for name in ("tags", "limit") if name in table}
    runs = []
    for setting in declared.combinations(given):
        head = _filled_head(told, declared, setting, Problems(str(path), merged))
        tags = head.get("tags")
        tags = tags if isinstance(tags, list) else [tags]
        texts = tuple(tag for tag in tags[:MOST_TAGS] if isinstance(tag, str))
        runs.append(PlannedRun(setting, texts, read_head(head).limit_s))
    return runs


def _filled_head(
    table: dict[str, Any], declared: Parameters, setting: Mapping[str, str], problems: Problems
) -> dict[str, Any]:
    """What ``[scenario]`` has with the parameters filled in, of which `table` is a part."""
    if any("${" in text for _, text in strings(table)):
        with suppress(TooManyProblems):
            return Filling(declared, setting, os.environ, problems).fill(table)
    return table


def load_merged(
    merged: Merged,
    path: Path,
    overrides: Overrides | None,
    default_seed: int = 0,
    warn: Callable[[Problem], object] | None = None,
    head_known: Callable[[Head], object] | None = None,
) -> Scenario:
    """The scenario that the `merged` files make, of which the one at `path` is the nearest."""
    problems = Problems(str(path), merged)
    loading = Loading(problems, overrides or Overrides(), default_seed, head_known=head_known)
    try:
        scenario = load_document(merged.value, path, loading)
    except TooManyProblems:
        problems.raise_any()
        raise
    problems.raise_any()
    if warn is not None:
        look_closely(scenario, loading)
        for problem in problems.warnings:
            warn(problem)
        problems.raise_any()
    return replace(scenario, files=tuple(source.path for source in merged.sources))


def load_document(document: dict[str, Any], path: Path, loading: Loading) -> Scenario:
    """The scenario in `document`, which stands at `path`; it is sound if there are no problems."""
    problems = loading.problems
    tables = _sections(document, problems)
    declared = Parameters(tables, problems)
    setting = _sole_combination(declared, loading)
    composed = {name for name, section in SECTIONS.items() if section.composes}
    tables = {name: table for name, table in tables.items() if name not in composed}
    tables = _overridden(tables, loading.overrides)
    loading.tables = _filled(tables, declared, setting, loading)
    hidden = {name: setting[name] for name in declared.matrix if name not in _shown(tables)}
    combination = f" [{combination_text(hidden)}]" if hidden else ""
    if loading.head_known is not None:
        head = read_head(loading.tables.get("scenario"))
        called = head.name or path.stem
        loading.head_known(head._replace(name=called + combination))
    scenario = Scenario(path, path.stem, LinkSpec(), parameters=MappingProxyType(setting))
    for section in SECTIONS.values():
        if section.plan is not None:
            loading.tables.setdefault(section.name, {})
            scenario = section.plan(scenario, loading)
    values = placeholder_values(scenario.link, scenario.fleets, scenario.northbound.values())
    unknown = loading.doubtful | {f"{name}.port" for name in loading.mute}
    loading.tables = fill_addresses(loading.tables, values, unknown, scope_at, problems)
    for section in SECTIONS.values():
        if section.build is not None and section.name in loading.tables:
            scenario = section.build(scenario, loading)
    check_moments(scenario, loading)
    check_blackouts(scenario, loading)
    scenario = at_speed(scenario, loading)
    return replace(scenario, name=scenario.name + combination)


def _sole_combination(declared: Parameters, loading: Loading) -> dict[str, str]:
    """What is set in the one scenario that is asked for."""
    first, *others = declared.combinations(loading.overrides.parameters)
    if others:
        message = f"makes {1 + len(others)} scenarios, and one is asked for"
        shown = " ".join(f"--set {name}={first[name]}" for name in declared.matrix)
        loading.problems.add(("matrix",), message, f"take one, such as by {shown}")
    return first


def _filled(
    tables: dict[str, Any], declared: Parameters, setting: Mapping[str, str], loading: Loading
) -> dict[str, Any]:
    """`tables` with the parameters filled in."""
    problems = loading.problems
    filling = Filling(declared, setting, loading.overrides.environment, problems)
    filled = filling.fill(tables)
    filled = settle_scopes(filled, scope_at, problems)
    for name in setting:
        if variable_of(name):
            message = f"--set {name}: a variable of the environment cannot be set here"
            problems.add((), message)
        elif name not in filling.used and name in declared.matrix:
            message = f"nothing in the scenario has '${{{name}}}': all combinations would be alike"
            problems.add(("matrix", name), message, of_key=True)
        elif name not in filling.used:
            problems.add((), f"--set {name}: the scenario has no '${{{name}}}'")
    return filled


def _shown(tables: Mapping[str, Any]) -> list[str]:
    """The parameters that the scenario's name shows."""
    name = tables.get("scenario", {}).get("name")
    return names_in(name) if isinstance(name, str) else []


def _sections(document: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """The sections of the document that are supported and have the right form."""
    found = {}
    for name, value in document.items():
        section = SECTIONS.get(name)
        if name in COMPOSING:
            continue
        if section is None:
            known = [*SECTIONS, *COMPOSING]
            problems.add((name,), "unknown table", nearest(name, known), of_key=True)
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
    if given.default_tolerance is not None and isinstance(tables.get("scenario", {}), dict):
        tables["scenario"] = {"tolerance": given.default_tolerance} | tables.get("scenario", {})
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
