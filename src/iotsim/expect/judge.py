"""The judge of a run: fed with messages as they pass, it decides what was expected.

Time comes only from the caller: with each message, and by `advance`, which the simulation calls when
`next_deadline` has come. Messages never go through the judge itself: it gives out, per fleet and
direction, a list of observers, and whoever has a message calls each of them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.events import ExpectationDecided
from iotsim.expect.gateway import GatewayWatcher
from iotsim.expect.kinds import KINDS
from iotsim.expect.lapses import Lapses
from iotsim.expect.losses import Losses
from iotsim.expect.northbound import Listening, fleet_of, services_of
from iotsim.expect.report import Findings, merge, outcome_of
from iotsim.expect.slots import FleetView
from iotsim.expect.subscription import Audience, OnBothLayers, Topic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from iotsim.events import Outcome
    from iotsim.expect.figures import GatewaySample
    from iotsim.expect.spec import Direction, ExpectSpec, Layer
    from iotsim.expect.standing import Standing
    from iotsim.expect.subscription import Observer, Subscription
    from iotsim.expect.watcher import Watcher
    from iotsim.match import DeviceView


class Judge:
    """Judges `specs` over `fleets`; `tolerance` scales every window of time.

    `told_of_services`: of several judges, one alone is told of what northbound services are sent.
    """

    def __init__(
        self,
        specs: Sequence[ExpectSpec],
        fleets: Mapping[str, FleetView],
        tolerance: float = 1.0,
        *,
        told_of_services: bool = True,
    ) -> None:
        self._all: list[Watcher | GatewayWatcher] = []
        self._gateway: list[GatewayWatcher] = []
        services = set().union(*map(services_of, specs))
        owned = None if told_of_services else range(0)
        self._fleets = {
            **fleets,
            **{fleet_of(name): FleetView(fleet_of(name), 1, owned) for name in sorted(services)},
        }
        self._audiences: dict[tuple[str, Topic], Audience] = {}
        self._losses: dict[str, Losses] = {}
        self._news: list[object] = []
        """Not empty where a watcher may have come to a verdict, or have seen enough."""
        self._undecided: dict[int, Watcher | GatewayWatcher] = {}
        self._decided: list[int] = []
        """The numbers of those that nobody was told of."""
        self._told: dict[int, Outcome] = {}
        self._finished = False
        self.lapses = Lapses()
        """When the simulator was late, and what was lost: whoever knows of it enters it here."""
        self.alarms: list[float] = []
        """Not empty where there may be a deadline before what `next_deadline` said last."""
        self._awaited: dict[str, list[Watcher | GatewayWatcher]] = {}
        """Who comes after a step or an expectation of this name."""
        ranks = _ranks(specs)
        for spec in specs:
            watcher: Watcher | GatewayWatcher
            if spec.kind == "gateway":
                watcher = GatewayWatcher(spec, tolerance)
                self._gateway.append(watcher)
            else:
                kind = KINDS[spec.kind]
                watcher = kind.make(spec, self._fleets, tolerance)
                watcher.silent = kind.holds_unseen(spec)
                watcher.news = self._news
                watcher.alarms = self.alarms
                watcher.rank = ranks.get(spec.name, 0)
                self._seat(watcher)
            self._all.append(watcher)
            if spec.after:
                self._awaited.setdefault(spec.after, []).append(watcher)
        for watcher in self._all:
            if watcher.spec.name in self._awaited:
                watcher.followed = partial(self.happened, watcher.spec.name)
        self._undecided.update(enumerate(self._all))
        self._changed()

    # --- what the simulation calls ------------------------------------------------------------

    def observers(
        self, fleet: str, direction: Direction, layer: Layer | None = None
    ) -> Collection[Observer]:
        """Whom to call with each decoded message of `fleet`: observer(device, message, t).

        On the `layer` "wire" are the messages below a protocol's session, on "application" those above
        it; without a session between them a message is on both, which is None.

        What is given is live: the same object for the whole run. What it holds changes in `settled`,
        `advance` and `next_deadline`, never while one of them is being called.
        """
        if layer is not None:
            return self._audience(fleet, Topic(direction, layer=layer)).observers
        application = self._audience(fleet, Topic(direction)).observers
        below = self._audiences.get((fleet, Topic(direction, layer="wire")))
        if below is None or not below.observers:  # nobody comes later: all were seated at the start
            return application
        return OnBothLayers(application, below.observers) if application else below.observers

    def lost_observers(self, fleet: str) -> Collection[Observer]:
        """The same, of what never reaches the sessions of `fleet`, as it is lost on its way or the device is
        away: messages as they would have been above it."""
        return self._audience(fleet, Topic("receives", "lost")).observers

    def losses(self, fleet: str) -> Losses:
        """Where what is lost is entered, if nobody knows what it would have been above the sessions."""
        return self._losses.setdefault(fleet, Losses())

    def undecodable(
        self,
        device: DeviceView,
        t: float,
        error: Exception | str,
        direction: Direction = "receives",
    ) -> None:
        """`device` received, or has sent, a datagram that is no message of its protocol."""
        fleet = device.name.partition("[")[0]
        self._audience(fleet, Topic(direction)).heard.note_undecodable(device.index, error)
        below = self._audiences.get((fleet, Topic(direction, layer="wire")))
        if below is not None:
            below.heard.note_undecodable(device.index, error)
        for observe in self._audience(fleet, Topic(direction, "undecodable")).observers:
            observe(device, None, t)

    def northbound(self, service: str) -> Collection[Observer]:
        """Whom to call with what the northbound `service` is sent: observer(view, fields, t).

        The view may be anything, None too. The collection is live, as that of `observers`; it has nobody
        in it while nobody wants to know.
        """
        fleet = fleet_of(service)
        if fleet not in self._fleets:
            return ()
        return Listening(service, self._audience(fleet, Topic("receives")).observers)

    def answers(self, fleet: str) -> bool:
        """Whether an expression about what devices of `fleet` send names the request that it answers."""
        return any(
            watcher.spec.asks and fleet in watcher.slots.tables
            for watcher in self._all
            if not isinstance(watcher, GatewayWatcher)
        )

    def happened(self, name: str, t: float) -> None:
        """The step of this name is done, or the expectation holds: what comes after it begins."""
        for watcher in self._awaited.pop(name, ()):
            watcher.begin(t)
            self._news.append(watcher)

    def gateway_ready(self, t: float) -> None:
        """Windows start to count. Without a gateway of ours: called with the start of the run."""
        for watcher in self._all:
            if not watcher.spec.after:
                watcher.ready(t)

    def gateway_output(self, line: str, t: float) -> None:
        for watcher in self._gateway:
            if self._finished:
                watcher.last_words(line, t)
                continue
            watcher.output(line, t)
            self._news.append(watcher)

    def gateway_ended_by(self, how: str, t: float) -> None:
        """A step has ended the gateway, by `how`: "stop" or "kill"."""
        for watcher in self._gateway:
            watcher.ended_by(how, t)

    def gateway_measured(self, sample: GatewaySample | None, t: float) -> bool:
        """What the gateway uses; None: it cannot be measured. Whether that has decided anything."""
        for watcher in self._gateway:
            watcher.measured(sample, t)
            if watcher.verdict is False:
                self._news.append(watcher)
        return bool(self._news)

    def gateway_outcomes(self) -> list[Outcome]:
        """What has become of the expectations of its process: it may have reported at its very end."""
        return [
            outcome_of(number, [watcher.export()], self.lapses)
            for number, watcher in enumerate(self._all)
            if isinstance(watcher, GatewayWatcher)
        ]

    def gateway_exited(self, status: int | None, signal: str, t: float) -> None:
        """The gateway ended without having been asked to. `signal` is "" or a name like SIGSEGV."""
        for watcher in self._gateway:
            watcher.exited(status, signal, t)
            self._news.append(watcher)

    def next_deadline(self) -> float | None:
        """When to call `advance` next; None when only messages can change anything."""
        self._look()
        self.alarms.clear()
        due = min((watcher.deadline() for watcher in self._all), default=math.inf)
        return None if due == math.inf else due

    def advance(self, now: float) -> None:
        """Decide what time alone decides. What came before `now` has been observed already."""
        for watcher in self._all:
            if not watcher.closed:
                watcher.advance(now)
        self._changed()

    @property
    def settled(self) -> bool:
        """Whether every expectation is decided; true where there is none."""
        self._look()
        return not self._undecided

    def verdicts(self) -> list[bool | None]:
        """For each expectation its verdict so far; None while it is undecided."""
        return [watcher.verdict for watcher in self._all]

    def standings(self) -> list[Standing]:
        """For each expectation how far it is."""
        return [watcher.standing() for watcher in self._all]

    def take_decisions(self, now: float) -> list[ExpectationDecided]:
        """What was decided since the last call, as events; nothing once all is: see `tell`."""
        self._look()
        if self._finished or not self._decided:
            return []
        decided = [
            outcome_of(number, [self._all[number].export()], self.lapses)
            for number in self._decided
        ]
        self._decided.clear()
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
        self._changed()
        return self.snapshot(gateway_heard=gateway_heard)

    def snapshot(self, *, gateway_heard: bool | None = None) -> dict[str, Any]:
        """The same as of now, of what is decided; what is open stays so."""
        return {
            "gateway_heard": gateway_heard,
            "lapses": self.lapses.export(),
            "items": [watcher.export() for watcher in self._all],
            "undecodable": {
                fleet: (audience.heard.undecodable, dict(audience.heard.reasons))
                for (fleet, topic), audience in self._audiences.items()
                if topic == Topic("receives") and audience.heard.undecodable
            },
        }

    # --- inside -------------------------------------------------------------------------------

    def _audience(self, fleet: str, topic: Topic) -> Audience:
        key = fleet, topic
        if key not in self._audiences:
            self._audiences[key] = Audience(self._fleets[fleet].count)
        return self._audiences[key]

    def _seat(self, watcher: Watcher) -> None:
        """Let `watcher` have what it subscribes to."""
        for subscription in [*watcher.subscriptions, *_of_lost(watcher)]:
            tables = watcher.slots.tables
            if subscription.service:
                tables = {fleet_of(subscription.service): bytes(1)}
            for fleet, table in tables.items():
                audience = self._audience(fleet, subscription.topic)
                audience.add(watcher, subscription, table)
                if subscription.missed is not None:
                    watcher.instead.heard[fleet] = audience.heard
                if subscription.topic.event == "lost":
                    watcher.losses[fleet] = self.losses(fleet)

    def _look(self) -> None:
        if self._news:
            self._changed()

    def _changed(self) -> None:
        """See who has come to a verdict, and let those go that need no more messages."""
        self._news.clear()
        decided = [number for number, w in self._undecided.items() if w.verdict is not None]
        self._decided += decided
        for number in decided:
            del self._undecided[number]
        for audience in self._audiences.values():
            audience.refresh()


def _of_lost(watcher: Watcher) -> Iterator[Subscription]:
    """What `watcher` subscribes to besides, if it may hold because of what never reached a session."""
    for subscription in watcher.subscriptions:
        if watcher.silent and subscription.topic == Topic("receives") and not subscription.service:
            topic = Topic("receives", "lost")
            yield replace(subscription, topic=topic, matched=watcher.lost, missed=None)


def _ranks(specs: Sequence[ExpectSpec]) -> dict[str, int]:
    """For each expectation how many others come one after the other before it."""
    after = {spec.name: spec.after for spec in specs}
    ranks: dict[str, int] = {}
    for name in after:
        before, depth = after[name], 0
        while before in after and depth < len(after):
            before, depth = after[before], depth + 1
        ranks[name] = depth
    return ranks
