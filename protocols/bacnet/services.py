"""The services (clauses 13, 15 and 16), by the productions of clause 21."""

from __future__ import annotations

from .enumerations import ERROR_CLASSES, ERROR_CODES, PROPERTIES, SEGMENTATIONS, Names, counted
from .syntax import Item

CONFIRMED = counted(
    """
    ACKNOWLEDGE_ALARM CONFIRMED_COV_NOTIFICATION CONFIRMED_EVENT_NOTIFICATION GET_ALARM_SUMMARY
    GET_ENROLLMENT_SUMMARY SUBSCRIBE_COV ATOMIC_READ_FILE ATOMIC_WRITE_FILE ADD_LIST_ELEMENT
    REMOVE_LIST_ELEMENT CREATE_OBJECT DELETE_OBJECT READ_PROPERTY READ_PROPERTY_CONDITIONAL
    READ_PROPERTY_MULTIPLE WRITE_PROPERTY WRITE_PROPERTY_MULTIPLE DEVICE_COMMUNICATION_CONTROL
    CONFIRMED_PRIVATE_TRANSFER CONFIRMED_TEXT_MESSAGE REINITIALIZE_DEVICE VT_OPEN VT_CLOSE VT_DATA
    AUTHENTICATE REQUEST_KEY READ_RANGE LIFE_SAFETY_OPERATION SUBSCRIBE_COV_PROPERTY
    GET_EVENT_INFORMATION SUBSCRIBE_COV_PROPERTY_MULTIPLE CONFIRMED_COV_NOTIFICATION_MULTIPLE
    CONFIRMED_AUDIT_NOTIFICATION AUDIT_LOG_QUERY
    """
)
UNCONFIRMED = counted(
    """
    I_AM I_HAVE UNCONFIRMED_COV_NOTIFICATION UNCONFIRMED_EVENT_NOTIFICATION
    UNCONFIRMED_PRIVATE_TRANSFER UNCONFIRMED_TEXT_MESSAGE TIME_SYNCHRONIZATION WHO_HAS WHO_IS
    UTC_TIME_SYNCHRONIZATION WRITE_GROUP UNCONFIRMED_COV_NOTIFICATION_MULTIPLE
    UNCONFIRMED_AUDIT_NOTIFICATION WHO_AM_I YOU_ARE
    """
)
_OBJECT = Item("object", 0, "OBJECT_IDENTIFIER")
_PROPERTY = Item("property", 1, "ENUMERATED", names=PROPERTIES)
_INDEX = Item("array_index", 2, "UNSIGNED", optional=True)
ERROR = (
    Item("error_class", None, "ENUMERATED", names=ERROR_CLASSES),
    Item("error_code", None, "ENUMERATED", names=ERROR_CODES),
)
_VALUES = (
    Item("property", 0, "ENUMERATED", names=PROPERTIES),
    Item("array_index", 1, "UNSIGNED", optional=True),
    Item("value", 2, "ANY"),
    Item("priority", 3, "UNSIGNED", optional=True),
)
_NOTIFICATION = (
    Item("process", 0, "UNSIGNED"),
    Item("device", 1, "OBJECT_IDENTIFIER"),
    Item("monitored_object", 2, "OBJECT_IDENTIFIER"),
    Item("time_remaining", 3, "UNSIGNED"),
    Item("values", 4, _VALUES, many=True),
)
_TIME = (Item("date", None, "DATE"), Item("time", None, "TIME"))
_SUBSCRIPTION = (
    Item("process", 0, "UNSIGNED"),
    Item("monitored_object", 1, "OBJECT_IDENTIFIER"),
    Item("confirmed", 2, "BOOLEAN", optional=True),
    Item("lifetime", 3, "UNSIGNED", optional=True),
)
ENABLED = Names("ENABLE DISABLE DISABLE_INITIATION")
REINITIALIZED = Names(
    "COLDSTART WARMSTART START_BACKUP END_BACKUP START_RESTORE END_RESTORE ABORT_RESTORE"
)
REQUESTS: dict[str, tuple[Item, ...]] = {
    "READ_PROPERTY": (_OBJECT, _PROPERTY, _INDEX),
    "READ_PROPERTY_MULTIPLE": (
        Item(
            "reads",
            None,
            (
                _OBJECT,
                Item(
                    "properties",
                    1,
                    (
                        Item("property", 0, "ENUMERATED", names=PROPERTIES),
                        Item("array_index", 1, "UNSIGNED", optional=True),
                    ),
                    many=True,
                ),
            ),
            many=True,
        ),
    ),
    "WRITE_PROPERTY": (
        _OBJECT,
        _PROPERTY,
        _INDEX,
        Item("value", 3, "ANY"),
        Item("priority", 4, "UNSIGNED", optional=True),
    ),
    "WRITE_PROPERTY_MULTIPLE": (
        Item("writes", None, (_OBJECT, Item("values", 1, _VALUES, many=True)), many=True),
    ),
    "SUBSCRIBE_COV": _SUBSCRIPTION,
    "CONFIRMED_COV_NOTIFICATION": _NOTIFICATION,
    "UNCONFIRMED_COV_NOTIFICATION": _NOTIFICATION,
    "DEVICE_COMMUNICATION_CONTROL": (
        Item("duration", 0, "UNSIGNED", optional=True),
        Item("enable", 1, "ENUMERATED", names=ENABLED),
        Item("password", 2, "CHARACTER_STRING", optional=True),
    ),
    "REINITIALIZE_DEVICE": (
        Item("reinitialized", 0, "ENUMERATED", names=REINITIALIZED),
        Item("password", 1, "CHARACTER_STRING", optional=True),
    ),
    "I_AM": (
        Item("device", None, "OBJECT_IDENTIFIER"),
        Item("max_apdu_accepted", None, "UNSIGNED"),
        Item("segmentation", None, "ENUMERATED", names=SEGMENTATIONS),
        Item("vendor", None, "UNSIGNED"),
    ),
    "I_HAVE": (
        Item("device", None, "OBJECT_IDENTIFIER"),
        Item("object", None, "OBJECT_IDENTIFIER"),
        Item("object_name", None, "CHARACTER_STRING"),
    ),
    "WHO_IS": (
        Item("low", 0, "UNSIGNED", optional=True),
        Item("high", 1, "UNSIGNED", optional=True),
    ),
    "WHO_HAS": (
        Item("low", 0, "UNSIGNED", optional=True),
        Item("high", 1, "UNSIGNED", optional=True),
        Item("object", 2, "OBJECT_IDENTIFIER", optional=True),
        Item("object_name", 3, "CHARACTER_STRING", optional=True),
    ),
    "TIME_SYNCHRONIZATION": _TIME,
    "UTC_TIME_SYNCHRONIZATION": _TIME,
}
RESULTS = (
    Item("property", 2, "ENUMERATED", names=PROPERTIES),
    Item("array_index", 3, "UNSIGNED", optional=True),
    Item("value", 4, "ANY", optional=True),
    Item("error", 5, ERROR, optional=True),
)
ACKS: dict[str, tuple[Item, ...]] = {
    "READ_PROPERTY": (_OBJECT, _PROPERTY, _INDEX, Item("value", 3, "ANY")),
    "READ_PROPERTY_MULTIPLE": (
        Item("results", None, (_OBJECT, Item("properties", 1, RESULTS, many=True)), many=True),
    ),
}
COV_SUBSCRIPTION = (
    Item(
        "recipient",
        0,
        (
            Item(
                "recipient",
                0,
                (
                    Item(
                        "address",
                        1,
                        (
                            Item("network", None, "UNSIGNED"),
                            Item("mac", None, "OCTET_STRING"),
                        ),
                    ),
                ),
            ),
            Item("process", 1, "UNSIGNED"),
        ),
    ),
    Item("monitored", 1, (_OBJECT, _PROPERTY)),
    Item("confirmed", 2, "BOOLEAN"),
    Item("time_remaining", 3, "UNSIGNED"),
    Item("increment", 4, "REAL", optional=True),
)
"""An element of Active_COV_Subscriptions."""
WRITE_MULTIPLE_ERROR = (
    Item("error", 0, ERROR),
    Item(
        "first_failed",
        1,
        (
            Item("object", 0, "OBJECT_IDENTIFIER"),
            Item("property", 1, "ENUMERATED", names=PROPERTIES),
            Item("array_index", 2, "UNSIGNED", optional=True),
        ),
    ),
)
