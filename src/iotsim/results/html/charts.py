"""What is drawn over time: latency, rates of messages, what impairments and faults did to them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from iotsim.results.html.over_time import percentiles, percentiles_over
from iotsim.results.html.rows import (
    ASKS,
    NOT_SENT,
    RECEIVED,
    SENT,
    UNASKED,
    UNDECODABLE,
    UNDECODABLE_SENT,
)
from iotsim.results.html.table import NOTHING, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim.results.html.index import Index
    from iotsim.results.html.over_time import Axis
    from iotsim.results.html.table import Strings

KINDS_SHOWN = 12
"""At most this many kinds of messages have a line of their own; the others share one."""
ENTRIES_SHOWN = 50
SLOWEST_SHOWN = 100
_DIRECTIONS = {
    RECEIVED: "received",
    SENT: "sent",
    UNDECODABLE: "undecodable",
    UNDECODABLE_SENT: "undecodable",
    NOT_SENT: "not-sent",
}


def rates(index: Index, axis: Axis, strings: Strings) -> list[dict[str, Any]]:
    """The document's ``rates``: how many messages of each kind came and went, over time."""
    rows, place = index.rows, axis.bin
    counted = Counter(zip(rows.whats, rows.kinds, map(place, rows.times), strict=True))
    lines: dict[tuple[str, int], list[int]] = {}
    for (what, kind, place_in_time), count in counted.items():
        if what in _DIRECTIONS:
            line = lines.setdefault((_DIRECTIONS[what], kind), [0] * axis.bins)
            line[place_in_time] += count
    told = []
    for direction in dict.fromkeys(_DIRECTIONS.values()):
        of_kind = {kind: line for (one, kind), line in lines.items() if one == direction}
        commonest = sorted(of_kind, key=lambda kind: (-sum(of_kind[kind]), kind))
        shown = [(strings[index.kinds[kind]], of_kind[kind]) for kind in commonest[:KINDS_SHOWN]]
        if others := [of_kind[kind] for kind in commonest[KINDS_SHOWN:]]:
            shown.append((NOTHING, [sum(column) for column in zip(*others, strict=True)]))
        told += [
            {"direction": direction, "kind": kind, "total": sum(line), "over_time": line}
            for kind, line in shown
        ]
    return told


def befallen(index: Index, axis: Axis) -> list[dict[str, Any]]:
    """The document's ``impairments``, the commonest first."""
    entries = sorted(index.befell.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "name": shown(name),
            "fate": shown(fate),
            "direction": direction,
            "total": len(times),
            "over_time": axis.counts(times),
        }
        for (name, fate, direction), times in entries[:ENTRIES_SHOWN]
    ]


class Latency:
    """Pairs of a request and its answer: ``asked`` are the rows of the requests, ``took`` the seconds that
    each waited. ``requests``: the rows of all requests, answered or not."""

    def __init__(
        self,
        asker: str,
        asked: Sequence[int],
        took: Sequence[float],
        requests: Sequence[int],
        inferred: str = "",
    ) -> None:
        self.asker, self.asked, self.took = asker, asked, took
        self.requests, self.inferred = requests, inferred

    def slowest(self, most: int = SLOWEST_SHOWN) -> list[int]:
        """The rows of the requests that waited longest, the slowest first."""
        places = sorted(range(len(self.took)), key=lambda place: (-self.took[place], place))
        return [self.asked[place] for place in places[:most]]

    def told(self, index: Index, axis: Axis, strings: Strings) -> dict[str, Any]:
        """An entry of the document's ``latency``, but for its ``slowest``."""
        rows = index.rows
        asked_of = Counter(rows.kinds[row] for row in self.requests)
        by_kind: dict[int, list[float]] = defaultdict(list)
        for row, took in zip(self.asked, self.took, strict=True):
            by_kind[rows.kinds[row]].append(took)
        commonest = sorted(by_kind, key=lambda kind: (-len(by_kind[kind]), kind))
        times = [rows.times[row] for row in self.asked]
        return {
            "asker": self.asker,
            "inferred": self.inferred,
            "requests": len(self.requests),
            "answered": len(self.asked),
            **percentiles(self.took),
            "over_time": percentiles_over(axis, times, self.took),
            "kinds": [
                {
                    "kind": strings[index.kinds[kind]],
                    "requests": asked_of[kind],
                    "answered": len(by_kind[kind]),
                    **percentiles(by_kind[kind]),
                }
                for kind in commonest[:KINDS_SHOWN]
            ],
        }


def latencies(index: Index) -> list[Latency]:
    """What the gateway asked devices, and what devices asked it, as far as there was an answer."""
    rows = index.rows
    found = []
    if rows.pair_rows:
        answered = set(rows.pair_rows)
        requests = [row for row in _asking(index) if row not in answered]
        found.append(
            Latency("gateway", rows.pair_rows, rows.pair_times, [*requests, *rows.pair_rows])
        )
    if rows.guess_rows:
        pairs = sorted(zip(rows.guess_asked, rows.guess_rows, strict=True))
        asked = [request for request, _ in pairs]
        took = [max(0.0, rows.times[answer] - rows.times[request]) for request, answer in pairs]
        kinds = {rows.kinds[row] for row in asked}
        requests = [
            row
            for row, (marks, kind) in enumerate(zip(rows.marks, rows.kinds, strict=True))
            if marks & UNASKED and kind in kinds
        ]
        by = ", ".join(name for name, _ in index.inferred_by.most_common())
        found.append(Latency("device", asked, took, requests, by))
    return found


def _asking(index: Index) -> Iterable[int]:
    """The rows of messages to devices that were not answered, of kinds of which others were."""
    rows = index.rows
    kinds = {rows.kinds[row] for row in rows.pair_rows}
    return (
        row
        for row, (marks, kind) in enumerate(zip(rows.marks, rows.kinds, strict=True))
        if marks & ASKS and kind in kinds
    )
