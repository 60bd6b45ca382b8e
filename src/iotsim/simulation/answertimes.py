"""How long devices take to answer, roughly and at little cost, for whoever watches a run.

It is from when a request was read to when the answer left, so that delays which the scenario asks for are
in it. Times are counted in classes, each a tenth above the one before: counts of several processes add up,
and percentiles of any span of time follow from the difference of two counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iotsim.events import Received, Sent, Untold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.events import Brief, Event, PacketRecord

LEAST_S = 1e-6
STEP = math.log(1.1)
MOST_OPEN = 4096
"""So many requests that were not answered yet are kept."""
MANY = 64
"""Of a batch with so many events, not every request is looked at, and not every batch."""
STRIDE = 7
"""Each so manieth request; odd, as every other number of a message is an answer's."""
EACH = 8
"""Each so manieth batch; and those after it, until what was asked in it is answered."""
PATIENCE_S = 10.0


class AnswerTimes:
    """``counts``: by class, how many answers took so long, since the start. `look` is a sink of batches."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self._open: dict[int, float] = {}
        """When requests came, by their numbers."""
        self._batches = 0
        self._until = 0.0

    def look(
        self, events: Sequence[Event | Untold | Brief], packets: Sequence[PacketRecord]
    ) -> None:
        if not events:
            return
        opened, stride = self._open, 1
        if len(events) >= MANY:
            last = events[-1]
            now = packets[last[0]][0] if isinstance(last, tuple) else last.t
            if not opened:
                self._batches += 1
                if self._batches % EACH:
                    return
                stride = STRIDE
                self._until = now + PATIENCE_S
            elif now < self._until:
                stride = 0
            else:
                opened.clear()
                return
        self._scan(events, packets, stride)
        while len(opened) > MOST_OPEN:
            del opened[next(iter(opened))]

    def _scan(
        self,
        events: Sequence[Event | Untold | Brief],
        packets: Sequence[PacketRecord],
        stride: int,
    ) -> None:
        """Note each so manieth request, none if `stride` is 0, and count the answers to those noted."""
        opened = self._open
        for event in events:
            if isinstance(event, tuple):
                place, number, _, _, *answer = event
                if answer:
                    if answer[0] in opened:
                        self._count(packets[place][0] - opened.pop(answer[0]))
                elif stride and not number % stride:
                    opened[number] = packets[place][0]
                continue
            kind: type[Event | Untold] = type(event)
            if kind is Untold:
                kind = Received if event.message is None else Sent  # type: ignore[union-attr]
            if kind is Sent:
                if event.in_reply_to in opened:  # type: ignore[union-attr]
                    # The first answer is the one that counts.
                    self._count(event.t - opened.pop(event.in_reply_to))  # type: ignore[union-attr]
            elif stride and kind is Received and not event.id % stride:  # type: ignore[union-attr]
                opened[event.id] = event.t  # type: ignore[union-attr]

    def _count(self, took_s: float) -> None:
        number = round(math.log(max(took_s, LEAST_S) / LEAST_S) / STEP)
        self.counts[number] = self.counts.get(number, 0) + 1


def percentile(counts: Mapping[int, int], percent: float) -> float | None:
    """The time in seconds, to 5 %, that so many percent of those counted did not exceed; None of none."""
    total = sum(counts.values())
    wanted = math.ceil(total * percent / 100)
    for number in sorted(counts):
        wanted -= counts[number]
        if total and wanted <= 0:
            return LEAST_S * math.exp(STEP * number)
    return None
