"""Runs found in folders, and compared: one with one, or suites scenario by scenario."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.compare.comparison import (
    OK,
    UNSURE,
    WORSE,
    Comparison,
    compare_runs,
)
from iotsim.results.compare.profile import Profile, profile_of
from iotsim.results.jsonl import printable
from iotsim.results.result import RunResult, title_of
from iotsim.results.verdict import Verdict
from iotsim.run.past import PastRun, is_run

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from pathlib import Path

    from iotsim.results.compare.thresholds import Threshold

FORMAT = 1
DEEPEST = 8
MOST_RUNS = 100_000


class Found(NamedTuple):
    """A run that was found in a folder, ``name`` below it; "" if it is that folder itself."""

    name: str
    past: PastRun
    result: RunResult

    @property
    def title(self) -> str:
        """The scenario, with what tells it from others of its file."""
        return title_of(self.result.scenario, self.result.parameters)

    def profile(self) -> Profile:
        return profile_of(self.result, self.past.lines())


class ScenarioComparison(msgspec.Struct):
    """Two runs of the scenario ``name``."""

    name: str
    comparison: Comparison


class SuiteComparison(msgspec.Struct, kw_only=True):
    """Runs compared, of which there may be only one pair. ``state`` is the gravest of theirs, and of
    ``worse`` and ``unsure``, which are about those without counterpart, named in ``gone`` and ``new``."""

    format: int = FORMAT
    state: str = OK
    scenarios: list[ScenarioComparison] = []
    gone: list[str] = []
    new: list[str] = []
    worse: list[str] = []
    unsure: list[str] = []
    notes: list[str] = []

    def settle(self) -> None:
        """Fill in the ``state``."""
        states = {one.comparison.state for one in self.scenarios}
        if self.worse or WORSE in states:
            self.state = WORSE
        else:
            self.state = UNSURE if self.unsure or UNSURE in states else OK

    def idle_thresholds(self) -> list[str]:
        """The thresholds that are about figures which no run has."""
        checks = [one for told in self.scenarios for one in told.comparison.thresholds]
        used = {one.threshold for one in checks if one.state != "absent"}
        return [one for one in dict.fromkeys(c.threshold for c in checks) if one not in used]


def find_runs(folder: Path) -> list[Found]:
    """The run whose results are in `folder`, or those below it. IotsimError if there are none."""
    if is_run(folder):
        past = PastRun(folder)
        return [Found("", past, past.result)]
    found = []
    for path in _below(folder, DEEPEST):
        past = PastRun(path)
        found.append(Found(str(path.relative_to(folder)), past, past.result))
        if len(found) > MOST_RUNS:
            raise IotsimError(f"there are more than {MOST_RUNS} runs in {folder}")
    if not found:
        PastRun(folder)  # which says why there is none
        raise IotsimError(f"no results in {folder}")
    return found


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inner = sorted(
            entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)
        )
    except OSError:
        return
    for name in inner:
        path = folder / name
        if is_run(path):
            yield path
        elif depth:
            yield from _below(path, depth - 1)


def compare_folders(
    before: Path, after: Path, thresholds: Sequence[Threshold] = ()
) -> SuiteComparison:
    """What has changed from the results in `before` to those in `after`. IotsimError if there are none."""
    old, new = find_runs(before), find_runs(after)
    single = len(old) == len(new) == 1
    pairs = [(0, 0)] if single else pair_up(old, new)
    told = SuiteComparison()
    for here, there in pairs:
        one, other = old[here], new[there]
        where = str(one.past.folder), str(other.past.folder)
        comparison = compare_runs(one.profile(), other.profile(), thresholds, where=where)
        told.scenarios.append(ScenarioComparison(other.title, comparison))
    matched_old, matched_new = ({pair[side] for pair in pairs} for side in (0, 1))
    for number, found in enumerate(old):
        if number not in matched_old:
            told.gone.append(found.title)
            if found.result.verdict == Verdict.PASSED:
                told.worse.append(f"{found.title}: it passed, and is not there any more")
    for number, found in enumerate(new):
        if number not in matched_new:
            told.new.append(found.title)
            if found.result.verdict in (Verdict.FAILED, Verdict.ERROR):
                told.worse.append(f"{found.title}: new, and {found.result.verdict}")
    told.settle()
    return told


def pair_up(old: Sequence[Found], new: Sequence[Found]) -> list[tuple[int, int]]:
    """Which of `old` and of `new` are runs of the same scenario, by their places, in the order of `new`.

    The file and the parameters decide; where these do not tell, the name of the scenario; then that of the
    folder, which changes with the files that a suite has besides. What several have in common tells nothing.
    """
    keys: list[Callable[[Found], Hashable]] = [
        lambda one: (one.result.path, _setting(one)),
        lambda one: (one.result.scenario, _setting(one)),
        lambda one: one.name,
    ]
    # Of runs that were repeated, the folder tells which is which.
    keys = [lambda one: (one.result.path, _setting(one), one.name), *keys]
    left, right = dict(enumerate(old)), dict(enumerate(new))
    pairs = []
    for key in keys:
        theirs = _unique(left, key)
        for value, number in _unique(right, key).items():
            if value in theirs:
                pairs.append((theirs[value], number))
                del left[theirs[value]], right[number]
    return sorted(pairs, key=lambda pair: pair[1])


def _setting(one: Found) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(one.result.parameters.items()))


def _unique(found: dict[int, Found], key: Callable[[Found], Hashable]) -> dict[Hashable, int]:
    """The places of those whose key no other has."""
    counts = Counter(key(one) for one in found.values())
    return {key(one): number for number, one in found.items() if counts[key(one)] == 1}


def encode_comparison(told: SuiteComparison) -> bytes:
    """`told` as indented JSON, ended by a newline."""
    try:
        data = msgspec.json.encode(told)
    except UnicodeEncodeError:  # names with lone surrogates
        data = msgspec.json.encode(printable(msgspec.to_builtins(told)))
    return msgspec.json.format(data, indent=2) + b"\n"
