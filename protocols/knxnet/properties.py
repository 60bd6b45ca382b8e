"""The interface objects that device management reads (3/8/3, section 2.5; 3/7/3): device, cEMI server and
KNXnet/IP parameters. Of their properties those are there whose values a simulated device has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .cemi import write_individual
from .message import write_ip
from .routing import GROUP

if TYPE_CHECKING:
    from .server import Knxnet

DEVICE, CEMI_SERVER, KNXNETIP_PARAMETER = 0, 8, 11
PROGMODE = (DEVICE, 54)
DESCRIPTOR = 0x57B0
"""The mask version of a KNXnet/IP device (3/5/1, section 4.2)."""
APDU_LENGTH = 254
"""The longest that is understood."""
READ_ONLY, ILLEGAL_COMMAND, VOID, TYPE_CONFLICT, INDEX = 0x05, 0x06, 0x07, 0x08, 0x09
"""Errors (3/6/3, section 4.1.7.3.7.2)."""
INVERSE = {"M_PROP_READ_REQ": "M_PROP_READ_CON", "M_PROP_WRITE_REQ": "M_PROP_WRITE_CON"}
NOT_SUPPORTED = ("M_FUNC_PROP_COMMAND_REQ", "M_FUNC_PROP_STATE_READ_REQ")


def elements(session: Knxnet, address: str) -> dict[tuple[int, int], list[bytes]]:
    """The values of all properties, by object and property: a list of elements of each."""
    own = write_individual(session.individual)
    capabilities = 0b011 | session.model.routing << 2
    return {
        (DEVICE, 1): [b"\0\0"],
        (DEVICE, 11): [session.serial],
        (DEVICE, 12): [session.serial[:2]],
        PROGMODE: [bytes([session.programming])],
        (DEVICE, 56): [APDU_LENGTH.to_bytes(2, "big")],
        (DEVICE, 57): [own[:1]],
        (DEVICE, 58): [own[1:]],
        (DEVICE, 71): [bytes([0, number]) for number in (DEVICE, CEMI_SERVER, KNXNETIP_PARAMETER)],
        (DEVICE, 83): [DESCRIPTOR.to_bytes(2, "big")],
        (CEMI_SERVER, 1): [bytes([0, CEMI_SERVER])],
        (CEMI_SERVER, 51): [b"\0\x20"],  # IP
        (CEMI_SERVER, 52): [b"\0"],
        (KNXNETIP_PARAMETER, 1): [bytes([0, KNXNETIP_PARAMETER])],
        (KNXNETIP_PARAMETER, 51): [b"\0\0"],
        (KNXNETIP_PARAMETER, 52): [own],
        (KNXNETIP_PARAMETER, 53): [write_individual(one) for one in session.tunnel_addresses],
        (KNXNETIP_PARAMETER, 54): [b"\1"],  # set by hand
        (KNXNETIP_PARAMETER, 57): [write_ip(address)],
        (KNXNETIP_PARAMETER, 64): [session.mac],
        (KNXNETIP_PARAMETER, 65): [write_ip(GROUP)],
        (KNXNETIP_PARAMETER, 66): [write_ip(GROUP)],
        (KNXNETIP_PARAMETER, 68): [bytes([0, capabilities])],
        (KNXNETIP_PARAMETER, 76): [bytes([one]) for one in session.name.ljust(30, b"\0")],
    }


def confirm(session: Knxnet, cemi: dict[str, Any], address: str) -> dict[str, Any] | None:
    """The answer to a message of device management; None if there is none. `address` is the device's IP."""
    code = cemi["code"]
    if code in NOT_SUPPORTED:
        return {**cemi, "code": "M_FUNC_PROP_CON", "data": b""}
    if code not in INVERSE:
        return None
    answer = {**cemi, "code": INVERSE[code], "data": b""}
    found = elements(session, address).get((cemi["object_type"], cemi["property"]))
    count, start = cemi["count"], cemi["start"]
    error = None
    if found is None or cemi["instance"] != 1:
        error = VOID
    elif code == "M_PROP_WRITE_REQ":
        if (cemi["object_type"], cemi["property"]) != PROGMODE:
            error = READ_ONLY
        elif (count, start) != (1, 1):
            error = INDEX
        elif cemi["data"] not in (b"\0", b"\1"):
            error = TYPE_CONFLICT
        else:
            session.programming = cemi["data"] == b"\1"
    elif (start, count) == (0, 1):
        answer["data"] = len(found).to_bytes(2, "big")
    elif 1 <= start <= len(found) - count + 1 and count:
        answer["data"] = b"".join(found[start - 1 : start - 1 + count])
    else:
        error = INDEX
    if error is not None:
        return {**answer, "count": 0, "data": bytes([error])}
    return answer
