"""The codec of CoAP: that of the schema, with a memory for what messages have in common.

The requests of a flow, and the answers to them, differ in message id, token and payload. So what the *head*
of a message means, which is its first two bytes and its options, is kept for those that have the same one.
What is not kept goes the way of the schema, and so does whatever is wrong.
"""

from __future__ import annotations

import struct
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim import DecodeError, EncodeError
from iotsim.protocol.codec import Codec

from .message import LARGEST_TOKEN
from .options import MARKER, PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from construct import Construct

    from iotsim.protocol.codec import Decode, Encode, Tell

    Message: TypeAlias = dict[str, Any]
    Head: TypeAlias = tuple[int, int, bytes, Message]
    """The first two bytes, the options, and what they show."""

MOST_KEPT = 1024
"""So many heads are kept, each way."""
LONGEST_KEPT = 256
"""In bytes."""
UNCHANGING = frozenset({str, int, bytes, bool})
"""The classes of what messages can have in common, and nobody can change."""
TEXT_OR_NONE = frozenset({str, type(None)})
FOUR = "type", "code", "message_id", "token"
four_of = itemgetter(*FOUR)
six_of = itemgetter(*FOUR, "payload", "content_format")
seven_of = itemgetter(*FOUR, "payload", "content_format", "max_age")
pack_header = struct.Struct(">BBH").pack


class CoapCodec(Codec):
    """As that of its schema, in all that it gives."""

    def __init__(self, message: Construct[Any, Any], strict: bool = True) -> None:
        super().__init__(message, strict)
        answers = Answers(self.encode, self.decode)
        self.decode = keeping_decoder(self.decode)
        self.encode = answers.encode
        self.answers = answers

    @cached_property
    def tell(self) -> Tell:
        return self.answers.tell


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


class Answers:
    """Encodes messages, and tells what they show; `encode` and `decode` are the schema's.

    Kept are the heads of what most answers are: those with no options, and those with a payload, its format
    by name, and perhaps an age.
    """

    def __init__(self, encode: Encode, decode: Decode) -> None:
        self._encode = encode
        self._decode = decode
        self.kept: dict[tuple[Any, ...], Head] = {}

    def encode(self, message: Mapping[str, Any], device: Any = None, /) -> bytes:
        made = self._made(message)
        return self._encode(message, device) if made is None else made[0]

    def tell(
        self, message: Mapping[str, Any], device: Any = None, /
    ) -> tuple[bytes, Mapping[str, Any]]:
        made = self._made(message)
        if made is None:
            data = self._encode(message, device)
            try:
                return data, self._decode(data, device)
            except DecodeError:
                return data, message
        data, shows, number, token, body, payload = made
        told = shows.copy()
        told["token_length"] = len(token)
        told["message_id"] = number
        told["token"] = token
        if body:
            printable = payload.__class__ is str and payload.isprintable()
            told["payload"] = payload if printable else PAYLOAD.decode(body)
        return data, told

    def _made(
        self, message: Mapping[str, Any]
    ) -> tuple[bytes, Message, int, bytes, bytes, Any] | None:
        """The bytes of `message`, what its head shows, its message id and token, its payload in bytes and as
        it is; None if its head is not one to be kept, or anything about it is not as it should be."""
        count, payload, format_, age = len(message), "", None, None
        try:
            if count == 6:
                kind, code, number, token, payload, format_ = six_of(message)
            elif count == 7:
                kind, code, number, token, payload, format_, age = seven_of(message)
                if age.__class__ is not int:
                    return None
            elif count == 4:
                kind, code, number, token = four_of(message)
            else:
                return None
            head = self.head(kind, code, format_, age)
            body = payload.encode() if payload.__class__ is str else payload
            if (
                head is None
                or body.__class__ is not bytes
                or number.__class__ is not int
                or token.__class__ is not bytes
                or len(token) > LARGEST_TOKEN
            ):
                return None
            first, code, options, shows = head
            data = pack_header(first | len(token), code, number) + token + options
        except (KeyError, TypeError, UnicodeEncodeError, struct.error):
            return None
        return data + MARKER + body if body else data, shows, number, token, body, payload

    def head(self, kind: Any, code: Any, format_: Any, age: Any) -> Head | None:
        """The head of such an answer; None if it is not one to be kept."""
        return self.kept.get((kind, code, format_, age)) or self._learn(kind, code, format_, age)

    def _learn(self, kind: Any, code: Any, format_: Any, age: Any) -> Head | None:
        if not (kind.__class__ is code.__class__ is str) or format_.__class__ not in TEXT_OR_NONE:
            return None  # what is no text may equal what is none either, as True does 1
        message = {"type": kind, "code": code, "content_format": format_, "max_age": age}
        try:
            data = self._encode(message)
            head = data[0], data[1], data[4:], self._decode(data)
        except (DecodeError, EncodeError):
            return None
        if not data[1]:
            return None  # an empty message has neither token nor payload
        if len(self.kept) >= MOST_KEPT:
            self.kept.clear()
        self.kept[kind, code, format_, age] = head
        return head
