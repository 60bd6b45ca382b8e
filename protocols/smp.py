"""SMP, the Simple Management Protocol of MCUmgr (Zephyr, Mynewt, NuttX): CBOR over UDP, port 1337.

A header of eight bytes says the operation, the group and the command; then comes a map in CBOR. An answer
has the header of its request with the operation READ_RSP or WRITE_RSP. An error is ``{"rc": 3}``, or, where
a command of version 2 failed for reasons of its own group, ``{"err": {"group": 1, "rc": 3}}``.

Source: the Zephyr project's documentation, "SMP Protocol Specification".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import BitsInteger, BitStruct, Default, Enum, Int8ub, Int16ub, Padding

from iotsim import Cbor, Errors, FlatStruct, Length, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE = FlatStruct(
    BitStruct(
        Padding(3),
        "version" / Enum(BitsInteger(2), V1=0, V2=1),
        "op" / Enum(BitsInteger(3), READ=0, READ_RSP=1, WRITE=2, WRITE_RSP=3),
    ),
    "flags" / Default(Int8ub, 0),
    "length" / Length(Int16ub, adjust=-4) * "of the payload, in bytes",
    "group"
    / Enum(
        Int16ub,
        OS=0,
        IMAGE=1,
        STATISTICS=2,
        SETTINGS=3,
        LOG=4,
        TESTS=5,
        SPLIT_IMAGE=6,
        CRASH=7,
        FILE=8,
        SHELL=9,
        ENUMERATION=10,
        TRANSPORT=11,
        ZEPHYR=63,
    ),
    "sequence" / Int8ub,
    "command" / Int8ub * "its number in the group: in OS 0 is echo, 5 reset",
    "payload" / Cbor(),
)

ERRORS = {
    "EUNKNOWN": 1,
    "ENOMEM": 2,
    "EINVAL": 3,
    "ETIMEOUT": 4,
    "ENOENT": 5,
    "EBADSTATE": 6,
    "EMSGSIZE": 7,
    "ENOTSUP": 8,
    "ECORRUPT": 9,
    "EBUSY": 10,
    "EACCESSDENIED": 11,
}
"""As MCUmgr's mgmt_err_t calls them, without what they begin with."""


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    op = {"READ": "READ_RSP", "WRITE": "WRITE_RSP"}.get(request["op"])
    return None if op is None else {"op": op, "payload": {"rc": ERRORS[name]}}


PROTOCOL = Protocol(
    name="smp",
    message=MESSAGE,
    port=1337,
    echo=["version", "group", "sequence", "command"],
    errors=Errors(ERRORS, refuse),
    summary="{op} {group} {command} #{sequence} {payload}",
    description="Simple Management Protocol (MCUmgr): echo, reset, images, files of microcontrollers",
)

HASH = bytes(range(32))
VECTORS = [
    (
        "0a 00 0009 0000 07 00 a1 6164 6568656c6c6f",
        {
            "version": "V2",
            "op": "WRITE",
            "group": "OS",
            "sequence": 7,
            "command": 0,
            "payload": {"d": "hello"},
        },
    ),
    (
        "0b 00 0009 0000 07 00 a1 6172 6568656c6c6f",
        {
            "version": "V2",
            "op": "WRITE_RSP",
            "group": "OS",
            "sequence": 7,
            "command": 0,
            "payload": {"r": "hello"},
        },
    ),
    (
        "00 00 0001 0001 08 00 a0",
        {
            "version": "V1",
            "op": "READ",
            "group": "IMAGE",
            "sequence": 8,
            "command": 0,
            "payload": {},
        },
    ),
    (
        f"""
        01 00 0050 0001 08 00
        bf 66696d61676573 9f
            bf 64736c6f74 00 6776657273696f6e 65312e322e33 6468617368 5820 {HASH.hex()}
               66616374697665 f5 ff
        ff ff
        """,
        {
            "version": "V1",
            "op": "READ_RSP",
            "group": "IMAGE",
            "sequence": 8,
            "command": 0,
            "payload": {"images": [{"slot": 0, "version": "1.2.3", "hash": HASH, "active": True}]},
        },
        {"decodes_only": True},
    ),
    (
        "03 00 0006 0000 09 05 bf 627263 0a ff",
        {
            "version": "V1",
            "op": "WRITE_RSP",
            "group": "OS",
            "sequence": 9,
            "command": 5,
            "payload": {"rc": 10},
        },
        {"decodes_only": True},
    ),
    (
        "0b 00 0011 0001 0a 01 a1 63657272 a2 6567726f7570 01 627263 03",
        {
            "version": "V2",
            "op": "WRITE_RSP",
            "group": "IMAGE",
            "sequence": 10,
            "command": 1,
            "payload": {"err": {"group": 1, "rc": 3}},
        },
    ),
]
