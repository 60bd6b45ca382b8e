"""Several runs in one command, of several scenarios or of the combinations of a matrix: each in a process of
its own, some of them at a time.

A process each, since what a run gives up (privileges) or leaves behind (imported protocols) would be
missing, or in the way, in the next; `forkserver` makes them, from one that has imported everything already.
The verdict of each is the one in the result that its process hands over, in a memory file that nobody else
has; that a process has ended with status 0 proves nothing, since what ended it may have been anything.

`Suite` is one thread around one selector: it begins turns, hears how far they are and how they ended, and
ends those that take too long. Whoever is told of that is a `SuiteObserver`.
"""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Protocol

from iotsim.errors import IotsimError
from iotsim.results.verdict import EXIT_CODES, EXIT_SIGNALLED, Verdict, combine
from iotsim.run.forkserver import STACK_SIGNAL, Begun, Gone, start_server
from iotsim.run.inside import OVER
from iotsim.run.judging import judge
from iotsim.run.limit import GRACE_S
from iotsim.run.running import Running, read
from iotsim.run.selection import longest_first
from iotsim.run.signals import ending_signals
from iotsim.run.suitefolder import INDEX, SuiteFolder
from iotsim.run.suitejobs import Ended, Turn
from iotsim.testbed.helper import start_server as start_helpers
from iotsim.testbed.privileges import drop_privileges
from iotsim.testbed.serverend import leave_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from iotsim.results.result import RunResult
    from iotsim.run.forkserver import ForkServer
    from iotsim.run.memory import Memory
    from iotsim.run.suitejobs import Job, SuiteOptions

KILL_S = 2 * GRACE_S
"""A run should end itself at its limit, in order or not; this long after it, its process is killed."""
LEAVING_S = 600.0
"""How long a run with a limit may take to write once it is over: the page of a long one takes a while."""
STACK_S = 1.0
"""How long its stack may take to arrive before that."""
WRITE_INTERVAL_S = 1.0
WRITING_SHARE = 0.03
"""How much of the time may go into writing what there is so far, which of many runs takes a while."""


class SuiteObserver(Protocol):
    """What is told of a suite while it goes on, inside of the context, from one thread.

    A run is known by its turn, since repetitions of a job may go on at the same time. Each that has ``begun``
    has ``ended`` once, and may make ``progress``, told in a line, meanwhile. `folder` has its results,
    `output` is what its process printed.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def begun(self, turn: Turn, name: str) -> None: ...

    def progress(self, turn: Turn, text: str) -> None: ...

    def ended(
        self, turn: Turn, result: RunResult, folder: Path | None = None, output: str = ""
    ) -> None: ...


class Suite:
    """Does `jobs` as `options` say, in children of `server`; tells `observer`, and writes into `folder`."""

    def __init__(
        self,
        jobs: Sequence[Job],
        options: SuiteOptions,
        server: ForkServer,
        folder: SuiteFolder,
        observer: SuiteObserver,
        order: Sequence[int],
    ) -> None:
        self._jobs = jobs
        self._options = options
        self._server = server
        self._folder = folder
        self._observer = observer
        self._order = order
        self._turns = self._all_turns()
        self._again: list[Turn] = []
        self._running: dict[int, Running] = {}
        self._tickets = itertools.count(1)
        self._selector = selectors.DefaultSelector()
        self._write_at = 0.0
        self.ended: dict[Turn, Ended] = {}
        self.passes = 0
        """How many turns passed of which nothing else is kept."""
        self.stopped_by = 0
        """The signal that has ended the suite before its time, 0 if none did."""
        self.over = False
        self._failed = False
        self._signals: list[int] = []

    def _all_turns(self) -> Iterator[Turn]:
        """What is to be done, in this order."""
        options = self._options
        if not options.repeats:
            yield from map(Turn, self._order)
            return
        rounds = itertools.count(1) if options.repeat == 0 else range(1, options.repeat + 1)
        for repetition in rounds:
            for job in self._order:
                yield Turn(job, repetition)

    def heed(self, number: int, _frame: object = None) -> None:
        """A signal handler: the first one ends the suite in order, another one at once."""
        self._signals.append(number)

    def run(self) -> None:
        """Do it all. What there is of it when a signal ends it is in ``ended``."""
        woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, self.heed) for number in ending_signals()}
        wakeup = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        try:
            self._selector.register(woken, selectors.EVENT_READ, lambda: read(woken))
            self._selector.register(self._server.socket, selectors.EVENT_READ, self._hear)
            self._write(now=True)
            while True:
                self._heed_signals()
                self._begin_more()
                if not self._running:
                    break
                for key, _ in self._selector.select(self._patience()):
                    # One that came before may have ended this one's run, and closed it.
                    if self._selector.get_map().get(key.fd) is key:
                        key.data()
                self._end_late()
                self._write()
        finally:
            signal.set_wakeup_fd(wakeup)
            for ending, handler in before.items():
                signal.signal(ending, handler)
            self._selector.close()
            os.close(woken)
            os.close(wakes)
            self.over = True
            self._write(now=True)

    @property
    def index(self) -> Path:
        """The page that lists the runs."""
        return self._folder.path / INDEX

    @property
    def trouble(self) -> str:
        """What could not be written, and why."""
        return self._folder.trouble

    @property
    def exit_code(self) -> int:
        """That of the gravest verdict, or of the signal that has ended it all."""
        if self.stopped_by:
            return EXIT_SIGNALLED + self.stopped_by
        return EXIT_CODES[combine(ended.result.verdict for ended in self.ended.values())]

    # --- beginning ----------------------------------------------------------------------------

    def _begin_more(self) -> None:
        while len(self._running) < self._options.parallel and self._goes_on():
            turn = next(self._turns, None)
            if turn is not None:
                self._begin(turn)
            elif self._again and not self._running:
                self._begin(self._again.pop(0), retried=True)
                return  # alone
            else:
                return
            if self._running and next(iter(self._running.values())).retried:
                return

    def _goes_on(self) -> bool:
        if self.stopped_by:
            return False
        ends = self._options.fail_fast or self._options.until_fail
        return not (ends and self._failed)

    def _begin(self, turn: Turn, *, retried: bool = False) -> None:
        job = self._jobs[turn.job]
        folder = self._folder.of(turn)
        ticket = next(self._tickets)
        one = Running(turn, folder)
        one.retried = retried
        if job.limit_s is not None:
            one.kill_at = one.began + job.limit_s + KILL_S
        for other in self._running.values():
            other.beside += 1
        one.beside = len(self._running)
        if not retried:
            self._observer.begun(turn, self._name(turn))
        self._running[ticket] = one
        self._selector.register(one.output, selectors.EVENT_READ, lambda: self._took_output(one))
        self._selector.register(one.news, selectors.EVENT_READ, lambda: self._took_news(one))
        try:
            # Of a server that was killed, `_hear` ends what it was to run.
            with suppress(IotsimError):
                self._server.begin(ticket, turn.job, folder, one.fds)
        finally:
            one.close_theirs()

    def _name(self, turn: Turn) -> str:
        again = f" #{turn.repetition}" if turn.repetition else ""
        return f"{self._jobs[turn.job]}{again}"

    # --- meanwhile ----------------------------------------------------------------------------

    def _took_output(self, one: Running) -> None:
        if not one.read_output():
            self._selector.unregister(one.output)

    def _took_news(self, one: Running) -> None:
        if not one.read_news():
            self._selector.unregister(one.news)
        elif one.doing:
            if one.doing == OVER and one.kill_at is not None:
                one.kill_at = time.monotonic() + LEAVING_S
            self._observer.progress(one.turn, one.doing)

    def _patience(self) -> float | None:
        """How long there may be nothing to do."""
        times = [one.kill_at for one in self._running.values() if one.kill_at is not None]
        left = min(times) - time.monotonic() if times else WRITE_INTERVAL_S
        return max(0.0, min(left, WRITE_INTERVAL_S))

    def _end_late(self) -> None:
        """End the processes of runs that should have ended themselves."""
        now = time.monotonic()
        for ticket, one in self._running.items():
            if one.kill_at is None or now < one.kill_at:
                continue
            if not one.asked_for_stack:
                one.asked_for_stack = True
                one.kill_at = now + STACK_S
                self._server.signal(ticket, STACK_SIGNAL)
                continue
            one.kill_at = None
            limit_s = self._jobs[one.turn.job].limit_s
            one.killed_for = f"it did not end {KILL_S:g} s after its limit of {limit_s:g} s"
            if one.doing == OVER:
                one.killed_for = f"it did not end {LEAVING_S:g} s after it was over"
            self._server.signal(ticket, signal.SIGKILL)

    def _heed_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            harder = self.stopped_by != 0
            self.stopped_by = self.stopped_by or number
            for ticket, one in self._running.items():
                if harder:
                    one.killed_for = f"killed: {signal.Signals(number).name} came a second time"
                self._server.signal(ticket, signal.SIGKILL if harder else number)

    # --- ending -------------------------------------------------------------------------------

    def _hear(self) -> None:
        news = self._server.receive()
        if news is None:  # the server was killed, and its children with it
            self._selector.unregister(self._server.socket)
            for ticket in tuple(self._running):
                self._end(Gone(ticket, -signal.SIGKILL))
            self.stopped_by = self.stopped_by or signal.SIGTERM
        elif isinstance(news, Begun):
            if self.stopped_by and news.ticket in self._running:  # while it was being started
                self._server.signal(news.ticket, self.stopped_by)
        else:
            self._end(news)

    def _end(self, gone: Gone) -> None:
        one = self._running.pop(gone.ticket)
        for fd in (one.output, one.news):
            with suppress(KeyError):
                self._selector.unregister(fd)
        output, data = one.printed(), one.handed_over()
        one.close()
        result = judge(
            self._jobs[one.turn.job],
            data,
            gone.status,
            output,
            doing=one.doing,
            killed_for=one.killed_for,
        )
        took_s = time.monotonic() - one.began
        ended = Ended(one.turn, one.folder, result, output, took_s, one.beside, retried=one.retried)
        doubtful = result.verdict == Verdict.INCONCLUSIVE and one.beside > 0
        if doubtful and self._options.retry and not one.retried and not self.stopped_by:
            self._again.append(one.turn)
            self._observer.progress(one.turn, "inconclusive: once more, alone, at the end")
            return
        self._keep(ended)

    def _keep(self, ended: Ended) -> None:
        turn = ended.turn
        passed = ended.result.verdict in (Verdict.PASSED, Verdict.SKIPPED)
        self._failed = self._failed or not passed
        if self._options.until_fail and passed:
            for known in [k for k in self.ended if k.job == turn.job]:
                del self.ended[known]
                self._folder.remove(known)
                self.passes += 1
        self.ended[turn] = ended
        self._folder.changed(ended)
        self._observer.ended(turn, ended.result, ended.folder, ended.output)
        ended.output = ""  # it is told, and of many runs it would be much

    def _write(self, *, now: bool = False) -> None:
        began = time.monotonic()
        if now or began > self._write_at:
            self._folder.write(self, [one.turn for one in self._running.values()])
            took_s = time.monotonic() - began
            self._write_at = began + max(WRITE_INTERVAL_S, took_s / WRITING_SHARE)

    @property
    def waiting(self) -> list[Turn]:
        """What has not been begun, of a suite that has an end."""
        if self._options.repeat == 0 or (self._options.until_fail and self._options.repeats):
            return []
        seen = self.ended.keys() | {one.turn for one in self._running.values()}
        return [turn for turn in self._all_turns() if turn not in seen]


def run_suite(
    jobs: Sequence[Job],
    options: SuiteOptions,
    do: Callable[[int, Path | None], int],
    observer: SuiteObserver,
    memory: Memory,
) -> Suite:
    """Do all `jobs`, each in a child process in which `do` is called with its number and folder; what there
    is to tell of it. `memory` has known durations, and gets what becomes of the runs.

    IotsimError if the folder cannot be had.
    """
    order = longest_first(jobs, memory.seconds if options.parallel > 1 else {})
    with ExitStack() as stack:
        stack.enter_context(start_helpers())
        server = start_server(do)
        stack.callback(server.close)
        leave_server()
        folder = stack.enter_context(SuiteFolder.opened(jobs, options, memory))
        if options.drop_privileges:
            drop_privileges(folder.path)
        suite = Suite(jobs, options, server, folder, observer, order)
        with observer:
            suite.run()
    return suite
