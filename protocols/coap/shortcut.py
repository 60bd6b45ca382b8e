"""A shortcut for what most gateways ask most of the time: a confirmable GET of a resource of the model, with
no option but its path, whose value fits into one message.

What is answered, and what is remembered in case the request comes again, is what `Coap` would answer and
remember; there is only no exchange made for it, and no message that is then encoded.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim import Protocol

from .blocks import is_long
from .codec import MARKER, CoapCodec, pack_header
from .message import MESSAGE
from .server import BARE, Coap, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.protocol.codec import Codec, Encode
    from iotsim.protocol.definition import Shortcut

    Head: TypeAlias = tuple[int, int, bytes]
    """The first byte, less the length of the token; the code; the options."""


class CoapProtocol(Protocol):
    """A protocol with messages of CoAP on the wire."""

    @cached_property
    def codec(self) -> Codec:
        return CoapCodec(self.message, strict=self.strict)

    @cached_property
    def shortcut(self) -> Shortcut | None:
        # Those that derive their session, or have a schema of their own, may answer otherwise.
        if self.session is not Coap or self.message is not MESSAGE:
            return None
        return make_shortcut(self.codec.encode)


def make_shortcut(encode: Encode) -> Callable[[Coap, dict[str, Any], int, int], bytes | None]:
    heads: dict[tuple[str | int, int | None], Head] = {}

    def learn(format_: str | int, age: int | None) -> Head:
        answer = {"type": "ACK", "code": "CONTENT", "content_format": format_, "max_age": age}
        data = encode(answer)
        head = heads[format_, age] = data[0], data[1], data[4:]
        return head

    def answer(session: Coap, message: dict[str, Any], address: int, port: int) -> bytes | None:
        if len(message) != BARE or message["code"] != "GET" or message["type"] != "CON":
            return None
        model = session.model
        plain = model.plain.get(message["path"])
        if plain is None:
            return None
        cell, format_, age = plain
        payload = session.payload(cell, format_)
        if payload is None or is_long(payload, model.block_size):
            session.early = message, payload
            return None
        body: bytes = payload if isinstance(payload, bytes) else payload.encode()
        first, code, options = heads.get((format_, age)) or learn(format_, age)
        number, token = message["message_id"], message["token"]
        data: bytes = pack_header(first | len(token), code, number) + token + options
        if body:
            data += MARKER + body
        known = session.seen.setdefault(key_of(address, port, number), data, session.now)
        return data if known is data else None  # else it is a duplicate

    return answer
