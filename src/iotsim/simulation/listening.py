"""Who waits for a message to a device: a behavior that has asked something, or listens.

Listeners stand before a service's responder only while there are any, so that nobody else pays for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from iotsim.net.outcome import consumed

if TYPE_CHECKING:
    from iotsim.device.fleet import SimDevice
    from iotsim.device.reaction import Reaction, Responder

AWAITED = consumed("awaited")
"""A behavior waited for the message, and got it."""

Wants: TypeAlias = Callable[["SimDevice", dict[str, Any], float], bool]
"""(device, message, now): whether it is the one that is waited for."""


class Listener:
    """One who waits. ``event`` is set as soon as ``message`` is there."""

    def __init__(self, device: SimDevice, wants: Wants) -> None:
        self.device = device
        self.wants = wants
        self.event = trio.Event()
        self.message: dict[str, Any] | None = None


class Listeners:
    """The listeners of a service; what none of them wants goes to ``otherwise``."""

    def __init__(self, otherwise: Responder) -> None:
        self.otherwise = otherwise
        self._by_device: dict[int, list[Listener]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_device)

    def add(self, listener: Listener) -> None:
        self._by_device.setdefault(listener.device.index, []).append(listener)

    def remove(self, listener: Listener) -> None:
        index = listener.device.index
        left = [one for one in self._by_device[index] if one is not listener]
        if left:
            self._by_device[index] = left
        else:
            del self._by_device[index]

    def respond(self, device: SimDevice, message: dict[str, Any], now: float) -> Reaction:
        for listener in self._by_device.get(device.index, ()):
            if listener.message is None and listener.wants(device, message, now):
                listener.message = message
                listener.event.set()
                return AWAITED
        return self.otherwise(device, message, now)
