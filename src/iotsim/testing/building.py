"""A scenario for a test, from wherever a test has it: a file, its text, or tables made in Python."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.load import load_merged
from iotsim.scenario.loading import Overrides
from iotsim.scenario.merge import Merged, Source
from iotsim.scenario.model import Scenario
from iotsim.scenario.sources import read_sources
from iotsim.scenario.toml import DEEPEST, MOST_VALUES, Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ScenarioSource: TypeAlias = "Scenario | Mapping[str, Any] | Path | str"
TEXT_NAME, BUILT_NAME = "(text)", "(tables)"
"""What stands for the name of the file, where there is none."""
WAITING = "\0"
"""Begins the name of what an entry waits for that a test begins: nothing in a file is called so."""


def build(
    source: ScenarioSource,
    *,
    folders: Sequence[Path] = (Path(),),
    changes: Mapping[str, Any] | None = None,
    impair: Mapping[str, Mapping[str, Any]] | None = None,
    fault: Mapping[str, Mapping[str, Any]] | None = None,
    overrides: Overrides | None = None,
    default_parameters: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None,
    default_seed: int = 1,
) -> Scenario:
    """The scenario that `source` is: a loaded one, tables as TOML would have them, a file's path, or, if it
    has more than one line, the text of one.

    A path is looked for in `folders`, the first of which is also where relative files of a text or of
    tables are. `changes` are tables that win over those of the file, as if a file that extends it said so.
    `impair` and `fault` are further entries by their names; they are in force only once they are begun
    (`iotsim.simulation.commands.Begin`). `default_parameters` gives values of parameters, where `overrides`
    have none, from the tables of the scenario. Over a memory link that `overrides` ask for, nobody starts the
    gateway's command: the test stands in its place. ScenarioError tells all that is wrong,
    FileNotFoundError that there is no such file.
    """
    if isinstance(source, Scenario):
        if changes or impair or fault:
            raise TypeError("a scenario that is loaded already is not changed: give its file")
        return source
    more: dict[str, Any] = dict(changes or {})
    for section, entries in (("impair", impair), ("fault", fault)):
        if entries:
            # Whenever it is begun: not from the start on, and so not against any expectation.
            tables = [{"after": "ready", **table, "name": name} for name, table in entries.items()]
            more[section] = [*more.get(section, ()), *tables]
    path, sources = _sources(source, folders)
    if more:
        sources = [*sources, Source(path, document_of(more, "changes"))]
    merged, overrides = Merged(sources), overrides or Overrides()
    if default_parameters is not None:
        parameters = {**default_parameters(merged.value), **overrides.parameters}
        overrides = replace(overrides, parameters=parameters)
    memory = overrides.link == "memory"
    if memory:
        overrides = replace(overrides, link=None)
    scenario = load_merged(merged, path, overrides, default_seed)
    if memory:
        scenario = scenario.over("memory")
    return _waiting(scenario, {*(impair or ()), *(fault or ())})


def _sources(
    source: Mapping[str, Any] | Path | str, folders: Sequence[Path]
) -> tuple[Path, list[Source]]:
    if isinstance(source, str) and "\n" in source:
        path = folders[0] / TEXT_NAME
        return path, read_sources(path, source)
    if isinstance(source, (str, Path)):
        path = find(source, folders)
        return path, read_sources(path)
    path = folders[0] / BUILT_NAME
    return path, [Source(path, document_of(source, BUILT_NAME))]


def find(name: Path | str, folders: Sequence[Path]) -> Path:
    """The file `name`, of the first of `folders` that has it. FileNotFoundError if none does."""
    for folder in folders:
        path = folder / name
        if path.exists():
            return path
    looked = ", ".join(dict.fromkeys(str(folder.absolute()) for folder in folders))
    raise FileNotFoundError(f"there is no scenario {str(name)!r} in {looked}")


def _waiting(scenario: Scenario, names: set[str]) -> Scenario:
    """`scenario`, whose entries of these names wait to be begun."""
    if not names:
        return scenario

    def held_back(entry: Any) -> Any:
        if entry.name not in names:
            return entry
        return replace(entry, after=f"{WAITING}{entry.name}", begin_s=0.0, end_s=math.inf)

    return replace(
        scenario,
        impairments=tuple(replace(o, entry=held_back(o.entry)) for o in scenario.impairments),
        faults=tuple(replace(o, entry=held_back(o.entry)) for o in scenario.faults),
    )


def document_of(tables: Mapping[str, Any], name: str) -> Document:
    """`tables` as a document, which has no places. ScenarioError for what TOML could not hold."""
    plain = _Plain(name)
    value = plain.table(tables, ())
    return Document("", value, {}, plain.values)


class _Plain:
    """Makes plain values of what stands in tables that were made in Python."""

    def __init__(self, name: str) -> None:
        self.values = 0
        self._name = name

    def table(self, table: Mapping[str, Any], keys: tuple[Any, ...]) -> dict[str, Any]:
        for key in table:
            if not isinstance(key, str):
                raise self._wrong(keys, f"the key {key!r:.100} is no text")
        return {key: self.value(value, (*keys, key)) for key, value in table.items()}

    def value(self, value: Any, keys: tuple[Any, ...]) -> Any:
        self.values += 1
        if len(keys) > DEEPEST:
            raise self._wrong(keys, f"nested more than {DEEPEST} deep")
        if self.values > MOST_VALUES:
            raise self._wrong(keys, f"more than {MOST_VALUES} values")
        if isinstance(value, dict):
            return self.table(value, keys)
        if isinstance(value, (list, tuple)):
            return [self.value(item, (*keys, number)) for number, item in enumerate(value)]
        if isinstance(value, bytes):
            return f"hex:{value.hex()}"
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, (str, bool, int, float, datetime, date, time)):
            return value
        raise self._wrong(keys, f"{type(value).__name__} is nothing that a scenario can say")

    def _wrong(self, keys: tuple[Any, ...], message: str) -> ScenarioError:
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys[:8])
        return ScenarioError([Problem(message, self._name, path=path.lstrip("."))])
