"""What a suite leaves: a folder with one for each of its runs, and documents about all of them.

``result.json``, ``junit.xml`` and ``index.html`` are written as it goes on, so that a suite that was killed
has left what there was of it; of what had begun and has not ended, they say that.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from iotsim.results.junit import suite_of
from iotsim.results.result import RUNNING, RunResult, utc_text
from iotsim.results.suite import (
    FORMAT,
    WAITING,
    SuiteResult,
    SuiteRun,
    count_verdicts,
    encode_suite,
)
from iotsim.results.verdict import Verdict, combine
from iotsim.run.folder import open_results, shown_folder, slug
from iotsim.run.memory import Remembered
from iotsim.run.report import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iotsim.results.junit import Suite as JunitSuite
    from iotsim.run.folder import ResultsFolder
    from iotsim.run.memory import Memory
    from iotsim.run.suite import Suite
    from iotsim.run.suitejobs import Ended, Job, SuiteOptions, Turn

INDEX = "index.html"
REPORT = "report.html"


class SuiteFolder:
    """The folder at ``path``, which nobody else uses while it is open."""

    def __init__(
        self,
        folder: ResultsFolder,
        jobs: Sequence[Job],
        options: SuiteOptions,
        memory: Memory,
    ) -> None:
        self.path = folder.path
        self._folder = folder
        self._jobs = jobs
        self._options = options
        self._memory = memory
        self._names = _name_jobs(jobs, repeats=options.repeats)
        self._started = time.time()
        self._news: dict[str, Remembered] = {}
        self._told_begun: set[str] = set()
        self._junit: dict[Turn, JunitSuite] = {}

    @classmethod
    @contextmanager
    def opened(
        cls, jobs: Sequence[Job], options: SuiteOptions, memory: Memory
    ) -> Iterator[SuiteFolder]:
        """Have the folder for as long as the block lasts. IotsimError if it cannot be had."""
        files = {job.file for job in jobs}
        name = "suite" if len(files) > 1 else next(iter(files)).stem
        with open_results(name, options.out, options.results) as folder:
            yield cls(folder, jobs, options, memory)

    @property
    def trouble(self) -> str:
        """What could not be written, and why."""
        return self._folder.trouble

    def name(self, turn: Turn) -> str:
        """The folder for the results of `turn`, relative to the suite's."""
        repetition = str(turn.repetition) if turn.repetition else ""
        return "/".join(filter(None, (self._names[turn.job], repetition)))

    def of(self, turn: Turn) -> Path:
        """The folder for the results of `turn`."""
        return self.path / self.name(turn)

    def remove(self, turn: Turn) -> None:
        """Remove the results of a turn that has ended."""
        shutil.rmtree(self.of(turn), ignore_errors=True)
        self._junit.pop(turn, None)

    def changed(self, ended: Ended) -> None:
        """That turn has ended."""
        job = self._jobs[ended.turn.job]
        known = self._news.get(job.identity)
        result = ended.result
        remembered = Remembered.of(result, ended.seconds)
        # Of several repetitions, one that failed is not made good by the next.
        if (
            known is None
            or known.verdict in (RUNNING, WAITING)
            or not known.failed
            or remembered.failed
        ):
            self._news[job.identity] = remembered
        self._junit[ended.turn] = suite_of(result, folder=shown_folder(self.of(ended.turn)))

    def write(self, suite: Suite, begun: Sequence[Turn]) -> None:
        """Write the documents as of now, while those that have `begun` go on."""
        waiting = suite.waiting
        result = self._result(suite, begun, waiting)
        self._folder.trouble = ""  # of what was not written meanwhile, all is written now
        if suite.over:
            self._folder.free_room()
        self._folder.write_document("result.json", encode_suite(result))
        suites = [self._junit[turn] for turn in sorted(suite.ended)]
        for turn in (*begun, *waiting):
            job = self._jobs[turn.job]
            suites.append(suite_of(RunResult(scenario=job.title, path=str(job.file), seed=0)))
        self._folder.write_junit(suites)
        self._folder.write_document(INDEX, self._index(result))
        # What is not begun, or has begun and never ends, has not passed.
        for turns, verdict in ((waiting, WAITING), (begun, RUNNING)):
            for turn in turns:
                identity = self._jobs[turn.job].identity
                known = self._news.get(identity)
                if known is None or known.verdict == WAITING:
                    self._news[identity] = Remembered(verdict)
        self._memory.add(self._news)

    def _index(self, result: SuiteResult) -> bytes:
        # Here, since it takes a while, and only suites need it.
        from iotsim.results.suiteindex import render_index

        reports = {
            run.folder: f"{run.folder}/{REPORT}"
            for run in result.runs
            if run.folder and (self.path / run.folder / REPORT).is_file()
        }
        return render_index(result, reports)

    def _result(self, suite: Suite, begun: Sequence[Turn], waiting: Sequence[Turn]) -> SuiteResult:
        options = self._options
        runs = [self._run(turn, suite.ended[turn]) for turn in sorted(suite.ended)]
        runs += [self._run(turn, verdict=RUNNING) for turn in begun]
        runs += [self._run(turn, verdict=WAITING) for turn in waiting]
        verdicts = [run.verdict for run in runs] + [str(Verdict.PASSED)] * suite.passes
        over = [verdict for verdict in verdicts if verdict not in (RUNNING, WAITING)]
        going_on = bool(begun) or (bool(waiting) and not suite.over)
        reason = ""
        if suite.stopped_by:
            reason = f"ended by {signal.Signals(suite.stopped_by).name}"
            reason += f", {len(waiting)} were not begun" if waiting else ""
        elif waiting and suite.over:
            reason = f"{len(waiting)} were not begun, since one did not pass"
        return SuiteResult(
            format=FORMAT,
            kind="suite",
            verdict=RUNNING if going_on else str(combine(over)),
            started=utc_text(self._started),
            seconds=round(time.time() - self._started, 3),
            jobs=options.parallel,
            counts=count_verdicts(verdicts),
            runs=runs,
            reason=reason,
            shard=str(options.shard or ""),
            plan=options.plan,
            chosen=len(self._jobs),
            passes=suite.passes,
            versions=versions(),
        )

    def _run(self, turn: Turn, ended: Ended | None = None, verdict: str = "") -> SuiteRun:
        job = self._jobs[turn.job]
        run = SuiteRun(
            name=job.identity,
            scenario=job.title,
            path=str(job.file),
            verdict=verdict,
            folder=self.name(turn) if verdict != WAITING else "",
            tags=list(job.tags),
            parameters=dict(job.parameters),
            repetition=turn.repetition,
        )
        if ended is None:
            return run
        result = ended.result
        run.scenario = result.scenario
        run.verdict = result.verdict
        run.reason = result.reason
        run.parameters = result.parameters
        run.seed = result.seed
        run.started = result.started
        run.duration_s = result.duration_s
        run.seconds = round(ended.seconds, 3)
        run.expectations = len(result.expectations)
        run.failed = sum(not one.passed for one in result.expectations)
        run.repeat = result.repeat
        run.retried = ended.retried
        return run


def _name_jobs(jobs: Sequence[Job], *, repeats: bool) -> list[str]:
    """The folder of each job, relative to the suite's: one for each file, in it one for each combination.
    Of one file, and of one job with repetitions, which have folders of their own, the outer is left out."""
    by_file: dict[Path, list[int]] = {}
    for number, job in enumerate(jobs):
        by_file.setdefault(job.file, []).append(number)
    found = [""] * len(jobs)
    for file, name in name_folders(list(by_file)).items():
        numbers = by_file[file]
        combined = len(numbers) > 1 or (len(by_file) == 1 and bool(jobs[numbers[0]].combination))
        outer = [name] if len(by_file) > 1 or not (combined or repeats) else []
        inner = distinct_slugs([jobs[number].combination for number in numbers])
        for number, slug_ in zip(numbers, inner, strict=True):
            found[number] = "/".join([*outer, *([slug_] if combined else [])])
    return found


def name_folders(files: Sequence[Path]) -> dict[Path, str]:
    """A name for the results of each of `files`: its path below the folder that all are in."""
    common = os.path.commonpath([file.resolve().parent for file in files])
    inner = [str(file.resolve().relative_to(common).with_suffix("")) for file in files]
    return dict(zip(files, distinct_slugs(inner), strict=True))


def distinct_slugs(texts: Sequence[str]) -> list[str]:
    """The names of folders for `texts`, all of them different."""
    found: dict[str, None] = {}
    for text in texts:
        name = slug(text)
        names = (name if number == 1 else f"{name}_{number}" for number in itertools.count(1))
        found[next(name for name in names if name not in found)] = None
    return list(found)
