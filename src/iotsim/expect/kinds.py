"""The kinds of expectations over messages, each with the class that judges it.

To add one: a module with its class (see `iotsim.expect.watcher`) and a row here; what it needs to know
stands in `iotsim.expect.spec`, and `iotsim.scenario.expectations` reads it from a scenario.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.expect.count import Count
from iotsim.expect.invariant import Always, Never
from iotsim.expect.rate import Rate
from iotsim.expect.within import Within

if TYPE_CHECKING:
    from iotsim.expect.watcher import Watcher

KINDS: dict[str, type[Watcher]] = {
    "within": Within,
    "never": Never,
    "always": Always,
    "count": Count,
    "rate": Rate,
}
