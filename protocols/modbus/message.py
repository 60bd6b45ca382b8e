"""Requests and answers (application protocol, section 6; their header: messaging guide, section 3.1.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

from iotsim import FlatStruct, Length, Native

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

EXCEPTIONS = {
    "ILLEGAL_FUNCTION": 1,
    "ILLEGAL_DATA_ADDRESS": 2,
    "ILLEGAL_DATA_VALUE": 3,
    "SERVER_DEVICE_FAILURE": 4,
    "ACKNOWLEDGE": 5,
    "SERVER_DEVICE_BUSY": 6,
    "MEMORY_PARITY_ERROR": 8,
    "GATEWAY_PATH_UNAVAILABLE": 10,
    "GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND": 11,
}
EXCEPTION = Enum(Int8ub, **EXCEPTIONS)
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


BITS = Prefixed(
    Int8ub,
    Native(
        read_bits,
        write_bits,
        plain=True,
        like=GreedyRange(FlagByte),
        lua=Path(__file__).with_name("bits.lua"),
    ),
)
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
