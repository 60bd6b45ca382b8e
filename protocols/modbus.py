"""Modbus over UDP (MODBUS Application Protocol 1.1b3; MODBUS Messaging on TCP/IP 1.0b, whose header UDP takes
over, a message in each datagram).

A device is a server. It answers out of its model: coils, discrete inputs, holding and input registers, by
unit. All fields are big-endian (application protocol, section 4.2). The sections below are that document's.

Covered are the functions for data (6.1 to 6.6, 6.11, 6.12, 6.16, 6.17), the identification (6.21), and their
exceptions in the order of the state diagrams: the function (01), then quantities (03), then addresses (02),
then what the device cannot do (04). A request that is not laid out as its function has it is answered by 03.
Nothing is written before all of it can be.

Not answered are units that the model does not have, protocols other than Modbus (messaging guide, section
3.1.3), groups and broadcasts, exceptions, and what comes from a server's port: so that no two servers can be
made to answer each other for ever.

Not there: files and FIFO queues (6.14, 6.15, 6.18), CANopen (6.20), and what is for serial lines only (6.7 to
6.10, 6.13). These are answered by exception 01, unless a rule answers: their bytes are ``data``.
"""

from __future__ import annotations

import math
import struct
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from construct import (
    Const,
    Default,
    Enum,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ub,
    Int16ub,
    PascalString,
    Prefixed,
    PrefixedArray,
    Rebuild,
    Struct,
    Switch,
    len_,
    this,
)
from construct import Flag as FlagByte
from pydantic import BeforeValidator, Field, model_validator

from iotsim import DecodeError, FlatStruct, Length, Native, Peer, Protocol, Session, Table, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# -- messages -----------------------------------------------------------------------------------------

FUNCTIONS = {
    "READ_COILS": 1,
    "READ_DISCRETE_INPUTS": 2,
    "READ_HOLDING_REGISTERS": 3,
    "READ_INPUT_REGISTERS": 4,
    "WRITE_SINGLE_COIL": 5,
    "WRITE_SINGLE_REGISTER": 6,
    "WRITE_MULTIPLE_COILS": 15,
    "WRITE_MULTIPLE_REGISTERS": 16,
    "MASK_WRITE_REGISTER": 22,
    "READ_WRITE_MULTIPLE_REGISTERS": 23,
    "ENCAPSULATED_INTERFACE_TRANSPORT": 43,
}
ERROR = 0x80
"""In the function of an answer: it is an exception (section 7)."""
ERRORS = {f"{name}_ERROR": number | ERROR for name, number in FUNCTIONS.items()}
BIT_READS = "READ_COILS", "READ_DISCRETE_INPUTS"
REGISTER_READS = "READ_HOLDING_REGISTERS", "READ_INPUT_REGISTERS"

EXCEPTION = Enum(
    Int8ub,
    ILLEGAL_FUNCTION=1,
    ILLEGAL_DATA_ADDRESS=2,
    ILLEGAL_DATA_VALUE=3,
    SERVER_DEVICE_FAILURE=4,
    ACKNOWLEDGE=5,
    SERVER_DEVICE_BUSY=6,
    MEMORY_PARITY_ERROR=8,
    GATEWAY_PATH_UNAVAILABLE=10,
    GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND=11,
)
OBJECTS = {
    "VENDOR_NAME": 0,
    "PRODUCT_CODE": 1,
    "MAJOR_MINOR_REVISION": 2,
    "VENDOR_URL": 3,
    "PRODUCT_NAME": 4,
    "MODEL_NAME": 5,
    "USER_APPLICATION_NAME": 6,
}
OBJECT = Enum(Int8ub, **OBJECTS)
ACCESS = {"BASIC": 1, "REGULAR": 2, "EXTENDED": 3, "INDIVIDUAL": 4}

BITS_OF = [[byte >> at & 1 == 1 for at in range(8)] for byte in range(256)]


def read_bits(data: bytes, at: int) -> tuple[list[bool], int]:
    """Eight from each byte, the lowest bit first (6.1)."""
    return [bit for byte in data[at:] for bit in BITS_OF[byte]], len(data)


def write_bits(bits: list[bool]) -> bytes:
    number = sum(1 << at for at, bit in enumerate(bits) if bit)
    return number.to_bytes(-(-len(bits) // 8), "little")


BITS = Prefixed(Int8ub, Native(read_bits, write_bits, like=GreedyRange(FlagByte)))
REGISTERS = Struct(
    "byte_count" / Rebuild(Int8ub, len_(this.registers) * 2),
    "registers" / Int16ub[this.byte_count // 2],
)

READ = Struct("address" / Int16ub, "count" / Int16ub)
COIL = Struct("address" / Int16ub, "value" / Enum(Int16ub, OFF=0, ON=0xFF00))
REGISTER = Struct("address" / Int16ub, "value" / Int16ub)
MASK = Struct("address" / Int16ub, "and_mask" / Int16ub, "or_mask" / Int16ub)
MEI = Enum(Int8ub, CANOPEN_GENERAL_REFERENCE=13, READ_DEVICE_IDENTIFICATION=14)
DATA = Struct("data" / Default(GreedyBytes, b""))


def message(bodies: dict[str, Any], default: Any) -> FlatStruct:
    return FlatStruct(
        "transaction" / Default(Int16ub, 0),
        "protocol" / Const(0, Int16ub) * "0 is Modbus",
        "length" / Length(Int16ub),
        "unit" / Default(Int8ub, 1),
        "function" / Enum(Int8ub, **FUNCTIONS, **ERRORS),
        Switch(this.function, bodies, default),
    )


REQUEST = message(
    {
        **dict.fromkeys((*BIT_READS, *REGISTER_READS), READ),
        "WRITE_SINGLE_COIL": COIL,
        "WRITE_SINGLE_REGISTER": REGISTER,
        "WRITE_MULTIPLE_COILS": Struct("address" / Int16ub, "count" / Int16ub, "bits" / BITS),
        "WRITE_MULTIPLE_REGISTERS": FlatStruct("address" / Int16ub, "count" / Int16ub, REGISTERS),
        "MASK_WRITE_REGISTER": MASK,
        "READ_WRITE_MULTIPLE_REGISTERS": FlatStruct(
            "read_address" / Int16ub,
            "read_count" / Int16ub,
            "write_address" / Int16ub,
            "write_count" / Int16ub,
            REGISTERS,
        ),
        "ENCAPSULATED_INTERFACE_TRANSPORT": FlatStruct(
            "mei_type" / MEI,
            Switch(
                this.mei_type,
                {
                    "READ_DEVICE_IDENTIFICATION": Struct(
                        "read_device_id_code" / Enum(Int8ub, **ACCESS), "object_id" / OBJECT
                    )
                },
                DATA,
            ),
        ),
    },
    DATA,
)
ANSWER = message(
    {
        **dict.fromkeys(BIT_READS, Struct("bits" / BITS)),
        **dict.fromkeys((*REGISTER_READS, "READ_WRITE_MULTIPLE_REGISTERS"), REGISTERS),
        "WRITE_SINGLE_COIL": COIL,
        "WRITE_SINGLE_REGISTER": REGISTER,
        **dict.fromkeys(("WRITE_MULTIPLE_COILS", "WRITE_MULTIPLE_REGISTERS"), READ),
        "MASK_WRITE_REGISTER": MASK,
        "ENCAPSULATED_INTERFACE_TRANSPORT": FlatStruct(
            "mei_type" / MEI,
            Switch(
                this.mei_type,
                {
                    "READ_DEVICE_IDENTIFICATION": Struct(
                        "read_device_id_code" / Enum(Int8ub, **ACCESS),
                        "conformity_level" / Int8ub * "1 to 3, and 0x80 for individual access",
                        "more_follows" / Default(Enum(Int8ub, NO=0, YES=0xFF), "NO"),
                        "next_object_id" / Default(OBJECT, "VENDOR_NAME"),
                        "objects"
                        / PrefixedArray(
                            Int8ub, Struct("id" / OBJECT, "value" / PascalString(Int8ub, "utf8"))
                        ),
                    )
                },
                DATA,
            ),
        ),
        **dict.fromkeys(ERRORS, Struct("exception" / EXCEPTION)),
    },
    Struct(
        "exception" / If(this._.function >= ERROR, EXCEPTION), "data" / Default(GreedyBytes, b"")
    ),
)

# -- the model ----------------------------------------------------------------------------------------

CODES = {
    "uint16": "H",
    "int16": "h",
    "uint32": "I",
    "int32": "i",
    "uint64": "Q",
    "int64": "q",
    "float32": "f",
    "float64": "d",
}
"""Of the module `struct`."""
ADDRESSES = 1 << 16
LONGEST_OBJECT = 244
"""In bytes: so that each fits into an answer (6.21)."""

Order = Literal["big", "little"]


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


# -- registers ----------------------------------------------------------------------------------------


class Form:
    """How values of a type stand in registers.

    ``pack`` makes the registers of a value. A number beyond its type is the nearest that there is, or
    OverflowError without `clip`; ValueError if it is no number, or no text, at all. ``unpack`` makes a value
    of as many registers; ValueError if they hold none.
    """

    def __init__(self, register: InputRegister, word_order: Order, byte_order: Order) -> None:
        self.type = register.type
        self.size = register.size
        self.scale = register.scale
        order = register.byte_order or byte_order
        self.plain = self.type == "uint16" and self.scale == 1 and order == "big"
        """Whether a register holds the value as it is."""
        self._reversed = (register.word_order or word_order) == "little" and self.type != "string"
        self._words = struct.Struct(f"{'>' if order == 'big' else '<'}{self.size}H")
        self._value = struct.Struct(">" + CODES.get(self.type, ""))
        signed = self.type.startswith("int")
        bits = 16 * self.size - signed
        self.low, self.high = -(1 << bits) if signed else 0, (1 << bits) - 1
        self._pack: Callable[[Any, bool], bytes] = self._integer
        if self.type == "string":
            self._pack = self._string
        elif self.type.startswith("float"):
            self._pack = self._float

    def pack(self, value: Any, clip: bool = True) -> tuple[int, ...]:
        words = self._words.unpack(self._pack(value, clip))
        return words[::-1] if self._reversed else words

    def unpack(self, words: Sequence[int]) -> Any:
        data = self._words.pack(*(words[::-1] if self._reversed else words))
        if self.type == "string":
            return data.rstrip(b"\0").decode()  # a UnicodeDecodeError is a ValueError
        (value,) = self._value.unpack(data)
        # 15 digits are as many as a float can tell: 3 tenths are 0.3
        return value if self.scale == 1 else float(f"{value * self.scale:.15g}")

    def _number(self, value: Any) -> Any:
        if not isinstance(value, (int, float)):
            raise ValueError(f"must be a number, not {value!r:.80}")
        return value if self.scale == 1 else value / self.scale

    def _integer(self, value: Any, clip: bool) -> bytes:
        number = self._number(value)
        if number != number:
            raise ValueError("must be a number, not nan")
        if not self.low <= number <= self.high:
            if not clip:
                raise OverflowError
            number = self.low if number < 0 else self.high
        return self._value.pack(round(number))

    def _float(self, value: Any, clip: bool) -> bytes:
        number = self._number(value)
        try:
            return self._value.pack(number)
        except OverflowError:
            if not clip:
                raise
            return self._value.pack(math.copysign(math.inf, number))

    def _string(self, value: Any, clip: bool) -> bytes:
        if not isinstance(value, str):
            raise ValueError(f"must be a text, not {value!r:.80}")
        data = value.encode()
        if len(data) > 2 * self.size:
            if not clip:
                raise OverflowError
            data = data[: 2 * self.size].decode(errors="ignore").encode()
        return data.ljust(2 * self.size, b"\0")


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


# -- the server ---------------------------------------------------------------------------------------

MOST_BITS_READ, MOST_BITS_WRITTEN = 2000, 1968
MOST_REGISTERS_READ, MOST_REGISTERS_WRITTEN, MOST_REGISTERS_EXCHANGED = 125, 123, 121
LENGTH_AT, UNIT_AT, FUNCTION_AT, HEADER = 4, 6, 7, 8
LONGEST_OBJECTS = 246
"""In an answer, in bytes: what a PDU of 253 has left for them (6.21)."""

Answer = dict[str, Any]
Plan = list[tuple[Any, Any]]
"""Cells, and what is to be written to each."""


class Refused(Exception):  # noqa: N818
    """A request is answered by an exception, which is the argument."""


class Modbus(Session):
    """A server. It keeps nothing but what was written to the cells of the model."""

    __slots__ = ()

    def respond(self, message: dict[str, Any], peer: Peer) -> Answer | None:
        unit = self.model.maps.get(message["unit"])
        if unit is None or peer.group or peer.port == peer.local_port:
            return None
        function = message["function"]
        serve = SERVED.get(function)
        try:
            if serve is None:
                raise Refused("ILLEGAL_FUNCTION")
            answer: Answer = serve(self, unit, message)
            answer["function"] = function
        except Refused as refused:
            if function in ERRORS or (isinstance(function, int) and function & ERROR):
                return None
            failed = f"{function}_ERROR" if function in FUNCTIONS else function | ERROR
            answer = {"function": failed, "exception": refused.args[0]}
        answer["transaction"] = message["transaction"]
        answer["unit"] = message["unit"]
        return answer

    def refuse(self, datagram: bytes, error: DecodeError, peer: Peer) -> Answer | None:
        """Where the header is right, the rest is not as its function has it (7, code 03)."""
        if len(datagram) < HEADER or error.path == "protocol":
            return None
        if int.from_bytes(datagram[LENGTH_AT:UNIT_AT], "big") != len(datagram) - UNIT_AT:
            return None
        function, unit = datagram[FUNCTION_AT], datagram[UNIT_AT]
        if function & ERROR or unit not in self.model.maps or peer.port == peer.local_port:
            return None
        transaction = int.from_bytes(datagram[:2], "big")
        head = {"transaction": transaction, "unit": unit, "function": function | ERROR}
        return {**head, "exception": "ILLEGAL_DATA_VALUE"}

    # -- bits ------------------------------------------------------------------------------------------

    def read_bits(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        count = message["count"]
        check(1 <= count <= MOST_BITS_READ)
        table, first = unit.bits[message["function"]], message["address"]
        points = [table.get(address) for address in range(first, first + count)]
        if None in points:
            raise Refused("ILLEGAL_DATA_ADDRESS")
        return {"bits": [bool(self.read(point.value)) for point in points if point]}

    def write_coil(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, value = message["address"], message["value"]
        check(value in ("ON", "OFF"))
        self.carry_out(self.plan_bits(unit, address, [value == "ON"]))
        return {"address": address, "value": value}

    def write_coils(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, count, bits = message["address"], message["count"], message["bits"]
        check(1 <= count <= MOST_BITS_WRITTEN and len(bits) == (count + 7) // 8 * 8)
        self.carry_out(self.plan_bits(unit, address, bits[:count]))
        return {"address": address, "count": count}

    def plan_bits(self, unit: UnitMap, first: int, bits: list[bool]) -> Plan:
        coils = [unit.coils.get(address) for address in range(first, first + len(bits))]
        plan = [
            (coil.value, bit)
            for coil, bit in zip(coils, bits, strict=True)
            if coil and coil.is_writable
        ]
        if len(plan) < len(bits):
            raise Refused("ILLEGAL_DATA_ADDRESS")
        return plan

    # -- registers -------------------------------------------------------------------------------------

    def read_registers(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        count = message["count"]
        check(1 <= count <= MOST_REGISTERS_READ)
        table = unit.registers[message["function"]]
        return {"registers": self.registers(table, message["address"], count)}

    def write_register(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, value = message["address"], message["value"]
        self.carry_out(self.plan_registers(unit, address, [value]))
        return {"address": address, "value": value}

    def write_registers(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, count, registers = message["address"], message["count"], message["registers"]
        check(1 <= count <= MOST_REGISTERS_WRITTEN and message["byte_count"] == 2 * count)
        self.carry_out(self.plan_registers(unit, address, registers))
        return {"address": address, "count": count}

    def mask_register(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        address, ones, more = message["address"], message["and_mask"], message["or_mask"]
        (present,) = self.registers(unit.holding, address, 1)
        value = (present & ones) | (more & ~ones & 0xFFFF)
        self.carry_out(self.plan_registers(unit, address, [value]))
        return {"address": address, "and_mask": ones, "or_mask": more}

    def exchange_registers(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        """It writes first, and reads then (6.17)."""
        address, count = message["read_address"], message["read_count"]
        written = message["write_count"]
        check(1 <= count <= MOST_REGISTERS_READ)
        check(1 <= written <= MOST_REGISTERS_EXCHANGED and message["byte_count"] == 2 * written)
        self.registers(unit.holding, address, count)
        self.carry_out(self.plan_registers(unit, message["write_address"], message["registers"]))
        return {"registers": self.registers(unit.holding, address, count)}

    def registers(self, table: dict[int, Span], address: int, count: int) -> list[int]:
        """The present values of registers; of a longer value, this may be a part."""
        end = address + count
        found: list[int] = []
        while address < end:
            span = table.get(address)
            if span is None:
                raise Refused("ILLEGAL_DATA_ADDRESS")
            if span.form.plain:  # mostly they are, and most are asked for a few
                value = self.read(span.cell)
                if value.__class__ is int and 0 <= value <= 0xFFFF:
                    found.append(value)
                    address += 1
                    continue
            found += self.words(span)[address - span.address :]
            address = span.address + span.size
        return found[:count]

    def words(self, span: Span) -> tuple[int, ...]:
        try:
            return span.form.pack(self.read(span.cell))
        except ValueError as error:
            self.log(f"register {span.address} {error}")
            raise Refused("SERVER_DEVICE_FAILURE") from None

    def plan_registers(self, unit: UnitMap, address: int, registers: list[int]) -> Plan:
        """The other registers of a value of which a part is written stay as they are."""
        plan: Plan = []
        done = 0
        while done < len(registers):
            span = unit.holding.get(address + done)
            if span is None or not span.writable:
                raise Refused("ILLEGAL_DATA_ADDRESS")
            at = address + done - span.address
            part = registers[done : done + span.size - at]
            whole = part
            if len(part) < span.size:
                whole = list(self.words(span))
                whole[at : at + len(part)] = part
            try:
                plan.append((span.cell, span.form.unpack(whole)))
            except ValueError:
                raise Refused("SERVER_DEVICE_FAILURE") from None
            done += len(part)
        return plan

    def carry_out(self, plan: Plan) -> None:
        for cell, value in plan:
            self.write(cell, value)

    # -- identification --------------------------------------------------------------------------------

    def identify(self, unit: UnitMap, message: dict[str, Any]) -> Answer:
        if message["mei_type"] != "READ_DEVICE_IDENTIFICATION" or unit.identification is None:
            raise Refused("ILLEGAL_FUNCTION")
        code, wanted = message["read_device_id_code"], message["object_id"]
        check(code in ACCESS)
        cells, asked = unit.identification.objects, OBJECTS.get(wanted, wanted)
        level = 1 + (max(cells) > 2) + (max(cells) >= 0x80)
        answer = {
            "mei_type": message["mei_type"],
            "read_device_id_code": code,
            "conformity_level": 0x80 | level,
        }
        if code == "INDIVIDUAL":
            if asked not in cells:
                raise Refused("ILLEGAL_DATA_ADDRESS")
            return {**answer, "objects": [{"id": asked, "value": self.object_value(cells[asked])}]}
        last = (2, 0x7F, 0xFF)[min(ACCESS[code], level) - 1]
        first = asked if asked in cells and asked <= last else 0
        objects: list[Answer] = []
        left = LONGEST_OBJECTS
        for number, cell in cells.items():
            if not first <= number <= last:
                continue
            value = self.object_value(cell)
            left -= 2 + len(value.encode())
            if left < 0:
                return {
                    **answer,
                    "more_follows": "YES",
                    "next_object_id": number,
                    "objects": objects,
                }
            objects.append({"id": number, "value": value})
        return {**answer, "objects": objects}

    def object_value(self, cell: Any) -> str:
        return str(self.read(cell)).encode()[:LONGEST_OBJECT].decode(errors="ignore")


def check(valid: bool) -> None:
    """Whether the quantities of a request may be."""
    if not valid:
        raise Refused("ILLEGAL_DATA_VALUE")


SERVED: dict[Any, Callable[[Modbus, UnitMap, dict[str, Any]], Answer]] = {
    "READ_COILS": Modbus.read_bits,
    "READ_DISCRETE_INPUTS": Modbus.read_bits,
    "READ_HOLDING_REGISTERS": Modbus.read_registers,
    "READ_INPUT_REGISTERS": Modbus.read_registers,
    "WRITE_SINGLE_COIL": Modbus.write_coil,
    "WRITE_SINGLE_REGISTER": Modbus.write_register,
    "WRITE_MULTIPLE_COILS": Modbus.write_coils,
    "WRITE_MULTIPLE_REGISTERS": Modbus.write_registers,
    "MASK_WRITE_REGISTER": Modbus.mask_register,
    "READ_WRITE_MULTIPLE_REGISTERS": Modbus.exchange_registers,
    "ENCAPSULATED_INTERFACE_TRANSPORT": Modbus.identify,
}

PROTOCOL = Protocol(
    name="modbus",
    message=REQUEST,
    answer=ANSWER,
    port=502,
    echo=["transaction", "unit", "function"],
    summary="{function} unit={unit} {address} {bits}{registers}{value}{exception}",
    description="Modbus over UDP: coils and registers out of a model",
    session=Modbus,
    model=Model,
)

VECTORS = [
    # The examples of the application protocol, in the order of its sections, behind a header.
    (
        "0001 0000 0006 11 01 0013 0013",
        {"transaction": 1, "unit": 17, "function": "READ_COILS", "address": 19, "count": 19},
    ),
    (
        "0001 0000 0006 11 01 03 cd6b05",
        {
            "transaction": 1,
            "unit": 17,
            "function": "READ_COILS",
            "bits": [bit == "1" for bit in "101100111101011010100000"],
        },
        {"answer": True},
    ),
    (
        "0002 0000 0006 11 02 00c4 0016",
        {
            "transaction": 2,
            "unit": 17,
            "function": "READ_DISCRETE_INPUTS",
            "address": 196,
            "count": 22,
        },
    ),
    (
        "0003 0000 0006 11 03 006b 0003",
        {
            "transaction": 3,
            "unit": 17,
            "function": "READ_HOLDING_REGISTERS",
            "address": 107,
            "count": 3,
        },
    ),
    (
        "0003 0000 0009 11 03 06 022b 0000 0064",
        {
            "transaction": 3,
            "unit": 17,
            "function": "READ_HOLDING_REGISTERS",
            "byte_count": 6,
            "registers": [555, 0, 100],
        },
        {"answer": True},
    ),
    (
        "0004 0000 0006 11 04 0008 0001",
        {
            "transaction": 4,
            "unit": 17,
            "function": "READ_INPUT_REGISTERS",
            "address": 8,
            "count": 1,
        },
    ),
    (
        "0004 0000 0005 11 04 02 000a",
        {"transaction": 4, "unit": 17, "function": "READ_INPUT_REGISTERS", "registers": [10]},
        {"answer": True},
    ),
    (
        "0005 0000 0006 11 05 00ac ff00",
        {
            "transaction": 5,
            "unit": 17,
            "function": "WRITE_SINGLE_COIL",
            "address": 172,
            "value": "ON",
        },
    ),
    (
        "0006 0000 0006 11 06 0001 0003",
        {
            "transaction": 6,
            "unit": 17,
            "function": "WRITE_SINGLE_REGISTER",
            "address": 1,
            "value": 3,
        },
    ),
    (
        "0007 0000 0009 11 0f 0013 000a 02 cd01",
        {
            "transaction": 7,
            "unit": 17,
            "function": "WRITE_MULTIPLE_COILS",
            "address": 19,
            "count": 10,
            "bits": [bit == "1" for bit in "1011001110000000"],
        },
    ),
    (
        "0007 0000 0006 11 0f 0013 000a",
        {
            "transaction": 7,
            "unit": 17,
            "function": "WRITE_MULTIPLE_COILS",
            "address": 19,
            "count": 10,
        },
        {"answer": True},
    ),
    (
        "0008 0000 000b 11 10 0001 0002 04 000a 0102",
        {
            "transaction": 8,
            "unit": 17,
            "function": "WRITE_MULTIPLE_REGISTERS",
            "address": 1,
            "count": 2,
            "byte_count": 4,
            "registers": [10, 258],
        },
    ),
    (
        "0009 0000 0008 11 16 0004 00f2 0025",
        {
            "transaction": 9,
            "unit": 17,
            "function": "MASK_WRITE_REGISTER",
            "address": 4,
            "and_mask": 0xF2,
            "or_mask": 0x25,
        },
    ),
    (
        "000a 0000 0011 11 17 0003 0006 000e 0003 06 00ff 00ff 00ff",
        {
            "transaction": 10,
            "unit": 17,
            "function": "READ_WRITE_MULTIPLE_REGISTERS",
            "read_address": 3,
            "read_count": 6,
            "write_address": 14,
            "write_count": 3,
            "registers": [255, 255, 255],
        },
    ),
    (
        "000a 0000 000f 11 17 0c 00fe 0acd 0001 0003 000d 00ff",
        {
            "transaction": 10,
            "unit": 17,
            "function": "READ_WRITE_MULTIPLE_REGISTERS",
            "registers": [254, 2765, 1, 3, 13, 255],
        },
        {"answer": True},
    ),
    (
        "000b 0000 0005 11 2b 0e 01 00",
        {
            "transaction": 11,
            "unit": 17,
            "function": "ENCAPSULATED_INTERFACE_TRANSPORT",
            "mei_type": "READ_DEVICE_IDENTIFICATION",
            "read_device_id_code": "BASIC",
            "object_id": "VENDOR_NAME",
        },
    ),
    (
        """
        000b 0000 0038 11 2b 0e 01 01 00 00 03 00 16 436f6d70616e79206964656e74696669636174696f6e
        01 0f 50726f6475637420636f6465205858 02 05 56322e3131
        """,
        {
            "transaction": 11,
            "unit": 17,
            "function": "ENCAPSULATED_INTERFACE_TRANSPORT",
            "mei_type": "READ_DEVICE_IDENTIFICATION",
            "read_device_id_code": "BASIC",
            "conformity_level": 1,
            "more_follows": "NO",
            "next_object_id": "VENDOR_NAME",
            "objects": [
                {"id": "VENDOR_NAME", "value": "Company identification"},
                {"id": "PRODUCT_CODE", "value": "Product code XX"},
                {"id": "MAJOR_MINOR_REVISION", "value": "V2.11"},
            ],
        },
        {"answer": True},
    ),
    (
        "000c 0000 0006 11 01 04a1 0001",
        {"transaction": 12, "unit": 17, "function": "READ_COILS", "address": 1185, "count": 1},
    ),
    (
        "000c 0000 0003 11 81 02",
        {
            "transaction": 12,
            "unit": 17,
            "function": "READ_COILS_ERROR",
            "exception": "ILLEGAL_DATA_ADDRESS",
        },
        {"answer": True},
    ),
    # A function that the schema does not know, and its exception.
    (
        "000d 0000 0004 11 41 0102",
        {"transaction": 13, "unit": 17, "function": 65, "data": b"\x01\x02"},
    ),
    (
        "000d 0000 0003 11 c1 01",
        {"transaction": 13, "unit": 17, "function": 193, "exception": "ILLEGAL_FUNCTION"},
        {"answer": True},
    ),
]
