"""miIO: the protocol of Xiaomi's smart home devices, JSON that is encrypted with a token of each device.

    magic 0x2131 | length (2) | unknown (4) | device (4) | stamp (4) | checksum (16) | payload

``length`` is that of all bytes. A gateway that wants to speak to a device says HELLO: 32 bytes, all ones
after the length. The device says HELLO, too, with its number, and its clock: seconds since it was switched
on. With both the gateway sends its commands, and the device its replies.

The payload is JSON, ``{"id": 1, "method": "get_prop", "params": ["power"]}``, answered by ``{"id": 1,
"result": ["on"]}`` or an ``error``; mostly with a zero byte at its end. It is encrypted with AES-128 in CBC
mode: the key is the MD5 of the token, the IV the MD5 of key and token. The checksum is the MD5 of the message
with the token in the place of the checksum.

A device has its token, 16 bytes, in its state: ``state = { token = "hex:..." }``, or a data file.
"""

from __future__ import annotations

from hashlib import md5
from typing import Any

from construct import (
    Bytes,
    Const,
    Default,
    Enum,
    Int8ub,
    Int16ub,
    Int32ub,
    NullTerminated,
    Struct,
    Switch,
    this,
)

from iotsim import Checksum, Derived, Encrypted, FlatStruct, Json, Length, Protocol, this_device

HELLO_LENGTH = 32
NO_TOKEN = b"\xff" * 16
TOKEN = this_device.state.token


def checksum(message: bytes, token: bytes) -> bytes:
    return md5(message[:16] + token + message[32:]).digest()


def key(context: Any) -> bytes:
    return md5(TOKEN(context)).digest()


def iv(context: Any) -> bytes:
    return md5(key(context) + TOKEN(context)).digest()


MESSAGE = FlatStruct(
    "magic" / Const(0x2131, Int16ub),
    "length" / Length(Int16ub, of="message"),
    "kind"
    / Derived(
        lambda fields: "HELLO" if fields.length == HELLO_LENGTH else "COMMAND",
        like=Enum(Int8ub, HELLO=0, COMMAND=1),
    ),
    "unknown" / Default(Int32ub, 0),
    "device" / Int32ub * "the number of the device",
    "stamp" / Int32ub * "its clock, in seconds",
    Switch(
        this.kind,
        {
            "HELLO": Struct("token" / Default(Bytes(16), NO_TOKEN)),
            "COMMAND": Struct(
                "checksum" / Checksum(Bytes(16), checksum, over="message", key=TOKEN),
                "payload"
                / Encrypted(NullTerminated(Json(), require=False), mode="CBC", key=key, iv=iv),
            ),
        },
    ),
)

PROTOCOL = Protocol(
    name="miio",
    message=MESSAGE,
    port=54321,
    echo=["kind", "device", "stamp"],
    summary="{kind} device={device} {payload}",
    description="Xiaomi miIO: JSON encrypted with a token of each device",
)

DEVICE: dict[str, Any] = {
    "device": {"state": {"token": bytes.fromhex("00112233445566778899aabbccddeeff")}}
}
VECTORS = [
    (
        "21310020 ffffffff ffffffff ffffffff ffffffffffffffffffffffffffffffff",
        {"kind": "HELLO", "unknown": 2**32 - 1, "device": 2**32 - 1, "stamp": 2**32 - 1},
    ),
    (
        "21310020 00000000 0badcafe 00001234 ffffffffffffffffffffffffffffffff",
        {"kind": "HELLO", "device": 0x0BADCAFE, "stamp": 0x1234, "token": NO_TOKEN},
    ),
    # As python-miio writes it: with spaces in the JSON, and a zero byte after it.
    (
        """
        21310060 00000000 0badcafe 00001234 236468038dccb1697115cdc66bc50faa
        2a36b2b7afa85bd6a9f1ed82b485a3d68628cb0ba48901152cb9ce59f42b2925
        29bf9211d2778169fd9d357e85849a2e8fef8363055a49d402cdfb63054804d6
        """,
        {
            "kind": "COMMAND",
            "device": 0x0BADCAFE,
            "stamp": 0x1234,
            "payload": {"id": 1, "method": "get_prop", "params": ["power"]},
        },
        {"decodes_only": True, **DEVICE},
    ),
    (
        """
        21310040 00000000 0badcafe 00001235 58c064162bdbdef74ac45dcea61ed2d8
        95d444d970e45e453f755f0301fb09fd13e0600851ba45dd821db6a00a6dfb4a
        """,
        {
            "kind": "COMMAND",
            "device": 0x0BADCAFE,
            "stamp": 0x1235,
            "payload": {"id": 1, "result": ["on"]},
        },
        DEVICE,
    ),
]
