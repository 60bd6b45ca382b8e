"""Ways: how a datagram passes impairments and device faults, between link and device.

A service that some entry of the scenario is for has, in each direction that concerns it, a way with
*stages*, one for each entry, in the order of the file. What passes is a `Passage`. At each stage whose scope
it hits it goes on as it is, is lost, or goes on as one or several copies; a copy that is held goes on from
there when its time has come, so that what comes later is in force or not as of then. Services that no
entry is for have no such way, and nothing of this runs.

The simulated network holds a bounded number of datagrams; what would be more is lost, and counted.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from iotsim.errors import DecodeError
from iotsim.events import Impaired, NotSent, Sent
from iotsim.impair.fate import DELAYED, Passage, names
from iotsim.net.datagram import NO_FRAME, Datagram, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed, dropped
from iotsim.simulation.watchdog import FAULTS, Stalled
from iotsim.units import format_duration
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Received
    from iotsim.impair import Copy, Effect, Scope
    from iotsim.net.datagram import Sending
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump

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
SHOWN_BYTES = 64
"""So many of a datagram that was changed are shown as they were, beside the packet."""
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
    that it was held, and ``was`` are the bytes before they were changed. It is its own timer, since there
    may be a million.
    """

    way: Way
    datagram: Datagram
    luggage: Any
    at: int = 0
    late: bool = False
    was: bytes = b""

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
            if scope.for_all:  # as `hits` does, in place: most entries are for all, all the time
                period = scope.period
                if not period.begin <= transit.t < period.end:
                    continue
                scope.met = True
            else:
                message = transit.said if scope.spoken else transit.message
                if not scope.hits(transit.device, message, transit.t):
                    continue
            fate = effect(transit)
            if fate is None:
                continue
            transit.impaired = names(transit.impaired, name) if transit.impaired else name
            if isinstance(fate, float):
                fates[DELAYED] += 1
                transit.fate = names(transit.fate, DELAYED) if transit.fate else DELAYED
                return self._held_for(transit, fate)
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
        except FAULTS as error:
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
            transit.was = transit.was or transit.payload
            transit.size += len(payload) - len(transit.payload)
            transit.payload = payload
            transit.changed = True
        return self._held_for(transit, delay_s) if delay_s > 0 else None

    def _held_for(self, transit: Transit, delay_s: float) -> str:
        """It goes on in `delay_s` seconds; the outcome for now."""
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
        self._remark = journal.remark_in
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
        if transit.impaired:
            self._remark(_befell(transit))
            if event is not None:
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
    whose luggage is what the device says with it. `decode` is how the other side reads it."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Transit], object],
        decode: Callable[[bytes, SimDevice], Mapping[str, Any]],
    ) -> None:
        super().__init__(stages, pump, held)
        self._decode = decode
        self._journal = journal
        self._recorded = journal.recording.messages
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
        packets = len(self._journal.packets)
        if transit.flip >= 0:  # which the gateway's stack will not take
            self._leave_corrupt(datagram, payload, transit.flip)
            self._journal.remark_out(packets, _befell(transit))
            return self._lost(transit, "")
        sending = self._leave(datagram, payload)
        if sending is None:
            if transit.impaired:
                self._journal.remark_out(packets, _befell(transit))
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
        # What is corrupt is told by its message, and a protocol may write what it does not read.
        if transit.flip >= 0 or transit.luggage is not None or transit.said is not None:
            return
        device: Any = transit.device
        with suppress(DecodeError):
            if self._decode(transit.payload, device) == transit.message:
                transit.message, transit.changed = None, True

    def _left(self, transit: Transit) -> None:
        """Tell of what has left, with what befell it."""
        if not (self._recorded and transit.impaired):
            self._tell(transit)
            return
        events = self._journal.events
        before = len(events)
        self._tell(transit)
        for event in events[before:]:
            if isinstance(event, Sent):
                _note(event, transit)

    def lose(self, transit: Transit) -> None:
        name, number = transit.device.name, transit.datagram.id
        reason, message = transit.fate, transit.message
        now = self._pump.clock()
        if transit.flip < 0 and not transit.late and transit.datagram.frame != NO_FRAME:
            self._journal.remark_in(f"the answer of {_befell(transit)}")
        self._journal.emit(NotSent(now, name, reason, number, transit.impaired, message))


def _befell(transit: Transit) -> str:
    """What befell a datagram, for people: what is beside it in the capture, as it is on the link."""
    fate = transit.fate or "duplicated"  # what is the first of several goes on as it is
    if transit.delay_s:
        held = f"{DELAYED} {format_duration(transit.delay_s)}"
        fate = fate.replace(DELAYED, held) if DELAYED in fate else f"{fate}, {held}"
    device: Any = transit.device
    text = f"{device.name}: {fate} ({transit.impaired})"
    if transit.flip >= 0:
        text += "; one bit of the UDP datagram is wrong"
    if transit.was:
        inbound = isinstance(transit.way, Inbound)
        other = transit.payload if inbound else transit.was
        shown = other[:SHOWN_BYTES].hex() + ("…" if len(other) > SHOWN_BYTES else "")
        text += f"; as {'it reached the device' if inbound else 'the device sent it'}: {shown}"
    return text


def _note(event: Received | Sent, passage: Passage) -> None:
    """Write into `event` what befell the message that it tells of."""
    event.impaired, event.fate = passage.impaired, passage.fate
    if passage.delay_s:
        event.delay_s = passage.delay_s
