"""Whether one match implies another: every message that the first matches, the second matches, too.

What is said here is sure; what cannot be told so is no. Both are to be of the same schema, and about the same
device at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.match.fieldpath import split
from iotsim.match.matcher import EVALUATED
from iotsim.match.operators import PRESENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.match.condition import Condition
    from iotsim.match.matcher import Matcher

BOUNDS = {"min", "max"}
LARGEST_BOUND = 1e37
"""Beyond, a bound may be rounded to infinity."""
MOST_TOGETHER = 32
"""At most this many matches are tried together."""


def implies(stronger: Sequence[Condition], weaker: Matcher) -> bool:
    """Whether whatever satisfies all conditions of `stronger` is matched by `weaker`."""
    if weaker.undecodable:
        return False
    return all(
        any(_follows(one, condition, check) for one in stronger if one.field == condition.field)
        for condition, check in zip(weaker.conditions, weaker.checks, strict=True)
    )


def implied_by_any(stronger: Sequence[Condition], weaker: Iterable[Matcher]) -> list[int]:
    """The places of those of `weaker` of which at least one matches whatever satisfies `stronger`; [] if
    that is not sure.

    Where `stronger` leaves a field a few values, each may be matched by another of them.
    """
    matchers = list(weaker)
    for place, matcher in enumerate(matchers):
        if implies(stronger, matcher):
            return [place]
    several = matchers[:MOST_TOGETHER]
    for number, condition in enumerate(stronger):
        if condition.values is None or len(condition.values) < 2:
            continue
        found = []
        for value in condition.values:
            narrowed = [*stronger]
            narrowed[number] = condition._replace(values=(value,))
            first = next((n for n, one in enumerate(several) if implies(narrowed, one)), None)
            if first is None:
                break
            found.append(first)
        else:
            return sorted(set(found))
    return []


def at_path(path: str, value: Any) -> dict[str, Any] | None:
    """A message of which nothing is known but the field at `path`; None where that is in an array."""
    message: Any = value
    for step in reversed(split(path)):
        if not isinstance(step, str):
            return None
        message = {step: message}
    return message if isinstance(message, dict) else None


def _follows(
    known: Condition, condition: Condition, check: Callable[[Mapping[str, Any], Any, float], Any]
) -> bool:
    """Whether `condition`, which `check` tests, holds of a field of which `known` does."""
    if repr(known.given) == repr(condition.given):
        return True
    if condition.given == {"exists": True}:
        return is_present(known)
    if EVALUATED in condition.code:
        return False
    if known.values is not None:
        return all(_holds(value, condition, check) for value in known.values)
    return _is_wider(known.given, condition.given)


def _holds(value: Any, condition: Condition, check: Callable[..., Any]) -> bool:
    looks_at_text = "regex" in repr(condition.given)
    if looks_at_text and not isinstance(value, (str, bytes)) and value is not None:
        return False  # an equal number may be written in another way
    message = at_path(condition.field, value)
    return message is not None and bool(check(message, None, 0.0))


def is_present(known: Condition) -> bool:
    """Whether a field of which `known` holds is there, for sure."""
    if known.values is not None:
        return None not in known.values
    given = known.given
    return isinstance(given, dict) and (given.get("exists") is True or bool(PRESENT & given.keys()))


def _is_wider(given: Any, other: Any) -> bool:
    """Whether what lies in the range of the operators `given` lies in the range that is `other`."""
    if not (isinstance(given, dict) and isinstance(other, dict)) or not other.keys() <= BOUNDS:
        return False
    if not all(_is_number(given.get(name)) and _is_number(other[name]) for name in other):
        return False
    return all(
        given[name] >= other[name] if name == "min" else given[name] <= other[name]
        for name in other
    )


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) < LARGEST_BOUND
