"""Why rules apply to a message, or do not: what `iotsim.device.rules` decides, told to people.

Nothing is changed by asking: neither the device's state nor how often a rule was used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.errors import ExpressionError
from iotsim.match.fieldpath import split
from iotsim.match.literal import render
from iotsim.match.nearness import Rank, rank
from iotsim.match.runtime import dig
from iotsim.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.device.fleet import SimDevice
    from iotsim.device.spec import RuleSpec
    from iotsim.match import Expression
    from iotsim.match.matcher import Mismatch

_STATE = re.compile(r"\bstate\.([A-Za-z_]\w*)")
MOST_OPERANDS = 4


class RuleReport(NamedTuple):
    """What one rule makes of a message: it applies if there are neither ``mismatches`` of its ``when`` nor
    other ``reasons`` not to. ``met`` conditions of its ``when`` hold."""

    rule: RuleSpec
    mismatches: tuple[Mismatch, ...]
    reasons: tuple[str, ...]
    met: int

    @property
    def applies(self) -> bool:
        return not self.mismatches and not self.reasons

    @property
    def rank(self) -> Rank:
        """How near it came; less is nearer."""
        differing, *rest = rank(self.mismatches)
        return (differing + len(self.reasons), *rest, -self.met)

    @property
    def differences(self) -> list[str]:
        """Why it does not apply."""
        fields = (
            f"{one.field} is {one.actual} instead of {one.expected}" for one in self.mismatches
        )
        return [*fields, *self.reasons]


def rule_text(rule: RuleSpec) -> str:
    """How a rule is called, and where it stands."""
    name = f" '{rule.name}'" if rule.name else ""
    place = f" ({rule.place})" if rule.place else ""
    return f"{rule.path.rpartition('.')[2] or 'rule'}{name}{place}"


def is_plain(rule: RuleSpec) -> bool:
    """Whether `rule` applies to a message whenever it comes: the same one by the same device, right after it,
    too."""
    return rule.where is None and rule.times is None and not rule.after and not rule.set


def answering_rule(
    rules: Sequence[RuleSpec], device: SimDevice, message: Mapping[str, Any], now: float
) -> str:
    """Which of these `rules` has just answered `message` at once, as `rule_text` has it; "" if none has."""
    who, number, text = device.fleet.answered
    if who is device and number == device.received:
        return text
    for rule in filter(is_plain, rules):
        if rule.when is None or rule.when.matches(message, device, now):
            return rule_text(rule) if rule.reply else ""
    return ""


def rules_about(
    rules: Sequence[RuleSpec], service: int, *, unanswered: bool = False
) -> list[RuleSpec]:
    """Those of `rules` that are asked when a message comes to this service (or, with `unanswered`, when
    a request of the device's was not answered), in the order in which they are."""
    return [
        rule
        for rule in rules
        if rule.service == service and not rule.send and rule.unanswered == unanswered
    ]


def examine_rules(
    rules: Sequence[RuleSpec], device: SimDevice, message: Mapping[str, Any], now: float
) -> list[RuleReport]:
    """A report on each of `rules`, in their order, on `message` to `device`. The first that applies is the
    one that decides."""
    return [_examine(rule, device, message, now) for rule in rules]


def nearest_first(reports: Sequence[RuleReport]) -> list[RuleReport]:
    return sorted(reports, key=lambda report: report.rank)


def _examine(
    rule: RuleSpec, device: SimDevice, message: Mapping[str, Any], now: float
) -> RuleReport:
    reasons = []
    if rule.after and now < device.booted_at + rule.after:
        left = format_duration(round(device.booted_at + rule.after - now, 3))
        reasons.append(
            f"it applies from {format_duration(rule.after)} after the boot on, in {left}"
        )
    if rule.times is not None and device.epoch.uses[rule] >= rule.times:
        reasons.append(f"it is used up: it applies {_so_often(rule.times)} to each device")
    mismatches: Sequence[Mismatch] = ()
    met = 0
    if rule.when is not None:
        mismatches = rule.when.explain(message, device, now)
        met = len(rule.when.conditions) - len(mismatches)
    if rule.where is not None and (why := _unmet(rule.where, device, message, now)):
        reasons.append(why)
    return RuleReport(rule, tuple(mismatches), tuple(reasons), met)


def _unmet(where: Expression, device: SimDevice, message: Mapping[str, Any], now: float) -> str:
    """Why `where` does not hold; "" if it does."""
    try:
        if where.evaluate(message, device, now):
            return ""
    except ExpressionError as error:
        what = "a field that is absent" if error.absent else "what it cannot have"
        return f"where {where.text!r} needs {what}: {error.reason}"
    operands = {f"msg.{path}": dig(message, split(path)) for path in where.fields}
    state = device.state
    operands |= {f"state.{name}": state.get(name) for name in _STATE.findall(where.text)}
    shown = ", ".join(f"{name} is {render(v)}" for name, v in [*operands.items()][:MOST_OPERANDS])
    return f"where {where.text!r} does not hold" + (f": {shown}" if shown else "")


def _so_often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"
