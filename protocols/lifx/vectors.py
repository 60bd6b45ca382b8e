"""Golden messages."""

from __future__ import annotations

from typing import Any

BULB = bytes.fromhex("d073d5001337")
VECTORS: list[tuple[str, dict[str, Any]]] = [
    # The example of "Encoding a packet": green, at full brightness.
    (
        """
        3100 0014 02000000 d073d5001337 0000 000000000000 02 01 0000000000000000 6600 0000
        00 5555 ffff ffff ac0d 00000000
        """,
        {
            "tagged": False,
            "source": 2,
            "target": BULB,
            "ack_required": True,
            "res_required": False,
            "sequence": 1,
            "type": "SET_COLOR",
            "hue": 119.998,
            "saturation": 1.0,
            "brightness": 1.0,
            "kelvin": 3500,
            "duration": 0,
        },
    ),
    # Others by lifx-async.
    (
        """
        24000034 4d000000 000000000000 0000 000000000000 01 01 0000000000000000 0200 0000
        """,
        {
            "tagged": True,
            "source": 77,
            "target": bytes(6),
            "ack_required": False,
            "res_required": True,
            "sequence": 1,
            "type": "GET_SERVICE",
        },
    ),
    (
        """
        29000014 4d000000 d073d5001337 0000 000000000000 00 01 0000000000000000 0300 0000
        017cdd0000
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 1,
            "type": "STATE_SERVICE",
            "service": "UDP",
            "port": 56700,
        },
    ),
    (
        """
        2a000014 4d000000 d073d5001337 0000 000000000000 03 03 0000000000000000 7500 0000
        ffffdc050000
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": True,
            "res_required": True,
            "sequence": 3,
            "type": "SET_LIGHT_POWER",
            "level": 65535,
            "duration": 1500,
        },
    ),
    (
        """
        3d000014 4d000000 d073d5001337 0000 000000000000 02 02 0000000000000000 7700 0000
        00015555ffff0080ac0de80300000000 20409cff0401000100
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": True,
            "res_required": False,
            "sequence": 2,
            "type": "SET_WAVEFORM_OPTIONAL",
            "transient": True,
            "hue": 119.998,
            "saturation": 1.0,
            "brightness": 0.50001,
            "kelvin": 3500,
            "period": 1000,
            "cycles": 2.5,
            "skew_ratio": -100,
            "waveform": "PULSE",
            "set_hue": True,
            "set_saturation": False,
            "set_brightness": True,
            "set_kelvin": False,
        },
    ),
    (
        """
        58000014 4d000000 d073d5001337 0000 000000000000 00 03 0000000000000000 6b00 0000
        5555ffff0080ac0d0000ffff4bc3bc63 68650000000000000000000000000000
        00000000000000000000000000000000 00000000
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 3,
            "type": "LIGHT_STATE",
            "hue": 119.998,
            "saturation": 1.0,
            "brightness": 0.50001,
            "kelvin": 3500,
            "power": 65535,
            "label": "Küche",
        },
    ),
    (
        """
        5c000014 4d000000 d073d5001337 0000 000000000000 00 03 0000000000000000 3500 0000
        000102030405060708090a0b0c0d0e0f 4c6f756e676500000000000000000000
        00000000000000000000000000000000 15cdfbdf85573416
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 3,
            "type": "STATE_GROUP",
            "group": b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f",
            "label": "Lounge",
            "updated_at": 1600000000123456789,
        },
    ),
    (
        """
        38000014 4d000000 d073d5001337 0000 000000000000 00 03 0000000000000000 0f00 0000
        15cdfbdf855734160000000000000000 5a000300
        """,
        {
            "tagged": False,
            "source": 77,
            "target": BULB,
            "ack_required": False,
            "res_required": False,
            "sequence": 3,
            "type": "STATE_HOST_FIRMWARE",
            "build": 1600000000123456789,
            "version_minor": 90,
            "version_major": 3,
        },
    ),
]
