"""Expectations that our own impairments and faults have made impossible: errors of the scenario.

What is lost on its way was not sent. So where an entry loses all that a device sends, for the whole run, no
gateway whatever can make the device send what an expectation asks for, and to fail it would blame the wrong
one. Only what is certain is told: an entry with a match, a count or times may let something through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.expect.spec import Look
from iotsim.impair.fault import Mute, Offline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.expect.spec import ExpectSpec
    from iotsim.impair.scope import EntrySpec
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario


def check_blackouts(scenario: Scenario, loading: Loading) -> None:
    """Tell of the expectations that want to see sent what never leaves."""
    entries = [*_blackouts(scenario)]
    if not entries or len(loading.tables.get("expect", ())) != len(scenario.expectations):
        return
    for number, spec in enumerate(scenario.expectations):
        if not any(look.direction == "sends" and not look.service for look in _wanted(spec)):
            continue
        if (found := _silenced(spec, entries)) is None:
            continue
        entry, device = found
        where = f" ({entry.place})" if entry.place else ""
        message = f"can never hold: '{entry.name}'{where} keeps back all that {device} sends, all the time"
        hint = "what an impairment or a fault keeps back was not sent"
        loading.problems.add(("expect", number), message, hint)


def _blackouts(scenario: Scenario) -> Iterator[EntrySpec]:
    """The entries that let nothing of their devices through, ever."""
    for impairment in scenario.impairments:
        if impairment.spec.loses_all and "from_device" in impairment.directions:
            yield from _unbounded(impairment.entry, scenario)
    for fault in scenario.faults:
        if isinstance(fault.spec, Mute | Offline) and not fault.on_message:
            yield from _unbounded(fault.entry, scenario)


def _unbounded(entry: EntrySpec, scenario: Scenario) -> Iterator[EntrySpec]:
    counts = entry.skip or entry.every > 1 or entry.first is not None
    end_s = scenario.duration_s * scenario.tolerance
    if counts or entry.after or entry.begin_s > 0 or entry.end_s < end_s:
        return
    tests = [test for (_, _, direction), test in entry.tests.items() if direction == "from_device"]
    if not any(test is not None for test in tests):
        yield entry


def _wanted(spec: ExpectSpec) -> Iterator[Look]:
    """What must come for `spec` to hold."""
    if spec.quantifier == "none":
        return
    if spec.kind == "within" or (spec.kind == "count" and spec.count_min):
        if spec.matcher is not None:
            yield Look(spec.matcher, spec.direction, spec.layer, spec.service)
    elif spec.kind == "sequence":
        yield from (part.look for part in spec.parts)
    elif spec.kind == "latency" and spec.latency is not None:
        yield from (spec.latency.start, spec.latency.stop)
    elif spec.kind == "delivered" and spec.delivered is not None and spec.delivered.minimum:
        yield spec.delivered.sent


def _silenced(spec: ExpectSpec, entries: list[EntrySpec]) -> tuple[EntrySpec, str] | None:
    """What keeps a device back without which `spec` cannot hold, and whose name tells of it."""
    every = spec.quantifier in ("each", "device")
    found: tuple[EntrySpec, str] | None = None
    for selection in spec.devices:
        here = [entry for entry in entries if selection.fleet in entry.devices]
        for index in selection.indexes:
            entry = next((one for one in here if index in one.devices[selection.fleet]), None)
            if entry is not None:
                found = found or (entry, f"{selection.fleet}[{index}]")
                if every:
                    return found
            elif not every:
                return None
            elif not here:
                break
    return found
