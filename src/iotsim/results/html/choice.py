"""Which messages are kept whole, where there is no room for all of them.

First what a reader looks for: what surrounds failures, the slowest exchanges, what went wrong, the begin and
the end, and what surrounds steps, faults and the gateway's lives. Then, as far as there is room, all messages
of some devices, evenly chosen, and all messages of some moments. Answers come with their requests. It is the
same each time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from iotsim.results.html.over_time import near
from iotsim.results.html.rows import DROPPED, NO_ROW, RECEIVED, SENT
from iotsim.results.html.table import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim.results.html.rows import Rows

MOST_ROWS = 100_000
MOST_ROW_BYTES = 32 << 20
"""Of the lines of what is kept whole; as columns it takes about a fourth of that."""
LARGEST_ROW = 20_000
"""What a line counts at most: what is in it is cut, too."""
BEFORE, AFTER = 40, 20
"""Messages of a device around its failure."""
ODD_SHOWN = 300
ENDS_SHOWN = 2000
MARKS_SHOWN = 100
WINDOWS = 20
LEAST_SPAN = 20
MOST_SPANS = 300


class Focus(NamedTuple):
    """A moment to be looked at: of one device, or, if that is None, of all."""

    device: int | None
    t: float


class Choice(NamedTuple):
    """``rows`` in order; ``around`` has those of each focus. ``spans`` are times of which all rows are there,
    ``devices`` the numbers of those of which all are. ``whole``: everything is there."""

    rows: Sequence[int]
    around: list[list[int]]
    spans: list[list[float | None]]
    devices: list[int]
    whole: bool


class Chooser:
    """Takes rows as long as there is room for them. `share`: of the room that there is at most."""

    def __init__(self, rows: Rows, share: float = 1.0) -> None:
        self.rows = rows
        self.kept = bytearray(len(rows))
        self.room = int(MOST_ROWS * share)
        self.bytes = int(MOST_ROW_BYTES * share)
        self.times = array("d", accumulate(rows.times, max))
        """In order, as a search wants them."""

    @property
    def is_room_for_all(self) -> bool:
        return len(self.rows) <= self.room and sum(self.rows.sizes) <= self.bytes

    def take(self, numbers: Iterable[int]) -> bool:
        """Keep these rows; whether there was room for all."""
        sizes, kept = self.rows.sizes, self.kept
        for row in numbers:
            if kept[row]:
                continue
            size = min(sizes[row], LARGEST_ROW)
            if self.room < 1 or self.bytes < size:
                return False
            kept[row] = 1
            self.room -= 1
            self.bytes -= size
        return True

    def near(self, t: float, before: int, after: int) -> range:
        """The rows around a time."""
        return near(self.times, t, before, after)

    def of_devices(self, wanted: Iterable[int]) -> dict[int, array[int]]:
        """All rows of these devices."""
        found: dict[int, array[int]] = {number: array("q") for number in wanted}
        if found:
            for row, number in enumerate(self.rows.devices):
                if number in found and number >= 0:
                    found[number].append(row)
        return found

    def around(self, focuses: Sequence[Focus], before: int, after: int) -> list[list[int]]:
        """The rows around each focus."""
        of_device = self.of_devices({one.device for one in focuses if one.device is not None})
        found = []
        for device, t in focuses:
            if device is None:
                found.append(list(self.near(t, before, after)))
                continue
            own = of_device[device]
            end = self.near(t, 0, 0).stop
            place = bisect_left(own, end)
            found.append(list(own[max(0, place - before) : place + after]))
        return found


def choose(
    rows: Rows,
    focuses: Sequence[Focus],
    slowest: Sequence[int] = (),
    marks: Sequence[float] = (),
    share: float = 1.0,
) -> Choice:
    """What is kept of `rows`: around `focuses` and the times of `marks`, the `slowest` rows, and more."""
    chooser = Chooser(rows, share)
    around = chooser.around(focuses, BEFORE, AFTER)
    if chooser.is_room_for_all:
        return Choice(range(len(rows)), around, [], [], whole=True)
    count, take = len(rows), chooser.take
    for found in around:
        take(found)
    answers = _answers(rows, slowest)
    take(slowest)
    take(answers)
    take(_odd(rows))
    for device, t in focuses:
        if device is not None:
            take(chooser.near(t, BEFORE, AFTER))
    take(range(min(count, ENDS_SHOWN)))
    take(range(max(0, count - ENDS_SHOWN), count))
    for t in marks[:MARKS_SHOWN]:
        take(chooser.near(t, BEFORE, AFTER))
    spread = _spread_devices(chooser, {one.device for one in focuses if one.device is not None})
    devices = [device for device, own in spread.items() if own and take(own)]
    width = chooser.room // WINDOWS
    for window in range(WINDOWS):
        begin = count * window // WINDOWS
        take(range(begin, min(count, begin + width)))
    _join_pairs(chooser)
    kept = chooser.kept
    around = [[row for row in found if kept[row]] for found in around]
    chosen = array("q", [row for row, one in enumerate(kept) if one])
    return Choice(chosen, around, _spans(chooser, chosen), devices, whole=False)


def _answers(rows: Rows, asked: Iterable[int]) -> list[int]:
    """The rows that answer those of `asked`, each after the other as they come."""
    wanted = set(asked)
    return [row for row, one in enumerate(rows.asked) if one in wanted] if wanted else []


def _odd(rows: Rows) -> list[int]:
    """The first rows of each kind that is no plain message."""
    left = [ODD_SHOWN] * (DROPPED + 1)
    left[RECEIVED] = left[SENT] = 0
    found = []
    for row, what in enumerate(rows.whats):
        if left[what]:
            left[what] -= 1
            found.append(row)
    return found


def _spread_devices(chooser: Chooser, first: set[int]) -> dict[int, array[int]]:
    """Devices whose rows all have room in half of what is left: those of `first`, others evenly chosen."""
    rows, room = chooser.rows, chooser.room // 2
    last = max(rows.devices, default=NO_ROW)
    if last < 0:
        return {}
    seen = bytearray(last + 1) if last < 1 << 26 else None
    if seen is not None:
        for number in rows.devices:
            if number >= 0:
                seen[number] = 1
    devices = [number for number, one in enumerate(seen) if one] if seen is not None else []
    each = -(-len(rows) // max(1, len(devices)))
    wanted = min(len(devices), room // max(1, each))
    spread = [devices[len(devices) * place // wanted] for place in range(wanted)]
    found = chooser.of_devices([*sorted(first), *spread])
    fitting: dict[int, array[int]] = {}
    for number, own in found.items():
        if len(own) <= room:
            room -= len(own)
            fitting[number] = own
    return fitting


def _join_pairs(chooser: Chooser) -> None:
    """Keep the answers of the requests that are kept, and the other way round, within a fourth more room."""
    kept = chooser.kept
    chooser.room += MOST_ROWS // 4
    chooser.bytes += MOST_ROW_BYTES // 4
    rows = chooser.rows
    pairs = [rows.asked] if not rows.guess_rows else [rows.asked, _guesses(rows)]
    for asked in pairs:
        lacking = [
            row if one_kept else own
            for own, row in enumerate(asked)
            if row != NO_ROW and (one_kept := kept[own]) != kept[row]
        ]
        if not chooser.take(lacking):
            return


def _guesses(rows: Rows) -> array[int]:
    asked = array("q", [NO_ROW]) * len(rows)
    for row, request in zip(rows.guess_rows, rows.guess_asked, strict=True):
        asked[row] = request
    return asked


def _spans(chooser: Chooser, chosen: Sequence[int]) -> list[list[float | None]]:
    """The times between the first and the last of rows that follow each other, the longest spans."""
    spans: list[tuple[int, int]] = []
    begin = before = -2
    for row in [*chosen, len(chooser.rows) + 1]:
        if row != before + 1:
            if before - begin >= LEAST_SPAN:
                spans.append((begin, before))
            begin = row
        before = row
    longest = sorted(spans, key=lambda span: (span[0] - span[1], span))[:MOST_SPANS]
    times = chooser.times
    return [[seconds(times[begin]), seconds(times[end])] for begin, end in sorted(longest)]


def choose_lines(
    times: Sequence[float],
    sizes: Sequence[int],
    moments: Sequence[float],
    most: int,
    most_bytes: int,
) -> list[int]:
    """Which of other events are kept, by their place: all; or those around `moments`, the last, the first,
    and some between them."""
    count = len(times)
    if count <= most and sum(sizes) <= most_bytes:
        return list(range(count))
    ordered = list(accumulate(times, max))
    wanted: list[Iterable[int]] = [near(ordered, t, BEFORE, AFTER) for t in moments]
    wanted.append(range(max(0, count - most // 4), count))
    wanted.append(range(min(count, most // 4)))
    wanted.append(
        [count * place // most for place in range(most)] if count > most else range(count)
    )
    kept: set[int] = set()
    for places in wanted:
        for place in places:
            if place in kept:
                continue
            if len(kept) == most or most_bytes < sizes[place]:
                return sorted(kept)
            kept.add(place)
            most_bytes -= sizes[place]
    return sorted(kept)
