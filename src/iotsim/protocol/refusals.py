"""`Errors`: the error replies that a protocol has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]
Refuse = Callable[[str, Message], Message | None]


@dataclass(frozen=True, eq=False)
class Errors:
    """What a device may say in place of what it was asked for.

    ``names``    what they are called: mostly as the enumeration of the schema has them
    ``reply``    (name, request) -> the reply, or None if this request has no such answer: what is no
                 request has none. What the protocol echoes need not be in it
    ``on_wire``  whether the requests are those on the wire, and are answered past the session, which never
                 gets them; else they are what rules would be asked, and the session sends the reply
    """

    names: tuple[str, ...]
    reply: Refuse
    on_wire: bool = False

    def __init__(self, names: Iterable[str], reply: Refuse, *, on_wire: bool = False) -> None:
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "reply", reply)
        object.__setattr__(self, "on_wire", on_wire)
