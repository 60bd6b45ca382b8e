"""What ``iotsim check`` finds in a scenario in which nothing is wrong by itself.

What cannot come out well, whatever happens, is a problem: two expectations that contradict each other. What
is merely suspicious is a warning: it runs, and may be meant, and whoever drives a run from outside can send
what no rule says. But what is told is sure as far as the file goes: a rule that is called shadowed never
applies, and no rule sends what is said not to be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.device.explain import rule_text
from iotsim.device.shadows import find_shadows
from iotsim.expect.text import seconds
from iotsim.match.possible import find_conflict
from iotsim.scenario.contradictions import look_at_contradictions
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.looks import schema_of
from iotsim.scenario.senders import Senders, is_told_to_send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.device.spec import FleetSpec, RuleSpec
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match.possible import Conflict
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys

KINDS_OF_MATCHES = ("within", "never", "always", "count")
MOST_CASES = 8
ENTRIES = {"impairments": "impair", "faults": "fault"}
"""Fields of a scenario whose entries have devices and times, and their sections."""


def look_closely(scenario: Scenario, loading: Loading) -> None:
    """Tell what is suspicious in `scenario`, and what cannot come out well; it loads without a problem."""
    horizon = horizon_of(scenario, loading)
    for fleet in scenario.fleets:
        _look_at_shadows(fleet, loading)
        _look_at_rules(fleet, horizon, loading)
    senders = Senders(scenario, loading, horizon)
    expectations = [*_numbered(scenario, loading)]
    for keys, expectation in expectations:
        if _look_at_fields(expectation, scenario, keys, loading):
            continue
        if expectation.direction == "sends" and expectation.kind != "delivered":
            senders.look_at(expectation, keys, loading)
    look_at_contradictions(expectations, loading)
    _look_at_entries(scenario, horizon, loading)
    _look_at_moments(expectations, loading)


def _numbered(scenario: Scenario, loading: Loading) -> Iterator[tuple[Keys, ExpectSpec]]:
    """The expectations, with where they stand."""
    tables = loading.tables.get("expect", ())
    if len(tables) == len(scenario.expectations):
        for number, expectation in enumerate(scenario.expectations):
            yield ("expect", number), expectation


# --- rules ----------------------------------------------------------------------------------------


def _look_at_shadows(fleet: FleetSpec, loading: Loading) -> None:
    problems = loading.problems
    for shadow in find_shadows(fleet):
        keys = loading.rule_keys.get(shadow.rule)
        if keys is None or not all(_stand_together(one, shadow.rule) for one in shadow.before):
            continue  # what a template, or another file, has is replaced in this way
        before = " and ".join(rule_text(one) for one in shadow.before)
        applies = "applies" if len(shadow.before) == 1 else "apply"
        problems.warn(keys, f"this rule never applies: {before} always {applies} before it")


def _stand_together(one: RuleSpec, other: RuleSpec) -> bool:
    """Whether two rules stand in the same file and fleet."""
    places = [
        (rule.place.rpartition(":")[0], rule.path.rpartition(".rules")[0]) for rule in (one, other)
    ]
    return places[0] == places[1]


def _look_at_rules(fleet: FleetSpec, horizon: Horizon, loading: Loading) -> None:
    problems = loading.problems
    asks = (
        fleet.behavior is not None
        or any(rule.send for rule in fleet.rules)
        or any(service.protocol.session is not None for service in fleet.services)
        or is_told_to_send(loading)
    )
    boot_s = horizon.boots(fleet, 0).low_s
    for rule in fleet.rules:
        keys = loading.rule_keys.get(rule)
        if keys is None:
            continue
        where = rule.where
        if where is not None and where.constant and not where.evaluate(None, None, 0.0):  # type: ignore[arg-type]
            problems.warn((*keys, "where"), "this rule never applies: it does not hold")
        protocol = fleet.services[rule.service].protocol
        schema = protocol.said_schema if rule.unanswered else protocol.delivered_schema
        if rule.when is not None and (conflict := find_conflict(rule.when, schema)):
            _warn_of_conflict(conflict, "this rule never applies", (*keys, "when"), loading)
        if rule.unanswered and not asks:
            message = f"this rule never applies: '{fleet.name}' asks nothing by itself"
            problems.warn((*keys, "when"), message)
        if rule.reply and rule.delay is not None:
            late = horizon.moment(boot_s + rule.delay.low_s)
            if late:
                problems.warn((*keys, "delay"), f"no such reply would leave: {late}", horizon.hint)
        _look_at_sendings(rule, keys, boot_s, horizon, loading)


def _warn_of_conflict(conflict: Conflict, what: str, keys: Keys, loading: Loading) -> None:
    hint = f"it is in {', '.join(conflict.cases[:MOST_CASES])}"
    loading.problems.warn(keys, f"{what}: {conflict}", hint)


def _look_at_sendings(
    rule: RuleSpec, keys: Keys, boot_s: float, horizon: Horizon, loading: Loading
) -> None:
    """Of a rule that sends `times` times, there must be time for all of them."""
    if not rule.send or rule.every is None or rule.times is None or rule.times < 2:
        return
    last_s = boot_s + (rule.after or 0.0) + rule.every.low_s * (rule.times - 1)
    if late := horizon.moment(last_s):
        message = f"so often it cannot send: the last time would be too late: {late}"
        loading.problems.warn((*keys, "times"), message, horizon.hint)


def _look_at_fields(spec: ExpectSpec, scenario: Scenario, keys: Keys, loading: Loading) -> bool:
    """Warn where no message has the fields that `spec` looks for. Whether it is so."""
    if spec.matcher is None or spec.kind not in KINDS_OF_MATCHES or len(spec.devices) != 1:
        return False
    name = spec.devices[0].fleet
    services = next((fleet.services for fleet in scenario.fleets if fleet.name == name), ())
    if len(services) != 1:
        return False
    schema = schema_of(services[0].protocol, spec.direction, spec.layer)
    conflict = find_conflict(spec.matcher, schema)
    if conflict is None:
        return False
    wanted = (spec.kind == "within" or bool(spec.count_min)) and spec.quantifier != "none"
    what = "this cannot come to be" if wanted else "this holds whatever happens"
    _warn_of_conflict(conflict, what, (*keys, spec.direction), loading)
    return True


# --- what is for some devices, and for some time --------------------------------------------------


def _look_at_entries(scenario: Scenario, horizon: Horizon, loading: Loading) -> None:
    """Of impairments and faults: none must be over before its devices are there."""
    fleets = {fleet.name: fleet for fleet in scenario.fleets}
    for name, section in ENTRIES.items():
        entries = getattr(scenario, name, ())
        for number, _ in enumerate(loading.tables.get(section, ())):
            entry = getattr(entries[number], "entry", None) if number < len(entries) else None
            if entry is None or entry.after:
                continue
            boots = [
                horizon.boots(fleets[fleet], indexes[0]).low_s
                for fleet, indexes in entry.devices.items()
                if fleet in fleets and len(indexes)
            ]
            if boots and entry.end_s <= min(boots):
                message = "it hits nobody: it is over before the first of its devices boots"
                hint = f"that is {seconds(min(boots))} into the run"
                loading.problems.warn((section, number), message, hint)


def _look_at_moments(expectations: list[tuple[Keys, ExpectSpec]], loading: Loading) -> None:
    """Nothing can come after an expectation that holds only when all is over."""
    late = {
        spec.name
        for _, spec in expectations
        if spec.kind in ("never", "always") or (spec.kind == "count" and not spec.count_min)
    }
    for section in ("step", "impair", "fault", "expect"):
        for number, table in enumerate(loading.tables.get(section, ())):
            name = table.get("after") if isinstance(table, dict) else None
            if isinstance(name, str) and name in late:
                message = f"this never comes: '{name}' holds only at the end of the run"
                loading.problems.add((section, number, "after"), message)
