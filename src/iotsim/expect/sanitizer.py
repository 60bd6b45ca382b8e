"""The reports of sanitizers, by the lines that begin or sum up one.

Of AddressSanitizer, LeakSanitizer, MemorySanitizer, ThreadSanitizer, UndefinedBehaviorSanitizer and their
kin (compiler-rt, sanitizer_common; gcc's have the same), of the race detector of Go, and of valgrind's
memcheck, helgrind and DRD (their manual, "Explanation of error messages").
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from iotsim.expect.text import clip
from iotsim.match.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_FRAMES = 3
LONGEST_HEAD = 20
"""The frames of a report begin at most this many lines after its first."""
HEADLINE_CHARACTERS = 200
FRAME_CHARACTERS = 120
LINES_AT_END = 2
_FATAL = re.compile(r"==\d+== ?ERROR: \w+Sanitizer: ")
_REGISTERS = re.compile(r" \(?(at )?pc 0x")
_FRAMES = (
    re.compile(r"\s*#(?P<number>\d{1,4}) (?:0x[0-9a-f]+ )?(?:in )?(?P<text>.*)"),
    re.compile(r"==\d+==\s+(?:at|by) 0x[0-9A-Fa-f]+: (?P<text>.*)"),  # valgrind
    re.compile(r"  (?P<text>[^\s()]+\(.*\))$"),  # Go, which tells the place in the next line
)
_PLACE_OF_GO = re.compile(r"      (\S+:\d+)( \+0x[0-9a-f]+)?$")

_VALGRIND = (
    r"Invalid (read|write) of size \d",
    r"Invalid free\(\)",
    r"Mismatched (free\(\)|new)",
    r"Mismatched \S+ size",
    r"Conditional jump or move depends on uninitialised value",
    r"Use of uninitialised value",
    r"Syscall param .* (uninitialised|unaddressable)",
    r"Source and destination overlap",
    r"Argument '.*' of function .* has a fishy",
    r"Jump to the invalid address",
    r"Process terminating with default action of signal \d+ \(SIG(SEGV|BUS|ILL|FPE|ABRT)\)",
    r"Possible data race during",
    r"Conflicting (load|store) by thread",
    r"Thread #\d+.*: lock order .* violated",
    r"Thread #\d+.* unlocked ",
    r"[0-9,]+ (\([^)]*\) )?bytes in [0-9,]+ blocks? (is|are) definitely lost",
    r" +definitely lost: [1-9]",
    r"ERROR SUMMARY: [1-9]",
)


@cache
def _patterns() -> tuple[Pattern, ...]:
    """Compiled only where a scenario asks for them."""
    return (
        Pattern(r"==\d+== ?(ERROR|WARNING): \w+Sanitizer: "),
        Pattern(r"(WARNING|FATAL|ERROR|SUMMARY): \w+Sanitizer: "),
        Pattern(r"\w+Sanitizer:DEADLYSIGNAL"),
        Pattern(r"^WARNING: DATA RACE$"),
        Pattern(r"(^|\s)\S+:\d+(:\d+)?: runtime error: "),
        Pattern(r"==\d+== (" + "|".join(_VALGRIND) + ")"),
    )


def is_report(line: str) -> bool:
    """Whether `line` is, or begins, a report; none is what a sanitizer prints when all is well."""
    return any(pattern.search(line) for pattern in _patterns())


class Report:
    """A report as it is being printed, from the `line` that begins it: what went wrong, and where."""

    def __init__(self, line: str) -> None:
        self._headline = line
        self._frames: list[str] = []
        self._lines = 0
        self._open = True

    def take(self, line: str) -> None:
        """What is printed next. The frames of the first stack count, as many as `MOST_FRAMES`."""
        if not self._open:
            return
        self._lines += 1
        place = _PLACE_OF_GO.match(line)
        if place is not None and self._frames:
            self._frames[-1] += f" {place[1]}"
        elif (frame := _frame(line, len(self._frames))) and len(self._frames) < MOST_FRAMES:
            self._frames.append(frame)
        elif not self._frames and self._headline.endswith("DEADLYSIGNAL") and is_report(line):
            self._headline = line
        else:
            self._open = not self._frames and self._lines < LONGEST_HEAD

    def __str__(self) -> str:
        """The first line without addresses of the program, and the frames, on one line."""
        registers = _REGISTERS.search(self._headline)
        headline = self._headline[: registers.start()] if registers else self._headline
        frames = (
            clip(f"#{number} {frame}", FRAME_CHARACTERS)
            for number, frame in enumerate(self._frames)
        )
        return ", ".join([clip(headline.strip(), HEADLINE_CHARACTERS), *frames])


def _frame(line: str, number: int) -> str:
    """The frame of this number that `line` tells of; "" if it does not."""
    found = next(filter(None, (pattern.match(line) for pattern in _FRAMES)), None)
    if found is None or found.groupdict().get("number", str(number)) != str(number):
        return ""
    return _without_module(found["text"])


def _without_module(frame: str) -> str:
    """``take src/gateway.c:149:5`` of what may go on with the file and the build of the program."""
    frame = frame.partition(" (BuildId: ")[0].strip()
    told, _, module = frame.rpartition(" (")
    return told if told and "+0x" in module else frame


def worth_showing(lines: Sequence[str], most: int) -> list[str]:
    """The last `most` of `lines`; where a sanitizer has ended the program, the begin of its report and the
    very last: the legend between them tells nothing."""
    begin = max((n for n, line in enumerate(lines) if _FATAL.match(line)), default=None)
    if begin is None or len(lines) - begin <= most:
        return list(lines[-most:])
    head = [line for line in lines[begin:-LINES_AT_END] if line.strip()][: most - LINES_AT_END]
    return [*head, *lines[-LINES_AT_END:]]
