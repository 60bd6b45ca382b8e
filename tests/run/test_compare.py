"""Runs found in folders, and which is compared with which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.results.compare.made import leave, lines_of, profile, received

from iotsim.errors import IotsimError
from iotsim.run.compare import compare_folders, find_runs
from iotsim.run.counterparts import Found, pair_up

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_a_run_or_has_some_below(tmp_path: Path) -> None:
    leave(tmp_path / "a" / "one")
    leave(tmp_path / "a" / "deeper" / "two")
    (tmp_path / "a" / "empty").mkdir()
    (tmp_path / "a" / "junit.xml").write_text("")
    assert [one.name for one in find_runs(tmp_path / "a")] == ["deeper/two", "one"]
    assert [one.name for one in find_runs(tmp_path / "a" / "one")] == [""]


def test_what_a_run_has_below_itself_is_no_run(tmp_path: Path) -> None:
    leave(leave(tmp_path / "a" / "one") / "work" / "inner")
    assert [one.name for one in find_runs(tmp_path / "a")] == ["one"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    leave(tmp_path / "a" / "one")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    assert [one.name for one in find_runs(tmp_path / "a")] == ["one"]


def test_where_there_is_none_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(IotsimError, match=r"no results in .*missing"):
        find_runs(tmp_path / "missing")
    with pytest.raises(IotsimError, match="no results in"):
        find_runs(tmp_path)
    (tmp_path / "result.json").write_text("null")
    with pytest.raises(IotsimError, match="nothing there says which run it is of"):
        find_runs(tmp_path)


def test_two_runs_are_compared_whatever_they_are_called(tmp_path: Path) -> None:
    one = leave(tmp_path / "a")
    other = leave(tmp_path / "b", scenario="Lamps", path="lamps.toml")
    told = compare_folders(one, other)
    assert len(told.scenarios) == 1
    assert any("scenarios differ" in note for note in told.scenarios[0].comparison.notes)


def test_suites_are_compared_scenario_by_scenario(tmp_path: Path) -> None:
    for suite in ("a", "b"):
        for name in ("x", "y", "z"):
            if (suite, name) != ("b", "z"):
                verdict = "failed" if (suite, name) == ("b", "y") else "passed"
                leave(tmp_path / suite / name, scenario=name, path=f"{name}.toml", verdict=verdict)
    leave(tmp_path / "b" / "w", scenario="w", path="w.toml")
    told = compare_folders(tmp_path / "a", tmp_path / "b")
    states = {one.name: one.comparison.state for one in told.scenarios}
    assert states == {"x": "ok", "y": "worse"}
    assert (told.gone, told.new, told.state) == (["z"], ["w"], "worse")
    assert told.worse == ["z: it passed, and is not there any more"]


def test_a_scenario_that_is_new_and_passes_is_not_worse(tmp_path: Path) -> None:
    leave(tmp_path / "a" / "x", path="x.toml")
    leave(tmp_path / "b" / "x", path="x.toml")
    leave(tmp_path / "b" / "y", scenario="y", path="y.toml")
    told = compare_folders(tmp_path / "a", tmp_path / "b")
    assert (told.state, told.new) == ("ok", ["y"])


def test_the_folder_of_a_suite_is_no_run_though_it_has_a_result(tmp_path: Path) -> None:
    leave(tmp_path / "a" / "one")
    (tmp_path / "a" / "result.json").write_text('{"format":1,"kind":"suite","runs":[]}')
    assert [one.name for one in find_runs(tmp_path / "a")] == ["one"]


def test_a_killed_run_can_be_compared(tmp_path: Path) -> None:
    one, other = leave(tmp_path / "a"), leave(tmp_path / "b", verdict="running")
    with (other / "events.jsonl").open("ab") as file:
        file.write(lines_of([received(3.0, kind="READ")])[0][:-20])
    (other / "events.jsonl").rename(other / "events.shard0.jsonl")
    told = compare_folders(one, other)
    assert told.state == "unsure"


# ------------------------------------------------------------------------------ which with which


def found(name: str, path: str = "a.toml", scenario: str = "A", **parameters: str) -> Found:
    return Found(name, name, scenario, path, parameters, "passed", profile)


def names(old: list[Found], new: list[Found]) -> set[tuple[str, str]]:
    return {(old[here].name, new[there].name) for here, there in pair_up(old, new)}


def test_the_file_and_the_parameters_decide() -> None:
    old = [found("1", qos="0"), found("2", qos="1"), found("3", path="b.toml", scenario="B")]
    new = [found("3", qos="1"), found("1", path="b.toml", scenario="C"), found("x", qos="0")]
    assert names(old, new) == {("1", "x"), ("2", "3"), ("3", "1")}


def test_a_checkout_elsewhere_is_known_by_the_names_of_its_scenarios() -> None:
    old = [found("a", "/one/a.toml", "A"), found("b", "/one/b.toml", "B")]
    new = [found("a", "/two/a.toml", "A"), found("b", "/two/b.toml", "B")]
    assert names(old, new) == {("a", "a"), ("b", "b")}


def test_of_runs_that_were_repeated_the_folders_tell() -> None:
    old, new = [found("a/1"), found("a/2")], [found("a/1"), found("a/2"), found("a/3")]
    assert names(old, new) == {("a/1", "a/1"), ("a/2", "a/2")}


RUNS = st.lists(
    st.builds(
        found,
        st.sampled_from(["1", "2", "3"]),
        st.sampled_from(["a.toml", "b.toml"]),
        st.sampled_from(["A", "B"]),
    ),
    max_size=5,
)


@given(RUNS, RUNS)
def test_nobody_has_two_counterparts(old: list[Found], new: list[Found]) -> None:
    pairs = pair_up(old, new)
    for side in (0, 1):
        assert len({pair[side] for pair in pairs}) == len(pairs)


@given(st.permutations([found(str(n), f"{n}.toml", f"S{n}") for n in range(5)]))
def test_the_order_does_not_count(shuffled: list[Found]) -> None:
    old = sorted(shuffled, key=lambda one: one.name)
    assert names(old, shuffled) == {(one.name, one.name) for one in old}
