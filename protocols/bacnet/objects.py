"""The objects of a device, as services read and write them (clause 12)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from iotsim import ExpressionError

from .datatypes import PRESENT_VALUES, type_of, typed
from .enumerations import BINARY, PROPERTIES
from .tags import ANY_INSTANCE, object_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim import Session

    from .model import Model, Object

Typed = tuple[str, Any]
EXECUTED = {5, 12, 14, 15, 16, 17, 20, 32, 33, 34, 36}
"""The bits of BACnetServicesSupported that a device here has (clause 21)."""
ARRAYS = frozenset({"object-list", "priority-array", "state-text", "property-list"})
OPTIONAL = frozenset(
    {
        *("reliability", "description", "cov-increment", "state-text"),
        *("location", "max-segments-accepted", "local-time", "local-date", "utc-offset"),
        *("daylight-savings-status", "apdu-segment-timeout", "active-cov-subscriptions"),
    }
)
"""Of objects, and of the device (clause 12, conformance code O)."""
COMMANDS = frozenset({"priority-array", "relinquish-default"})
"""Required of outputs, and optional of values."""
VALUES = frozenset(
    {"integer-value", "positive-integer-value", "large-analog-value", "characterstring-value"}
)
STATES = frozenset({"event-state", "out-of-service"})
"""Optional of `VALUES`, and required of other objects."""
PROPRIETARY = 512
"""From here on, properties are the vendors' (clause 21)."""
GENERAL = ("object-identifier", "object-name", "object-type")
LOWEST_PRIORITY = 16
RESERVED_PRIORITY = 6
"""Of the minimum on and off times (clause 19.2)."""


class RefusedError(Exception):
    """A request that ends in an Error (clause 18): its class and its code."""

    def __init__(self, kind: str, code: str) -> None:
        super().__init__(f"{kind}/{code}")
        self.kind, self.code = kind, code


def is_standard(prop: str) -> bool:
    return PROPERTIES.number(prop) < PROPRIETARY


def has_increment(item: str) -> bool:
    """Whether changes of the object's value are told by COV_Increment (table 13-1)."""
    return "analog" in item or "integer" in item


def bits(count: int, those: set[int]) -> Typed:
    return "BIT_STRING", "".join("1" if bit in those else "0" for bit in range(count))


class Database:
    """The objects of one device, with what was written to them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.model: Model = session.model
        number = session.read(self.model.instance)
        if not isinstance(number, int | float) or not 0 <= number < ANY_INSTANCE:
            raise ExpressionError(
                f"no instance of a device is {number!r:.60}", self.model.instance.text
            )
        self.device = f"device,{int(number)}"
        self.commands: dict[str, list[Any]] = {}
        """The priority arrays, of the objects that were commanded."""
        self.defaults: dict[str, Any] = {}
        self.overrides: dict[str, Any] = {}
        """The present values of objects that are out of service by a write, or by the model."""
        self.increments: dict[str, float] = {}
        self.clock_offset = 0.0
        self.subscribed: Callable[[], list[dict[str, Any]]] = list
        """Gives the Active_COV_Subscriptions, as elements."""
        for key, one in self.model.objects.items():
            if one.out_of_service:
                self.overrides[key] = session.read(one.value)

    def name(self, item: str) -> str:
        return (
            self.session.device.name
            if item == self.device
            else self.model.objects[item].name or item
        )

    def known(self, item: str) -> str:
        """The object's own identifier, "" if there is none."""
        if item in (self.device, f"device,{ANY_INSTANCE}"):
            return self.device
        return item if item in self.model.objects else ""

    def find(self, item: str) -> str:
        """The object's own identifier. RefusedError if there is none."""
        found = self.known(item)
        if not found:
            raise RefusedError("object", "unknown-object")
        return found

    def properties(self, item: str) -> list[str]:
        """All but Property_List, which ALL does not have (clause 15.7)."""
        if item == self.device:
            return list(DEVICE_PROPERTIES)
        one, kind = self.model.objects[item], item.partition(",")[0]
        found = [*GENERAL, "present-value", "status-flags", "event-state", "out-of-service"]
        found += ["reliability", "description"]
        if has_increment(item):
            found += ["units", "cov-increment"]
        if kind in ("binary-input", "binary-output"):
            found.append("polarity")
        if kind.startswith("multi-state"):
            found += ["number-of-states", *(["state-text"] if one.states else [])]
        if self.is_commandable(item):
            found += ["priority-array", "relinquish-default"]
        return found + [name for name in one.properties if name not in found]

    def listed(self, item: str, which: str | int) -> list[str] | None:
        """The properties that ALL, REQUIRED or OPTIONAL stand for (clause 15.7.3.1.2)."""
        every = self.properties(item)
        if which == "all":
            return every
        if which not in ("required", "optional"):
            return None
        own = () if item == self.device else self.model.objects[item].properties
        beside = OPTIONAL | COMMANDS if "-value," in item else OPTIONAL
        if item.partition(",")[0] in VALUES:
            beside |= STATES
        optional = {prop for prop in every if prop in beside or prop in own}
        if which == "required":
            return [prop for prop in every if prop not in optional]
        return [prop for prop in every if prop in optional and is_standard(prop)]

    def is_commandable(self, item: str) -> bool:
        one = self.model.objects[item]
        if one.commandable is not None:
            return one.commandable
        return "-output," in item

    # -- reading --

    def read(self, item: str, prop: str | int, index: int | None = None) -> Typed:
        """Type and value of a property, or of an element of it. RefusedError."""
        item, prop = self.find(item), str(prop)
        known = self.properties(item)
        if prop != "property-list" and prop not in known:
            raise RefusedError("property", "unknown-property")
        kind, value = self._value(item, prop, known)
        if index is None:
            return kind, value
        if prop not in ARRAYS:
            raise RefusedError("property", "property-is-not-an-array")
        if index == 0:
            return "UNSIGNED", len(value)
        if index > len(value):
            raise RefusedError("property", "invalid-array-index")
        element = value[index - 1]
        return element["type"], element["value"]

    def _value(self, item: str, prop: str, known: list[str]) -> Typed:
        if prop == "property-list":
            names = [p for p in known if p not in GENERAL]
            return "LIST", [{"type": "ENUMERATED", "value": name} for name in names]
        if prop == "object-identifier":
            return "OBJECT_IDENTIFIER", item
        if prop == "object-name":
            return "CHARACTER_STRING", self.name(item)
        if prop == "object-type":
            return "ENUMERATED", item.partition(",")[0]
        if item == self.device:
            return self._of_device(prop)
        return self._of_object(item, self.model.objects[item], prop)

    def _of_object(self, item: str, one: Object, prop: str) -> Typed:
        cell = one.properties.get(prop)
        if cell is not None:
            return self._typed(item, prop, self.session.read(cell))
        values: dict[str, Any] = {
            "event-state": "normal",
            "out-of-service": item in self.overrides,
            "reliability": one.reliability,
            "units": one.units,
            "polarity": "normal",
            "cov-increment": self.increment(item),
        }
        if prop in values:
            return self._typed(item, prop, values[prop])
        if prop == "present-value":
            return self.present(item)
        if prop == "status-flags":
            fault = {1} if one.reliability != "no-fault-detected" else set()
            return bits(4, fault | ({3} if item in self.overrides else set()))
        if prop == "description":
            return "CHARACTER_STRING", one.description
        if prop == "number-of-states":
            return "UNSIGNED", one.number_of_states
        if prop == "state-text":
            return "LIST", [{"type": "CHARACTER_STRING", "value": text} for text in one.states]
        if prop == "priority-array":
            slots = self.commands.get(item) or [None] * LOWEST_PRIORITY
            return "LIST", [self._element(item, slot) for slot in slots]
        return self._typed(item, prop, self.default(item))

    def _element(self, item: str, slot: Any) -> dict[str, Any]:
        kind, value = ("NULL", None) if slot is None else self._typed(item, "present-value", slot)
        return {"type": kind, "value": value}

    def present(self, item: str) -> Typed:
        """The present value."""
        cell = self.model.objects[item].value
        value = self.overrides[item] if item in self.overrides else self.session.read(cell)
        return self._typed(item, "present-value", value)

    def increment(self, item: str) -> float:
        return self.increments.get(item, self.model.objects[item].cov_increment)

    def default(self, item: str) -> Any:
        """What an object has that nobody commands (clause 19.2)."""
        own = self.model.objects[item].relinquish_default
        if own is not None:
            return own
        return self.defaults.get(item, self.session.read(self.model.objects[item].value))

    def _typed(self, item: str, prop: str, value: Any) -> Typed:
        try:
            return typed(item, prop, value, self.model.objects[item].number_of_states)
        except ValueError as error:
            raise ExpressionError(f"{item}, {prop}: {error}", str(value)[:60]) from None

    def _of_device(self, prop: str) -> Typed:
        found: Typed = DEVICE_PROPERTIES[prop](self)
        return found

    @property
    def wall_time(self) -> float:
        return self.session.wall_time + self.clock_offset

    # -- writing --

    def write(self, write: dict[str, Any], item: str) -> None:
        """Execute a write of WRITE_PROPERTY or one of WRITE_PROPERTY_MULTIPLE. RefusedError."""
        item, prop = self.find(item), str(write["property"])
        if prop != "property-list" and prop not in self.properties(item):
            raise RefusedError("property", "unknown-property")
        if write.get("array_index") is not None and prop not in ARRAYS:
            raise RefusedError("property", "property-is-not-an-array")
        priority = write.get("priority")
        if priority is not None and not 1 <= priority <= LOWEST_PRIORITY:
            raise RefusedError("services", "parameter-out-of-range")
        if prop == "present-value":
            self._write_present(item, write["type"], write["value"], priority or LOWEST_PRIORITY)
        elif prop == "out-of-service" and item != self.device:
            if write["type"] != "BOOLEAN":
                raise RefusedError("property", "invalid-data-type")
            if write["value"]:
                self.overrides.setdefault(item, self.present(item)[1])
            else:
                self.overrides.pop(item, None)
        elif prop == "cov-increment":
            if write["type"] != type_of(item, "cov-increment"):
                raise RefusedError("property", "invalid-data-type")
            if not write["value"] >= 0:
                raise RefusedError("property", "value-out-of-range")
            self.increments[item] = write["value"]
        else:
            raise RefusedError("property", "write-access-denied")

    def _write_present(self, item: str, kind: str, value: Any, priority: int) -> None:
        one = self.model.objects[item]
        commandable = self.is_commandable(item)
        if item not in self.overrides and ("-input," in item or not one.value.writable):
            raise RefusedError("property", "write-access-denied")
        if commandable and priority == RESERVED_PRIORITY:
            raise RefusedError("property", "write-access-denied")
        if kind == "NULL" and commandable:
            value = None
        elif kind != type_of(item, "present-value"):
            raise RefusedError("property", "invalid-data-type")
        else:
            self._check(item, one, value)
        if not commandable:
            self._set(item, value)
            return
        if item not in self.commands:
            self.defaults[item] = self.default(item)
            self.commands[item] = [None] * LOWEST_PRIORITY
        slots = self.commands[item]
        slots[priority - 1] = value
        self._set(item, next((slot for slot in slots if slot is not None), self.default(item)))

    def _check(self, item: str, one: Object, value: Any) -> None:
        if "multi-state" in item and not 1 <= value <= one.number_of_states:
            raise RefusedError("property", "value-out-of-range")
        if "binary" in item and value not in BINARY.numbers:
            raise RefusedError("property", "value-out-of-range")
        if type_of(item, "present-value") == "CHARACTER_STRING" and not isinstance(value, str):
            raise RefusedError("property", "character-set-not-supported")
        if isinstance(value, float) and not math.isfinite(value):
            raise RefusedError("property", "value-out-of-range")

    def _set(self, item: str, value: Any) -> None:
        """A binary value that is a number or a boolean in the model stays one."""
        cell = self.model.objects[item].value
        if item in self.overrides:
            self.overrides[item] = value
            return
        before = self.session.read(cell)
        if "binary" in item and isinstance(value, str) and not isinstance(before, str):
            value = (
                type(before)(value == "active") if isinstance(before, bool | int | float) else value
            )
        self.session.write(cell, value)


def _text(name: str) -> Any:
    return lambda base: ("CHARACTER_STRING", getattr(base.model, name))


def _milliseconds(name: str) -> Any:
    return lambda base: ("UNSIGNED", round(getattr(base.model, name) * 1000))


def _objects(base: Database) -> Typed:
    every = (base.device, *base.model.objects)
    return "LIST", [{"type": "OBJECT_IDENTIFIER", "value": item} for item in every]


def _object_types(base: Database) -> Typed:
    return bits(55, {8, *(object_number(f"{kind},0") >> 22 for kind in PRESENT_VALUES)})


def _local_date(base: Database) -> Typed:
    return "DATE", f"{datetime.fromtimestamp(base.wall_time, UTC):%Y-%m-%d}"


def _local_time(base: Database) -> Typed:
    now = datetime.fromtimestamp(base.wall_time, UTC)
    return "TIME", f"{now:%H:%M:%S}.{now.microsecond // 10000:02}"


DEVICE_PROPERTIES: dict[str, Any] = {
    **dict.fromkeys(GENERAL),
    "system-status": lambda _: ("ENUMERATED", "operational"),
    "vendor-name": _text("vendor_name"),
    "vendor-identifier": lambda base: ("UNSIGNED", base.model.vendor),
    "model-name": _text("model_name"),
    "firmware-revision": _text("firmware"),
    "application-software-version": _text("firmware"),
    "location": _text("location"),
    "description": _text("description"),
    "protocol-version": lambda _: ("UNSIGNED", 1),
    "protocol-revision": lambda _: ("UNSIGNED", 14),
    "protocol-services-supported": lambda _: bits(41, EXECUTED),
    "protocol-object-types-supported": _object_types,
    "object-list": _objects,
    "max-apdu-length-accepted": lambda base: ("UNSIGNED", base.model.max_apdu),
    "segmentation-supported": lambda base: ("ENUMERATED", base.model.segmentation),
    "max-segments-accepted": lambda _: ("UNSIGNED", 64),
    "local-time": _local_time,
    "local-date": _local_date,
    "utc-offset": lambda _: ("INTEGER", 0),
    "daylight-savings-status": lambda _: ("BOOLEAN", False),
    "apdu-segment-timeout": _milliseconds("segment_timeout"),
    "apdu-timeout": _milliseconds("apdu_timeout"),
    "number-of-apdu-retries": lambda base: ("UNSIGNED", base.model.apdu_retries),
    "device-address-binding": lambda _: ("LIST", []),
    "database-revision": lambda _: ("UNSIGNED", 1),
    "active-cov-subscriptions": lambda base: ("LIST", base.subscribed()),
}
