"""A user's project: the table of ``iotsim.toml``, or ``[tool.iotsim]`` of a ``pyproject.toml``.

It says where the project has its scenarios, protocols and results, and what its runs begin with. Paths are
relative to the file's own folder. For what finds and opens it, see `iotsim.run.project`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from iotsim.errors import Problem, ScenarioError
from iotsim.scenario.merge import Merged, Source
from iotsim.scenario.problems import Problems
from iotsim.scenario.schema import Duration, Holds, Model, Table, Texts, check, written
from iotsim.scenario.toml import TomlError, read_toml

if TYPE_CHECKING:
    from iotsim.scenario.toml import Keys

IN_PYPROJECT: Keys = ("tool", "iotsim")
MOST_JOBS = 9999


@dataclass(frozen=True)
class Project:
    """Where a project's things are, all paths below `root`, and the defaults of its runs.

    ``file`` is what said so, None where there is no such file: then `root` is the current folder, and
    ``scenarios`` are empty. ``scenarios`` are files and folders, which the file names itself if
    ``names_scenarios``, and ``protocols`` folders. ``jobs`` is a number of runs at a time, 0 for what suits
    the machine, None for what the command does by itself. ``tolerance`` is for scenarios that name none, and
    so is ``limit_s``. ``history`` is the file of the history, None without, and ``history_keep`` how many
    runs of each scenario it keeps.
    """

    root: Path
    file: Path | None = None
    scenarios: tuple[Path, ...] = ()
    names_scenarios: bool = False
    protocols: tuple[Path, ...] = ()
    results: Path = Path("results")
    jobs: int | None = None
    tolerance: float | None = None
    limit_s: float | None = None
    history: Path | None = None
    history_keep: int = 1000


def _path(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("must be the path of a file or folder")
    return value


def _paths(value: list[str]) -> list[str]:
    return [_path(one) for one in value]


def _jobs(value: Any) -> int:
    if value == "auto":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_JOBS:
        raise ValueError(f'must be a number from 1 to {MOST_JOBS}, or "auto"')
    return value


JOBS = written(
    _jobs, anyOf=[{"type": "integer", "minimum": 1, "maximum": MOST_JOBS}, {"const": "auto"}]
)
Paths = Annotated[Texts, AfterValidator(_paths)]
OnePath = Annotated[str, AfterValidator(_path)]


class RunTable(Model):
    """``[run]``: what `iotsim run` begins with where the command line and the scenario say nothing."""

    jobs: Annotated[
        int | None,
        BeforeValidator(JOBS),
        Field(description="how many scenarios run at a time: a number, or 'auto'"),
    ] = None
    tolerance: Annotated[
        float | None,
        Field(
            gt=0,
            le=1000,
            allow_inf_nan=False,
            description="every time window is this many times as wide",
        ),
    ] = None
    limit: Annotated[
        Duration | None, Field(gt=0, description="the longest that a run may take in real time")
    ] = None


class HistoryTable(Model):
    """``[history]``: what is kept of all runs."""

    file: Annotated[OnePath, Field(description="where the history of all runs is kept")]
    keep: Annotated[
        int, Field(ge=1, le=100_000, description="of each scenario, so many runs are kept")
    ] = 1000


class ProjectTable(Model):
    scenarios: Annotated[
        Paths, Field(description="files and folders of scenarios, which `iotsim run` runs")
    ] = ["scenarios"]
    protocols: Annotated[
        Paths, Field(description="folders in which protocols are looked for by their names")
    ] = ["protocols"]
    results: Annotated[OnePath, Field(description="the folder for what runs leave")] = "results"
    run: Annotated[Table, Holds(RunTable)] = {}
    history: Annotated[Table | None, Holds(HistoryTable)] = None


def read_project(text: str, path: Path) -> Project | None:
    """The project of which the file at `path` says `text`; None for a ``pyproject.toml`` that says nothing
    of iotsim. ScenarioError tells all that is wrong, with places."""
    try:
        document = read_toml(text)
    except TomlError as error:
        raise ScenarioError([Problem(str(error), str(path), *error.place)]) from None
    keys: Keys = ()
    table: Any = document.value
    if path.name == "pyproject.toml":
        keys = IN_PYPROJECT
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        if table is None:
            return None
    problems = Problems(str(path), Merged([Source(path, document)]))
    project = _build(table, keys, path, problems)
    problems.raise_any()
    assert project is not None
    return project


def _build(table: Any, keys: Keys, path: Path, problems: Problems) -> Project | None:
    whole = check(ProjectTable, table, keys, problems)
    if whole is None:
        return None
    run = check(RunTable, whole.run, (*keys, "run"), problems) or RunTable()
    history = None
    if whole.history is not None:
        history = check(HistoryTable, whole.history, (*keys, "history"), problems)
    root = path.parent
    return Project(
        root,
        path,
        scenarios=tuple(root / name for name in whole.scenarios),
        names_scenarios="scenarios" in whole.model_fields_set,
        protocols=tuple(root / name for name in whole.protocols),
        results=root / whole.results,
        jobs=run.jobs,
        tolerance=run.tolerance,
        limit_s=run.limit,
        history=None if history is None else root / history.file,
        history_keep=HistoryTable.model_fields["keep"].default if history is None else history.keep,
    )


def project_schema() -> dict[str, Any]:
    """The JSON Schema of ``iotsim.toml``, for editors."""
    # Here, since it takes long, and only whoever asks for the schema needs it.
    from iotsim.scenario.jsonschema import DEFINITIONS, DRAFT, written_schema

    definitions: dict[str, Any] = {}
    schema = written_schema(ProjectTable, definitions)
    return {
        "$schema": DRAFT,
        "title": "iotsim project",
        "description": "Where a project has its scenarios, protocols and results.",
        **definitions.pop(schema["$ref"].removeprefix(DEFINITIONS)),
        "definitions": definitions,
    }
