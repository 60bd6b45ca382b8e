"""Several scenarios in one command: each in a process of its own, some of them at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from iotsim.engine.folder import slug
from iotsim.results.verdict import EXIT_CODES, Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VERDICTS = {code: verdict for verdict, code in EXIT_CODES.items()}


def run_suite(files: Sequence[Path], options: Sequence[str], *, jobs: int, out: Path | None) -> int:
    """Run each of `files` as ``iotsim run FILE OPTIONS``; the exit code of the gravest verdict.

    A process each, since what a run gives up (privileges) or leaves behind (imported protocols)
    would be missing, or in the way, in the next.
    """

    def run(file: Path) -> tuple[Path, int, str]:
        command = [sys.executable, "-m", "iotsim", "run", str(file)]
        if out is not None:
            command += ["--out", str(out / slug(str(file.with_suffix(""))))]
        done = subprocess.run(
            [*command, *options],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return file, done.returncode, done.stdout

    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(jobs) as pool:
        for file, code, output in pool.map(run, files):
            verdict = VERDICTS.get(code, Verdict.ERROR)
            verdicts.append(verdict)
            print(f"== {file}: {verdict}")
            print(output, end="", flush=True)
    total = combine(verdicts)
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)
    print(f"{len(verdicts)} scenarios: {counts}")
    return EXIT_CODES[total]


def parse_jobs(text: str) -> int:
    """A number of runs at a time, or "auto": one per processor. ValueError for anything else."""
    jobs = len(os.sched_getaffinity(0)) if text == "auto" else int(text)
    if jobs < 1:
        raise ValueError(f"{jobs} runs at a time")
    return jobs
