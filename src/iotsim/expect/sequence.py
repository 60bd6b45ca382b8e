"""``sequence``: messages one after the other, and the time between them.

The first message that matches the first part anchors a device's sequence. From then on each part is decided
by the next message that matches it, whatever else comes: it must come within the part's `after`, counted
from the part before. So one that comes too early breaks the sequence as one that comes too late does, and
one that does not come breaks it as soon as its time is over; nothing begins anew. A message decides one part
at most, on each layer. With ``within`` the last part must have come by then, else by the end of the run.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.expect import text
from iotsim.expect.lapses import Ground
from iotsim.expect.northbound import ServiceView, fleet_of
from iotsim.expect.standing import Standing
from iotsim.expect.subscription import Subscription, Topic, topic_of, values_of
from iotsim.expect.watcher import BROKEN, PENDING, Watcher
from iotsim.match import compile_match
from iotsim.units import DurationRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Collection

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec, Look, Part
    from iotsim.match import DeviceView
    from iotsim.units import Tolerance

EPSILON_S = 1e-9
"""The rounding of a subtraction of times."""
EVERYTHING = compile_match({})


class Gap(NamedTuple):
    """How long after the part before it a part may come, in seconds."""

    low_s: float
    high_s: float

    def __str__(self) -> str:
        return f"{text.seconds(round(self.low_s, 6))} to {text.seconds(round(self.high_s, 6))}"

    def missed_by(self, gap_s: float) -> float:
        """By how much a gap is not in these bounds, in seconds."""
        return max(self.low_s - gap_s, gap_s - self.high_s, 0.0)

    def off(self, gap_s: float) -> str:
        """By how much a gap is not in these bounds, or ""."""
        if gap_s < self.low_s - EPSILON_S:
            return f"{text.seconds(round(self.low_s - gap_s, 3))} too early"
        if gap_s > self.high_s + EPSILON_S:
            return f"{text.seconds(round(gap_s - self.high_s, 3))} too late"
        return ""


def gap_of(after: Tolerance | DurationRange | None, tolerance: float) -> Gap:
    """What is asked, with the scenario's tolerance: a range grows at both ends."""
    if after is None:
        return Gap(0.0, math.inf)
    if isinstance(after, DurationRange):
        return Gap(after.low_s / tolerance, after.high_s * tolerance)
    return Gap(*after.bounds(tolerance))


class Sequence(Watcher):
    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        self.parts: tuple[Part, ...] = spec.parts
        self.gaps = [gap_of(part.after, tolerance) for part in spec.parts]
        self.window_s = math.inf if spec.within_s is None else spec.within_s * tolerance
        self._until = math.inf
        """When the last part of all devices must have come."""
        self._times: dict[int, list[float]] = {}
        """Of the slots that are anchored: when their parts came."""
        self._devices: dict[int, DeviceView] = {}
        """Of the same, who they are; only where a part is northbound."""
        self._due_parts: list[tuple[float, int, int]] = []
        """A heap of (when, slot, the part that must have come by then)."""
        self._expecting: dict[str, dict[int, None]] = {}
        """For each service the slots whose next part is something that it is sent."""
        self.subscriptions = [*self._of_devices(), *self._of_services()]
        self._mixed = bool(self._expecting)

    # --- what it wants to be told -------------------------------------------------------------

    def _of_devices(self) -> list[Subscription]:
        """One for each topic: it is told once of a message, whatever number of parts that is for."""
        looks: dict[Topic, list[Look]] = {}
        for part in self.parts:
            if not part.look.service or part.look.service == self.spec.service:
                looks.setdefault(topic_of(part.look), []).append(part.look)
        # What devices hear is kept for those whose first part never came.
        first = None if self._is_other(self.parts[0]) else self.subscribe(missed=True)
        made = []
        for topic, some in looks.items():
            matchers = [look.matcher for look in some]
            undecodable = topic.event == "undecodable"
            made.append(
                Subscription(
                    topic,
                    matchers[0] if undecodable else EVERYTHING,
                    self._taker(topic),
                    missed=first.missed if first is not None and first.topic == topic else None,
                    values={} if undecodable else values_of(matchers),
                )
            )
        return made

    def _taker(self, topic: Topic) -> Any:
        parts = [
            None if topic_of(part.look) != topic or self._is_other(part) else part
            for part in self.parts
        ]

        def take(slot: int, message: Any, device: DeviceView, t: float) -> None:
            times = self._times.get(slot)
            part = parts[0 if times is None else len(times)]
            if part is None:
                return
            matcher = part.look.matcher
            if matcher.undecodable or matcher.matches(message, device, t):
                self._came(slot, device, t)

        return take

    def _is_other(self, part: Part) -> bool:
        """Whether a part is about a service, where the expectation is about devices."""
        return bool(part.look.service) and part.look.service != self.spec.service

    def _of_services(self) -> list[Subscription]:
        made = []
        for service in dict.fromkeys(p.look.service for p in self.parts if self._is_other(p)):
            first = self.parts[0].look.service == service
            self._expecting[service] = dict.fromkeys(range(self.count if first else 0))
            topic = Topic("receives")
            take = self._northbound(service)
            made.append(Subscription(topic, EVERYTHING, take, gate=self.gate(), service=service))
        return made

    def _northbound(self, service: str) -> Any:
        expecting = self._expecting[service]
        view = ServiceView(fleet_of(service))

        def take(_slot: int, fields: Any, _view: DeviceView, t: float) -> None:
            for slot in [*expecting]:
                if self.state[slot]:
                    del expecting[slot]
                    continue
                part = self.parts[len(self._times.get(slot, ()))]
                device = self._devices.get(slot) or self.slots.device(slot) or view
                if part.look.matcher.matches(fields, device, t):
                    self._came(slot, device, t)

        return take

    # --- what comes ---------------------------------------------------------------------------

    def ready(self, t: float) -> None:
        super().ready(t)
        self._until = max(t, self.slots.booted_by_s) + self.window_s

    def _came(self, slot: int, device: DeviceView, t: float) -> None:
        """The next part of `slot` has come."""
        times = self._times.get(slot)
        number = 0 if times is None else len(times)
        if times is None:
            times = self._times[slot] = []
        before = times[-1] if times else t
        times.append(t)
        late = self._lateness(slot, t)
        off = self.gaps[number].off(t - before) if number else ""
        if off:
            ground = Ground(before, t, self.gaps[number].missed_by(t - before))
            self._break(slot, t, off, ground)
            return
        if late:
            begin = max(self.ready_at or 0.0, self.slots.boot_time(slot))
            ground = Ground(begin, t, t - begin - self.window_s)
            self._break(slot, t, f"{late} too late", ground)
            return
        if self._mixed:
            self._devices[slot] = device
            if self._is_other(self.parts[number]):
                self._expecting[self.parts[number].look.service].pop(slot, None)
        if number + 1 == len(self.parts):
            del self._times[slot]
            self._devices.pop(slot, None)
            if self.spec.quantifier == "none":
                self.note(slot, text.at("the last part came", t))
            self.hold(slot, t)
            return
        following = self.parts[number + 1]
        if self._is_other(following):
            self._expecting[following.look.service][slot] = None
        due = t + self.gaps[number + 1].high_s
        if due < math.inf:
            heappush(self._due_parts, (due, slot, number + 1))
            self.alarm(due)

    def _lateness(self, slot: int, t: float) -> str:
        """By how much the window of `slot` is over, or ""."""
        if self.ready_at is None or self.window_s == math.inf:
            return ""
        end = max(self.ready_at, self.slots.boot_time(slot)) + self.window_s
        return text.seconds(round(t - end, 3)) if t > end + EPSILON_S else ""

    def reached(self) -> Standing:
        standing = super().reached()
        if self.count == 1:
            come = len(self.parts) if self.held else len(self._times.get(0, ()))
            standing = Standing(unit="part", held=come, broken=self.broken, total=len(self.parts))
        return standing._replace(due=None if math.isinf(self._until) else self._until)

    # --- time ---------------------------------------------------------------------------------

    def deadline(self) -> float:
        if self.closed or self.waiting:
            self._due = math.inf
            return math.inf
        due = self._due_parts[0][0] if self._due_parts else math.inf
        self._due = math.nextafter(min(due + EPSILON_S, self._until + EPSILON_S), math.inf)
        return self._due

    def advance(self, now: float) -> None:
        while self._due_parts and self._due_parts[0][0] + EPSILON_S < now and not self.closed:
            due, slot, number = heappop(self._due_parts)
            if not self.state[slot] and len(self._times.get(slot, ())) == number:
                before = self._times[slot][-1]
                self._break(slot, due, "", Ground(before, due, self.gaps[number].high_s))
        if now > self._until + EPSILON_S and not self.closed:
            if self.decided_at is None:
                self.decided_at = self._until
            self.finish(now)

    def settle_pending(self, now: float) -> None:
        missed = self.count - self.held - self.broken
        for slot, times in self._times.items():
            if not self.state[slot]:
                missed -= 1
                self.note(slot, self._came_of(times, ""))
                self._broken_on.add(Ground(times[-1], now, self.window_s))
        if missed:
            self._broken_on.add(Ground(self.ready_at or 0.0, now, self.window_s))
        self.state[: self.count] = self.state[: self.count].replace(
            bytes([PENDING]), bytes([BROKEN])
        )
        self.broken = self.count - self.held

    def ending(self, now: float) -> str:
        if now < self._until < math.inf:
            return f"the run ended at {text.moment(now)}, before the {text.seconds(self.window_s)} were over"
        return ""

    # --- what is told -------------------------------------------------------------------------

    def _break(self, slot: int, t: float, off: str, on: Ground) -> None:
        times = self._times.pop(slot)
        self._devices.pop(slot, None)
        self.fail(slot, t, self._came_of(times, off), on)

    def _came_of(self, times: Collection[float], off: str) -> str:
        """What came of a sequence, `off` being wrong with the last part; without, the next did not come."""
        number = len(times) if off else len(times) + 1
        part = self.parts[number - 1]
        said = f"part {number} of {len(self.parts)} ({self._part_text(part)}) "
        gap = self.gaps[number - 1]
        if off:
            said += f"came {off}"
        else:
            said += "did not come"
            if gap.high_s < math.inf and number > 1:
                said += f" within {text.seconds(round(gap.high_s, 6))}"
        seen = [text.seconds(round(later - t, 3)) for t, later in pairwise(times)]
        asked = [
            str(one) if one.high_s < math.inf else "any" for one in self.gaps[1 : len(times) + 1]
        ]
        if asked:
            if len(seen) < len(asked):
                seen.append("none")
            said += f"; gaps seen: {', '.join(seen)}; asked: {', '.join(asked)}"
        return said

    def _part_text(self, part: Part) -> str:
        """A part for people, who know already which service all of it is about."""
        look = part.look
        if look.service and look.service == self.spec.service:
            return f"receives {look.matcher.text}"
        return look.text

    def expectation(self) -> str:
        said = self._part_text(self.parts[0])
        for part, gap in zip(self.parts[1:], self.gaps[1:], strict=True):
            when = f" {gap} later" if part.after is not None else ""
            said += f", then{when} {self._part_text(part)}"
        limit = "" if self.window_s == math.inf else f", all within {text.seconds(self.window_s)}"
        return said + limit
