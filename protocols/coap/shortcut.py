"""A shortcut for what most gateways ask most of the time: a confirmable GET of a resource of the model, with
no option but its path, whose value fits into one message.

What is answered, and what is remembered in case the request comes again, is what `Coap` would answer and
remember; there is only no exchange made for it, and no message that is then encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codec import pack_header
from .codes import RESPONSES
from .message import BARE
from .representation import render

if TYPE_CHECKING:
    from .server import Coap

FIRST = 0b0110_0000
"""The first byte of an acknowledgment with an empty token."""
CONTENT = RESPONSES["CONTENT"]


def answer(session: Coap, message: dict[str, Any], address: int, port: int) -> bytes | None:
    """The answer to a message; None if it is none of these, or has come before."""
    if len(message) != BARE or message["code"] != "GET" or message["type"] != "CON":
        return None
    model = session.model
    plain = model.plain.get(message["path"])
    if plain is None:
        return None
    cell, format_, between = plain
    payload = session.read(cell)
    if payload.__class__ is not str:
        if payload is None:
            return None
        payload = render(payload, format_)
    body: bytes = payload if isinstance(payload, bytes) else payload.encode()
    if len(body) > model.block_size:
        return None
    number, token = message["message_id"], message["token"]
    data: bytes = pack_header(FIRST | len(token), CONTENT, number) + token + between + body
    if not body:
        data = data[:-1]  # the marker is one of a payload
    seen = session.remember_confirmable() if session.seen is None else session.seen
    key = address << 32 | port << 16 | number  # as `key_of`, for which a call is saved
    known = seen.setdefault(key, data, session.now)
    return data if known is data else None  # else it is a duplicate
