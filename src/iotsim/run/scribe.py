"""A process that stands by to write what a run has recorded, and does so where a core is left for it.

To encode a packet or a message takes longer than to hand it on. So where there is much to record, it is only
put into a `Backlog`, and written when there is time. A child has been forked from the run by then, and knows
all that encoders know. Where the run and its gateway leave it a core, it writes all the time. Where not, it
would take from them more than it gives; then the run writes by itself whenever it has nothing else to do, and
the child waits.

The child survives the run: whatever ends that one, SIGKILL too, what is in the backlog is written. If the
child is killed, the run goes on. So nothing is lost but by who kills both at once, or by a disk that takes
nothing any more. Where the backlog is full, the run writes what is oldest, or waits for the child as long as
that one gets on.
"""

from __future__ import annotations

import gc
import mmap
import os
import select
import signal
import threading
import time
import warnings
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING

from iotsim.run.backlog import BYTES, Backlog
from iotsim.run.files import PATIENCE_S, waits
from iotsim.testbed import cgroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

    from iotsim.run.backlog import Piece
    from iotsim.run.files import AppendFile

TOGETHER_BYTES = 1 << 18
TOGETHER_S = 0.05
"""The child is told of this many bytes at a time, or after this long: each time it wakes up."""
STALLED_S = 0.5
"""A disk that has taken nothing for this long is not waited for."""
LOOK_AGAIN_S = 0.001
LEAST_CORES = 3
"""The run, its gateway and the child each want one: with two, what the child takes from these costs a
third of the rate."""
LEAST_RECORDS = 2_000
LOOK_S = 0.02
"""Whether a backlog pays is decided anew after at least this many records and this long."""
BUSY_RATE = 50_000
"""Records a second: events and packets, two of each for a request. Where there are fewer, a backlog takes
more memory than it spares time: ten thousand devices that register at once make half as many."""
BUSY_SHARE = 0.7
"""The share of the time that this process works."""
HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Sent by a terminal to all processes of a command; they are for the run to heed."""
SHARE_OF_MEMORY = 8
LEAST_BYTES = 1 << 20

_PUT_IN = Struct("<Q")
"""What the child is told: how far the backlog goes."""
_ENDED = (1 << 64) - 1
"""Or that the run needs it no more."""
_TOLD_BYTES = 512 * _PUT_IN.size


class Busy:
    """Whether there is so much to record, and this process so busy, that writing it is better put off."""

    def __init__(self) -> None:
        self._records = 0
        self._since = time.monotonic()
        self._worked = time.thread_time()

    def now(self, records: int) -> bool:
        """`records` more have come."""
        self._records += records
        if self._records < LEAST_RECORDS:
            return False
        passed_s = time.monotonic() - self._since
        if passed_s < LOOK_S:
            return False
        worked_s = time.thread_time() - self._worked
        rate, share = self._records / passed_s, worked_s / passed_s
        self._records = 0
        self._since += passed_s
        self._worked += worked_s
        return rate >= BUSY_RATE and share >= BUSY_SHARE


class Scribe:
    """The child, and the run's side of what they share. It is forked when this is made: OSError if it cannot
    be.

    `files` are written through this alone from then on. `write` is called, in either process, with a piece,
    and gives what is in that to the files' `write_now`. With `at_once` the child writes
    all the time; else the run does by `write_some`, or the child if the run is no more.
    """

    pid: int
    """Of the child; 0: it is no more."""

    def __init__(
        self,
        files: Sequence[AppendFile],
        write: Callable[[bytes], object],
        *,
        at_once: bool,
        size: int = BYTES,
    ) -> None:
        self._files = files
        self._write = write
        self._child_writes = at_once
        self._backlog = Backlog(files, size)
        self.largest = self._backlog.largest
        self._told = 0
        self._told_at = time.monotonic()
        self._lost = [0] * len(files)
        self._stuck = -1
        """How much the disk had taken when it stalled."""
        run = os.getpid()
        reads, self._pipe = os.pipe()
        try:
            with warnings.catch_warnings():
                # Of forks beside threads: none is.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.pid = os.fork()
        except OSError:
            os.close(reads)
            os.close(self._pipe)
            raise
        if self.pid == 0:
            self._serve(reads, run)
        os.close(reads)
        os.set_blocking(self._pipe, False)

    def append(self, piece: bytes, numbers: Iterable[int]) -> None:
        """Have a piece, of at most `largest` bytes, written; `numbers` are those of the files it is for."""
        while not self._backlog.put(piece):
            if not self._make_room():
                for number in numbers:
                    self._lost[number] += 1
                return

    def write_on(self) -> bool:
        """Let the child know what is due. True: this is to be called again, or `write_some`."""
        far = self._backlog.put_in
        if not self._child_writes:
            return self._backlog.taken_out < far
        if far - self._told >= TOGETHER_BYTES or time.monotonic() - self._told_at >= TOGETHER_S:
            self._tell_child()
        return self._told < far

    def write_some(self) -> bool:
        """Write a piece, as there is nothing else to do; False if there is none for this process."""
        if self._child_writes:
            return False
        piece = self._backlog.next(self._backlog.put_in)
        if piece is None:
            self._backlog.release()
            return False
        began, waited = time.perf_counter(), waits()
        self._write_piece(piece)
        if self.pid and time.perf_counter() - began > PATIENCE_S and waits() != waited:
            self._child_writes = True  # a disk that is slow must not delay any device
        return True

    def close(self) -> None:
        """Wait until all is written. The files are this process's again."""
        if not self._child_writes:
            self._write_all()
        if self.pid:
            self._join()
            self._write_all()
        for file, lost in zip(self._files, self._lost, strict=True):
            file.lost_appends += lost

    def _make_room(self) -> bool:
        """Write some of the backlog, or wait for that; False if it cannot be waited for."""
        if not self._child_writes:
            return self.write_some()
        before, since = self._backlog.taken_out, time.monotonic()
        while before != self._stuck:
            self._tell_child()
            if not self._child_writes or self._backlog.taken_out != before:
                return True
            time.sleep(LOOK_AGAIN_S)
            if time.monotonic() - since > STALLED_S:
                self._stuck = before
        return False

    def _tell_child(self) -> None:
        far = self._backlog.put_in
        try:
            os.write(self._pipe, _PUT_IN.pack(far))
        except BlockingIOError:
            return  # it has not even heard of what it was told before
        except OSError:
            self._join()
            return
        self._told, self._told_at = far, time.monotonic()

    def _join(self) -> None:
        """Wait for the child's end, and be the one who writes."""
        with suppress(OSError):  # that it is no more
            # The pipe's end may not come: the user's code may have forked, too.
            os.set_blocking(self._pipe, True)
            os.write(self._pipe, _PUT_IN.pack(_ENDED))
        os.close(self._pipe)
        with suppress(ChildProcessError):  # it is waited for all the same where SIGCHLD is ignored
            os.waitpid(self.pid, 0)
        self.pid = 0
        if self._child_writes:
            self._child_writes = False
            self._backlog.take_over()

    def _write_all(self) -> None:
        while piece := self._backlog.next(self._backlog.put_in):
            self._write_piece(piece)

    def _write_piece(self, piece: Piece) -> None:
        self._write(piece.data)
        self._backlog.done(piece)

    def _serve(self, told: int, run: int) -> NoReturn:
        """Be the child: write what `told`, a pipe, says, and when that or process `run` ends, all that is
        left."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in HEEDED:
                signal.signal(number, signal.SIG_IGN)
            gc.disable()
            _close_all_but(told, *[file.fileno() for file in self._files])
            hear = _listening(told, run)
            while heard := hear():
                (far,) = _PUT_IN.unpack(heard[-_PUT_IN.size :])
                if far == _ENDED:
                    break
                self._backlog.take_over()
                while piece := self._backlog.next(far):
                    self._write_piece(piece)
            if self._backlog.taken_out < self._backlog.put_in:
                self._backlog.take_over()
                self._write_all()
            status = 0
        finally:
            os._exit(status)  # nothing of the run's is to be done here


def may_have_scribe() -> bool:
    """Whether this process can fork one."""
    return threading.active_count() == 1


def has_core_to_spare() -> bool:
    """Whether a scribe may write while the run and the gateway work."""
    return cgroup.processors() >= LEAST_CORES


def backlog_bytes() -> int:
    """How much may wait: a share of the memory there is, as a process that takes more than that is killed."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    share = int(min(there, cgroup.memory_bytes())) // SHARE_OF_MEMORY
    return min(BYTES, max(LEAST_BYTES, share - share % mmap.PAGESIZE))


def _listening(told: int, run: int) -> Callable[[], bytes]:
    """What gives what comes through the pipe `told`, and nothing any more when that has ended, or process
    `run` has: a process that code of the user's has forked from that one may hold its end of the pipe."""
    poll = select.poll()
    poll.register(told, select.POLLIN)
    patience_ms = None
    try:
        poll.register(os.pidfd_open(run), select.POLLIN)
    except ProcessLookupError:
        patience_ms = 0  # it is no more
    except OSError:  # a kernel before 5.3
        pass

    def hear() -> bytes:
        heard = any(fd == told for fd, _ in poll.poll(patience_ms))
        return os.read(told, _TOLD_BYTES) if heard else b""

    return hear


def _close_all_but(*kept: int) -> None:
    """Close what was inherited, so that nothing waits for this process: the helper ends, and its namespaces
    with it, when the run's own end of their socket closes."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    # Those there may be can be a thousand million.
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names are enough
        if fd > 2 and fd not in kept:
            with suppress(OSError):  # that of the list itself
                os.close(fd)
