"""BACnet/IP (ASHRAE 135-2012, annex J): a device with objects, which are read, written and subscribed to.

All numbers are big-endian. A message is one table of the fields of its BVLC (annex J.2), NPDU (clause 6.2),
APDU (clause 20.1) and service (clause 21). Services that a device neither asks for nor executes have
``parameters``, as they are tagged.

A device executes Who-Is, Who-Has (clauses 16.9, 16.10), ReadProperty, ReadPropertyMultiple, WriteProperty,
WritePropertyMultiple (15.5, 15.7, 15.9, 15.10), SubscribeCOV (13.14), TimeSynchronization in both forms
(16.7, 16.8), DeviceCommunicationControl (16.1) and ReinitializeDevice (16.4); it takes requests and gives
responses in segments (5.4), and may be a foreign device of a BBMD (J.5). Other requests are rejected.

Not there: BACnet/IPv6 (annex U), routers and BBMDs, alarms and events, trends, schedules, files, ReadRange,
SubscribeCOVProperty, list elements, creation of objects, and segmented requests of the device's own.

`enumerations`  names and numbers (clause 21)
`tags`          tags and primitive values (clause 20.2)
`datatypes`     the types of properties (clause 12)
`syntax`        productions: read and written
`codes`         of headers
`services`      the productions of the services (clause 21)
`message`       whole messages, and their schema
`model`         what a scenario says of a device
`objects`       its objects (clauses 12 and 19.2)
`segments`      segmentation (clauses 5.3, 5.4)
`cov`           subscriptions (clause 13.1)
`server`        `Bacnet`, the session
"""

from __future__ import annotations

from iotsim import Protocol

from .message import MESSAGE
from .model import Model
from .server import Bacnet

PROTOCOL = Protocol(
    name="bacnet",
    message=MESSAGE,
    port=47808,
    echo=["invoke_id", "service", "object", "property", "array_index"],
    summary="{apdu} {service} {object} {property} {value}",
    description="BACnet/IP: a device with objects",
    session=Bacnet,
    model=Model,
)


def _unicast(npdu: str) -> str:
    """What the annex F examples have not: the BVLC and a plain NPDU before an APDU."""
    octets = bytes.fromhex(npdu)
    return f"810a{len(octets) + 6:04x}0104{octets.hex()}"


VECTORS: list[tuple[str, dict[str, object]]] = [
    # Clause F.3.5: ReadProperty, of the present value of an analog input.
    (
        _unicast("00 00 01 0c 0c 00000005 19 55"),
        {
            "apdu": "CONFIRMED_REQUEST",
            "max_apdu": 50,
            "invoke_id": 1,
            "service": "READ_PROPERTY",
            "object": "analog-input,5",
            "property": "present-value",
        },
    ),
    (
        "810a0017 0100" + "30 01 0c 0c 00000005 19 55 3e 44 4290999a 3f",
        {
            "apdu": "COMPLEX_ACK",
            "invoke_id": 1,
            "service": "READ_PROPERTY",
            "object": "analog-input,5",
            "property": "present-value",
            "type": "REAL",
            "value": 72.30000305175781,
        },
    ),
    # Clause F.3.8: WriteProperty, with a priority left out.
    (
        _unicast("00 04 59 0f 0c 00800001 19 55 3e 44 43340000 3f"),
        {
            "apdu": "CONFIRMED_REQUEST",
            "max_apdu": 1024,
            "invoke_id": 89,
            "service": "WRITE_PROPERTY",
            "object": "analog-value,1",
            "property": "present-value",
            "type": "REAL",
            "value": 180.0,
        },
    ),
    (
        "810a0009 0100 20 59 0f",
        {"apdu": "SIMPLE_ACK", "invoke_id": 89, "service": "WRITE_PROPERTY"},
    ),
    # Clause F.1.10: SubscribeCOV.
    (
        _unicast("00 02 0f 05 09 12 1c 0000000a 29 01 39 00"),
        {
            "apdu": "CONFIRMED_REQUEST",
            "max_apdu": 206,
            "invoke_id": 15,
            "service": "SUBSCRIBE_COV",
            "process": 18,
            "monitored_object": "analog-input,10",
            "confirmed": True,
            "lifetime": 0,
        },
    ),
    # Clause F.1.3: UnconfirmedCOVNotification.
    (
        """
        810a0028 0100 10 02 09 12 1c 02000004 2c 0000000a 39 00
        4e 09 55 2e 44 42820000 2f 09 6f 2e 82 04 00 2f 4f
        """,
        {
            "apdu": "UNCONFIRMED_REQUEST",
            "service": "UNCONFIRMED_COV_NOTIFICATION",
            "process": 18,
            "device": "device,4",
            "monitored_object": "analog-input,10",
            "time_remaining": 0,
            "values": [
                {"property": "present-value", "type": "REAL", "value": 65.0},
                {"property": "status-flags", "type": "BIT_STRING", "value": "0000"},
            ],
        },
    ),
    # Clause F.4.9: Who-Is and I-Am.
    (
        "810b000c 0100 10 08 09 03 19 03",
        {"function": "ORIGINAL_BROADCAST_NPDU", "service": "WHO_IS", "low": 3, "high": 3},
    ),
    (
        "810b0014 0100 10 00 c4 02000003 22 0400 91 03 21 63",
        {
            "function": "ORIGINAL_BROADCAST_NPDU",
            "service": "I_AM",
            "device": "device,3",
            "max_apdu_accepted": 1024,
            "segmentation": "none",
            "vendor": 99,
        },
    ),
    ("81050006 003c", {"function": "REGISTER_FOREIGN_DEVICE", "ttl": 60}),
    ("81000006 0030", {"function": "BVLC_RESULT", "result": 0x30}),
]
