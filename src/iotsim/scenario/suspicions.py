"""What ``iotsim check`` finds in a scenario in which nothing is wrong by itself.

What cannot come out well, whatever happens, is a problem: two expectations that contradict each other. What
is merely suspicious is a warning: it runs, and may be meant, and whoever drives a run from outside can send
what no rule says. But what is told is sure as far as the file goes: a rule that is called shadowed never
applies, and no rule sends what is said not to be sent.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from iotsim.device.explain import rule_text
from iotsim.device.shadows import find_shadows
from iotsim.errors import DecodeError
from iotsim.expect.text import seconds
from iotsim.match import Expression
from iotsim.match.implied import at_path, implies
from iotsim.match.matcher import EVALUATED
from iotsim.match.possible import find_conflict
from iotsim.scenario.horizon import horizon_of
from iotsim.scenario.looks import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.device.spec import FleetSpec, RuleSpec, ServiceSpec
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match import Matcher
    from iotsim.match.possible import Conflict
    from iotsim.protocol.fields import Schema
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys

COMPARED = ("enum", "bool", "int", "float", "string")
"""Kinds of fields that arrive as a rule has written them, unless an adapter has them, which may round."""
KINDS_OF_MATCHES = ("within", "never", "always", "count")
CHAINS = ("sequence", "latency")
WANTING = ("within", *CHAINS)
"""Kinds of expectations that do not hold if nothing comes."""
MOST_SPOILT = 20
MOST_CASES = 8
MOST_LISTED = 1000
MOST_COMPARISONS = 30_000
"""So many rules are compared with expectations of what devices send."""
MOST_PAIRS = 20_000
"""So many pairs of expectations are compared."""
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
    _look_at_contradictions(expectations, loading)
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
        or _is_told_to_send(loading)
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


def _is_told_to_send(loading: Loading) -> bool:
    """Whether something else than rules makes devices send: a step does, or a fault spoils messages."""
    steps = loading.tables.get("step", ())
    sends = any(isinstance(step, dict) and ("send" in step or "fault" in step) for step in steps)
    return sends or bool(loading.tables.get("fault"))


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


# --- expectations of what devices send ------------------------------------------------------------


class Senders:
    """Which messages the rules of devices can send, and when at the earliest."""

    def __init__(self, scenario: Scenario, loading: Loading, horizon: Horizon) -> None:
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.horizon = horizon
        self.told = _is_told_to_send(loading)
        self._compared = 0

    def look_at(self, spec: ExpectSpec, keys: Keys, loading: Loading) -> None:
        """Warn where none of the devices can send what `spec` is about, or not so early or so often."""
        if spec.matcher is None or any(one.fleet not in self.fleets for one in spec.devices):
            return
        fleets = [self.fleets[one.fleet] for one in spec.devices]
        self._compared += sum(len(fleet.rules) for fleet in fleets)
        if self._compared > MOST_COMPARISONS or self.told or not all(map(self._is_known, fleets)):
            return
        if any(self._may_refuse(fleet, spec.matcher) for fleet in fleets):
            return
        found = [self._able(fleet, spec.matcher) for fleet in fleets]
        able = all if spec.quantifier in ("each", "device") else any
        wanted = spec.kind in WANTING or (spec.kind == "count" and bool(spec.count_min))
        if not able(map(bool, found)):
            here = (*keys, spec.kind if spec.kind in CHAINS else "sends")
            whose = ", ".join(
                f"'{fleet.name}'" for fleet, rules in zip(fleets, found, strict=True) if not rules
            )
            what = "this cannot come to be"
            if not wanted or spec.quantifier == "none":
                what = "" if any(found) else "this holds whatever happens"
            if what:
                message = f"{what}: no rule of {whose} sends such a message"
                loading.problems.warn(here, message)
        elif wanted and not spec.after and spec.quantifier in ("each", "device"):
            self._look_at_times(spec, found, keys, loading)

    def _look_at_times(
        self, spec: ExpectSpec, found: list[list[RuleSpec]], keys: Keys, loading: Loading
    ) -> None:
        warn = loading.problems.warn
        first_s = max(min(_earliest(rule) for rule in rules) for rules in found)
        if spec.within_s is not None and first_s > spec.within_s * self.horizon.tolerance:
            message = (
                f"this cannot come to be: the first such message is sent after {seconds(first_s)}"
            )
            warn((*keys, "within"), message)
        if spec.count_min and spec.per_s is None:
            most = min(sum(self._most(rule) for rule in rules) for rules in found)
            if most < spec.count_min:
                message = f"this cannot come to be: at most {most:.0f} such messages are sent"
                warn((*keys, "count"), message)

    def _is_known(self, fleet: FleetSpec) -> bool:
        """Whether rules alone decide what these devices send."""
        return fleet.behavior is None and all(
            service.protocol.session is None for service in fleet.services
        )

    def _may_refuse(self, fleet: FleetSpec, matcher: Matcher) -> bool:
        """Whether what these devices answer to what is no message may match. Of that, what is the same for
        all spoilt vectors of the protocol is taken for what it always is, if it is an enum."""
        for service in fleet.services:
            protocol = service.protocol
            if protocol.error_reply is None:
                continue
            schema = protocol.said_schema
            replies = [*_refusals(service)]
            constants = {
                path: replies[0][path]
                for path, field in schema.fields.items()
                if field.kind == "enum"
                and replies
                and all(path in one and one[path] == replies[0].get(path) for one in replies)
            }
            if _may_match(constants, matcher, schema):
                return True
        return False

    def _able(self, fleet: FleetSpec, matcher: Matcher) -> list[RuleSpec]:
        """The rules that may send what `matcher` matches."""
        return [
            rule
            for rule in fleet.rules
            if any(
                _may_match(
                    template.fields, matcher, fleet.services[rule.service].protocol.said_schema
                )
                for template in (*rule.reply, *rule.send)
            )
        ]

    def _most(self, rule: RuleSpec) -> float:
        """How many messages of the rule's there can be of one device."""
        if not rule.send:
            return math.inf
        times = 1.0 if rule.every is None else math.inf
        if rule.every is not None and math.isfinite(self.horizon.end_s):
            times = (self.horizon.end_s - (rule.after or 0.0)) // rule.every.low_s + 1
        return max(0.0, min(times, rule.times or math.inf)) * len(rule.send)


def _refusals(service: ServiceSpec) -> Iterator[Mapping[str, Any]]:
    """What devices answer to spoilt vectors of their protocol; none if that cannot be had."""
    protocol = service.protocol
    assert protocol.error_reply is not None
    for vector in service.vectors[:MOST_SPOILT]:
        for data in (vector.data[:-1], vector.data[:-1] + bytes([vector.data[-1] ^ 1])):
            try:
                protocol.codec.decode(data)
            except DecodeError as error:
                with suppress(Exception):  # code of the user's
                    reply = protocol.error_reply(error, data)
                    if reply is not None:
                        yield reply


def _earliest(rule: RuleSpec) -> float:
    """How long after its boot a device can first send by `rule`."""
    least_s = rule.after or 0.0
    return least_s + (rule.delay.low_s if rule.reply and rule.delay is not None else 0.0)


def _may_match(fields: Mapping[str, Any], matcher: Matcher, schema: Schema) -> bool:
    """Whether a message made of a template can match, as far as its constants tell."""
    for condition, check in zip(matcher.conditions, matcher.checks, strict=True):
        field = schema.fields.get(condition.field)
        if EVALUATED in condition.code or field is None:
            continue
        if field.kind not in COMPARED or field.odd:
            continue
        if not (field.required or field.kind in ("enum", "bool")):
            continue
        value = _constant(fields, condition.field)
        message = None if value is None else at_path(condition.field, field.round(value))
        if message is not None and not check(message, None, 0.0):
            return False
    return True


def _constant(fields: Mapping[str, Any], path: str) -> Any:
    """The constant that a template has at `path`; None if there is none."""
    value: Any = fields
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return None if isinstance(value, (Expression, dict, list)) else value


# --- expectations beside each other ---------------------------------------------------------------


def _look_at_contradictions(expectations: list[tuple[Keys, ExpectSpec]], loading: Loading) -> None:
    """What one expectation wants, another must not forbid."""
    wanting = [(keys, spec, least) for keys, spec in expectations if (least := _wants(spec))]
    limits = [(spec, most) for _, spec in expectations if (most := _allows(spec)) is not None]
    for keys, spec, least in wanting[: MOST_PAIRS // max(len(limits), 1)]:
        for other, most in limits:
            if least > most and _is_about(spec, other):
                so_many = "none of them" if most == 0 else f"no more than {most}"
                message = f"it cannot hold together with '{other.name}', which allows {so_many}"
                loading.problems.add(keys, message)
                break


def _wants(spec: ExpectSpec) -> int:
    """How many messages to each of its devices the expectation wants at least; 0 if that is not said."""
    if spec.quantifier not in ("each", "device") or spec.severity != "error":
        return 0
    if spec.kind == "within":
        return 1
    return (spec.count_min or 0) if spec.kind == "count" and spec.per_s is None else 0


def _allows(spec: ExpectSpec) -> int | None:
    """How many messages to each of its devices the expectation allows at most; None if that is not said."""
    if getattr(spec, "after", "") or spec.severity != "error" or spec.matcher is None:
        return None
    if spec.kind == "never" and spec.quantifier in ("each", "device", "all"):
        return 0
    if spec.kind == "within" and spec.quantifier == "none":
        return None  # it may come later
    if spec.kind == "count" and spec.per_s is None and spec.quantifier in ("each", "device", "all"):
        return spec.count_max
    return None


def _is_about(spec: ExpectSpec, other: ExpectSpec) -> bool:
    """Whether all messages of `spec`, to at least one device, are messages of `other`."""
    assert spec.matcher is not None
    assert other.matcher is not None
    if (spec.direction, spec.layer) != (other.direction, other.layer):
        return False
    if spec.matcher.undecodable or other.matcher.undecodable:
        return spec.matcher.undecodable and other.matcher.undecodable and _share(spec, other)
    return _share(spec, other) and implies(spec.matcher.conditions, other.matcher)


def _share(spec: ExpectSpec, other: ExpectSpec) -> bool:
    """Whether both select some device."""
    return any(
        one.fleet == two.fleet and _meet(one.indexes, two.indexes)
        for one in spec.devices
        for two in other.devices
    )


def _meet(one: Sequence[int], other: Sequence[int]) -> bool:
    if isinstance(one, range) and isinstance(other, range) and one.step == other.step == 1:
        return max(one.start, other.start) < min(one.stop, other.stop)
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) > MOST_LISTED:
        return False  # perhaps they do
    if isinstance(longer, range):
        return any(index in longer for index in shorter)
    return len(longer) <= MOST_LISTED and not set(longer).isdisjoint(shorter)


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
