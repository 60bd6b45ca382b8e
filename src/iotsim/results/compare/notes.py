"""What one has to know of two runs before one believes in what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.results.result import RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.results.compare.profile import Profile


def differences(before: Profile, after: Profile) -> Iterator[str]:
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
        yield from _lacks(f"the run {which}", run)
    longer = max(before.duration_s, after.duration_s)
    if longer and min(before.duration_s, after.duration_s) < 0.9 * longer:
        yield "the runs did not take as long: counts differ for that alone"


def _lacks(which: str, run: Profile) -> Iterator[str]:
    """What is not known of a run."""
    if run.verdict == RUNNING:
        yield f"{which} has not ended: what it has left is not whole"
    if not run.devices_told:
        yield f"{which} tells of no device by itself: there are too many"
    if not run.messages:
        yield f"{which} has left no messages: only its counters are compared"
    if run.cut:
        yield f"{which} has dropped events to keep within a bound: its messages are not counted"
    if not run.vocabulary_whole:
        yield f"{which} has more kinds of messages or fields than are told apart"
    if run.devices_left_out:
        yield f"of {which}, {run.devices_left_out} messages of more devices are not told apart"
