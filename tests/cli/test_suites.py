"""``iotsim run`` of many scenarios: the project, what is chosen, and that none depends on another."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.results.suite import decode_suite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine, Done

    from iotsim.results.suite import SuiteResult

SCENARIO = """
[scenario]
name = "{name}"
duration = "3s"
until = "duration"
tags = {tags}
[link]
kind = "memory"
[gateway]
address = "10.77.0.1"
port = 9000
[devices.meter]
count = 3
address = "10.77.1.1"
protocol = "{protocol}"
[[devices.meter.rules]]
every = "400ms..900ms"
send = {{ kind = "REPORT", device = 1, seq = 1, value = 2 }}
[[expect]]
name = "the meters report"
all = "meter"
sends = {{ kind = "REPORT" }}
count = {{ min = 1, max = {most} }}
"""
PROTOCOL = """
import sys
assert "seen_by_others" not in sys.modules, "a neighbor was here"
sys.modules["seen_by_others"] = sys
from construct import Default, Enum, Float32b, Int8ub, Struct
from iotsim import Protocol
PROTOCOL = Protocol(
    name="mine",
    port=5600,
    message=Struct("kind" / Enum(Int8ub, REPORT=1), "mark" / Default(Int8ub, {mark}),
                   "device" / Int8ub, "seq" / Int8ub, "value" / Float32b),
)
"""


def write(
    folder: Path,
    name: str,
    *,
    tags: tuple[str, ...] = (),
    passes: bool = True,
    protocol: str = "sensornet",
    more: str = "",
) -> Path:
    path = folder / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    most = 100 if passes else 1
    text = SCENARIO.format(name=name, tags=json.dumps(tags), most=most, protocol=protocol)
    path.write_text(text.replace("[link]", f"{more}\n[link]", 1))
    return path


def suite_in(folder: Path) -> SuiteResult:
    return decode_suite((folder / "result.json").read_bytes())


def verdicts(folder: Path) -> dict[str, str]:
    return {run.name: run.verdict for run in suite_in(folder).runs}


def sole(folder: Path) -> Path:
    (only,) = folder.iterdir()
    return only


@pytest.fixture
def project(iotsim: CommandLine) -> Path:
    """A project with four scenarios, of which one fails."""
    top = iotsim.folder
    (top / "iotsim.toml").write_text('scenarios = "checks"\nresults = "left"\n[run]\njobs = 3\n')
    write(top / "checks", "polls", tags=("smoke",))
    write(top / "checks", "radio/loss", tags=("radio", "slow"), passes=False)
    write(top / "checks", "radio/burst", tags=("radio",))
    write(top / "checks", "alarm")
    (top / "gateway" / "src").mkdir(parents=True)
    return top


def listed(done: Done) -> list[str]:
    return [line.split()[0] for line in done.text.splitlines()]


def test_without_words_the_scenarios_of_the_project_are_run_from_wherever(
    iotsim: CommandLine, project: Path
) -> None:
    iotsim.folder = project / "gateway" / "src"
    done = iotsim("run", "-q")
    assert done.status == 1, done.text
    assert sorted(path.name for path in (project / "left").iterdir()) == ["runs.json", "suite"]
    folder = sole(project / "left" / "suite")
    assert verdicts(folder) == {
        "checks/alarm.toml": "passed",
        "checks/polls.toml": "passed",
        "checks/radio/burst.toml": "passed",
        "checks/radio/loss.toml": "failed",
    }
    assert suite_in(folder).jobs == 3
    assert done.text.splitlines()[-1] == "4 of 4 scenarios: 3 passed, 1 failed"
    again = "iotsim run ../../checks/radio/loss.toml --seed"
    assert any(line.strip().startswith(again) for line in done.text.splitlines())
    iotsim.folder = project / "gateway"
    check = iotsim("check")
    assert check.status == 0, check.text
    assert "../checks/polls.toml: ok, 3 devices, 1 expectation" in check.text


def test_what_is_wrong_with_the_project_is_told_with_its_line(iotsim: CommandLine) -> None:
    iotsim.write("iotsim.toml", "[run]\njobs = 2\nlimits = '3s'\n")
    done = iotsim("run", "-q")
    assert done.status == 2
    assert "iotsim.toml:3:1: run.limits: unknown key (did you mean 'limit'?)" in done.text
    iotsim.write("iotsim.toml", "scenarios = 'nowhere'\n")
    done = iotsim("run", "-q")
    assert done.status == 2
    assert "nowhere: there are no scenarios" in done.text


def test_tags_names_and_shares_choose_and_a_list_runs_nothing(
    iotsim: CommandLine, project: Path
) -> None:
    for words, chosen in (
        ((), "checks/alarm checks/polls checks/radio/burst checks/radio/loss"),
        (("--tag", "radio"), "checks/radio/burst checks/radio/loss"),
        (("--tag", "not slow", "--tag", "not smoke"), "checks/alarm checks/radio/burst"),
        (("-k", "RADIO and not loss"), "checks/radio/burst"),
        (("--shard", "1/2"), "checks/alarm checks/radio/burst"),
        (("--shard", "2/2"), "checks/polls checks/radio/loss"),
    ):
        done = iotsim("run", "--list", *words)
        assert done.status == 0, done.text
        assert listed(done) == [f"{name}.toml" for name in chosen.split()], words
    assert not (project / "left").exists()
    wrong = iotsim("run", "--tag", "smoek")
    assert wrong.status == 2
    assert "no scenario has the tag 'smoek' (did you mean 'smoke'?)" in wrong.text
    none = iotsim("run", "-k", "nothing")
    assert none.status == 5
    assert "none of 4 is chosen" in none.text


def test_a_tag_may_be_that_of_one_run_of_a_matrix(iotsim: CommandLine, project: Path) -> None:
    matrix = '[matrix]\nsize = ["small", "large"]\n'
    write(project / "checks", "grows", tags=("size-${size}",), more=matrix)
    for words, chosen in (
        (("--tag", "size-large"), "checks/grows.toml [size=large]  size-large"),
        (("--tag", "size-small"), "checks/grows.toml [size=small]  size-small"),
    ):
        done = iotsim("run", "--list", *words)
        assert done.text.splitlines() == [chosen]
    unknown = iotsim("run", "--list", "--tag", "size-huge")
    assert "no scenario has the tag 'size-huge'" in unknown.text


def test_what_failed_last_time_is_done_again_until_it_is_mended(
    iotsim: CommandLine, project: Path
) -> None:
    unknown = iotsim("run", "--failed")
    assert unknown.status == 2
    assert "does not say how runs have ended" in unknown.text
    assert iotsim("run", "-q").status == 1
    again = iotsim("run", "--failed", "--list")
    assert listed(again) == ["checks/radio/loss.toml"]
    # Mended, and done as a single run, which counts as well.
    write(project / "checks", "radio/loss", tags=("radio", "slow"))
    assert iotsim("run", "--failed", "-q").status == 0
    none = iotsim("run", "--failed", "-q")
    assert none.status == 5
    assert "none of 4 has failed last time" in none.text


def test_a_single_run_that_is_killed_has_not_passed(iotsim: CommandLine, project: Path) -> None:
    assert iotsim("run", "-q").status == 1
    endless = write(project / "checks", "alarm")
    text = endless.read_text().replace('"3s"', '"80000h"')
    endless.write_text(text.replace("max = 100", "max = 1000000000"))
    process = iotsim.start("run", "checks/alarm.toml", "-q")
    left = project / "left" / "alarm"
    iotsim.wait_for(lambda: list(left.rglob("events.jsonl")), "its events", process)
    process.kill()
    process.wait(30)
    again = iotsim("run", "--failed", "--list")
    assert listed(again) == ["checks/alarm.toml", "checks/radio/loss.toml"]


def test_it_is_done_again_until_it_fails(iotsim: CommandLine, project: Path) -> None:
    done = iotsim("run", "-k", "radio", "--repeat", "3", "--out", project / "out", "-q")
    assert done.status == 1, done.text
    runs = suite_in(project / "out").runs
    assert [(run.folder, run.verdict) for run in runs] == [
        *((f"burst/{number}", "passed") for number in (1, 2, 3)),
        *((f"loss/{number}", "failed") for number in (1, 2, 3)),
    ]
    # Without a seed, each time is another one.
    assert len({run.seed for run in runs}) == 6
    done = iotsim("run", "-k", "radio", "--until-fail", "--jobs", "1", "--out", project / "x", "-q")
    assert done.status == 1
    assert "2 of 2 runs: 1 passed, 1 failed" in done.text


def test_it_ends_with_the_first_that_fails(iotsim: CommandLine, project: Path) -> None:
    write(project / "checks", "a-first", passes=False)
    done = iotsim("run", "--fail-fast", "--jobs", "1", "--out", project / "out", "-q")
    assert done.status == 1
    assert "1 of 5 scenarios: 1 failed" in done.text
    counts = suite_in(project / "out").counts
    assert counts == {"failed": 1, "waiting": 4}


def test_a_limit_ends_one_and_the_rest_goes_on(iotsim: CommandLine, project: Path) -> None:
    endless = write(project / "checks", "endless", more='limit = "4s"')
    endless.write_text(
        endless.read_text().replace('"3s"', '"80000h"').replace("max = 100", "max = 1000000000")
    )
    done = iotsim("run", "--out", project / "out", "-q")
    assert done.status == 2
    found = verdicts(project / "out")
    assert found["checks/endless.toml"] == "error"
    assert list(found.values()).count("passed") == 3
    (run,) = (run for run in suite_in(project / "out").runs if run.verdict == "error")
    assert run.reason.startswith("ended at its limit of 4 s: it was waiting for 1 of 1 expectation")


def files_of(folder: Path) -> dict[str, bytes]:
    """What a run in virtual time leaves, which is the same each time."""
    return {name: (folder / name).read_bytes() for name in ("events.jsonl", "capture.pcapng")}


def test_a_run_in_a_suite_is_the_run_alone_to_the_byte_in_whatever_order(
    iotsim: CommandLine,
) -> None:
    top = iotsim.folder
    paths = [write(top / "all", f"s{number}") for number in range(5)]
    alone: dict[str, Any] = {}
    for path in paths:
        out = top / f"alone-{path.stem}"
        name = str(path.relative_to(top))
        assert iotsim("run", name, "--seed", "7", "-q", "--out", out).status == 0
        alone[path.stem] = files_of(out)
    for seed in range(3):
        shuffled = [str(path.relative_to(top)) for path in paths]
        random.Random(seed).shuffle(shuffled)
        out = top / f"suite-{seed}"
        words = ["--seed", "7", "-q", "--jobs", str(1 + seed), "--out", out]
        done = iotsim("run", *shuffled, *words)
        assert done.status == 0, done.text
        assert {path.stem: files_of(out / path.stem) for path in paths} == alone


def test_protocols_of_the_same_name_do_not_meet(iotsim: CommandLine) -> None:
    """Each is executed in the process of its run alone, where nobody has imported anything before."""
    for number, folder in enumerate(("one", "two", "three")):
        write(iotsim.folder / folder, folder, protocol="mine")
        (iotsim.folder / folder / "mine.py").write_text(PROTOCOL.replace("{mark}", str(number)))
    done = iotsim.run("one", "two", "three", "--seed", "7", "-q")
    assert done.status == 0, done.text
    for number, folder in enumerate(("one", "two", "three")):
        lines = (iotsim.out / f"{folder}-{folder}" / "events.jsonl").read_text().splitlines()
        sent = [event for event in map(json.loads, lines) if event["event"] == "sent"]
        assert sent
        assert {event["message"]["mark"] for event in sent} == {number}


def test_a_suite_leaves_one_summary_one_junit_and_one_index(
    iotsim: CommandLine, project: Path
) -> None:
    done = iotsim("run", "--out", project / "out", "-q")
    assert done.status == 1
    names = {path.name for path in (project / "out").iterdir()}
    assert {"index.html", "junit.xml", "result.json", "runs.json"} <= names
    page = (project / "out" / "index.html").read_text()
    assert "<title>failed: 4 runs</title>" in page
    assert page.index("radio/loss") < page.index("checks/alarm.toml")  # what needs a look is first


def test_shares_that_divide_the_same_suite_alike_have_the_same_mark(
    iotsim: CommandLine, project: Path
) -> None:
    plans, names = set(), []
    for number in (1, 2):
        out = project / f"out{number}"
        assert iotsim("run", "--shard", f"{number}/2", "--out", out, "-q").status in (0, 1)
        suite = suite_in(out)
        plans.add(suite.plan)
        names += [run.name for run in suite.runs]
        assert suite.shard == f"{number}/2"
    assert len(plans) == 1
    assert len(names) == len(set(names)) == 4


def test_a_file_whose_name_is_no_text_is_a_run_as_any_other(iotsim: CommandLine) -> None:
    write(iotsim.folder / "all", "usual")
    odd = os.fsdecode(os.fsencode(iotsim.folder / "all") + b"/\xff\n\x1b[1m.toml")
    (iotsim.folder / "all" / "usual.toml").rename(odd)
    write(iotsim.folder / "all", "usual")
    done = iotsim.run("all", "--jobs", "2", "-q")
    assert done.status == 0, done.text
    assert suite_in(iotsim.out).counts == {"passed": 2}
    assert "\x1b" not in done.text + (iotsim.out / "index.html").read_text()
    assert iotsim("run", "all", "--failed", "--out", iotsim.out).status == 5
