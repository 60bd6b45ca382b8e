"""Shadows: rules that never apply, since one before them always does where they could.

What is told is sure. Rules whose condition is an expression shadow only those with the same one. Of very many
rules, each is compared with the first ones alone.
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


MOST_CANDIDATES = 100


class Shadow(NamedTuple):
    """``rule`` never applies, because of those ``before`` it."""

    rule: RuleSpec
    before: tuple[RuleSpec, ...]


def find_shadows(spec: FleetSpec) -> Iterator[Shadow]:
    """The rules of these devices that never apply because of others."""
    for service in range(len(spec.services)):
        for unanswered in (False, True):
            earlier = _Earlier()
            for rule in rules_about(spec.rules, service, unanswered=unanswered):
                if before := _shadowing(rule, earlier.candidates(rule)):
                    yield Shadow(rule, before)
                earlier.add(rule)


class _Earlier:
    """Rules that come before others, by a value that they ask for: others leave nothing to a rule that has
    another value there. So of very many rules, a few are compared with each."""

    def __init__(self) -> None:
        self._count = 0
        self._by_value: dict[tuple[str, str], list[tuple[int, RuleSpec]]] = {}
        self._others: list[tuple[int, RuleSpec]] = []

    def add(self, rule: RuleSpec) -> None:
        conditions = () if rule.when is None else rule.when.conditions
        single = next((one for one in conditions if one.values and len(one.values) == 1), None)
        entry = self._count, rule
        self._count += 1
        if single is not None and single.values:
            self._by_value.setdefault((single.field, _key(single.values[0])), []).append(entry)
        else:
            self._others.append(entry)

    def candidates(self, rule: RuleSpec) -> list[RuleSpec]:
        """Those that may shadow `rule`, in their order."""
        conditions = () if rule.when is None else rule.when.conditions
        found = dict(self._others[:MOST_CANDIDATES])
        for condition in conditions:
            for value in condition.values or ():
                found.update(
                    self._by_value.get((condition.field, _key(value)), ())[:MOST_CANDIDATES]
                )
        return [found[number] for number in sorted(found)]


def _key(value: object) -> str:
    """The same text for values that are equal."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return repr(int(value)) if whole else repr(value)  # type: ignore[call-overload]


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
