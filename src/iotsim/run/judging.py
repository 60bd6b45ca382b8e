"""What the process of a run has proved, as it has ended."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import msgspec

from iotsim.results.result import RunResult, decode_result
from iotsim.results.verdict import EXIT_CODES, EXIT_SIGNALLED, Verdict, exit_code
from iotsim.testbed.process import signal_name

if TYPE_CHECKING:
    from iotsim.run.suitejobs import Job

_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)
_STACK = "Stack (most recent call first):"


def judge(
    job: Job,
    handed_over: bytes,
    status: int,
    output: str,
    *,
    doing: str = "",
    killed_for: str = "",
) -> RunResult:
    """The result of the run of `job`, whose process has `handed_over` these bytes, has ended with `status`
    (-N: by signal N), and has printed `output`. `doing` is what it last said, `killed_for` why the suite
    has killed it.

    An error, if there is no result among them, or one that does not go with the status.
    """
    try:
        result = decode_result(handed_over)
    except msgspec.MsgspecError:
        result = RunResult(scenario=job.scenario or job.file.stem, path=str(job.file), seed=0)
        wrong = f"it has left no result, and ended {_how(status)}: {_last_line(output)}"
    else:
        by_signal = status > EXIT_SIGNALLED and result.verdict == Verdict.ERROR
        known = result.verdict in EXIT_CODES
        if by_signal or (known and status == exit_code(result.verdict)):
            return result
        wrong = f"its result says {result.verdict}, but it ended {_how(status)}"
    if killed_for:
        where = _place(output)
        last = "; ".join(filter(None, (doing, f"its process was at {where}" if where else "")))
        wrong = f"{killed_for}: {last or 'what it was doing is not known'}"
    repeat = result.repeat or shlex.join(["iotsim", "run", str(job.file), *job.words])
    return msgspec.structs.replace(result, verdict=Verdict.ERROR, reason=wrong, repeat=repeat)


def _last_line(output: str) -> str:
    *_, last = output.strip().splitlines() or ["it has printed nothing"]
    return last


def _place(output: str) -> str:
    """The innermost place on the stack that faulthandler has written at the end of `output`, "" if none."""
    _, found, stack = output.rpartition(_STACK)
    frame = _FRAME.search(stack) if found else None
    return f"{frame['name']}() at {frame['file']}:{frame['line']}" if frame else ""


def _how(status: int) -> str:
    if status >= 0:
        return f"with status {status}"
    return f"by {signal_name(-status)}"
