"""The LIFX LAN protocol (lan.developer.lifx.com; "Header", "Messages"): a device as a bulb.

All fields are little-endian. A message has a header of 36 bytes and the fields of its type. Covered are the
discovery by broadcast, and the messages of all devices and of lights: label, power, color, waveform, group,
location, version, firmware, signal, times, echo. Hue is in degrees, saturation and brightness are 0 to 1.

A bulb takes what is for its target, or for all (a target of zeros). It answers a GET, and a SET that wants a
response, which tells the state before the change, as that of bulbs mostly does. Before that it acknowledges
what is to be acknowledged. Both go to the sender alone, with its ``source`` and ``sequence``. What the bulb
does not know is answered by STATE_UNHANDLED; what other bulbs answer is not answered.

Not there: transitions, which take no time; waveforms, of which only the end is seen; discovery by mDNS; and
what only some products have: infrared, HEV, relays, zones, tiles.

`message`  the schema
`model`    what a scenario says of a bulb
`bulb`     `Lifx`, the session
`follower` which message answers which
`vectors`  golden messages
"""

from __future__ import annotations

from iotsim import Protocol

from .bulb import Lifx
from .follower import LifxFollower
from .message import MESSAGE
from .model import Model
from .vectors import VECTORS

__all__ = ["PROTOCOL", "VECTORS", "Lifx"]

PROTOCOL = Protocol(
    name="lifx",
    message=MESSAGE,
    port=56700,
    echo=["source", "sequence"],
    summary="{type} {label}{level}{port}",
    description="LIFX LAN: bulbs that are found, switched and colored",
    session=Lifx,
    model=Model,
    follower=LifxFollower,
)
