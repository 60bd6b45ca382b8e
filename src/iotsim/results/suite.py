"""What several runs came to: ``result.json`` of a suite, and the counts that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from iotsim.results.jsonl import printable
from iotsim.results.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = 1
WAITING = "waiting"
"""The verdict of a run that has not begun."""


class SuiteRun(msgspec.Struct, omit_defaults=True):
    """One run of a suite. What has its default is left out."""

    name: str
    """What tells it from the others."""
    scenario: str
    """The scenario's name."""
    path: str
    """Its file."""
    verdict: str
    """That of its result; "waiting" if it was not begun, "running" while it has not ended."""
    folder: str = ""
    """That of its results, relative to the suite's."""
    reason: str = ""
    """Why, in a line, for people."""
    tags: list[str] = []
    """Those of the scenario."""
    parameters: dict[str, str] = {}
    """Those of the matrix and of ``--set``, as ``--set`` takes them."""
    repetition: int = 0
    """Which one it is, from 1; 0 where it is the only one."""
    seed: int | None = None
    """Its seed; null where it was not begun."""
    started: str = ""
    """When t = 0 was, in UTC, as in ISO 8601."""
    duration_s: float = 0.0
    """How long the run took until everything was judged, in its seconds."""
    seconds: float = 0.0
    """How long its process took, in seconds."""
    expectations: int = 0
    """How many it has decided."""
    failed: int = 0
    """How many of these did not hold."""
    repeat: str = ""
    """The command that runs the same again."""
    retried: bool = False
    """It was inconclusive beside others, and this is what came of it alone."""


class SuiteResult(msgspec.Struct):
    """What a suite came to: its ``result.json``."""

    format: int
    """The version of this format: 1."""
    kind: str
    """"suite", which a run's ``result.json`` does not have."""
    verdict: str
    """The gravest of all runs; "running" while some have not ended."""
    started: str
    """When it began, in UTC, as in ISO 8601."""
    seconds: float
    """How long it took, in seconds."""
    jobs: int
    """How many ran at a time."""
    counts: dict[str, int]
    """How many runs have each verdict."""
    runs: list[SuiteRun]
    """Those that were chosen, in their order."""
    reason: str = ""
    """Why it ended before its time, for people."""
    shard: str = ""
    """"2/5" of a suite that was divided."""
    plan: str = ""
    """Those who divided the same have the same one."""
    chosen: int = 0
    """How many jobs there were."""
    passes: int = 0
    """Runs that passed and of which nothing else is kept: those before the last, with ``--until-fail``."""
    versions: dict[str, str] = {}
    """Of iotsim, of Python, of the kernel and of libraries, by name."""


def encode_suite(result: SuiteResult) -> bytes:
    """`result` as indented JSON, ended by a newline."""
    try:
        data = msgspec.json.encode(result)
    except UnicodeEncodeError:  # names of files that are no UTF-8
        data = msgspec.json.encode(printable(msgspec.to_builtins(result)))
    return msgspec.json.format(data, indent=1) + b"\n"


def decode_suite(data: bytes) -> SuiteResult:
    """MsgspecError if it is no result of a suite."""
    return msgspec.json.decode(data, type=SuiteResult)


def count_verdicts(verdicts: Sequence[str]) -> dict[str, int]:
    """How often there is each, the usual ones first."""
    usual = [str(verdict) for verdict in Verdict]
    order = sorted(set(verdicts), key=lambda v: (usual.index(v) if v in usual else len(usual), v))
    return {verdict: verdicts.count(verdict) for verdict in order}
