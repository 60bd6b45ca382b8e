"""``count`` without ``per``: how many matching messages come during the whole run.

A maximum breaks at once and holds only at the end; a minimum alone is decided when it is reached.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError
from iotsim.expect import text
from iotsim.expect.misses import Misses
from iotsim.expect.watcher import BROKEN, HELD, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.expect.slots import FleetView, Table
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export, Observer
    from iotsim.match import DeviceView


def bounds_text(minimum: int | None, maximum: int | None) -> str:
    """``at least 2``, ``at most 3``, ``exactly 4``, ``2 to 3``, ``none``."""
    if maximum is None:
        return f"at least {minimum}"
    if maximum == 0:
        return "none"
    if not minimum:
        return f"at most {maximum}"
    return f"exactly {minimum}" if minimum == maximum else f"{minimum} to {maximum}"


class Count(Watcher):
    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        self.minimum = spec.count_min or 0
        self.maximum = spec.count_max
        self.counts = array("I", bytes(4 * self.count))
        self.misses = Misses(
            self.matcher, self.count, "heard" if spec.direction == "receives" else "sent"
        )
        if self.minimum == 0 and self.maximum is None:  # nothing is asked
            for slot in range(self.count):
                self.hold(slot, 0.0)

    def observer(self, table: Table) -> Observer:
        state, counts, minimum = self.state, self.counts, self.minimum
        matches, matched, missed = self.matcher.matches, self.matched, self.misses.add

        def observe(device: DeviceView, message: Mapping[str, Any], t: float) -> None:
            slot = table[device.index]
            if state[slot]:
                return
            try:
                if matches(message, device, t):
                    matched(slot, message, device, t)
                elif counts[slot] < minimum:
                    missed(slot, message, device, t)
            except IotsimError as error:
                self.trouble(error)

        return observe

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        if self.state[slot]:
            return
        count = self.counts[slot] = self.counts[slot] + 1
        if self.undecided_pool:
            return
        if self.maximum is None:
            if count >= self.minimum:
                self.misses.forget(slot)
                self.hold(slot, t)
        elif count > self.maximum:
            self.fail(slot, t, f"number {count} came: {text.message_text(message)}")

    def undecodable(self, device: DeviceView, slot: int, reason: str, t: float) -> None:
        if self.matcher.undecodable:
            self.matched(slot, None, device, t)
        elif not self.state[slot] and self.counts[slot] < self.minimum:
            self.misses.undecodable(slot, reason, t)

    def settle_pending(self, now: float) -> None:
        for slot in range(self.count):
            if not self.state[slot]:
                if self.counts[slot] >= self.minimum:
                    self.state[slot] = HELD
                    self.held += 1
                else:
                    self.state[slot] = BROKEN
                    self.broken += 1

    def expectation(self) -> str:
        bounds = bounds_text(self.spec.count_min, self.maximum)
        return f"{self.spec.direction} {self.matcher.text}: {bounds}"

    def detail(self, slot: int) -> str:
        if note := super().detail(slot):
            return note
        count = self.counts[slot]
        if not count and self.state[slot] == BROKEN:
            return self.misses.describe(slot)
        said = f"{count} came"
        if count < self.minimum and self.misses.heard[slot]:
            said += f"; besides, {self.misses.describe(slot)}"
        return said

    def distance(self, slot: int) -> int:
        return min(super().distance(slot), self.misses.distance(slot))

    def nearest(self) -> int | None:
        return self.misses.nearest(self.state, BROKEN)

    def heard(self) -> bool | None:
        if not self.minimum:
            return True if any(self.counts) else None
        return any(self.counts) or any(self.misses.heard)

    def pool(self) -> Export:
        return {"count": sum(self.counts), "minimum": self.minimum, "maximum": self.maximum}
