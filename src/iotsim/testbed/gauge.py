"""A gauge: measures again and again what a tree of processes uses, and never much of the time."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from iotsim.testbed.proctable import read_waits, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iotsim.testbed.proctable import Process, Usage
    from iotsim.testbed.users import User

INTERVAL_S = 0.1
SPARING = 20
"""The pause after a look is at least this many times as long as the look."""


class Gauge:
    """What it measures of a tree, besides processes, threads and time: descriptors, memory, waits.

    ``due`` is when to measure next and ``at`` when it was last done, by time.monotonic. ``reaped_cpu_s``
    is the time of those that have ended, which whoever reaps them adds.
    """

    def __init__(self, *, fds: bool = False, memory: bool = False, waits: bool = False) -> None:
        self.fds = fds
        self.memory = memory
        self.waits = waits
        self._waited: dict[int, float] = {}
        self._waited_s: float | None = 0.0 if waits else None
        self.due = 0.0
        self.at = 0.0
        self.reaped_cpu_s = 0.0

    def measure(self, tree: Callable[[], Sequence[Process]], user: User | None) -> Usage:
        """What the processes that `tree` gives use now; they belong to `user`."""
        began = time.monotonic()
        found = tree()
        usage = usage_of(found, fds=self.fds, memory=self.memory)
        if None in (usage.fds if self.fds else 0, usage.proportional if self.memory else 0):
            with acting_as(user):
                usage = usage_of(tree(), fds=self.fds, memory=self.memory)
        self._add_waits(found)
        self.at = time.monotonic()
        self.due = self.at + max(INTERVAL_S, SPARING * (self.at - began))
        return usage._replace(cpu_s=usage.cpu_s + self.reaped_cpu_s, waited_s=self._waited_s)

    def _add_waits(self, found: Sequence[Process]) -> None:
        """A thread takes its account with it when it ends: what it has waited is added up here."""
        if self._waited_s is None:
            return
        waited = read_waits(found)
        if waited is None:
            self._waited_s = None
            return
        known = self._waited
        self._waited_s += sum(max(0.0, now - known.get(one, 0.0)) for one, now in waited.items())
        self._waited = waited


@contextlib.contextmanager
def acting_as(user: User | None) -> Iterator[None]:
    """As root without CAP_SYS_PTRACE, which a container may lack, only the owner sees all of a process."""
    if user is None or os.geteuid() != 0:
        yield
        return
    gid = os.getegid()
    try:
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
