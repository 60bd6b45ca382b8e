"""Disturbances: the way of a datagram past impairments and device faults, between link and device.

A service that some entry of the scenario is for has, in each direction that concerns it, a way with
*stages*, one for each entry, in the order of the file. What passes is a `Passage`. At each stage whose scope
it hits it goes on as it is, is lost, or goes on as one or several copies; a copy that is held goes on from
there when its time has come, so that what comes later is in force or not as of then. Services that no
entry is for have no such way, and nothing of this runs.

The simulated network holds a bounded number of datagrams; what would be more is lost, and counted.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from iotsim.events import Impaired, NotSent, Sent
from iotsim.impair import Impairment, Scope
from iotsim.impair.fate import Passage, names
from iotsim.net.datagram import Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed
from iotsim.simulation.watchdog import Stalled
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.events import Received
    from iotsim.impair import Copy, Direction, Effect, EntrySpec, Period
    from iotsim.impair.scope import Counts
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.scenario.impairments import ImpairEntry
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.moments import Moments
    from iotsim.simulation.pump import Pump

NOT_SENT = consumed("not-sent")
"""The answer could not leave."""
IMPAIRED = consumed("impaired")
"""What an impairment or a fault has kept from its destination."""
MOST_HELD = 1 << 20
"""So many datagrams are held at a time, in all."""
TOO_MANY = "too many datagrams were held already"
OVERHEAD_IPV4, OVERHEAD_IPV6 = 28, 48
"""Bytes of the headers of IP and UDP."""


class Stage(NamedTuple):
    """One entry on a way."""

    scope: Scope
    effect: Effect
    name: str


class Held:
    """What the simulated network holds, and what it has done, of a whole simulation."""

    def __init__(self) -> None:
        self.count = 0
        self.fates: Counter[str] = Counter()
        """How often each entry has done what, as ``NAME: FATE``."""


class Way:
    """The stages that datagrams of one service pass in one direction; `held` is what all ways share.

    A subclass says what is at its end (`arrive`), and what becomes of what is lost on it (`lose`).
    """

    def __init__(self, stages: list[Stage], pump: Pump, held: Held) -> None:
        self._stages = stages
        self._pump = pump
        self._held = held

    def arrive(self, passage: Passage, datagram: Datagram, luggage: Any) -> str:
        """It has passed; the outcome of the frame behind `datagram`."""
        raise NotImplementedError

    def lose(self, passage: Passage, datagram: Datagram, luggage: Any, *, late: bool) -> None:
        """It will not; `late` tells that it was held before."""
        raise NotImplementedError

    def go(
        self, passage: Passage, datagram: Datagram, luggage: Any, at: int = 0, *, late: bool = False
    ) -> str:
        """Let it pass the stages from number `at` on; the outcome of the frame behind `datagram`."""
        stages = self._stages
        while at < len(stages):
            scope, effect, name = stages[at]
            at += 1
            if not scope.hits(passage.device, passage.message, passage.t):
                continue
            fate = effect(passage)
            if fate is None:
                continue
            if isinstance(fate, str):
                return self._lost(passage, datagram, luggage, name, fate, late=late)
            first, *others = fate
            for copy in others:
                other = msgspec.structs.replace(passage)
                self._copy(other, copy, name)
                self._send_on(other, datagram, luggage, copy.delay_s, at, late=late)
            self._copy(passage, first, name)
            if first.delay_s > 0:
                return self._send_on(passage, datagram, luggage, first.delay_s, at, late=late)
        return self.arrive(passage, datagram, luggage)

    def _copy(self, passage: Passage, copy: Copy, name: str) -> None:
        passage.impaired = names(passage.impaired, name)
        passage.fate = names(passage.fate, copy.fate)
        passage.delay_s += copy.delay_s
        if copy.flip >= 0:
            passage.flip = copy.flip
        if copy.payload is not None:
            passage.size += len(copy.payload) - len(passage.payload)
            passage.payload = copy.payload
            passage.changed = True
        self._held.fates[f"{name}: {copy.fate or 'passed'}"] += 1

    def _send_on(
        self,
        passage: Passage,
        datagram: Datagram,
        luggage: Any,
        delay_s: float,
        at: int,
        *,
        late: bool,
    ) -> str:
        """Let it go on after `delay_s` seconds, if at all; the outcome for now."""
        if delay_s <= 0:
            return self.go(passage, datagram, luggage, at, late=late)
        if self._held.count >= MOST_HELD:
            return self._lost(passage, datagram, luggage, "", TOO_MANY, late=late)
        self._held.count += 1
        outcome = self._pump.defer(datagram)
        due = passage.t + delay_s
        self._pump.timers.call_at(due, self._go_on, passage, datagram, luggage, at, due)
        return outcome

    def _go_on(
        self, passage: Passage, datagram: Datagram, luggage: Any, at: int, due: float
    ) -> None:
        self._held.count -= 1
        passage.t = due
        outcome = self.go(passage, datagram, luggage, at, late=True)
        if outcome is not PENDING:
            self._pump.settle(datagram, outcome)

    def _lost(
        self,
        passage: Passage,
        datagram: Datagram,
        luggage: Any,
        name: str,
        fate: str,
        *,
        late: bool,
    ) -> str:
        passage.impaired = names(passage.impaired, name)
        passage.fate = names(passage.fate, fate)
        self._held.fates[f"{name}: {fate}" if name else fate] += 1
        self.lose(passage, datagram, luggage, late=late)
        return IMPAIRED


class Inbound(Way):
    """From the link to the devices: `deliver` is how a service takes what has passed, which gets the
    event of its arrival at the link as luggage."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        deliver: Callable[[Passage, Datagram, bool], str],
    ) -> None:
        super().__init__(stages, pump, held)
        self._emit = journal.emit
        self._deliver = deliver

    def take(self, passage: Passage, datagram: Datagram, event: Received | None) -> str:
        """A datagram has come at the link, which `event` has told."""
        outcome = self.go(passage, datagram, event)
        if event is not None and passage.impaired:
            _note(event, passage)
        return outcome

    def arrive(self, passage: Passage, datagram: Datagram, luggage: Any) -> str:
        if passage.flip >= 0:  # whose checksum the device's stack finds wrong
            return IMPAIRED
        return self._deliver(passage, datagram, passage.delay_s > 0)

    def lose(self, passage: Passage, datagram: Datagram, luggage: Any, *, late: bool) -> None:
        if late and luggage is not None:
            self._emit(
                Impaired(
                    self._pump.clock(),
                    luggage.device,
                    passage.impaired,
                    passage.fate,
                    passage.delay_s,
                    datagram.id,
                )
            )


class Outbound(Way):
    """From the devices to the link. `leave` and `leave_corrupt` send what has passed, and `tell` tells of it,
    given what `send` was: what the device says with it, which is the luggage."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Passage, Datagram, Any], object],
    ) -> None:
        super().__init__(stages, pump, held)
        self._journal = journal
        self._leave = leave
        self._leave_corrupt = leave_corrupt
        self._tell = tell

    def send(
        self, device: SimDevice, datagram: Datagram, payload: bytes, message: Any, said: Any
    ) -> str:
        """`device` sends `payload`, which shows `message`; the outcome of what it answers."""
        passage = passage_of(device, datagram, payload, message, self._pump.clock())
        return self.go(passage, datagram, said)

    def arrive(self, passage: Passage, datagram: Datagram, luggage: Any) -> str:
        if passage.flip >= 0:  # which the gateway's stack will not take
            sending = self._leave_corrupt(datagram, passage.payload, passage.flip)
            self.lose(passage, datagram, luggage, late=False)
            return IMPAIRED
        sending = self._leave(datagram, passage.payload)
        if sending is None:
            self._told(passage, datagram, luggage)
            return ANSWERED

        def left(reason: str) -> None:
            outcome = ANSWERED
            if reason:
                passage.fate = reason
                self.lose(passage, datagram, luggage, late=True)
                outcome = NOT_SENT
            else:
                with suppress(Stalled):  # which its device is known for by now
                    self._told(passage, datagram, luggage)
            self._pump.settle(datagram, outcome)

        if isinstance(sending, Waiting):
            sending.told = left
            return self._pump.defer(datagram)
        left(sending)
        return NOT_SENT

    def _told(self, passage: Passage, datagram: Datagram, luggage: Any) -> None:
        """Tell of what has left, with what befell it."""
        events = self._journal.events
        before = len(events)
        self._tell(passage, datagram, luggage)
        if passage.impaired:
            for event in events[before:]:
                if isinstance(event, Sent):
                    _note(event, passage)

    def lose(self, passage: Passage, datagram: Datagram, luggage: Any, *, late: bool) -> None:
        self._journal.emit(
            NotSent(
                self._pump.clock(),
                passage.device.name,
                passage.fate,
                datagram.id,
                passage.impaired,
                passage.message,
            )
        )


def _note(event: Received | Sent, passage: Passage) -> None:
    """Write into `event` what befell the message that it tells of."""
    event.impaired, event.fate = passage.impaired, passage.fate
    if passage.delay_s:
        event.delay_s = passage.delay_s


def passage_of(
    device: SimDevice, datagram: Datagram, payload: bytes, message: Any, t: float
) -> Passage:
    """`payload` as it sets out at `t`."""
    headers = OVERHEAD_IPV4 if datagram.peer < IPV4_END else OVERHEAD_IPV6
    return Passage(device, message, payload, headers + len(payload), t)


class Disturbances:
    """All entries of `scenario`, as stages of the ways that they are for, in one run."""

    def __init__(
        self, scenario: Scenario, seed: int, pump: Pump, journal: Journal, moments: Moments
    ) -> None:
        self.held = Held()
        self._seed = seed
        self._pump = pump
        self._journal = journal
        self._moments = moments
        self._impairments = scenario.impairments
        self._periods: dict[str, Period] = {}
        self._counts: dict[tuple[str, str, Direction], Counts | None] = {}
        self._effects: dict[tuple[str, str, Direction], Impairment] = {}

    def inbound(
        self, fleet: Fleet, service: int, deliver: Callable[[Passage, Datagram, bool], str]
    ) -> Inbound | None:
        """The way to the devices of a fleet's service; None if nothing is on it."""
        stages = self._stages(fleet, service, "to_device")
        if not stages:
            return None
        return Inbound(stages, self._pump, self.held, self._journal, deliver)

    def outbound(
        self,
        fleet: Fleet,
        service: int,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Passage, Datagram, Any], object],
    ) -> Outbound | None:
        """The same from the devices."""
        stages = self._stages(fleet, service, "from_device")
        if not stages:
            return None
        ends = leave, leave_corrupt, tell
        return Outbound(stages, self._pump, self.held, self._journal, *ends)

    def counters(self) -> dict[str, int]:
        """How often each entry has done what; nothing where there is none."""
        return {f"impaired.{what}": count for what, count in sorted(self.held.fates.items())}

    def scope(
        self, entry: EntrySpec, fleet: Fleet, service: int, direction: Direction
    ) -> Scope | None:
        """What `entry` is for there; None if that is nothing."""
        name = fleet.spec.name
        if (name, service, direction) not in entry.tests:
            return None
        if entry.identity not in self._periods:
            period = self._periods[entry.identity] = entry.period()
            self._moments.follow(period)
        key = entry.identity, name, direction
        if key not in self._counts:
            self._counts[key] = entry.counts(len(fleet))
        return Scope(
            entry,
            name,
            service,
            direction,
            devices=len(fleet),
            period=self._periods[entry.identity],
            counts=self._counts[key],
        )

    def _stages(self, fleet: Fleet, service: int, direction: Direction) -> list[Stage]:
        stages = []
        for one in self._impairments:
            if direction not in one.directions:
                continue
            scope = self.scope(one.entry, fleet, service, direction)
            if scope is not None:
                stages.append(Stage(scope, self._impairment(one, fleet, direction), one.entry.name))
        stages.sort(key=lambda stage: stage.scope.entry.order)
        return stages

    def _impairment(self, one: ImpairEntry, fleet: Fleet, direction: Direction) -> Impairment:
        """One for all services of a fleet: a device has one line."""
        name = fleet.spec.name
        key = one.entry.identity, name, direction
        if key not in self._effects:
            self._effects[key] = Impairment(
                one.spec, self._seed, one.entry.identity, name, len(fleet), direction
            )
        return self._effects[key]
