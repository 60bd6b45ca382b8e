"""What came to the devices of an expectation instead of what was expected, for its failure to tell of."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from iotsim.expect.heard import Amount, Samples, nearest
from iotsim.match.nearness import EXACT, FAR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotsim.expect.heard import Heard
    from iotsim.expect.slots import Slots
    from iotsim.expect.spec import Direction
    from iotsim.match import Matcher
    from iotsim.match.nearness import Rank

MAX_COMPARED = 64
"""At most this many devices that heard something are looked through for the nearest message."""


class Note(NamedTuple):
    """Why a device failed, or what came near: ``rank`` tells how near."""

    text: str
    rank: Rank = EXACT
    t: float | None = None
    """When that was."""


class Instead:
    """What came to `slots` in a direction, and how near it was to what the `matcher` asks for.

    ``heard`` is, for each fleet that is watched, what its devices heard, whoever waited for it; whoever feeds
    the watcher adds it, and only where something is missed. ``samples`` are the messages of the right kind
    that did not match.
    """

    def __init__(self, slots: Slots, matcher: Matcher, direction: Direction) -> None:
        self.heard: dict[str, Heard] = {}
        self.samples = Samples()
        self._slots = slots
        self._matcher = matcher
        self._direction = direction
        self._before: dict[str, bytes] = {}
        """Of each fleet, how much it had heard when the expectation began."""
        self._since = -math.inf

    def begin(self, t: float) -> None:
        """Only what comes from now on, `t`, is of interest."""
        self._before = {fleet: bytes(heard.room) for fleet, heard in self.heard.items()}
        self._since = t

    def told_slots(self) -> Iterator[int]:
        """Slots of which messages are kept, perhaps more than once."""
        yield from self.samples.keys()
        for fleet, heard in self.heard.items():
            table = self._slots.tables[fleet]
            yield from (slot for slot in map(table.__getitem__, heard.samples.keys()) if slot >= 0)

    def note(self, slot: int, count: int, came: str) -> Note:
        """What came to `slot`, and what of it was nearest. `count` of that is what was asked for: `came`."""
        if not self.heard:
            return Note(came or "none came", FAR)
        amount, samples = Amount(), [*self.samples.of(slot)]
        for fleet, indexes in self._devices_of(slot):
            heard = self.heard[fleet]
            amount += heard.amount(indexes, self._before.get(fleet))
            for index in islice(filter(indexes.__contains__, heard.samples.keys()), MAX_COMPARED):
                samples += heard.samples.of(index)
        recent = (sample for sample in samples if sample.t >= self._since)
        near = nearest(recent, self._matcher.explain)
        if count and amount.messages <= count and not amount.undecodable:
            return Note(came, near.rank)  # there was nothing else
        verb = "heard" if self._direction == "receives" else "sent"
        said = [came, f"{amount.text(verb)} in all"] if came else [amount.text(verb)]
        if near.text:
            said.append(f"nearest: {near.text}")
        return Note("; ".join(said), near.rank)

    def _devices_of(self, slot: int) -> Iterator[tuple[str, Sequence[int]]]:
        """By fleet the indexes of the devices that share `slot`: one, but in a pool."""
        if not self._slots.pooled:
            _, fleet, index = self._slots.place(slot)
            yield fleet, (index,)
            return
        for fleet, table in self._slots.tables.items():
            yield fleet, [index for index in range(len(table)) if table[index] >= 0]
