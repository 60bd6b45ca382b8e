"""`Lifx`, the session: a bulb."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import Peer, Session

from .message import LABEL_SIZE, TARGET_SIZE, TYPES
from .model import RANGES

if TYPE_CHECKING:
    from collections.abc import Callable

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
    def label(self) -> str | bytes:
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
        identity = hashlib.blake2b(f"{name} {label!s}".encode(), digest_size=16).digest()
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


def clipped(label: Any) -> str | bytes:
    if isinstance(label, bytes):
        return label[:LABEL_SIZE]
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
