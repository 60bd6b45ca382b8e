"""The MIB of a device: its variables by name, and in their order (RFC 2578, RFC 3416)."""

from __future__ import annotations

from bisect import bisect_right
from math import isfinite
from typing import Any

from iotsim import EncodeError

from .ber import RANGES, normal_oid, oid_key, read_header, value_in, value_tlv

SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
SYS_UP_TIME = "1.3.6.1.2.1.1.3.0"
_NUMBER = (int, float)
UPTIME = object()
"""The value of a variable that is the time since boot."""


def as_kind(value: Any, kind: str) -> Any:
    """`value` as a message has it in a value of that type; ValueError if it cannot.

    Numbers are rounded to integers. Counters and TimeTicks wrap, and gauges stay at their bounds
    (RFC 2578, section 7.1.6 to 7.1.8).
    """
    if kind in RANGES:
        if not isinstance(value, _NUMBER) or (isinstance(value, float) and not isfinite(value)):
            raise ValueError(f"{value!r:.100} is no {kind}, which is an integer")
        number = round(value)
        low, high = RANGES[kind]
        if low <= number <= high:
            return number
        if kind == "GAUGE32":
            return max(low, min(number, high))
        if kind == "INTEGER":
            raise ValueError(f"{number} is no INTEGER, which is {low} to {high}")
        return number % (high + 1)
    if kind == "OID" and isinstance(value, str):
        return normal_oid(value)
    try:
        octets = value_tlv(kind, value, "")
    except EncodeError as error:
        raise ValueError(error.reason) from None
    _, start, end = read_header(octets, 0, len(octets), "")
    return value_in(octets[start:end], kind, "", 0)


class Variable:
    """An object instance of a device's MIB: a constant, a cell of the model, or the time since boot."""

    __slots__ = ("cell", "key", "kind", "oid", "value", "writable")

    def __init__(
        self,
        oid: str,
        kind: str | None,
        value: Any = None,
        cell: Any = None,
        writable: bool = False,
    ) -> None:
        self.oid = oid
        self.key = oid_key(oid)
        self.kind = kind
        """None if it is that of the present value."""
        self.value = value
        self.cell = cell
        self.writable = writable


class Mib:
    """The variables of a device, by name and in their order."""

    def __init__(self, variables: dict[str, Variable]) -> None:
        self.variables = variables
        self._ordered = sorted(variables.values(), key=lambda variable: variable.key)
        self._keys = [variable.key for variable in self._ordered]
        self._places = {variable.oid: place for place, variable in enumerate(self._ordered)}
        self._types = {variable.key[:-1] for variable in self._ordered}
        self._writable_types = {v.key[:-1] for v in self._ordered if v.writable}

    def after(self, oid: str) -> Variable | None:
        """The first variable after `oid` in lexicographic order; None at the end."""
        place = self._places.get(oid, -1) + 1 or bisect_right(self._keys, oid_key(oid))
        return self._ordered[place] if place < len(self._ordered) else None

    def has_type_of(self, oid: str) -> bool:
        """Whether `oid` is one of an object type of which there are variables, as far as it shows."""
        return is_below(oid_key(oid), self._types)

    def has_writable_type_of(self, oid: str) -> bool:
        return is_below(oid_key(oid), self._writable_types)


def is_below(key: tuple[int, ...], above: set[tuple[int, ...]]) -> bool:
    return any(key[:length] in above for length in range(1, len(key) + 1))
