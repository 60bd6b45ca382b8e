"""iotsim: simulated IoT devices with IP addresses of their own, behind a TUN interface."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# The public names, and where they live. They are imported on first use: the command line and the
# helper process inside a namespace must not pay for construct or trio before they need them.
_PUBLIC = {
    "Protocol": "iotsim.protocol.definition",
    "Checksum": "iotsim.protocol.constructs",
    "Length": "iotsim.protocol.constructs",
    "FlatStruct": "iotsim.protocol.constructs",
    "crc16_ccitt": "iotsim.protocol.checksums",
    "crc16_modbus": "iotsim.protocol.checksums",
    "crc32": "iotsim.protocol.checksums",
    "sum8": "iotsim.protocol.checksums",
    "xor8": "iotsim.protocol.checksums",
    "Device": "iotsim.device.behavior",
    "on": "iotsim.device.behavior",
    "DecodeError": "iotsim.errors",
    "EncodeError": "iotsim.errors",
    "ScenarioError": "iotsim.errors",
    "ProtocolError": "iotsim.errors",
    "MachineError": "iotsim.errors",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'iotsim' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
