"""What the kinds of expectations have in common.

A watcher holds one byte for each of its devices (see `iotsim.expect.slots`):

    PENDING --> HELD      this device has done what was expected, nothing can change that
        \\----> BROKEN    it has not, and nothing can change that either

and the quantifier makes one verdict of them. ``each`` and ``device`` want every device HELD,
``any`` wants one, ``none`` wants none; ``all`` pools the devices, so that there is one slot. What
is still PENDING at the end is decided by the kind: a ``within`` is then BROKEN, a ``never`` HELD.

A verdict that is failed does not end the watching where more devices may follow: the failure should
name them all. One that is passed does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim.expect import text
from iotsim.expect.slots import Slots, selection_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.errors import IotsimError
    from iotsim.expect.slots import FleetView, Table
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match import DeviceView, Matcher

PENDING, HELD, BROKEN = 0, 1, 2
MAX_DEVICES = 20
"""An outcome names at most so many devices; it always tells how many there are."""
MAX_NOTES = 1024
"""How many devices a watcher keeps the reason of their failure for."""

Observer: TypeAlias = "Callable[[DeviceView, Mapping[str, Any], float], None]"
Export: TypeAlias = dict[str, Any]


class Watcher:
    """One expectation over messages. Subclasses say what a match, a deadline and the end mean."""

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        assert spec.matcher is not None
        self.spec = spec
        self.matcher: Matcher = spec.matcher
        self.tolerance = tolerance
        self.slots = Slots(spec.devices, fleets, pooled=spec.quantifier == "all")
        self.count = self.slots.count
        self.whom = selection_text(spec.devices, fleets)
        self.state = bytearray(self.count + 1)
        self.state[-1] = HELD  # the sentinel
        self.held = 0
        self.broken = 0
        self.verdict: bool | None = None
        self.decided_at: float | None = None
        """When the verdict was found; None: at the end only."""
        self.closed = False
        """Nothing that comes can change anything any more: its observers can go."""
        if self.slots.sharded and not self.count:
            # None of its devices are ours, so that the others alone decide, as soon as they can.
            self.verdict, self.closed = quantified(spec.quantifier, 0, 0), True
        self.ready_at: float | None = None
        self.error = ""
        self._notes: dict[int, tuple[float, str]] = {}
        self._ending = ""

    # --- what a kind says ---------------------------------------------------------------------

    def observer(self, table: Table) -> Observer:
        raise NotImplementedError

    def undecodable(self, device: DeviceView, slot: int, reason: str, t: float) -> None:
        """A datagram that is no message came for `slot`, which is not the sentinel."""
        if self.matcher.undecodable:
            self.matched(slot, None, device, t)

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        raise NotImplementedError

    def deadline(self) -> float:
        """When `advance` has something to do next; infinity for never."""
        return math.inf

    def advance(self, now: float) -> None:
        pass

    def settle_pending(self, now: float) -> None:
        """The end has come: leave no slot PENDING."""
        raise NotImplementedError

    def expectation(self) -> str:
        """The predicate: ``receives kind = READ within 5 s``."""
        raise NotImplementedError

    def detail(self, slot: int) -> str:
        """Why `slot` failed, or what came near."""
        note = self._notes.get(slot)
        return f"{note[1]} ({text.moment(note[0])})" if note else ""

    def distance(self, slot: int) -> int:
        """How near `slot` came; for choosing the nearest of several."""
        return 0 if slot in self._notes else 1 << 30

    def nearest(self) -> int | None:
        """The failing slot that came nearest, where the kind knows; else the first one is told."""
        return None

    def pool(self) -> Export:
        """With ``all``: what a merge needs of this shard, plain data."""
        return {}

    def ready(self, t: float) -> None:
        self.ready_at = t

    def heard(self) -> bool | None:
        """Whether a message came by; None where the kind looks only at those that match."""
        return True if self._notes else None

    def ending(self, now: float) -> str:
        """What kept the end from being a fair one: it came early, or the gateway never did."""
        return ""

    # --- for the kinds ------------------------------------------------------------------------

    @property
    def undecided_pool(self) -> bool:
        """A part of a pool decides nothing: what the other shards saw is not known here."""
        return self.slots.sharded and self.slots.pooled

    def hold(self, slot: int, t: float) -> None:
        self.state[slot] = HELD
        self.held += 1
        if self.verdict is None:
            self._decide(t)
        elif self.held + self.broken == self.count:
            self.closed = True

    def fail(self, slot: int, t: float, why: str) -> None:
        self.state[slot] = BROKEN
        self.broken += 1
        if len(self._notes) < MAX_NOTES:
            self._notes[slot] = (t, why)
        if self.verdict is None:
            self._decide(t)
        elif self.held + self.broken == self.count:
            self.closed = True

    def trouble(self, error: IotsimError) -> None:
        """An expression of the expectation failed: the message does not match, and it is told."""
        if not self.error:
            self.error = str(error)

    def finish(self, now: float) -> None:
        """Decide whatever is undecided. Idempotent."""
        if self.closed and self.verdict is not None:
            return
        self._ending = self.ending(now)
        self.settle_pending(now)
        self.closed = True
        if self.verdict is None:
            self.verdict = quantified(self.spec.quantifier, self.held, self.broken)

    def _decide(self, t: float) -> None:
        quantifier = self.spec.quantifier
        if self.undecided_pool:
            self.closed = True
            return
        if quantifier in ("any", "none"):
            decided = self.held > 0 or self.broken == self.count
        else:
            decided = self.broken > 0 or self.held == self.count
        if not decided:
            return
        self.verdict = quantified(quantifier, self.held, self.broken)
        self.decided_at = t
        self.closed = self.verdict or self.held + self.broken == self.count

    # --- for reports --------------------------------------------------------------------------

    def export(self) -> Export:
        """This watcher's part of the outcome, plain data; `finish` comes first."""
        if self.spec.quantifier == "none":
            culprits = self._slots_in(HELD, self.held)
        else:
            culprits = self._slots_in(BROKEN, self.broken)
        nearest = self.nearest() if culprits else None
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "quantifier": self.spec.quantifier,
            "severity": self.spec.severity,
            "place": self.spec.place,
            "direction": self.spec.direction,
            "whom": self.whom,
            "expected": self.expectation(),
            "selected": self.slots.selected,
            "devices": self.slots.devices,
            "held": self.held,
            "broken": self.broken,
            "verdict": self.verdict,
            "decided_at": self.decided_at,
            "heard": self.heard(),
            "error": self.error,
            "ending": self._ending,
            "culprits": [] if self.slots.pooled else [self._told(slot) for slot in culprits],
            "nearest": None if nearest is None or self.slots.pooled else self._told(nearest),
            "text": self.detail(0) if self.slots.pooled and self.count else "",
            "pool": self.pool() if self.slots.pooled else {},
        }

    def _told(self, slot: int) -> list[Any]:
        return [*self.slots.place(slot), self.distance(slot), self.detail(slot)]

    def _slots_in(self, state: int, total: int) -> Sequence[int]:
        """The first `MAX_DEVICES` slots in `state`."""
        found: list[int] = []
        position = -1
        for _ in range(min(total, MAX_DEVICES)):
            position = self.state.find(state, position + 1, self.count)
            found.append(position)
        return found


def quantified(quantifier: str, held: int, broken: int) -> bool:
    """The verdict over devices of which none is pending."""
    if quantifier == "any":
        return held > 0
    if quantifier == "none":
        return held == 0
    return broken == 0
