"""Processes of tests: none outlives the block or the fixture that it was started in."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def start(words: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """Start a process in a group of its own, for `end`."""
    return subprocess.Popen(words, start_new_session=True, **options)


def end(process: subprocess.Popen[Any]) -> None:
    """End what `start` gave, with all of its group, unless it has ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextmanager
def started(words: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process that ends with the block at the latest, however that ends."""
    process = start(words, **options)
    try:
        yield process
    finally:
        end(process)
