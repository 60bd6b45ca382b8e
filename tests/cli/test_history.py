"""``iotsim history`` and ``iotsim run --baseline`` as users call them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_run import FAILS, PASSES

from iotsim.cli.app import run_command_line
from iotsim.cli.history import parse_since
from iotsim.errors import ScenarioError
from iotsim.results.trends import HistoryRun
from iotsim.run.history import add_run, read_history
from iotsim.run.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CommandLine

    Command = Callable[..., tuple[int, str, str]]

HOSTILE = "x\x1b[2J\x9b1m\r\u202eevil\u2028"
FILE = Path(".iotsim/history.sqlite")


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Calls iotsim in a project of its own: the exit code, and what is printed."""
    monkeypatch.chdir(tmp_path)
    # For good, and for the whole process, which other tests need whole.
    monkeypatch.setattr("iotsim.run.run.drop_privileges", lambda *_: True)
    Path("a.toml").write_text(PASSES)
    Path("b.toml").write_text(FAILS)

    def call(*words: str) -> tuple[int, str, str]:
        code = run_command_line(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def project(command: Command) -> Path:
    """The ``iotsim.toml`` of a project that keeps a history."""
    file = Path("iotsim.toml").absolute()
    file.write_text(f'[history]\nfile = "{FILE}"\nkeep = 3\n')
    return file


# ------------------------------------------------------------------------------ history


def test_who_does_not_ask_has_none(command: Command) -> None:
    assert command("run", "a.toml", "-q")[0] == 0
    Path("iotsim.toml").write_text("")
    assert command("run", "a.toml", "-q")[0] == 0
    assert sorted(p.name for p in Path().iterdir()) == [
        "a.toml",
        "b.toml",
        "iotsim.toml",
        "results",
    ]
    code, _, err = command("history")
    assert code == 2
    assert "[history]" in err


@pytest.mark.usefixtures("project")
def test_each_run_is_added_wherever_it_is_called(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("run", "a.toml", "-q", "--seed", "1")[0] == 0
    Path("deeper").mkdir()
    monkeypatch.chdir("deeper")
    assert command("run", "../a.toml", "-q", "--seed", "2")[0] == 0
    assert command("run", "../b.toml", "-q", "--seed", "3")[0] == 1
    code, out, _ = command("history", "--json")
    data = json.loads(out)
    assert (code, data["format"]) == (0, 1)
    told = {one["path"]: one for one in data["scenarios"]}
    assert [run["seed"] for run in told["a.toml"]["trend"]] == ["1", "2"]
    assert told["a.toml"]["last_green"]["seed"] == "2"
    assert told["b.toml"]["verdicts"] == {"failed": 1}
    assert told["b.toml"]["last_green"] is None
    assert told["b.toml"]["expectations"][0]["name"] == "the meter reports"
    # Virtual time has no date; a history does.
    assert abs(told["a.toml"]["trend"][0]["ended"] - time.time()) < 3600


@pytest.mark.usefixtures("project")
def test_it_keeps_as_many_as_the_project_says(command: Command) -> None:
    for seed in range(5):
        command("run", "a.toml", "-q", "--seed", str(seed))
    _, out, _ = command("history")
    assert "runs        3: 3 passed" in out


@pytest.mark.usefixtures("project")
def test_a_run_that_could_not_begin_is_one_too(command: Command) -> None:
    Path("a.toml").write_text(PASSES + "[devices.meter]\n")
    assert command("run", "a.toml", "-q")[0] == 2
    assert [run.verdict for run in read_history(FILE)] == ["error"]


@pytest.mark.usefixtures("project")
def test_a_damaged_history_is_a_line_and_no_verdict(command: Command) -> None:
    FILE.parent.mkdir()
    FILE.write_bytes(os.urandom(10_000))
    code, out, err = command("run", "a.toml", "-q")
    assert (code, out.startswith("passed")) == (0, True)
    assert "this run is not in the history" in err
    assert len(err.splitlines()) == 1
    assert command("history")[0] == 2


def test_a_project_file_that_is_wrong_changes_no_verdict_and_is_told(
    command: Command, project: Path
) -> None:
    project.write_text("[history]\nfile = 7\n")
    _, _, err = command("run", "a.toml", "-q")
    assert "iotsim.toml:2" in err


def test_a_suite_with_several_jobs_adds_all(iotsim: CommandLine) -> None:
    iotsim.write("iotsim.toml", f'[history]\nfile = "{FILE}"\n')
    names = [f"s{number}.toml" for number in range(6)]
    for number, name in enumerate(names):
        iotsim.write(name, FAILS if number == 3 else PASSES)
    done = iotsim.start(*["run", *names, "--jobs", "4", "--quiet"]).communicate(timeout=120)
    assert "this run is not in the history" not in done[0]
    runs = read_history(iotsim.folder / FILE)
    assert sorted(run.path for run in runs) == names
    assert {run.path for run in runs if run.verdict == "failed"} == {"s3.toml"}


@pytest.mark.needs("git")
@pytest.mark.usefixtures("project")
def test_a_verdict_that_hangs_on_the_seed_is_a_flake_and_a_change_of_the_scenario_is_none(
    command: Command,
) -> None:
    Path("a.toml").write_text(PASSES.replace('"3s"', '"500ms"'))
    Path("iotsim.toml").write_text(f'[history]\nfile = "{FILE}"\n')
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init"], ["add", "."], ["commit", "-m", "one"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    origin_of.cache_clear()
    codes = []
    while len(set(codes)) < 2 and len(codes) < 30:  # half of the seeds pass
        codes.append(command("run", "a.toml", "-q", "--seed", str(len(codes)))[0])
    Path("a.toml").write_text(PASSES)
    command("run", "a.toml", "-q", "--seed", "1")
    (told,) = json.loads(command("history", "--json")[1])["scenarios"]
    assert set(codes) == {0, 1}
    assert (told["runs"], told["pairs"]) == (len(codes) + 1, len(codes) - 1)
    assert (told["flips"], told["flips_with_one_seed"]) == (1, 0)
    assert f"(1 flip of {len(codes) - 1}, 0 with the same seed)" in command("history")[1]


@pytest.mark.usefixtures("project")
def test_what_is_shown_can_be_chosen(command: Command) -> None:
    now = time.time()
    for number, age in enumerate((40 * 86400.0, 60.0)):
        add_run(FILE, HistoryRun(scenario=f"Meter {number}", path="m.toml", ended=now - age))
    add_run(FILE, HistoryRun(scenario="Lamp", path="lamp.toml", ended=now))

    def shown(*words: str) -> list[str]:
        lines = command("history", *words)[1].splitlines()
        return [line for line in lines if line and not line.startswith(" ")]

    assert shown() == ["Lamp", "Meter 1"]
    assert shown("--scenario", "lamp") == ["Lamp"]
    assert shown("--scenario", "Meter") == ["Meter 1"]
    assert "runs        2" in command("history", "-s", "m.toml")[1]
    assert "runs        1" in command("history", "-s", "m.toml", "--since", "7d")[1]
    assert command("history", "--scenario", "none")[:2] == (0, "no run is in the history of that\n")


def test_since() -> None:
    now = time.time()
    for text, ago in (("90m", 5400), ("12h", 43200), ("7d", 604800), ("2w", 1209600)):
        assert parse_since(text) == pytest.approx(now - ago, abs=60)
    assert parse_since("2026-01-31T12:00:00+00:00") == 1769860800
    assert parse_since("2026-01-31") < parse_since("2026-02-01")
    for wrong in ("7", "7y", "", "yesterday", "9999999d", "2026-13-01", "\x1b[2J"):
        with pytest.raises(ScenarioError, match="write 7d"):
            parse_since(wrong)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("mode", [[], ["--json"]])
def test_hostile_texts_give_no_orders(command: Command, mode: list[str]) -> None:
    texts = dict.fromkeys(
        ("scenario", "path", "reason", "seed", "commit", "inputs", "host", "version", "folder"),
        HOSTILE,
    )
    odd = HistoryRun(
        **texts,  # type: ignore[arg-type]
        verdict="passed",
        parameters={HOSTILE: HOSTILE},
        ended=1e300,
        times=HOSTILE,
        p95_s=1e300,
        expectations={HOSTILE: HOSTILE},
    )
    assert add_run(FILE, odd) == ""
    assert add_run(FILE, HistoryRun(scenario="a", verdict=HOSTILE, p95_s=0.0)) == ""
    code, out, err = command("history", *mode)
    assert code == 0
    assert all(c.isprintable() or c == "\n" for c in out + err), ascii(out)
    if mode:
        assert HOSTILE in [one["scenario"] for one in json.loads(out)["scenarios"]]


@pytest.mark.usefixtures("project")
def test_rows_that_somebody_else_wrote_are_told(command: Command) -> None:
    add_run(FILE, HistoryRun(scenario="a"))
    with sqlite3.connect(FILE) as database:
        database.execute("UPDATE runs SET parameters = '[1'")
    database.close()
    code, _, err = command("history")
    assert code == 2
    assert "Traceback" not in err


# ------------------------------------------------------------------------------ baseline


def test_a_run_is_compared_with_its_baseline(command: Command) -> None:
    words = ["run", "a.toml", "-q", "--seed", "1", "--baseline", "base.json"]
    code, _, err = command(*words)
    assert code == 2
    assert "--update-baseline makes it" in err
    assert command(*words, "--update-baseline")[0] == 0
    assert command(*words) == (0, "passed a (seed 1)\n", "")  # quiet, since nothing is worse
    Path("a.toml").write_text(PASSES.replace("the meter reports", "it has another name"))
    code, out, _ = command(*words)
    assert code == 1
    assert "the meter reports: passed -> not there" in out


def test_the_same_run_leaves_the_same_baseline(command: Command) -> None:
    words = ["run", "a.toml", "-q", "--seed", "1", "--baseline"]
    for name in ("one.json", "two.json"):
        assert command(*words, name, "--update-baseline")[0] == 0
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()


def test_a_failed_run_stays_failed_and_shows_what_is_new_about_it(command: Command) -> None:
    words = ["run", "a.toml", "-q", "--seed", "1", "--baseline", "base.json"]
    command(*words, "--update-baseline")
    Path("a.toml").write_text(FAILS)
    code, out, _ = command(*words)
    assert code == 1
    assert "the meter reports: passed -> failed" in out
    # That would be the norm if it came into the baseline.
    code, out, err = command(*words, "--update-baseline")
    assert (code, "base.json: 0 updated, 1 in all" in out) == (1, True)
    assert "a.toml is not put into base.json: it has not passed (failed)" in err
    code, out, _ = command(*words)
    assert (code, "the meter reports: passed -> failed" in out) == (1, True)


def test_a_suite_is_compared_scenario_by_scenario(iotsim: CommandLine) -> None:
    names = [f"s{number}.toml" for number in range(4)]
    for name in names:
        iotsim.write(name, PASSES)
    words = ["run", *names, "--seed", "1", "--jobs", "2", "--baseline", "base.json"]
    done = iotsim(*words, "--update-baseline")
    assert (done.status, done.text.splitlines()[-1]) == (0, "base.json: 4 updated, 4 in all")
    before = (iotsim.folder / "base.json").read_bytes()
    done = iotsim(*words)
    assert (done.status, done.text.splitlines()[-1]) == (0, "NOTHING WORSE")
    iotsim.write("s2.toml", PASSES.replace("the meter reports", "it has another name"))
    done = iotsim(*words, "--repeat", "2", "--quiet")
    assert (done.status, done.text.splitlines()[-1]) == (1, "WORSE  2 worse")
    assert "the meter reports: passed -> not there" in done.text
    assert (iotsim.folder / "base.json").read_bytes() == before


def test_what_is_not_in_the_baseline_is_named(command: Command) -> None:
    command("run", "a.toml", "-q", "--baseline", "base.json", "--update-baseline")
    Path("c.toml").write_text(PASSES)
    code, out, _ = command("run", "c.toml", "--baseline", "base.json")
    told = "c is not in base.json: --update-baseline puts it there"
    assert (code, told in out) == (0, True)
    assert command("run", "c.toml", "-q", "--baseline", "base.json")[2] == f"iotsim: {told}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threshold", "rate=5%"], "it needs --baseline FILE"),
        (["--update-baseline"], "it needs --baseline FILE"),
        (["--baseline", "a.toml"], "it is no baseline"),
        (["--baseline", "base.json", "--threshold", "rat=5%"], "did you mean rate?"),
        (["--baseline", "a.toml", "--update-baseline"], "it is no baseline"),
        (["--baseline", ".", "--update-baseline"], "it is no file"),
    ],
)
def test_a_mistake_is_told_before_anything_is_run(
    command: Command, words: list[str], said: str
) -> None:
    code, out, err = command("run", "a.toml", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert not Path("results").exists()
    assert Path("a.toml").read_text() == PASSES
