"""What is a scenario, of all that lies about; and which parameters are meant for which."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iotsim.cli.files import find_scenarios
from iotsim.cli.parameters import known_parameters
from iotsim.errors import ScenarioError

SCENARIO = '[link]\nkind = "memory"\n'


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str = SCENARIO) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_project_holds_more_than_scenarios() -> None:
    ours = [write("a.toml"), write("deeper/work/b.toml"), write("results/c.toml")]
    for name in (
        *(".hidden.toml", ".venv/x.toml", "deeper/.git/x.toml", "node_modules/x/x.toml"),
        *("env/pyvenv.cfg", "env/lib/site-packages/tool/x.toml", "deeper/__pycache__/x.toml"),
        *("results/a/now/result.json", "results/a/now/work/x.toml", "out/result.json"),
        *("out/work_2/deeper/x.toml", "a.txt"),
    ):
        write(name)
    foreign = [write("pyproject.toml", "[project]\nname = 'x'"), write("deeper/empty.toml", "")]
    found = find_scenarios(["."])
    assert sorted(found.files) == sorted(ours)
    assert found.notes == [f"no scenario, so left out: {foreign[1]}, {foreign[0]}"]


def test_a_scenario_beside_results_is_one() -> None:
    write("scenarios/result.json", "{}")
    ours = [write("scenarios/a.toml")]
    assert find_scenarios(["."]).files == ours


def test_what_is_named_is_taken_whatever_it_is() -> None:
    named = [write("pyproject.toml", "[project]"), write(".hidden/a.toml"), write("x.txt")]
    assert find_scenarios(map(str, named)) == (named, [])
    assert find_scenarios([".hidden"]).files == [named[1]]


def test_what_cannot_be_read_is_for_its_run_to_tell() -> None:
    broken = [write("broken.toml", "[scenario"), write("binary.toml", "\0")]
    assert sorted(find_scenarios(["."]).files) == sorted(broken)


def test_a_folder_that_cannot_be_looked_into_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    write("closed/a.toml")
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert find_scenarios(["."]) == ([], ["./closed cannot be looked into: Permission denied"])


def test_names_with_odd_characters() -> None:
    names = ["new\nline.toml", "  .toml", "ü☃.toml", os.fsdecode(b"\xff.toml")]
    ours = sorted(write(name) for name in names)
    assert sorted(find_scenarios(["."]).files) == ours
    with pytest.raises(ScenarioError, match="there is no such scenario"):
        find_scenarios(["zero\0.toml"])


def test_each_of_several_gets_the_parameters_that_it_has() -> None:
    both = write("both.toml", '[scenario]\nname = "${a} ${b} $${c}"\n')
    one = write("one.toml", '[devices."${x}"]\ncount = "${a}"\n')
    none = write("none.toml", '[scenario]\nname = "${link.address} ${devices.x.first} ${results}"')
    given = {"a": "1", "b": "2"}
    assert known_parameters([both, one, none], given) == {both: given, one: {"a": "1"}, none: {}}


@pytest.mark.parametrize("name", ["c", "results", "link.address", "nosuch"])
def test_a_parameter_that_none_of_them_has_is_an_error(name: str) -> None:
    files = [write("one.toml", '[scenario]\nname = "${a} $${c} ${results}"'), write("two.toml")]
    with pytest.raises(ScenarioError, match=f"--set {name}: no scenario has"):
        known_parameters(files, {"a": "1", name: "2"})


def test_what_cannot_be_read_may_have_any_parameter() -> None:
    files = [write("one.toml"), write("broken.toml", "[scenario")]
    assert known_parameters(files, {"a": "1"}) == {files[0]: {}, files[1]: {}}


def test_a_single_scenario_is_to_have_them_all() -> None:
    file = write("one.toml")
    assert known_parameters([file], {"a": "1"}) == {file: {"a": "1"}}


@pytest.mark.parametrize(
    "word", ["smok", "scenarios/smok", "scenarios/smok.toml", "smoke", "Smoke"]
)
def test_a_name_that_is_none_is_held_against_those_of_the_project_first(word: str) -> None:
    write("iotsim.toml", "")
    write("scenarios/smoke.toml")
    write("scenarios/outage.toml")
    with pytest.raises(ScenarioError) as caught:
        find_scenarios([word])
    (problem,) = caught.value.problems
    assert problem.hint == "did you mean 'scenarios/smoke.toml'?"


def test_a_name_that_is_near_to_none_is_told_what_there_is() -> None:
    def hint(word: str) -> str:
        with pytest.raises(ScenarioError) as caught:
            find_scenarios([word])
        return caught.value.problems[0].hint

    assert hint("quikstart") == "did you mean 'quickstart'?"
    assert hint("xyzxyz").startswith("bundled: ")
    write("iotsim.toml", "")
    write("scenarios/smoke.toml")
    assert hint("xyzxyz") == "the project has scenarios/smoke.toml"
    assert hint("quikstart") == "did you mean 'quickstart'?"
