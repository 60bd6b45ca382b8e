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
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim.errors import ExpressionError
from iotsim.expect import text
from iotsim.expect.instead import MAX_COMPARED, Instead, Note
from iotsim.expect.lapses import Ground, Grounds
from iotsim.expect.northbound import services_of
from iotsim.expect.slots import Slots, device_text, selection_text
from iotsim.expect.standing import Standing
from iotsim.expect.subscription import Subscription, Topic
from iotsim.match.nearness import EXACT, FAR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.errors import IotsimError
    from iotsim.expect.losses import Losses
    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match import DeviceView, Matcher
    from iotsim.match.nearness import Rank

PENDING, HELD, BROKEN, WAITING = 0, 1, 2, 3
MAX_DEVICES = 20
"""An outcome names at most this many devices; it always tells how many there are."""
MAX_NOTES = 1024
"""A watcher keeps the reasons for the failure of at most this many devices."""

Export: TypeAlias = dict[str, Any]
NO_GROUNDS = Grounds().export()
WINDOW = Ground(0.0, math.inf)
ELSEWHERE = Ground(math.inf, math.inf)
NOTHING_TO_SAY = Note("", FAR)
NOT_COUNTED = Standing()


class Watcher:
    """One expectation over messages. Subclasses say what a match, a deadline and the end mean.

    A subclass sets `subscriptions`; whoever feeds the watcher adds its fleets to ``instead.heard``.
    """

    subscriptions: Sequence[Subscription]
    forbids = False
    """What it looks for should not come: to hold is not to have heard it."""
    keeps = False
    """It holds from the start, and until something breaks it."""
    silent = False
    """It may hold because of what was not seen, so that losses put that in doubt."""

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        assert spec.matcher is not None
        self.spec = spec
        self.matcher: Matcher = spec.matcher
        self.tolerance = tolerance
        self.slots = Slots(spec.devices, fleets, pooled=spec.quantifier == "all")
        self.count = self.slots.count
        self.whom = selection_text(spec.devices, fleets)
        self.waiting = bool(spec.after)
        """What it comes after has not come."""
        self.rank = 0
        """How many expectations, one after the other, have to be decided before it begins."""
        self.state = bytearray([WAITING if spec.after else PENDING]) * (self.count + 1)
        self.state[-1] = HELD  # the sentinel
        self.held = 0
        self.broken = 0
        self.verdict: bool | None = None
        self.decided_at: float | None = None
        """When the verdict was found; None: at the end only."""
        self.closed = False
        """Nothing that comes can change anything any more: its observers can go."""
        self.news: list[object] = []
        """Where it enters itself when it has a verdict, or is closed; shared with its judge."""
        self.undecided_pool = self.slots.sharded and self.slots.pooled
        """A part of a pool decides nothing: what the other shards saw is not known here."""
        self.gates: list[bytearray] = []
        """Of subscriptions that are told whatever the state is, until it is closed."""
        if self.slots.sharded and not self.count:
            # None of its devices are ours, so that the others alone decide, as soon as they can.
            self.verdict, self.closed = quantified(spec.quantifier, 0, 0), True
            self.waiting = False
        self.ready_at: float | None = None
        self.ended_at = 0.0
        self.followed: Callable[[float], object] | None = None
        """Called at once when it holds: others come after it."""
        self.alarms: list[float] = []
        """Where it enters a `deadline` that is earlier than the one before; shared with its judge."""
        self.error = ""
        self._broken_on = Grounds()
        self.instead = Instead(self.slots, self.matcher, spec.direction)
        self._samples = self.instead.samples
        self._notes: dict[int, Note] = {}
        self._ending = ""
        self._unheard: dict[int, str] = {}
        """Of each slot, the first message that it is about of those that were lost."""
        self.losses: dict[str, Losses] = {}
        """Of each fleet that it watches what was lost of which it is not known whether it is about that."""
        self.unwatched = 0
        """How many messages it had to stop watching before it knew what became of them."""
        self._due = math.inf
        self._wants = False
        """It fails for want of messages, so that what came instead is to be told."""

    # --- what a kind says ---------------------------------------------------------------------

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        """What is subscribed to came; the message is None where it could not be decoded."""
        raise NotImplementedError

    def would_break(self, slot: int) -> bool:
        """Whether `slot`, which holds, would not if a message had come that was lost."""
        return False

    def deadline(self) -> float:
        """When `advance` has something to do next; infinity for never."""
        return math.inf

    def advance(self, now: float) -> None:
        pass

    def settle_pending(self, now: float) -> None:
        """The end has come: leave no slot PENDING."""
        raise NotImplementedError

    def expectation(self) -> str:
        """The predicate: ``receives kind READ within 5 s``."""
        raise NotImplementedError

    def came(self, slot: int) -> tuple[int, str]:
        """Of a slot that broke without a note: how many of what was asked for came, and what."""
        return 0, ""

    def margin(self) -> tuple[float, float, str] | None:
        """Of what held, where the kind knows: the time left when the last device did, when, and who."""
        return None

    def reached(self) -> Standing:
        """How far it is, where there is more to tell than how many devices held."""
        return (
            NOT_COUNTED
            if self.slots.pooled
            else Standing(unit="device", held=self.held, broken=self.broken, total=self.count)
        )

    def moment(self, slot: int) -> float | None:
        """When what made `slot` fail took place; None: that is not known of it alone."""
        return self._notes.get(slot, NOTHING_TO_SAY).t

    def broken_on(self) -> Grounds:
        """What took place when slots broke, and when."""
        return self._broken_on

    def pool(self) -> Export:
        """With ``all``: what a merge needs of this shard, plain data."""
        return {}

    def ready(self, t: float) -> None:
        """Windows begin."""
        self.ready_at = t

    def begin(self, t: float) -> None:
        """What it comes after has come, at `t`: messages count from now on."""
        self.waiting = False
        # In place: the observers hold on to it.
        self.state[: self.count] = bytes(self.count)
        for gate in self.gates:
            gate[:-1] = bytes(len(gate) - 1)
        self.instead.begin(t)
        self.ready(t)
        self.alarms.append(self.deadline())

    def ending(self, now: float) -> str:
        """What kept the end from being a fair one: it came early, or the gateway never did."""
        return ""

    def said(self, message: Mapping[str, Any] | None) -> str:
        """A message in words: of a service's, first what the match asks for."""
        if message is None or not self.spec.service:
            return text.message_text(message)
        return text.north_text(message, [one.field for one in self.matcher.conditions])

    # --- for the kinds ------------------------------------------------------------------------

    def subscribe(self, *, unless: Matcher | None = None, missed: bool = False) -> Subscription:
        """A subscription to what the expectation is about."""
        event = "undecodable" if self.matcher.undecodable else "message"
        layer = self.spec.layer if event == "message" else "application"
        topic = Topic(self.spec.direction, event, layer)  # type: ignore[arg-type]
        self._wants = missed
        take = self._missed if missed and event == "message" else None
        return Subscription(topic, self.matcher, self.matched, unless, take)

    def lost(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        """What is subscribed to was on its way, and has not come."""
        if slot not in self._unheard and self.would_break(slot):
            what = "what would have broken it was lost before a session had it"
            self._unheard[slot] = f"{what} ({device.name}, {text.moment(t)})"

    def gate(self, slots: int = 1) -> bytearray:
        """A gate for a subscription that is told whatever the state of its slots is."""
        gate = bytearray([WAITING if self.waiting else PENDING]) * slots + bytes([HELD])
        self.gates.append(gate)
        return gate

    def alarm(self, due: float) -> None:
        """There is something to do at `due`, which may be before anything else."""
        if due < self._due:
            self._due = due
            self.alarms.append(due)

    def hold(self, slot: int, t: float) -> None:
        self.state[slot] = HELD
        self.held += 1
        self._samples.forget(slot)
        self._count_in(t)

    def fail(self, slot: int, t: float, why: str, on: Ground | None = WINDOW) -> None:
        """`on` is what decided that; None: it is proved, however late the simulator was. Left out:
        whatever came since the windows began; `ELSEWHERE`: `broken_on` will tell."""
        if on is not ELSEWHERE:
            self._broken_on.add(Ground(self.ready_at or 0.0, t) if on is WINDOW else on)
        self.state[slot] = BROKEN
        self.broken += 1
        self.note(slot, text.at(why, t), t=t)
        self._count_in(t)

    def note(self, slot: int, why: str, rank: Rank = EXACT, t: float | None = None) -> None:
        """Keep `why`, which was at `t`, to be told of `slot`, unless something nearer is there already."""
        known = self._notes.get(slot)
        if rank < known.rank if known else len(self._notes) < MAX_NOTES:
            self._notes[slot] = Note(why, rank, t)

    def trouble(
        self,
        error: IotsimError,
        slot: int,
        message: Mapping[str, Any],
        device: DeviceView,
        t: float,
    ) -> None:
        """An expression of the expectation failed: the message does not match, and it is told.

        What fails since the message lacks a field is no failure.
        """
        if not (isinstance(error, ExpressionError) and error.absent) and not self.error:
            self.error = str(error)
        if self.instead.heard:
            self._missed(slot, message, device, t)

    def finish(self, now: float) -> None:
        """Decide whatever is undecided. Idempotent."""
        if self.closed and self.verdict is not None:
            return
        self.ended_at = now
        if self.waiting:
            self.verdict, self.closed = False, True
            self.news.append(self)
            return
        self._ending = self.ending(now)
        self.settle_pending(now)
        self._explain()
        self.closed = True
        if self.verdict is None:
            self.verdict = quantified(self.spec.quantifier, self.held, self.broken)
            if self.verdict and self.followed is not None and self.decided_at is not None:
                self.followed(self.decided_at)
        self.news.append(self)

    # --- for reports --------------------------------------------------------------------------

    def standing(self) -> Standing:
        """How far it is now."""
        if not self.count:
            return Standing(self.verdict)
        standing, keeps = self.reached(), self.keeps
        if self.spec.quantifier == "none":
            keeps = not keeps
            standing = standing._replace(held=standing.broken, broken=standing.held)
        after = self.spec.after if self.waiting else ""
        return standing._replace(verdict=self.verdict, keeps=keeps, after=after)

    def export(self) -> Export:
        """This watcher's part of the outcome, plain data."""
        culprits = self._culprits()
        margin = self.margin() if self.verdict else None
        nearest = self._nearest_of()
        pooled = self.slots.pooled
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "quantifier": self.spec.quantifier,
            "severity": self.spec.severity,
            "place": self.spec.place,
            "forbids": self.forbids,
            "decoding": self._decoding(),
            "service": self.spec.service,
            "services": sorted(services_of(self.spec)),
            "direction": "northbound" if self.spec.service else self.spec.direction,
            "whom": self.whom,
            "expected": self.expectation(),
            "selected": self.slots.selected,
            "devices": self.slots.devices,
            "held": self.held,
            "broken": self.broken,
            "verdict": self.verdict,
            "decided_at": self.decided_at,
            "error": self.error,
            "ending": self._ending,
            "after": self.spec.after if self.waiting and self.count else "",
            "culprits": [] if pooled else [self._told(slot) for slot in culprits],
            "nearest": None if nearest is None or pooled else self._told(nearest),
            "text": self._notes.get(0, NOTHING_TO_SAY).text if pooled else "",
            "margin": margin,
            "pool": self.pool() if pooled else {},
            "unwatched": self.unwatched,
            "unheard": self._doubts(),
            "broken_on": self.broken_on().export() if self.broken else NO_GROUNDS,
            "held_on": self._held_on().export() if self.held else NO_GROUNDS,
            "span": Ground(self.began, self._watched_until),
        }

    @property
    def began(self) -> float:
        """Since when messages count."""
        return (self.ready_at or 0.0) if self.spec.after else 0.0

    @property
    def _watched_until(self) -> float:
        return self.ended_at if self.decided_at is None else self.decided_at

    def _held_on(self) -> Grounds:
        grounds = Grounds()
        grounds.add(Ground(self.began, self._watched_until, None) if self.silent else None)
        return grounds

    def _doubts(self) -> list[str]:
        """Of each slot that holds, and might not, what was lost before a session had it."""
        found = dict(self._unheard)
        for fleet, losses in self.losses.items():
            table = self.slots.tables[fleet]
            for index, t in losses.within(self.began, self._watched_until):
                slot = table[index]
                if slot >= 0 and slot not in found and self.would_break(slot):
                    what = "what might have broken it was lost before a session had it, and not repeated"
                    found[slot] = f"{what} ({device_text(fleet, index)}, {text.moment(t)})"
        return [first for slot, first in found.items() if self.state[slot] == HELD]

    def _decoding(self) -> list[str]:
        """The fleets of which it needs to understand what they receive."""
        if self.spec.direction == "sends" or self.spec.service or self.matcher.undecodable:
            return []
        return [*self.slots.tables]

    # --- inside -------------------------------------------------------------------------------

    def _missed(self, slot: int, message: Mapping[str, Any], device: DeviceView, t: float) -> None:
        self._samples.add(slot, device, message, t)

    def _count_in(self, t: float) -> None:
        if self.verdict is None:
            self._decide(t)
        elif self.held + self.broken == self.count:
            self.closed = True
            self.news.append(self)

    def _decide(self, t: float) -> None:
        quantifier = self.spec.quantifier
        if self.undecided_pool:
            self.closed = True
        else:
            if quantifier in ("any", "none"):
                decided = self.held > 0 or self.broken == self.count
            else:
                decided = self.broken > 0 or self.held == self.count
            if not decided:
                return
            self.verdict = quantified(quantifier, self.held, self.broken)
            self.decided_at = t
            self.closed = self.verdict or self.held + self.broken == self.count
        self.news.append(self)
        if self.verdict and self.followed is not None:
            self.followed(t)

    @property
    def _culpable(self) -> int:
        """The state of a device that makes the expectation fail."""
        return HELD if self.spec.quantifier == "none" else BROKEN

    def _culprits(self) -> list[int]:
        """The first `MAX_DEVICES` slots that make it fail."""
        found: list[int] = []
        position = self.state.find(self._culpable, 0, self.count)
        while position >= 0 and len(found) < MAX_DEVICES:
            found.append(position)
            position = self.state.find(self._culpable, position + 1, self.count)
        return found

    def _explain(self) -> None:
        """Say of what has failed for want of something what came instead, while that is known."""
        if not self._wants or self._culpable != BROKEN:
            return
        near = islice(
            (slot for slot in self.instead.told_slots() if self.state[slot]), MAX_COMPARED
        )
        for slot in {*self._culprits(), *near}:
            if self.state[slot] == BROKEN and slot not in self._notes:
                self._notes[slot] = self.instead.note(slot, *self.came(slot))

    def _nearest_of(self) -> int | None:
        """The slot that makes it fail and came nearest; None where none came near."""
        ranks = [
            (note.rank, slot)
            for slot, note in self._notes.items()
            if self.state[slot] == self._culpable and note.rank < FAR
        ]
        return min(ranks)[1] if ranks else None

    def _told(self, slot: int) -> list[Any]:
        note = self._notes.get(slot, NOTHING_TO_SAY)
        return [*self.slots.place(slot), note.rank, note.text, self.moment(slot)]


def quantified(quantifier: str, held: int, broken: int) -> bool:
    """The verdict over devices of which none is pending."""
    if quantifier == "any":
        return held > 0
    if quantifier == "none":
        return held == 0
    return broken == 0
