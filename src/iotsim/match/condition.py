"""A condition on one field: its code, its text, and what is known of the values that satisfy it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.match.literal import LiteralError, literal
from iotsim.match.operators import Invalid, holds_expression
from iotsim.match.usual import as_number

if TYPE_CHECKING:
    from iotsim.protocol.fields import Field

MOST_VALUES = 64
"""`Condition.values` has at most this many; of more nothing is known."""


class Condition(NamedTuple):
    """A condition on `field`: `code` is true where it holds; `expected` completes "FIELD is …".

    ``equals`` holds the value that a field at the top level must equal, where the condition is no
    more than that; such a value can be looked up in a dictionary. `numeric`: it holds of numbers only,
    and only the value itself tells whether it is one. ``given`` is how it was written; ``values`` are all
    that the field may be, None for absent, where these are a few that are known.
    """

    field: str
    code: str
    expected: str
    equals: tuple[Any] | None = None
    numeric: bool = False
    given: Any = None
    values: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, path: str, value: Any, field: Field | None, code: str, expected: str) -> Condition:
        """The condition `value`, as it was written, on the `field` at `path`."""
        return cls(
            path,
            code,
            expected,
            equals=_sole_value(path, value, field),
            numeric=_is_numeric(value, field),
            given=value,
            values=_all_values(value, field),
        )

    def reason(self, value: Any) -> str:
        """Why a `value` that is there cannot satisfy the condition, as an addition to it, or ""."""
        if self.numeric and value is not None and as_number(value) is None:
            return ", which is no number"
        return ""


def _sole_value(path: str, value: Any, field: Field | None) -> tuple[Any] | None:
    """What `value` asks of a field at the top level, if that is to equal a plain value."""
    if "." in path or isinstance(value, (dict, list)) or holds_expression(value):
        return None
    plain = message_value(value, field)
    if kind_of(field) == "any" and isinstance(plain, (str, bytes)):
        return None  # other values than this may be written so
    return (plain,) if isinstance(plain, (int, float, str, bytes)) and plain == plain else None


def _all_values(value: Any, field: Field | None) -> tuple[Any, ...] | None:
    """The few values of `field` that satisfy the condition `value`; None where that is not known."""
    if value == {"exists": False}:
        return (None,)
    choices = value["any"] if isinstance(value, dict) and value.keys() == {"any"} else [value]
    if (
        kind_of(field) in ("any", "array")
        or len(choices) > MOST_VALUES
        or holds_expression(choices)
    ):
        return None  # other values may be written so
    plain = [
        message_value(choice, field)
        for choice in choices
        if isinstance(choice, (bool, int, float, str, bytes))
    ]
    known = len(plain) == len(choices) and all(one == one for one in plain)
    return tuple(plain) if known else None


def kind_of(field: Field | None) -> str:
    """The kind of `field`, "" where no schema tells."""
    return "" if field is None else field.kind


def _is_numeric(value: Any, field: Field | None) -> bool:
    ranged = isinstance(value, dict) and ("min" in value or "max" in value)
    return ranged and kind_of(field) == "any"


def message_value(value: Any, field: Field | None) -> Any:
    """`value` as a message that has it shows it: an enum by the one of its names that does."""
    try:
        plain = literal(value, field)
    except LiteralError as error:
        raise Invalid(str(error), error.hint) from None
    return field.round(plain) if field is not None and field.kind == "enum" else plain
