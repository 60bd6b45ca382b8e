"""iotsim: simulated IoT devices with IP addresses of their own, behind a TUN interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iotsim.device.behavior import Device, on
    from iotsim.errors import (
        DecodeError,
        EncodeError,
        ExpressionError,
        IotsimError,
        MachineError,
        ProtocolError,
        ScenarioError,
    )
    from iotsim.protocol.checksums import crc16_ccitt, crc16_modbus, crc32, sum8, xor8
    from iotsim.protocol.constructs import (
        Cbor,
        Checksum,
        Derived,
        FlatStruct,
        Json,
        Length,
        Native,
        Payload,
        Text,
        Wrapped,
    )
    from iotsim.protocol.crypt import Encrypted
    from iotsim.protocol.definition import Protocol
    from iotsim.protocol.device import this_device
    from iotsim.protocol.refusals import Errors
    from iotsim.session import (
        Duration,
        Endpoint,
        File,
        Follower,
        Mark,
        Peer,
        Recent,
        Seen,
        Session,
        Table,
        Ticket,
        Unanswered,
        Value,
    )

__version__ = "0.1.0"

__all__ = [
    "Cbor",
    "Checksum",
    "DecodeError",
    "Derived",
    "Device",
    "Duration",
    "EncodeError",
    "Encrypted",
    "Endpoint",
    "Errors",
    "ExpressionError",
    "File",
    "FlatStruct",
    "Follower",
    "IotsimError",
    "Json",
    "Length",
    "MachineError",
    "Mark",
    "Native",
    "Payload",
    "Peer",
    "Protocol",
    "ProtocolError",
    "Recent",
    "ScenarioError",
    "Seen",
    "Session",
    "Table",
    "Text",
    "Ticket",
    "Unanswered",
    "Value",
    "Wrapped",
    "crc16_ccitt",
    "crc16_modbus",
    "crc32",
    "on",
    "sum8",
    "this_device",
    "xor8",
]

# Where the public names live. They are imported on first use: the command line, and the helper process
# inside a namespace, must not pay for construct or trio before they need them.
_HOMES = {
    "iotsim.protocol.definition": ("Protocol",),
    "iotsim.protocol.refusals": ("Errors",),
    "iotsim.protocol.device": ("this_device",),
    "iotsim.protocol.constructs": (
        "Cbor",
        "Checksum",
        "Derived",
        "FlatStruct",
        "Json",
        "Length",
        "Native",
        "Payload",
        "Text",
        "Wrapped",
    ),
    "iotsim.protocol.crypt": ("Encrypted",),
    "iotsim.protocol.checksums": ("crc16_ccitt", "crc16_modbus", "crc32", "sum8", "xor8"),
    "iotsim.device.behavior": ("Device", "on"),
    "iotsim.session": (
        "Duration",
        "Endpoint",
        "File",
        "Follower",
        "Mark",
        "Peer",
        "Recent",
        "Seen",
        "Session",
        "Table",
        "Ticket",
        "Unanswered",
        "Value",
    ),
    "iotsim.errors": (
        "DecodeError",
        "EncodeError",
        "ExpressionError",
        "IotsimError",
        "MachineError",
        "ProtocolError",
        "ScenarioError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'iotsim' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME_OF]
