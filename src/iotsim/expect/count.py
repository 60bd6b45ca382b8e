"""``count`` without ``per``: how many matching messages come during the whole run.

A maximum breaks at once and holds only at the end; a minimum alone is decided when it is reached.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from iotsim.expect import text
from iotsim.expect.heard import SAMPLES_EACH, Samples
from iotsim.expect.lapses import Ground
from iotsim.expect.standing import Standing
from iotsim.expect.watcher import BROKEN, HELD, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export
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
        self.keeps = not self.minimum
        self.counts = array("I", bytes(4 * self.count))
        self._first = Samples()
        """The first messages that each slot counted."""
        self._decisive = self.minimum if self.maximum is None else self.maximum + 1
        """The number of the message that decides about its slot."""
        if self.undecided_pool:
            self._decisive = -1
        self.subscriptions = [self.subscribe(missed=self.minimum > 0)]
        if self.minimum == 0 and self.maximum is None:  # nothing is asked
            for slot in range(self.count):
                self.hold(slot, 0.0)

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        count = self.counts[slot] = self.counts[slot] + 1
        if count <= SAMPLES_EACH:
            self._first.add(slot, device, message, t)
        if count != self._decisive:
            return
        if self.maximum is None:
            self._first.forget(slot)
            self.hold(slot, t)
        else:
            times = [t for t, _ in self._arrivals(slot)][: count - 1]
            last = self.said(message)
            # One is proof where none may come; of several, our late answers may have made more.
            ground = Ground(times[0] if times else self.began, t) if self.maximum else None
            self.fail(slot, t, text.last_text(f"{count} came", times, last, count - 1), ground)

    def settle_pending(self, now: float) -> None:
        for slot in range(self.count):
            if not self.state[slot]:
                if self.counts[slot] >= self.minimum:
                    self.state[slot] = HELD
                    self.held += 1
                else:
                    self.state[slot] = BROKEN
                    self.broken += 1
                    self._broken_on.add(Ground(self.began, now))

    def would_break(self, slot: int) -> bool:
        return self.maximum == 0  # with more, it may be the same that came again

    def expectation(self) -> str:
        bounds = bounds_text(self.spec.count_min, self.maximum)
        return f"{self.spec.direction} {self.matcher.text}: {bounds}"

    def came(self, slot: int) -> tuple[int, str]:
        return self.counts[slot], text.arrivals_text(self.counts[slot], self._arrivals(slot))

    def reached(self) -> Standing:
        if self.count != 1:
            return super().reached()
        asked = self.minimum if self.maximum is None else self.maximum
        return Standing(unit="message", held=self.counts[0], broken=self.broken, total=asked)

    def pool(self) -> Export:
        return {
            "count": sum(self.counts),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "arrivals": self._arrivals(0) if self.count else [],
        }

    def _arrivals(self, slot: int) -> list[tuple[float, str]]:
        """When and what the first messages were that `slot` counted."""
        who = self.slots.pooled
        return [
            (t, (f"{device.name} " if who else "") + self.said(message))
            for t, message, device in self._first.of(slot)
        ]
