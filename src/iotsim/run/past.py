"""A results folder, read back: of a run that has ended, was killed, or goes on.

What a killed run leaves may be in several files, one for each process and segment (see `segments`); they
are read as the one that they would have become.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.fold import fold
from iotsim.results.jsonl import decode_events
from iotsim.results.merge import merge_events
from iotsim.results.result import RUNNING, RunResult, decode_result
from iotsim.run.files import open_file, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from iotsim.events import Event

_EVENTS = re.compile(r"events(?:\.(shard\d+))?(?:\.(\d+))?\.jsonl", re.ASCII)


class PastRun:
    """The results in `folder`; IotsimError if there are none.

    Events are read anew each time they are asked for, one after the other: there may be millions.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            names = [path.name for path in folder.iterdir()]
        except OSError as error:
            raise IotsimError(f"no results in {folder}: {error.strerror}") from None
        self._parts = _parts_of(names)
        self._written: RunResult | None = None
        try:
            self._written = decode_result(read_file(folder / "result.json"))
        except FileNotFoundError:
            if not self._parts:
                raise IotsimError(
                    f"no results in {folder}: neither result.json nor events.jsonl is there"
                ) from None
        except (OSError, ValueError):
            pass  # the events may know

    @cached_property
    def result(self) -> RunResult:
        """What the run came to. Of one that has not ended, what its events tell so far, and its verdict is
        "running". IotsimError if nothing tells."""
        if self._written is not None and self._written.verdict != RUNNING:
            return self._written
        try:
            return fold(self.events())
        except ValueError:
            if self._written is not None:
                return self._written
        raise IotsimError(f"no results in {self.folder}: nothing there says which run it is of")

    def lines(self) -> Iterator[bytes]:
        """The lines of all events, in the order of time; the last may have been cut off."""
        with ExitStack() as stack:

            def opened(names: Iterable[str]) -> Iterator[bytes]:
                for name in names:
                    # In binary, a line ends at a newline and nowhere else.
                    yield from stack.enter_context(open_file(self.folder / name))

            parts = [opened(names) for names in self._parts]
            try:
                if len(parts) == 1:
                    yield from parts[0]
                else:
                    yield from chain.from_iterable(
                        batch.splitlines(keepends=True) for batch in merge_events(parts)
                    )
            except OSError as error:
                raise IotsimError(f"{error.filename or self.folder}: {error.strerror}") from None

    def events(self) -> Iterator[Event]:
        """The events of the run, in the order of time, without lines that are none."""
        return decode_events(self.lines())


def is_run(folder: Path) -> bool:
    """Whether a run has left its results in `folder` itself."""
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return False
    if any(map(_EVENTS.fullmatch, names)):
        return True
    return "result.json" in names and not _is_of_suite(folder / "result.json")


class _Head(msgspec.Struct):
    kind: str = ""


def _is_of_suite(file: Path) -> bool:
    """Whether a ``result.json`` is that of a suite, whose runs have theirs below."""
    try:
        return msgspec.json.decode(read_file(file), type=_Head).kind == "suite"
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _parts_of(names: Iterable[str]) -> list[list[str]]:
    """Those of `names` that are files of events: a list for each process, in the order of its segments."""
    parts: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for name in names:
        if found := _EVENTS.fullmatch(name):
            shard, segment = found.groups()
            # The one that grows is the newest, and has no number.
            parts[shard or ""].append((float(segment or "inf"), name))
    return [[name for _, name in sorted(parts[shard])] for shard in sorted(parts)]
