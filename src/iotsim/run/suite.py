"""Several scenarios in one command: each in a process of its own, some of them at a time."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from iotsim.results.verdict import EXIT_CODES, EXIT_SIGNALLED, Verdict, combine
from iotsim.run.folder import slug
from iotsim.testbed import linux

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VERDICTS = {code: verdict for verdict, code in EXIT_CODES.items()}
SUITE = "IOTSIM_SUITE"
"""The variable that tells a run the process of the suite that it is part of."""


def run_suite(files: Sequence[Path], options: Sequence[str], *, jobs: int, out: Path | None) -> int:
    """Run each of `files` as ``iotsim run FILE OPTIONS``; the exit code of the gravest verdict.

    A process each, since what a run gives up (privileges) or leaves behind (imported protocols)
    would be missing, or in the way, in the next.
    """
    folders = name_folders(files)
    running: set[subprocess.Popen[str]] = set()
    stopped_by: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(number)
        for process in tuple(running):
            process.terminate()

    def run(file: Path) -> tuple[Path, int, str] | None:
        if stopped_by:
            return None
        command = [sys.executable, "-m", "iotsim", "run", str(file)]
        if out is not None:
            command += ["--out", str(out / folders[file])]
        process = subprocess.Popen(
            [*command, *options],
            env={**os.environ, SUITE: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        running.add(process)
        if stopped_by:  # while it was being started
            process.terminate()
        output, _ = process.communicate()
        running.discard(process)
        return file, process.returncode, output

    verdicts: list[Verdict] = []
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ThreadPoolExecutor(jobs) as pool:
            for file, code, output in filter(None, pool.map(run, files)):
                verdict = VERDICTS.get(code, Verdict.ERROR)
                verdicts.append(verdict)
                print(f"== {file}: {verdict}")
                print(output, end="", flush=True)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    total = combine(verdicts)
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)
    print(f"{len(verdicts)} of {len(files)} scenarios: {counts}")
    return EXIT_SIGNALLED + stopped_by[0] if stopped_by else EXIT_CODES[total]


def name_folders(files: Sequence[Path]) -> dict[Path, str]:
    """A name for the results of each of `files`: its path below the folder that all are in."""
    common = os.path.commonpath([file.resolve().parent for file in files])
    folders: dict[Path, str] = {}
    for file in files:
        name = slug(str(file.resolve().relative_to(common).with_suffix("")))
        names = (name if number == 1 else f"{name}_{number}" for number in itertools.count(1))
        folders[file] = next(name for name in names if name not in folders.values())
    return folders


def follow_suite() -> None:
    """If this process is one run of a suite: end with it, even if it is ended by SIGKILL."""
    parent = os.environ.pop(SUITE, "")
    if parent:
        # It comes when the thread that has started us ends, and that one waits for our end.
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
        if str(os.getppid()) != parent:  # too late
            signal.raise_signal(signal.SIGTERM)


def parse_jobs(text: str) -> int:
    """A number of runs at a time, or "auto": one per processor. ValueError for anything else."""
    jobs = len(os.sched_getaffinity(0)) if text == "auto" else int(text)
    if jobs < 1:
        raise ValueError(f"{jobs} runs at a time")
    return jobs
