from __future__ import annotations

import time

import pytest

from iotsim.run.output import LINE_CHARACTERS, OutputText

COLORED = (
    "\x1b[32mINFO\x1b[0m listening\x1b[K\n"
    "\x1b]0;a title\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ü\r\n"
    "\x9b1mbold\x9b0m\x1b(B\x1bM\x1b[?25l\x9d0;title\x9cend\n"
    "10%\r20%\r100%\n"
    "beep\x07\x00 tab\tbed\x08\x7f\n"
    "\x1bPq#0;2;0;0;0\x1b\\sixel\n"
    "\x1b]never ended\n"
    "next\n"
)
READ = [
    "INFO listening",
    "linkü",
    "boldend",
    *("10%", "20%", "100%"),
    "beep tab\tbed",
    "sixel",
    "",
    "next",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_what_can_be_read_does_not_depend_on_the_chunks(size: int) -> None:
    data = COLORED.encode()
    output = OutputText()
    lines = [
        line
        for begin in range(0, len(data), size)
        for line in output.feed(data[begin : begin + size])
    ]
    assert [*lines, *output.end()] == READ


def test_a_prompt_is_there_before_its_line_ends() -> None:
    output = OutputText()
    assert output.feed(b"\x1b[1mready> \x1b[0") == []
    assert output.unfinished == "ready> "
    assert output.feed(b"mgo\n") == ["ready> go"]
    assert output.unfinished == ""
    assert output.end() == []


def test_bytes_that_are_no_text_are_replaced() -> None:
    output = OutputText()
    assert output.feed(b"a\xff\xe2\x82") == []
    assert output.feed(b"\xac\n") == ["a\ufffd€"]
    assert output.feed(b"\xe2\x82") == []
    assert output.end() == ["\ufffd"]


def test_a_long_line_is_cut() -> None:
    output = OutputText()
    assert output.feed(b"x" * (2 * LINE_CHARACTERS)) == ["x" * LINE_CHARACTERS]
    assert output.feed(b"yy\n\n") == ["x" * LINE_CHARACTERS, "yy", ""]


@pytest.mark.parametrize("piece", ["\x1b]0;", "\x1b[", "\x1b[3", "\x1b", "\r", "\x1b   ", "1;2"])
@pytest.mark.parametrize("introducer", ["", "\x1b]", "\x1b["])
def test_output_without_end_takes_bounded_memory_and_time(introducer: str, piece: str) -> None:
    output = OutputText()
    output.feed(introducer.encode())
    chunk = piece.encode() * 20_000
    began = time.process_time()
    for _ in range(20):
        output.feed(chunk)
    assert time.process_time() - began < 5
    assert len(output._line) + len(output._held) <= LINE_CHARACTERS + 2
