"""The table of processes that /proc shows, and what a tree of them uses (proc(5)).

A moment's look: processes come and go while it is being read. What is gone by then is left out.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DEAD = ("Z", "X")
_FORKED_AND_NO_EXEC = 0x40
"""PF_FORKNOEXEC among the flags in /proc/PID/stat: a copy of its parent that has not become another."""
BECOMING_S = 1.0
"""A copy of a parent that is younger is about to become another program, or to end."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A line of /proc/PID/stat. ``cpu_s`` is its own time and that of the children it has waited for."""

    pid: int
    state: str
    parent: int
    session: int
    flags: int
    cpu_s: float
    threads: int
    started_s: float
    """Since the machine was booted."""
    resident: int

    @property
    def dead(self) -> bool:
        """It has ended; somebody has still to wait for it."""
        return self.state in DEAD


class Usage(NamedTuple):
    """What a tree of processes uses at a moment; None is what could not be read.

    ``resident`` is the sum of the resident sets; ``proportional`` the same with each page that they share
    counted once in all (PSS), which for one process alone is ``resident`` too. ``peak`` is the most that any
    one of them has had (VmHWM). ``children`` are those below the first, dead ones that their parent has
    not waited for among them.
    """

    processes: int = 0
    threads: int = 0
    children: int = 0
    cpu_s: float = 0.0
    fds: int | None = None
    resident: int | None = None
    proportional: int | None = None
    peak: int | None = None
    waited_s: float | None = None


def read_process(pid: int) -> Process | None:
    """None if there is none."""
    try:
        # The name, in parentheses, may hold anything.
        fields = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 22:
        return None
    return Process(
        pid,
        fields[0].decode("ascii", "replace"),
        parent=int(fields[1]),
        session=int(fields[3]),
        flags=int(fields[6]),
        cpu_s=sum(map(int, fields[11:15])) / _TICKS,
        threads=int(fields[17]),
        started_s=int(fields[19]) / _TICKS,
        resident=int(fields[21]) * _PAGE,
    )


def read_processes() -> dict[int, Process]:
    """pid -> process, of all that /proc shows, dead ones too."""
    names = filter(str.isdecimal, os.listdir("/proc"))  # noqa: PTH208 - a Path for each costs more
    found = (read_process(int(name)) for name in names)
    return {process.pid: process for process in found if process is not None}


def descendants(
    table: Mapping[int, Process], root: int, *, spare: Iterable[int] = ()
) -> list[Process]:
    """What descends from `root`, parents first, without the trees of those in `spare`.

    Nor is what still is in a session that one of `spare` has begun, whatever has become of its parents.
    """
    spared = set(spare)
    children: dict[int, list[Process]] = {}
    for process in table.values():
        if process.pid not in spared and process.session not in spared:
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [root]
    for parent in waiting:
        for process in children.get(parent, ()):
            found.append(process)
            waiting.append(process.pid)
    return found


def proc_is_ours() -> bool:
    """Whether /proc shows our PID namespace: some containers do not let it be mounted anew."""
    try:
        return str(Path("/proc/self").readlink()) == str(os.getpid())
    except OSError:
        return False


def process_name(pid: int) -> str:
    """The name in /proc/PID/comm, "" if the process has gone."""
    try:
        return Path("/proc", str(pid), "comm").read_text(errors="replace").removesuffix("\n")
    except OSError:
        return ""


def usage_of(tree: Sequence[Process], *, fds: bool, memory: bool) -> Usage:
    """What `tree`, as `descendants` gives it, uses now; of descriptors and memory only what is asked.

    A process that has just been copied from its parent, and has not become another program yet, holds for
    a moment all that its parent does. It counts with the time that it has used, and for nothing else.
    """
    # Read again, each parent before its children: so no child's time counts twice, once its own and
    # once as that of a parent who has waited for it meanwhile.
    now = [process for known in tree if (process := read_process(known.pid)) is not None]
    pids = {process.pid for process in now}
    alive = [process for process in now if not process.dead and not _is_becoming(process, pids)]
    below = [process for process in now if process.parent in pids]
    present = {process.pid for process in alive}
    return Usage(
        processes=len(alive),
        threads=sum(process.threads for process in alive),
        children=sum(process.dead or process.pid in present for process in below),
        cpu_s=sum(process.cpu_s for process in now),
        fds=_sum(map(_count_fds, (process.pid for process in alive))) if fds else None,
        **_memory(alive) if memory else {},
    )


def read_waits(tree: Sequence[Process]) -> dict[int, float] | None:
    """For how long each thread of `tree` has waited for a processor; None where the kernel does not tell."""
    waits: dict[int, float] = {}
    for process in tree:
        tasks = f"/proc/{process.pid}/task"
        try:
            threads = os.listdir(tasks)  # noqa: PTH208
        except OSError:
            continue
        for thread in threads:
            try:
                fields = Path(tasks, thread, "schedstat").read_bytes().split()
            except FileNotFoundError:
                if Path(tasks, thread).exists():
                    return None
            except OSError:
                continue
            else:
                waits[int(thread)] = int(fields[1]) / 1e9
    return waits


def _is_becoming(process: Process, tree: set[int]) -> bool:
    copied = process.flags & _FORKED_AND_NO_EXEC and process.parent in tree
    return bool(copied) and _since_boot() - process.started_s < BECOMING_S


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _memory(alive: Sequence[Process]) -> dict[str, int | None]:
    resident = sum(process.resident for process in alive)
    peaks = [_of_status(process.pid) for process in alive]
    proportional: int | None = resident
    if len(alive) > 1:
        proportional = _sum(map(_proportional, (process.pid for process in alive)))
    return {"resident": resident, "proportional": proportional, "peak": max(peaks, default=0)}


def _sum(numbers: Iterable[int | None]) -> int | None:
    """None if one of them is."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def _count_fds(pid: int) -> int | None:
    """0 if the process has gone meanwhile."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except PermissionError:
        return None
    except OSError:
        return 0


def _of_status(pid: int, name: bytes = b"VmHWM:") -> int:
    try:
        for line in Path("/proc", str(pid), "status").read_bytes().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _proportional(pid: int) -> int | None:
    try:
        for line in Path("/proc", str(pid), "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except (PermissionError, FileNotFoundError):
        # No such file: the process has gone, or the kernel is older than 4.14.
        return None if Path("/proc", str(pid)).exists() else 0
    except OSError:
        pass
    return 0
