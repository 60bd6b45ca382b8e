"""The history of runs: many writers at a time, killed ones, files of others, and how large it may become."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.results.compare.made import leave, received, result, sent

from iotsim.results.trends import HistoryRun
from iotsim.run import history
from iotsim.run.history import HistoryError, add_run, read_history, remember
from iotsim.run.origin import Origin, inputs_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[2]


def run(number: int = 0, **fields: object) -> HistoryRun:
    given = {"scenario": "A", "path": "a.toml", "verdict": "passed", "ended": float(number)}
    return HistoryRun(**{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deeper" / "history.sqlite"


# ------------------------------------------------------------------------------ what is kept


def test_what_was_added_is_read_back(file: Path) -> None:
    runs = [
        run(
            number,
            parameters={"qos": "1", "a": "2"},
            reason='it\'s "odd" \N{SNOWMAN}',
            seed=str(1 << 70),
            commit="abc",
            changed=True,
            inputs="xyz",
            host="h",
            version="1",
            folder="/x",
            times="latency",
            p95_s=0.25,
            duration_s=1.5,
            expectations={"b": "failed", "a": "inconclusive"},
        )
        for number in range(3)
    ]
    for one in runs:
        assert add_run(file, one) == ""
    assert read_history(file) == runs
    assert read_history(file, since=1.0) == runs[1:]


def test_hostile_texts_are_kept_as_texts(file: Path) -> None:
    odd = run(scenario="x\ud800'); DROP TABLE runs; --\x1b[2J", expectations={"\ud800": "failed"})
    assert add_run(file, odd) == ""
    assert add_run(file, run(1, reason="x" * 100_000)) == ""
    first, second = read_history(file)
    assert first.scenario == "x\\ud800'); DROP TABLE runs; --\x1b[2J"
    assert len(second.reason) <= history.LONGEST_TEXT


@pytest.mark.parametrize("forged", ["[" * 10_000, '{"a":' + "[" * 10_000, "[]", "x", b"\xff"])
def test_parameters_that_are_none_are_an_error(file: Path, forged: str | bytes) -> None:
    add_run(file, run())
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE runs SET parameters = ?", (forged,))
    with pytest.raises(HistoryError):
        read_history(file)


def test_of_each_scenario_the_newest_are_kept_and_the_last_green_one(file: Path) -> None:
    for number in range(10):
        verdict = "passed" if number == 2 else "failed"
        assert add_run(file, run(number, verdict=verdict), keep=3) == ""
        assert add_run(file, run(number, path="b.toml", expectations={"a": "b"}), keep=100) == ""
    runs = read_history(file)
    assert [one.ended for one in runs if one.path == "a.toml"] == [2, 7, 8, 9]
    assert len([one for one in runs if one.path == "b.toml"]) == 10


def test_what_belongs_to_a_forgotten_run_goes_with_it(file: Path) -> None:
    for number in range(5):
        add_run(file, run(number, verdict="failed", expectations={"a": "failed"}), keep=2)
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM expectations").fetchone() == (2,)
    database.close()


def test_the_same_scenario_with_other_parameters_is_another(file: Path) -> None:
    for number in range(4):
        for qos in "01":
            add_run(file, run(number, verdict="failed", parameters={"qos": qos}), keep=2)
    assert len(read_history(file)) == 4


# ------------------------------------------------------------------------------ files


def test_there_is_none_yet(file: Path) -> None:
    with pytest.raises(HistoryError, match="there is no history yet"):
        read_history(file)
    assert not file.exists()
    assert not file.parent.exists()


def make_text(path: Path) -> None:
    path.write_text(
        "this is no database, and long enough to have a header of one hundred bytes" * 9
    )


def make_foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TABLE runs (id INTEGER)")
    database.close()


def make_newer(path: Path) -> None:
    add_run(path, run())
    database = sqlite3.connect(path)
    with database:
        database.execute(f"PRAGMA user_version = {len(history.MIGRATIONS) + 1}")
    database.close()


def make_damaged(path: Path) -> None:
    for number in range(200):
        add_run(path, run(number, reason="x" * 900))
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(0xA5 for _ in data[4096:])
    path.write_bytes(data)
    for more in ("-wal", "-shm"):
        path.with_name(path.name + more).unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_text, "is damaged, or no SQLite file"),
        (make_foreign, "is an SQLite file of something else"),
        (make_newer, "was made by a newer iotsim"),
        (make_damaged, "is damaged, or no SQLite file"),
        (make_folder, "is not a file"),
        (make_pipe, "is not a file"),
    ],
)
def test_a_file_that_is_none_of_ours_is_told_and_left_alone(
    file: Path, make: Callable[[Path], None], said: str
) -> None:
    file.parent.mkdir()
    make(file)
    before = file.read_bytes() if file.is_file() else b""
    told = add_run(file, run())
    assert told.startswith("this run is not in the history: ")
    assert said in told
    assert "\n" not in told
    with pytest.raises(HistoryError):
        read_history(file)
    assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    told = add_run(tmp_path / "a" / "b" / "history.sqlite", run())
    assert told.startswith("this run is not in the history: ")


def test_an_empty_file_becomes_a_history(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    assert add_run(file, run()) == ""
    assert len(read_history(file)) == 1


def test_an_older_file_is_brought_to_the_newest_version(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert add_run(file, run()) == ""
    more = "ALTER TABLE runs ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';\nCREATE TABLE b (a);"
    monkeypatch.setattr(history, "MIGRATIONS", (*history.MIGRATIONS, more))
    assert add_run(file, run(1)) == ""
    assert len(read_history(file)) == 2
    database = sqlite3.connect(file)
    assert database.execute("SELECT mood FROM runs").fetchall() == [("calm",)] * 2
    assert database.execute("PRAGMA user_version").fetchone() == (len(history.MIGRATIONS),)
    database.close()


def test_a_step_to_a_newer_version_that_fails_leaves_the_file_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert add_run(file, run()) == ""
    with monkeypatch.context() as patch:
        broken = (*history.MIGRATIONS, "CREATE TABLE b (a);\nCREATE TABLE runs (a);")
        patch.setattr(history, "MIGRATIONS", broken)
        assert "this run is not in the history" in add_run(file, run(1))
    assert read_history(file) == [run()]


# ------------------------------------------------------------------------------ several processes

WRITER = """
import sys
from pathlib import Path
from iotsim.results.trends import HistoryRun
from iotsim.run.history import add_run

name, count = sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    one = HistoryRun(scenario=name, path=name, ended=float(number), verdict="failed",
                     expectations={f"e{n}": "failed" for n in range(20)})
    trouble = add_run(Path(sys.argv[1]), one)
    if trouble:
        sys.exit(trouble)
    print(number, flush=True)
"""


def start_writer(file: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(file), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_many_writers_at_a_time_lose_nothing(file: Path) -> None:
    writers = [start_writer(file, f"{number}.toml", 15) for number in range(6)]
    for one in writers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in writers:  # all at once, the making of the file included
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in writers:
        one.communicate(timeout=120)
        assert one.returncode == 0
    runs = read_history(file)
    assert len(runs) == 6 * 15
    assert all(len(one.expectations) == 20 for one in runs)


def test_a_file_that_somebody_is_making_is_one_of_ours(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks at an empty file, another process makes it a history."""
    file.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")  # where nobody waits for who only looks
    connect, others = history._connect, iter([run(1)])

    def connect_watched(file: Path, mode: str) -> sqlite3.Connection:
        def look(statement: str) -> None:
            if statement == "PRAGMA user_version" and (other := next(others, None)):
                monkeypatch.setattr(history, "_connect", connect)
                assert add_run(file, other) == ""

        database = connect(file, mode)
        database.set_trace_callback(look)
        return database

    monkeypatch.setattr(history, "_connect", connect_watched)
    assert add_run(file, run(2)) == ""
    assert read_history(file) == [run(1), run(2)]


def test_a_writer_that_is_killed_leaves_whole_runs_alone(file: Path) -> None:
    for kill_after in (1, 4, 9):
        writer = start_writer(file, f"{kill_after}.toml", 100_000)
        assert writer.stdout is not None
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
        said = 0
        for line in writer.stdout:
            said += line != "ready\n"
            if said == kill_after:
                break
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=60)
        runs = [one for one in read_history(file) if one.path == f"{kill_after}.toml"]
        # What was reported as added is there; one more may be.
        assert len(runs) >= kill_after
        assert all(len(one.expectations) == 20 for one in runs)
        assert add_run(file, run()) == ""
    database = sqlite3.connect(file)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_who_cannot_wait_any_longer_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert add_run(file, run()) == ""
    monkeypatch.setattr(history, "PATIENCE_S", 0.05)
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert "database is locked" in add_run(file, run())
    assert time.monotonic() - began < 10
    assert len(read_history(file)) == 1  # a reader need not wait
    database.execute("ROLLBACK")
    database.close()


# ------------------------------------------------------------------------------ a run


def test_what_is_remembered_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events = [sent(1.0), received(1.5), received(2.0, number=3), sent(2.125, to=3)]
    fields = {"verdict": "failed", "expectations": [("a", "passed"), ("b", "failed")]}
    folder = leave(tmp_path / "out", events, **fields)
    file = tmp_path / "history.sqlite"
    assert remember(file, result(**fields), folder, root=tmp_path) == ""
    (one,) = read_history(file)
    assert (one.path, one.verdict, one.seed) == ("meters.toml", "failed", "7")
    assert one.expectations == {"b": "failed"}
    assert (one.times, one.p95_s) == ("latency", pytest.approx(0.5, rel=0.01))
    assert (one.commit, one.inputs) == ("", "")


def test_a_run_whose_files_are_gone_is_no_error(tmp_path: Path) -> None:
    told = remember(tmp_path / "h", result(), tmp_path / "nothing", root=tmp_path)
    assert told.startswith("this run is not in the history: no results in")


def git(folder: Path, *words: str) -> None:
    settings = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=m"]
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.needs("git")
def test_the_commit_and_what_was_changed_since(tmp_path: Path) -> None:
    assert origin_of(tmp_path) == Origin()
    git(tmp_path, "init")
    origin_of.cache_clear()
    assert origin_of(tmp_path) == Origin()  # there is no commit yet
    (tmp_path / "a.toml").write_text("a = 1\n")
    git(tmp_path, "add", "a.toml")
    git(tmp_path, "commit", "-m", "one")
    origin_of.cache_clear()
    clean = origin_of(tmp_path)
    assert len(clean.commit) == 40
    assert clean.changes == ""
    (tmp_path / "results.json").write_text("untracked")
    origin_of.cache_clear()
    assert origin_of(tmp_path) == clean
    (tmp_path / "a.toml").write_text("a = 2\n")
    origin_of.cache_clear()
    changed = origin_of(tmp_path)
    assert changed.commit == clean.commit
    assert changed.changes
    origin_of.cache_clear()


def test_inputs_are_the_same_only_where_all_that_decides_is(tmp_path: Path) -> None:
    scenario = tmp_path / "a.toml"
    scenario.write_text("a = 1")
    origin = Origin("abc")

    def inputs(origin: Origin = origin, **fields: object) -> str:
        return inputs_of(result(path=str(scenario), **fields), origin)

    one = inputs()
    assert inputs(seed=8, verdict="failed", started="x") == one
    lines = [f"iotsim run {scenario} --link tun --seed {seed} -- ./gw --seed 3" for seed in (7, 8)]
    assert inputs(repeat=lines[0]) == inputs(repeat=lines[1]) != one
    assert inputs(repeat="'") != one
    others = {
        inputs(Origin("abd")),
        inputs(Origin("abc", "changes")),
        inputs(parameters={"a": "1"}),
        inputs(tolerance=2.0),
        inputs(versions={"iotsim": "2"}),
    }
    scenario.write_text("a = 2")
    others.add(inputs())
    assert len(others | {one}) == 7
    assert inputs(Origin()) == ""


def test_a_command_that_names_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    told = result(path=str(tmp_path / "pipe"))
    assert inputs_of(told, Origin("abc"))
    assert inputs_of(result(path="/dev/zero"), Origin("abc"))
    assert inputs_of(result(path="a\0b"), Origin("abc"))
