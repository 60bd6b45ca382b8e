"""Messages: a header of 36 bytes, and the fields of the type ("Header", "Messages")."""

from __future__ import annotations

from typing import Any

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Default,
    Enum,
    ExprAdapter,
    FixedSized,
    Flag,
    Float32l,
    GreedyBytes,
    Int8ub,
    Int16sl,
    Int16ul,
    Int32ul,
    Int64ul,
    NullStripped,
    Padding,
    Struct,
    Switch,
    this,
)

from iotsim import FlatStruct, Length, Payload

HUE: Any = ExprAdapter(
    Int16ul,
    lambda raw, _: round(raw * 360 / 0x10000, 3),
    lambda degrees, _: round(degrees * 0x10000 / 360) % 0x10000,
)
SHARE: Any = ExprAdapter(
    Int16ul, lambda raw, _: round(raw / 0xFFFF, 5), lambda share, _: round(share * 0xFFFF)
)
COLOR = Struct(
    "hue" / HUE * "degrees",
    "saturation" / SHARE * "0 to 1",
    "brightness" / SHARE * "0 to 1",
    "kelvin" / Int16ul,
)
LABEL_SIZE = 32
LABEL = "label" / FixedSized(LABEL_SIZE, NullStripped(Payload()))
"""A text, or bytes where it is none: clients cut what is too long, also within a character."""
LEVEL = "level" / Int16ul * "0 is off, 65535 on"
DURATION = "duration" / Default(Int32ul, 0) * "ms"
WAVE = (
    "period" / Int32ul * "ms",
    "cycles" / Float32l,
    "skew_ratio" / Default(Int16sl, 0),
    "waveform" / Enum(Int8ub, SAW=0, SINE=1, HALF_SINE=2, TRIANGLE=3, PULSE=4),
)
TRANSIENT = "transient" / Default(Flag, False) * "whether the color is as before, at the end"
EMPTY = Struct()
GROUP = Struct("group" / Bytes(16), LABEL, "updated_at" / Int64ul * "ns since 1970")
LOCATION = Struct("location" / Bytes(16), LABEL, "updated_at" / Int64ul * "ns since 1970")
FIRMWARE = Struct(
    "build" / Int64ul * "ns since 1970",
    Padding(8),
    "version_minor" / Int16ul,
    "version_major" / Int16ul,
)

TYPES = {
    "GET_SERVICE": 2,
    "STATE_SERVICE": 3,
    "GET_HOST_FIRMWARE": 14,
    "STATE_HOST_FIRMWARE": 15,
    "GET_WIFI_INFO": 16,
    "STATE_WIFI_INFO": 17,
    "GET_WIFI_FIRMWARE": 18,
    "STATE_WIFI_FIRMWARE": 19,
    "GET_POWER": 20,
    "SET_POWER": 21,
    "STATE_POWER": 22,
    "GET_LABEL": 23,
    "SET_LABEL": 24,
    "STATE_LABEL": 25,
    "GET_VERSION": 32,
    "STATE_VERSION": 33,
    "GET_INFO": 34,
    "STATE_INFO": 35,
    "ACKNOWLEDGEMENT": 45,
    "GET_LOCATION": 48,
    "SET_LOCATION": 49,
    "STATE_LOCATION": 50,
    "GET_GROUP": 51,
    "SET_GROUP": 52,
    "STATE_GROUP": 53,
    "ECHO_REQUEST": 58,
    "ECHO_RESPONSE": 59,
    "GET_COLOR": 101,
    "SET_COLOR": 102,
    "SET_WAVEFORM": 103,
    "LIGHT_STATE": 107,
    "GET_LIGHT_POWER": 116,
    "SET_LIGHT_POWER": 117,
    "STATE_LIGHT_POWER": 118,
    "SET_WAVEFORM_OPTIONAL": 119,
    "STATE_UNHANDLED": 223,
}
BODIES: dict[str, Any] = {
    **{name: EMPTY for name in TYPES if name.startswith("GET_")},
    "STATE_SERVICE": Struct("service" / Default(Enum(Int8ub, UDP=1), "UDP"), "port" / Int32ul),
    "STATE_HOST_FIRMWARE": FIRMWARE,
    "STATE_WIFI_INFO": Struct("signal" / Float32l * "mW", Padding(10)),
    "STATE_WIFI_FIRMWARE": FIRMWARE,
    "SET_POWER": Struct(LEVEL),
    "STATE_POWER": Struct(LEVEL),
    "SET_LABEL": Struct(LABEL),
    "STATE_LABEL": Struct(LABEL),
    "STATE_VERSION": Struct("vendor" / Int32ul, "product" / Int32ul, Padding(4)),
    "STATE_INFO": Struct(
        "time" / Int64ul * "ns since 1970", "uptime" / Int64ul * "ns", "downtime" / Int64ul * "ns"
    ),
    "ACKNOWLEDGEMENT": EMPTY,
    "SET_LOCATION": LOCATION,
    "STATE_LOCATION": LOCATION,
    "SET_GROUP": GROUP,
    "STATE_GROUP": GROUP,
    "ECHO_REQUEST": Struct("echoing" / Bytes(64)),
    "ECHO_RESPONSE": Struct("echoing" / Bytes(64)),
    "SET_COLOR": FlatStruct(Padding(1), COLOR, DURATION),
    "SET_WAVEFORM": FlatStruct(Padding(1), TRANSIENT, COLOR, *WAVE),
    "LIGHT_STATE": FlatStruct(COLOR, Padding(2), "power" / Int16ul, LABEL, Padding(8)),
    "SET_LIGHT_POWER": Struct(LEVEL, DURATION),
    "STATE_LIGHT_POWER": Struct(LEVEL),
    "SET_WAVEFORM_OPTIONAL": FlatStruct(
        Padding(1),
        TRANSIENT,
        COLOR,
        *WAVE,
        *(
            f"set_{name}" / Default(Flag, False)
            for name in ("hue", "saturation", "brightness", "kelvin")
        ),
    ),
    "STATE_UNHANDLED": Struct("unhandled_type" / Enum(Int16ul, **TYPES)),
}

PROTOCOL_NUMBER = 1024
"""12 bits, the lower ones first."""
TARGET_SIZE = 6
"""A MAC address; in a message two zeros follow it."""

MESSAGE = FlatStruct(
    "size" / Length(Int16ul, of="message"),
    Const(PROTOCOL_NUMBER & 0xFF, Int8ub),
    BitStruct(
        "origin" / Const(0, BitsInteger(2)),
        "tagged" / Default(Flag, False) * "for all: the target is zeros",
        "addressable" / Const(1, BitsInteger(1)),
        Const(PROTOCOL_NUMBER >> 8, BitsInteger(4)),
    ),
    "source" / Default(Int32ul, 0) * "the client; a response has that of its request",
    "target" / Default(Bytes(TARGET_SIZE), bytes(TARGET_SIZE)) * "zeros: all devices",
    Padding(8),
    BitStruct(
        Padding(6), "ack_required" / Default(Flag, False), "res_required" / Default(Flag, False)
    ),
    "sequence" / Default(Int8ub, 0) * "a response has that of its request",
    Padding(8),
    "type" / Enum(Int16ul, **TYPES),
    Padding(2),
    Switch(this.type, BODIES, Struct("data" / Default(GreedyBytes, b""))),
)
