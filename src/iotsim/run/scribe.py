"""A process that encodes and writes what a run records, on a core that the run leaves free.

To encode a packet or a message takes longer than to hand it on. So where there is much to record, and a
core to spare, a child takes the files over: it has been forked from the run, and knows all that encoders
know. What it is to write comes through a pipe, in pieces that are each whole.

It survives the run: whatever ends that one, SIGKILL too, what is in the pipe is written. What the pipe has
no room for waits in the run, but never for longer than `PATIENCE_S`; then the run waits for the child. So if
all processes are killed at once, what is lost is of the last second. If only the child is killed, the run
goes on with the files itself: what was whole stays, and what was in the pipe is counted as lost.
"""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import select
import signal
import threading
import time
import warnings
from collections import deque
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from iotsim.run.files import AppendFile

PIPE_BYTES = 1 << 20
PATIENCE_S = 0.5
READ_BYTES = 1 << 18
TOGETHER_BYTES = 1 << 18
TOGETHER_S = 0.05
"""So much is put into the pipe at a time, or what has come in so long: each time the child wakes up."""
LEAST_CORES = 3
"""The run, its gateway and the scribe each want one: with two, what the scribe takes from the gateway costs a
third of the rate."""
LEAST_RECORDS = 2_000
LOOK_S = 0.1
"""After so many records, and so long, is it looked whether a process pays."""
BUSY_RATE = 20_000
"""Records a second: events or packets, of which there are two for a request."""
BUSY_SHARE = 0.7
"""Of the time, that this process works."""
HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Sent by a terminal to all processes of a command; they are for the run to heed."""
ERROR_BYTES = 96
KILLED = "the process that wrote it was killed"
CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

_HEAD = Struct("<IB")
_STATE = Struct(f"<QQ{ERROR_BYTES}sQ")
"""Of a file: its size, how many appends it has lost and why, how many pieces are done."""
_DONE = Struct("<Q")


class Busy:
    """Whether there is so much to record that a process for it pays: it takes more work than it saves this
    one, so only where this one has a core to itself, and needs all of it."""

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
    """The child, and the run's end of its pipe. It is forked when this is made: OSError if it cannot be.

    `files` are written by it alone from then on. `write` is called there with the number of a file and a
    piece for that, which it gives to the file's `write_now`; where the child is no more, it is called here.
    """

    def __init__(
        self,
        files: Sequence[AppendFile],
        write: Callable[[int, bytes], object],
    ) -> None:
        self._files = files
        self._write = write
        self._waiting: deque[tuple[float, memoryview]] = deque()
        """What is not in the pipe yet, and since when."""
        self._waiting_bytes = 0
        self._given = [0] * len(files)
        self._state = mmap.mmap(-1, _STATE.size * len(files))  # shared with the child
        reads, self._pipe = os.pipe()
        with suppress(OSError):  # beyond what this user may have
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
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
            self._serve(reads)
        os.close(reads)
        os.set_blocking(self._pipe, False)

    def append(self, number: int, piece: bytes) -> None:
        """Have `piece` written to the file of this number, soon."""
        if not self.pid:
            self._write(number, piece)
            return
        self._given[number] += 1
        data = memoryview(_HEAD.pack(len(piece), number) + piece)
        self._waiting.append((time.monotonic(), data))
        self._waiting_bytes += len(data)

    def write_on(self) -> bool:
        """Put what is due into the pipe, as far as it has room; whether anything is left."""
        waiting = self._waiting
        if waiting and (
            self._waiting_bytes >= TOGETHER_BYTES or time.monotonic() - waiting[0][0] >= TOGETHER_S
        ):
            return self.push()
        return bool(waiting)

    def push(self) -> bool:
        """Put into the pipe what it has room for; whether anything is left."""
        waiting, now = self._waiting, time.monotonic()
        while waiting and self.pid:
            since, data = waiting[0]
            try:
                written = os.write(self._pipe, data)
            except BlockingIOError:
                if now - since < PATIENCE_S:
                    return True
                _wait_for_room(self._pipe)
                continue
            except OSError:
                self._take_over()
                break
            self._waiting_bytes -= written
            if written == len(data):
                waiting.popleft()
            else:
                waiting[0] = since, data[written:]
        return False

    def close(self) -> None:
        """Wait until all is written. The files are this process's again."""
        if self.pid:
            os.set_blocking(self._pipe, True)
            self.push()
        if self.pid:
            self._take_over()

    def _take_over(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        os.close(self._pipe)
        os.waitpid(self.pid, 0)
        self.pid = 0
        for number, file in enumerate(self._files):
            size, lost, error, done = _STATE.unpack_from(self._state, number * _STATE.size)
            file.size = size or file.size
            file.lost_appends += lost
            file.error = error.rstrip(b"\0").decode(errors="replace") or file.error
            if done < self._given[number]:
                file.lost_appends += self._given[number] - done
                file.error = file.error or KILLED
                file.cut()

    # --- in the child --------------------------------------------------------------------------------------

    def _serve(self, pipe: int) -> NoReturn:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in HEEDED:
                signal.signal(number, signal.SIG_IGN)
            gc.disable()
            _close_all_but(pipe, *[file.fileno() for file in self._files])
            self._done = [0] * len(self._files)
            for file in self._files:
                file.lost_appends, file.error = 0, ""
            data = b""
            while more := os.read(pipe, READ_BYTES):
                data = self._write_whole(data + more)
            status = 0
        finally:
            os._exit(status)  # nothing of the run's is to be done here

    def _write_whole(self, data: bytes) -> bytes:
        """Write the pieces that are whole; what is left."""
        at, head, end = 0, _HEAD.size, len(data)
        while at + head <= end:
            length, number = _HEAD.unpack_from(data, at)
            if at + head + length > end:
                break
            file = self._files[number]
            self._write(number, data[at + head : at + head + length])
            at += head + length
            place = number * _STATE.size
            error = file.error.encode()[:ERROR_BYTES]
            _STATE.pack_into(
                self._state, place, file.size, file.lost_appends, error, self._done[number]
            )
            self._done[number] += 1  # last: a piece is done once its size is known
            _DONE.pack_into(self._state, place + _STATE.size - _DONE.size, self._done[number])
        return data[at:]


def _wait_for_room(pipe: int) -> None:
    """Wait until `pipe` takes something, or nobody reads it."""
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    poll.poll()


def may_have_scribe() -> bool:
    """Whether this process can fork one, and another core would have it."""
    return threading.active_count() == 1 and cores() >= LEAST_CORES


def cores() -> int:
    """How many this process may use at a time."""
    count = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_LIMIT.read_text().split()
        return min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no such limit
        return count


def _close_all_but(*kept: int) -> None:
    """Close what was inherited, so that nothing waits for this process: the helper ends, and its namespaces
    with it, when the run's own end of their socket closes."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    begin = 3
    for fd in sorted(kept):
        os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))
