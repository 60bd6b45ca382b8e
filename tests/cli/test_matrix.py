"""``iotsim run`` and ``check`` of scenarios that are several, or parts of others."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from iotsim.cli.app import run_command_line
from iotsim.cli.files import find_scenarios
from iotsim.cli.jobs import find_jobs
from iotsim.scenario.project import Project

if TYPE_CHECKING:
    from tests.conftest import CommandLine

BASE = """
[link]
kind = "memory"

[gateway]
address = "10.77.0.1"
port = 9000

[devices.meter]
count = "${count}"
address = "10.77.1.1"
protocol = "sensornet"

[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", device = 1, seq = 1, value = "${value}" }
"""
MATRIX = """
extends = "base.toml"

[parameters]
value = 2

[matrix]
count = [1, 3]
most = ["1", "100"]

[[expect]]
name = "the meters report"
all = "meter"
sends = { kind = "REPORT", value = 2 }
count = { min = "${least}", max = "${limit}" }

[scenario]
duration = "2500ms"
until = "duration"
"""


def write_all(folder: Path) -> None:
    (folder / "base.toml").write_text(BASE)
    text = MATRIX.replace('"${least}"', "1").replace("${limit}", "${most}")
    (folder / "a.toml").write_text(text.replace('["1", "100"]', "[1, 100]"))


def results(out: Path) -> dict[str, str]:
    """The verdict in each folder of `out` that a run has."""
    found = {}
    for path in sorted(out.rglob("result.json")):
        result = json.loads(path.read_text())
        if result.get("kind") != "suite":
            found[str(path.parent.relative_to(out))] = result["verdict"]
    return found


ALL = {
    "count-1-most-1": "failed",
    "count-1-most-100": "passed",
    "count-3-most-1": "failed",
    "count-3-most-100": "passed",
}

COMBINATIONS = [f"count={count}, most={most}" for count in (1, 3) for most in (1, 100)]


def test_each_combination_has_a_folder_and_a_verdict_and_the_gravest_counts(
    iotsim: CommandLine,
) -> None:
    write_all(iotsim.folder)
    done = iotsim.run("a.toml", "--seed", "7", "-q", "--jobs", "2")
    assert done.status == 1, done.text
    lines = done.text.splitlines()
    assert lines[-1] == "4 of 4 scenarios: 2 passed, 2 failed"
    assert results(iotsim.out) == ALL
    root = ET.parse(iotsim.out / "junit.xml").getroot()
    names = [f"a [count={count}, most={most}]" for count in (1, 3) for most in (1, 100)]
    assert [suite.get("name") for suite in root] == names
    assert root.get("failures") == "2"


def test_the_line_that_repeats_a_run_repeats_that_combination(iotsim: CommandLine) -> None:
    write_all(iotsim.folder)
    done = iotsim.run("a.toml", "--seed", "7", "-q", "--set", "value=2.0")
    result = json.loads((iotsim.out / "count-3-most-1" / "result.json").read_text())
    assert result["parameters"] == {"value": "2.0", "count": "3", "most": "1"}
    told = "iotsim run a.toml --set value=2.0 --set count=3 --set most=1 --seed 7"
    assert result["repeat"] == told
    assert f"              {told}" in done.text.splitlines()
    again = iotsim.run(*shlex.split(told)[2:], "-q")
    assert again.status == 1
    assert again.result["parameters"] == result["parameters"]
    assert again.result["scenario"] == "a [count=3, most=1]"
    assert again.result["repeat"] == told
    assert again.result["expectations"] == result["expectations"]
    assert again.result["counters"] == result["counters"]


@pytest.mark.parametrize(
    ("words", "folders", "status"),
    [
        (["--set", "most=100"], ["count-1", "count-3"], 0),
        (["--set", "count=3", "--set", "most=100"], ["."], 0),
        (["--set", "count=3", "--set", "most=5"], ["."], 1),
        (["--set", "nosuch=3"], list(ALL), 2),
        (["--set", "most=many"], ["count-1", "count-3"], 2),
    ],
)
def test_the_matrix_is_narrowed(
    words: list[str], folders: list[str], status: int, iotsim: CommandLine
) -> None:
    write_all(iotsim.folder)
    done = iotsim.run("a.toml", "-q", *words)
    assert done.status == status, done.text
    assert list(results(iotsim.out)) == folders


def test_without_a_folder_they_have_one_in_common(iotsim: CommandLine) -> None:
    write_all(iotsim.folder)
    (iotsim.folder / "alone.toml").write_text(
        MATRIX.replace("[1, 3]", "[2]").replace('["1", "100"]', "[9]").replace('"${least}"', "1")
        .replace("${limit}", "${most}")
    )  # fmt: skip
    for files in (["a.toml"], ["a.toml", "alone.toml"]):
        done = iotsim("run", *files, "-q")
        assert done.status == 1, done.text
    own = iotsim.folder / "results"
    (first,) = (own / "a").iterdir()
    assert results(first) == ALL
    assert len(ET.parse(first / "junit.xml").getroot()) == 4
    (second,) = (own / "suite").iterdir()
    assert results(second) == {"alone": "passed"} | {f"a/{name}": v for name, v in ALL.items()}
    assert len(ET.parse(second / "junit.xml").getroot()) == 5
    remembered = json.loads((own / "runs.json").read_text())["runs"]
    assert set(remembered) == {
        "alone.toml [count=2, most=9]",
        *(f"a.toml [{name}]" for name in COMBINATIONS),
    }


def test_of_several_files_each_has_a_folder(iotsim: CommandLine) -> None:
    write_all(iotsim.folder)
    (iotsim.folder / "b.toml").write_text('extends = "a.toml"\n[matrix]\ncount = [2]\nmost = [9]\n')
    done = iotsim.run(".", "-q")
    assert done.status == 1, done.text
    assert "only a part of others, so not run by itself: base.toml" in done.text
    assert results(iotsim.out) == {"b": "passed"} | {f"a/{name}": v for name, v in ALL.items()}
    assert len(ET.parse(iotsim.out / "junit.xml").getroot()) == 5


def test_a_mistake_in_one_combination_is_an_error_of_that_run(iotsim: CommandLine) -> None:
    write_all(iotsim.folder)
    path = iotsim.folder / "a.toml"
    path.write_text(path.read_text().replace("[1, 3]", "[0, 3]"))
    done = iotsim.run("a.toml", "-q", "--set", "most=100")
    assert done.status == 2
    assert results(iotsim.out) == {"count-0": "error", "count-3": "passed"}
    reason = json.loads((iotsim.out / "count-0" / "result.json").read_text())["reason"]
    told = "base.toml:10:9: devices.meter.count: must be greater than or equal to 1"
    assert reason == f"{told} (the value is from a.toml:8)"


def test_serving_is_for_one(iotsim: CommandLine) -> None:
    write_all(iotsim.folder)
    done = iotsim.run("a.toml", "--serve")
    assert done.status == 2
    assert "--serve: this is for one scenario (its matrix makes several" in done.text


def test_check_looks_at_each_combination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_all(tmp_path)
    assert run_command_line(["check", "."]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a.toml [count=1, most=1]: ok, 1 device, 1 expectation",
        "a.toml [count=1, most=100]: ok, 1 device, 1 expectation",
        "a.toml [count=3, most=1]: ok, 3 devices, 1 expectation",
        "a.toml [count=3, most=100]: ok, 3 devices, 1 expectation",
    ]
    assert run_command_line(["check", "a.toml", "--set", "count=3", "--set", "most=1"]) == 0
    assert capsys.readouterr().out == "a.toml: ok, 3 devices, 1 expectation\n"
    path = tmp_path / "a.toml"
    path.write_text(path.read_text().replace("[1, 3]", "[0, 3]"))
    assert run_command_line(["check", "a.toml"]) == 2
    assert capsys.readouterr().out == (
        "base.toml:10:9: devices.meter.count: must be greater than or equal to 1, "
        "with count=0, most=1 and 1 more (the value is from a.toml:8)\n"
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


EXPECT = "[[expect]]\nname = 'x'\n"


def test_a_part_is_left_out_of_a_folders_run_if_it_is_no_whole(here: Path) -> None:
    (here / "parts").mkdir()
    for name, text in {
        "lacks.toml": f"[scenario]\nname = '${{n}}'\n{EXPECT}",
        "asks_nothing.toml": "[scenario]\nname = 'x'",
        "whole.toml": f"[scenario]\nname = '${{n}}'\n[parameters]\nn = 1\n{EXPECT}",
        "alone.toml": f"[scenario]\nname = '${{n}}'\n{EXPECT}",
        "parts/link.toml": "[link]\nkind = 'memory'",
        "a.toml": "extends = 'lacks.toml'\ninclude = ['parts/link.toml', 'asks_nothing.toml']\n"
        "[parameters]\nn = 1",
        "b.toml": f"extends = 'whole.toml'\n{EXPECT}",
        "only.toml": "extends = 'b.toml'",
        "broken.toml": "extends = 'nosuch.toml'",
    }.items():
        (here / name).write_text(text)
    files, notes = find_scenarios(["."])
    assert sorted(map(str, files)) == [
        *("a.toml", "alone.toml", "b.toml", "broken.toml", "only.toml", "whole.toml"),
    ]
    parts = "asks_nothing.toml, lacks.toml, parts/link.toml"
    assert notes == [f"only a part of others, so not run by itself: {parts}"]
    named = find_scenarios(["lacks.toml", "."]).files
    assert Path("lacks.toml") in named
    assert find_scenarios(["parts"]).files == [Path("parts/link.toml")]


def test_files_that_extend_each_other_are_not_left_out(here: Path) -> None:
    (here / "a.toml").write_text("extends = 'b.toml'")
    (here / "b.toml").write_text("extends = 'a.toml'")
    assert sorted(find_scenarios(["."]).files) == [Path("a.toml"), Path("b.toml")]


def test_a_parameter_goes_to_the_files_whose_base_has_it(here: Path) -> None:
    write_all(here)
    (here / "b.toml").write_text("[scenario]\nname = 'x'\n")
    assert run_command_line(["check", "a.toml", "b.toml", "--set", "value=2"]) == 0
    assert run_command_line(["check", "a.toml", "b.toml", "--set", "valeu=2"]) == 2


def test_a_run_is_killed_by_its_own_limit_also_where_that_has_a_parameter(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[matrix]\nn = [3, 4, 'x']\n[scenario]\nlimit = '${n}s'\n")

    def limits(limit_s: float | None = None, **given: str) -> list[float | None]:
        project = Project(tmp_path, limit_s=60.0)
        jobs, _ = find_jobs([str(path)], project, given, (), (), limit_s)
        return [job.limit_s for job in jobs]

    assert limits() == [3.0, 4.0, 60.0]
    assert limits(n="4") == [4.0]
    assert limits(9.0) == [9.0] * 3
