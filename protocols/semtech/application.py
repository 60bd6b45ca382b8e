"""What rules and expectations see: what nodes say and hear, decrypted.

One table of fields for all four kinds. What a kind does not have is None (``commands`` is empty then).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import Default, Enum, Flag, Float64b, GreedyString, Int8ub, Int16ub, Int32ub, Struct

from iotsim import Cbor, EncodeError, Native, Payload

from .frame import encoded_commands
from .region import DATA_RATES

if TYPE_CHECKING:
    from .message import Message

KINDS = ("UPLINK", "DOWNLINK", "JOIN_REQUEST", "JOIN_ACCEPT")
MOST_PORTS = 224
"""Port 224 is for certification, 0 for MAC commands (section 4.3.2)."""
CBOR, PAYLOAD = Cbor(), Payload()
TEXTS = ("node", "dev_eui", "dev_addr", "join_eui")
FLAGS = ("confirmed", "ack", "adr", "adr_ack_req", "pending")
NUMBERS = {
    "number": 1 << 16,
    "port": MOST_PORTS + 1,
    "fcnt": 1 << 32,
    "dev_nonce": 1 << 16,
    "join_nonce": 1 << 24,
    "net_id": 1 << 24,
    "rx_delay": 16,
    "window": 3,
}
"""Whole numbers, which are below these."""


def normal(message: Message) -> Message:
    """A message with all of its fields that have a value by default. EncodeError if it is none."""
    told: Message = {"kind": "UPLINK", "number": 0}
    for name, value in message.items():
        if value is not None:
            told[name] = _normal(name, value)
    if told["kind"] not in KINDS:
        raise EncodeError(f"one of {', '.join(KINDS)}", "kind")
    told.setdefault("commands", [])
    if told["kind"] == "UPLINK":
        told.setdefault("confirmed", False)
    return told


def _normal(name: str, value: Any) -> Any:
    if name in NUMBERS:
        if not isinstance(value, int | float) or int(value) != value:
            raise EncodeError(f"a whole number, not {value!r:.100}", name)
        if not 0 <= value < NUMBERS[name]:
            raise EncodeError(f"{value!r:.100} is not 0 to {NUMBERS[name] - 1}", name)
        return int(value)
    if name == "data":
        return PAYLOAD.decode(PAYLOAD.encode(value))
    if name == "data_rate" and value not in DATA_RATES:
        raise EncodeError(f"EU868 has no data rate {value!r:.100}", name)
    if name in TEXTS and not isinstance(value, str):
        raise EncodeError(f"a text, not {type(value).__name__}", name)
    if name in FLAGS:
        if value not in (0, 1):
            raise EncodeError(f"true or false, not {value!r:.100}", name)
        return bool(value)
    if name == "commands":
        encoded_commands(value)
    return value


def read(data: bytes, at: int) -> tuple[Any, int]:
    return CBOR.decode(data[at:]), len(data)


def write(message: Message) -> bytes:
    return CBOR.encode(normal(message))


def tell(_: bytes, message: Message) -> tuple[bytes, Message]:
    return b"", normal(message)  # no datagram has such bytes


def _optional(subcon: Any) -> Any:
    return Default(subcon, None)


TEXT = GreedyString("utf8")
APPLICATION = Native(
    read,
    write,
    tell=tell,
    like=Struct(
        "kind"
        / Default(Enum(Int8ub, **{name: number for number, name in enumerate(KINDS)}), "UPLINK"),
        "node" / _optional(TEXT) * "the name of the node's table in the model",
        "number" / Default(Int16ub, 0) * "which of those, from 0",
        "dev_eui" / _optional(TEXT),
        "dev_addr" / _optional(TEXT),
        "port" / _optional(Int8ub),
        "data" / _optional(Payload()) * "decrypted: text if it is UTF-8, else bytes",
        "fcnt" / _optional(Int32ub),
        "confirmed" / _optional(Flag),
        "ack" / _optional(Flag) * "acknowledges the last confirmed frame of the other side",
        "adr" / _optional(Flag),
        "adr_ack_req" / _optional(Flag),
        "pending" / _optional(Flag) * "of a downlink: there is more",
        "commands" / Default(Cbor(), []) * "MAC commands",
        "data_rate" / _optional(Cbor()) * "as datr: SF7BW125",
        "frequency" / _optional(Float64b) * "in MHz",
        "window" / _optional(Int8ub) * "of what a node hears: 1 for RX1, 2 for RX2",
        "join_eui" / _optional(TEXT),
        "dev_nonce" / _optional(Int16ub),
        "join_nonce" / _optional(Int32ub),
        "net_id" / _optional(Int32ub),
        "rx_delay" / _optional(Int8ub) * "in seconds",
    ),
)
