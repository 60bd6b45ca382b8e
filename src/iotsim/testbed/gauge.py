"""A gauge: measures again and again what a tree of processes uses, and never much of the time."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from iotsim.testbed.proctable import usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iotsim.testbed.proctable import Process, Usage
    from iotsim.testbed.users import User

INTERVAL_S = 0.1
SPARING = 20
"""The pause after a look is so many times as long as the look at least."""


class Gauge:
    """What it measures of a tree, besides processes, threads and time: descriptors, memory.

    ``due`` is when to measure next and ``at`` when it was last done, by time.monotonic. ``reaped_cpu_s``
    is the time of those that have ended, which whoever reaps them adds.
    """

    def __init__(self, *, fds: bool, memory: bool) -> None:
        self.fds = fds
        self.memory = memory
        self.due = 0.0
        self.at = 0.0
        self.reaped_cpu_s = 0.0

    def measure(self, tree: Callable[[], Sequence[Process]], user: User | None) -> Usage:
        """What the processes that `tree` gives use now; they belong to `user`."""
        began = time.monotonic()
        usage = usage_of(tree(), fds=self.fds, memory=self.memory)
        if None in (usage.fds if self.fds else 0, usage.proportional if self.memory else 0):
            with acting_as(user):
                usage = usage_of(tree(), fds=self.fds, memory=self.memory)
        self.at = time.monotonic()
        self.due = self.at + max(INTERVAL_S, SPARING * (self.at - began))
        return usage._replace(cpu_s=usage.cpu_s + self.reaped_cpu_s)


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
