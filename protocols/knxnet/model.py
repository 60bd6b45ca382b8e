"""What a scenario says of a device, ``[devices.NAME.model]``."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from iotsim import Duration, EncodeError, Table, Value

from .cemi import group_number, individual_number
from .datapoint import Form, datapoint

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CHANNELS = 60
"""So that one block of 255 bytes tells of all (3/8/2, section 7.5.4.8)."""


def _group(text: str) -> str:
    try:
        number = group_number(text)
    except EncodeError as error:
        raise ValueError(error.reason) from None
    if number == 0:
        raise ValueError("0/0/0 is no group, but all devices")
    return "/".join(str(int(part)) for part in text.split("/"))


def _type(name: str) -> str:
    datapoint(name)
    return name


class GroupObject(Table):
    """A value behind a group address, with the communication flags of ETS in part (3/5/1, section 4.12.4)."""

    dpt: Annotated[str, AfterValidator(_type)] = Field(
        description="its datapoint type: '9' or '9.001'"
    )
    value: Value
    read: bool = Field(True, description="whether GROUP_VALUE_READ is answered")
    write: bool | None = Field(
        None, description="by default, unless it is an expression other than '=state.NAME'"
    )
    every: Duration | None = Field(None, gt=0, description="how often the value is sent")
    watch: Duration | None = Field(
        None, gt=0, description="how often it is looked at, and sent if it is another one"
    )

    @model_validator(mode="after")
    def _can_be(self) -> GroupObject:
        if self.write and not self.value.writable:
            raise ValueError("of expressions, only '=state.NAME' can be written")
        if self.value.evaluate is None:
            try:
                self.form.pack(self.value.literal)
            except EncodeError as error:
                raise ValueError(f"no value of type {self.dpt}: {error.reason}") from None
        return self

    @cached_property
    def form(self) -> Form:
        return datapoint(self.dpt)

    @property
    def is_writable(self) -> bool:
        return self.value.writable if self.write is None else self.write


class Model(Table):
    individual: Value = Field("15.15.255", validate_default=True, description="its address")
    channels: int = Field(4, ge=0, le=MOST_CHANNELS, description="tunnels, at most")
    name: Value = Field("=device.name", validate_default=True, description="of 30 characters")
    serial: Value = Field(None, validate_default=True, description="six bytes, or from its index")
    routing: bool = Field(True, description="whether it sends and hears routed telegrams")
    groups: dict[Annotated[str, AfterValidator(_group)], GroupObject] = Field(
        {}, description="by group address, such as '1/2/3'"
    )

    @model_validator(mode="after")
    def _is_known(self) -> Model:
        self.check_device(lambda cell: cell.literal if cell.evaluate is None else None)
        return self

    def check_device(self, known: Callable[[Any], Any]) -> None:
        individual = known(self.individual)
        try:
            if individual is not None or self.individual.evaluate is None:
                individual_number(individual)
        except EncodeError as error:
            raise ValueError(f"individual: {error.reason}") from None
        try:
            serial_bytes(known(self.serial))
        except EncodeError as error:
            raise ValueError(f"serial: {error.reason}") from None


def serial_bytes(value: Any) -> bytes:
    """A serial number as bytes, or as a text of 12 hexadecimal digits. None is none of its own."""
    if value is None or (isinstance(value, bytes) and len(value) == 6):
        return value or b""
    if isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{4}:?[0-9a-fA-F]{8}", value):
        return bytes.fromhex(value.replace(":", ""))
    raise EncodeError(f"a serial number has six bytes, such as '00FA:12345678', not {value!r}")
