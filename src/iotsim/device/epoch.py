"""Epoch: one life of a device, from a boot to the next.

What a reboot ends hangs on it: when the device booted, how often each rule was used, the task of its
behavior. A device has an object for it only once something of this is there to be kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from iotsim.device.spec import RuleSpec


class Cancelable(Protocol):
    """Something that can be ended, such as a `trio.CancelScope`."""

    def cancel(self) -> None: ...


class Uses(dict["RuleSpec", int]):
    """How often each rule was used; one that never was is not there."""

    def __missing__(self, rule: RuleSpec) -> int:
        return 0


class Epoch:
    """``booted_at``: seconds of the run, None for the first boot, whose time may not be known yet.
    ``reboots``: how many epochs there were before. ``task``: what the device's behavior runs in."""

    __slots__ = ("booted_at", "reboots", "task", "uses")

    def __init__(self, booted_at: float | None = None, reboots: int = 0) -> None:
        self.booted_at = booted_at
        self.reboots = reboots
        self.uses = Uses()
        self.task: Cancelable | None = None

    def end(self) -> None:
        """The device goes down."""
        if self.task is not None:
            self.task.cancel()
