"""Tables fit the terminal, whatever its width, and lose nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.cli.table import table_lines

if TYPE_CHECKING:
    from tests.conftest import CommandLine

ROWS = [
    ("byte", "field", "on the wire", ""),
    ("0", "kind", "uint8", "READ=1, REPORT=2, READINGS=3, COMMAND=4, ACK=5, ERROR=6"),
    ("12", "value", "float32 big-endian", "in bar"),
    ("", "rest", "", ""),
]


def lines(columns: int) -> list[str]:
    return [*table_lines(ROWS, 2, columns)]


def test_a_table_that_fits_has_a_line_for_each_row() -> None:
    expected = [
        "byte  field  on the wire",
        "0     kind   uint8               READ=1, REPORT=2, READINGS=3, COMMAND=4, ACK=5, ERROR=6",
        "12    value  float32 big-endian  in bar",
        "      rest",
    ]
    assert lines(0) == lines(200) == lines(max(map(len, expected))) == expected


def test_prose_goes_on_below_itself() -> None:
    assert lines(60) == [
        "byte  field  on the wire",
        "0     kind   uint8",
        "             READ=1, REPORT=2, READINGS=3, COMMAND=4, ACK=5,",
        "             ERROR=6",
        "12    value  float32 big-endian; in bar",
        "      rest",
    ]


def test_prose_stands_below_its_row_where_there_is_no_room_beside_it() -> None:
    assert lines(30)[:4] == [
        "byte  field",
        "      on the wire",
        "0     kind",
        "      uint8",
    ]


CELLS = st.text("ab ", max_size=12).map(str.strip)
PROSE = st.text("ab ,", max_size=120).map(lambda text: " ".join(text.split()))


@given(
    st.lists(st.tuples(CELLS, CELLS, PROSE, PROSE), min_size=1, max_size=6),
    st.integers(20, 200),
)
def test_no_line_is_too_long_and_nothing_is_lost(rows: list[tuple[str, ...]], columns: int) -> None:
    made = [*table_lines(rows, 2, columns)]
    assert max(map(len, made)) <= columns
    for letter in "ab":
        assert "".join(made).count(letter) == "".join(map("".join, rows)).count(letter)


def shown(iotsim: CommandLine, columns: int, *words: str) -> list[str]:
    """What the command prints to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in iotsim.environment.items() if name != "COLUMNS"}
    process = iotsim.start(*words, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # nobody has it open any more
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    assert process.wait(30) == 0
    return text.decode().replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize(
    "words", [("coap",), ("modbus",), ("snmp", "--model"), ("coap", "--model")], ids=" ".join
)
def test_protocols_show_fits_the_terminal(
    iotsim: CommandLine, columns: int, words: tuple[str, ...]
) -> None:
    made = shown(iotsim, columns, "protocols", "show", *words)
    whole = iotsim("protocols", "show", *words).text
    assert max(map(len, made)) <= columns
    for word in set(re.findall(r"\w+=\d+|[a-z_]+\[\]|[a-z]+_[a-z_]+", whole)):
        assert any(word in line for line in made), word
    assert len(made) >= len(whole.splitlines())
