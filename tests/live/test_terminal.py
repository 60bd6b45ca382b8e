"""What people see of real runs, in real terminals of several sizes."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import CommandLine

pytestmark = pytest.mark.needs("tun")

REPOSITORY = Path(__file__).resolve().parents[2]
WIDTHS = (60, 80, 120, 200)
GATEWAY = ("python3", "examples/polling_gateway.py")
FORGETFUL = (*GATEWAY, "--devices", "10.77.1.1-10.77.1.13", "--rounds", "1")
PATIENT = (*GATEWAY, "--devices", "10.77.1.1-10.77.1.14", "--rounds", "8", "--interval", "0.5")
COPIED = ("results: ", "repeat:  ")
"""Of what begins so nothing is broken, to be copied whole."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def terminal(iotsim: CommandLine) -> Iterator[Callable[..., Screen]]:
    """``terminal(*words, columns=80, rows=24, command=(), **environment)``: ``iotsim run`` in one."""
    opened: list[Screen] = []

    def run(
        *words: str | Path,
        columns: int = 80,
        rows: int = 24,
        command: tuple[str, ...] = (),
        **environment: str,
    ) -> Screen:
        behind = ("--", *command) if command else ()
        screen = Screen(
            iotsim.words("run", *words, "--out", iotsim.out, *behind),
            columns,
            rows,
            environment={**iotsim.environment, "TERM": "xterm-256color", **environment},
            folder=REPOSITORY,
        )
        opened.append(screen)
        return screen

    yield run
    for screen in opened:
        screen.close()


def too_long(screen: Screen) -> list[str]:
    """The lines that were sent to the terminal and that it had to break."""
    text = CONTROL.sub("", screen.output.decode(errors="replace")).replace("\r\n", "\n")
    lines = [part for line in text.split("\n") for part in line.split("\r")]
    return [x for x in lines if len(x) > screen.columns and not x.lstrip().startswith(COPIED)]


def words_of(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_run_is_seen_as_it_goes_on_and_at_its_end(
    terminal: Callable[..., Screen], columns: int
) -> None:
    screen = terminal("quickstart", "--seed", "7", columns=columns, command=PATIENT)
    said = words_of(screen.until(lambda text: "14 of 14 devices" in text and "p50" in text))
    assert said.startswith(
        "Gateway polls every meter seed 7 meter: 14 devices, 10.77.1.1-10.77.1.14,"
    )
    assert re.search(r"[0-9.]+ of 10 s · gateway (starting|ready)", said)
    assert "expectations: 1 held, 3 pending" in said
    assert re.search(r"\d+ packets in \([\d.]+/s\)", said)
    assert re.search(r"\d+ out \([\d.]+/s\)", said)
    assert re.search(r"answers p50 [\d.]+ [mµ]s, p99 [\d.]+ [mµ]s", said)
    assert "14 devices active" in said
    assert "pending nobody reboots a meter holds so far" in said
    bar = "█" * 20 + " " if columns >= 100 else ""
    assert f"held every meter is polled {bar}14 of 14 devices" in said
    assert screen.wait() == 0
    assert not any("packets in" in line or "pending" in line for line in screen.everything)
    said = words_of(screen.text)
    assert re.search(
        "passed every meter is polled: all 14 did, the last .* before the deadline", said
    )
    assert re.search(r"PASSED Gateway polls every meter \(seed 7, [\d.]+ s\)", said)
    assert too_long(screen) == []
    assert screen.output.count(b"\x1b[?25l") == screen.output.count(b"\x1b[?25h")  # the cursor


@pytest.mark.parametrize("columns", [60, 120])
def test_a_failure_is_explained_in_lines_that_fit(
    terminal: Callable[..., Screen], columns: int
) -> None:
    screen = terminal("quickstart", columns=columns, command=FORGETFUL)
    assert screen.wait() == 1
    said = words_of("\n".join(screen.everything))
    assert (
        "failed every meter is polled expected each of meter (14 devices) receives kind READ"
        in said
    )
    assert "actual 1 of 14 did not: meter[13]" in said
    assert "device meter[13]: heard nothing in that time" in said
    assert "FAILED Gateway polls every meter" in said
    assert too_long(screen) == []


@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        ("faults/brown_out", r"(reboot|0 of 2 devices|1 of 2 devices)"),
        ("expectations/after", r"waiting +it is asked again"),
        ("scale/ramp", r"waiting to boot"),
        ("northbound/logs", r"northbound, "),
        ("network/ipv6", r"fd77::"),
    ],
)
def test_bundled_scenarios_fit_a_narrow_terminal(
    terminal: Callable[..., Screen], scenario: str, seen: str
) -> None:
    screen = terminal(f"scenarios/{scenario}.toml", columns=60)
    screen.until(lambda text: re.search(seen, text))
    screen.until(lambda text: "packets in" in text)
    assert screen.wait() == 0, screen.text
    assert too_long(screen) == []


def test_what_happens_is_told_above_the_live_lines(terminal: Callable[..., Screen]) -> None:
    screen = terminal("quickstart", "-v", rows=200, command=PATIENT)
    lines = screen.until(
        lambda text: "packets in" in text and "| " in text and "every meter is polled: all" in text
    ).splitlines()
    live = next(n for n, line in enumerate(lines) if " of 10 s · " in line)
    assert any(re.match(r" +\d+\.\d{3} s  gateway  started, process \d+", x) for x in lines[:live])
    assert any("held     every meter is polled: all 14 did" in line for line in lines[:live])
    assert screen.wait() == 0
    everything = screen.everything
    assert sum("reading 10.77.1.14" in line for line in everything) == 8
    assert any("gateway  exited with status 0" in line for line in everything)
    assert not any(" of 10 s · " in line for line in everything)


def test_quiet_is_the_verdict_alone(terminal: Callable[..., Screen]) -> None:
    screen = terminal("quickstart", "-q", "--seed", "7")
    assert screen.wait() == 0
    assert screen.everything == ["passed Gateway polls every meter (seed 7)"]


def test_no_colors_where_they_are_not_wanted(terminal: Callable[..., Screen]) -> None:
    screen = terminal("quickstart", NO_COLOR="1")
    screen.until(lambda text: "packets in" in text)  # it is live all the same
    assert screen.wait() == 0
    assert not re.search(rb"\x1b\[[0-9;]*m", screen.output)


def test_a_dumb_terminal_gets_lines_alone(terminal: Callable[..., Screen]) -> None:
    screen = terminal("quickstart", TERM="dumb")
    assert screen.wait() == 0
    assert b"\x1b" not in screen.output
    assert "PASSED" in screen.text


def test_a_terminal_without_unicode_gets_ascii(terminal: Callable[..., Screen]) -> None:
    screen = terminal(
        "quickstart", columns=120, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )
    said = screen.until(lambda text: "#" * 20 + "  14 of 14 devices" in text)
    assert " s - gateway ready - expectations: " in said
    assert screen.wait() == 0
    assert screen.output.isascii()
    assert "\\x" not in screen.text


def test_a_terminal_that_was_stopped_stops_no_run(
    terminal: Callable[..., Screen], iotsim: CommandLine
) -> None:
    screen = terminal("quickstart", "-v", command=PATIENT)
    screen.until(lambda text: "packets in" in text)
    screen.type(b"\x13")  # Ctrl-S
    result = iotsim.out / "result.json"

    def verdict() -> Any:
        return json.loads(result.read_text())["verdict"] if result.exists() else ""

    iotsim.wait_for(lambda: verdict() not in ("", "running"), "the run was over", screen.process)
    assert verdict() == "passed"
    assert "PASSED" not in screen.text
    screen.type(b"\x11")  # Ctrl-Q
    assert screen.wait() == 0
    assert "PASSED" in screen.text
    assert sum("reading 10.77.1.14" in line for line in screen.everything) == 8


def test_an_interrupted_run_leaves_its_terminal_in_order(terminal: Callable[..., Screen]) -> None:
    screen = terminal("quickstart", command=PATIENT)
    screen.until(lambda text: "packets in" in text)
    screen.process.send_signal(signal.SIGINT)
    assert screen.wait() == 130
    assert "interrupted by SIGINT" in screen.text
    assert "packets in" not in screen.text
    assert screen.output.count(b"\x1b[?25l") == screen.output.count(b"\x1b[?25h")


def test_several_queues_are_seen_as_one(
    terminal: Callable[..., Screen], iotsim: CommandLine
) -> None:
    text = (REPOSITORY / "scenarios" / "quickstart.toml").read_text()
    scenario = iotsim.write("queues.toml", f"{text}\n[link]\nqueues = 2\n")
    screen = terminal(scenario, command=PATIENT)
    said = words_of(screen.until(lambda text: "14 of 14 devices" in text and "p50" in text))
    assert "14 devices active" in said
    assert re.search(r"answers p50 [\d.]+ [mµ]s, p99 [\d.]+ [mµ]s", said)
    assert screen.wait() == 0


@pytest.mark.parametrize("columns", [60, 120])
def test_several_scenarios_have_a_live_line_each(
    terminal: Callable[..., Screen], columns: int
) -> None:
    names = ("brown_out", "busy_meter")
    files = [f"scenarios/faults/{name}.toml" for name in names]
    screen = terminal(*files, "--jobs", "2", columns=columns)
    said = screen.until(
        lambda text: re.search(r"out\.toml +\d.*\n.*eter\.toml +\d.*(held|pending)", text)
    )
    assert "0 of 2 ended" in said
    assert screen.wait() == 0
    for name in names:
        assert any(
            re.fullmatch(rf"passed +scenarios/faults/{name}\.toml  [\d.]+ s", line)
            for line in screen.everything
        )
    assert screen.everything[-1] == "2 of 2 scenarios: 2 passed"
    assert not any("pending" in line for line in screen.everything)
    assert too_long(screen) == []
