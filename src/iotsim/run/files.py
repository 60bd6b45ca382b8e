"""The files of a run: appended to as it goes, replaced whole at its end.

As long as the system takes what is written at the speed of memory, writing in place is by far the
cheapest: a second thread would contend for the interpreter with the packets' way, at half as much again
for each of them. But a disk may become slow, and must delay no device then. So the first write that takes
long is the last that is made in place: from then on a thread writes. Its backlog has a bound, and what
does not fit is dropped and counted, by file. In virtual time no thread is used at all, since its work
would be overtaken by a clock that jumps.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import queue
import resource
import secrets
import stat
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from iotsim.testbed.users import give_to_caller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

BACKLOG_BYTES = 256 << 20
PATIENCE_S = 0.005
"""A write that takes longer shows that the disk is slow."""
NO_THREAD = math.inf
LOCK_LOOK_S = 0.01
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class AppendFile:
    """One growing file. What one `append` takes is on disk whole or not at all, in order."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self.size = 0
        self.lost_appends = 0
        self.error = ""
        self._writer = writer
        self._fd = os.open(path, _APPENDING, 0o644)

    def append(self, data: bytes) -> None:
        if data and not self._writer.put(self, data):
            self.lost_appends += 1

    def write_now(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            self.size += len(data)
        except OSError as error:  # a full disk must not end the run, and must not go unseen
            self.lost_appends += 1
            self.error = str(error)
            self.cut()

    def cut(self) -> None:
        """Leave nothing in the file that is not whole."""
        with suppress(OSError):
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def losses(self) -> list[str]:
        """What the file lacks, and why, in words."""
        if not self.lost_appends:
            return []
        why = self.error or "the disk was too slow"
        return [f"{self.path.name} lacks {self.lost_appends} batches: {why}"]


class Writer:
    """Writes what `AppendFile`s were given. A context manager: leaving it writes all that is left.

    `patience_s` is what one write may take before a thread takes over; `NO_THREAD`: none ever does.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._queue: queue.SimpleQueue[tuple[AppendFile, bytes] | None] = queue.SimpleQueue()
        self._backlog = 0
        self._written = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def put(self, file: AppendFile, data: bytes) -> bool:
        """Write `data` to `file`, now or soon. False: there is no room for it, and it is lost."""
        if self._thread is None:
            began, waited = time.perf_counter(), waits()
            file.write_now(data)
            # Where other processes have taken the core meanwhile, the disk is not to blame.
            if time.perf_counter() - began > self._patience_s and waits() != waited:
                self._thread = threading.Thread(
                    target=self._work, name="iotsim-writer", daemon=True
                )
                self._thread.start()
            return True
        # Each counter has one thread that writes it, so neither needs a lock.
        if self._backlog - self._written > BACKLOG_BYTES:
            return False
        self._backlog += len(data)
        self._queue.put((file, data))
        return True

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            file, data = item
            file.write_now(data)
            self._written += len(data)


def waits() -> int:
    """How often this thread has waited for something, as a disk, and not just for its turn."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file at `path`: a reader sees the old or the new, never half.

    A link at `path` is replaced itself. OSError if it cannot be; then all is as before.
    """
    # Nobody can have put a link there that leads elsewhere, and no two processes share it.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(temporary, _ANEW, 0o666), "wb") as file:
            file.write(data)
            give_to_caller(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()  # half a file would keep room that a full disk does not have
        raise


def open_file(path: Path) -> BinaryIO:
    """The file at `path`, opened for reading. OSError if there is none, or it is something else: a pipe, or a
    device. Results of others may hold one, to be waited for without end."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        return os.fdopen(fd, "rb")
    except OSError:
        os.close(fd)
        raise


def read_file(path: Path) -> bytes:
    """What the file at `path` holds; OSError as of `open_file`."""
    with open_file(path) as file:
        return file.read()


@contextmanager
def locked(folder: Path, patience_s: float) -> Iterator[None]:
    """Keep `folder` from others who lock it. OSError if it cannot be opened.

    A run holds the folder of its results for as long as it goes on. So after `patience_s`, as where the file
    system cannot lock, there is no lock, and no error.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(fd, time.monotonic() + patience_s)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, deadline: float) -> None:
    with suppress(OSError):
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return
                time.sleep(LOCK_LOOK_S)
            else:
                return
