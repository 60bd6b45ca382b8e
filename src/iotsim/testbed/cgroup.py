"""What control groups allow this process: the limits of a container, or of a service."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
OLD_MEMORY = "memory/memory.limit_in_bytes"
"""The file of version 1, where that is mounted."""
MEANS_NONE = 1 << 60
"""There, so much memory is no limit."""


def limits(name: str) -> list[str]:
    """What the file `name` says in our own group (of version 2), and in each around it: all of them hold."""
    try:
        own = OWN.read_text().rpartition("::")[2].strip().lstrip("/")
    except OSError:
        own = ""
    folder = ROOT / own
    if ".." in folder.parts:  # of a group outside of those that we are shown
        folder = ROOT
    said = []
    for each in (folder, *folder.parents):
        with suppress(OSError):
            said.append((each / name).read_text().strip())
        if each == ROOT:
            break
    return said


def least(name: str) -> float:
    """The least of these numbers; infinity where there is none."""
    return min((int(text) for text in limits(name) if text.isdecimal()), default=math.inf)


def memory_bytes() -> float:
    """How much memory we may have; infinity: as much as there is."""
    old = math.inf
    with suppress(OSError, ValueError):
        old = int((ROOT / OLD_MEMORY).read_text())
    return min(least("memory.max"), old if old < MEANS_NONE else math.inf)


def cores() -> float:
    """How many cores' time we are given, in parts too; infinity: as many as there are."""
    shares = [math.inf]
    for text in limits("cpu.max"):
        with suppress(ValueError, ZeroDivisionError):
            quota, period = map(int, text.split())
            shares.append(quota / period)
    return min(shares)


def processors() -> int:
    """How many processors we can keep busy at a time."""
    return max(1, math.floor(min(len(os.sched_getaffinity(0)), cores())))
