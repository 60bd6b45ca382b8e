"""Several scenarios in one command: each in a process of its own, some of them at a time.

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


class Ended(NamedTuple):
    """A run of a suite that has ended, with what it printed."""

    file: Path
    result: RunResult
    output: str


class Suite:
    """The runs of one command. `jobs`: for each file the options of ``iotsim run`` with which to run it,
    those behind ``--`` included."""

    def __init__(self, jobs: Mapping[Path, Sequence[str]], out: Path | None) -> None:
        self._jobs = jobs
        self._out = out
        self._folders = name_folders(list(jobs))
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped_by = 0
        """The signal that has ended the suite before its time, 0 if none did."""

    def stop(self, number: int, _frame: object = None) -> None:
        self.stopped_by = number
        for process in tuple(self._running):
            process.terminate()

    def _is_stopped(self) -> bool:
        return self.stopped_by != 0

    def run(self, file: Path) -> Ended | None:
        """Run `file` in a process of its own; None if the suite has been stopped before."""
        if self._is_stopped():
            return None
        out = [] if self._out is None else ["--out", str(self._out / self._folders[file])]
        words, options = ["run", str(file)], self._jobs[file]
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
            result = judge(file, [*words, *options], handed_over.read(), process.returncode, output)
        return Ended(file, result, output)


def run_suite(jobs: Mapping[Path, Sequence[str]], *, parallel: int, out: Path | None) -> int:
    """Run all `jobs` (see `Suite`), `parallel` at a time; the exit code of the gravest verdict.

    In `out` there is a folder for each, and a ``junit.xml`` of all. IotsimError if `out` cannot be had.
    """
    suite = Suite(jobs, out)
    results: dict[Path, RunResult] = {}
    with ExitStack() as stack:
        folder = None if out is None else stack.enter_context(open_results("suite", out))
        previous = {number: signal.signal(number, suite.stop) for number in ending_signals()}
        try:
            _write_junit(folder, jobs, results)
            with ThreadPoolExecutor(parallel) as pool:
                for ended in filter(None, pool.map(suite.run, jobs)):
                    results[ended.file] = ended.result
                    print(f"== {ended.file}: {ended.result.verdict}")
                    print(ended.output, end="", flush=True)
                    _write_junit(folder, jobs, results)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        if folder is not None and folder.trouble:
            print(f"iotsim: {folder.trouble}")
    for file, result in results.items():
        if result.verdict != Verdict.PASSED:
            print("\n".join(_told_again(file, result)))
    verdicts = [Verdict(result.verdict) for result in results.values()]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)
    print(f"{len(verdicts)} of {len(jobs)} scenarios: {counts}")
    return EXIT_SIGNALLED + suite.stopped_by if suite.stopped_by else EXIT_CODES[combine(verdicts)]


def _write_junit(
    folder: ResultsFolder | None, jobs: Mapping[Path, object], results: Mapping[Path, RunResult]
) -> None:
    """One document of all runs; of those that have not ended it says so."""
    if folder is not None:
        waiting = (RunResult(scenario=file.stem, path=str(file), seed=0) for file in jobs)
        folder.write_junit(
            [suite_of(results.get(file, blank)) for file, blank in zip(jobs, waiting, strict=True)]
        )


def _told_again(file: Path, result: RunResult) -> list[str]:
    """What became of a run that has not passed, and the line that repeats it."""
    reason = clip(safe_line(result.reason), REASON_CHARACTERS)
    what = f"{file}: {reason}" if reason else str(file)
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
    folders: dict[Path, str] = {}
    for file in files:
        name = slug(str(file.resolve().relative_to(common).with_suffix("")))
        names = (name if number == 1 else f"{name}_{number}" for number in itertools.count(1))
        folders[file] = next(name for name in names if name not in folders.values())
    return folders


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
