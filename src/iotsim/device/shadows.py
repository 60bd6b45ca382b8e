"""Shadows: rules that never apply, since one before them always does where they could.

What is told is sure. Rules whose condition is an expression shadow only those with the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.device.explain import rules_about
from iotsim.match.implied import implied_by_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iotsim.device.spec import FleetSpec, RuleSpec
    from iotsim.match import Expression
    from iotsim.match.matcher import Matcher


class Shadow(NamedTuple):
    """``rule`` never applies, because of those ``before`` it."""

    rule: RuleSpec
    before: tuple[RuleSpec, ...]


def find_shadows(spec: FleetSpec) -> Iterator[Shadow]:
    """The rules of these devices that never apply because of others."""
    for service in range(len(spec.services)):
        for unanswered in (False, True):
            rules = rules_about(spec.rules, service, unanswered=unanswered)
            for number, rule in enumerate(rules):
                if before := _shadowing(rule, rules[:number]):
                    yield Shadow(rule, before)


def _shadowing(rule: RuleSpec, earlier: Sequence[RuleSpec]) -> tuple[RuleSpec, ...]:
    """Those of the `earlier` rules that leave nothing to `rule`; () if that is not sure."""
    able = [one for one in earlier if _is_there_first(one, rule)]
    for one in able:
        if one.when is None:
            return (one,)
    matchers: list[Matcher] = [one.when for one in able if one.when is not None]
    conditions = () if rule.when is None else rule.when.conditions
    return tuple(able[place] for place in implied_by_any(conditions, matchers))


def _is_there_first(one: RuleSpec, rule: RuleSpec) -> bool:
    """Whether `one` is in force whenever `rule` is, so that its match alone decides."""
    if one.times is not None or (one.after or 0.0) > (rule.after or 0.0):
        return False
    return _holds_always(one.where) or _text(one.where) == _text(rule.where)


def _text(where: Expression | None) -> str | None:
    return None if where is None else where.text


def _holds_always(where: Expression | None) -> bool:
    return where is None or (where.constant and bool(where.evaluate(None, None, 0.0)))  # type: ignore[arg-type]
