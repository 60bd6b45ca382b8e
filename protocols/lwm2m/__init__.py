"""LwM2M 1.1 (OMA LightweightM2M, TS Core and TS Transport 1.1.1) over CoAP. All numbers are big-endian.

A device registers with its server, which then reads it, writes to it, has it execute, and observes it. Rules
and behaviors see operations; below them runs `coap`, whose messages are those of the wire.

`message`       operations, the schema above CoAP, paths
`operations`    operations out of requests, responses out of answers (TS Transport, section 6.4)
`content`       values in the content formats (TS Core, section 7.4)
`tlv`, `senml`  two of these
`objects`       what is known of objects and resources (appendix E, and the IPSO objects)
`tree`          what a device has, and what is done to it (sections 6.3 and 7)
`attributes`    of notifications (sections 5.1.2 and 6.3.4)
`observe`       who is told of what (section 6.4)
`registration`  with a server (section 6.2)
`client`        `Lwm2m`, the session
`model`         what a scenario says of a device

Not there: bootstrap, several servers and what these need (access control is data alone), DTLS and OSCORE,
TCP, SMS and Non-IP transports, the JSON format of version 1.0, gateways (``/0/0/3/...``), the state machine
of firmware updates, and version 1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Errors
from iotsim.protocols import coap

from .client import Lwm2m
from .message import APPLICATION, ASKED
from .model import Model

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    return {"code": name} if request["operation"] in ASKED else None


PROTOCOL = coap.CoapProtocol(
    name="lwm2m",
    message=coap.MESSAGE,
    application=APPLICATION,
    port=5683,
    summary="{operation}{type} {code} {path} {value}{payload}",
    error_reply=coap.error_reply,
    errors=Errors(coap.ERRORS, refuse),
    description="LwM2M 1.1 over CoAP: a client that registers",
    session=Lwm2m,
    model=Model,
    follower=coap.CoapFollower,
)

VECTORS = coap.VECTORS
