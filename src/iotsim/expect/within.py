"""``within``: a matching message comes in time.

Time counts from the moment the gateway is ready, or from the boot of a device that boots later. A
message that comes before that counts too. What is still missing when the last device's time is over
is decided then, all at once, so that the failure names every device.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError
from iotsim.expect import text
from iotsim.expect.misses import Misses
from iotsim.expect.watcher import BROKEN, HELD, PENDING, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.expect.slots import FleetView, Table
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export, Observer
    from iotsim.match import DeviceView


class Within(Watcher):
    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.within_s is not None
        self.window_s = spec.within_s * tolerance
        self._common_deadline = math.inf
        self._last_deadline = math.inf
        self.misses = Misses(
            self.matcher, self.count, "heard" if spec.direction == "receives" else "sent"
        )

    def ready(self, t: float) -> None:
        super().ready(t)
        self._common_deadline = t + self.window_s
        self._last_deadline = max(t, self.slots.booted_by_s) + self.window_s

    def observer(self, table: Table) -> Observer:
        state, matches = self.state, self.matcher.matches
        matched, missed = self.matched, self.misses.add

        def observe(device: DeviceView, message: Mapping[str, Any], t: float) -> None:
            slot = table[device.index]
            if state[slot]:
                return
            try:
                if matches(message, device, t):
                    matched(slot, message, device, t)
                else:
                    missed(slot, message, device, t)
            except IotsimError as error:
                self.trouble(error)
                missed(slot, message, device, t)

        return observe

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        if self.state[slot]:
            return
        if t > self._common_deadline and t > self._deadline_of(slot):
            self.misses.heard[slot] += 1
            self.misses.note(slot, "the right one, but too late", t)
            return
        self.misses.forget(slot)
        self.hold(slot, t)

    def undecodable(self, device: DeviceView, slot: int, reason: str, t: float) -> None:
        if self.matcher.undecodable:
            self.matched(slot, None, device, t)
        elif not self.state[slot]:
            self.misses.undecodable(slot, reason, t)

    def deadline(self) -> float:
        # What comes at the very deadline is still in time, so it is decided just after it.
        return math.inf if self.closed else math.nextafter(self._last_deadline, math.inf)

    def advance(self, now: float) -> None:
        if now > self._last_deadline and not self.closed:
            self.finish(now)
            if self.decided_at is None:
                self.decided_at = self._last_deadline

    def settle_pending(self, now: float) -> None:
        self.state[: self.count] = self.state[: self.count].replace(
            bytes([PENDING]), bytes([BROKEN])
        )
        self.broken = self.count - self.held

    def expectation(self) -> str:
        return f"{self.spec.direction} {self.matcher.text} within {text.seconds(self.window_s)}"

    def detail(self, slot: int) -> str:
        if self.state[slot] == HELD:
            return "received it in time" if self.spec.direction == "receives" else "sent it in time"
        return self.misses.describe(slot)

    def distance(self, slot: int) -> int:
        return self.misses.distance(slot)

    def nearest(self) -> int | None:
        return self.misses.nearest(self.state, BROKEN)

    def heard(self) -> bool:
        return self.held > 0 or any(self.misses.heard)

    def ending(self, now: float) -> str:
        if self.ready_at is None:
            return "the gateway was never ready"
        if now < self._last_deadline:
            window = text.seconds(self.window_s)
            return f"the run ended at {text.moment(now)}, before the {window} were over"
        return ""

    def pool(self) -> Export:
        return {"held": self.held > 0}

    def _deadline_of(self, slot: int) -> float:
        assert self.ready_at is not None
        return max(self.ready_at, self.slots.boot_time(slot)) + self.window_s
