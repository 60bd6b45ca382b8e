"""Moments: what happens in a run and has a name, so that something can come after it.

The names are those of steps and expectations. A step has happened when it was done, an expectation when it
held. What happens again, as a step that is repeated, begins anew what comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.impair import Period


class Moments:
    """Who waits for what of these."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Callable[[float], object]]] = {}

    def call_after(self, name: str, follow: Callable[[float], object]) -> None:
        """Call `follow` with the time whenever what is called `name` happens."""
        self._waiting.setdefault(name, []).append(follow)

    def follow(self, period: Period) -> None:
        """Let `period` begin with what it comes after, if it comes after anything."""
        if period.after:
            self.call_after(period.after, period.start)

    def happened(self, name: str, t: float) -> None:
        """What is called `name` has happened at `t`, in seconds of the run."""
        for follow in self._waiting.get(name, ()):
            follow(t)
