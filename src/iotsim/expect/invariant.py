"""``never`` and ``always``: what one message can break, and only the end can confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.errors import IotsimError
from iotsim.expect import text
from iotsim.expect.watcher import HELD, PENDING, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match import DeviceView, Matcher


class _Invariant(Watcher):
    """``matched`` is told of messages that break it."""

    keeps = True

    def matched(
        self, slot: int, message: Mapping[str, Any] | None, device: DeviceView, t: float
    ) -> None:
        who = f"{device.name}: " if self.slots.pooled else ""
        self.fail(slot, t, who + self.violation(message, device, t), None)

    def violation(self, message: Mapping[str, Any] | None, device: DeviceView, t: float) -> str:
        return self.said(message)

    def would_break(self, slot: int) -> bool:
        return True

    def settle_pending(self, now: float) -> None:
        self.state[: self.count] = self.state[: self.count].replace(bytes([PENDING]), bytes([HELD]))
        self.held = self.count - self.broken


class Never(_Invariant):
    """No matching message comes."""

    forbids = True

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        self.subscriptions = [self.subscribe()]

    def expectation(self) -> str:
        return f"never {self.spec.direction} {self.matcher.text}"


class Always(_Invariant):
    """Every message that matches `matcher` matches `always` too. Without any, it holds."""

    def __init__(self, spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> None:
        super().__init__(spec, fleets, tolerance)
        assert spec.always is not None
        self.always: Matcher = spec.always
        self.subscriptions = [self.subscribe(unless=self.always)]

    def violation(self, message: Mapping[str, Any] | None, device: DeviceView, t: float) -> str:
        if message is None:
            return text.message_text(None)
        try:
            why = text.mismatch_text(self.always.explain(message, device, t))
        except IotsimError as error:
            why = str(error)
        return f"{why} in {self.said(message)}"

    def expectation(self) -> str:
        which = f" with {self.matcher.text}" if self.matcher.conditions else ""
        return f"every message that it {self.spec.direction}{which} has {self.always.text}"
