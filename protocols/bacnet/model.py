"""What a scenario says of a device, ``[devices.NAME.model]``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from iotsim import Duration, Table, Value

from .datatypes import PRESENT_VALUES, typed
from .enumerations import PROPERTIES, RELIABILITIES, UNITS
from .message import endpoint
from .tags import ANY_INSTANCE, object_number, object_text


def _key(text: Any) -> str:
    """An object identifier of a type that a device can have."""
    found = object_text(object_number(text))
    if found.partition(",")[0] not in PRESENT_VALUES:
        raise ValueError(f"a device has objects of the types {', '.join(PRESENT_VALUES)}")
    if object_number(found) & ANY_INSTANCE == ANY_INSTANCE:
        raise ValueError(f"instances go from 0 to {ANY_INSTANCE - 1}")
    return found


def _units(text: str | int) -> str | int:
    UNITS.number(text)
    return text


def _property(text: Any) -> str:
    """A property by its name; one without a name, such as a vendor's, by its number."""
    return str(PROPERTIES.name(PROPERTIES.number(text)))


def _endpoint(text: Any) -> Any:
    endpoint(text)
    return text


def _reliability(text: str) -> str:
    RELIABILITIES.number(text)
    return text


Time = Annotated[Duration, Field(gt=0)]


class Object(Table):
    """An object; written without a table, it is its ``value``."""

    value: Value
    name: str | None = Field(None, description="by default its identifier")
    description: str = ""
    units: Annotated[str | int, AfterValidator(_units)] = "no-units"
    cov_increment: Annotated[float, Field(ge=0)] = 0.0
    commandable: bool | None = Field(None, description="by default, if it is an output")
    relinquish_default: Any = Field(None, description="by default the value at the first command")
    states: list[str] = Field(default_factory=list, description="of a multi-state object, from 1")
    reliability: Annotated[str, AfterValidator(_reliability)] = "no-fault-detected"
    out_of_service: bool = False
    properties: dict[Annotated[str, BeforeValidator(_property)], Value] = Field(
        default_factory=dict, description="others, by name or number"
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"value": given}

    @property
    def number_of_states(self) -> int:
        """Of a multi-state object; 255 where it has no texts for them."""
        return len(self.states) or 255


class Foreign(Table):
    """A device that is registered with a BBMD (clause J.5)."""

    bbmd: Annotated[str, BeforeValidator(_endpoint)] = Field(description="its address and port")
    ttl: Annotated[Duration, Field(ge=1, le=0xFFFF)] = 60.0


class Model(Table):
    instance: Value = Field(description="of the device object, 0 to 4194302")
    objects: dict[Annotated[str, BeforeValidator(_key)], Object] = Field(default_factory=dict)
    vendor: Annotated[int, Field(ge=0, le=0xFFFF)] = 0
    vendor_name: str = ""
    model_name: str = "simulated"
    firmware: str = "1.0"
    location: str = ""
    description: str = ""
    password: str | None = Field(None, description="of what restarts or silences it")
    max_apdu: Literal[50, 128, 206, 480, 1024, 1476] = 1476
    segmentation: Literal["both", "transmit", "receive", "none"] = "both"
    window: Annotated[int, Field(ge=1, le=127)] = 16
    apdu_timeout: Time = 3.0
    apdu_retries: Annotated[int, Field(ge=0, le=10)] = 3
    segment_timeout: Time = 2.0
    subscriptions: Annotated[int, Field(ge=0, le=200)] = 32
    cov_scan: Time = Field(1.0, description="so often values are looked at for changes")
    i_am: Literal["broadcast", "unicast"] = Field(
        "broadcast", description="how a WHO_IS by broadcast is answered"
    )
    foreign: Foreign | None = None

    @model_validator(mode="after")
    def _can_be(self) -> Model:
        names = [one.name or key for key, one in self.objects.items()]
        if len(set(names)) < len(names):
            raise ValueError("two objects have the same name")
        for key, one in self.objects.items():
            values = {"present-value": one.value, **one.properties}
            known = {prop: cell.literal for prop, cell in values.items() if cell.evaluate is None}
            if one.relinquish_default is not None:
                known["relinquish-default"] = one.relinquish_default
            for prop, value in known.items():
                try:
                    typed(key, prop, value, one.number_of_states)
                except ValueError as error:
                    raise ValueError(f"{key}, {prop}: {error}") from None
        return self
