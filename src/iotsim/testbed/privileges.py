"""Giving up capabilities that are no longer needed.

Capabilities belong to a thread, and only the thread itself can change them (capset(2) refuses any
other). So privileges are dropped before other threads are started; threads inherit.
"""

from __future__ import annotations

import contextlib
import os

from iotsim.testbed import linux


def last_capability() -> int:
    """The highest capability that this kernel knows."""
    try:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 40


def drop_capabilities(keep: int = 0) -> None:
    """Give up every capability but those of the mask `keep`, for this thread and what it executes.

    Those in `keep` become ambient: they outlive an execve of an ordinary program. Setuid programs
    and file capabilities no longer raise anything (PR_SET_NO_NEW_PRIVS), and neither does being
    uid 0 (SECBIT_NOROOT, where it may be set).
    """
    effective, permitted, _ = linux.get_capabilities()
    keep &= permitted
    if effective >> linux.CAP_SETPCAP & 1:
        for capability in range(last_capability() + 1):
            if not keep >> capability & 1:
                # A capability unknown to this kernel is no capability that we could keep.
                with contextlib.suppress(OSError):
                    linux.prctl(linux.PR_CAPBSET_DROP, capability)
        with contextlib.suppress(OSError):
            linux.prctl(linux.PR_SET_SECUREBITS, linux.SECBIT_NOROOT | linux.SECBIT_NOROOT_LOCKED)
    with contextlib.suppress(OSError):
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    linux.set_capabilities(keep, keep, keep)
    for capability in range(keep.bit_length()):
        if keep >> capability & 1:
            linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_RAISE, capability)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def drop_privileges() -> bool:
    """Drop what the simulator no longer needs once its testbed stands; True if that is everything.

    Call it in the main thread, after set-up and before the first worker thread: False means that
    other threads existed already, which keep what they had. Root without capabilities is subject to
    file permissions like everyone else: open the results first.
    """
    drop_capabilities()
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
