"""What a terminal of any width shows of a run while it goes on: figures whole, no line too long."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from iotsim.cli.figures import number, span
from iotsim.cli.look import Look, Trend, brief, live_lines, short
from iotsim.cli.page import flow, squeeze
from iotsim.cli.standings import standing_text
from iotsim.expect.standing import Standing
from iotsim.simulation.census import Census
from iotsim.simulation.counters import Progress

SCREENS = Path(__file__).parent / "screens"
WIDTHS = (60, 80, 120, 200)
NAMES = (
    "every meter is polled",
    "every meter of the northern branch sees the new limit after its reboot, and says so",
    "nobody reboots a meter",
    "the gateway asks at most three times a second",
    "the lamp is told to identify itself",
)
STANDINGS = [
    Standing(None, "device", 37, 2, 100, due=8.0),
    Standing(None, "device", 0, 0, 100, after="it is back"),
    Standing(False, "device", 0, 3, 100, keeps=True),
    Standing(None, "message", 2, 0, 3, keeps=True),
    Standing(True),
]


def look(t: float = 4.8, received: int = 12_345, **changes: object) -> Look:
    progress = Progress(
        received=received,
        sent=received - 20,
        answered=received - 25,
        pending=20,
        dropped=5,
        verdicts=[standing.verdict for standing in STANDINGS],
        lag=0.031,
        standings=STANDINGS,
        census=Census(active=37, idle=60, away=2, failed=1),
        answer_times={60: 90, 84: 10},
    )
    return Look(t, progress, NAMES, gateway="ready", lost=3, ends=30.0, **changes)  # type: ignore[arg-type]


def shown(columns: int, rows: int = 24, *, signs: bool = True) -> list[str]:
    trend = Trend().add(look(2.8, 10_345)).add(look())
    trend.answer_times = {60: 90, 84: 10}
    lines = live_lines(look(), trend, columns, rows, signs=signs)
    return [line.plain for line in lines]


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_run_as_it_goes_on(columns: int) -> None:
    assert shown(columns) == (SCREENS / f"run-{columns}.txt").read_text().splitlines()


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize("columns", [20, 40, *range(60, 201, 7)])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_lost(
    columns: int, signs: bool
) -> None:
    lines = shown(columns, 40, signs=signs)
    assert max(map(cell_len, lines)) <= columns
    assert signs or "".join(lines).isascii()
    text = " ".join(" ".join(lines).split())
    if columns >= 60:
        for figure in ("12,345 packets", "12,325 out", "p99 3 ms", "5 dropped", "lag 31 ms"):
            assert figure in text
        for figure in ("100 devices", "1 held, 1 failed, 3 pending", "37 of 100 devices, 2 failed"):
            assert figure in text


@pytest.mark.parametrize("rows", range(3, 20))
def test_no_more_lines_than_the_terminal_has(rows: int) -> None:
    lines = shown(80, rows)
    assert len(lines) <= max(rows - 1, 4)


def test_what_failed_is_shown_first_and_the_rest_is_counted() -> None:
    assert shown(80, 8)[-3:] == [
        "  failed   nobody reboots a meter        3 of 100 devices broke it",
        "  pending  every meter is polled         37 of 100 devices, 2 failed, 3.2 s left",
        "  and 3 more: 1 pending, 1 waiting, 1 held",
    ]


def test_wide_characters_are_counted_by_their_cells() -> None:
    names = ["每个电表都被轮询" * 8, "b"]
    progress = Progress(standings=[Standing(None, "device", 1, 0, 9), Standing()])
    lines = live_lines(Look(1.0, progress, names), Trend(), 60, 24)
    assert max(cell_len(line.plain) for line in lines) <= 60
    assert any("1 of 9 devices" in line.plain for line in lines)


def test_a_hostile_name_is_no_more_than_a_name() -> None:
    standing = Standing(after="x\x1b[2J\ny")
    assert standing_text(standing, 0.0) == r"after 'x\x1b[2J\ny'"


def test_the_line_of_a_log() -> None:
    assert brief(look(), Trend().add(look(2.8, 10_345)).add(look())) == (
        "4.8 s · 12,345 packets in (1,000/s) · 12,320 answered · 20 pending · 5 dropped · 3 lost"
        " · lag 31 ms · expectations: 1 held, 1 failed, 3 pending · gateway ready"
    )


def test_rates_are_those_of_the_last_seconds() -> None:
    trend = Trend()
    for second in range(10):
        trend.add(Look(float(second), Progress(received=100 * second if second < 5 else 500)))
    assert trend.in_rate == 0
    trend.add(Look(10.0, Progress(received=700, answer_times={1: 3})))
    assert trend.in_rate == 100
    assert trend.answer_times == {1: 3}


def test_the_first_look_has_a_rate() -> None:
    assert Trend().add(Look(1.0, Progress(received=50, sent=25))).in_rate == 50


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (4.9, "4.9"), (12.4, "12"), (12_345, "12,345"), (1_234_567, "1.23 M")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0000061, "6.1 µs"),
        (0.0000261, "26 µs"),
        (0.000_312, "310 µs"),
        (0.0123, "12 ms"),
        (1.25, "1.2 s"),
        (75.0, "75 s"),
        (0.0, "0 µs"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_what_is_left_out_of_a_name_is_in_its_middle() -> None:
    assert squeeze("the first of many", 9) == "the …many"
    assert squeeze("short", 9) == "short"
    assert squeeze("x", 0) == ""
    for cells in range(1, 20):
        assert cell_len(squeeze("电表 is 电表 polled", cells)) <= cells


def test_parts_flow_into_as_many_lines_as_they_need() -> None:
    assert flow(["one", "two", "three"], 14) == ["  one · two", "  three"]
    assert flow(["one", "two", "three"], 0) == ["  one · two · three"]


def test_a_run_among_several_is_told_in_a_few_words() -> None:
    assert short(look()) == (
        "1 failed, 1 held, 3 pending · 12,345 packets in · 5 dropped · 3 lost · lag 31 ms"
    )
    assert short(Look(0.0, Progress(), gateway="starting")) == "gateway starting · 0 packets in"
    assert short(Look(0.0, Progress(received=1))) == "1 packet in"
