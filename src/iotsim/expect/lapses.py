"""When the simulator itself was late, and when packets were lost: what puts a verdict in doubt, and which.

`Lapses` is kept over the whole run, bounded, and merged over shards. Of what decided an expectation the
watcher keeps the *grounds*: from when to when that took place, and by how much it was missed. From both
together follows whether the gateway may be blamed:

- What took place without a lapse is certain, whatever happened before or after.
- What was missed by less than the simulator was late at that time may not have been missed at all.
- A gateway that gets its answers late does other things than one that gets them in time. So, too, whatever
  it failed to do while the simulator was late by more than `Lapses.bound_s` is in doubt.
- A lost packet may be the one that was missed, or the one that the gateway waited for.

A message that must not come is proof once it has come, and needs no grounds.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from operator import itemgetter
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LEAST_LATENESS_S = 0.002
"""Less is what any process waits for its turn; it is not kept."""
LEAST_BOUND_S = 0.1
MOST_BOUND_S = 1.0
BOUND_SHARE = 0.01
MOST_SPANS = 512
"""At most this many spans of lateness of one magnitude are kept; beyond that, neighbors are merged."""
MOST_GROUNDS = 64
"""Up to this many devices, the grounds of each are kept by themselves."""

Export: TypeAlias = dict[str, Any]


class Ground(NamedTuple):
    """What decided about a device took place from ``begin`` to ``end``.

    ``missed_by_s``: by so little; infinity where it never came. None: only what was not seen speaks for
    it, so that lateness does not matter, and losses do. ``edge``: a message that was read late counted
    for another window, at ``end`` and at ``begin``.
    """

    begin: float
    end: float
    missed_by_s: float | None = math.inf
    edge: bool = False


class Grounds:
    """Those of all devices that came to the same end. ``proved``: of one at least nothing is in doubt."""

    def __init__(self) -> None:
        self.proved = False
        self._each: list[Ground] = []
        self._all: Ground | None = None

    def add(self, ground: Ground | None) -> None:
        """None: it is proved."""
        if ground is None:
            self.proved = True
            return
        if len(self._each) < MOST_GROUNDS:
            self._each.append(ground)
        self._all = ground if self._all is None else _around(self._all, ground)

    def add_all(self, others: Grounds) -> None:
        self.proved = self.proved or others.proved
        for ground in others._each:
            self.add(ground)
        if others._all is not None:
            self._all = others._all if self._all is None else _around(self._all, others._all)

    def export(self) -> Export:
        return {"proved": self.proved, "each": self._each, "all": self._all}


def _around(one: Ground, other: Ground) -> Ground:
    """What is in doubt if either of them is."""
    missed = [by for by in (one.missed_by_s, other.missed_by_s) if by is not None]
    return Ground(
        min(one.begin, other.begin),
        max(one.end, other.end),
        min(missed, default=None),
        one.edge or other.edge,
    )


class _Spans:
    """Spans of time, in order and apart from each other, each with an amount.

    Where there are too many, those that are closest to each other become one.
    """

    def __init__(self, spans: Iterable[Sequence[float]] = ()) -> None:
        self.spans: list[list[float]] = [list(span) for span in spans]

    def add(self, begin: float, end: float, amount: float, *, total: bool = False) -> None:
        """A span that does not end before those that are there. `total`: amounts add up, else the greatest
        counts."""
        spans = self.spans
        while spans and spans[-1][1] >= begin:
            first, last, known = spans.pop()
            begin, end = min(begin, first), max(end, last)
            amount = amount + known if total else max(amount, known)
        spans.append([begin, end, amount])
        if len(spans) > MOST_SPANS:
            gap = median(after[0] - before[1] for before, after in itertools.pairwise(spans))
            kept, self.spans = spans, []
            for first, last, known in kept:
                near = self.spans and first - self.spans[-1][1] <= gap
                self.add(self.spans[-1][1] if near else first, last, known, total=total)

    def during(self, begin: float, end: float) -> list[list[float]]:
        """The spans that have a moment in common with this one."""
        at = bisect_left(self.spans, begin, key=itemgetter(1))
        found = []
        while at < len(self.spans) and self.spans[at][0] <= end:
            found.append(self.spans[at])
            at += 1
        return found


class Lapses:
    """When the simulator was late, by how much, and when packets were lost. Times are seconds of the run.

    ``unseen_s``: how late it may have been at any time without noticing.
    """

    def __init__(self, unseen_s: float = 0.0) -> None:
        self.unseen_s = unseen_s
        self._late: dict[int, _Spans] = {}
        """By magnitude, so that a long time of slight lateness does not run together with a great one."""
        self._lost = _Spans()

    def bound_s(self, window_s: float) -> float:
        """How late the simulator may be while a gateway fails in a window of this length: a gateway's
        timeouts are seldom shorter than 100 ms, and its plans for longer windows leave more room."""
        bound = min(max(LEAST_BOUND_S, BOUND_SHARE * window_s), MOST_BOUND_S)
        return max(bound, self.unseen_s)

    def late(self, due: float, now: float) -> None:
        """What should have been done at `due` is done `now`.

        What follows within the same time again is taken for its consequence.
        """
        lateness = now - due
        if lateness >= LEAST_LATENESS_S:
            magnitude = math.frexp(lateness)[1]
            self._late.setdefault(magnitude, _Spans()).add(due, now + lateness, lateness)

    def lost(self, begin: float, end: float, count: int) -> None:
        """`count` packets were lost, at some time between `begin` and `end`."""
        self._lost.add(begin, end, count, total=True)

    def worst(self, begin: float, end: float) -> tuple[float, float]:
        """(lateness, when): the greatest from `begin` to `end`; 0.0 where it was never late."""
        for magnitude in sorted(self._late, reverse=True):
            if found := self._late[magnitude].during(begin, end):
                first, _, lateness = max(found, key=itemgetter(2))
                return lateness, first
        return 0.0, begin

    def doubt(self, ground: Ground, *, blames: bool = True) -> str:
        """Why what took place on `ground` is not certain, in words; "" if it is.

        Without `blames`, nobody is blamed for what the simulator's lateness may have led to.
        """
        lost = self._lost.during(ground.begin, ground.end)
        if lost:
            count = int(sum(span[2] for span in lost))
            packets = "1 packet was" if count == 1 else f"{count} packets were"
            return (
                f"{packets} lost in the simulator, or on their way to it, "
                f"between t={lost[0][0]:.3f} s and t={lost[-1][1]:.3f} s"
            )
        missed_by = ground.missed_by_s
        if missed_by is None:
            return ""
        allowed = min(missed_by, self.bound_s(ground.end - ground.begin) if blames else math.inf)
        lateness, at = self.worst(ground.begin, ground.end)
        if ground.edge and lateness <= allowed:
            edges = (self.worst(edge, edge) for edge in (ground.begin, ground.end))
            lateness, at = max(edges)
            allowed = min(allowed, max(self.unseen_s, LEAST_LATENESS_S))
        if lateness > allowed:
            return f"the simulator itself was up to {_short(lateness)} late at t={at:.3f} s"
        if missed_by < self.unseen_s:
            return (
                f"it was missed by {_short(missed_by)}, "
                f"and the simulator may be {_short(self.unseen_s)} late without noticing"
            )
        return ""

    def export(self) -> Export:
        """Plain data."""
        return {
            "unseen_s": self.unseen_s,
            "late": [span for spans in self._late.values() for span in spans.spans],
            "lost": self._lost.spans,
        }


def merge_lapses(exports: Iterable[Mapping[str, Any]]) -> Lapses:
    """What the simulators of all shards exported, as one: they face the same gateway."""
    exports = list(exports)
    merged = Lapses(max((export["unseen_s"] for export in exports), default=0.0))
    by_end = itemgetter(1)
    for begin, end, lateness in sorted((s for e in exports for s in e["late"]), key=by_end):
        magnitude = math.frexp(lateness)[1]
        merged._late.setdefault(magnitude, _Spans()).add(begin, end, lateness)
    for begin, end, count in sorted((s for e in exports for s in e["lost"]), key=by_end):
        merged.lost(begin, end, count)
    return merged


def doubt_of(
    lapses: Lapses,
    quantifier: str,
    *,
    passed: bool,
    broken_on: Sequence[Mapping[str, Any]],
    held_on: Sequence[Mapping[str, Any]],
) -> str:
    """Why a verdict of `quantifier` is not certain, in words; "" if it is.

    `broken_on` and `held_on` are the grounds of those devices (see `Grounds.export`), of each shard.
    """
    if quantifier == "none":
        # It holds where all are broken, and fails by one that holds.
        decisive, one_is_enough = (broken_on, False) if passed else (held_on, True)
    elif quantifier == "any":
        decisive, one_is_enough = (held_on, True) if passed else (broken_on, False)
    else:
        decisive, one_is_enough = (held_on, False) if passed else (broken_on, True)
    if one_is_enough and any(grounds["proved"] for grounds in decisive):
        return ""
    key = "each" if one_is_enough else "all"
    found = ""
    for grounds in decisive:
        for ground in grounds["each"] if one_is_enough else filter(None, [grounds[key]]):
            why = lapses.doubt(Ground(*ground), blames=not passed)
            if one_is_enough and not why:
                return ""
            found = found or why
    return found


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
