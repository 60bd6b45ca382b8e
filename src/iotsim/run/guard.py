"""A guard beside a run that calls code of the user's: the last resort against what nothing can interrupt.

The watchdog (`iotsim.simulation.watchdog`) works inside the run's process, so it is of no use while code
in C keeps the interpreter's lock for itself. The guard is a process that the run has forked, which hears
of every look of the watchdog. When there was none for long, it asks faulthandler for the run's stack,
which needs no lock. Is the user's code on it, the guard writes the results in the place of the run, says
why, and kills it. (Nothing else ends such a process, so its exit status is 137.)
"""

from __future__ import annotations

import faulthandler
import os
import re
import select
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from iotsim.errors import IotsimError
from iotsim.results.verdict import EXIT_CODES, Verdict
from iotsim.safetext import safe_line
from iotsim.simulation.watchdog import PATIENCE_S, Rescue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

SILENCE_S = 3 * PATIENCE_S
"""How long there may be no look, by far longer than the watchdog itself takes."""
SILENT_TURNS = 15
"""That time is this many turns of the guard: while the run is not running, they are not counted."""
OFF_DUTY, LOOKED, ENDED = b"0", b"1", b"2"
"""What the run tells: there will be no looks for now; there was one; there will be none ever again."""
STACK_SIGNAL = signal.SIGRTMIN + 5
STACK_BYTES = 1 << 16
WAITING_STATES = "TtDZ"
"""States of a process (proc(5)) that is not running, for reasons of others."""
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)


@contextmanager
def guard(
    files: Collection[str],
    tolerance: float,
    fail: Callable[[IotsimError], None],
    *,
    begin: Callable[[], None],
) -> Iterator[Rescue | None]:
    """Guard this process while the context lasts, if it calls code of `files`. It must have one thread.

    `fail` writes the results of the run that an error has ended. `begin` is called first in the guard's
    own process.
    """
    if not files:
        yield None
        return

    def end(why: str) -> None:
        fail(IotsimError(why))
        sys.stdout.flush()
        print(safe_line(f"iotsim: error: {why}"), file=sys.stderr, flush=True)

    def hopeless(why: str) -> NoReturn:
        end(why)
        os._exit(EXIT_CODES[Verdict.ERROR])

    looks, told = os.pipe()
    stacks, stack = os.pipe()
    run = os.getpid()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        os.close(stack)
        try:
            # What the terminal sends is for the run to heed.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            begin()
            _stand_guard(run, looks, stacks, files, SILENCE_S * tolerance, end)
        finally:
            os._exit(0)
    os.close(looks)
    os.set_blocking(told, False)
    faulthandler.register(STACK_SIGNAL, stack, all_threads=False)
    try:
        yield Rescue(hopeless, lambda on_duty: _tell(told, LOOKED if on_duty else OFF_DUTY))
    finally:
        faulthandler.unregister(STACK_SIGNAL)
        _tell(told, ENDED)  # the pipe's end does not: the user's code may have forked, too
        for fd in (told, stack, stacks):
            os.close(fd)
        os.waitpid(pid, 0)


def _tell(guard: int, what: bytes) -> None:
    """Tell `guard` by its pipe. A guard that was killed or stopped is no reason to end the run."""
    with suppress(OSError):
        os.write(guard, what)


def _stand_guard(
    run: int,
    looks: int,
    stacks: int,
    files: Collection[str],
    silence_s: float,
    end: Callable[[str], None],
) -> None:
    """Watch over the process `run` until it has ended, or has to be; `end` is told why, before that."""
    on_duty, silent = False, 0
    while True:
        if select.select([looks], [], [], silence_s / SILENT_TURNS)[0]:
            news = os.read(looks, 4096)
            if not news or news.endswith(ENDED):
                return
            on_duty, silent = news.endswith(LOOKED), 0
        elif on_duty and _state(run) not in WAITING_STATES:
            silent += 1
        if silent >= SILENT_TURNS:
            place = _ask_for_place(run, stacks, files)
            if place:
                end(
                    f"{place} has kept all devices waiting for {silence_s:.0f} s, and cannot be interrupted"
                )
                os.kill(run, signal.SIGKILL)
                return
            silent = 0


def _ask_for_place(run: int, stacks: int, files: Collection[str]) -> str:
    """The innermost place in `files` on the stack of `run`, "" if there is none."""
    os.kill(run, STACK_SIGNAL)
    if not select.select([stacks], [], [], 1.0)[0]:
        return ""
    text = os.read(stacks, STACK_BYTES).decode(errors="replace")
    for frame in _FRAME.finditer(text):
        if frame["file"] in files:
            return f"{frame['name']}() at {frame['file']}:{frame['line']}"
    return ""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
