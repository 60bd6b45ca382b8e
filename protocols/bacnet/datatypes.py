"""The datatypes of properties (clause 12), where a value does not say its own."""

from __future__ import annotations

from typing import Any

from iotsim import EncodeError

from .enumerations import (
    BINARY,
    DEVICE_STATUSES,
    EVENT_STATES,
    OBJECT_TYPES,
    POLARITIES,
    PROPERTIES,
    RELIABILITIES,
    SEGMENTATIONS,
    UNITS,
    Names,
)
from .tags import write_primitive

PRESENT_VALUES = {
    "analog-input": "REAL",
    "analog-output": "REAL",
    "analog-value": "REAL",
    "binary-input": "ENUMERATED",
    "binary-output": "ENUMERATED",
    "binary-value": "ENUMERATED",
    "multi-state-input": "UNSIGNED",
    "multi-state-output": "UNSIGNED",
    "multi-state-value": "UNSIGNED",
    "integer-value": "INTEGER",
    "positive-integer-value": "UNSIGNED",
    "large-analog-value": "DOUBLE",
    "characterstring-value": "CHARACTER_STRING",
}
"""The objects that a device can have, by the type of their Present_Value."""
LIKE_PRESENT_VALUE = frozenset(
    {
        "present-value",
        "relinquish-default",
        "cov-increment",
        "min-pres-value",
        "max-pres-value",
        "resolution",
        "high-limit",
        "low-limit",
        "deadband",
        "priority-array",
    }
)
STATES = frozenset({"present-value", "relinquish-default"})
"""The properties of a multi-state object that are one of its states."""
ENUMERATIONS = {
    "object-type": OBJECT_TYPES,
    "property-list": PROPERTIES,
    "units": UNITS,
    "reliability": RELIABILITIES,
    "event-state": EVENT_STATES,
    "system-status": DEVICE_STATUSES,
    "segmentation-supported": SEGMENTATIONS,
    "polarity": POLARITIES,
}
OTHERS = {
    "status-flags": "BIT_STRING",
    "out-of-service": "BOOLEAN",
    "object-identifier": "OBJECT_IDENTIFIER",
}


def names_of(item: str, prop: str | int) -> Names | None:
    """The names of the values that the property `prop` of the object `item` has, if it is enumerated."""
    if prop in LIKE_PRESENT_VALUE and item.startswith("binary-"):
        return BINARY
    return ENUMERATIONS.get(prop) if isinstance(prop, str) else None


def type_of(item: str, prop: str | int) -> str:
    """The type of a property's value, "" if it is not known here."""
    if prop in LIKE_PRESENT_VALUE:
        kind = PRESENT_VALUES.get(item.partition(",")[0], "")
        return "UNSIGNED" if prop == "cov-increment" and kind == "INTEGER" else kind
    if prop in ENUMERATIONS:
        return "ENUMERATED"
    return OTHERS.get(str(prop), "")


def natural_type(value: Any, known: str = "") -> str:
    """The type of a value of which none is said: that of the property, or of the value."""
    if value is None:
        return "NULL"
    if known:
        return known
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "UNSIGNED" if value >= 0 else "INTEGER"
    if isinstance(value, float):
        return "REAL"
    return "CHARACTER_STRING" if isinstance(value, str) else "OCTET_STRING"


def typed(item: str, prop: str, value: Any, states: int) -> tuple[str, Any]:
    """A value of a model in the type that the property has, as messages have it; `states` is how many a
    multi-state object has. ValueError if it has none there."""
    kind = natural_type(value, type_of(item, prop))
    names = names_of(item, prop)
    try:
        if names is BINARY:
            value = _binary(value)
        elif kind in ("UNSIGNED", "INTEGER"):
            value = round(value)
        elif kind in ("REAL", "DOUBLE"):
            value = float(value)
        elif kind == "CHARACTER_STRING" and not isinstance(value, str):
            value = str(value)
        write_primitive(kind, value, prop, names)
    except (EncodeError, TypeError, OverflowError, ValueError) as error:
        raise ValueError(f"{value!r:.60} is no {kind}: {error}") from None
    if prop in STATES and item.startswith("multi-state-") and not 1 <= value <= states:
        raise ValueError(f"{value!r:.60} is no state: they go from 1 to {states}")
    return kind, value


def _binary(value: Any) -> str:
    """The name of a binary value, of which a model may have the number."""
    if value not in (0, 1, *BINARY.numbers):
        raise ValueError('a binary value is a boolean, "inactive" or "active"')
    return value if isinstance(value, str) else "active" if value else "inactive"
