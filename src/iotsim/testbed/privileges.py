"""Giving up capabilities that are no longer needed.

Capabilities belong to a thread, and only the thread itself can change them (capset(2) refuses any
other). So privileges are dropped before other threads are started; threads inherit.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from iotsim.testbed import linux


def drop_capabilities(keep: int = 0) -> None:
    """Give up every capability but those of the mask `keep`, for this thread and what it executes.

    Those in `keep` become ambient: they outlive an execve of an ordinary program. Nothing can be
    gained again, neither by being uid 0 nor by setuid programs and file capabilities
    (PR_SET_NO_NEW_PRIVS). The bounding set stays: without it a program with file capabilities,
    such as ping, could not even be executed, which now runs without them.
    """
    keep &= linux.get_capabilities()[1]
    with contextlib.suppress(OSError):  # not known before Linux 4.3
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.set_capabilities(keep, keep, keep)
    for capability in range(keep.bit_length()):
        if keep >> capability & 1:
            linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_RAISE, capability)


def drop_privileges(results: Path) -> bool:
    """Drop what the simulator no longer needs once its testbed stands; True if no thread keeps it.

    Call it in the main thread, after set-up and before the first worker thread: False means that
    other threads existed already, which keep what they had. Root without capabilities is subject to
    file permissions like everyone else, so the right to override them stays where the folder
    `results` is another user's.
    """
    foreign = results.stat().st_uid != os.geteuid()
    drop_capabilities(1 << linux.CAP_DAC_OVERRIDE if foreign else 0)
    return sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
