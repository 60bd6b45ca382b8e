"""The LIFX LAN protocol (lan.developer.lifx.com; "Header", "Messages"): a device as a bulb.

All fields are little-endian. A message has a header of 36 bytes and the fields of its type. Covered are the
discovery by broadcast, and the messages of all devices and of lights: label, power, color, waveform, group,
location, version, firmware, signal, times, echo. Hue is in degrees, saturation and brightness are 0 to 1.

A bulb takes what is for its target, or for all (a target of zeros). It answers a GET, and a SET that wants a
response, which tells the state before the change, as that of bulbs mostly does. Before that it acknowledges
what is to be acknowledged. Both go to the sender alone, with its ``source`` and ``sequence``. What the bulb
does not know is answered by STATE_UNHANDLED; what other bulbs answer is not answered.

Not there: transitions, which take no time; waveforms, of which only the end is seen; discovery by mDNS; and
what only some products have: infrared, HEV, relays, zones, tiles.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Default,
    Enum,
    ExprAdapter,
    Flag,
    Float32l,
    GreedyBytes,
    Int8ub,
    Int16sl,
    Int16ul,
    Int32ul,
    Int64ul,
    PaddedString,
    Padding,
    Struct,
    Switch,
    this,
)
from pydantic import Field, model_validator

from iotsim import FlatStruct, Follower, Length, Mark, Peer, Protocol, Seen, Session, Table, Value

if TYPE_CHECKING:
    from collections.abc import Callable

# -- messages -----------------------------------------------------------------------------------------

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
LABEL = "label" / PaddedString(LABEL_SIZE, "utf8")
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

# -- the model ----------------------------------------------------------------------------------------


class Color(Table):
    hue: Value = Field(0.0, validate_default=True, description="degrees")
    saturation: Value = Field(0.0, validate_default=True, description="0 to 1")
    brightness: Value = Field(1.0, validate_default=True, description="0 to 1")
    kelvin: Value = Field(3500, validate_default=True)

    @model_validator(mode="after")
    def _in_range(self) -> Color:
        for name, (low, high) in RANGES.items():
            cell = getattr(self, name)
            number = cell.literal
            if cell.evaluate is None and not (
                isinstance(number, (int, float)) and low <= number <= high
            ):
                raise ValueError(f"{name} is a number from {low} to {high}")
        return self


RANGES = {"hue": (0, 360), "saturation": (0, 1), "brightness": (0, 1), "kelvin": (1500, 9000)}


class Model(Table):
    label: Value | None = Field(None, description="the device's name if it is not there")
    power: Value = Field(True, validate_default=True)
    color: Color = Field({}, validate_default=True)
    group: Value = Field("My room", validate_default=True)
    location: Value = Field("My home", validate_default=True)
    product: Annotated[int, Field(ge=1, lt=1 << 32)] = 27

    @model_validator(mode="after")
    def _is_a_switch(self) -> Model:
        if self.power.evaluate is None and not isinstance(self.power.literal, bool):
            raise ValueError("power is true or false")
        return self


# -- the bulb -----------------------------------------------------------------------------------------

VENDOR = 1
FIRMWARE_VERSION = {"build": 1_600_000_000 * 10**9, "version_major": 3, "version_minor": 90}
SIGNAL = 1e-5
"""In mW: -50 dBm."""
OUI = 0xD073D5
"""Of the vendor: a target begins so."""
ON = 0xFFFF
DROPPED = "consumed.drop-rule"

Message = dict[str, Any]


class Exchange:
    """A message that has come, and whether it was acknowledged."""

    __slots__ = ("acknowledged", "peer", "request")

    def __init__(self, request: Message, peer: Peer) -> None:
        self.request = request
        self.peer = peer
        self.acknowledged = not request["ack_required"]


class Lifx(Session):
    """A bulb. What it was told of its group and its location stands in ``places``, with their ids."""

    __slots__ = ("name", "places", "port", "target")

    def __init__(self) -> None:
        fleet = self.device.name.partition("[")[0]
        number = zlib.crc32(fleet.encode()) + self.device.index & 0xFFFFFF
        self.target = (OUI << 24 | number).to_bytes(TARGET_SIZE, "big")
        self.places: dict[str, Message] = {}
        self.name = self.device.name
        self.port = 0

    def receive(self, message: Message, peer: Peer) -> None:
        if message["target"] not in (self.target, ALL):
            return
        self.port = peer.local_port
        exchange = Exchange(message, peer)
        if self.deliver(message, peer, exchange) != DROPPED:
            self.acknowledge(exchange)

    def reply(self, message: Message, exchange: Exchange) -> None:
        """The acknowledgement goes first."""
        self.acknowledge(exchange)
        if "target" not in message:
            message = {**message, "target": self.target}
        self.send(message, exchange.peer, says=message)

    def acknowledge(self, exchange: Exchange) -> None:
        if not exchange.acknowledged:
            exchange.acknowledged = True
            self.send({"type": "ACKNOWLEDGEMENT", **self.head(exchange.request)}, exchange.peer)

    def respond(self, message: Message, peer: Peer) -> Message | list[Message] | None:
        kind = message["type"]
        change = SETS.get(kind)
        if change is not None:
            before = self.tell(change.told, message)
            change.make(self, message)
            return before if message["res_required"] else []
        told = GETS.get(kind)
        if told is not None:
            return self.tell(told, message)
        if kind in TYPES:
            return None  # what other bulbs say
        return {**self.head(message), "type": "STATE_UNHANDLED", "unhandled_type": kind}

    def head(self, request: Message) -> Message:
        return {
            "source": request["source"],
            "sequence": request["sequence"],
            "target": self.target,
        }

    def tell(self, kind: str, request: Message) -> Message:
        return {**self.head(request), "type": kind, **STATES[kind](self, request)}

    # -- states ----------------------------------------------------------------------------------------

    @property
    def level(self) -> int:
        return ON if self.read(self.model.power) else 0

    def color(self) -> Message:
        color = self.model.color
        return {
            name: min(max(self.read(getattr(color, name)), low), high)
            for name, (low, high) in RANGES.items()
        }

    @property
    def label(self) -> str:
        return clipped(self.name if self.model.label is None else self.read(self.model.label))

    def light(self) -> Message:
        color = self.color()
        color["kelvin"] = round(color["kelvin"])
        return {**color, "power": self.level, "label": self.label}

    def place(self, name: str) -> Message:
        """A group or a location: bulbs with the same text are in the same."""
        told = self.places.get(name)
        if told is not None:
            return told
        label = clipped(self.read(getattr(self.model, name)))
        identity = hashlib.blake2b(f"{name} {label}".encode(), digest_size=16).digest()
        return {
            name: identity,
            "label": label,
            "updated_at": nanoseconds(self.wall_time - self.now),
        }

    def info(self) -> Message:
        return {"time": nanoseconds(self.wall_time), "uptime": nanoseconds(self.now), "downtime": 0}

    # -- changes ---------------------------------------------------------------------------------------

    def set_power(self, message: Message) -> None:
        self.change(self.model.power, message["level"] > 0)

    def set_label(self, message: Message) -> None:
        if self.model.label is None:
            self.name = message["label"]
        else:
            self.change(self.model.label, message["label"])

    def set_color(self, message: Message) -> None:
        for name in RANGES:
            self.change(getattr(self.model.color, name), message[name])

    def set_waveform(self, message: Message) -> None:
        """Only the end is seen: the color, or what was before."""
        for name in RANGES:
            if not message["transient"] and message.get(f"set_{name}", True):
                self.change(getattr(self.model.color, name), message[name])

    def set_place(self, message: Message) -> None:
        name = message["type"].removeprefix("SET_").lower()
        self.places[name] = {key: message[key] for key in (name, "label", "updated_at")}

    def change(self, cell: Any, value: Any) -> None:
        """What an expression gives stays as it is: a bulb that is told so has no other word for it."""
        if cell.writable:
            self.write(cell, value)


ALL = bytes(TARGET_SIZE)


def clipped(label: Any) -> str:
    return str(label).encode()[:LABEL_SIZE].decode(errors="ignore")


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


class Change(NamedTuple):
    """What a SET does, and the state that tells of it."""

    make: Callable[[Lifx, Message], None]
    told: str


STATES: dict[str, Callable[[Lifx, Message], Message]] = {
    "STATE_SERVICE": lambda bulb, _: {"port": bulb.port},
    "STATE_HOST_FIRMWARE": lambda bulb, _: FIRMWARE_VERSION,
    "STATE_WIFI_INFO": lambda bulb, _: {"signal": SIGNAL},
    "STATE_WIFI_FIRMWARE": lambda bulb, _: FIRMWARE_VERSION,
    "STATE_POWER": lambda bulb, _: {"level": bulb.level},
    "STATE_LABEL": lambda bulb, _: {"label": bulb.label},
    "STATE_VERSION": lambda bulb, _: {"vendor": VENDOR, "product": bulb.model.product},
    "STATE_INFO": lambda bulb, _: bulb.info(),
    "STATE_LOCATION": lambda bulb, _: bulb.place("location"),
    "STATE_GROUP": lambda bulb, _: bulb.place("group"),
    "ECHO_RESPONSE": lambda bulb, request: {"echoing": request["echoing"]},
    "LIGHT_STATE": lambda bulb, _: bulb.light(),
    "STATE_LIGHT_POWER": lambda bulb, _: {"level": bulb.level},
}
GETS = {
    **{name.replace("STATE_", "GET_"): name for name in STATES if name.startswith("STATE_")},
    "GET_COLOR": "LIGHT_STATE",
    "ECHO_REQUEST": "ECHO_RESPONSE",
}
SETS = {
    "SET_POWER": Change(Lifx.set_power, "STATE_POWER"),
    "SET_LABEL": Change(Lifx.set_label, "STATE_LABEL"),
    "SET_LOCATION": Change(Lifx.set_place, "STATE_LOCATION"),
    "SET_GROUP": Change(Lifx.set_place, "STATE_GROUP"),
    "SET_COLOR": Change(Lifx.set_color, "LIGHT_STATE"),
    "SET_WAVEFORM": Change(Lifx.set_waveform, "LIGHT_STATE"),
    "SET_WAVEFORM_OPTIONAL": Change(Lifx.set_waveform, "LIGHT_STATE"),
    "SET_LIGHT_POWER": Change(Lifx.set_power, "STATE_LIGHT_POWER"),
}


class LifxFollower(Follower):
    """A response has ``source`` and ``sequence`` of its request; there may be several to one."""

    def key(self, message: Message) -> tuple[int, int]:
        return message["source"], message["sequence"]

    def is_answer(self, message: Message, seen: Seen) -> bool:
        return message["type"] in (*STATES, "ACKNOWLEDGEMENT", "STATE_UNHANDLED")

    def answers(self, message: Message, seen: Seen, asked: Mark) -> str:
        acknowledges = message["type"] == "ACKNOWLEDGEMENT"
        return f"{'acknowledges' if acknowledges else 'answers'} {seen.after(asked)}"


PROTOCOL = Protocol(
    name="lifx",
    message=MESSAGE,
    port=56700,
    echo=["source", "sequence"],
    summary="{type} {label}{level}{port}",
    description="LIFX LAN: bulbs that are found, switched and colored",
    session=Lifx,
    model=Model,
    follower=LifxFollower,
)

BULB = bytes.fromhex("d073d5001337")
VECTORS = [
    # The example of "Encoding a packet": green, at full brightness.
    (
        """
        3100 0014 02000000 d073d5001337 0000 000000000000 02 01 0000000000000000 6600 0000
        00 5555 ffff ffff ac0d 00000000
        """,
        {
            "tagged": False,
            "source": 2,
            "target": BULB,
            "ack_required": True,
            "res_required": False,
            "sequence": 1,
            "type": "SET_COLOR",
            "hue": 119.998,
            "saturation": 1.0,
            "brightness": 1.0,
            "kelvin": 3500,
            "duration": 0,
        },
    ),
    # Others by lifx-async.
    (
        """
        24000034 4d000000 000000000000 0000 000000000000 01 01 0000000000000000 0200 0000
        """,
        {
            "tagged": True,
            "source": 77,
            "target": ALL,
            "ack_required": False,
            "res_required": True,
            "sequence": 1,
            "type": "GET_SERVICE",
        },
    ),
    (
        """
        29000014 4d000000 d073d5001337 0000 000000000000 00 01 0000000000000000 0300 0000
        017cdd0000
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 1,
            "type": "STATE_SERVICE",
            "service": "UDP",
            "port": 56700,
        },
    ),
    (
        """
        2a000014 4d000000 d073d5001337 0000 000000000000 03 03 0000000000000000 7500 0000
        ffffdc050000
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": True,
            "res_required": True,
            "sequence": 3,
            "type": "SET_LIGHT_POWER",
            "level": 65535,
            "duration": 1500,
        },
    ),
    (
        """
        3d000014 4d000000 d073d5001337 0000 000000000000 02 02 0000000000000000 7700 0000
        00015555ffff0080ac0de80300000000 20409cff0401000100
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": True,
            "res_required": False,
            "sequence": 2,
            "type": "SET_WAVEFORM_OPTIONAL",
            "transient": True,
            "hue": 119.998,
            "saturation": 1.0,
            "brightness": 0.50001,
            "kelvin": 3500,
            "period": 1000,
            "cycles": 2.5,
            "skew_ratio": -100,
            "waveform": "PULSE",
            "set_hue": True,
            "set_saturation": False,
            "set_brightness": True,
            "set_kelvin": False,
        },
    ),
    (
        """
        58000014 4d000000 d073d5001337 0000 000000000000 00 03 0000000000000000 6b00 0000
        5555ffff0080ac0d0000ffff4bc3bc63 68650000000000000000000000000000
        00000000000000000000000000000000 00000000
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 3,
            "type": "LIGHT_STATE",
            "hue": 119.998,
            "saturation": 1.0,
            "brightness": 0.50001,
            "kelvin": 3500,
            "power": 65535,
            "label": "Küche",
        },
    ),
    (
        """
        5c000014 4d000000 d073d5001337 0000 000000000000 00 03 0000000000000000 3500 0000
        000102030405060708090a0b0c0d0e0f 4c6f756e676500000000000000000000
        00000000000000000000000000000000 15cdfbdf85573416
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 3,
            "type": "STATE_GROUP",
            "group": b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f",
            "label": "Lounge",
            "updated_at": 1600000000123456789,
        },
    ),
    (
        """
        38000014 4d000000 d073d5001337 0000 000000000000 00 03 0000000000000000 0f00 0000
        15cdfbdf855734160000000000000000 5a000300
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 3,
            "type": "STATE_HOST_FIRMWARE",
            "build": 1600000000123456789,
            "version_minor": 90,
            "version_major": 3,
        },
    ),
]
