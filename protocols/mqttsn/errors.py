"""Refusals, by return code (section 5.3.10): what answers a message has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .message import RETURN_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = tuple(name for name in RETURN_CODES if name != "ACCEPTED")
ANSWERS = {
    "CONNECT": ("CONNACK", ()),
    "REGISTER": ("REGACK", ("topic_id", "message_id")),
    "PUBLISH": ("PUBACK", ("topic_id", "message_id")),
    "SUBSCRIBE": ("SUBACK", ("message_id",)),
    "WILLTOPICUPD": ("WILLTOPICRESP", ()),
    "WILLMSGUPD": ("WILLMSGRESP", ()),
}
"""What has a return code, and what it repeats."""


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    kind, repeated = ANSWERS.get(request["kind"], ("", ()))
    if not kind:
        return None
    if kind == "PUBACK" and request["qos"] < 1 and name != "INVALID_TOPIC_ID":
        return None  # nobody waits for it (section 6.12)
    fields = {field: request.get(field, 0) for field in repeated}
    return {"kind": kind, **fields, "return_code": name}
