"""What a results folder remembers of the runs in it: how each ended last time, and how long it took.

It is one small file, ``runs.json``. Commands that end at the same time add to it one after the other. A file
that is damaged, or that cannot be written, is no reason to fail: it is as if nothing were known.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.verdict import Verdict
from iotsim.run.files import locked, open_file, replace_file
from iotsim.testbed.users import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from iotsim.results.result import RunResult

MEMORY = "runs.json"
MOST_RUNS = 20_000
LARGEST_BYTES = 16 << 20
LOCK_PATIENCE_S = 5.0
GOOD = (Verdict.PASSED, Verdict.SKIPPED)
"""A machine that cannot do a run cannot do it at another attempt either."""


class Remembered(msgspec.Struct, omit_defaults=True):
    """``verdict`` is the last one, "running" if the run never ended, "waiting" if its suite ended before it
    was begun; ``seconds`` is how long its last whole run took, 0 if there was none; ``when`` is a Unix
    time."""

    verdict: str
    seconds: float = 0.0
    when: float = 0.0

    @classmethod
    def of(cls, result: RunResult, seconds: float) -> Remembered:
        """What to remember of a run that has taken so long. One that was ended before its time is no measure
        of how long it takes."""
        whole = result.verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE)
        return cls(result.verdict, round(seconds, 3) if whole else 0.0)

    @property
    def failed(self) -> bool:
        return self.verdict not in GOOD


class _File(msgspec.Struct):
    runs: dict[str, Remembered]
    format: int = 1


class Memory:
    """What is remembered in the results folder `folder`, by the identities of runs.

    `held`: nobody else can use the folder now, which this process has locked.
    """

    def __init__(self, folder: Path, *, held: bool = False) -> None:
        self.path = folder / MEMORY
        self._held = held
        self.runs = self._read()

    @property
    def seconds(self) -> dict[str, float]:
        """How long each run took, of those of which that is known."""
        return {name: run.seconds for name, run in self.runs.items() if run.seconds > 0}

    def failed(self) -> set[str]:
        """What did not pass last time. IotsimError if nothing is remembered at all."""
        if not self.runs:
            raise IotsimError(f"{self.path} does not say how runs have ended: do them once")
        return {name for name, run in self.runs.items() if run.failed}

    def add(self, news: Mapping[str, Remembered]) -> None:
        """Remember `news`; what others have added meanwhile stays."""
        if not news:
            return
        with contextlib.suppress(OSError), self._locked():
            runs = self._read()
            for name, run in news.items():
                known = runs.pop(name, None)
                run.when = run.when or time.time()
                if known is not None and not run.seconds:
                    run.seconds = known.seconds
                runs[name] = run
            for name in list(runs)[: max(0, len(runs) - MOST_RUNS)]:
                del runs[name]
            self.runs = runs
            data = msgspec.json.format(msgspec.json.encode(_File(runs)), indent=1)
            replace_file(self.path, data + b"\n")

    def _read(self) -> dict[str, Remembered]:
        try:
            with open_file(self.path) as file:
                data = file.read(LARGEST_BYTES)
            return msgspec.json.decode(data, type=_File).runs
        except (OSError, ValueError, RecursionError):
            return {}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self.path.parent)
        if self._held:
            yield
            return
        with locked(self.path.parent, LOCK_PATIENCE_S):
            yield
