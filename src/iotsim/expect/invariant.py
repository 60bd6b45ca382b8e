"""``never`` and ``always``: what one message can break, and only the end can confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError
from iotsim.expect import text
from iotsim.expect.watcher import HELD, PENDING, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.expect.slots import FleetView, Table
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Observer
    from iotsim.match import DeviceView, Matcher


class _Invariant(Watcher):
    def settle_pending(self, now: float) -> None:
        self.state[: self.count] = self.state[: self.count].replace(bytes([PENDING]), bytes([HELD]))
        self.held = self.count - self.broken


class Never(_Invariant):
    """No matching message comes."""

    def observer(self, table: Table) -> Observer:
        state, matches, matched = self.state, self.matcher.matches, self.matched

        def observe(device: DeviceView, message: Mapping[str, Any], t: float) -> None:
            slot = table[device.index]
            if state[slot]:
                return
            try:
                if matches(message, device, t):
                    matched(slot, message, device, t)
            except IotsimError as error:
                self.trouble(error)

        return observe

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        if not self.state[slot]:
            who = f"{device.name}: " if self.slots.pooled else ""
            self.fail(slot, t, who + text.message_text(message))

    def expectation(self) -> str:
        return f"never {self.spec.direction} {self.matcher.text}"


class Always(_Invariant):
    """Every message that matches `matcher` matches `always` too. Without any, it holds."""

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.always is not None
        self.always: Matcher = spec.always

    def observer(self, table: Table) -> Observer:
        state, matches, holds = self.state, self.matcher.matches, self.always.matches
        violated = self._violated

        def observe(device: DeviceView, message: Mapping[str, Any], t: float) -> None:
            slot = table[device.index]
            if state[slot]:
                return
            try:
                if matches(message, device, t) and not holds(message, device, t):
                    violated(slot, message, device, t)
            except IotsimError as error:
                self.trouble(error)

        return observe

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        """Only for what could not be decoded, which holds no field that could be right."""
        if not self.state[slot]:
            self._violated(slot, message, device, t)

    def _violated(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        if message is None:
            self.fail(slot, t, text.message_text(None))
            return
        try:
            why = text.mismatch_text(self.always.explain(message, device, t))
        except IotsimError as error:
            why = str(error)
        who = f"{device.name}: " if self.slots.pooled else ""
        self.fail(slot, t, f"{who}{why} in {text.message_text(message)}")

    def expectation(self) -> str:
        which = f" with {self.matcher.text}" if self.matcher.conditions else ""
        return f"every message that it {self.spec.direction}{which} has {self.always.text}"
