"""What a scenario says of a device, ``[devices.NAME.model]``, and the same by address for requests."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from iotsim import Table, Value

from .form import CODES, Form, Order
from .message import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESSES = 1 << 16
LONGEST_OBJECT = 244
"""In bytes: so that each fits into an answer (6.21)."""


def number_below(end: int) -> BeforeValidator:
    """The validator of a key that is a number, below `end`. TOML's keys are texts."""

    def number(key: Any) -> int:
        text = str(key)
        value = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else end
        if value >= end:
            raise ValueError(f"must be a number from 0 to {end - 1}, not {text[:20]!r}")
        return value

    return BeforeValidator(number)


class Point(Table):
    """A value; written without a table, it is the ``value``."""

    value: Value

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"value": given}


class Input(Point):
    @model_validator(mode="after")
    def _is_a_bit(self) -> Input:
        if self.value.evaluate is None and self.value.literal not in (0, 1):
            raise ValueError("must be true or false")
        return self


class InputRegister(Point):
    """A value over one or more registers: ``value`` is what they hold, times ``scale``."""

    type: Literal[
        "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "string"
    ] = "uint16"
    length: Annotated[int, Field(ge=1, le=125)] | None = Field(
        None, description="of a string, in registers"
    )
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.0, description="what one in the registers is worth"
    )
    word_order: Order | None = Field(None, description="that of the model if it is not there")
    byte_order: Order | None = Field(None, description="that of the model if it is not there")

    @model_validator(mode="after")
    def _fits(self) -> InputRegister:
        if (self.type == "string") != (self.length is not None):
            raise ValueError("'length', in registers, is that of a string, which has to have one")
        if self.type == "string" and self.scale != 1:
            raise ValueError("a string has no scale")
        if self.value.evaluate is None:
            form = Form(self, "big", "big")
            try:
                form.pack(self.value.literal, clip=False)
            except OverflowError:
                raise ValueError(f"{self.value.literal!r} is beyond {self.type}") from None
        return self

    @property
    def size(self) -> int:
        """In registers."""
        return self.length or struct.calcsize(CODES[self.type]) // 2


class Writable(Point):
    """What clients may write: by default, all but expressions other than ``"=state.NAME"``."""

    writable: bool | None = Field(
        None, description="by default, unless it is an expression other than '=state.NAME'"
    )

    @model_validator(mode="after")
    def _can_be(self) -> Writable:
        if self.writable and not self.value.writable:
            raise ValueError("of expressions, only '=state.NAME' can be writable")
        return self

    @property
    def is_writable(self) -> bool:
        return self.value.writable if self.writable is None else self.writable


class Coil(Writable, Input):
    pass


class HoldingRegister(Writable, InputRegister):
    pass


class Identification(Table):
    """The objects of section 6.21; ``private`` are those from 0x80 on."""

    vendor_name: Value
    product_code: Value
    major_minor_revision: Value
    vendor_url: Value | None = None
    product_name: Value | None = None
    model_name: Value | None = None
    user_application_name: Value | None = None
    private: dict[Annotated[int, number_below(256), Field(ge=128)], Value] = Field(
        default_factory=dict
    )

    @cached_property
    def objects(self) -> dict[int, Any]:
        """The cells, by the object's number."""
        named = {number: getattr(self, name.lower()) for name, number in OBJECTS.items()}
        every = sorted({**named, **self.private}.items())
        return {number: cell for number, cell in every if cell is not None}


Address = Annotated[int, number_below(ADDRESSES)]


class Unit(Table):
    """What one unit has. Addresses are those in messages, from 0."""

    coils: dict[Address, Coil] = Field(default_factory=dict, description="by address, from 0")
    discrete_inputs: dict[Address, Input] = Field(default_factory=dict)
    holding: dict[Address, HoldingRegister] = Field(default_factory=dict)
    input: dict[Address, InputRegister] = Field(default_factory=dict)
    identification: Identification | None = Field(None, description="what function 43/14 tells")

    @model_validator(mode="after")
    def _apart(self) -> Unit:
        for name, table in (("holding", self.holding), ("input", self.input)):
            end = last = 0
            for address, register in sorted(table.items()):
                if address < end:
                    raise ValueError(f"{name} {address} is a part of {name} {last}, too")
                last, end = address, address + register.size
            if end > ADDRESSES:
                raise ValueError(f"{name} {last} reaches beyond address {ADDRESSES - 1}")
        return self


class Model(Table):
    word_order: Order = Field("big", description="of the registers of a value")
    byte_order: Order = Field("big", description="of the bytes in a register")
    unit: dict[Annotated[int, number_below(256)], Unit] = Field(
        default_factory=dict, description="by unit id"
    )

    @cached_property
    def maps(self) -> dict[int, UnitMap]:
        """The units, by the unit id of a request. 0 and 255 are the device itself (messaging guide, section
        4.4.2.2): its unit, where it has only one."""
        maps = {number: UnitMap(unit, self) for number, unit in self.unit.items()}
        if len(maps) == 1:
            (only,) = maps.values()
            maps = {0: only, 255: only, **maps}
        return maps


class Span(NamedTuple):
    """A value over registers; ``address`` is that of the first."""

    address: int
    cell: Any
    form: Form
    size: int
    writable: bool


class UnitMap:
    """What a unit has, as requests ask for it: by address."""

    def __init__(self, unit: Unit, model: Model) -> None:
        self.bits: dict[str, Mapping[int, Input]]
        self.bits = {"READ_COILS": unit.coils, "READ_DISCRETE_INPUTS": unit.discrete_inputs}
        self.coils = unit.coils
        self.holding = spans(unit.holding, model)
        self.registers = {
            "READ_HOLDING_REGISTERS": self.holding,
            "READ_INPUT_REGISTERS": spans(unit.input, model),
        }
        self.identification = unit.identification


def spans(table: Mapping[int, InputRegister], model: Model) -> dict[int, Span]:
    """For each register, what it is a part of."""
    found = {}
    for address, register in table.items():
        form = Form(register, model.word_order, model.byte_order)
        writable = isinstance(register, Writable) and register.is_writable
        span = Span(address, register.value, form, form.size, writable)
        found.update(dict.fromkeys(range(address, address + form.size), span))
    return found
