"""Whether there is any message that a match could match, as far as its schema tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iotsim.match.implied import is_present

if TYPE_CHECKING:
    from iotsim.match.condition import Condition
    from iotsim.match.matcher import Matcher
    from iotsim.protocol.fields import Schema

INSIDE = " with "
"""Stands between the names of a message and of one in it, in `iotsim.protocol.field.Field.cases`."""


class Conflict(NamedTuple):
    """No message whose ``kind`` is ``value`` has ``field``; those that are ``cases`` have."""

    kind: str
    value: str
    field: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        return f"no message whose {self.kind} is {self.value} has '{self.field}'"


def find_conflict(matcher: Matcher, schema: Schema) -> Conflict | None:
    """Two conditions of `matcher` that no message of `schema` satisfies together; None if none is known.

    Known are fields that only some kinds of messages have, if one enum alone has names for all of these
    kinds.
    """
    for condition in matcher.conditions:
        field = schema.fields.get(condition.field)
        if field is None or not field.cases or not is_present(condition):
            continue
        kind = _kind_field(field.cases, schema)
        for other in matcher.conditions if kind else ():
            if other.field == kind and (value := _outside(other, field.cases, schema)):
                return Conflict(kind, value, condition.field, field.cases)
    return None


def _kind_field(cases: tuple[str, ...], schema: Schema) -> str:
    """The enum that names these kinds of messages; "" if that is not sure."""
    heads = {case.partition(INSIDE)[0] for case in cases}
    found = [
        field.path
        for field in schema.fields.values()
        if field.kind == "enum" and heads <= field.names.keys()
    ]
    return found[0] if len(found) == 1 else ""


def _outside(condition: Condition, cases: tuple[str, ...], schema: Schema) -> str:
    """What `condition` asks the kind to be, if that is none of `cases`; "" if it may be one."""
    field = schema.fields[condition.field]
    heads = {field.round(case.partition(INSIDE)[0]) for case in cases}
    values = condition.values or ()
    if not values or any(not isinstance(value, str) or value in heads for value in values):
        return ""
    return " or ".join(map(str, values))
