"""``min`` and ``max``: ranges of numbers, of what only turns out to be one, and of an enum's names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.match.literal import LiteralError, integer_range, literal, render
from iotsim.match.operators import Invalid, is_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.match.writer import Writer
    from iotsim.protocol.fields import Field

RANGED = ("int", "float", "enum", "payload", "any")


def range_test(
    writer: Writer, variable: str, table: Mapping[str, Any], field: Field | None
) -> tuple[str, str]:
    """Code that tests whether `variable`, a value of `field`, is within the bounds of `table`, and the text
    for people. Invalid for bounds that are none, or that no value is within."""
    if field is not None and field.kind not in RANGED:
        raise Invalid(f"'{field.path}' is no number, so it has no min or max")
    if field is not None and field.kind == "enum":
        return _names_test(writer, variable, table, field)
    is_text = field is not None and field.kind == "payload"
    if is_text:
        variable, field = f"number_in({variable})", None
    bounds: dict[str, tuple[str, str]] = {}
    for name in ("min", "max"):
        if name not in table:
            continue
        value = table[name]
        if not is_expression(value) and (
            isinstance(value, bool) or not isinstance(value, (int, float))
        ):
            raise Invalid("must be a number or an expression", keys=(name,))
        try:
            bounds[name] = writer.operand(value, field if _fits(value, field) else None)
        except Invalid as error:
            raise Invalid(error.message, error.hint, (name, *error.keys)) from None
    low, high = bounds.get("min"), bounds.get("max")
    _check_order(table.get("min"), table.get("max"))
    _check_reach(table, field)
    code = f"{low[0]} <= {variable}" if low else variable
    code += f" <= {high[0]}" if high else ""
    text = _range_text(low, high)
    if is_text or (field is not None and field.kind == "any"):
        limits = ", ".join(bound[0] if bound else "None" for bound in (low, high))
        return f"between({variable}, {limits})", text
    return f"(isinstance({variable}, numbers) and {code})", text


def _names_test(
    writer: Writer, variable: str, table: Mapping[str, Any], field: Field
) -> tuple[str, str]:
    """A range of an enum: by the numbers that its names have on the wire."""
    numbered = writer.constant(_numbering(field.names))
    bounds: dict[str, tuple[str, str]] = {}
    numbers: dict[str, Any] = {}
    for name in ("min", "max"):
        value = table.get(name)
        if is_expression(value):
            code, text = writer.operand(value, None)
            bounds[name] = f"{numbered}({code})", text
        elif name in table:
            if isinstance(value, float) and not math.isnan(value):
                number, text = value, render(value)  # it may lie between two of them
            else:
                try:
                    plain = literal(value, field)
                except LiteralError as error:
                    raise Invalid(str(error), error.hint, (name,)) from None
                number, text = field.names.get(plain, plain), render(value)
            numbers[name] = number
            bounds[name] = writer.constant(number), text
    _check_order(numbers.get("min"), numbers.get("max"))
    limits = ", ".join(bounds[name][0] if name in bounds else "None" for name in ("min", "max"))
    text = _range_text(bounds.get("min"), bounds.get("max"))
    return f"between({numbered}({variable}), {limits})", text


def _range_text(low: tuple[str, str] | None, high: tuple[str, str] | None) -> str:
    if low and high:
        return f"{low[1]}..{high[1]}"
    return f"at least {low[1]}" if low else f"at most {high[1]}" if high else ""


def _numbering(names: Mapping[str, int]) -> Callable[[Any], Any]:
    """A function that gives the number of a name, and all else as it is."""
    numbers = dict(names)

    def number(value: Any) -> Any:
        return numbers.get(value, value) if isinstance(value, str) else value

    return number


def _check_order(low: Any, high: Any) -> None:
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
        raise Invalid("min is greater than max", keys=("min",))


def _check_reach(table: Mapping[str, Any], field: Field | None) -> None:
    """Invalid if no value of an integer field lies within these bounds."""
    if field is None or field.kind != "int":
        return
    lowest, highest = integer_range(field.wire)
    for name, beyond in (("min", highest), ("max", lowest)):
        bound = table.get(name)
        if isinstance(bound, (int, float)) and (
            bound > beyond if name == "min" else bound < beyond
        ):
            hint = f"{lowest:.0f} to {highest:.0f}"
            raise Invalid(f"no value of '{field.path}', which is {field.wire}", hint, (name,))


def _fits(bound: Any, field: Field | None) -> bool:
    """Whether a bound can be rounded to the field's type; it may lie outside of what that holds."""
    if field is None or is_expression(bound):
        return field is not None
    try:
        literal(bound, field)
    except LiteralError:
        return False
    return True
