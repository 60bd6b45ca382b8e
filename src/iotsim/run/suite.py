"""Several runs in one command, of several scenarios or of the combinations of a matrix: each in a process of
its own, some of them at a time.

A process each, since what a run gives up (privileges) or leaves behind (imported protocols) would be
missing, or in the way, in the next. The verdict of each is the one in the result that its process hands
over, in a memory file that it inherits; that a process has ended with status 0 proves nothing, since
what ended it may have been anything.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from iotsim import interpreter
from iotsim.errors import Problem, ScenarioError
from iotsim.expect.text import clip
from iotsim.results.junit import suite_of
from iotsim.results.result import RunResult, decode_result, encode_result
from iotsim.results.verdict import EXIT_CODES, EXIT_SIGNALLED, Verdict, combine, exit_code
from iotsim.run.folder import open_results, slug
from iotsim.run.signals import ending_signals
from iotsim.safetext import safe_line
from iotsim.testbed import linux

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from iotsim.run.folder import ResultsFolder

SUITE = "IOTSIM_SUITE"
"""The variable that tells a run the process of the suite that it is part of, and where its result goes:
the numbers of a process and of a descriptor."""
REASON_CHARACTERS = 200


class Job(NamedTuple):
    """A run of a suite. ``words`` are the options of ``iotsim run`` with which to run ``file``, those behind
    ``--`` included. ``combination`` tells it from other runs of the same file."""

    file: Path
    words: tuple[str, ...] = ()
    combination: str = ""

    def __str__(self) -> str:
        return f"{self.file} [{self.combination}]" if self.combination else str(self.file)


class Ended(NamedTuple):
    """The run of a suite with this number has ended, and this is what it printed."""

    number: int
    result: RunResult
    output: str


class Suite:
    """The runs of one command, each with the folder for its results, None to leave that to it."""

    def __init__(self, jobs: Sequence[Job], outs: Sequence[Path | None]) -> None:
        self._jobs = jobs
        self._outs = outs
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped_by = 0
        """The signal that has ended the suite before its time, 0 if none did."""

    def stop(self, number: int, _frame: object = None) -> None:
        self.stopped_by = number
        for process in tuple(self._running):
            process.terminate()

    def _is_stopped(self) -> bool:
        return self.stopped_by != 0

    def run(self, number: int) -> Ended | None:
        """Do the job of this number in a process of its own; None if the suite has been stopped before."""
        if self._is_stopped():
            return None
        job, where = self._jobs[number], self._outs[number]
        out = [] if where is None else ["--out", str(where)]
        words, options = ["run", str(job.file)], job.words
        with os.fdopen(os.memfd_create("iotsim-result", os.MFD_CLOEXEC), "rb") as handed_over:
            fd = handed_over.fileno()
            process = subprocess.Popen(
                interpreter.command("iotsim.__main__", *words, *out, *options),
                env={**os.environ, SUITE: f"{os.getpid()} {fd}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(fd,),
            )
            self._running.add(process)
            if self._is_stopped():  # while it was being started
                process.terminate()
            data, _ = process.communicate()
            self._running.discard(process)
            handed_over.seek(0)
            output = data.decode(errors="replace")
            code, handed = process.returncode, handed_over.read()
            result = judge(job.file, [*words, *options], handed, code, output)
        return Ended(number, result, output)


def run_suite(jobs: Sequence[Job], *, parallel: int, out: Path | None) -> int:
    """Do all `jobs`, `parallel` at a time; the exit code of the gravest verdict.

    In `out` there is a folder for each, and a ``junit.xml`` of all; without it, the combinations of a
    scenario have one for themselves. IotsimError if a folder cannot be had.
    """
    results: dict[int, RunResult] = {}
    with ExitStack() as stack:
        outs, documents = _open_folders(jobs, out, stack)
        suite = Suite(jobs, outs)
        previous = {number: signal.signal(number, suite.stop) for number in ending_signals()}
        try:
            _write_junit(documents, jobs, results)
            with ThreadPoolExecutor(parallel) as pool:
                for ended in filter(None, pool.map(suite.run, range(len(jobs)))):
                    results[ended.number] = ended.result
                    print(f"== {safe_line(str(jobs[ended.number]))}: {ended.result.verdict}")
                    print(ended.output, end="", flush=True)
                    _write_junit(documents, jobs, results)
        finally:
            for ending, handler in previous.items():
                signal.signal(ending, handler)
        for folder in documents:
            if folder.trouble:
                print(f"iotsim: {folder.trouble}")
    for number, result in results.items():
        if result.verdict != Verdict.PASSED:
            print("\n".join(_told_again(jobs[number], result)))
    verdicts = [Verdict(result.verdict) for result in results.values()]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)
    print(f"{len(verdicts)} of {len(jobs)} scenarios: {counts}")
    return EXIT_SIGNALLED + suite.stopped_by if suite.stopped_by else EXIT_CODES[combine(verdicts)]


def _open_folders(
    jobs: Sequence[Job], out: Path | None, stack: ExitStack
) -> tuple[list[Path | None], dict[ResultsFolder, list[int]]]:
    """Where the results of each job go, and the folders with a document about several, by their numbers."""
    by_file: dict[Path, list[int]] = {}
    for number, job in enumerate(jobs):
        by_file.setdefault(job.file, []).append(number)
    outs: list[Path | None] = [None] * len(jobs)
    documents: dict[ResultsFolder, list[int]] = {}
    if out is not None:
        documents[stack.enter_context(open_results("suite", out))] = list(range(len(jobs)))
    names = name_folders(list(by_file))
    for file, numbers in by_file.items():
        combined = len(numbers) > 1 or len(by_file) == 1
        if out is not None:
            parent = out / names[file] if len(by_file) > 1 else out
        elif combined:
            folder = stack.enter_context(open_results(file.stem, None))
            documents[folder] = numbers
            parent = folder.path
        else:
            continue
        inner = distinct_slugs([jobs[number].combination for number in numbers])
        for number, name in zip(numbers, inner, strict=True):
            outs[number] = parent / name if combined else parent
    return outs, documents


def _write_junit(
    documents: Mapping[ResultsFolder, Sequence[int]],
    jobs: Sequence[Job],
    results: Mapping[int, RunResult],
) -> None:
    """In each folder one document of its runs; of those that have not ended it says so."""
    for folder, numbers in documents.items():
        suites = []
        for number in numbers:
            job = jobs[number]
            name = f"{job.file.stem} [{job.combination}]" if job.combination else job.file.stem
            waiting = RunResult(scenario=name, path=str(job.file), seed=0)
            suites.append(suite_of(results.get(number, waiting)))
        folder.write_junit(suites)


def _told_again(job: Job, result: RunResult) -> list[str]:
    """What became of a run that has not passed, and the line that repeats it."""
    reason = clip(safe_line(result.reason), REASON_CHARACTERS)
    shown = safe_line(str(job))
    what = f"{shown}: {reason}" if reason else shown
    return [f"{result.verdict:<13} {what}", f"{'':13} {safe_line(result.repeat)}"]


def judge(
    file: Path, words: Sequence[str], handed_over: bytes, status: int, output: str
) -> RunResult:
    """The result of the run ``iotsim WORDS``, whose process has `handed_over` these bytes, has ended with
    `status` (-N: by signal N), and has printed `output`.

    An error, if there is no result among them, or one that does not go with the status.
    """
    try:
        result = decode_result(handed_over)
    except msgspec.MsgspecError:
        *_, last = output.strip().splitlines() or ["it has printed nothing"]
        result = RunResult(scenario=file.stem, path=str(file), seed=0)
        wrong = f"it has left no result, and ended {_how(status)}: {last}"
    else:
        by_signal = status > EXIT_SIGNALLED and result.verdict == Verdict.ERROR
        known = result.verdict in EXIT_CODES
        if by_signal or (known and status == exit_code(result.verdict)):
            return result
        wrong = f"its result says {result.verdict}, but it ended {_how(status)}"
    repeat = result.repeat or shlex.join(["iotsim", *words])
    return msgspec.structs.replace(result, verdict=Verdict.ERROR, reason=wrong, repeat=repeat)


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


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


def join_suite() -> Callable[[RunResult], None]:
    """If this process is one run of a suite: end with it, even if it is ended by SIGKILL.

    What is returned hands a result over to the suite; where there is none, it does nothing.
    """
    parent, _, number = os.environ.pop(SUITE, "").partition(" ")
    if not number:
        return lambda _result: None
    fd = int(number)
    os.set_inheritable(fd, False)
    # It comes when the thread that has started us ends, and that one waits for our end.
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != parent:  # too late
        signal.raise_signal(signal.SIGTERM)

    def hand_over(result: RunResult) -> None:
        with open(fd, "wb", closefd=False) as file:
            file.write(encode_result(result))

    return hand_over


def parse_jobs(text: str) -> int:
    """A number of runs at a time, or "auto": one per processor. ScenarioError for anything else."""
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if not re.fullmatch("[1-9][0-9]{0,3}", text, re.ASCII):
        raise ScenarioError([Problem("a number from 1 to 9999, or auto", f"--jobs {text}")])
    return int(text)
