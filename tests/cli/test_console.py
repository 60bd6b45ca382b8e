"""Colors and signs are where a terminal has them, and lines as wide as it is."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from iotsim.cli.console import SafeConsole, columns_of, make_console
from iotsim.cli.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLORED = "\x1b[31mred\x1b[0m\n"
VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "COLUMNS", "TTY_COMPATIBLE")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[SafeConsole, int]]]:
    """Makes a console that writes to a terminal, and the descriptor that reads what it got there."""
    with ExitStack() as opened:

        def make() -> tuple[SafeConsole, int]:
            master, slave = os.openpty()
            opened.callback(os.close, master)
            return make_console(opened.enter_context(os.fdopen(slave, "w"))), master

        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        yield make


def printed_to_terminal(console: SafeConsole, master: int) -> str:
    console.print(Text("red", "red"))
    console.file.flush()
    return os.read(master, 1000).decode().replace("\r\n", "\n")


def printed_to_pipe() -> str:
    file = io.StringIO()
    make_console(file).print(Text("red", "red"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm"}, COLORED),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "red\n"),
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, "red\n"),
        ({"TERM": "xterm", "NO_COLOR": ""}, COLORED),
        ({"TERM": "dumb"}, "red\n"),
        ({}, "red\n"),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, COLORED),
    ],
)
def test_a_terminal_has_colors_unless_it_or_its_user_says_no(
    terminal: Callable[[], tuple[SafeConsole, int]],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert printed_to_terminal(*terminal()) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm"}, "red\n"),
        ({"FORCE_COLOR": "1"}, COLORED),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, COLORED),
        ({"FORCE_COLOR": ""}, "red\n"),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "red\n"),
    ],
)
def test_a_pipe_has_colors_if_they_are_forced(
    terminal: object,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert printed_to_pipe() == expected


def test_forced_colors_make_no_terminal_of_a_pipe(
    terminal: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    console = make_console(io.StringIO())
    assert not console.is_live
    assert console.columns == 0  # so that a log has its lines whole


def test_a_terminal_is_live_unless_it_is_dumb(
    terminal: Callable[[], tuple[SafeConsole, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal()[0].is_live
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal()[0].is_live


def test_how_wide_a_line_may_be(
    terminal: Callable[[], tuple[SafeConsole, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "71")
    assert columns_of(io.StringIO()) == 71
    monkeypatch.setenv("COLUMNS", "many")
    assert columns_of(io.StringIO()) == 0
    monkeypatch.setenv("COLUMNS", "3")
    assert terminal()[0].columns == 20  # else nothing could be told
    monkeypatch.delenv("COLUMNS")
    assert columns_of(None) == 0


def test_an_encoding_without_our_signs_gets_others() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    page = Page(make_console(file))
    page.hang("  ", "1 · 2 … ±3 µs")
    page.print(Text("█░·é"))
    file.flush()
    assert file.buffer.getvalue().decode("latin-1") == "  1 - 2 ... +-3 us\n#.-é\n"  # type: ignore[attr-defined]
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    Page(make_console(file)).hang("  ", "1 · 2 …")
    file.flush()
    assert file.buffer.getvalue().decode() == "  1 · 2 …\n"  # type: ignore[attr-defined]
