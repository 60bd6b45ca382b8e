"""What came near: kept for a bounded number of devices, so that a failure can say what was missing.

Only devices that are still unsatisfied come here. For each, how much was heard is counted; for at
most `MAX_DEVICES` of them at a time the first `MAX_EXPLAINED` messages that did not match are
explained at once (later, the state that an expression looks at would be another), and the one with
the fewest differing fields is kept. A device that gets satisfied makes room for another.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError
from iotsim.expect import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.match import DeviceView, Matcher

MAX_DEVICES = 1024
MAX_EXPLAINED = 8


class _Nearest:
    __slots__ = ("distance", "left", "t", "text")

    def __init__(self) -> None:
        self.left = MAX_EXPLAINED
        self.distance = 1 << 30
        """How many fields differed."""
        self.text = ""
        self.t = 0.0


class Misses:
    """The near misses of one expectation. `verb` is "heard" or "sent"."""

    def __init__(self, matcher: Matcher, slots: int, verb: str) -> None:
        self._explain = matcher.explain
        self._verb = verb
        self._nearest: dict[int, _Nearest] = {}
        self.heard = array("I", bytes(4 * slots))
        """Messages per slot that did not match."""

    def add(self, slot: int, message: Mapping[str, Any], device: DeviceView, t: float) -> None:
        """`message` was meant for the device at `slot`, and did not match."""
        self.heard[slot] += 1
        nearest = self._nearest.get(slot)
        if nearest is None:
            if len(self._nearest) >= MAX_DEVICES:
                return
            nearest = self._nearest[slot] = _Nearest()
        if not nearest.left:
            return
        nearest.left -= 1
        try:
            mismatches = self._explain(message, device, t)
        except IotsimError as error:
            self._keep(nearest, 1 << 20, str(error), t)
            return
        self._keep(nearest, len(mismatches), text.mismatch_text(mismatches), t)
        if len(mismatches) <= 1:
            nearest.left = 0  # it cannot get nearer

    def note(self, slot: int, what: str, t: float, *, distance: int = 0) -> None:
        """Keep `what` as the nearest miss of `slot`; `distance` 0 is nearer than any mismatch."""
        nearest = self._nearest.get(slot)
        if nearest is None:
            if len(self._nearest) >= MAX_DEVICES:
                return
            nearest = self._nearest[slot] = _Nearest()
        self._keep(nearest, distance, what, t)

    def undecodable(self, slot: int, reason: str, t: float) -> None:
        """A datagram for `slot` was no message at all."""
        self.heard[slot] += 1
        self.note(slot, f"it could not be decoded: {reason}", t, distance=1 << 20)

    def forget(self, slot: int) -> None:
        self._nearest.pop(slot, None)

    def nearest(self, state: bytearray, wanted: int) -> int | None:
        """The slot in `wanted` state that came nearest; None where none came near."""
        slots = [slot for slot in self._nearest if state[slot] == wanted]
        return min(slots, key=lambda slot: (self._nearest[slot].distance, slot), default=None)

    def distance(self, slot: int) -> int:
        """How many fields the nearest miss of `slot` differed in; large where there was none."""
        nearest = self._nearest.get(slot)
        return nearest.distance if nearest else 1 << 30

    def describe(self, slot: int) -> str:
        """``heard nothing in that time``, ``heard 2 messages, nearest: kind was READ instead of ACK``."""
        heard = self.heard[slot]
        nearest = self._nearest.get(slot)
        told = f"{text.clip(nearest.text, 300)} ({text.moment(nearest.t)})" if nearest else ""
        if not heard:
            return told if nearest else f"{self._verb} nothing in that time"
        count = text.plural(heard, "message")
        if not nearest or not nearest.text:
            return f"{self._verb} {count} that did not match"
        return f"{self._verb} {count}, nearest: {told}"

    @staticmethod
    def _keep(nearest: _Nearest, distance: int, what: str, t: float) -> None:
        if distance < nearest.distance:
            nearest.distance, nearest.text, nearest.t = distance, what, t
