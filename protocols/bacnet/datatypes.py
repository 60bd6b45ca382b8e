"""The datatypes of properties (clause 12), where a value does not say its own."""

from __future__ import annotations

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
