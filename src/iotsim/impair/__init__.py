"""Impairments: what a bad network does to datagrams, as pure functions of a seeded stream.

An *entry* of a scenario (``[[impair]]``, ``[[fault]]``) has a `Scope` (`iotsim.impair.scope`): which
devices, which messages, which of those by count, and when. What hits it is asked for its *fate*
(`iotsim.impair.fate`): it goes on as it is, it is lost, or one or several copies of it go on, now or later.
The words and their meanings are those of netem (tc-netem(8)); what it leaves open is settled in
`iotsim.impair.impairment`. Delays are drawn from a `distribution`, and often several at a time, `ahead` of
who needs them.

Nothing here knows a clock or a network: the time comes with each datagram, and each draw is a number of a
stream named by (seed, entry, fleet, direction), device and count. So the same seed and the same traffic of a
device give each of its datagrams the same fate, whatever other devices do and other entries are.

Alternatives considered: to draw from one generator per entry is shorter, and lets one device's traffic
change another's fates. netem itself, on the interface, knows neither devices nor messages nor a seed.
"""

from iotsim.impair.distribution import Delay, Shape
from iotsim.impair.fate import Copy, Effect, Fate, Lot, Passage
from iotsim.impair.impairment import Bursts, Impairment, ImpairSpec
from iotsim.impair.scope import DIRECTIONS, Direction, EntrySpec, Period, Scope, Test

__all__ = [
    "DIRECTIONS",
    "Bursts",
    "Copy",
    "Delay",
    "Direction",
    "Effect",
    "EntrySpec",
    "Fate",
    "ImpairSpec",
    "Impairment",
    "Lot",
    "Passage",
    "Period",
    "Scope",
    "Shape",
    "Test",
]
