"""What a history of runs tells of each scenario: how often it changes its mind, how it goes, when it was
green.

A *flip* is a verdict that differs from the one before of the same scenario with the same inputs: the same
commit and uncommitted changes, scenario, parameters, command of the gateway and iotsim. The flake rate is the
share of flips among all such pairs. Runs that show nothing of the gateway (inconclusive, skipped) are in no
pair; the seed may differ, and it is told how many flips were with one seed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec

from iotsim.results.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DECIDED = frozenset((Verdict.PASSED, Verdict.FAILED, Verdict.ERROR))
TREND = 20
"""The trend is that of this many runs, the newest."""
MOST_EXPECTATIONS = 20


class HistoryRun(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run as a history keeps it.

    ``ended`` is Unix time, also of a run in virtual time. ``commit``: of the project, "" where it is not
    known. ``inputs``: a digest of all that decides a run but the seed; "" where that is not known.
    ``p95_s``: of the times that ``times`` names ("latency", or "answer"), None without. ``expectations``:
    those that did not pass, name -> state.
    """

    scenario: str
    path: str = ""
    parameters: dict[str, str] = {}
    verdict: str = ""
    reason: str = ""
    ended: float = 0.0
    duration_s: float = 0.0
    seed: str = ""
    commit: str = ""
    changed: bool = False
    """There were changes that were not committed."""
    inputs: str = ""
    host: str = ""
    version: str = ""
    folder: str = ""
    times: str = ""
    p95_s: float | None = None
    expectations: dict[str, str] = {}


class ExpectationHistory(msgspec.Struct):
    """``failed``: in how many runs it did not pass; ``flips`` as of a scenario."""

    name: str
    failed: int
    flips: int


class ScenarioHistory(msgspec.Struct, kw_only=True):
    """What the runs of a scenario tell. ``flake_rate`` is ``flips`` of ``pairs``, None without pairs.
    ``trend`` are the newest runs, the oldest of them first."""

    scenario: str
    path: str
    parameters: dict[str, str]
    runs: int
    verdicts: dict[str, int]
    flips: int
    flips_with_one_seed: int
    pairs: int
    flake_rate: float | None
    trend: list[HistoryRun]
    last_green: HistoryRun | None
    expectations: list[ExpectationHistory]


def tell(runs: Iterable[HistoryRun]) -> list[ScenarioHistory]:
    """What `runs`, the oldest first, tell of their scenarios, by name."""
    by_scenario: dict[tuple[str, tuple[tuple[str, str], ...]], list[HistoryRun]] = {}
    for run in runs:
        key = run.path or run.scenario, tuple(sorted(run.parameters.items()))
        by_scenario.setdefault(key, []).append(run)
    told = [_tell_one(several) for several in by_scenario.values()]
    told.sort(key=lambda one: (one.scenario, one.path, sorted(one.parameters.items())))
    return told


def _tell_one(runs: Sequence[HistoryRun]) -> ScenarioHistory:
    newest = runs[-1]
    pairs = list(_pairs(runs))
    flips = [(one, other) for one, other in pairs if one.verdict != other.verdict]
    green = (run for run in reversed(runs) if run.verdict == Verdict.PASSED)
    return ScenarioHistory(
        scenario=newest.scenario,
        path=newest.path,
        parameters=newest.parameters,
        runs=len(runs),
        verdicts=dict(sorted(Counter(run.verdict for run in runs).items())),
        flips=len(flips),
        flips_with_one_seed=sum(one.seed == other.seed for one, other in flips),
        pairs=len(pairs),
        flake_rate=len(flips) / len(pairs) if pairs else None,
        trend=list(runs[-TREND:]),
        last_green=next(green, None),
        expectations=_expectations(runs, pairs),
    )


def _pairs(runs: Sequence[HistoryRun]) -> Iterable[tuple[HistoryRun, HistoryRun]]:
    """Each decided run with the one before it of the same inputs."""
    last: dict[str, HistoryRun] = {}
    for run in runs:
        if run.verdict in DECIDED and run.inputs:
            if run.inputs in last:
                yield last[run.inputs], run
            last[run.inputs] = run


def _expectations(
    runs: Sequence[HistoryRun], pairs: Sequence[tuple[HistoryRun, HistoryRun]]
) -> list[ExpectationHistory]:
    """Those that did not always pass, the most flaky first, and of these the one that failed most."""
    failed = Counter(name for run in runs for name in run.expectations)
    flips: defaultdict[str, int] = defaultdict(int)
    for one, other in pairs:
        for name in one.expectations.keys() ^ other.expectations.keys():
            flips[name] += 1
    told = [ExpectationHistory(name, count, flips[name]) for name, count in failed.items()]
    told.sort(key=lambda one: (-one.flips, -one.failed, one.name))
    return told[:MOST_EXPECTATIONS]


LETTERS: Mapping[str, str] = {
    "passed": ".",
    "failed": "F",
    "error": "E",
    "inconclusive": "?",
    "skipped": "s",
    "empty": "-",
}
BARS = "▁▂▃▄▅▆▇█"


def verdict_line(runs: Sequence[HistoryRun]) -> str:
    """A letter for each run: ``..F.``."""
    return "".join(LETTERS.get(run.verdict, "!") for run in runs)


def spark_line(values: Sequence[float | None], bars: str = BARS) -> str:
    """A bar for each value, from the smallest to the largest; a space where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    step = (high - low) / (len(bars) - 1) or 1.0
    return "".join(
        " " if value is None else bars[round((value - low) / step)] for value in values
    ).rstrip()
