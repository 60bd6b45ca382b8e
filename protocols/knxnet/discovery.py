"""What a device tells of itself when it is searched, or described (3/8/2, sections 4.2 and 7.5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .properties import APDU_LENGTH, DESCRIPTOR
from .routing import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .server import Knxnet

FOUND = ("DEVICE_INFO", "SUPP_SVC_FAMILIES")
FOUND_EXTENDED = (*FOUND, "EXTENDED_DEVICE_INFO")


def is_selected(session: Knxnet, parameter: dict[str, Any]) -> bool:
    """Whether a device is one of those that are searched. What is not known selects, unless it must not be
    passed over."""
    kind = parameter["type"]
    if kind == "SELECT_BY_PROGRAMMING_MODE":
        return session.programming
    if kind == "SELECT_BY_MAC_ADDRESS":
        return bool(parameter["mac"] == session.mac)
    if kind == "SELECT_BY_SERVICE":
        versions = {one["family"]: one["version"] for one in families(session)}
        return bool(versions.get(parameter["family"], -1) >= parameter["version"])
    return not parameter["mandatory"]


def families(session: Knxnet) -> list[dict[str, Any]]:
    """The services that it has, in their versions."""
    names = ["CORE", "DEVICE_MANAGEMENT", "TUNNELLING"]
    names += ["ROUTING"] if session.model.routing else []
    return [{"family": name, "version": 1} for name in names]


def dibs(session: Knxnet, wanted: Iterable[Any]) -> list[dict[str, Any]]:
    """The description information blocks that are wanted, of those that it has."""
    known: dict[Any, Callable[[], dict[str, Any]]] = {
        "DEVICE_INFO": lambda: device_info(session),
        "SUPP_SVC_FAMILIES": lambda: {"families": families(session)},
        "KNX_ADDRESSES": lambda: {"addresses": [session.individual, *session.tunnel_addresses]},
        "TUNNELLING_INFO": lambda: tunnelling_info(session),
        "EXTENDED_DEVICE_INFO": lambda: {
            "medium_status": 0,
            "max_apdu_length": APDU_LENGTH,
            "device_descriptor": DESCRIPTOR,
        },
    }
    return [{"type": name, **known[name]()} for name in wanted if name in known]


def device_info(session: Knxnet) -> dict[str, Any]:
    return {
        "medium": "IP",
        "programming_mode": session.programming,
        "individual": session.individual,
        "serial": session.serial,
        "multicast": GROUP if session.model.routing else "0.0.0.0",
        "mac": session.mac,
        "name": session.name.decode("latin-1"),
    }


def tunnelling_info(session: Knxnet) -> dict[str, Any]:
    used = session.used_addresses
    slots = [
        {"individual": one, "usable": True, "authorised": True, "free": one not in used}
        for one in session.tunnel_addresses
    ]
    return {"max_apdu_length": APDU_LENGTH, "slots": slots}
