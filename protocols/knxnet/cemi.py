"""cEMI (3/6/3): what tunnels and routing carry. Telegrams of the link layer, and the properties of interface
objects, which device management reads."""

from __future__ import annotations

from typing import Any

from construct import (
    BitsInteger,
    BitStruct,
    Const,
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
    Struct,
    Switch,
    this,
)

from iotsim import DecodeError, Derived, EncodeError, FlatStruct, Native

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
        raise EncodeError(f"a group address is like '1/2/3', up to 31/7/255, not {text!r}") from None
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
        raise DecodeError("an address has two bytes")
    return data[at] << 8 | data[at + 1]


def read_group(data: bytes, at: int) -> tuple[str, int]:
    return group_text(read_number(data, at)), at + 2


def write_group(text: Any) -> bytes:
    return group_number(text).to_bytes(2, "big")


def read_individual(data: bytes, at: int) -> tuple[str, int]:
    return individual_text(read_number(data, at)), at + 2


def write_individual(text: Any) -> bytes:
    return individual_number(text).to_bytes(2, "big")


GROUP_ADDRESS = Native(read_group, write_group, like=GreedyString("ascii"))
INDIVIDUAL_ADDRESS = Native(read_individual, write_individual, like=GreedyString("ascii"))
