"""Telegrams for groups: what rules see, and what stands in cEMI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import EncodeError

from .cemi import LONGEST_STANDARD
from .datapoint import integer
from .properties import APDU_LENGTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import Model

UNASSIGNED = "0.0.0"
"""As a source: who sends it."""


class Saying:
    """What a device says with a telegram that many get: once, with the first datagram that leaves."""

    __slots__ = ("_message",)

    def __init__(self, message: dict[str, Any]) -> None:
        self._message: dict[str, Any] | None = message

    def take(self) -> dict[str, Any] | None:
        message, self._message = self._message, None
        return message


def pack(message: Mapping[str, Any], model: Model) -> tuple[int, bytes]:
    """The data of a telegram: the six bits beside the APCI, and the bytes after them. In a group without a
    type, a number is the former, and bytes are the latter."""
    value, point = message["value"], model.groups.get(message["group"])
    if message["service"] == "GROUP_VALUE_READ":
        if value is not None:
            raise EncodeError("a GROUP_VALUE_READ has no value", "value")
        return 0, b""
    try:
        if point is not None:
            return point.form.pack(value)
        if isinstance(value, bytes) and 0 < len(value) < APDU_LENGTH:
            return 0, value
        return integer(value, 0, 63, "in a group that the model does not have, a value"), b""
    except EncodeError as error:
        kind = f" of type {point.dpt}" if point else ""
        raise EncodeError(f"no value{kind}: {error.reason}", "value") from None


def unpack(cemi: Mapping[str, Any], model: Model) -> Any:
    """The value in a telegram. DecodeError if it is none of the group's type."""
    point = model.groups.get(cemi["destination"])
    if point is not None:
        return point.form.unpack(cemi["small"], cemi["data"])
    return cemi["data"] or cemi["small"]


def frame(message: Mapping[str, Any], model: Model, individual: str) -> dict[str, Any]:
    """A telegram of the device, whose address is `individual`, in cEMI."""
    small, data = pack(message, model)
    source = message["source"]
    return {
        "code": "L_DATA_IND",
        "frame_type": "STANDARD" if len(data) < LONGEST_STANDARD else "EXTENDED",
        "priority": message["priority"],
        "address_type": "GROUP",
        "source": individual if source == UNASSIGNED else source,
        "destination": message["group"],
        "apci": message["service"],
        "small": small,
        "data": data,
    }
