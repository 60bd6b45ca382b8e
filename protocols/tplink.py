"""TP-Link Smart Home: plugs and bulbs that speak JSON over UDP, scrambled.

A message is a JSON object: module, then command, then arguments. An answer has the same shape, with
results in the place of arguments::

    {"system": {"set_relay_state": {"state": 1}}}   ->   {"system": {"set_relay_state": {"err_code": 0}}}

Each byte is combined with the scrambled one before it, the first with 171. Over TCP the same follows a
length of four bytes; over UDP, which is also how devices are found, by a broadcast, it stands alone.
"""

from __future__ import annotations

from construct import Struct

from iotsim import Json, Protocol, Wrapped

FIRST_KEY = 171


def unscramble(data: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, bytes([FIRST_KEY]) + data, strict=False))


def scramble(data: bytes) -> bytes:
    key = FIRST_KEY
    scrambled = bytearray()
    for byte in data:
        key ^= byte
        scrambled.append(key)
    return bytes(scrambled)


PROTOCOL = Protocol(
    name="tplink",
    message=Struct("payload" / Wrapped(unscramble, scramble, Json())),
    port=9999,
    summary="{payload}",
    description="TP-Link Smart Home (Kasa) devices",
)

VECTORS = [
    (
        "d0f281f88bff9af7d5ef94b6d1b4c09fec95e68fe187e8caf08bf68bf6",
        {"payload": {"system": {"get_sysinfo": {}}}},
    ),
    (
        "d0f281f88bff9af7d5ef94b6c5a0d48bf99cf091e8b7c4b0d1a5c0e2d8a381f286e793f6d4eedfa2dfa2",
        {"payload": {"system": {"set_relay_state": {"state": 1}}}},
    ),
]
