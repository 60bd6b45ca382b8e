"""The event loop's clock, where simulated time goes faster than real time, or slower.

With `ScaledClock` all that waits by trio waits in simulated seconds: devices, windows, the duration. What
waits for this machine instead, such as for a process to end, says so by `real_s`.
"""

from __future__ import annotations

import time

import trio


class ScaledClock(trio.abc.Clock):
    """Goes `speed` times as fast as the monotonic clock; ``trio.run(..., clock=ScaledClock(60))``."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return time.perf_counter() * self.speed

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return (deadline - self.current_time()) / self.speed


def current_speed() -> float:
    """How much faster than real time the clock of the current event loop goes."""
    speed: float = getattr(trio.lowlevel.current_clock(), "speed", 1.0)
    return speed


def real_s(seconds: float) -> float:
    """This many real seconds, as the current event loop counts them."""
    return seconds * current_speed()
