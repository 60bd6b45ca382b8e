"""How conditions are written: by operators, by expressions, by tables of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.match.fieldpath import find_field
from iotsim.match.literal import DEEPEST as DEEPEST_LITERAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.protocol.fields import Field, Schema

OPERATORS = ("min", "max", "any", "regex", "not", "exists", "some", "every")
PRESENT = {"min", "max", "regex", "some", "every"}
"""Operators that hold of no field that is absent."""


class Invalid(Exception):  # noqa: N818
    """Internal: a condition that cannot be; `keys` lead to it from the field's own key."""

    def __init__(self, message: str, hint: str = "", keys: tuple[str | int, ...] = ()) -> None:
        self.message = message
        self.hint = hint
        self.keys = keys
        super().__init__(message)


def is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("=")


def holds_expression(value: Any, depth: int = 0) -> bool:
    """Whether there is an expression in a literal, at any depth."""
    if depth <= DEEPEST_LITERAL and isinstance(value, (list, dict)):
        items = value.values() if isinstance(value, dict) else value
        return any(holds_expression(item, depth + 1) for item in items)
    return is_expression(value)


def holds_table(values: list[Any], depth: int = 0) -> bool:
    """Whether there is a table among `values`, or in a list among them."""
    return depth <= DEEPEST_LITERAL and any(
        isinstance(value, dict) or (isinstance(value, list) and holds_table(value, depth + 1))
        for value in values
    )


def is_nested(table: Mapping[str, Any], field: Field | None, schema: Schema | None) -> bool:
    """Whether a table names fields of `field`, rather than operators."""
    if field is None or field.kind == "any":
        return bool(table) and not all(key in OPERATORS for key in table)
    if field.kind not in ("struct", "flags") or schema is None:
        return False
    return not table or not all(
        key in OPERATORS and find_field(schema, f"{field.path}.{key}") is None for key in table
    )
