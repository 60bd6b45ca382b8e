"""The running testbeds of this user, and executing a command inside one.

A run is found by its init process, whose command line says what it is. There is no file that
could be stale.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iotsim import interpreter
from iotsim.errors import MachineError
from iotsim.testbed.init import INIT_NAME, MARK

if TYPE_CHECKING:
    from collections.abc import Sequence


class Run(NamedTuple):
    """A testbed that stands now."""

    name: str
    results: str
    init_pid: int

    def __str__(self) -> str:
        place = f" in {self.results}" if self.results else ""
        return f"{self.name or 'unnamed'}{place} (init is process {self.init_pid})"


def list_runs() -> list[Run]:
    """The runs of this user, oldest init first. Those of other users are not shown, even to root:
    a process can call itself what it likes, and entering its namespaces means trusting it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        run = read_run(int(folder.name))
        if run is not None:
            found.append(run)
    return sorted(found, key=lambda run: run.init_pid)


def read_run(pid: int) -> Run | None:
    """The run whose init is `pid`, None if it is no such process of ours."""
    folder = Path("/proc", str(pid))
    try:
        if (folder / "comm").read_text().rstrip("\n") != INIT_NAME:
            return None
        status = (folder / "status").read_text()
        words = (folder / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return None
    uids = next((line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")), [])
    if set(uids) != {str(os.geteuid())} or MARK not in words[:-2]:
        return None
    name, results = words[words.index(MARK) + 1 :][:2]
    return Run(name, results, pid)


def find_run(text: str = "") -> Run:
    """The run that `text` names: by its name, its results folder, or the pid of its init.

    "" is the only run there is. MachineError if there is none, or more than one.
    """
    runs = list_runs()
    if text:
        folder = str(Path(text).resolve())
        matching = [
            run
            for run in runs
            if text in (run.name, run.results, str(run.init_pid))
            or (run.results and str(Path(run.results).resolve()) == folder)
        ]
    else:
        matching = runs
    if len(matching) == 1:
        return matching[0]
    listing = "".join(f"\n  {run}" for run in matching or runs)
    if matching:
        raise MachineError(
            f"{len(matching)} runs could be meant:{listing}", "name one by its results folder"
        )
    if runs:
        raise MachineError(f"no run is called {text}; there is:{listing}", "name one of these")
    raise MachineError("no run of this user is going on", "start one: iotsim run SCENARIO")


def exec_in_run(run: Run, command: Sequence[str]) -> int:
    """Execute `command` in the namespaces of `run`, on this terminal, and return its exit code.

    Blocks, and minds signals: to be called in the main thread.

    In a private testbed the command has every capability over the namespace's network, unlike the
    gateway: tcpdump and ip work. A command that died of signal N gives 128 + N, one that could
    not be executed 126 or 127, as in a shell.
    """
    words = interpreter.command("iotsim.testbed.enter", str(run.init_pid), *command, site=False)
    # Ctrl-C is for the command, which stands in the same process group.
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    for number in previous:
        signal.signal(number, signal.SIG_IGN)
    try:
        result = subprocess.run(words, check=False)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return result.returncode if result.returncode >= 0 else 128 - result.returncode
