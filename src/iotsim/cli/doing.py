"""What ``iotsim run`` does once it knows what to run: one job in this process, or several in their own."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.cli.app import guarded
from iotsim.cli.console import make_console
from iotsim.cli.github import tell
from iotsim.cli.level import Level
from iotsim.cli.page import Page
from iotsim.cli.progress import RunView
from iotsim.cli.remember import prepare_to_remember, remember_run
from iotsim.cli.render import show_report
from iotsim.cli.streams import open_streams
from iotsim.cli.terminal import safe_output
from iotsim.errors import MachineError
from iotsim.results.result import RUNNING
from iotsim.results.verdict import EXIT_SIGNALLED, exit_code
from iotsim.run import inside
from iotsim.run.job import run_file
from iotsim.run.memory import Remembered
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.run.folder import ResultsFolder
    from iotsim.run.memory import Memory
    from iotsim.run.report import RunReport
    from iotsim.run.run import RunOptions
    from iotsim.run.suitejobs import Job, SuiteOptions
    from iotsim.scenario import Overrides

SEEDS = 1 << 32


@dataclass(frozen=True)
class Doing:
    """`jobs` to be done, each as `options` and `overrides` say, and how much is told of it."""

    jobs: Sequence[Job]
    options: RunOptions
    overrides: Overrides
    level: Level

    def do_one(self, memory: Memory | None) -> tuple[int, list[Path]]:
        """Do the only job in this process, and let `memory` know; its exit code, and the folder of its
        results, if it was run."""
        began = time.monotonic()
        if self.options.serve:
            memory = None
        if memory is not None:  # one that is killed has not passed
            memory.add({self.jobs[0].identity: Remembered(RUNNING)})
        report = self._do(0, self.options.out)
        if memory is not None:
            took_s = time.monotonic() - began
            memory.add({self.jobs[0].identity: Remembered.of(report.result, took_s)})
        return self._told(report), [report.folder]

    def do_apart(self, number: int, folder: Path | None) -> int:
        """Do the job of this number, in a process that is there for it alone; its exit code."""
        open_streams()
        with safe_output():
            return guarded(lambda: self._told(self._do(number, folder)))

    def _do(self, number: int, folder: Path | ResultsFolder | None) -> RunReport:
        job = self.jobs[number]
        with RunView(self.level, inside.tell if inside.in_suite() else None) as view:
            report = run_file(
                job.file,
                replace(self.options, out=folder, watch=view.sinks, live=view.live),
                replace(self.overrides, parameters=job.parameters),
                default_seed=secrets.randbelow(SEEDS),
                progress=view.show,
            )
        inside.hand_over(report.result)
        tell(report.result, report.folder)
        remember_run(report, serve=self.options.serve)
        return report

    def _told(self, report: RunReport) -> int:
        """Print what came of a run; its exit code."""
        if report.trouble:
            print(f"iotsim: {report.trouble}", file=sys.stderr)
        if isinstance(report.error, MachineError):
            print(f"iotsim: skipped: {report.error}", file=sys.stderr)
            return exit_code(report.result.verdict)
        if report.error is not None:
            raise report.error
        if not inside.in_suite():
            show_report(report, quiet=self.level is Level.QUIET)
        if report.stopped_by is not None and not self.options.serve:
            return EXIT_SIGNALLED + report.stopped_by
        return exit_code(report.result.verdict)


def do_several(doing: Doing, options: SuiteOptions, memory: Memory) -> tuple[int, list[Path]]:
    """Do all jobs, each in a process of its own, and say what became of them; the exit code, and the folders
    of those that have ended."""
    # What runs need is imported and made here: each of their processes is a copy of this one.
    from iotsim.cli.suiteview import SuiteView, print_summary
    from iotsim.run.suite import run_suite
    from iotsim.run.warmup import warm_up

    jobs = doing.jobs
    if doing.level is not Level.QUIET:
        page = Page(make_console())
        for file in dict.fromkeys(job.file for job in jobs):
            several = [job for job in jobs if job.file == file]
            if len(several) > 1:
                free = ", ".join(several[0].varied)
                page.hang("", safe_line(f"{file}: {len(several)} combinations of {free}"))
        sys.stdout.flush()
    prepare_to_remember()
    warm_up({name for job in jobs for name in job.protocols})
    view = SuiteView(len(jobs) * (options.repeat or 1), level=doing.level)
    suite = run_suite(jobs, options, doing.do_apart, view, memory)
    if suite.trouble:
        print(f"iotsim: {suite.trouble}")
    if doing.level is not Level.QUIET:
        print(safe_line(f"results: {_near(suite.index)}"))
    ended = [suite.ended[turn] for turn in sorted(suite.ended)]
    print_summary(jobs, ended, len(suite.waiting), suite.passes)
    return suite.exit_code, [one.folder for one in ended]


def _near(path: Path) -> str:
    """`path` as seen from the current folder, if it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
