"""Messages above CoAP: the operations of LwM2M, and the paths that they are about (TS Core, section 6)."""

from __future__ import annotations

from typing import Any, TypeAlias

from construct import Default, Enum, Int8ub, Int16ub, PascalString, Struct, Switch, this

from iotsim import Cbor, FlatStruct
from iotsim.protocols.coap.codes import RESPONSES

Message: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[int, ...]
"""Ids of an object, an instance, a resource and a resource instance, as far as they go."""

ASKED = (
    "READ",
    "WRITE",
    "WRITE_UPDATE",
    "WRITE_ATTRIBUTES",
    "DISCOVER",
    "EXECUTE",
    "CREATE",
    "DELETE",
    "OBSERVE",
    "CANCEL_OBSERVE",
    "READ_COMPOSITE",
    "WRITE_COMPOSITE",
    "OBSERVE_COMPOSITE",
    "CANCEL_OBSERVE_COMPOSITE",
)
"""What a server asks of a device (sections 6.3 and 6.4)."""
SAID = ("REGISTER", "UPDATE", "DEREGISTER", "SEND", "NOTIFY")
"""What a device says by itself (sections 6.2 and 6.4)."""
OPERATIONS = {name: number for number, name in enumerate(("RESPONSE", *ASKED, *SAID))}
LARGEST_ID = 65534
"""65535 is reserved (section 7.1)."""
DEEPEST = 4

CODE = Struct("code" / Default(Enum(Int8ub, **RESPONSES), "CONTENT"))
APPLICATION = FlatStruct(
    "operation" / Default(Enum(Int8ub, **OPERATIONS), "RESPONSE"),
    Switch(
        this.operation,
        {
            **dict.fromkeys(OPERATIONS, Struct()),
            **dict.fromkeys(("RESPONSE", "NOTIFY"), CODE),
        },
    ),
    "path" / Default(PascalString(Int16ub, "utf8"), "") * "/object/instance/resource/instance",
    "value" / Default(Cbor(), None) * "a resource's, or a table of what is at the path, by ids",
)


class Carrier(dict[str, Any]):
    """A message of CoAP, and the one above that it carries."""

    __slots__ = ("carries",)

    def __init__(self, message: Message, carries: Message | None) -> None:
        super().__init__(message)
        self.carries = carries


class RefusedError(Exception):
    """A request that cannot be served: its response is an error's ``code``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def path_of(text: str) -> Path | None:
    """The ids of a path, None if it is none of LwM2M's."""
    if text in ("", "/"):
        return ()
    steps = text.removeprefix("/").split("/")
    if len(steps) > DEEPEST:
        return None
    ids = tuple(int(step) for step in steps if is_id(step))
    return ids if len(ids) == len(steps) else None


def is_id(text: str) -> bool:
    """Whether it is an id as it is written in paths: no sign, no zeros before it."""
    return (
        text.isascii()
        and text.isdecimal()
        and len(text) < 6
        and int(text) <= LARGEST_ID
        and (text[0] != "0" or text == "0")
    )


def text_of(path: Path) -> str:
    return "/" + "/".join(map(str, path))
