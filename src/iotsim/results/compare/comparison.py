"""Two runs compared: what has changed, and whether that is worse.

Worse, for sure, is: an expectation that passed and fails, or is not there any more; a verdict that passed
and is failed, error or empty; a change beyond a threshold. What cannot be told, since a run was
inconclusive, skipped or did not end, or since the times are too few, is *unsure*: neither worse nor fine.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from iotsim.results.compare.devices import DeviceChanges, are_known, compare_devices
from iotsim.results.compare.figures import COUNT, Figure, figures_of
from iotsim.results.compare.notes import differences
from iotsim.results.compare.thresholds import Check, check
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
MOST_NOTES = 50
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
    devices = compare_devices(before, after)
    new, gone = (_words(these, those) for these, those in ((after, before), (before, after)))
    found = _found_figures(before, after, devices, new, gone)
    ended = RUNNING not in (before.verdict, after.verdict)
    heard = after.messages and after.verdict != RUNNING
    changes = list(_expectation_changes(before, after))
    counters = [one for one in figures if one.name.startswith("counter.") and one.change]
    counters.sort(key=lambda one: -abs(one.relative or 1e9))
    comparison = Comparison(
        before=_side(before, where[0]),
        after=_side(after, where[1]),
        notes=list(islice(differences(before, after), MOST_NOTES)),
        expectations=[one for one in changes if one.before != one.after],
        expectations_alike=sum(one.before == one.after for one in changes),
        thresholds=check(thresholds, [*figures, *found], heard=heard, ended=ended),
        figures=[one for one in figures if not one.name.startswith("counter.")],
        counters=counters[:MOST_COUNTERS],
        counters_left_out=len(counters[MOST_COUNTERS:]),
        devices=devices,
        new=new,
        gone=gone,
    )
    _judge(comparison)
    return comparison


def _found_figures(
    before: Profile, after: Profile, devices: DeviceChanges, new: Words, gone: Words
) -> Iterator[Figure]:
    """What was found by comparing, as figures: before, there was nothing of it."""
    totals = {
        f"devices.{name}": getattr(devices, name).total
        for name in ("gone", "new", "silent", "slower", "quieter")
    }
    for name, count in totals.items():
        yield _found(name, count, known=are_known(before, after))
    yield _found("protocol.new", new.total, known=_words_known(after, before))
    yield _found("protocol.gone", gone.total, known=_words_known(before, after))


def _found(name: str, count: int, *, known: bool) -> Figure:
    return Figure(name, COUNT, 0 if known else None, count if known else None)


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
