"""The file of a baseline: made, added to, and found again from elsewhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.results.compare.made import leave, profile

from iotsim.errors import IotsimError
from iotsim.run.baseline import read_baseline, update_baseline
from iotsim.run.compare import compare_folders, compare_found, find_in_baseline, find_runs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ci" / "base.json"


def test_it_is_made_with_its_folder(file: Path) -> None:
    assert update_baseline(file, [profile(path="ci/a.toml")]) == (["a.toml"], {}, 1)
    assert list(read_baseline(file)) == ["a.toml"]


def test_others_stay_and_the_same_are_replaced(file: Path) -> None:
    update_baseline(file, [profile(path="ci/a.toml", seed=1), profile(path="ci/b.toml", seed=1)])
    update_baseline(file, [profile(path="ci/b.toml", seed=2)])
    assert {name: one.seed for name, one in read_baseline(file).items()} == {
        "a.toml": 1,
        "b.toml": 2,
    }


def test_combinations_are_told_apart(file: Path) -> None:
    runs = [profile(path="ci/a.toml", parameters={"qos": qos}) for qos in "01"]
    assert update_baseline(file, runs)[0] == ["a.toml [qos=0]", "a.toml [qos=1]"]


@pytest.mark.parametrize(
    "verdict", ["failed", "inconclusive", "error", "skipped", "empty", "running", "x"]
)
def test_a_run_that_has_not_passed_is_no_baseline(file: Path, verdict: str) -> None:
    bad = profile(path="ci/a.toml", verdict=verdict)
    assert update_baseline(file, [bad]) == ([], {"a.toml": verdict}, 0)
    assert not file.exists()
    update_baseline(file, [profile(path="ci/a.toml"), profile(path="ci/b.toml")])
    before = file.read_bytes()
    assert update_baseline(file, [bad]) == ([], {"a.toml": verdict}, 2)
    assert file.read_bytes() == before


def test_what_lies_elsewhere_is_known_by_its_name(file: Path) -> None:
    assert update_baseline(file, [profile(path="/elsewhere/a.toml")])[0] == ["Meters"]
    assert "/elsewhere" not in file.read_text()


def test_a_repository_may_lie_elsewhere_the_next_time(file: Path, tmp_path: Path) -> None:
    update_baseline(file, [profile(path=str(tmp_path / "ci" / "a.toml"))])
    moved = tmp_path / "moved"
    (tmp_path / "ci").rename(moved)
    leave(tmp_path / "out", path=str(moved / "a.toml"), scenario="Renamed", verdict="failed")
    told = compare_found(
        find_in_baseline(moved / "base.json"), find_runs(tmp_path / "out"), partly=True
    )
    assert [one.comparison.state for one in told.scenarios] == ["worse"]


def test_what_was_not_run_is_not_gone(file: Path, tmp_path: Path) -> None:
    runs = [profile(path=f"ci/{name}.toml", scenario=name) for name in "ab"]
    update_baseline(file, runs)
    leave(tmp_path / "out", path="ci/a.toml", scenario="a")
    told = compare_found(find_in_baseline(file), find_runs(tmp_path / "out"), partly=True)
    assert (told.state, told.gone, len(told.scenarios)) == ("ok", [], 1)


def test_a_run_is_not_compared_with_that_of_another_scenario(file: Path, tmp_path: Path) -> None:
    update_baseline(file, [profile(path="ci/a.toml", scenario="a")])
    leave(tmp_path / "out", path="ci/b.toml", scenario="b")
    told = compare_found(find_in_baseline(file), find_runs(tmp_path / "out"), partly=True)
    assert (told.scenarios, told.new) == ([], ["b"])


def test_runs_that_are_repeated_are_all_compared_with_the_one(file: Path, tmp_path: Path) -> None:
    update_baseline(file, [profile(path="ci/a.toml", scenario="a")])
    for number, verdict in enumerate(("passed", "failed", "passed")):
        leave(tmp_path / "out" / str(number), path="ci/a.toml", scenario="a", verdict=verdict)
    told = compare_found(find_in_baseline(file), find_runs(tmp_path / "out"), partly=True)
    assert [one.comparison.state for one in told.scenarios] == ["ok", "worse", "ok"]
    runs = [profile(path="ci/a.toml", seed=seed) for seed in (1, 2)]
    assert update_baseline(file, runs)[0] == ["a.toml"]
    assert [one.seed for one in read_baseline(file).values()] == [2]


def test_who_updates_it_at_the_same_time_loses_nothing(file: Path) -> None:
    def put(number: int) -> None:
        update_baseline(file, [profile(path=f"ci/{number}.toml")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(40)))
    assert len(read_baseline(file)) == 40
    assert [path.name for path in file.parent.iterdir()] == ["base.json"]


def test_compare_takes_a_baseline_on_either_side(file: Path, tmp_path: Path) -> None:
    update_baseline(file, [profile(path="ci/a.toml")])
    folder = leave(tmp_path / "out", path="ci/a.toml", verdict="failed")
    assert compare_folders(file, folder).state == "worse"
    assert compare_folders(folder, file).state == "ok"


def test_a_file_of_something_else_is_told_and_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"name": "my package"}')
    for act in (read_baseline, lambda file: update_baseline(file, [profile()])):
        with pytest.raises(IotsimError, match=r"base\.json: it is no baseline"):
            act(file)
    assert file.read_text() == '{"name": "my package"}'


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(IotsimError, match="is not written"):
        update_baseline(tmp_path / "a" / "base.json", [profile()])
    with pytest.raises(IotsimError, match="it is no file"):
        update_baseline(tmp_path, [profile()])
