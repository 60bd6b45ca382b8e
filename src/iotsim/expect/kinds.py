"""The kinds of expectations over messages: for each the class that judges it.

To add one: a module with its class, which says what it subscribes to (see `iotsim.expect.watcher`),
and a row here. What the class has to know are fields of `iotsim.expect.spec.ExpectSpec`, which
`iotsim.scenario.expectations` fills from the key of the same name as the kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from iotsim.expect.count import Count
from iotsim.expect.invariant import Always, Never
from iotsim.expect.rate import Rate
from iotsim.expect.within import Within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec, Kind
    from iotsim.expect.watcher import Watcher

MakeWatcher: TypeAlias = "Callable[[ExpectSpec, Mapping[str, FleetView], float], Watcher]"


def _count(spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> Watcher:
    kind = Count if spec.per_s is None else Rate
    return kind(spec, fleets, tolerance)


KINDS: dict[Kind, MakeWatcher] = {
    "within": Within,
    "never": Never,
    "always": Always,
    "count": _count,
}
