"""``within``: a matching message comes in time.

Time counts from the moment the gateway is ready, or from the boot of a device that boots later. A
message that comes before that counts too. What is still missing when the last device's time is over
is decided then, all at once, so that the failure names every device.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.expect import text
from iotsim.expect.lapses import MOST_GROUNDS, Ground, Grounds
from iotsim.expect.watcher import BROKEN, MAX_NOTES, PENDING, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.standing import Standing
    from iotsim.expect.watcher import Export
    from iotsim.match import DeviceView


class Within(Watcher):
    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.within_s is not None
        self.window_s = spec.within_s * tolerance
        self._common_deadline = math.inf
        self._last_deadline = math.inf
        self._slowest: tuple[float, int, float, DeviceView] | None = None
        """The slowest of those that did: how late in its window it was, slot, time, device."""
        self._too_late: dict[int, float] = {}
        """When the right one came to a slot whose time was over, the first time."""
        self.subscriptions = [self.subscribe(missed=True)]

    def ready(self, t: float) -> None:
        super().ready(t)
        self._common_deadline = t + self.window_s
        self._last_deadline = max(t, self.slots.booted_by_s) + self.window_s

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        if t > self._common_deadline and t > (deadline := self._deadline_of(slot)):
            if len(self._too_late) < MAX_NOTES:
                self._too_late.setdefault(slot, t)
            late = text.seconds(round(t - deadline, 3))
            self.note(slot, text.at(f"the right one came {late} too late", t), t=t)
            return
        if self.spec.quantifier == "none":
            self.note(slot, text.at(self.said(message), t), t=t)
        lateness = -math.inf  # before the window begins
        if self.ready_at is not None:
            lateness = t - max(self.ready_at, self.slots.boot_time(slot))
        if self._slowest is None or (lateness >= self._slowest[0] and self.verdict is None):
            self._slowest = (lateness, slot, t, device)
        self.hold(slot, t)

    def deadline(self) -> float:
        # What comes at the very deadline is still in time, so it is decided just after it.
        return math.inf if self.closed else math.nextafter(self._last_deadline, math.inf)

    def advance(self, now: float) -> None:
        if now > self._last_deadline and not self.closed:
            if self.decided_at is None:
                self.decided_at = self._last_deadline
            self.finish(now)

    def settle_pending(self, now: float) -> None:
        self.state[: self.count] = self.state[: self.count].replace(
            bytes([PENDING]), bytes([BROKEN])
        )
        self.broken = self.count - self.held

    def expectation(self) -> str:
        return f"{self.spec.direction} {self.matcher.text} within {text.seconds(self.window_s)}"

    def margin(self) -> tuple[float, float, str] | None:
        if self._slowest is None or self.ready_at is None or math.isinf(self.window_s):
            return None
        _, slot, t, device = self._slowest
        return self._deadline_of(slot) - t, t, device.name

    def ending(self, now: float) -> str:
        if self.ready_at is None:
            return "the gateway was never ready"
        if now < self._last_deadline:
            window = text.seconds(self.window_s)
            return f"the run ended at {text.moment(now)}, before the {window} were over"
        return ""

    def reached(self) -> Standing:
        due = None if math.isinf(self._last_deadline) else self._last_deadline
        return super().reached()._replace(due=due)

    def broken_on(self) -> Grounds:
        grounds = Grounds()
        slot = self.state.find(BROKEN, 0, self.count)
        for _ in range(MOST_GROUNDS):
            if slot < 0:
                break
            grounds.add(self._ground(slot))
            slot = self.state.find(BROKEN, slot + 1, self.count)
        # Those beyond are no worse off than these two.
        for slot in (*self._too_late, self.count - 1):
            if self.state[slot] == BROKEN:
                grounds.add(self._ground(slot))
        return grounds

    def moment(self, slot: int) -> float | None:
        """The first one that came too late, else the end of its time."""
        own = super().moment(slot)
        if own is not None or self.ready_at is None:
            return own
        return min(self._deadline_of(slot), self._watched_until)

    def _ground(self, slot: int) -> Ground:
        if self.ready_at is None:
            return Ground(0.0, self.ended_at)
        begin = max(self.ready_at, self.slots.boot_time(slot))
        end = begin + self.window_s
        if (came := self._too_late.get(slot)) is not None:
            return Ground(begin, came, came - end)
        return Ground(begin, min(end, self._watched_until), self.window_s)

    def pool(self) -> Export:
        return {"held": self.held > 0}

    def _deadline_of(self, slot: int) -> float:
        assert self.ready_at is not None
        return max(self.ready_at, self.slots.boot_time(slot)) + self.window_s
