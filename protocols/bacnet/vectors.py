"""The examples of annex F, by their clauses, in BACnet/IP."""

from __future__ import annotations


def _unicast(apdu: str, control: int = 4) -> str:
    """What the examples have not: BVLC and NPDU before a request that expects an answer."""
    octets = bytes.fromhex(apdu)
    return f"810a{len(octets) + 6:04x}01{control:02x}{octets.hex()}"


def _answer(apdu: str) -> str:
    return _unicast(apdu, 0)


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
    # Clause F.3.9: WriteProperty.
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
    # Clause F.3.7: ReadPropertyMultiple.
    (
        _unicast("00 04 f1 0e 0c 00000010 1e 09 55 09 67 1f"),
        {
            "max_apdu": 1024,
            "invoke_id": 241,
            "service": "READ_PROPERTY_MULTIPLE",
            "reads": [
                {
                    "object": "analog-input,16",
                    "properties": [{"property": "present-value"}, {"property": "reliability"}],
                }
            ],
        },
    ),
    (
        _answer("30 f1 0e 0c 00000010 1e 29 55 4e 44 4290999a 4f 29 67 4e 91 00 4f 1f"),
        {
            "apdu": "COMPLEX_ACK",
            "invoke_id": 241,
            "service": "READ_PROPERTY_MULTIPLE",
            "results": [
                {
                    "object": "analog-input,16",
                    "properties": [
                        {"property": "present-value", "type": "REAL", "value": 72.30000305175781},
                        {
                            "property": "reliability",
                            "type": "ENUMERATED",
                            "value": "no-fault-detected",
                        },
                    ],
                }
            ],
        },
    ),
    # Clause F.3.10: WritePropertyMultiple.
    (
        _unicast(
            "00 04 01 10 0c 00800005 1e 09 55 2e 44 42860000 2f 1f"
            "0c 00800006 1e 09 55 2e 44 42860000 2f 1f 0c 00800007 1e 09 55 2e 44 42900000 2f 1f"
        ),
        {
            "max_apdu": 1024,
            "invoke_id": 1,
            "service": "WRITE_PROPERTY_MULTIPLE",
            "writes": [
                {
                    "object": f"analog-value,{number}",
                    "values": [{"property": "present-value", "type": "REAL", "value": value}],
                }
                for number, value in ((5, 67.0), (6, 67.0), (7, 72.0))
            ],
        },
    ),
    # Clause F.4.1: DeviceCommunicationControl.
    (
        _unicast("00 04 05 11 09 05 19 01 2d 08 00 23656762646621"),
        {
            "max_apdu": 1024,
            "invoke_id": 5,
            "service": "DEVICE_COMMUNICATION_CONTROL",
            "duration": 5,
            "enable": "DISABLE",
            "password": "#egbdf!",
        },
    ),
    # Clause F.4.4: ReinitializeDevice.
    (
        _unicast("00 01 02 14 09 01 1d 09 00 4162436445664768"),
        {
            "max_apdu": 128,
            "invoke_id": 2,
            "service": "REINITIALIZE_DEVICE",
            "reinitialized": "WARMSTART",
            "password": "AbCdEfGh",
        },
    ),
    # Clause F.4.7: TimeSynchronization.
    (
        _answer("10 06 a4 5c0b1102 b4 162d1e46"),
        {"service": "TIME_SYNCHRONIZATION", "date": "1992-11-17", "time": "22:45:30.70"},
    ),
    # Clause F.4.8: Who-Has and I-Have.
    (_answer("10 07 3d 07 00 4f4154656d70"), {"service": "WHO_HAS", "object_name": "OATemp"}),
    (
        _answer("10 01 c4 02000008 c4 00000003 75 07 00 4f4154656d70"),
        {
            "service": "I_HAVE",
            "device": "device,8",
            "object": "analog-input,3",
            "object_name": "OATemp",
        },
    ),
    # Annex J.2.
    ("81050006 003c", {"function": "REGISTER_FOREIGN_DEVICE", "ttl": 60}),
    ("81000006 0030", {"function": "BVLC_RESULT", "result": 0x30}),
]
