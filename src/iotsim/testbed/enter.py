"""The program behind `runs.exec_in_run`: enters a run's namespaces and executes a command there.

A process of its own, because a namespace is entered by a thread, and trio reuses threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from iotsim.safetext import safe_line
from iotsim.testbed import linux
from iotsim.testbed.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACES = ("user", "net", "pid", "mnt")
"""In the order in which they are entered: the first gives the right to enter the others."""


def main() -> NoReturn:
    """argv: pid of init, command…"""
    init_pid, command = int(sys.argv[1]), sys.argv[2:]
    try:
        enter_namespaces(init_pid)
    except OSError as error:
        reason = error.strerror
        if error.errno in (errno.ENOENT, errno.ESRCH):
            reason = "it has ended"
        print(f"iotsim: the run cannot be entered: {reason}", file=sys.stderr)
        os._exit(126)
    # Only children are in the PID namespace, not the process that entered it.
    child = os.fork()
    if child == 0:
        execute(command)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def enter_namespaces(init_pid: int) -> None:
    """Enter those namespaces of `init_pid` in which this process is not yet."""
    folder = Path.cwd()
    fds: list[int] = []
    for name in NAMESPACES:
        theirs = Path(f"/proc/{init_pid}/ns/{name}")
        if theirs.readlink() != Path(f"/proc/self/ns/{name}").readlink():
            fds.append(os.open(theirs, os.O_RDONLY | os.O_CLOEXEC))
    # Pids are used again: what we opened must be of the run itself.
    if read_run(init_pid) is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    for fd in fds:
        linux.setns(fd)
        os.close(fd)
    # Entering a mount namespace leads to its root directory.
    with contextlib.suppress(OSError):
        os.chdir(folder)


def execute(command: Sequence[str]) -> NoReturn:
    """Become `command`, with all capabilities that this process has."""
    permitted = linux.get_capabilities()[1]
    linux.set_capabilities(permitted, permitted, permitted)
    for capability in range(permitted.bit_length()):
        # Otherwise an execve by an ordinary uid would lose them.
        if permitted >> capability & 1:
            with contextlib.suppress(OSError):
                linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_RAISE, capability)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(safe_line(f"iotsim: {command[0]}: {error.strerror}"), file=sys.stderr)
        os._exit(127 if error.errno == errno.ENOENT else 126)
