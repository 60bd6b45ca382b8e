"""A shortcut for what most gateways ask most of the time: a confirmable GET of a resource of the model, with
no option but its path, whose value fits into one message.

What is answered, and what is remembered in case the request comes again, is what `Coap` would answer and
remember; there is only no exchange made for it, and no message that is then encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .blocks import is_long
from .codec import MARKER, CoapCodec, pack_header
from .server import BARE, Coap, key_of

if TYPE_CHECKING:
    from collections.abc import Callable


def make_shortcut(codec: CoapCodec) -> Callable[[Coap, dict[str, Any], int, int], bytes | None]:
    head_of = codec.answers.head

    def answer(session: Coap, message: dict[str, Any], address: int, port: int) -> bytes | None:
        if len(message) != BARE or message["code"] != "GET" or message["type"] != "CON":
            return None
        model = session.model
        plain = model.plain.get(message["path"])
        if plain is None:
            return None
        cell, format_, age = plain
        payload = session.payload(cell, format_)
        head = head_of("ACK", "CONTENT", format_, age)
        if payload is None or head is None or is_long(payload, model.block_size):
            return None
        body: bytes = payload if isinstance(payload, bytes) else payload.encode()
        first, code, options, _ = head
        number, token = message["message_id"], message["token"]
        data: bytes = pack_header(first | len(token), code, number) + token + options
        if body:
            data += MARKER + body
        known = session.seen.setdefault(key_of(address, port, number), data, session.now)
        return data if known is data else None  # else it is a duplicate

    return answer
