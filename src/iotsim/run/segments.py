"""Growing files with a bound: of a run that lasts for days, the newest is kept, and what failed.

Such a file is written in segments. The one that grows has the file's own name; those that are full lie
beside it, as ``events.1.jsonl``, ``events.2.jsonl`` and so on, each whole and readable by itself. When
all of them together are larger than the bound, the oldest is dropped, but for the lines that a result is
made of. What surrounds a failure is no candidate: the segment in which it was marked, the one before and
the one after. Such segments may take half of the bound, the earliest failures first, so that there is
always room for the newest.

At the end the segments become one file again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iotsim.run.files import AppendFile, replace_file
from iotsim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

    from iotsim.run.files import Writer

SEGMENTS = 16
"""The bound is divided into this many, or into more if these were too large: dropping one takes time."""
LARGEST_SEGMENT = 8 << 20
COPY_BYTES = 8 << 20
MARK = b""
"""Given to the writer in the place of data: here something failed."""


@dataclass
class Segment:
    """A segment that is full. ``essence`` is what stays of it when it is dropped."""

    path: Path
    size: int
    kept: bool
    essence: bytes
    dropped: bool = False


def _nothing(_data: bytes) -> bytes:
    return b""


class SegmentedFile(AppendFile):
    """A growing file that is held to `bound` bytes, but for a single append.

    Each segment begins with `head`, and with what `heading` finds in the data of those before it. `essence`
    finds those records in data that are never dropped.
    """

    def __init__(
        self,
        path: Path,
        writer: Writer,
        bound: int,
        *,
        head: bytes = b"",
        heading: Callable[[bytes], bytes] = _nothing,
        essence: Callable[[bytes], bytes] = _nothing,
    ) -> None:
        super().__init__(path, writer)
        self.dropped_bytes = 0
        self._bound = bound
        self._segment_bytes = min(bound // SEGMENTS, LARGEST_SEGMENT)
        self._head = head
        self._file_head_bytes = len(head)
        self._find_heading = heading
        self._find_essence = essence
        self._essence = b""
        self._full: list[Segment] = []
        self._number = 0
        self._kept = False
        self._keep_next = False
        super().write_now(head)

    def mark(self) -> None:
        """Something failed: keep what surrounds this place."""
        self._writer.put(self, MARK)

    def write_now(self, data: bytes) -> None:
        if not data:
            self._mark_now()
            return
        if self.size > len(self._head) and self.size + len(data) > self._segment_bytes:
            self._begin_segment()
        super().write_now(data)
        self._head += self._find_heading(data)
        self._essence += self._find_essence(data)

    def _mark_now(self) -> None:
        self._kept = self._keep_next = True
        if self._full and not self._full[-1].dropped:
            self._full[-1].kept = True

    def _begin_segment(self) -> None:
        path = self.path.with_suffix(f".{self._number + 1}{self.path.suffix}")
        try:
            self.path.rename(path)
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:  # let this one grow on
            self.error = str(error)
            with suppress(OSError):
                path.rename(self.path)
            return
        os.close(self._fd)
        self._fd = fd
        self._number += 1
        self._full.append(Segment(path, self.size, self._kept, self._essence))
        self._kept, self._keep_next = self._keep_next, False
        self._essence, self.size = b"", 0
        super().write_now(self._head)
        self._drop_excess()

    def _drop_excess(self) -> None:
        room = self._bound - self._segment_bytes - sum(segment.size for segment in self._full)
        to_keep = self._bound // 2
        for segment in self._full:
            if room >= 0:
                break
            if segment.kept and segment.size <= to_keep:
                to_keep -= segment.size
            elif not segment.dropped:
                room += self._drop(segment)
        self._full = [segment for segment in self._full if segment.size]

    def _drop(self, segment: Segment) -> int:
        """Leave nothing but the essence of `segment`; how many bytes that saves."""
        left = self._head + segment.essence if segment.essence else b""
        try:
            if left:
                replace_file(segment.path, left)
            else:
                segment.path.unlink()
        except OSError as error:
            self.error = str(error)
            return 0
        saved = segment.size - len(left)
        segment.size, segment.dropped = len(left), True
        self.dropped_bytes += saved
        return saved

    def close(self) -> None:
        """Put all segments into one file. Where that cannot be, on a full disk, they stay as they are."""
        super().close()
        if not self._full:
            return
        first, *others = [*(segment.path for segment in self._full), self.path]
        try:
            with first.open("r+b", buffering=0) as whole:
                for path in others:
                    end = whole.seek(0, os.SEEK_END)
                    try:
                        _copy(path, self._file_head_bytes, whole)
                    except OSError:
                        whole.truncate(end)
                        raise
                    if path != self.path:
                        path.unlink()
            first.replace(self.path)
        except OSError as error:
            self.error = f"its parts could not be put together: {error.strerror}"

    def losses(self) -> list[str]:
        told = super().losses()
        if self.error and not told:
            told.append(f"{self.path.name}: {self.error}")
        if self.dropped_bytes:
            told.append(
                f"{self.path.name} is held to {format_size(self._bound)}: "
                f"{format_size(self.dropped_bytes)} were dropped, the oldest first, "
                "but for what surrounds a failure"
            )
        return told


def _copy(path: Path, start: int, target: FileIO) -> None:
    """Add what `path` holds from byte `start` on to `target`."""
    with path.open("rb") as source:
        while sent := os.sendfile(target.fileno(), source.fileno(), start, COPY_BYTES):
            start += sent
