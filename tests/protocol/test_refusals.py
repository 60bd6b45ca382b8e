"""The error replies of protocols."""

from __future__ import annotations

from pathlib import Path

import pytest
from construct import Int8ub, Struct

from iotsim import Errors, Protocol, ProtocolError
from iotsim.device.template import echo_fields
from iotsim.protocol.registry import list_protocols, load_protocol

MESSAGE = Struct("a" / Int8ub)
WITH_ERRORS = [
    "bacnet",
    "coap",
    "knxnet",
    "lwm2m",
    "modbus",
    "mqttsn",
    "sensornet",
    "smp",
    "snmp",
    "tftp",
    "wiz",
]


def test_bundled_protocols_that_have_errors_declare_them() -> None:
    loaded = {name: load_protocol(name).protocol for name, _ in list_protocols()}
    assert [name for name in sorted(loaded) if loaded[name].errors is not None] == WITH_ERRORS


@pytest.mark.parametrize("name", WITH_ERRORS)
def test_each_error_of_each_request_is_a_message_of_the_protocol(name: str) -> None:
    loaded = load_protocol(name, [Path(__file__).parent])
    protocol = loaded.protocol
    errors = protocol.errors
    assert errors is not None
    codec = protocol.answer_codec if errors.on_wire else protocol.said_codec
    refused = 0
    requests = [vector.fields for vector in loaded.vectors if not vector.answer]
    if name == "lwm2m":  # whose vectors are of what is below it
        requests = [{"operation": "READ", "path": "/3/0/0"}, {"operation": "RESPONSE"}]
    for request in requests:
        # As it comes: with all its fields.
        whole = request
        if name != "lwm2m":
            whole = protocol.codec.decode(protocol.codec.encode(request))
        for error in errors.names:
            reply = errors.reply(error, whole)
            if reply is None:
                continue
            said = dict(reply)
            if not errors.on_wire:
                echo_fields(protocol.echo, whole, said)
            if name == "coap":
                said |= {"type": "ACK", "message_id": 1}
            told = codec.tell(said)[1]
            assert all(told[field] == value for field, value in said.items() if field in told)
            # An error is never answered by one: two devices would go on for ever.
            assert errors.reply(error, told) is None
            refused += 1
    assert refused >= len(errors.names)


def test_errors_that_are_none_are_refused() -> None:
    with pytest.raises(ProtocolError, match=r"errors is no iotsim\.Errors"):
        Protocol("x", MESSAGE, 1, errors={"BUSY": 1})  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="names of errors are texts"):
        Protocol("x", MESSAGE, 1, errors=Errors([], lambda name, request: None))
    with pytest.raises(ProtocolError, match="names of errors are texts"):
        Protocol("x", MESSAGE, 1, errors=Errors([1], lambda name, request: None))  # type: ignore[list-item]
