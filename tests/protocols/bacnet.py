"""What tests of BACnet/IP have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.protocol.registry import load_protocol
from iotsim.testing import Transcript

if TYPE_CHECKING:
    from collections.abc import Mapping

LOADED = load_protocol("bacnet")
CODEC = LOADED.protocol.codec
BROADCAST = "10.77.255.255"
OTHER = "10.77.0.2:47808"
OBJECTS: dict[str, Any] = {
    "analog-input,1": {
        "name": "Supply air",
        "value": "=state.air",
        "units": "degrees-celsius",
        "cov_increment": 0.5,
    },
    "analog-input,2": "=20 + t",
    "analog-value,1": {"value": "=state.setpoint", "commandable": True, "relinquish_default": 18},
    "analog-value,2": 7.5,
    "binary-output,1": "=state.fan",
    "binary-value,1": False,
    "multi-state-value,1": {"value": 1, "states": ["off", "low", "high"]},
    "integer-value,1": -5,
    "positive-integer-value,1": 5,
    "characterstring-value,1": "text",
}
STATE = {"air": 20.0, "setpoint": 21.0, "fan": False}


def device(model: dict[str, Any] | None = None, **rest: Any) -> Transcript:
    return Transcript(
        "bacnet", model={"instance": 1000, "objects": OBJECTS, **(model or {})}, state=STATE, **rest
    )


def read(one: Transcript, item: str, prop: str = "present-value", index: int | None = None) -> Any:
    """The value of a property, or the error."""
    (answer,) = one.receive(
        service="READ_PROPERTY", object=item, property=prop, array_index=index, invoke_id=7
    )
    assert answer["invoke_id"] == 7
    return answer["value"] if answer["apdu"] == "COMPLEX_ACK" else error(answer)


def error(answer: Mapping[str, Any]) -> str:
    assert answer["apdu"] == "ERROR"
    return f"{answer['error_class']}/{answer['error_code']}"


def write(one: Transcript, item: str, kind: str, value: Any, **rest: Any) -> str:
    """ "" if it was written, else the error."""
    fields = {"property": "present-value", **rest}
    sent = one.receive(service="WRITE_PROPERTY", object=item, type=kind, value=value, **fields)
    return "" if sent[0]["apdu"] == "SIMPLE_ACK" else error(sent[0])


def who_is(one: Transcript, **fields: Any) -> list[Mapping[str, Any]]:
    return one.receive(function="ORIGINAL_BROADCAST_NPDU", service="WHO_IS", at=BROADCAST, **fields)


def subscribe(one: Transcript, **fields: Any) -> list[Mapping[str, Any]]:
    known = {"process": 1, "monitored_object": "analog-input,1", "confirmed": False, "lifetime": 60}
    return one.receive({"service": "SUBSCRIBE_COV", **known, **fields})


def told(one: Transcript) -> list[Any]:
    found = [each for each in one.sent if str(each.get("service")).endswith("COV_NOTIFICATION")]
    return [each["values"][0]["value"] for each in found]


READ_ALL = {
    "service": "READ_PROPERTY_MULTIPLE",
    "reads": [{"object": "device,1000", "properties": [{"property": "all"}]}],
}


def segments(octets: bytes, size: int, **fields: Any) -> list[dict[str, Any]]:
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [
        {
            "apdu": "CONFIRMED_REQUEST",
            "invoke_id": 5,
            "sequence_number": number,
            "more_follows": number + 1 < len(parts),
            "window": 3,
            "data": part,
            **fields,
        }
        for number, part in enumerate(parts)
    ]


REQUEST = CODEC.encode(
    {
        "service": "READ_PROPERTY_MULTIPLE",
        "reads": [
            {"object": item, "properties": [{"property": "present-value"}]} for item in OBJECTS
        ],
    }
)[10:]
