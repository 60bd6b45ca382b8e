"""Refusals: the status of what answers a request about a connection (3/8/2, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .message import STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = tuple(str(name) for name in STATUS.encmapping if name != "E_NO_ERROR")
ANSWERS = {
    "CONNECTIONSTATE_REQUEST": "CONNECTIONSTATE_RESPONSE",
    "DISCONNECT_REQUEST": "DISCONNECT_RESPONSE",
    "TUNNELLING_REQUEST": "TUNNELLING_ACK",
    "DEVICE_CONFIGURATION_REQUEST": "DEVICE_CONFIGURATION_ACK",
}


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    service = request["service"]
    if service == "CONNECT_REQUEST":
        return {"service": "CONNECT_RESPONSE", "channel": 0, "status": name}
    answer = ANSWERS.get(service)
    if answer is None:
        return None
    repeated = {field: request[field] for field in ("channel", "sequence") if field in request}
    return {"service": answer, **repeated, "status": name}
