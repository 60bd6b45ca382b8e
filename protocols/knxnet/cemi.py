"""cEMI (3/6/3): what tunnels and routing carry. Telegrams of the link layer, and the properties of interface
objects, which device management reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from construct import (
    BitsInteger,
    BitStruct,
    Default,
    Enum,
    Flag,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8ub,
    Int16ub,
    Optional,
    Padding,
    Prefixed,
    StreamError,
    Struct,
    Switch,
    this,
)

from iotsim import DecodeError, EncodeError, FlatStruct, Native

LUA = Path(__file__).with_name("lua")
"""What `Native` fields are in Lua, for dissectors."""

# -- addresses (3/3/2, section 1.4) --------------------------------------------------------------------


def numbers(text: Any, separator: str, *limits: int) -> list[int]:
    """The numbers of an address, each at most its limit. ValueError if it is none."""
    parts = text.split(separator) if isinstance(text, str) else []
    if len(parts) == len(limits) and all(part.isascii() and part.isdecimal() for part in parts):
        found = [int(part[:6]) for part in parts]
        if all(number <= limit for number, limit in zip(found, limits, strict=True)):
            return found
    raise ValueError


def group_number(text: Any) -> int:
    try:
        main, middle, sub = numbers(text, "/", 31, 7, 255)
    except ValueError:
        raise EncodeError(
            f"a group address is like '1/2/3', up to 31/7/255, not {text!r}"
        ) from None
    return main << 11 | middle << 8 | sub


def group_text(number: int) -> str:
    return f"{number >> 11}/{number >> 8 & 7}/{number & 255}"


def individual_number(text: Any) -> int:
    try:
        area, line, device = numbers(text, ".", 15, 15, 255)
    except ValueError:
        raise EncodeError(
            f"an individual address is like '1.1.5', up to 15.15.255, not {text!r}"
        ) from None
    return area << 12 | line << 8 | device


def individual_text(number: int) -> str:
    return f"{number >> 12}.{number >> 8 & 15}.{number & 255}"


def read_number(data: bytes, at: int) -> int:
    if at + 2 > len(data):
        raise StreamError("an address has two bytes")  # which ends lists of them
    return data[at] << 8 | data[at + 1]


def read_group(data: bytes, at: int) -> tuple[str, int]:
    return group_text(read_number(data, at)), at + 2


def write_group(text: Any) -> bytes:
    return group_number(text).to_bytes(2, "big")


def read_individual(data: bytes, at: int) -> tuple[str, int]:
    return individual_text(read_number(data, at)), at + 2


def write_individual(text: Any) -> bytes:
    if text is None:
        raise StreamError("there is no address")  # so it may be absent where it is optional
    return individual_number(text).to_bytes(2, "big")


GROUP_ADDRESS = Native(
    read_group, write_group, like=GreedyString("ascii"), lua=LUA / "group_address.lua"
)
INDIVIDUAL_ADDRESS = Native(
    read_individual,
    write_individual,
    like=GreedyString("ascii"),
    lua=LUA / "individual_address.lua",
)

# -- messages of the link layer (section 4.1.5) ---------------------------------------------------------

SERVICES = {
    "GROUP_VALUE_READ": 0,
    "GROUP_VALUE_RESPONSE": 1,
    "GROUP_VALUE_WRITE": 2,
    "INDIVIDUAL_ADDRESS_WRITE": 3,
    "INDIVIDUAL_ADDRESS_READ": 4,
    "INDIVIDUAL_ADDRESS_RESPONSE": 5,
    "ADC_READ": 6,
    "ADC_RESPONSE": 7,
    "MEMORY_READ": 8,
    "MEMORY_RESPONSE": 9,
    "MEMORY_WRITE": 10,
    "USER_MESSAGE": 11,
    "DEVICE_DESCRIPTOR_READ": 12,
    "DEVICE_DESCRIPTOR_RESPONSE": 13,
    "RESTART": 14,
    "ESCAPE": 15,
}
"""Of the application layer (3/3/7, section 2): the first four bits of the APCI."""
SERVICE_NAMES = {number: name for name, number in SERVICES.items()}
GROUP_SERVICES = {name: SERVICES[name] for name in SERVICES if name.startswith("GROUP_")}
PRIORITY = Enum(Int8ub, SYSTEM=0, NORMAL=1, URGENT=2, LOW=3)
LONGEST_STANDARD = 15
"""In bytes after the first of a TPDU; a longer one takes an extended frame."""


def read_tpdu(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """A TPDU behind its length, which does not count the first byte."""
    end = at + 2 + data[at] if at < len(data) else at
    if end > len(data) or end == at:
        raise DecodeError(f"{len(data) - at} bytes are too few for its TPDU")
    first = data[at + 1]
    found: dict[str, Any] = {"tpci": first >> 2, "apci": None, "small": 0, "data": b""}
    if end > at + 2:
        second = data[at + 2]
        found["apci"] = SERVICE_NAMES[(first & 3) << 2 | second >> 6]
        found["small"] = second & 63
        found["data"] = bytes(data[at + 3 : end])
    elif first & 3:
        found["small"] = first & 3
    return found, end


def write_tpdu(value: dict[str, Any]) -> bytes:
    apci, small, data = value.get("apci"), value.get("small") or 0, value.get("data") or b""
    first = (value.get("tpci") or 0) << 2
    if apci is None:
        return bytes([0, first | small & 3])
    number = SERVICES.get(apci, apci)
    return bytes([1 + len(data), first | number >> 2, (number & 3) << 6 | small]) + data


TPDU = Native(
    read_tpdu,
    write_tpdu,
    like=Struct(
        "tpci" / Default(Int8ub, 0) * "six bits of the transport layer: 0 is data for a group",
        "apci" / Optional(Enum(Int8ub, **SERVICES)) * "absent in what controls a connection",
        "small" / Default(Int8ub, 0) * "the six bits beside the APCI: data that fits there",
        "data" / Default(GreedyBytes, b"") * "of all other sizes",
    ),
    lua=LUA / "tpdu.lua",
)
L_DATA = FlatStruct(
    "additional"
    / Default(
        Prefixed(
            Int8ub,
            GreedyRange(Struct("type" / Int8ub, "data" / Prefixed(Int8ub, GreedyBytes))),
        ),
        [],
    )
    * "additional information (section 4.1.4.3)",
    BitStruct(
        "frame_type" / Default(Enum(BitsInteger(1), EXTENDED=0, STANDARD=1), "STANDARD"),
        Padding(1),
        "do_not_repeat" / Default(Flag, True),
        "broadcast" / Default(Flag, True) * "false for a system broadcast",
        "priority" / Default(Enum(BitsInteger(2), SYSTEM=0, NORMAL=1, URGENT=2, LOW=3), "LOW"),
        "acknowledge" / Default(Flag, False),
        "error" / Default(Flag, False) * "of a confirmation",
        "address_type" / Default(Enum(BitsInteger(1), INDIVIDUAL=0, GROUP=1), "GROUP"),
        "hop_count" / Default(BitsInteger(3), 6),
        "extended_format" / Default(BitsInteger(4), 0),
    ),
    "source" / Default(INDIVIDUAL_ADDRESS, "0.0.0"),
    "destination"
    / Switch(this.address_type, {"INDIVIDUAL": INDIVIDUAL_ADDRESS, "GROUP": GROUP_ADDRESS}),
    TPDU,
)

# -- messages for properties of interface objects (section 4.1.7) ----------------------------------------

PROPERTY = FlatStruct(
    "object_type" / Int16ub,
    "instance" / Default(Int8ub, 1),
    "property" / Int8ub,
    BitStruct("count" / BitsInteger(4), "start" / BitsInteger(12)),
    "data" / Default(GreedyBytes, b"") * "where count is 0 in a confirmation, the error",
)
FUNCTION_PROPERTY = Struct(
    "object_type" / Int16ub,
    "instance" / Default(Int8ub, 1),
    "property" / Int8ub,
    "data" / Default(GreedyBytes, b""),
)
BODIES: dict[str, Any] = {
    **dict.fromkeys(("L_DATA_REQ", "L_DATA_CON", "L_DATA_IND"), L_DATA),
    **dict.fromkeys(
        (
            "M_PROP_READ_REQ",
            "M_PROP_READ_CON",
            "M_PROP_WRITE_REQ",
            "M_PROP_WRITE_CON",
            "M_PROP_INFO_IND",
        ),
        PROPERTY,
    ),
    **dict.fromkeys(
        ("M_FUNC_PROP_COMMAND_REQ", "M_FUNC_PROP_STATE_READ_REQ", "M_FUNC_PROP_CON"),
        FUNCTION_PROPERTY,
    ),
    **dict.fromkeys(("M_RESET_REQ", "M_RESET_IND"), Struct()),
}
CODE = Enum(
    Int8ub,
    L_BUSMON_IND=0x2B,
    L_RAW_REQ=0x10,
    L_RAW_IND=0x2D,
    L_RAW_CON=0x2F,
    L_DATA_REQ=0x11,
    L_DATA_CON=0x2E,
    L_DATA_IND=0x29,
    L_POLL_DATA_REQ=0x13,
    L_POLL_DATA_CON=0x25,
    T_DATA_CONNECTED_REQ=0x41,
    T_DATA_CONNECTED_IND=0x89,
    T_DATA_INDIVIDUAL_REQ=0x4A,
    T_DATA_INDIVIDUAL_IND=0x94,
    M_PROP_READ_REQ=0xFC,
    M_PROP_READ_CON=0xFB,
    M_PROP_WRITE_REQ=0xF6,
    M_PROP_WRITE_CON=0xF5,
    M_PROP_INFO_IND=0xF7,
    M_FUNC_PROP_COMMAND_REQ=0xF8,
    M_FUNC_PROP_STATE_READ_REQ=0xF9,
    M_FUNC_PROP_CON=0xFA,
    M_RESET_REQ=0xF1,
    M_RESET_IND=0xF0,
)
CEMI = FlatStruct(
    "code" / CODE, Switch(this.code, BODIES, default=Struct("data" / Default(GreedyBytes, b"")))
)
