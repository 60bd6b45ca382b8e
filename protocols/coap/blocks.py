"""Bodies in blocks (RFC 7959): those that are put together, and those that are cut.

What is kept of them is bounded: `MOST_BODIES` each way for a device, each at most the model's ``body_limit``,
for as long as an exchange may last, from the latest block on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Recent

from .options import LARGEST_BLOCK
from .representation import etag_of, to_bytes, to_payload

if TYPE_CHECKING:
    from iotsim import Peer

    from .model import Model

    Message = dict[str, Any]

MOST_BODIES = 4


def transfer_of(message: Message, peer: Peer) -> tuple[Any, ...]:
    """What the requests for, or with, the blocks of one body have in common (section 2.4, 2.5)."""
    return (
        peer.address,
        peer.port,
        message["code"],
        message["path"],
        message.get("accept"),
        *message.get("query", ()),
        *message.get("request_tag", ()),
    )


def is_long(payload: Any, size: int) -> bool:
    """Whether a payload takes more than ``size`` bytes."""
    if payload.__class__ is str:
        return len(payload) > size or (4 * len(payload) > size and len(payload.encode()) > size)
    return isinstance(payload, (bytes, bytearray)) and len(payload) > size


def is_possible(message: Message) -> bool:
    """Whether the block options of a request can be (section 2.2: the exponent 7 is reserved)."""
    sizes = [message[name]["size"] for name in ("block1", "block2") if name in message]
    return max(sizes, default=0) <= LARGEST_BLOCK


class Uploads:
    """Bodies of requests, which come block by block (section 2.5)."""

    __slots__ = ("_bodies", "_model")

    def __init__(self, model: Model) -> None:
        self._model = model
        self._bodies: Recent[Any, bytearray] = Recent(model.exchange_lifetime, MOST_BODIES)

    def add(self, message: Message, peer: Peer, now: float) -> tuple[Message | None, Message]:
        """Add a block, or one that has come before. The answer to it, or None and the whole request if it was
        the last."""
        block, limit = message["block1"], self._model.body_limit
        part, number, size = to_bytes(message["payload"]), block["number"], block["size"]
        key = transfer_of(message, peer)
        if message.get("size1", 0) > limit:
            return {"code": "REQUEST_ENTITY_TOO_LARGE", "size1": limit}, message
        if len(part) > size or (block["more"] and len(part) != size):
            return {"code": "BAD_REQUEST"}, message
        if number == 0:
            self._bodies.pop(key)
            body: bytearray | None = bytearray()
        else:
            body = self._bodies.get(key, now)
        start = number * size
        is_again = body is not None and start < len(body) and block["more"]
        if body is None or (len(body) != start and not is_again):
            return {"code": "REQUEST_ENTITY_INCOMPLETE", "block1": block}, message
        if start + len(part) > limit:
            self._bodies.pop(key)
            return {"code": "REQUEST_ENTITY_TOO_LARGE", "block1": block, "size1": limit}, message
        body[start : start + len(part)] = part
        if block["more"]:
            self._bodies.renew(key, body, now)
            return {
                "code": "CONTINUE",
                "block1": {**block, "size": min(size, self._model.block_size)},
            }, message
        self._bodies.pop(key)
        whole = {name: value for name, value in message.items() if name != "block1"}
        whole["payload"] = to_payload(bytes(body))
        return None, whole


class Downloads:
    """Bodies of responses, which are fetched block by block (section 2.4)."""

    __slots__ = ("_bodies", "_model")

    def __init__(self, model: Model) -> None:
        self._model = model
        self._bodies: Recent[Any, tuple[Message, bytes]] = Recent(
            model.exchange_lifetime, MOST_BODIES
        )

    def cut(self, answer: Message, request: Message, peer: Peer, now: float) -> Message:
        """The block of an answer that a request asks for; its further ones are kept for those to come."""
        body = to_bytes(answer.get("payload", ""))
        if is_long(body, self._size(request)):
            answer.setdefault("etag", [etag_of(body, answer.get("content_format", ""))])
            kept = ("observe", "token", "type", "message_id", "block1")
            rest = {name: value for name, value in answer.items() if name not in kept}
            key = transfer_of(request, peer)
            self._bodies.renew(key, (rest, body), now)
        return self._block(answer, body, request)

    def next(self, request: Message, peer: Peer, now: float) -> Message | None:
        """The answer to a request for a further block; None if it is none, or there is no such body."""
        if "block2" not in request or not request["block2"]["number"]:
            return None
        key = transfer_of(request, peer)
        kept = self._bodies.get(key, now)
        if kept is None:
            return None
        self._bodies.renew(key, kept, now)
        return self._block(*kept, request)

    def _size(self, request: Message) -> int:
        own: int = self._model.block_size
        return min(own, request["block2"]["size"]) if "block2" in request else own

    def _block(self, answer: Message, body: bytes, request: Message) -> Message:
        size = self._size(request)
        start = 0
        if "block2" in request:
            start = request["block2"]["number"] * request["block2"]["size"]
        if start and start >= len(body):
            return {"code": "BAD_REQUEST"}
        end = start + size
        block = {"number": start // size, "more": end < len(body), "size": size}
        answer = {**answer, "payload": body[start:end], "block2": block}
        if "size2" in request:
            answer["size2"] = len(body)
        return answer
