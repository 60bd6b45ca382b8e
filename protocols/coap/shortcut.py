"""A shortcut for what most gateways ask most of the time: a confirmable GET of a resource of the model, with
no option but its path, whose value fits into one message.

What is answered, and what is remembered in case the request comes again, is what `Coap` would answer and
remember; there is only no exchange made for it, and no message that is then encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codec import MARKER, CoapCodec, pack_header
from .exchange import key_of
from .message import BARE
from .representation import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server import Coap


def make_shortcut(codec: CoapCodec) -> Callable[[Coap, dict[str, Any], int, int], bytes | None]:
    kept, head_of = codec.answers.kept, codec.answers.head

    def answer(session: Coap, message: dict[str, Any], address: int, port: int) -> bytes | None:
        if len(message) != BARE or message["code"] != "GET" or message["type"] != "CON":
            return None
        model = session.model
        plain = model.plain.get(message["path"])
        if plain is None:
            return None
        cell, looks = plain
        head = kept.get(looks) or head_of(*looks)
        payload = session.read(cell)
        if payload.__class__ is not str:
            if payload is None:
                return None
            payload = render(payload, looks[2])
        body: bytes = payload if isinstance(payload, bytes) else payload.encode()
        if head is None or len(body) > model.block_size:
            return None
        first, code, options, _ = head
        number, token = message["message_id"], message["token"]
        data: bytes = pack_header(first | len(token), code, number) + token + options
        if body:
            data += MARKER + body
        seen = session.remember_confirmable() if session.seen is None else session.seen
        known = seen.setdefault(key_of(address, port, number), data, session.now)
        return data if known is data else None  # else it is a duplicate

    return answer
