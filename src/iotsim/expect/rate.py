"""``count`` with ``per``: how many matching messages come in a span of time.

A maximum holds for every window of that length, wherever it starts: with ``max = n``, a message and
the n-th before it are never less than `per` apart (the window is half open, so that one message a
second, exactly a second apart, is not two in a second). It breaks at once.

A minimum holds for each of the complete consecutive windows that start when the gateway is ready; a
window that began before a device booted does not count for that device. It breaks when a window
closes. Where the run ended before a device saw a complete window, the incomplete one is judged, so
that a run which was too short proves nothing in favor of the gateway.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iotsim.expect import text
from iotsim.expect.count import bounds_text
from iotsim.expect.lapses import Ground
from iotsim.expect.watcher import HELD, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Export
    from iotsim.match import DeviceView

EPSILON_S = 1e-9
"""Two times that should be `per` apart may differ by the rounding of a subtraction."""
LEAST_SPAN_S = 1e-3
"""A shorter span means nothing between processes, and would make countless windows of a run."""
KEPT_TIMES = 1 << 21
"""A part of a pool keeps the times of at most so many messages for the merge. Once it has forgotten the
oldest, no maximum is proved any more."""


class Rate(Watcher):
    keeps = True

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.per_s is not None
        self.per_s = max(spec.per_s * tolerance, LEAST_SPAN_S)
        self.minimum = spec.count_min or 0
        self.maximum = spec.count_max
        self._least_span_s = self.per_s - EPSILON_S
        # The maximum: a ring of the last `maximum` times per slot, whose first element is the
        # position of the oldest; made when the slot has its first message. A ring of one is just
        # an element of an array.
        single = self.maximum == 1
        self._lasts = array("d", [-math.inf]) * (self.count if single else 0)
        self._rings: list[array[float] | None] = (
            [] if single or not self.maximum else [None] * self.count
        )
        self._times = array("d")
        # The minimum: messages in the window that is open, and how many slots have enough.
        self._counts = array("I", bytes(4 * self.count))
        self._reached = 0
        self._window_start = 0.0
        self._window_end = math.inf
        self._closed_windows = 0
        self._pool_windows = array("I")
        take = self.matched
        if single and not self.minimum and not self.undecided_pool:
            take = self._spaced
        self.subscriptions = [replace(self.subscribe(), matched=take)]

    def ready(self, t: float) -> None:
        super().ready(t)
        if self.minimum:
            self._window_start, self._window_end = t, t + self.per_s

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        if t >= self._window_end:
            self.advance(t)
            if self.state[slot]:
                return
        if self.minimum and self._window_end < math.inf:
            self._counts[slot] += 1
            if self._counts[slot] == self.minimum:
                self._reached += 1
        if self.maximum is not None:
            self._check_maximum(slot, message, device, t)

    def _spaced(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        """`matched` for the commonest rate, "once per": one time for each slot."""
        before = self._lasts[slot]
        self._lasts[slot] = t
        if t - before < self._least_span_s:
            self._exceed(slot, [before], message, t)

    def _check_maximum(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        maximum = self.maximum
        assert maximum is not None
        if self.undecided_pool:
            if len(self._times) >= KEPT_TIMES:
                del self._times[: KEPT_TIMES // 2]
                self.unwatched += KEPT_TIMES // 2
            self._times.append(t)
            return
        if maximum == 0:
            self._exceed(slot, [], message, t)
            return
        if maximum == 1:
            self._spaced(slot, message, device, t)
            return
        ring = self._rings[slot]
        if ring is None:
            ring = self._rings[slot] = array("d", [-math.inf]) * (maximum + 1)
            ring[0] = 1
        position = int(ring[0])
        before = ring[position]
        ring[position] = t
        ring[0] = position + 1 if position < maximum else 1
        if t - before < self._least_span_s:
            self._exceed(slot, [before, *sorted(ring[1:])[:-1]], message, t)

    def _exceed(
        self, slot: int, times: Sequence[float], message: Mapping[str, Any] | None, t: float
    ) -> None:
        """With the one that came just now, and those at `times`, there are too many."""
        if self.minimum and self._counts[slot] >= self.minimum:
            self._reached -= 1  # it is no longer among those that the window asks
        said = f"{len(times) + 1} came"
        if times:
            said = f"{len(times) + 1} within {text.seconds(round(t - times[0], 6))}"
        ground = Ground(times[0], t, self.per_s - (t - times[0])) if times else None
        self.fail(slot, t, text.last_text(said, times, self.said(message)), ground)

    def deadline(self) -> float:
        return math.inf if self.closed else self._window_end

    def advance(self, now: float) -> None:
        while now >= self._window_end and not self.closed:
            self._close_window()
            if self.broken == self.count and not self.undecided_pool:
                self._window_end = math.inf  # nobody is left whom a window could ask

    def _close_window(self) -> None:
        end = self._window_end
        if self.undecided_pool:
            self._pool_windows.append(self._counts[0] if self.count else 0)
        elif self._reached < self.count - self.broken - self.held:
            for slot in range(self.count):
                if (
                    not self.state[slot]
                    and self._counts[slot] < self.minimum
                    and self.slots.boot_time(slot) <= self._window_start
                ):
                    window = f"from t={self._window_start:.3f} s to t={end:.3f} s"
                    ground = Ground(self._window_start, end, self.per_s, edge=True)
                    self.fail(slot, end, f"{self._counts[slot]} came {window}", ground)
        self._closed_windows += 1
        self._counts = array("I", bytes(4 * self.count))
        self._reached = 0
        self._window_start, self._window_end = end, end + self.per_s

    def settle_pending(self, now: float) -> None:
        if now >= self._window_end:
            self.advance(now)
        last_start = self._window_start - self.per_s if self._closed_windows else -math.inf
        for slot in range(self.count):
            if self.state[slot]:
                continue
            saw_window = self._closed_windows and self.slots.boot_time(slot) <= last_start
            if self.minimum and not saw_window and self._counts[slot] < self.minimum:
                window = text.seconds(self.per_s)
                came = f"{self._counts[slot]} came, and the run ended before {window} were over"
                self.fail(slot, now, came)
            else:
                self.state[slot] = HELD
                self.held += 1

    def expectation(self) -> str:
        bounds = bounds_text(self.spec.count_min, self.maximum)
        return f"{self.spec.direction} {self.matcher.text}: {bounds} per {text.seconds(self.per_s)}"

    def pool(self) -> Export:
        if not self.undecided_pool:
            return {}
        return {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "per_s": self.per_s,
            "times": self._times.tolist(),
            "windows": self._pool_windows.tolist(),
            "open": self._counts[0] if self.count else 0,
        }


def judge_parts(pools: Sequence[Mapping[str, Any]]) -> str:
    """Why the parts of a pool together break the expectation; "" when they do not."""
    minimum, maximum, per_s = pools[0]["minimum"], pools[0]["maximum"], pools[0]["per_s"]
    if maximum is not None:
        times = sorted(t for pool in pools for t in pool["times"])
        for first, last in zip(times, times[maximum:], strict=False):
            if maximum == 0 or last - first < per_s - EPSILON_S:
                return f"{maximum + 1} within {text.seconds(last - first)} ({text.moment(last)})"
    if minimum:
        length = max((len(pool["windows"]) for pool in pools), default=0)
        for number in range(length):
            total = sum(p["windows"][number] for p in pools if number < len(p["windows"]))
            if total < minimum:
                return f"{total} came in window {number + 1}"
        if not length and sum(pool["open"] for pool in pools) < minimum:
            return f"the run ended before {text.seconds(per_s)} were over"
    return ""
