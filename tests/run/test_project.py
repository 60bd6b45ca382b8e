"""The project that a command is called in: found upwards, and no further than it may be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import ScenarioError
from iotsim.run import project
from iotsim.run.project import find_project, may_be_project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "top" / "deeper" / "still"
    folder.mkdir(parents=True)
    return tmp_path / "top"


def test_it_is_found_upwards_and_its_paths_are_its_own_folders(top: Path) -> None:
    (top / "iotsim.toml").write_text('results = "out"\n')
    project = find_project(top / "deeper" / "still")
    assert (project.file, project.root) == (top / "iotsim.toml", top)
    assert project.results == top / "out"
    assert project.scenarios == (top / "scenarios",)


def test_the_nearest_is_taken(top: Path) -> None:
    (top / "iotsim.toml").write_text("")
    (top / "deeper" / "iotsim.toml").write_text("")
    assert find_project(top / "deeper" / "still").root == top / "deeper"


def test_a_pyproject_counts_if_it_has_a_table_of_ours(top: Path) -> None:
    (top / "pyproject.toml").write_text('[tool.iotsim]\nscenarios = "a"\n')
    (top / "deeper" / "pyproject.toml").write_text('[project]\nname = "with-iotsim"\n')
    project = find_project(top / "deeper")
    assert project.scenarios == (top / "a",)
    assert project.file == top / "pyproject.toml"


def test_iotsim_toml_comes_before_pyproject(top: Path) -> None:
    (top / "pyproject.toml").write_text('[tool.iotsim]\nscenarios = "a"\n')
    (top / "iotsim.toml").write_text('scenarios = "b"\n')
    assert find_project(top).scenarios == (top / "b",)


def test_without_one_the_current_folder_is_the_root(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top)
    project = find_project()
    assert (project.file, project.root, str(project.results)) == (None, top, "results")
    assert project.scenarios == ()


def test_what_is_above_a_repository_is_somebody_elses(top: Path) -> None:
    (top / "iotsim.toml").write_text("")
    (top / "deeper" / ".git").mkdir()
    assert find_project(top / "deeper" / "still").file is None
    assert find_project(top).file == top / "iotsim.toml"


def test_what_lies_in_a_folder_that_everybody_shares_is_nobodys(top: Path) -> None:
    (top / "iotsim.toml").write_text("")
    top.chmod(0o1777)
    assert find_project(top / "deeper").file is None
    assert find_project(top).file == top / "iotsim.toml"


def test_where_everybody_may_write_a_file_of_another_user_is_nobodys(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "iotsim.toml").write_text("")
    monkeypatch.setattr(project, "_trusted", lambda: {os.geteuid() + 1})
    assert find_project(top).file == top / "iotsim.toml"
    top.chmod(0o1777)
    assert find_project(top).file is None
    assert not may_be_project(top)


def test_whether_there_may_be_one_is_known_without_reading_it(top: Path) -> None:
    assert not may_be_project(top)
    (top / "iotsim.toml").write_text("= nonsense")
    assert may_be_project(top / "deeper")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"results = 1\n", b"=", b"[run]\njobs = 'many'\n"])
def test_what_is_wrong_is_told_with_its_line(top: Path, data: bytes) -> None:
    (top / "iotsim.toml").write_bytes(data)
    with pytest.raises(ScenarioError, match=r"iotsim\.toml:[12]"):
        find_project(top)


def test_a_folder_of_that_name_is_no_project(top: Path) -> None:
    (top / "iotsim.toml").mkdir()
    assert find_project(top).file is None
