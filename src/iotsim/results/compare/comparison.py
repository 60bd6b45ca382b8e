"""Two runs compared: what has changed, and whether that is worse.

Worse, for sure, is: an expectation that passed and fails, or is not there any more; a verdict that passed
and is failed, error or empty; a change beyond a threshold. What cannot be told, since a run was
inconclusive, skipped or did not end, or since the times are too few, is *unsure*: neither worse nor fine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from iotsim.results.compare.devices import DeviceChanges, are_known, compare_devices
from iotsim.results.compare.figures import COUNT, Figure, figures_of
from iotsim.results.compare.thresholds import FOUND_UNITS, Check, check
from iotsim.results.compare.vocabulary import Word, unseen
from iotsim.results.result import RUNNING
from iotsim.results.verdict import GRAVEST_FIRST, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotsim.results.compare.profile import Profile
    from iotsim.results.compare.thresholds import Threshold

FORMAT = 1
OK, UNSURE, WORSE = "ok", "unsure", "worse"
EXIT_CODES = {OK: 0, WORSE: 1, UNSURE: 4}
MOST_WORDS = 50
MOST_COUNTERS = 200
PROVEN = frozenset((Verdict.PASSED, Verdict.FAILED, Verdict.ERROR, Verdict.EMPTY))
"""Verdicts that say something; others are of runs that were inconclusive, skipped or have not ended."""


class Side(msgspec.Struct):
    """One of the two runs. ``where``: the folder, or the baseline."""

    where: str
    scenario: str
    verdict: str
    seed: int
    started: str
    duration_s: float


class ExpectationChange(msgspec.Struct):
    """``change``: "broken", "mended", "gone", "new", or "other". States are "passed", "failed", "warning",
    "inconclusive" or "error", and "" where a run has it not."""

    name: str
    change: str
    before: str
    after: str


class Words(msgspec.Struct):
    """The first of ``total``."""

    total: int = 0
    words: list[Word] = []


class Comparison(msgspec.Struct, kw_only=True):
    """``state`` is "ok", "worse" or "unsure"; ``worse`` and ``unsure`` say why, a line each. ``notes``: what
    else to know before one believes in a change. Of expectations and counters only what has changed is
    told; ``expectations_alike`` is how many have not. ``new``, ``gone``: kinds of messages, fields, names."""

    state: str = OK
    worse: list[str] = []
    unsure: list[str] = []
    before: Side
    after: Side
    notes: list[str] = []
    expectations: list[ExpectationChange] = []
    expectations_alike: int = 0
    thresholds: list[Check] = []
    figures: list[Figure] = []
    counters: list[Figure] = []
    counters_left_out: int = 0
    devices: DeviceChanges
    new: Words
    gone: Words


def compare_runs(
    before: Profile,
    after: Profile,
    thresholds: Sequence[Threshold] = (),
    *,
    where: tuple[str, str] = ("", ""),
) -> Comparison:
    """What has changed from the run `before` to the run `after`, which lie `where`."""
    figures = figures_of(before, after)
    all_figures = [*figures]
    devices = compare_devices(before, after)
    new, gone = (_words(these, those) for these, those in ((after, before), (before, after)))
    found = dict.fromkeys(FOUND_UNITS, 0) | {
        "devices.gone": devices.gone.total,
        "devices.new": devices.new.total,
        "devices.silent": devices.silent.total,
        "devices.slower": devices.slower.total,
        "devices.quieter": devices.quieter.total,
        "protocol.new": new.total,
        "protocol.gone": gone.total,
    }
    for name, count in found.items():
        known = are_known(before, after)
        if name == "protocol.new":
            known = _words_known(after, before)
        elif name == "protocol.gone":
            known = _words_known(before, after)
        told = (0, count) if known else (None, None)
        all_figures.append(Figure(name, COUNT, *told))
    ended = RUNNING not in (before.verdict, after.verdict)
    heard = after.messages and after.verdict != RUNNING
    changes = list(_expectation_changes(before, after))
    counters = [one for one in figures if one.name.startswith("counter.") and one.change]
    counters.sort(key=lambda one: -abs(one.relative or 1e9))
    comparison = Comparison(
        before=_side(before, where[0]),
        after=_side(after, where[1]),
        notes=list(_notes(before, after)),
        expectations=[one for one in changes if one.before != one.after],
        expectations_alike=sum(one.before == one.after for one in changes),
        thresholds=check(thresholds, all_figures, heard=heard, ended=ended),
        figures=[one for one in figures if not one.name.startswith("counter.")],
        counters=counters[:MOST_COUNTERS],
        counters_left_out=len(counters[MOST_COUNTERS:]),
        devices=devices,
        new=new,
        gone=gone,
    )
    _judge(comparison)
    return comparison


def _side(run: Profile, where: str) -> Side:
    return Side(where, run.scenario, run.verdict, run.seed, run.started, run.duration_s)


def _words_known(these: Profile, those: Profile) -> bool:
    """Whether it can be said what `these` have that `those` have not."""
    return these.messages and those.counts_messages and those.vocabulary_whole


def _words(these: Profile, those: Profile) -> Words:
    if not _words_known(these, those):
        return Words()
    words = list(unseen(these.vocabulary, those.vocabulary))
    return Words(len(words), words[:MOST_WORDS])


def _expectation_changes(before: Profile, after: Profile) -> Iterator[ExpectationChange]:
    """Every expectation of either run, those that have not changed with the change "other"."""
    for name in dict.fromkeys([*after.expectations, *before.expectations]):
        old, new = before.expectations.get(name, ""), after.expectations.get(name, "")
        if not old:
            change = "new"
        elif not new:
            change = "gone"
        elif old == "passed" and new in ("failed", "error", "warning"):
            change = "broken"
        elif new == "passed" and old in ("failed", "error", "warning"):
            change = "mended"
        else:
            change = "other"
        yield ExpectationChange(name, change, old, new)


def _notes(before: Profile, after: Profile) -> Iterator[str]:
    """What differs in the runs themselves, and what one may not conclude."""
    for what, old, new in (
        ("scenarios", before.scenario, after.scenario),
        ("links", before.link, after.link),
        ("tolerances", before.tolerance, after.tolerance),
        ("speeds", before.speed, after.speed),
    ):
        if old != new:
            yield f"the {what} differ: {old}, {new}"
    for name in sorted(before.parameters.keys() | after.parameters.keys()):
        values = [run.parameters.get(name, "not set") for run in (before, after)]
        if values[0] != values[1]:
            yield f"the parameter {name} differs: {values[0]}, {values[1]}"
    for name in sorted(before.fleets.keys() | after.fleets.keys()):
        counts = [run.fleets.get(name, 0) for run in (before, after)]
        if counts[0] != counts[1]:
            yield f"the fleet {name} differs: {counts[0]} devices, {counts[1]} devices"
    for name in sorted(before.versions.keys() & after.versions.keys()):
        if before.versions[name] != after.versions[name]:
            yield f"{name} is another: {before.versions[name]}, {after.versions[name]}"
    if before.seed != after.seed:
        yield f"the seeds differ ({before.seed}, {after.seed}): what is drawn by them differs, too"
    for which, run in (("before", before), ("after", after)):
        if run.verdict == RUNNING:
            yield f"the run {which} has not ended: what it has left is not whole"
        if not run.devices_told:
            yield f"the run {which} tells of no device by itself: there are too many"
        if not run.messages:
            yield f"the run {which} has left no messages: only its counters are compared"
        if run.cut:
            yield f"the run {which} has dropped events to keep within a bound: its messages are not counted"
        if not run.vocabulary_whole:
            yield f"the run {which} has more kinds of messages or fields than are told apart"
        if run.devices_left_out:
            yield f"of the run {which}, {run.devices_left_out} messages of more devices are not told apart"
    longer = max(before.duration_s, after.duration_s)
    if longer and min(before.duration_s, after.duration_s) < 0.9 * longer:
        yield "the runs did not take as long: counts differ for that alone"


def _judge(told: Comparison) -> None:
    """Fill in what is worse, and what cannot be told."""
    _judge_verdict(told)
    unproven = told.after.verdict not in PROVEN
    for change in told.expectations:
        line = f"{change.name}: {change.before} -> {change.after or 'not there'}"
        if change.change == "gone" and change.before == "passed":
            if told.after.verdict != Verdict.ERROR:  # that stands there already
                (told.unsure if unproven else told.worse).append(line)
        elif change.change == "broken" and change.after != "warning":
            told.worse.append(line)
        elif change.before == "passed" and change.after == "inconclusive":
            told.unsure.append(line)
        elif change.change == "new" and change.after in ("failed", "error"):
            told.worse.append(f"{change.name}: new, and {change.after}")
    for one in told.thresholds:
        line = f"{one.figure} (threshold {one.threshold}): {one.why}"
        if one.state == WORSE:
            told.worse.append(line)
        elif one.state == UNSURE:
            told.unsure.append(line)
    told.state = WORSE if told.worse else UNSURE if told.unsure else OK


def _judge_verdict(told: Comparison) -> None:
    old, new = told.before.verdict, told.after.verdict
    if old == new:
        return
    line = f"verdict: {old or 'none'} -> {new or 'none'}"
    if new not in PROVEN:
        if old == Verdict.PASSED:
            told.unsure.append(line)
    elif old not in PROVEN:
        if new in (Verdict.FAILED, Verdict.ERROR):
            told.worse.append(line)
    elif GRAVEST_FIRST.index(Verdict(new)) < GRAVEST_FIRST.index(Verdict(old)):
        told.worse.append(line)
