"""The format TLV (TS Core, section 7.4.3): ``application/vnd.oma.lwm2m+tlv``.

A body is a list of entries, each of a kind, an id, and bytes. Kinds nest in one order: an object instance
holds resources, a resource with several instances holds these. So nothing is deeper than three.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from .message import LARGEST_ID, RefusedError

INSTANCE, RESOURCE_INSTANCE, MULTIPLE, RESOURCE = range(4)
INSIDE = {INSTANCE: (MULTIPLE, RESOURCE), MULTIPLE: (RESOURCE_INSTANCE,)}
OBJLINK = struct.Struct(">HH")
SIZES = (1, 2, 4, 8)
LONGEST = 1 << 24


class Entry(NamedTuple):
    kind: int
    id: int
    value: Any
    """Bytes; of INSTANCE and MULTIPLE, entries."""


def read(
    data: bytes, kinds: tuple[int, ...] = (INSTANCE, MULTIPLE, RESOURCE_INSTANCE, RESOURCE)
) -> list[Entry]:
    """The entries of a body, all of `kinds`. BAD_REQUEST if it is none."""
    found = []
    at = 0
    while at < len(data):
        head = data[at]
        kind, long_id, bytes_of_length = head >> 6, head >> 5 & 1, head >> 3 & 3
        start = at + 2 + long_id + bytes_of_length
        if start > len(data) or kind not in kinds:
            raise RefusedError("BAD_REQUEST")
        number = int.from_bytes(data[at + 1 : at + 2 + long_id], "big")
        length = head & 7
        if number > LARGEST_ID:
            raise RefusedError("BAD_REQUEST")
        if bytes_of_length:
            length = int.from_bytes(data[at + 2 + long_id : start], "big")
        at = start + length
        if at > len(data):
            raise RefusedError("BAD_REQUEST")
        value: Any = data[start:at]
        found.append(Entry(kind, number, read(value, INSIDE[kind]) if kind in INSIDE else value))
    return found


def write(entries: list[Entry]) -> bytes:
    parts: list[bytes] = []
    for kind, number, value in entries:
        body = write(value) if kind in INSIDE else value
        head = kind << 6 | (number > 0xFF) << 5
        name = number.to_bytes(2 if number > 0xFF else 1, "big")
        if len(body) < 8:
            parts += (bytes([head | len(body)]), name, body)
        else:
            length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
            parts += (bytes([head | len(length) << 3]), name, length, body)
    return b"".join(parts)


def read_value(data: bytes, kind: str) -> Any:
    """A value of a type (TS Core, appendix C); bytes are text or bytes where that is not known."""
    if kind in ("integer", "time"):
        if len(data) not in SIZES:
            raise RefusedError("BAD_REQUEST")
        return int.from_bytes(data, "big", signed=True)
    if kind == "float":
        if len(data) not in (4, 8):
            raise RefusedError("BAD_REQUEST")
        return struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    if kind == "boolean":
        if data not in (b"\0", b"\1"):
            raise RefusedError("BAD_REQUEST")
        return data == b"\1"
    if kind == "objlink":
        if len(data) != OBJLINK.size:
            raise RefusedError("BAD_REQUEST")
        return "{}:{}".format(*OBJLINK.unpack(data))
    if kind == "opaque":
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        if kind == "string":
            raise RefusedError("BAD_REQUEST") from None
        return data


def write_value(value: Any, kind: str) -> bytes:
    """`value`, which is of the type `kind`; ValueError if it cannot be."""
    if kind in ("integer", "time"):
        for size in SIZES:
            if -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1:
                return int(value).to_bytes(size, "big", signed=True)
        raise ValueError(f"{value} takes more than 64 bits")
    if kind == "float":
        return struct.pack(">d", value)
    if kind == "boolean":
        return b"\1" if value else b"\0"
    if kind == "objlink":
        return OBJLINK.pack(*map(int, value.split(":")))
    return value if isinstance(value, bytes) else str(value).encode()
