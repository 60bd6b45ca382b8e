"""One job in a process of its own, for a program that is not there for runs alone: a test, say.

It is a fresh interpreter, since nothing is known of what this process has become: it may have threads, and
modules of anybody's. It ends with this process, whatever ends that, even SIGKILL.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from iotsim import interpreter
from iotsim.run.inside import SUITE
from iotsim.run.judging import judge

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.results.result import RunResult
    from iotsim.run.suite import Job


def run_apart(job: Job, out: Path, root: Path) -> tuple[RunResult, str]:
    """Do `job` in the folder `root`, with its results in `out`; its result, and what it printed.

    Whatever interrupts the wait for it ends the run first.
    """
    words = ["run", str(job.file), "--out", str(out), *job.words]
    with os.fdopen(os.memfd_create("iotsim-result", os.MFD_CLOEXEC), "rb") as handed_over:
        fd = handed_over.fileno()
        process = subprocess.Popen(
            interpreter.command("iotsim.__main__", *words),
            cwd=root,
            env={**os.environ, SUITE: f"{os.getpid()} {fd}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(fd,),
        )
        try:
            data, _ = process.communicate()
        except BaseException:  # Ctrl-C, or a time limit
            process.send_signal(signal.SIGTERM)
            process.communicate()
            raise
        output = data.decode(errors="replace")
        handed_over.seek(0)
        result = judge(job, handed_over.read(), process.returncode, output)
    return result, output
