"""Who a process is once it needs no privilege any more, and what it may still do.

Only the helper needs privilege: it makes namespaces and the interface. Once these stand the simulator
is one of these, for good:

- started by sudo, the user who called it, without any capability. So it reads and writes what that
  user may, and its results are that user's. Where iotsim or the scenario lies in a place that is
  closed to them (another user's home, say), the right to read every file stays, and where the
  results folder is not theirs to write in, the right to write it;
- started by root otherwise, root, with the right to read and write every file and no other. That
  takes nothing away: files that are root's own, on which the system depends, root may always write;
- started by anybody else, the same user, without capabilities.

For the gateway's own process, whose user and capabilities a scenario can choose, see `rights`.

Capabilities belong to a thread, and only the thread itself can change them (capset(2) refuses any
other). So privileges are dropped before other threads are started; threads inherit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from iotsim.capabilities import Capability
from iotsim.testbed import linux
from iotsim.testbed.serverend import leave_server
from iotsim.testbed.users import sudo_user

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from iotsim.testbed.users import User

ALL_FILES = Capability.DAC_OVERRIDE.bit
"""The right of root that programs take for granted most: to read and write every file."""
READ_FILES = Capability.DAC_READ_SEARCH.bit


def become(user: User, *, keep_capabilities: bool = False) -> None:
    """Turn this process into one of `user`'s, for good. OSError where it may not.

    With `keep_capabilities` those permitted stay permitted, though not effective.
    """
    if (user.uid, user.gid) == (os.geteuid(), os.getegid()):
        return
    parent, last_will = os.getppid(), linux.get_parent_death_signal()
    linux.prctl(linux.PR_SET_KEEPCAPS, int(keep_capabilities))
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    if last_will:
        # A change of credentials has cleared it (prctl(2)), and the parent may have died meanwhile.
        linux.prctl(linux.PR_SET_PDEATHSIG, last_will)
        if os.getppid() != parent:
            signal.raise_signal(last_will)


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


def drop_privileges(results: Path, *scenario_folders: Path) -> None:
    """Drop what the simulator needs no longer; see the top of this page.

    Call it once the helper has been started, in the main thread, before there is another.
    """
    leave_server()
    user = sudo_user()
    if user is None:
        drop_capabilities(ALL_FILES if os.geteuid() == 0 else 0)
        return
    sources = list(_sources(scenario_folders))
    owner = results.stat().st_uid
    become(user, keep_capabilities=True)
    # access(2) asks for the user, and so without the capabilities that are still there.
    writable = os.access(results, os.W_OK | os.X_OK)
    if not writable and owner != user.uid:
        drop_capabilities(ALL_FILES)
    elif writable and all(os.access(path, how) for path, how in sources):
        drop_capabilities()
    else:
        drop_capabilities(READ_FILES)


def _sources(scenario_folders: Iterable[Path]) -> Iterable[tuple[str, int]]:
    """What may still be read, code that is imported late and files beside the scenario, and how."""
    for folder in (*map(str, scenario_folders), *filter(None, sys.path)):
        if os.path.isdir(folder):  # noqa: PTH112
            yield folder, os.R_OK | os.X_OK
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and os.path.exists(file):  # noqa: PTH110
            yield file, os.R_OK
