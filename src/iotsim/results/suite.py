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
    """One run of a suite.

    ``name`` is what tells it from the others; ``folder`` is that of its results, relative to the suite's.
    ``verdict`` is that of its result, ``waiting`` if it was not begun, ``running`` while it has not ended.
    ``seconds`` is how long its process took. ``repetition`` counts from 1, 0 where it is the only one.
    ``retried``: it was inconclusive beside others, and this is what came of it alone.
    """

    name: str
    scenario: str
    path: str
    verdict: str
    folder: str = ""
    reason: str = ""
    tags: list[str] = []
    parameters: dict[str, str] = {}
    repetition: int = 0
    seed: int | None = None
    started: str = ""
    duration_s: float = 0.0
    seconds: float = 0.0
    expectations: int = 0
    failed: int = 0
    repeat: str = ""
    retried: bool = False


class SuiteResult(msgspec.Struct):
    """``verdict`` is the gravest of all runs, ``running`` while some have not ended. ``shard`` is "2/5" of a
    suite that was divided; those who divided the same have the same ``plan``. ``passes`` counts runs that
    passed and of which nothing else is kept (those before the last, with ``--until-fail``)."""

    format: int
    kind: str
    verdict: str
    started: str
    seconds: float
    jobs: int
    counts: dict[str, int]
    runs: list[SuiteRun]
    reason: str = ""
    shard: str = ""
    plan: str = ""
    chosen: int = 0
    passes: int = 0
    versions: dict[str, str] = {}


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
