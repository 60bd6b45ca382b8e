"""The kinds of expectations over messages: for each the class that judges it.

To add one: a module with its class, which says what it subscribes to (see `iotsim.expect.watcher`),
and a row here. What the class has to know are fields of `iotsim.expect.spec.ExpectSpec`, which
`iotsim.scenario.expectations` fills from the keys of the table. For ``all`` with several queues a kind
needs a pool (`Watcher.pool`, and `iotsim.expect.report`), or the scenario must be refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from iotsim.expect.count import Count
from iotsim.expect.delivered import Delivered
from iotsim.expect.invariant import Always, Never
from iotsim.expect.latency import Latency
from iotsim.expect.rate import Rate
from iotsim.expect.sequence import Sequence
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


class Row(NamedTuple):
    """``silent``: it may hold because of what was not seen, so that any loss puts it in doubt. ``pools``:
    several judges that each see a part of the devices can judge ``all`` of them together."""

    make: MakeWatcher
    silent: bool
    pools: bool = True

    def holds_unseen(self, spec: ExpectSpec) -> bool:
        """Whether `spec` is one that may; a mere minimum is seen."""
        return self.silent and not (spec.kind == "count" and spec.count_max is None)


KINDS: dict[Kind, Row] = {
    "within": Row(Within, silent=False),
    "never": Row(Never, silent=True),
    "always": Row(Always, silent=True),
    "count": Row(_count, silent=True),
    "sequence": Row(Sequence, silent=True, pools=False),
    "latency": Row(Latency, silent=True),
    "delivered": Row(Delivered, silent=True, pools=False),
}
