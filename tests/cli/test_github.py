"""``iotsim run`` in a job of GitHub Actions."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_run import FAILS, PASSES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine


@pytest.fixture
def job(iotsim: CommandLine) -> CommandLine:
    """A command line in a job, whose repository is its folder."""
    iotsim.environment |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(iotsim.folder),
        "GITHUB_STEP_SUMMARY": str(iotsim.folder / "summary.md"),
    }
    return iotsim


def orders(text: str) -> list[str]:
    """The commands that the runner would carry out: none between a token's two lines."""
    found, token = [], ""
    for line in text.splitlines():
        if token:
            if line == f"::{token}::":
                token = ""
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
            assert re.fullmatch("[0-9a-f]{32}", token)
        elif line.lstrip().startswith("::") or "##[" in line:
            found.append(line)
    assert not token, "commands are stopped for good"
    return found


def test_a_failure_is_annotated_and_summed_up(job: CommandLine, tmp_path: Path) -> None:
    job.write("scenarios/fails.toml", FAILS)
    done = job("run", "scenarios/fails.toml", "--seed", "7", "--out", "out")
    assert done.status == 1
    (order,) = orders(done.text)
    assert order.startswith(
        "::error file=scenarios/fails.toml,line=17,title=fails%3A the meter reports::expected: "
    )
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## ❌ iotsim: failed\n")
    assert "<p>Results: <code>out</code></p>" in summary
    assert "iotsim run scenarios/fails.toml --seed 7" in summary


def test_what_passes_is_summed_up_behind_what_is_there(job: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("before")
    assert orders(job.run(job.write("passes.toml", PASSES)).text) == []
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n## ✅ iotsim: passed\n")


def test_a_mistake_in_a_scenario_is_annotated_at_its_line(job: CommandLine) -> None:
    done = job.run(job.write("wrong.toml", PASSES.replace("within", "wihtin")))
    assert done.status == 2
    (order,) = orders(done.text)
    assert order.startswith("::error file=wrong.toml,line=21,title=wrong%3A error::")


def test_errors_come_the_same_way_so_that_none_arrives_behind_the_token(job: CommandLine) -> None:
    scenario = job.write("wrong.toml", PASSES.replace("within", "wihtin"))
    process = job.start("run", scenario, stderr=subprocess.PIPE)
    text, errors = process.communicate(timeout=60)
    assert errors == ""
    assert "iotsim: " in text.rpartition("::stop-commands::")[2]


def test_a_scenario_gives_no_orders(job: CommandLine) -> None:
    hostile = r'name = "\n::error::pwned\n::stop-commands::x"'
    done = job.run(job.write("hostile.toml", FAILS.replace('name = "the meter reports"', hostile)))
    (order,) = orders(done.text)
    assert order.startswith("::error file=hostile.toml,line=17,")


def test_no_command_that_shows_runs_or_scenarios_gives_orders(job: CommandLine) -> None:
    hostile = r'name = "\n::error::pwned ##[error]pwned\n  ::warning::x"'
    scenario = job.write("hostile.toml", FAILS.replace('name = "the meter reports"', hostile))
    job.run(scenario)
    wrong = job.write("wrong.toml", PASSES.replace("within", '"##[error]pwned"'))
    for told in (
        job("show", "out"),
        job("compare", "out", "out"),
        job("history"),
        job("explain", scenario, "meter[0]", "00"),
        job("decode", "00 ##[error]pwned", "--protocol", "##[error]pwned"),
        job("check", scenario, wrong),
    ):
        assert told.text.startswith("::stop-commands::"), told.text
        assert orders(told.text) == []


def test_what_programs_read_has_no_orders_and_nothing_besides(job: CommandLine) -> None:
    hostile = 'name = "##[error]pwned"'
    scenario = job.write("hostile.toml", FAILS.replace('name = "the meter reports"', hostile))
    job.run(scenario)
    text = job("show", "out", "--json", stderr=subprocess.DEVNULL).text
    assert "##[" not in text
    assert "::stop-commands::" not in text
    assert "##[error]pwned" in json.dumps([json.loads(line) for line in text.splitlines()])


def test_a_file_gets_nothing_besides(job: CommandLine) -> None:
    job.run(job.write("passes.toml", PASSES))
    with (job.folder / "shown.txt").open("w") as file:
        assert job.start("show", "out", stdout=file).wait(60) == 0
    shown = (job.folder / "shown.txt").read_text()
    assert shown
    assert "::stop-commands::" not in shown


def test_nothing_of_that_elsewhere(iotsim: CommandLine, job: CommandLine, tmp_path: Path) -> None:
    scenario = job.write("fails.toml", FAILS)
    assert "::" not in job("run", scenario, "--list").text
    job.environment["IOTSIM_SUITE"] = "1 2"
    assert "::" not in job("protocols", "list").text
    del job.environment["GITHUB_ACTIONS"], job.environment["IOTSIM_SUITE"]
    assert "::" not in job.run(scenario).text
    assert not (tmp_path / "summary.md").exists()


def test_a_summary_that_cannot_be_written_decides_nothing(job: CommandLine) -> None:
    path = str(job.folder / "none" / "summary.md")
    job.environment["GITHUB_STEP_SUMMARY"] = path
    done = job.run(job.write("passes.toml", PASSES))
    assert done.status == 0
    (told,) = (line for line in done.text.splitlines() if "no summary" in line)
    why = "cannot be written: No such file or directory"
    assert told == f"iotsim: there is no summary of this step: {path} {why}"


def test_a_suite_tells_of_all_its_runs_once(job: CommandLine, tmp_path: Path) -> None:
    job.write("a.toml", PASSES)
    job.write("b.toml", FAILS)
    job.write("c.toml", PASSES.replace("within", "wihtin"))
    done = job("run", "a.toml", "b.toml", "c.toml", "--jobs", "2", "--out", "out")
    assert done.status == 2
    told = sorted(orders(done.text))
    assert len(told) == 2
    assert told[0].startswith("::error file=b.toml,line=17,title=b%3A the meter reports::")
    assert told[1].startswith("::error file=c.toml,line=21,title=c%3A error::")
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## ❌ iotsim: 1 passed, 1 failed, 1 error\n")
    assert summary.count("<h3>") == 2
    assert done.text.count("::stop-commands::") == 1
