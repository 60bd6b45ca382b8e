"""A few numbers of each event that has to do with a device: what charts and choices are made from."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WHATS = (
    *("received", "sent", "undecodable", "undecodable sent", "not sent", "impaired later"),
    *("no rule", "device failed", "session failed", "device rebooted", "packet dropped"),
)
"""What a row is, by its code."""
RECEIVED, SENT, UNDECODABLE, UNDECODABLE_SENT, NOT_SENT, IMPAIRED_LATER = range(6)
NO_RULE, BROKE, FAILED_SESSION, REBOOTED, DROPPED = range(6, 11)
NO_ROW = -1

ASKS, ANSWERED, UNASKED = 1, 2, 4
"""Marks of a row: a message to a device, which may be answered, and was; one that it sent by itself. What
only a session saw has none."""


class Rows:
    """Rows in the order of events, as columns of machine numbers.

    ``lines``: which line of the events it is, from 0. ``sizes``: of these lines, in bytes. ``times``: as in
    events. ``devices``: numbers as in `Roster`, -1 where there is none. ``whats``, ``marks``: above.
    ``kinds``: numbers of names. ``asked``: the row that this one answers, `NO_ROW` where it answers none.

    Pairs are a request and its first answer: ``pair_rows`` (the request), ``pair_times`` (seconds between).
    Those of what devices asked are inferred, and apart: ``guess_rows`` (the answer), ``guess_asked``.
    """

    def __init__(self) -> None:
        self.lines = array("q")
        self.sizes = array("q")
        self.times = array("d")
        self.devices = array("q")
        self.whats = array("B")
        self.kinds = array("H")
        self.asked = array("q")
        self.marks = bytearray()
        self.pair_rows = array("q")
        self.pair_times = array("d")
        self.guess_rows = array("q")
        self.guess_asked = array("q")

    def __len__(self) -> int:
        return len(self.times)

    def unanswered(self) -> Iterator[int]:
        """The devices of messages that were not answered, each as often as that."""
        for number, marks in zip(self.devices, self.marks, strict=True):
            if marks & (ASKS | ANSWERED) == ASKS and number >= 0:
                yield number


class Others:
    """Events of a kind that there may be many of, and that have nothing to do with devices: as `Rows`."""

    def __init__(self) -> None:
        self.lines = array("q")
        self.sizes = array("q")
        self.times = array("d")

    def add(self, line: int, size: int, t: float) -> None:
        self.lines.append(line)
        self.sizes.append(size)
        self.times.append(t)
