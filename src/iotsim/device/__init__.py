"""Devices: what they measure, how they answer, when they speak by themselves.

A scenario's description of a fleet (`spec`) is compiled once, then nothing is interpreted:

- `signals`: readings, pure functions of (device index, time). No background task, no memory.
- `rules`: the ordered rules of a service become one generated function; `template` writes the part
  of it that builds messages, `reaction` says what it returns. `explain` tells why one applies, or does not,
  `shadows` which never can.
- `schedule`: unsolicited sendings, whose times are arithmetic too.
- `fleet`: the devices, made when they are first needed; an `epoch` is their life from a boot to the next,
  `trouble` what is wrong with what they sense.
- `behavior`: the base class of devices written in Python, and `loader`, which reads their files.

Time is an argument, randomness comes from the scenario's seed, the device's index and a counter, so
that the same seed gives the same devices, and a device more changes none of the others. What waits
does so by the `Runtime` that the simulation provides: this package knows neither event loop nor clock.

Alternatives considered: a task per device (3 KB and two thirds of the rate, for devices that never
wait); `random.Random` per device (2.5 KB each); rules as objects that are asked one after the
other (several calls per rule where the generated function has one comparison); a random walk that
is stepped by a timer (a million timers, and readings that depend on who asked when).
"""

from __future__ import annotations

from iotsim.device.behavior import Device, Runtime, on
from iotsim.device.fleet import Fleet, SimDevice
from iotsim.device.loader import AttachedBehavior, attach_behavior, load_behavior
from iotsim.device.reaction import DROPPED, NO_REPLY, NO_RULE, Reaction, Reply, Responder
from iotsim.device.schedule import Endpoint, Schedule

__all__ = [
    "DROPPED",
    "NO_REPLY",
    "NO_RULE",
    "AttachedBehavior",
    "Device",
    "Endpoint",
    "Fleet",
    "Reaction",
    "Reply",
    "Responder",
    "Runtime",
    "Schedule",
    "SimDevice",
    "attach_behavior",
    "load_behavior",
    "on",
]
