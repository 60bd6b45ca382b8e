"""Ways: how a datagram passes impairments and device faults, between link and device.

A service that some entry of the scenario is for has, in each direction that concerns it, a way with
*stages*, one for each entry, in the order of the file. What passes is a `Passage`. At each stage whose scope
it hits it goes on as it is, is lost, or goes on as one or several copies; a copy that is held goes on from
there when its time has come, so that what comes later is in force or not as of then. Services that no
entry is for have no such way, and nothing of this runs.

Most of what passes most ways is hit by nothing. So what is to befall a datagram is drawn first, as far as
that takes no look at what it carries (`Stage.lot`), and there is a passage only for one that is hit.

The simulated network holds a bounded number of datagrams; what would be more is lost, and counted.

`way` is what both directions have in common, `inbound` and `outbound` are these.
"""

from __future__ import annotations

from iotsim.simulation.ways.inbound import Inbound
from iotsim.simulation.ways.outbound import NOT_SENT, Outbound
from iotsim.simulation.ways.way import IMPAIRED, TOO_MANY, Stage, Way

__all__ = ["IMPAIRED", "NOT_SENT", "TOO_MANY", "Inbound", "Outbound", "Stage", "Way"]
