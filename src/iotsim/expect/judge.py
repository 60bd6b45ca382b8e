"""The judge of a run: fed with messages as they pass, it decides what was expected.

Time comes only from the caller: with each message, and by `advance`, which the simulation calls when
`next_deadline` has come. Messages never go through the judge itself: it gives out, per fleet and
direction, a list of observers, and whoever has a message calls each of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from iotsim.events import ExpectationDecided
from iotsim.expect.count import Count
from iotsim.expect.gateway import GatewayWatcher
from iotsim.expect.invariant import Always, Never
from iotsim.expect.rate import Rate
from iotsim.expect.report import Findings, merge, outcome_of
from iotsim.expect.text import clip
from iotsim.expect.within import Within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iotsim.events import Outcome
    from iotsim.expect.slots import FleetView
    from iotsim.expect.spec import ExpectSpec
    from iotsim.expect.watcher import Observer, Watcher
    from iotsim.match import DeviceView

REASON_CHARACTERS = 200


def _watcher(spec: ExpectSpec, fleets: Mapping[str, FleetView], tolerance: float) -> Watcher:
    if spec.kind == "within":
        return Within(spec, fleets, tolerance)
    if spec.kind == "never":
        return Never(spec, fleets, tolerance)
    if spec.kind == "always":
        return Always(spec, fleets, tolerance)
    if spec.per_s is not None:
        return Rate(spec, fleets, tolerance)
    return Count(spec, fleets, tolerance)


class Judge:
    """Judges `specs` over `fleets`; `tolerance` scales every window of time."""

    def __init__(
        self, specs: Sequence[ExpectSpec], fleets: Mapping[str, FleetView], tolerance: float = 1.0
    ) -> None:
        self._all: list[Watcher | GatewayWatcher] = []
        self._watchers: list[Watcher] = []
        self._gateway: list[GatewayWatcher] = []
        self._lists: dict[tuple[str, str], list[Observer]] = {}
        self._places: list[tuple[Watcher, list[Observer], Observer]] = []
        self._told: dict[int, Outcome] = {}
        self._finished = False
        for spec in specs:
            if spec.kind == "gateway":
                gateway_watcher = GatewayWatcher(spec, tolerance)
                self._gateway.append(gateway_watcher)
                self._all.append(gateway_watcher)
            else:
                watcher = _watcher(spec, fleets, tolerance)
                self._watchers.append(watcher)
                self._all.append(watcher)
                self._place(watcher)

    # --- what the simulation calls ------------------------------------------------------------

    def observers(self, fleet: str, direction: str) -> list[Observer]:
        """Whom to call with each decoded message of `fleet`: observer(device, message, t).

        The list is live: the same object for the whole run. Observers that have seen enough leave
        it in `settled`, `advance` and `next_deadline`, never while one of them is being called.
        """
        return self._lists.setdefault((fleet, direction), [])

    def undecodable(self, device: DeviceView, t: float, error: Exception | str) -> None:
        """`device` received a datagram that is no message of its protocol."""
        fleet = device.name.partition("[")[0]
        reason = clip(str(error), REASON_CHARACTERS)
        for watcher in self._watchers:
            if watcher.spec.direction == "receives" and not watcher.closed:
                table = watcher.slots.tables.get(fleet)
                slot = -1 if table is None else table[device.index]
                if slot >= 0:
                    watcher.undecodable(device, slot, reason, t)

    def gateway_ready(self, t: float) -> None:
        """Windows start to count. Without a gateway of ours: called with the start of the run."""
        for watcher in self._all:
            watcher.ready(t)

    def gateway_output(self, line: str, t: float) -> None:
        for watcher in self._gateway:
            watcher.output(line, t)

    def gateway_exited(self, status: int | None, signal: str, t: float) -> None:
        """The gateway ended without having been asked to. `signal` is "" or a name like SIGSEGV."""
        for watcher in self._gateway:
            watcher.exited(status, signal, t)

    def next_deadline(self) -> float | None:
        """When to call `advance` next; None when only messages can change anything."""
        self._purge()
        due = min((watcher.deadline() for watcher in self._all), default=math.inf)
        return None if due == math.inf else due

    def advance(self, now: float) -> None:
        """Decide what time alone decides. What came before `now` has been observed already."""
        for watcher in self._all:
            if not watcher.closed:
                watcher.advance(now)
        self._purge()

    @property
    def settled(self) -> bool:
        """Whether every expectation is decided; true where there is none."""
        self._purge()
        return all(watcher.verdict is not None for watcher in self._all)

    def verdicts(self) -> list[bool | None]:
        """For each expectation its verdict so far; None while it is undecided."""
        return [watcher.verdict for watcher in self._all]

    def take_decisions(self, now: float) -> list[ExpectationDecided]:
        """What was decided since the last call, as events; nothing once all is: see `tell`."""
        if self._finished:
            return []
        decided = [
            outcome_of(number, [watcher.export()])
            for number, watcher in enumerate(self._all)
            if watcher.verdict is not None and number not in self._told
        ]
        return self.tell(decided, now)

    def tell(self, outcomes: Sequence[Outcome], now: float) -> list[ExpectationDecided]:
        """Events for those of `outcomes` that were not told of yet, or differ from what was told.

        At the end of a run it takes those that count, also of several judges.
        """
        news = [outcome for outcome in outcomes if self._told.get(outcome.number) != outcome]
        self._told |= {outcome.number: outcome for outcome in news}
        return [ExpectationDecided(now, outcome) for outcome in news]

    def finish(self, now: float, *, gateway_heard: bool | None = None) -> Findings:
        """Decide all that is open. `gateway_heard`: whether anything came from the gateway."""
        return merge([self.export(now, gateway_heard=gateway_heard)])

    def export(self, now: float, *, gateway_heard: bool | None = None) -> dict[str, Any]:
        """Decide all that is open, and give what `merge` needs as plain data."""
        self._finished = True
        for watcher in self._all:
            watcher.finish(now)
        self._purge()
        return self.snapshot(gateway_heard=gateway_heard)

    def snapshot(self, *, gateway_heard: bool | None = None) -> dict[str, Any]:
        """The same as of now, of what is decided; what is open stays so."""
        return {
            "gateway_heard": gateway_heard,
            "items": [watcher.export() for watcher in self._all],
        }

    # --- inside -------------------------------------------------------------------------------

    def _place(self, watcher: Watcher) -> None:
        if watcher.matcher.undecodable:
            return  # no decoded message matches it
        for fleet, table in watcher.slots.tables.items():
            observer = watcher.observer(table)
            observers = self.observers(fleet, watcher.spec.direction)
            observers.append(observer)
            self._places.append((watcher, observers, observer))

    def _purge(self) -> None:
        """Remove the observers of watchers that have seen enough."""
        if not any(watcher.closed for watcher, _, _ in self._places):
            return
        kept = []
        for place in self._places:
            if place[0].closed:
                place[1].remove(place[2])
            else:
                kept.append(place)
        self._places = kept
