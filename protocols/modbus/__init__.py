"""Modbus over UDP (MODBUS Application Protocol 1.1b3; MODBUS Messaging on TCP/IP 1.0b, whose header UDP takes
over, a message in each datagram).

A device is a server. It answers out of its model: coils, discrete inputs, holding and input registers, by
unit. All fields are big-endian (application protocol, section 4.2). The sections below are that document's.

Covered are the functions for data (6.1 to 6.6, 6.11, 6.12, 6.16, 6.17), the identification (6.21), and their
exceptions in the order of the state diagrams: the function (01), then quantities (03), then addresses (02),
then what the device cannot do (04). A request that is not laid out as its function has it is answered by 03.
Nothing is written before all of it can be.

Not answered are units that the model does not have, protocols other than Modbus (messaging guide, section
3.1.3), groups and broadcasts, exceptions, and what comes from a server's port: so that no two servers can be
made to answer each other for ever.

Not there: files and FIFO queues (6.14, 6.15, 6.18), CANopen (6.20), and what is for serial lines only (6.7 to
6.10, 6.13). These are answered by exception 01, unless a rule answers: their bytes are ``data``.

`message`  requests and answers, and their schemas
`form`     how values stand in registers
`model`    what a scenario says of a device
`server`   the session
`follower` which message answers which
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim import Errors, Protocol

from .follower import ModbusFollower
from .message import ANSWER, EXCEPTIONS, FUNCTIONS, REQUEST
from .model import Model
from .server import Modbus

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """An exception (section 7)."""
    function = request["function"]
    return {"function": f"{function}_ERROR", "exception": name} if function in FUNCTIONS else None


PROTOCOL = Protocol(
    name="modbus",
    message=REQUEST,
    answer=ANSWER,
    port=502,
    echo=["transaction", "unit", "function"],
    errors=Errors(EXCEPTIONS, refuse),
    summary="{function} unit={unit} {address} {bits}{registers}{value}{exception}",
    description="Modbus over UDP: coils and registers out of a model",
    session=Modbus,
    model=Model,
    follower=ModbusFollower,
)

VECTORS = [
    # The examples of the application protocol, in the order of its sections, behind a header.
    (
        "0001 0000 0006 11 01 0013 0013",
        {"transaction": 1, "unit": 17, "function": "READ_COILS", "address": 19, "count": 19},
    ),
    (
        "0001 0000 0006 11 01 03 cd6b05",
        {
            "transaction": 1,
            "unit": 17,
            "function": "READ_COILS",
            "bits": [bit == "1" for bit in "101100111101011010100000"],
        },
        {"answer": True},
    ),
    (
        "0002 0000 0006 11 02 00c4 0016",
        {
            "transaction": 2,
            "unit": 17,
            "function": "READ_DISCRETE_INPUTS",
            "address": 196,
            "count": 22,
        },
    ),
    (
        "0003 0000 0006 11 03 006b 0003",
        {
            "transaction": 3,
            "unit": 17,
            "function": "READ_HOLDING_REGISTERS",
            "address": 107,
            "count": 3,
        },
    ),
    (
        "0003 0000 0009 11 03 06 022b 0000 0064",
        {
            "transaction": 3,
            "unit": 17,
            "function": "READ_HOLDING_REGISTERS",
            "byte_count": 6,
            "registers": [555, 0, 100],
        },
        {"answer": True},
    ),
    (
        "0004 0000 0006 11 04 0008 0001",
        {
            "transaction": 4,
            "unit": 17,
            "function": "READ_INPUT_REGISTERS",
            "address": 8,
            "count": 1,
        },
    ),
    (
        "0004 0000 0005 11 04 02 000a",
        {"transaction": 4, "unit": 17, "function": "READ_INPUT_REGISTERS", "registers": [10]},
        {"answer": True},
    ),
    (
        "0005 0000 0006 11 05 00ac ff00",
        {
            "transaction": 5,
            "unit": 17,
            "function": "WRITE_SINGLE_COIL",
            "address": 172,
            "value": "ON",
        },
    ),
    (
        "0006 0000 0006 11 06 0001 0003",
        {
            "transaction": 6,
            "unit": 17,
            "function": "WRITE_SINGLE_REGISTER",
            "address": 1,
            "value": 3,
        },
    ),
    (
        "0007 0000 0009 11 0f 0013 000a 02 cd01",
        {
            "transaction": 7,
            "unit": 17,
            "function": "WRITE_MULTIPLE_COILS",
            "address": 19,
            "count": 10,
            "bits": [bit == "1" for bit in "1011001110000000"],
        },
    ),
    (
        "0007 0000 0006 11 0f 0013 000a",
        {
            "transaction": 7,
            "unit": 17,
            "function": "WRITE_MULTIPLE_COILS",
            "address": 19,
            "count": 10,
        },
        {"answer": True},
    ),
    (
        "0008 0000 000b 11 10 0001 0002 04 000a 0102",
        {
            "transaction": 8,
            "unit": 17,
            "function": "WRITE_MULTIPLE_REGISTERS",
            "address": 1,
            "count": 2,
            "byte_count": 4,
            "registers": [10, 258],
        },
    ),
    (
        "0009 0000 0008 11 16 0004 00f2 0025",
        {
            "transaction": 9,
            "unit": 17,
            "function": "MASK_WRITE_REGISTER",
            "address": 4,
            "and_mask": 0xF2,
            "or_mask": 0x25,
        },
    ),
    (
        "000a 0000 0011 11 17 0003 0006 000e 0003 06 00ff 00ff 00ff",
        {
            "transaction": 10,
            "unit": 17,
            "function": "READ_WRITE_MULTIPLE_REGISTERS",
            "read_address": 3,
            "read_count": 6,
            "write_address": 14,
            "write_count": 3,
            "registers": [255, 255, 255],
        },
    ),
    (
        "000a 0000 000f 11 17 0c 00fe 0acd 0001 0003 000d 00ff",
        {
            "transaction": 10,
            "unit": 17,
            "function": "READ_WRITE_MULTIPLE_REGISTERS",
            "registers": [254, 2765, 1, 3, 13, 255],
        },
        {"answer": True},
    ),
    (
        "000b 0000 0005 11 2b 0e 01 00",
        {
            "transaction": 11,
            "unit": 17,
            "function": "ENCAPSULATED_INTERFACE_TRANSPORT",
            "mei_type": "READ_DEVICE_IDENTIFICATION",
            "read_device_id_code": "BASIC",
            "object_id": "VENDOR_NAME",
        },
    ),
    (
        """
        000b 0000 0038 11 2b 0e 01 01 00 00 03 00 16 436f6d70616e79206964656e74696669636174696f6e
        01 0f 50726f6475637420636f6465205858 02 05 56322e3131
        """,
        {
            "transaction": 11,
            "unit": 17,
            "function": "ENCAPSULATED_INTERFACE_TRANSPORT",
            "mei_type": "READ_DEVICE_IDENTIFICATION",
            "read_device_id_code": "BASIC",
            "conformity_level": 1,
            "more_follows": "NO",
            "next_object_id": "VENDOR_NAME",
            "objects": [
                {"id": "VENDOR_NAME", "value": "Company identification"},
                {"id": "PRODUCT_CODE", "value": "Product code XX"},
                {"id": "MAJOR_MINOR_REVISION", "value": "V2.11"},
            ],
        },
        {"answer": True},
    ),
    (
        "000c 0000 0006 11 01 04a1 0001",
        {"transaction": 12, "unit": 17, "function": "READ_COILS", "address": 1185, "count": 1},
    ),
    (
        "000c 0000 0003 11 81 02",
        {
            "transaction": 12,
            "unit": 17,
            "function": "READ_COILS_ERROR",
            "exception": "ILLEGAL_DATA_ADDRESS",
        },
        {"answer": True},
    ),
    # A function that the schema does not know, and its exception.
    (
        "000d 0000 0004 11 41 0102",
        {"transaction": 13, "unit": 17, "function": 65, "data": b"\x01\x02"},
    ),
    (
        "000d 0000 0003 11 c1 01",
        {"transaction": 13, "unit": 17, "function": 193, "exception": "ILLEGAL_FUNCTION"},
        {"answer": True},
    ),
]
