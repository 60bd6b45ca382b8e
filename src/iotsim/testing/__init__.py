"""Tools for tests: `simulated`, a whole run with the test as its gateway; `Transcript`, one device by itself.

`gateway`     runs in virtual time, in an event loop
`transcript`  what a device hears and says, as text; without an event loop
`live`        runs over any link, with all that takes part in them in the hands of a test
`blocking`    the same for plain functions; pytest's fixture `simulation` gives both

`building`, `parts`, `waiting`, `sockets` and `explanation` are for the last two; `frames` makes what the
memory link carries.
"""

from __future__ import annotations

from iotsim.testing.gateway import Arrival, Gateway, run_virtually, simulated
from iotsim.testing.transcript import Transcript

__all__ = ["Arrival", "Gateway", "Transcript", "run_virtually", "simulated"]
