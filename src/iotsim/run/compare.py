"""Runs found in folders, and compared: one with one, or suites scenario by scenario."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from iotsim.errors import IotsimError
from iotsim.results.compare.comparison import (
    OK,
    UNSURE,
    WORSE,
    Comparison,
    compare_runs,
)
from iotsim.results.compare.profile import profile_of
from iotsim.results.jsonl import printable
from iotsim.results.verdict import Verdict
from iotsim.run.baseline import read_baseline, resolved
from iotsim.run.counterparts import Found, match_each, pair_up
from iotsim.run.past import PastRun, is_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iotsim.results.compare.profile import Profile
    from iotsim.results.compare.thresholds import Threshold

FORMAT = 1
DEEPEST = 8
MOST_RUNS = 100_000


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


def find_runs(path: Path) -> list[Found]:
    """The run whose results are in the folder `path`, or those below it, or those in the baseline `path`.
    IotsimError if there are none."""
    if path.is_file():
        return find_in_baseline(path)
    if is_run(path):
        return [found_in(path, "")]
    found = []
    for folder in _below(path, DEEPEST):
        found.append(found_in(folder, str(folder.relative_to(path))))
        if len(found) > MOST_RUNS:
            raise IotsimError(f"there are more than {MOST_RUNS} runs in {path}")
    if not found:
        PastRun(path)  # which says why there is none
        raise IotsimError(f"no results in {path}")
    return found


def found_in(folder: Path, name: str) -> Found:
    """The run whose results are in `folder`. IotsimError if there are none."""
    past = PastRun(folder)
    result = past.result
    path = os.path.abspath(result.path) if result.path else ""  # noqa: PTH100  # links stay
    return Found(
        name,
        str(folder),
        result.scenario,
        path,
        result.parameters,
        result.verdict,
        lambda: profile_of(result, past.lines()),
    )


def find_in_baseline(file: Path) -> list[Found]:
    """The runs that the baseline in `file` keeps. IotsimError if it is none."""
    found = []
    for name, profile in read_baseline(file).items():
        path = resolved(profile.path, file)
        found.append(
            Found(
                name,
                f"{file}: {name}",
                profile.scenario,
                path,
                profile.parameters,
                profile.verdict,
                partial(_same, profile),
            )
        )
    return found


def _same(profile: Profile) -> Profile:
    return profile


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
    """What has changed from the results in `before` to those in `after`; each may be a baseline. IotsimError
    if there are none."""
    return compare_found(find_runs(before), find_runs(after), thresholds)


def compare_found(
    old: Sequence[Found],
    new: Sequence[Found],
    thresholds: Sequence[Threshold] = (),
    *,
    partly: bool = False,
) -> SuiteComparison:
    """What has changed from the runs `old` to `new`. `partly`: the new ones need not be all, and so nothing
    is gone, nor is a single one compared with whatever single one there is."""
    single = len(old) == len(new) == 1 and not partly
    pairs = [(0, 0)] if single else match_each(old, new) if partly else pair_up(old, new)
    told = SuiteComparison()
    for here, there in pairs:
        one, other = old[here], new[there]
        where = one.where, other.where
        comparison = compare_runs(one.load(), other.load(), thresholds, where=where)
        told.scenarios.append(ScenarioComparison(other.title, comparison))
    matched_old, matched_new = ({pair[side] for pair in pairs} for side in (0, 1))
    for number, found in enumerate(old):
        if number not in matched_old and not partly:
            told.gone.append(found.title)
            if found.verdict == Verdict.PASSED:
                told.worse.append(f"{found.title}: it passed, and is not there any more")
    for number, found in enumerate(new):
        if number not in matched_new:
            told.new.append(found.title)
            if found.verdict in (Verdict.FAILED, Verdict.ERROR):
                told.worse.append(f"{found.title}: new, and {found.verdict}")
    told.settle()
    return told


def encode_comparison(told: SuiteComparison) -> bytes:
    """`told` as indented JSON, ended by a newline."""
    try:
        data = msgspec.json.encode(told)
    except UnicodeEncodeError:  # names with lone surrogates
        data = msgspec.json.encode(printable(msgspec.to_builtins(told)))
    return msgspec.json.format(data, indent=2) + b"\n"
