"""The usual text of a value: how times, UUIDs and addresses are written.

An adapter may decode to an object that a scenario has no literal for. It is written as a text in
the form that its standard gives it, and any spelling of that standard is the same value:

    datetime, date, time   ISO 8601: 2026-05-01T12:00:00Z, 2026-05-01, 12:00:00
    timedelta              as the times of a scenario: 1h30m, 20ms
    UUID                   RFC 9562: f81d4fae-7dec-11d0-a765-00a0c91e6bf6, in either case
    addresses, networks    10.77.1.1, fd77::1 (RFC 5952), 10.77.0.0/16
    Decimal, Fraction      a number
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import ipaddress
import math
import uuid
from typing import TYPE_CHECKING, Any

from iotsim.units import parse_bytes, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_TEXT = 200
"""No value has a usual text longer than this."""


def _duration(text: str) -> dt.timedelta:
    sign = -1 if text.startswith("-") else 1
    return sign * dt.timedelta(seconds=parse_duration(text.removeprefix("-")))


def _duration_text(value: dt.timedelta) -> str:
    seconds = abs(value) // dt.timedelta(seconds=1)
    micros = abs(value).microseconds
    sign = "-" if value.days < 0 else ""
    fraction = f".{micros:06}".rstrip("0") if micros else ""
    return f"{sign}{seconds}{fraction}s"


def _isoformat(value: Any) -> str:
    text: str = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


FORMS: dict[type, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    # type: the value of a text, or ValueError; the text of a value
    dt.datetime: (dt.datetime.fromisoformat, _isoformat),
    dt.date: (dt.date.fromisoformat, _isoformat),
    dt.time: (dt.time.fromisoformat, _isoformat),
    dt.timedelta: (_duration, _duration_text),
    uuid.UUID: (uuid.UUID, str),
    ipaddress.IPv4Address: (ipaddress.IPv4Address, str),
    ipaddress.IPv6Address: (ipaddress.IPv6Address, str),
    ipaddress.IPv4Network: (ipaddress.IPv4Network, str),
    ipaddress.IPv6Network: (ipaddress.IPv6Network, str),
    ipaddress.IPv4Interface: (ipaddress.IPv4Interface, str),
    ipaddress.IPv6Interface: (ipaddress.IPv6Interface, str),
    decimal.Decimal: (decimal.Decimal, str),
    fractions.Fraction: (fractions.Fraction, str),
}
NUMBERS = (int, float, decimal.Decimal, fractions.Fraction)


def usual_text(value: Any) -> str | None:
    """The text that a value of one of `FORMS` is written as; None for other values."""
    for kind in type(value).__mro__:
        if kind in FORMS:
            return FORMS[kind][1](value)
    return None


def has_form(value: Any) -> bool:
    return any(kind in FORMS for kind in type(value).__mro__)


def _text(value: Any) -> str | None:
    """The text of an object of a protocol's own class, as results have it, too."""
    try:
        return str(value)
    except Exception:
        return None


def of_text(text: str, kind: type) -> Any:
    """The value of the type `kind`, one of `FORMS` or a subclass, that `text` writes, or None."""
    form = next((FORMS[base][0] for base in kind.__mro__ if base in FORMS), None)
    if form is None or len(text) > LONGEST_TEXT:
        return None
    try:
        return form(text.strip())
    except (ValueError, ArithmeticError):
        return None


def same(value: Any, wanted: Any) -> bool:
    """Whether two values are equal, one of which may be the usual text of the other."""
    if value is None or wanted is None:
        return value is wanted
    if isinstance(wanted, str):
        if isinstance(value, str):
            return value == wanted
        if isinstance(value, bytes):
            return _same_bytes(value, wanted)
        if not isinstance(value, (int, float, list, tuple, dict)) and not has_form(value):
            return _text(value) == wanted
        wanted = of_text(wanted, type(value))
    elif isinstance(value, str):
        value = of_text(value, type(wanted))
    elif isinstance(value, (list, tuple)) and isinstance(wanted, (list, tuple)):
        return len(value) == len(wanted) and all(map(same, value, wanted))
    return value is not None and wanted is not None and bool(value == wanted)


def _same_bytes(value: bytes, text: str) -> bool:
    if not text.startswith("hex:"):
        return False
    try:
        return value == parse_bytes(text)
    except ValueError:
        return False


def as_number(value: Any) -> Any:
    """A value that can be held against a bound: a number, a time span as its seconds; else None."""
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if not isinstance(value, NUMBERS):
        return None
    try:
        return None if math.isnan(value) else value
    except (ValueError, OverflowError):  # a signaling NaN; an integer beyond all floats
        return value if isinstance(value, (int, fractions.Fraction)) else None


def number_in(value: Any) -> Any:
    """The number that a text is; None for what is none, and for what is no text."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or "_" in value:
        return None
    try:
        return float(value) if value.strip("+- \t\r\n0123456789") else int(value)
    except ValueError:
        return None


def between(value: Any, low: Any, high: Any) -> bool:
    """Whether `value` is a number within the bounds, of which None is no bound."""
    number = as_number(value)
    if number is None:
        return False
    return (low is None or bool(low <= number)) and (high is None or bool(number <= high))
