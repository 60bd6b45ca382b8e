"""``iotsim.toml`` and ``[tool.iotsim]``: what they say, and what is wrong with them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from iotsim.errors import ScenarioError
from iotsim.scenario.project import project_schema, read_project

OWN, SHARED = Path("/p/iotsim.toml"), Path("/p/pyproject.toml")
WHOLE = """
scenarios = ["scenarios", "more/one.toml"]
protocols = "wire"
results = "build/results"
[run]
jobs = "auto"
tolerance = 2
limit = "2min"
[history]
file = ".iotsim/history.sqlite"
"""


def problems(text: str, path: Path = OWN) -> str:
    with pytest.raises(ScenarioError) as caught:
        read_project(text, path)
    return str(caught.value)


def test_all_that_it_may_say() -> None:
    project = read_project(WHOLE, OWN)
    assert project is not None
    assert project.scenarios == (Path("/p/scenarios"), Path("/p/more/one.toml"))
    assert project.protocols == (Path("/p/wire"),)
    assert project.results == Path("/p/build/results")
    assert (project.jobs, project.tolerance, project.limit_s) == (0, 2.0, 120.0)
    assert project.history == Path("/p/.iotsim/history.sqlite")


def test_one_that_says_nothing_has_the_usual_folders() -> None:
    project = read_project("", OWN)
    assert project is not None
    assert project.scenarios == (Path("/p/scenarios"),)
    assert project.protocols == (Path("/p/protocols"),)
    assert project.results == Path("/p/results")
    assert (project.jobs, project.tolerance, project.limit_s, project.history) == (None,) * 4


def test_the_same_in_pyproject() -> None:
    text = "\n".join(
        f"[tool.iotsim.{line[1:]}" if line.startswith("[") else line for line in WHOLE.splitlines()
    )
    assert read_project("[tool.iotsim]\n" + text, SHARED) == read_project(
        WHOLE, SHARED.with_name("x.toml")
    ).__class__(**{**vars(read_project(WHOLE, OWN)), "file": SHARED})


@pytest.mark.parametrize(
    "text", ["", "[tool]", "[tool.other]", "tool = 3", "[project]\nname = 'iotsim'"]
)
def test_a_pyproject_without_the_table_is_not_about_us(text: str) -> None:
    assert read_project(text, SHARED) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scenario = 'a'", "/p/iotsim.toml:1:1: scenario: unknown key (did you mean 'scenarios'?)"),
        ("\n[runs]", "/p/iotsim.toml:2:1: runs: unknown key"),
        ("[run]\n\njob = 3", "/p/iotsim.toml:3:1: run.job: unknown key (did you mean 'jobs'?)"),
        ("[run]\njobs = 0", "2:8: run.jobs: must be a number from 1 to 9999, or \"auto\""),
        ("[run]\njobs = true", "2:8: run.jobs: must be a number"),
        ("[run]\nlimit = 5", "2:9: run.limit: 5 has no unit"),
        ("[run]\ntolerance = 0", "2:13: run.tolerance: must be greater than 0"),
        ("results = ''", "1:11: results: must be the path"),
        ("scenarios = []", "1:13: scenarios: must be a text or a list of texts"),
        ("[history]", "history: the key 'file' is missing"),
        ("run = 3", "1:7: run: must be a table"),
        ("results = 'a", "/p/iotsim.toml:1:"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    assert told in problems(text)


def test_what_is_wrong_in_pyproject_is_told_by_its_whole_path() -> None:
    told = problems("[tool.iotsim.run]\njob = 3", SHARED)
    assert told.startswith("/p/pyproject.toml:2:1: tool.iotsim.run.job: unknown key")


def test_the_schema_takes_what_is_right_and_nothing_else() -> None:
    schema = project_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    assert validator.is_valid(tomllib.loads(WHOLE))
    assert validator.is_valid({})
    for wrong in ("scenario = 'a'", "[run]\njobs = 0", "[run]\nlimit = 5", "[history]", "run = 3"):
        assert not validator.is_valid(tomllib.loads(wrong)), wrong


def test_the_schema_says_what_each_key_means() -> None:
    schema = project_schema()
    tables = [schema, *schema["definitions"].values()]
    values = [value for table in tables for value in table["properties"].values()]
    assert all(value.get("description") or "allOf" in value for value in values)
