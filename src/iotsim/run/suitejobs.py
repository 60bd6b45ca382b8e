"""What a suite has to do, how it is to be done, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from iotsim.errors import Problem, ScenarioError
from iotsim.testbed import cgroup

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.results.result import RunResult
    from iotsim.run.selection import Shard

RUNS_PER_PROCESSOR = 2
"""This many runs at a time suit most suites: mostly, runs wait."""


@dataclass(frozen=True)
class Job:
    """A run of a suite. ``words`` are the options of ``iotsim run`` with which to run ``file``, those behind
    ``--`` included. ``combination``, of the parameters that are ``varied``, tells it from other runs of the
    same file, ``identity`` from all others of the project. ``scenario`` is the name that the file gives it.
    ``protocols`` and ``limit_s`` are what is known of these before it is loaded.
    """

    file: Path
    words: tuple[str, ...] = ()
    combination: str = ""
    varied: tuple[str, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    scenario: str = ""
    tags: tuple[str, ...] = ()
    identity: str = ""
    protocols: frozenset[str] = frozenset()
    limit_s: float | None = None

    @property
    def title(self) -> str:
        return f"{self.scenario} [{self.combination}]" if self.combination else self.scenario

    def __str__(self) -> str:
        return f"{self.file} [{self.combination}]" if self.combination else str(self.file)


@dataclass(frozen=True)
class SuiteOptions:
    """How to do a suite. ``out`` is its folder, None for one of its own below ``results``.

    ``repeat`` is how often each job is done, 0 for without end. ``until_fail`` ends it after the first turn
    that does not pass, and keeps of those that passed the last alone. ``fail_fast`` begins nothing more then.
    ``retry`` does once more, with nothing beside it, what was inconclusive while others ran. ``plan`` marks
    how a suite was divided, of which this is ``shard``. ``drop_privileges``: give up for good, and for the
    whole process, what only runs need.
    """

    parallel: int
    results: Path
    out: Path | None = None
    repeat: int = 1
    until_fail: bool = False
    fail_fast: bool = False
    retry: bool = False
    shard: Shard | None = None
    plan: str = ""
    drop_privileges: bool = False

    @property
    def repeats(self) -> bool:
        return self.repeat != 1


class Turn(NamedTuple):
    """The job of this number is to be done, for the time `repetition` (from 1; 0: the only one)."""

    job: int
    repetition: int = 0


@dataclass
class Ended:
    """A turn has ended. `output` is what its process printed; `beside` is how many others ran meanwhile."""

    turn: Turn
    folder: Path
    result: RunResult
    output: str
    seconds: float
    beside: int = 0
    retried: bool = False


def parse_jobs(text: str) -> int:
    """A number of runs at a time, or "auto": as many as suit the machine. ScenarioError for anything else."""
    if text == "auto":
        return RUNS_PER_PROCESSOR * cgroup.processors()
    if not re.fullmatch("[1-9][0-9]{0,3}", text, re.ASCII):
        raise ScenarioError([Problem("a number from 1 to 9999, or auto", f"--jobs {text}")])
    return int(text)
