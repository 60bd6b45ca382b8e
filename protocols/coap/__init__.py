"""CoAP (RFC 7252), with observe (RFC 7641), block-wise transfers (RFC 7959), discovery (RFC 6690), FETCH and
PATCH (RFC 8132) and the response code 4.29 (RFC 8516). All numbers are big-endian.

A device is a server and a client. Rules and behaviors see requests and responses, once each and with whole
bodies; its session does the rest: it acknowledges, answers duplicates again, repeats what is not
acknowledged, answers late in a message of its own, puts bodies together and cuts them, keeps observers, and
is found by multicast.

`codes`           codes and content formats, by their names (RFC 7252, section 12)
`options`         options and payload (section 3.1)
`message`         the schema (section 3)
`codec`           what messages have in common, kept
`transmission`    confirmable messages, until they are acknowledged (section 4)
`server`          `Coap`, the session: requests, and how they are answered (section 5)
`exchange`        a request that came
`served`          what requests do to resources, and what is answered (section 5.8)
`shortcut`        the commonest request, answered in one step
`client`          requests of the device's own
`notifications`   what it observes, for code that reads that one by one
`observe`         its observers (RFC 7641)
`blocks`          bodies in blocks (RFC 7959)
`links`           ``/.well-known/core`` (RFC 6690)
`representation`  values in a content format
`model`           what a scenario says of a device
`follower`        what messages are to each other, for who reads a capture

Also understood: No-Response (RFC 7967) and Hop-Limit (RFC 8768). Not there: proxies, caches, OSCORE, DTLS,
CoAP over TCP, the freshness of Echo (RFC 9175), Q-Block (RFC 9177), PROBING_RATE.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from iotsim import Errors, Protocol

from .codec import CoapCodec
from .codes import ERRORS, METHODS
from .follower import CoapFollower
from .message import MESSAGE, error_reply
from .model import Model
from .server import Coap
from .shortcut import answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.protocol.definition import Shortcut

__all__ = [
    "ERRORS",
    "MESSAGE",
    "PROTOCOL",
    "VECTORS",
    "Coap",
    "CoapFollower",
    "CoapProtocol",
    "Model",
    "error_reply",
]


class CoapProtocol(Protocol):
    """A protocol with messages of CoAP on the wire."""

    @cached_property
    def codec(self) -> CoapCodec:
        return CoapCodec(self.message, strict=self.strict)

    @cached_property
    def shortcut(self) -> Shortcut | None:
        # Who derives the session, or has a schema of its own, may answer otherwise.
        if self.session is not Coap or self.message is not MESSAGE:
            return None
        return answer


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"code": name} if request["code"] in METHODS else None


PROTOCOL = CoapProtocol(
    name="coap",
    message=MESSAGE,
    port=5683,
    summary="{type} {code} {path} {payload} id={message_id} token={token}",
    error_reply=error_reply,
    errors=Errors(ERRORS, refuse),
    description="CoAP, with observe, blocks and discovery",
    session=Coap,
    model=Model,
    groups=["224.0.1.187", "ff02::fd", "ff05::fd"],
    follower=CoapFollower,
)

VECTORS = [
    # RFC 7252, appendix A, figure 16
    (
        "40 01 7d34 bb 74656d7065726174757265",
        {"type": "CON", "code": "GET", "message_id": 0x7D34, "path": "/temperature"},
    ),
    (
        "60 45 7d34 ff 32322e332043",
        {"type": "ACK", "code": "CONTENT", "message_id": 0x7D34, "payload": "22.3 C"},
    ),
    # figure 17: with a token
    (
        "41 01 7d35 20 bb 74656d7065726174757265",
        {"code": "GET", "message_id": 0x7D35, "token": b"\x20", "path": "/temperature"},
    ),
    (
        "61 45 7d35 20 ff 32322e332043",
        {"type": "ACK", "code": "CONTENT", "message_id": 0x7D35, "token": b"\x20"}
        | {"payload": "22.3 C"},
    ),
    ("70 00 1235", {"type": "RST", "code": "EMPTY", "message_id": 0x1235}),
    # A notification in blocks (RFC 7641 and 7959): ETag, Observe, Content-Format, Max-Age, Block2, Size2.
    (
        "44 45 0001 deadbeef 42 6162 21 01 61 32 21 1e 91 1e 52 0800 ff 00ff",
        {
            "message_id": 1,
            "token": b"\xde\xad\xbe\xef",
            "code": "CONTENT",
            "etag": [b"ab"],
            "observe": 1,
            "content_format": "application/json",
            "max_age": 30,
            "block2": {"number": 1, "more": True, "size": 1024},
            "size2": 2048,
            "payload": b"\x00\xff",
        },
    ),
    # Options with heads of all forms (section 3.1), the last one unknown.
    (
        """
        50 02 0002 39 6c6f63616c686f7374 82 6465 11 32 33 663d31 d1 20 07 d1 b9 1a
        ed fbda 01 000102030405060708090a0b0c0d ff 7b7d
        """,
        {
            "type": "NON",
            "code": "POST",
            "message_id": 2,
            "uri_host": "localhost",
            "path": "/de",
            "content_format": "application/json",
            "query": ["f=1"],
            "size1": 7,
            "no_response": 26,
            "options": [{"number": 65001, "value": bytes(range(14))}],
            "payload": "{}",
        },
    ),
]
