"""Devices of the bundled protocols that have sessions: whatever comes, no session raises.

The first byte of an input chooses the protocol, the second whether the datagram is for the device or a
broadcast; then a second passes, with the timers that it has. Where a device lives long, its sessions do too.
"""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver import fuzz, instrumented

with instrumented():
    from iotsim.events import DeviceFailed, SessionFailed
    from iotsim.protocol.registry import list_protocols, load_protocol
    from iotsim.testing import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "protocols"
MODELS: dict[str, dict[str, Any]] = {
    "modbus": {
        "unit": {
            "17": {
                "coils": {str(address): False for address in range(40)},
                "holding": {
                    **{str(address): address for address in range(20)},
                    "107": {"value": 1.5, "type": "float32"},
                    "109": {"value": "text", "type": "string", "length": 4},
                },
                "input": {"8": 10},
                "identification": {
                    "vendor_name": "v",
                    "product_code": "p",
                    "major_minor_revision": "1",
                },
            }
        }
    },
    "sntp": {"keys": {"1": "secret"}},
    "tftp": {"writable": True, "files": {"a": {"text": 600 * "x"}}},
}
"""Where the bundled scenario's model has less to say, or there is none."""
SCENARIOS = Path(__file__).parents[2] / "scenarios" / "protocols"
TOLD = ("model", "signals", "state")


def device_of(name: str) -> Transcript:
    """A device of the protocol `name`, as the bundled scenario has one."""
    if name in MODELS:
        return Transcript(name, model=MODELS[name])
    path = SCENARIOS / f"{name}.toml"
    fleets = tomllib.loads(path.read_text())["devices"] if path.exists() else {}
    table = next((fleet for fleet in fleets.values() if fleet.get("protocol") == name), {})
    told = {key: table[key] for key in TOLD if key in table}
    return Transcript(name, folder=SCENARIOS, **told)


LOADED = [load_protocol(name, [FOLDER]) for name, _ in list_protocols([FOLDER])]
WITH_SESSION = [loaded for loaded in LOADED if loaded.protocol.session is not None]
DEVICES = [device_of(loaded.protocol.name) for loaded in WITH_SESSION]
DESTINATIONS = "", "10.77.255.255"
MUTANTS = 20
"""Of each vector, as seeds."""


def target(data: bytes) -> None:
    if len(data) < 2:
        return
    device = DEVICES[data[0] % len(DEVICES)]
    device.receive(data[2:], at=DESTINATIONS[data[1] % len(DESTINATIONS)])
    device.wait(1)
    failures = [event for event in device.events if isinstance(event, SessionFailed | DeviceFailed)]
    device.events.clear()
    device.datagrams.clear()
    assert not failures, failures[0]


def mutant(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few bytes changed, and perhaps cut or longer."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.choice(
                (0, 1, 127, 128, 255, chance.randrange(256))
            )
    if chance.random() < 0.3:
        del changed[chance.randrange(len(changed) + 1) :]
    elif chance.random() < 0.3:
        changed += chance.randbytes(chance.randint(1, 40))
    return bytes(changed)


def seeds() -> Iterator[bytes]:
    chance = random.Random(1)
    for number, loaded in enumerate(WITH_SESSION):
        for vector in loaded.vectors:
            for to in range(len(DESTINATIONS)):
                yield bytes([number, to]) + vector.data
            for _ in range(MUTANTS):
                yield bytes([number, 0]) + mutant(vector.data, chance)


if __name__ == "__main__":
    fuzz(target)
