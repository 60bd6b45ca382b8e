"""The codec of CoAP: that of the schema, with a memory for what messages have in common.

The requests of a flow, and the answers to them, differ in message id, token and payload. So what the *head*
of a message means, which is its first two bytes and its options, is kept for those that have the same one.
What is not kept goes the way of the schema, and so does whatever is wrong.
"""

from __future__ import annotations

from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim import EncodeError, Protocol
from iotsim.protocol.codec import Codec

from .message import LARGEST_TOKEN, PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from construct import Construct

    from iotsim.protocol.codec import Decode, Encode, Tell

    Message: TypeAlias = dict[str, Any]

MOST_KEPT = 1024
"""So many heads are kept, each way."""
LONGEST_KEPT = 256
"""In bytes."""
MARKER = b"\xff"
UNCHANGING = frozenset({str, int, bytes, bool})
"""The classes of what messages can have in common, and nobody can change."""
TEXT_OR_NONE = frozenset({str, type(None)})
pack_header = Struct(">BBH").pack


class CoapCodec(Codec):
    """As that of its schema, in all that it gives."""

    def __init__(self, message: Construct[Any, Any], strict: bool = True) -> None:
        super().__init__(message, strict)
        self.decode = keeping_decoder(self.decode)
        self.encode = keeping_encoder(self.encode)

    @cached_property
    def tell(self) -> Tell:
        return self._encode_and_decode  # what was just encoded is soon decoded


class CoapProtocol(Protocol):
    """A protocol with messages of CoAP on the wire."""

    @cached_property
    def codec(self) -> Codec:
        return CoapCodec(self.message, strict=self.strict)


def keeping_decoder(decode: Decode) -> Decode:
    """`decode`, which keeps what messages without a payload are, by their heads.

    Where the bytes before the first marker are a whole head, that is the marker before the payload, as it
    cannot begin an option; those that end within an option are no head of any message.
    """
    kept: dict[bytes, Message] = {}

    def learn(head: bytes, payload: bytes, message: Message) -> None:
        if len(head) > LONGEST_KEPT or not UNCHANGING.issuperset(map(type, message.values())):
            return
        if payload:
            if message.get("payload") != PAYLOAD.decode(payload):
                return  # that marker was a part of an option
            message = {**message, "payload": ""}
        if len(kept) >= MOST_KEPT:
            kept.clear()
        kept[head] = message.copy()

    def decode_kept(data: bytes, device: Any = None, /) -> Message:
        if data.__class__ is not bytes or len(data) < 4:
            return decode(data, device)
        at = 4 + (data[0] & 15)
        options, marker, payload = data[at:].partition(MARKER)
        head = data[:2] + options
        known = kept.get(head)
        if known is None or at > len(data) or (marker and not (payload and data[1])):
            message = decode(data, device)
            learn(head, payload, message)
            return message
        message = known.copy()
        message["message_id"] = data[2] << 8 | data[3]
        message["token"] = data[4:at]
        if payload:
            message["payload"] = PAYLOAD.decode(payload)
        return message

    return decode_kept


def keeping_encoder(encode: Encode) -> Encode:
    """`encode`, which keeps the heads of messages that have no options but a format's name and an age."""
    kept: dict[tuple[Any, ...], tuple[int, int, bytes]] = {}

    def learn(kind: Any, code: Any, format_: Any, age: Any) -> tuple[int, int, bytes] | None:
        if not (kind.__class__ is code.__class__ is str) or format_.__class__ not in TEXT_OR_NONE:
            return None
        message = {"type": kind, "code": code, "content_format": format_, "max_age": age}
        try:
            data = encode(message)
        except EncodeError:
            return None
        if len(kept) >= MOST_KEPT:
            kept.clear()
        head = kept[kind, code, format_, age] = data[0], data[1], data[4:]
        return head

    def encode_kept(message: Mapping[str, Any], device: Any = None, /) -> bytes:
        get = message.get
        number, token, payload = get("message_id"), get("token"), get("payload")
        format_, age = get("content_format"), get("max_age")
        if (
            len(message) == 4 + (payload is not None) + (format_ is not None) + (age is not None)
            and number.__class__ is int
            and 0 <= number <= 0xFFFF
            and token.__class__ is bytes
            and len(token) <= LARGEST_TOKEN
            and (age is None or age.__class__ is int)
        ):
            try:
                key = get("type"), get("code"), format_, age
                head = kept.get(key) or learn(*key)
                if head is not None:
                    first, code, options = head
                    before = pack_header(first | len(token), code, number) + token + options
                    if payload is None:
                        return before
                    if payload.__class__ is str:
                        payload = payload.encode()
                    if payload.__class__ is bytes:
                        return before + MARKER + payload if payload else before
            except (TypeError, UnicodeEncodeError):
                pass  # which the schema tells better
        return encode(message, device)

    return encode_kept
