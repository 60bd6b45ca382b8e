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
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from iotsim.events import Impaired, NotSent, Sent
from iotsim.impair import Impairment, Scope
from iotsim.impair.fate import Passage, names
from iotsim.net.datagram import Datagram, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed, dropped
from iotsim.simulation.watchdog import Stalled
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.events import Received
    from iotsim.impair import Copy, Direction, Effect, EntrySpec, Period
    from iotsim.impair.scope import Counts
    from iotsim.net.datagram import Sending
    from iotsim.scenario.impairments import ImpairEntry
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.faults import Faults
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.moments import Moments
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.reception import Reception

NOT_SENT = consumed("not-sent")
"""The answer could not leave."""
FAILED = dropped("device-failed")
IMPAIRED = consumed("impaired")
"""What an impairment or a fault has kept from its destination."""
MOST_HELD = 1_000_000
"""So many datagrams are held at a time, in all."""
MANY_HELD = 10_000
"""From so many on, messages are decoded again rather than kept."""
TOO_MANY = "too many datagrams were held already"
OVERHEAD_IPV4, OVERHEAD_IPV6 = 28, 48
"""Bytes of the headers of IP and UDP."""


class Stage(NamedTuple):
    """One entry on a way. ``fates`` counts what it has done, in words; ``fits`` tells whether it can be for
    what passes at all."""

    scope: Scope
    effect: Effect
    name: str
    fates: Counter[str]
    fits: Callable[[Passage], bool] | None = None


class Held:
    """What the simulated network holds of a whole simulation: at most `MOST_HELD` datagrams."""

    def __init__(self) -> None:
        self.count = 0
        self.refused = 0
        """How many were lost because there were so many."""


class Transit(Passage, kw_only=True, gc=False):
    """A passage, and where it stands: before stage number ``at`` of ``way``.

    ``datagram`` is what brought it, or what it answers; ``luggage`` is for the way's end; ``late`` tells
    that it was held. It is its own timer, since there may be a million.
    """

    way: Way
    datagram: Datagram
    luggage: Any
    at: int = 0
    late: bool = False

    pending: ClassVar[bool] = True

    def fire(self) -> None:
        """It has been held for long enough."""
        self.way.go_on(self)


class Way:
    """The stages that datagrams of one service pass in one direction; `held` is what all ways share.

    A subclass says what is at its end (`arrive`), and what becomes of what is lost on it (`lose`).
    """

    def __init__(self, stages: list[Stage], pump: Pump, held: Held) -> None:
        self._stages = stages
        self._pump = pump
        self._hold = pump.timers.push
        self._held = held
        self.fail: Callable[[Any, BaseException], object] = _raise
        """Called with the device if something is raised by the scenario when nobody is there to catch it."""

    def arrive(self, transit: Transit) -> str:
        """It has passed; the outcome of the frame behind its datagram."""
        raise NotImplementedError

    def lose(self, transit: Transit) -> None:
        """It will not."""
        raise NotImplementedError

    def begin(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        t: float,
        luggage: Any,
    ) -> Transit:
        """`payload`, which shows `message`, as it sets out at `t`."""
        headers = OVERHEAD_IPV4 if datagram.peer < IPV4_END else OVERHEAD_IPV6
        return Transit(
            device,
            message,
            payload,
            headers + len(payload),
            t,
            way=self,
            datagram=datagram,
            luggage=luggage,
        )

    def lighten(self, transit: Transit) -> None:
        """It is one of very many that are held, and past all stages: drop what its bytes can give again."""
        raise NotImplementedError

    def go(self, transit: Transit) -> str:
        """Let it pass the stages that are left; the outcome of the frame behind its datagram for now."""
        stages = self._stages
        while transit.at < len(stages):
            scope, effect, name, fates, fits = stages[transit.at]
            transit.at += 1
            if fits is not None and not fits(transit):
                continue
            message = transit.said if scope.spoken else transit.message
            if not scope.hits(transit.device, message, transit.t):
                continue
            fate = effect(transit)
            if fate is None:
                continue
            transit.impaired = names(transit.impaired, name) if transit.impaired else name
            if isinstance(fate, str):
                fates[fate] += 1
                return self._lost(transit, fate)
            if len(fate) > 1:
                for copy in fate[1:]:
                    fates[copy.fate] += 1
                    self._copied(msgspec.structs.replace(transit), copy)
            first = fate[0]
            fates[first.fate] += 1
            if (outcome := self._changed(transit, first)) is not None:
                return outcome
        return self.arrive(transit)

    def go_on(self, transit: Transit) -> None:
        """Let it pass the stages that are left, when it has been held for long enough."""
        self._held.count -= 1
        try:
            outcome = self.go(transit)
        except (
            Exception,
            Stalled,
        ) as error:  # of the scenario's expressions, or code of the user's
            self.fail(transit.device, error)
            outcome = FAILED
        if outcome is not PENDING:
            self._pump.settle(transit.datagram, outcome)

    def _copied(self, transit: Transit, copy: Copy) -> None:
        """A further one goes on by itself."""
        outcome = self._changed(transit, copy)
        if outcome is None:
            outcome = self.go(transit)
        if transit.late and outcome is not PENDING:
            self._pump.settle(transit.datagram, outcome)

    def _changed(self, transit: Transit, copy: Copy) -> str | None:
        """It goes on as `copy` says; if it is held, or cannot be, the outcome for now."""
        delay_s, payload, flip, word = copy
        transit.fate = names(transit.fate, word) if transit.fate else word
        if flip >= 0:
            transit.flip = flip
        if payload is not None:
            transit.size += len(payload) - len(transit.payload)
            transit.payload = payload
            transit.changed = True
        if delay_s <= 0:
            return None
        held = self._held
        if held.count >= MOST_HELD:
            held.refused += 1
            return self._lost(transit, TOO_MANY)
        held.count += 1
        transit.t = due = transit.t + delay_s
        transit.delay_s += delay_s
        transit.late = True
        if held.count > MANY_HELD and transit.at >= len(self._stages):
            self.lighten(transit)
        outcome = self._pump.defer(transit.datagram)
        self._hold(due, transit)
        return outcome

    def _lost(self, transit: Transit, fate: str) -> str:
        transit.fate = names(transit.fate, fate)
        self.lose(transit)
        return IMPAIRED


def _raise(_device: Any, error: BaseException) -> None:
    raise error


class Inbound(Way):
    """From the link to the devices. `deliver` is how a service takes what has passed. There is no luggage."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        deliver: Callable[[Transit], str],
    ) -> None:
        super().__init__(stages, pump, held)
        self._emit = journal.emit
        self._recorded = journal.recording.messages
        self._deliver = deliver

    def take(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        event: Received | None,
    ) -> str:
        """A datagram has come at the link, which `event` tells, if anything does."""
        transit = self.begin(device, datagram, payload, message, datagram.time, None)
        outcome = self.go(transit)
        if event is not None and transit.impaired:
            _note(event, transit)
        return outcome

    def arrive(self, transit: Transit) -> str:
        if transit.flip >= 0:  # whose checksum the device's stack finds wrong
            return self._lost(transit, "")
        return self._deliver(transit)

    def lighten(self, transit: Transit) -> None:
        transit.message = None

    def lose(self, transit: Transit) -> None:
        if transit.late and self._recorded:
            impaired, fate, delay_s = transit.impaired, transit.fate, transit.delay_s
            number, name = transit.datagram.id, transit.device.name
            self._emit(Impaired(self._pump.clock(), name, impaired, fate, delay_s, number))


class Outbound(Way):
    """From the devices to the link. `leave` and `leave_corrupt` send what has passed, and `tell` tells of it,
    whose luggage is what the device says with it."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Transit], object],
    ) -> None:
        super().__init__(stages, pump, held)
        self._journal = journal
        self._leave = leave
        self._leave_corrupt = leave_corrupt
        self._tell = tell

    def send(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        said: Any,
        above: Mapping[str, Any] | None = None,
    ) -> str:
        """`device` sends `payload`, which shows `message`; the outcome of what it answers. `above` is what
        the device says with it, if that is of another schema."""
        transit = self.begin(device, datagram, payload, message, self._pump.clock(), said)
        transit.said = above
        return self.go(transit)

    def arrive(self, transit: Transit) -> str:
        datagram, payload = transit.datagram, transit.payload
        if transit.flip >= 0:  # which the gateway's stack will not take
            self._leave_corrupt(datagram, payload, transit.flip)
            return self._lost(transit, "")
        sending = self._leave(datagram, payload)
        if sending is None:
            self._left(transit)
            return ANSWERED

        def told(reason: str) -> None:
            if reason:
                transit.fate = reason
                self.lose(transit)
            else:
                with suppress(Stalled):  # which its device is known for by now
                    self._left(transit)
            self._pump.settle(datagram, NOT_SENT if reason else ANSWERED)

        if isinstance(sending, Waiting):
            sending.told = told
            return self._pump.defer(datagram)
        told(sending)
        return NOT_SENT

    def lighten(self, transit: Transit) -> None:
        if transit.luggage is None and transit.said is None:
            transit.message, transit.changed = None, True

    def _left(self, transit: Transit) -> None:
        """Tell of what has left, with what befell it."""
        events = self._journal.events
        before = len(events)
        self._tell(transit)
        if transit.impaired:
            for event in events[before:]:
                if isinstance(event, Sent):
                    _note(event, transit)

    def lose(self, transit: Transit) -> None:
        name, number = transit.device.name, transit.datagram.id
        reason, message = transit.fate, transit.message
        now = self._pump.clock()
        self._journal.emit(NotSent(now, name, reason, number, transit.impaired, message))


def _note(event: Received | Sent, passage: Passage) -> None:
    """Write into `event` what befell the message that it tells of."""
    event.impaired, event.fate = passage.impaired, passage.fate
    if passage.delay_s:
        event.delay_s = passage.delay_s


class Disturbances:
    """All entries of `scenario`, as stages of the ways that they are for, in one run."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        pump: Pump,
        journal: Journal,
        moments: Moments,
        faults: Faults | None = None,
    ) -> None:
        self.held = Held()
        self._faults = faults
        self._seed = seed
        self._pump = pump
        self._journal = journal
        self._moments = moments
        self._impairments = scenario.impairments
        self._scopes: list[Scope] = []
        self._periods: dict[str, Period] = {}
        self._counts: dict[tuple[str, str, Direction], Counts | None] = {}
        self._effects: dict[tuple[str, str, Direction], Impairment] = {}
        self._fates: dict[str, Counter[str]] = {}

    def inbound(
        self,
        fleet: Fleet,
        service: int,
        deliver: Callable[[Transit], str],
        *,
        faulty: bool = False,
    ) -> Inbound | None:
        """The way to the devices of a fleet's service; None if nothing is on it, unless what comes is to meet
        faults at its end."""
        stages = self._stages(fleet, service, "to_device")
        if not stages and not faulty:
            return None
        if self._faults is not None and self._faults.may_be_away(fleet):
            deliver = partial(self._deliver_if_there, fleet, deliver)
        return Inbound(stages, self._pump, self.held, self._journal, deliver)

    def _deliver_if_there(
        self, fleet: Fleet, deliver: Callable[[Transit], str], transit: Transit
    ) -> str:
        """What was held on its way may find the device gone."""
        faults, index = self._faults, transit.device.index
        if transit.late and faults is not None and faults.is_away(fleet, index, transit.t):
            return IMPAIRED
        return deliver(transit)

    def receptions(self, fleet: Fleet, service: int) -> tuple[Reception | None, Reception | None]:
        """What messages meet at the devices of a fleet's service: before a session has them, and after."""
        if self._faults is None:
            return None, None
        return (
            self._faults.reception(self, fleet, service, on_wire=True),
            self._faults.reception(self, fleet, service, on_wire=False),
        )

    def outbound(
        self,
        fleet: Fleet,
        service: int,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Transit], object],
    ) -> Outbound | None:
        """The same from the devices."""
        stages = self._stages(fleet, service, "from_device")
        if not stages:
            return None
        ends = leave, leave_corrupt, tell
        return Outbound(stages, self._pump, self.held, self._journal, *ends)

    def counters(self) -> dict[str, int]:
        """How often each entry has done what; nothing where there is none."""
        counts = {
            f"impaired.{name}.{fate}": count
            for name, fates in self._fates.items()
            for fate, count in sorted(fates.items())
        }
        return counts | ({f"impaired.{TOO_MANY}": self.held.refused} if self.held.refused else {})

    def fates(self, name: str) -> Counter[str]:
        """What counts how often the entry of this name has done what."""
        return self._fates.setdefault(name, Counter())

    def idle(self) -> list[str]:
        """The names of the entries that could have been for messages and were for none."""
        names = dict.fromkeys(scope.entry.name for scope in self._scopes)
        met = {scope.entry.name for scope in self._scopes if scope.met}
        return [name for name in names if name not in met]

    def scope(
        self,
        entry: EntrySpec,
        fleet: Fleet,
        service: int,
        direction: Direction,
        *,
        may_idle: bool = False,
    ) -> Scope | None:
        """What `entry` is for there; None if that is nothing. It `may_idle` if it is not about messages."""
        name = fleet.spec.name
        if (name, service, direction) not in entry.tests:
            return None
        if entry.identity not in self._periods:
            period = self._periods[entry.identity] = entry.period()
            self._moments.follow(period)
        key = entry.identity, name, direction
        if key not in self._counts:
            self._counts[key] = entry.counts(len(fleet))
        scope = Scope(
            entry,
            name,
            service,
            direction,
            devices=len(fleet),
            period=self._periods[entry.identity],
            counts=self._counts[key],
        )
        if not may_idle:
            self._scopes.append(scope)
        return scope

    def _stages(self, fleet: Fleet, service: int, direction: Direction) -> list[Stage]:
        stages = []
        for one in self._impairments:
            if direction not in one.directions:
                continue
            scope = self.scope(one.entry, fleet, service, direction)
            if scope is not None:
                name = one.entry.name
                fates = self.fates(name)
                effect = self._impairment(one, fleet, direction)
                stages.append(Stage(scope, effect, name, fates))
        if self._faults is not None:
            stages += self._faults.stages(self, fleet, service, direction)
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
