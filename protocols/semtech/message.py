"""The datagrams of the packet forwarder (PROTOCOL.TXT, sections 3 to 6), and the messages above them.

In JSON, radio frames are base64. Here ``data`` are their bytes, and ``frame`` beside it is what LoRaWAN shows
of them without a key; that is not there where they are no LoRaWAN, and is not looked at in what is sent.
Fields of the JSON that the protocol does not have are kept, and mean nothing.

A txpk that cannot be one (a field is missing, or of another type) is undecodable, since the protocol has no
answer to it: its errors are about those that could be sent, but not now, or not by this concentrator.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from construct import (
    Const,
    Default,
    Enum,
    Flag,
    Float64b,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8sb,
    Int8ub,
    Int16sb,
    Int16ub,
    Int32ub,
    Int64ub,
    Struct,
    Switch,
    this,
)

from iotsim import Cbor, DecodeError, EncodeError, FlatStruct, Json, Native

from .frame import MTYPES, read_frame
from .region import spreading

if TYPE_CHECKING:
    from collections.abc import Callable

Message: TypeAlias = dict[str, Any]
ERRORS = (
    "NONE",
    "TOO_LATE",
    "TOO_EARLY",
    "COLLISION_PACKET",
    "COLLISION_BEACON",
    "TX_FREQ",
    "TX_POWER",
    "GPS_UNLOCKED",
)
LARGEST_FRAME = 255
JSON = Json()
EUI_SIZE = 8
URL_SAFE = str.maketrans("-_", "+/")

# -- JSON, and what is in it ---------------------------------------------------------------------------


def read_json(data: bytes, at: int) -> Message:
    value = JSON.decode(data[at:])
    if not isinstance(value, dict):
        raise DecodeError("the JSON is no object")
    return value


def read_base64(text: Any, path: str) -> bytes:
    """The bytes of a text that may have no padding (section 6), or, as in examples, the alphabet of URLs."""
    if not isinstance(text, str) or len(text) > 2 * LARGEST_FRAME:
        raise DecodeError("no base64 of a radio frame", path)
    try:
        whole = text.translate(URL_SAFE) + "=" * (-len(text) % 4)
        data = base64.b64decode(whole, validate=True)
    except (ValueError, binascii.Error):
        raise DecodeError("no base64 of a radio frame", path) from None
    if len(data) > LARGEST_FRAME:
        raise DecodeError(f"a radio frame of more than {LARGEST_FRAME} bytes", path)
    return data


def shown(packet: Message) -> Message:
    """A packet with what its frame shows."""
    frame = read_frame(packet["data"]) if isinstance(packet.get("data"), bytes) else None
    found = {name: value for name, value in packet.items() if name != "frame"}
    if frame is not None:
        found["frame"] = frame
    return found


def in_json(packet: Any) -> Message:
    """A packet as JSON has it."""
    if not isinstance(packet, dict):
        raise EncodeError("a table")
    found = {name: value for name, value in packet.items() if name != "frame" and value is not None}
    data = found.get("data")
    if data is not None:
        if not isinstance(data, bytes | bytearray) or len(data) > LARGEST_FRAME:
            raise EncodeError(f"at most {LARGEST_FRAME} bytes", "data")
        found["data"] = base64.b64encode(data).decode()
    return found


# -- upwards (section 4) -------------------------------------------------------------------------------


def read_push_data(data: bytes, at: int) -> tuple[Message, int]:
    body = read_json(data, at)
    found = dict(body)
    packets = body.get("rxpk", [])
    if not isinstance(packets, list) or not all(isinstance(one, dict) for one in packets):
        raise DecodeError("no list of objects", "rxpk")
    if not isinstance(body.get("stat", {}), dict):
        raise DecodeError("no object", "stat")
    if "rxpk" in body:
        found["rxpk"] = [
            shown({**one, "data": read_base64(one.get("data"), f"rxpk.{number}.data")})
            for number, one in enumerate(packets)
        ]
    return found, len(data)


def write_push_data(message: Message) -> bytes:
    body: Message = {}
    if (packets := message.get("rxpk")) is not None:
        body["rxpk"] = [in_json(one) for one in packets]
    if (stat := message.get("stat")) is not None:
        body["stat"] = stat
    return JSON.encode(body)


def tell_push_data(_: bytes, message: Message) -> tuple[bytes, Message]:
    told: Message = {}
    if (packets := message.get("rxpk")) is not None:
        told["rxpk"] = [shown(one) for one in packets]
    if (stat := message.get("stat")) is not None:
        told["stat"] = stat
    return write_push_data(message), told


# -- downwards (section 6) -----------------------------------------------------------------------------


def _is_integer(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and low <= value <= high
        and int(value) == value
    )


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


TXPK_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "imme": ("true or false", _is_flag),
    "tmst": ("an integer of 32 bits", _is_integer(0, (1 << 32) - 1)),
    "tmms": ("an integer of 64 bits", _is_integer(0, (1 << 63) - 1)),
    "freq": (
        "a frequency in MHz",
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10_000
        ),
    ),
    "rfch": ("an integer of 8 bits", _is_integer(0, 255)),
    "powe": ("a number of dBm", _is_integer(-128, 127)),
    "modu": ("LORA or FSK", lambda value: value in ("LORA", "FSK")),
    "codr": ("a coding rate, 4/5 to 4/8", lambda value: value in ("4/5", "4/6", "4/7", "4/8")),
    "fdev": ("an integer of 32 bits", _is_integer(0, (1 << 32) - 1)),
    "ipol": ("true or false", _is_flag),
    "prea": ("an integer of 16 bits", _is_integer(0, (1 << 16) - 1)),
    "size": ("an integer of 8 bits", _is_integer(0, LARGEST_FRAME)),
    "ncrc": ("true or false", _is_flag),
}
INTEGERS = ("tmst", "tmms", "rfch", "powe", "fdev", "prea", "size")
"""Which JSON may write as floats."""


def read_pull_resp(data: bytes, at: int) -> tuple[Message, int]:
    txpk = read_json(data, at).get("txpk")
    if not isinstance(txpk, dict):
        raise DecodeError("no object", "txpk")
    found = {name: value for name, value in txpk.items() if value is not None}
    for name, (what, is_one) in TXPK_FIELDS.items():
        value = found.get(name)
        if value is not None:
            if not is_one(value):
                raise DecodeError(f"not {what}", f"txpk.{name}")
            if name in INTEGERS:
                found[name] = int(value)
    for name in ("freq", "datr", "data"):
        if name not in found:
            raise DecodeError("is not there", f"txpk.{name}")
    if not (found.get("imme") or "tmst" in found or "tmms" in found):
        raise DecodeError("none of imme, tmst and tmms says when", "txpk")
    found["datr"] = _data_rate(found["datr"], found.get("modu", "LORA"))
    payload = read_base64(found["data"], "txpk.data")
    if found.get("size", len(payload)) != len(payload):
        raise DecodeError(f"the data has {len(payload)} bytes", "txpk.size")
    found["data"] = payload
    return {"txpk": shown(found)}, len(data)


def _data_rate(datr: Any, modulation: str) -> str | int:
    """The data rate, as it has to be for `modulation`."""
    if modulation == "FSK":
        if not _is_integer(500, 250_000)(datr):
            raise DecodeError("no bit rate of FSK", "txpk.datr")
        return int(datr)
    try:
        spreading(datr)
    except (TypeError, ValueError):
        raise DecodeError("no data rate of LoRa's, such as SF7BW125", "txpk.datr") from None
    return str(datr)


def write_pull_resp(message: Message) -> bytes:
    try:
        return JSON.encode({"txpk": in_json(message.get("txpk"))})
    except EncodeError as error:
        raise EncodeError(error.reason, f"txpk.{error.path}".rstrip(".")) from None


def read_tx_ack(data: bytes, at: int) -> tuple[Message, int]:
    """Without JSON, there was no error (section 5.5)."""
    if not data[at:].strip(b" \r\n\t\0"):
        return {"txpk_ack": {"error": "NONE"}}, len(data)
    found = read_json(data, at).get("txpk_ack")
    if not isinstance(found, dict):
        raise DecodeError("no object", "txpk_ack")
    return {"txpk_ack": found}, len(data)


def write_tx_ack(message: Message) -> bytes:
    acknowledgment = message.get("txpk_ack", {})
    if acknowledgment.get("error", "NONE") == "NONE":
        return b""
    return JSON.encode({"txpk_ack": acknowledgment})


def read_eui(data: bytes, at: int) -> tuple[str, int]:
    if len(data) < at + EUI_SIZE:
        raise DecodeError("an EUI has 8 bytes")
    return data[at : at + EUI_SIZE].hex().upper(), at + EUI_SIZE


def write_eui(value: Any) -> bytes:
    try:
        data = bytes.fromhex(value)
    except (TypeError, ValueError):
        data = b""
    if len(data) != EUI_SIZE:
        raise EncodeError("an EUI is 16 hexadecimal digits")
    return data


def tell_eui(_: bytes, value: str) -> tuple[bytes, str]:
    data = write_eui(value)
    return data, data.hex().upper()


# -- the schema of datagrams ---------------------------------------------------------------------------


def _optional(subcon: Any) -> Any:
    return Default(subcon, None)


TEXT = GreedyString("utf8")
FRAME = Struct(
    "mtype" / Enum(Int8ub, **{name: number for number, name in enumerate(MTYPES)}),
    "join_eui" / _optional(TEXT),
    "dev_eui" / _optional(TEXT),
    "dev_nonce" / _optional(Int16ub),
    "dev_addr" / _optional(TEXT),
    "adr" / _optional(Flag),
    "adr_ack_req" / _optional(Flag) * "upwards",
    "ack" / _optional(Flag),
    "pending" / _optional(Flag) * "downwards: FPending",
    "fcnt" / _optional(Int16ub) * "the 16 bits that are on the air",
    "commands" / _optional(Cbor()) * "MAC commands in FOpts",
    "port" / _optional(Int8ub),
    "payload" / _optional(GreedyBytes) * "encrypted",
    "mic" / _optional(GreedyBytes),
)
RXPK = Struct(
    "time" / _optional(TEXT) * "UTC",
    "tmms" / _optional(Int64ub) * "GPS time, in milliseconds",
    "tmst" / Int32ub * "the concentrator's clock at the frame's end, in microseconds",
    "freq" / Float64b * "in MHz",
    "chan" / Int8ub,
    "rfch" / Int8ub,
    "stat" / Int8sb * "1: the CRC is right",
    "modu" / TEXT,
    "datr" / Cbor() * "of LoRa a text, of FSK a number",
    "codr" / _optional(TEXT),
    "rssi" / Int16sb * "in dBm",
    "lsnr" / _optional(Float64b) * "in dB",
    "size" / Int8ub,
    "data" / GreedyBytes * "the radio frame",
    "frame" / _optional(FRAME) * "what LoRaWAN shows of it",
)
STAT = Struct(
    "time" / TEXT * "UTC",
    "lati" / _optional(Float64b),
    "long" / _optional(Float64b),
    "alti" / _optional(Int32ub),
    "rxnb" / Int32ub * "frames received",
    "rxok" / Int32ub * "with a right CRC",
    "rxfw" / Int32ub * "forwarded",
    "ackr" / Float64b * "percent of datagrams acknowledged",
    "dwnb" / Int32ub * "downlinks received",
    "txnb" / Int32ub * "frames sent",
)
TXPK = Struct(
    "imme" / _optional(Flag) * "at once",
    "tmst" / _optional(Int32ub) * "when, by the concentrator's clock",
    "tmms" / _optional(Int64ub) * "when, by GPS time",
    "freq" / Float64b * "in MHz",
    "rfch" / _optional(Int8ub),
    "powe" / _optional(Int8sb) * "in dBm",
    "modu" / _optional(TEXT),
    "datr" / Cbor(),
    "codr" / _optional(TEXT),
    "fdev" / _optional(Int32ub),
    "ipol" / _optional(Flag) * "inverted polarity, by which nodes hear it",
    "prea" / _optional(Int16ub),
    "size" / _optional(Int8ub),
    "ncrc" / _optional(Flag),
    "data" / GreedyBytes * "the radio frame",
    "frame" / _optional(FRAME) * "what LoRaWAN shows of it",
)
ERROR = Enum(Int8ub, **{name: number for number, name in enumerate(ERRORS)})
_HERE = Path(__file__).parent
IN_LUA = _HERE / "json.lua"
EUI = Native(read_eui, write_eui, tell=tell_eui, like=TEXT, lua=_HERE / "eui.lua")
PUSH_DATA = Native(
    read_push_data,
    write_push_data,
    tell=tell_push_data,
    lua=IN_LUA,
    like=Struct("rxpk" / Default(GreedyRange(RXPK), []), "stat" / _optional(STAT)),
)
MESSAGE = FlatStruct(
    "version" / Const(2, Int8ub),
    "token" / Default(Int16ub, 0),
    "kind" / Enum(Int8ub, PUSH_DATA=0, PUSH_ACK=1, PULL_DATA=2, PULL_RESP=3, PULL_ACK=4, TX_ACK=5),
    Switch(
        this.kind,
        {
            "PUSH_DATA": FlatStruct("eui" / EUI, PUSH_DATA),
            "PUSH_ACK": Struct(),
            "PULL_DATA": Struct("eui" / EUI),
            "PULL_RESP": FlatStruct(
                Native(read_pull_resp, write_pull_resp, like=Struct("txpk" / TXPK), lua=IN_LUA)
            ),
            "PULL_ACK": Struct(),
            "TX_ACK": FlatStruct(
                "eui" / EUI,
                Native(
                    read_tx_ack,
                    write_tx_ack,
                    lua=IN_LUA,
                    like=Struct("txpk_ack" / Default(Struct("error" / ERROR), {})),
                ),
            ),
        },
    ),
)
