"""The fields of messages: on the wire, and above the session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from construct import (
    Default,
    Enum,
    Flag,
    GreedyBytes,
    GreedyString,
    Int8sb,
    Int8ub,
    Int16ub,
    PascalString,
    Struct,
    Switch,
    this,
)

from iotsim import FlatStruct, Native, Payload

from .message import LAYOUTS, PROTOCOL_ID, RETURN_CODES, TOPIC_ID_TYPES, TYPES, read, write

if TYPE_CHECKING:
    from .message import Layout

    Message = dict[str, Any]

TEXT = GreedyString("utf8")
CODE = Enum(Int8ub, **RETURN_CODES)
DECLARED: dict[str, Any] = {
    "dup": Default(Flag, False) * "it was sent before",
    "qos": Default(Int8sb, 0) * "-1, 0, 1 or 2; -1 needs no connection",
    "retain": Default(Flag, False),
    "will": Default(Flag, False) * "WILLTOPIC and WILLMSG are to be asked for",
    "clean_session": Default(Flag, False),
    "topic_id_type": Default(Enum(Int8ub, **TOPIC_ID_TYPES), "NORMAL"),
    "gateway_id": Int8ub,
    "radius": Default(Int8ub, 0) * "hops; 0 is all of the network",
    "duration": Int16ub * "in seconds",
    "protocol_id": Default(Int8ub, PROTOCOL_ID),
    "topic_id": Default(Int16ub, 0),
    "message_id": Default(Int16ub, 0),
    "return_code": Default(CODE, "ACCEPTED"),
    "gateway_address": Default(GreedyBytes, b""),
    "client_id": Default(TEXT, ""),
    "topic": Default(TEXT, ""),
    "will_topic": Default(TEXT, ""),
    "will_message": Default(Payload(), ""),
    "data": Default(Payload(), ""),
}


def _declared(kind: str, layout: Layout) -> Any:
    names = [name for name in (*layout.flags, *layout.fixed, layout.rest) if name]
    if "topic_id_type" in names:
        names = list(dict.fromkeys([*names, "topic_id", "topic"]))
    fields = {name: DECLARED[name] for name in names}
    if kind == "DISCONNECT":
        fields["duration"] = Default(Int16ub, 0) * "in seconds, of a client that goes to sleep"
    return Struct(*(name / field for name, field in fields.items()))


MESSAGE = FlatStruct(
    Native(
        read,
        write,
        lua=Path(__file__).with_name("message.lua"),
        like=FlatStruct(
            "kind" / Enum(Int8ub, **TYPES),
            Switch(
                this.kind,
                {kind: _declared(kind, layout) for kind, layout in LAYOUTS.items()}
                | {
                    "ENCAPSULATED": Struct(
                        "radius" / Default(Int8ub, 0),
                        "node" / GreedyBytes * "the address of a client behind a forwarder",
                        "message" / GreedyBytes * "the client's, or for it",
                    )
                },
            ),
        ),
    )
)
_NAME = PascalString(Int16ub, "utf8")
_SAID: dict[str, tuple[Any, Any]] = {
    "client_id": (_NAME * "of a client, at a gateway", ""),
    "topic": (_NAME * "its name, however it went", ""),
    "qos": (Int8sb * "-1, 0, 1 or 2", 0),
    "retain": (Flag, False),
    "return_code": (CODE, "ACCEPTED"),
    "data": (Payload(), ""),
}
"""The fields of messages above the session, and their defaults."""
_PUBLICATION = ("topic", "qos", "retain", "data")
_ANSWER = ("topic", "qos", "return_code")
SAID = {
    "CONNECT": (),
    "CONNACK": ("return_code",),
    "REGISTER": ("topic",),
    "REGACK": ("topic", "return_code"),
    "PUBLISH": _PUBLICATION,
    "PUBACK": _ANSWER,
    "SUBSCRIBE": ("topic", "qos"),
    "SUBACK": _ANSWER,
    "UNSUBSCRIBE": ("topic",),
    "UNSUBACK": ("topic",),
    "DISCONNECT": (),
    "WILLTOPICUPD": ("topic", "qos", "retain"),
    "WILLTOPICRESP": ("return_code",),
    "WILLMSGUPD": ("data",),
    "WILLMSGRESP": ("return_code",),
}
"""What messages above the session have, besides the client id."""
APPLICATION = FlatStruct(
    "kind" / Enum(Int8ub, **{kind: TYPES[kind] for kind in SAID}),
    "client_id" / Default(*_SAID["client_id"]),
    Switch(
        this.kind,
        {
            kind: Struct(*(name / Default(*_SAID[name]) for name in names))
            for kind, names in SAID.items()
        },
    ),
)


def told(kind: str, client_id: str = "", **fields: Any) -> Message:
    """A message above the session, with all its fields, of those that are given."""
    message: Message = {"kind": kind, "client_id": client_id}
    for name in SAID[kind]:
        message[name] = fields[name] if name in fields else _SAID[name][1]
    return message
