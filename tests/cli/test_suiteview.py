"""Several runs in one terminal: a live line each; in a log a line each, and failures whole in both."""

from __future__ import annotations

import io
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_render import failed_run
from tests.screen import Screen

from iotsim.cli.level import Level
from iotsim.cli.suiteview import SuiteView, print_summary
from iotsim.results.result import RunResult
from iotsim.run.suitejobs import Ended, Job, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSED = RunResult(scenario="good", path="good.toml", seed=1, verdict="passed", duration_s=1.25)


def show(level: Level, monkeypatch: pytest.MonkeyPatch) -> tuple[SuiteView, io.StringIO]:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return SuiteView(3, level=level), file


def test_a_log_has_a_line_for_each_run_and_failures_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    view, file = show(Level.NORMAL, monkeypatch)
    with view:
        view.begun(Turn(0), "good")
        view.begun(Turn(1), "meters [rate=2]")
        view.progress(Turn(0), "1.0 s · 12 packets in")
        assert file.getvalue() == ""  # nothing that would change again
        view.ended(Turn(0), PASSED, tmp_path, "what its process printed")
        view.ended(Turn(1), failed_run(), tmp_path, "what its process printed")
    text = file.getvalue()
    lines = text.splitlines()
    assert lines[:2] == ["passed       good  1.2 s", "failed       meters [rate=2]  5.0 s"]
    assert "           nearest    meter[3]: heard 1 message; nearest: kind was" in text
    assert "  repeat:  iotsim run polls.toml --seed 7" in lines
    assert "printed" not in text
    assert "\x1b" not in text
    assert "\r" not in text


def test_quiet_is_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    view, file = show(Level.QUIET, monkeypatch)
    with view:
        view.begun(Turn(1), "polls")
        view.ended(Turn(1), failed_run())
    assert file.getvalue() == "failed       polls  5.0 s\n"


def test_verbose_tells_what_begins_and_what_was_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    view, file = show(Level.VERBOSE, monkeypatch)
    with view:
        view.begun(Turn(0), "good\x1b[2J")
        view.ended(Turn(0), PASSED, None, "one\ntwo\x1b[2J\n")
    assert file.getvalue().splitlines() == [
        r"begun        good\x1b[2J",
        r"passed       good\x1b[2J  1.2 s",
        "    | one",
        r"    | two\x1b[2J",
        "",
    ]


def test_where_there_is_no_more_to_tell_it_tells_what_was_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view, file = show(Level.NORMAL, monkeypatch)
    broken = RunResult(
        scenario="b", path="b.toml", seed=1, verdict="error", reason="it has crashed"
    )
    with view:
        view.begun(Turn(0), "b")
        view.ended(Turn(0), broken, None, "Traceback\n  KeyError\n")
        view.say("and so on")
    text = file.getvalue()
    assert "it has crashed" in text
    assert "    | Traceback\n    |   KeyError\n" in text
    assert text.endswith("and so on\n")


def test_runs_that_begin_again_are_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    view, file = show(Level.NORMAL, monkeypatch)
    with view:
        for _ in range(3):
            view.begun(Turn(0), "good")
            view.ended(Turn(0), PASSED)
    assert file.getvalue().count("passed") == 3


def test_what_the_result_says_its_output_does_not_say_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view, file = show(Level.NORMAL, monkeypatch)
    reason = "b.toml:5: the gateway cannot be started: ../gw: No such file or directory"
    broken = RunResult(scenario="b", path="b.toml", seed=1, verdict="error", reason=reason)
    with view:
        view.begun(Turn(0), "b")
        view.ended(Turn(0), broken, None, f"iotsim: {reason}\n")
    assert " ".join(file.getvalue().split()).count(reason) == 1
    assert "|" not in file.getvalue()


def test_repetitions_at_the_same_time_end_by_their_own_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view, file = show(Level.NORMAL, monkeypatch)
    with view:
        for repetition in (1, 2, 3):
            view.begun(Turn(0, repetition), f"smoke.toml #{repetition}")
        for repetition in (2, 3, 1):
            view.ended(Turn(0, repetition), PASSED)
    names = [line.split("  ")[-2].strip() for line in file.getvalue().splitlines()]
    assert names == ["smoke.toml #2", "smoke.toml #3", "smoke.toml #1"]


def test_the_closing_lines_are_no_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    bad = failed_run()
    bad.reason = "nothing was heard of the meters, " * 10
    ended = [Ended(Turn(n), tmp_path, result, "", 1.0) for n, result in enumerate((bad, PASSED))]
    jobs = [Job(Path("scenarios/polls.toml")), Job(Path("good.toml"))]
    print_summary(jobs, ended, 3, 0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "failed        scenarios/polls.toml:",
        "              nothing was heard of the",
    ]
    assert [line for line in lines if len(line) > 40] == [f"{'':14}{bad.repeat}"]
    assert lines[-2:] == ["2 of 5 scenarios: 1 passed, 1 failed; 3", "not begun"]


def live_lines(columns: int, rows: int = 24, going: int = 3) -> list[str]:
    view = SuiteView(40)
    for number in range(9):
        view.begun(Turn(number), "x")
        view.ended(Turn(number), PASSED if number else failed_run())
    for number in range(going):
        view.begun(Turn(number), f"meters of the north [rate={number} loss=20%]")
        view._going[Turn(number)] = view._going[Turn(number)]._replace(since=0.0)
        view.progress(
            Turn(number),
            "1 failed, 1 held, 2 pending · gateway down · 1,234 packets in · 20 dropped",
        )
    return [line.plain for line in view.lines(columns, rows, 3.5)]


@pytest.fixture
def no_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    return


@pytest.mark.usefixtures("no_output")
def test_the_live_lines_at_80_columns() -> None:
    assert live_lines(80) == [
        "9 of 40 ended · 1 failed · 8 passed",
        "    3.5 s  meters of the north [rate=0 loss=20%]  1 failed, 1 held, 2 pending ·…",
        "    3.5 s  meters of the north [rate=1 loss=20%]  1 failed, 1 held, 2 pending ·…",
        "    3.5 s  meters of the north [rate=2 loss=20%]  1 failed, 1 held, 2 pending ·…",
    ]


@pytest.mark.usefixtures("no_output")
@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, 200])
def test_no_live_line_is_wider_than_the_terminal(columns: int) -> None:
    lines = live_lines(columns, 10, going=50)
    assert max(map(len, lines)) <= columns
    assert len(lines) < 10
    assert lines[-1] == "  and 43 more that go on" or columns == 20


SCRIPT = """
import sys, time, threading
from iotsim.cli.streams import open_streams
open_streams()
from iotsim.cli.terminal import safe_output
from iotsim.cli.suiteview import SuiteView, print_summary
from iotsim.results.result import RunResult
from iotsim.run.suitejobs import Ended, Job, Turn

def work(view, number):
    view.begun(Turn(number), f"scenario {number}")
    for step in range(20):
        view.progress(Turn(number), f"step {step} " + "x" * 200)
        time.sleep(0.05)
    verdict = "failed" if number == 2 else "passed"
    result = RunResult(
        scenario=f"scenario {number}", path="a.toml", seed=1, verdict=verdict, reason="because " * 20
    )
    view.ended(Turn(number), result)

with safe_output():
    with SuiteView(4) as view:
        threads = [threading.Thread(target=work, args=(view, n)) for n in range(4)]
        for one in threads: one.start()
        for one in threads: one.join()
    print("4 of 4")
"""


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_terminal_shows_a_live_line_for_each_and_leaves_what_became_of_them(columns: int) -> None:
    screen = Screen([sys.executable, "-c", SCRIPT], columns, 16)
    try:
        lines = screen.until(
            lambda text: all(re.search(rf"  scenario {n} .*step", text) for n in range(4))
        ).splitlines()
        assert lines[0] == "0 of 4 ended"
        assert len(lines) == 5
        assert all(len(line) <= columns for line in lines)
        assert screen.wait() == 0
        shown = screen.everything
    finally:
        screen.close()
    assert sorted(line for line in shown if line.startswith("passed")) == [
        f"passed       scenario {number}  0.0 s" for number in (0, 1, 3)
    ]
    assert "failed       scenario 2  0.0 s" in shown
    assert " ".join(" ".join(shown).split()).count("because") == 20
    assert shown[-1] == "4 of 4"
    assert not any("step" in line for line in shown)  # nothing is left of the live lines


def test_a_suite_in_a_dumb_terminal_is_a_log() -> None:
    screen = Screen([sys.executable, "-c", SCRIPT], 80, 24, environment={"TERM": "dumb"})
    try:
        assert screen.wait() == 0
    finally:
        screen.close()
    assert b"\x1b" not in screen.output
    assert b"step" not in screen.output


def test_many_threads_may_tell_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    view, file = show(Level.NORMAL, monkeypatch)

    def work(first: int) -> None:
        for number in range(first, first + 50):
            view.begun(Turn(number), f"s{number}")
            view.progress(Turn(number), "x")
            view.ended(Turn(number), PASSED)

    with view:
        threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(file.getvalue().splitlines()) == sorted(
        f"passed       s{100 * n + m}  1.2 s" for n in range(8) for m in range(50)
    )
