"""Which messages the rules of a scenario can send, and expectations that this cannot meet."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from iotsim.errors import DecodeError
from iotsim.expect.text import seconds
from iotsim.match import Expression
from iotsim.match.implied import at_path
from iotsim.match.matcher import EVALUATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotsim.device.spec import FleetSpec, RuleSpec, ServiceSpec
    from iotsim.expect.spec import ExpectSpec
    from iotsim.match import Matcher
    from iotsim.protocol.fields import Schema
    from iotsim.scenario.horizon import Horizon
    from iotsim.scenario.loading import Loading
    from iotsim.scenario.model import Scenario
    from iotsim.scenario.toml import Keys

COMPARED = ("enum", "bool", "int", "float", "string")
"""Kinds of fields that arrive as a rule has written them, unless an adapter has them, which may round."""
CHAINS = ("sequence", "latency")
WANTING = ("within", *CHAINS)
"""Kinds of expectations that do not hold if nothing comes."""
MOST_SPOILT = 20
MOST_COMPARISONS = 30_000
"""At most this many rules are compared with expectations of what devices send."""


class Senders:
    """Which messages the rules of devices can send, and when at the earliest."""

    def __init__(self, scenario: Scenario, loading: Loading, horizon: Horizon) -> None:
        self.fleets = {fleet.name: fleet for fleet in scenario.fleets}
        self.horizon = horizon
        self.told = is_told_to_send(loading)
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


def is_told_to_send(loading: Loading) -> bool:
    """Whether something else than rules makes devices send: a step does, or a fault spoils messages."""
    steps = loading.tables.get("step", ())
    sends = any(isinstance(step, dict) and ("send" in step or "fault" in step) for step in steps)
    return sends or bool(loading.tables.get("fault"))
