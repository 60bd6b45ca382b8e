"""Functions and operators of expressions, with bounds on what one evaluation may produce.

An expression may be evaluated at every message and store its result in a device's state, so what
one evaluation may produce is bounded: numbers of `MOST_BITS` bits, texts and lists of `MOST_ITEMS`
items, and no list inside a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BITS = 4096
MOST_ITEMS = 1 << 16
SCALARS = (int, float, str, bytes, type(None))
SEQUENCES = (str, bytes, list, tuple)


class TooLargeError(ValueError):
    """A result would be larger than an expression's may be."""


def _number(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise TooLargeError("the number is too large")
    return value


def add(left: Any, right: Any) -> Any:
    both = isinstance(left, SEQUENCES) and isinstance(right, SEQUENCES)
    if both and len(left) + len(right) > MOST_ITEMS:
        raise TooLargeError("the text or list is too long")
    return _number(left + right)


def subtract(left: Any, right: Any) -> Any:
    return _number(left - right)


def multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MOST_BITS:
            raise TooLargeError("the number is too large")
    elif isinstance(left, SEQUENCES) and isinstance(right, int):
        if len(left) * right > MOST_ITEMS:
            raise TooLargeError("the text or list is too long")
    elif isinstance(right, SEQUENCES) and isinstance(left, int) and len(right) * left > MOST_ITEMS:
        raise TooLargeError("the text or list is too long")
    return left * right


def modulo(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        raise TypeError("text cannot be formatted with %")
    return left % right


def power(base: Any, exponent: Any) -> Any:
    integers = isinstance(base, int) and isinstance(exponent, int)
    if integers and max(base.bit_length(), 1) * abs(exponent) > MOST_BITS:
        raise TooLargeError("the number is too large")
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("the power is no real number")
    return result


def shift_left(value: Any, bits: Any) -> Any:
    if isinstance(value, int) and isinstance(bits, int) and value.bit_length() + bits > MOST_BITS:
        raise TooLargeError("the number is too large")
    return value << bits


def make_list(items: tuple[Any, ...]) -> list[Any]:
    for item in items:
        if not isinstance(item, SCALARS):
            raise TypeError(f"a list cannot hold a {type(item).__name__}")
    return list(items)


def doubles(one: Any, other: Any) -> bool:
    """Whether two values are the same, numbers as doubles: a number of JSON has no other type."""
    return bool(one == other or as_double(one) == as_double(other))


def as_double(value: Any) -> Any:
    """A number as a double; what is none, or too large for one, as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def to_text(value: Any) -> str:
    """Bytes become their hexadecimal digits, everything else as in Python."""
    text = value.hex() if isinstance(value, bytes) else str(value)
    if len(text) > MOST_ITEMS:
        raise TooLargeError("the text is too long")
    return text


def to_hex(value: Any) -> str:
    """``0x1f`` for a number, the digits alone for bytes."""
    return value.hex() if isinstance(value, bytes) else hex(value)


def rounded(value: Any, digits: int = 0) -> Any:
    if not isinstance(digits, int) or abs(digits) > 300:
        raise ValueError("round takes -300 to 300 digits")
    return round(value, digits) if digits else round(value)


def to_float(value: Any) -> float:
    return float(value)


def to_int(value: Any, base: int | None = None) -> int:
    return int(value) if base is None else int(value, base)


def least(first: Any, *rest: Any) -> Any:
    return min(first, *rest) if rest else min(first)


def greatest(first: Any, *rest: Any) -> Any:
    return max(first, *rest) if rest else max(first)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    # name: function, the least and the most arguments
    "abs": (abs, 1, 1),
    "float": (to_float, 1, 1),
    "hex": (to_hex, 1, 1),
    "int": (to_int, 1, 2),
    "len": (len, 1, 1),
    "max": (greatest, 1, 20),
    "min": (least, 1, 20),
    "round": (rounded, 1, 2),
    "str": (to_text, 1, 1),
}

OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": add,
    "Sub": subtract,
    "Mult": multiply,
    "Mod": modulo,
    "Pow": power,
    "LShift": shift_left,
}
"""Operators whose results must be bounded, by the name of their node."""
