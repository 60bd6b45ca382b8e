"""Ways: how a datagram passes impairments and device faults, between link and device.

A service that some entry of the scenario is for has, in each direction that concerns it, a way with
*stages*, one for each entry, in the order of the file. What passes is a `Passage`. At each stage whose scope
it hits it goes on as it is, is lost, or goes on as one or several copies; a copy that is held goes on from
there when its time has come, so that what comes later is in force or not as of then. Services that no
entry is for have no such way, and nothing of this runs.

Most of what passes most ways is hit by nothing. So what is to befall a datagram is drawn first, as far as
that takes no look at what it carries (`Stage.lot`), and there is a passage only for one that is hit.

The simulated network holds a bounded number of datagrams; what would be more is lost, and counted.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from iotsim.errors import DecodeError
from iotsim.events import Impaired, NotSent, Untold, note_what_befell
from iotsim.impair.fate import DELAYED, in_words, names
from iotsim.net.datagram import NO_FRAME, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed
from iotsim.simulation.transit import Delayed, Transit
from iotsim.simulation.watchdog import Stalled
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Befell, Received, Remark
    from iotsim.impair import Copy, Effect, Fate, Lot, Passage, Scope
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.protocol.codec import Codec
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.transit import Arriving, Held

NOT_SENT = consumed("not-sent")
"""The answer could not leave."""
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


Hit: TypeAlias = "tuple[int, Fate]"
"""What befalls a datagram at the stage of this number; None is nothing yet."""
Meet: TypeAlias = "Callable[[SimDevice, Any, Any, float], Hit | None]"
"""Called with a device, its message, what is said above that, and the time."""


class Stage(NamedTuple):
    """One entry on a way. ``fates`` counts what it has done, in words; ``fits`` tells whether it can be for
    what passes at all; ``lot`` is the effect, if that looks at nothing but whose datagram it is; ``looks``
    tells whether scope or effect look at what it says."""

    scope: Scope
    effect: Effect
    name: str
    fates: Counter[str]
    fits: Callable[[Passage], bool] | None = None
    lot: Lot | None = None
    looks: bool = True


class Way:
    """The stages that datagrams of one service pass in one direction; `held` is what all ways share.

    A subclass says what is at its end (`arrive`), and what becomes of what is lost on it (`lose`). Something
    `waits` there that is to see whatever passes.
    """

    arrive_delayed: Callable[[Delayed], str]
    """The same as `arrive`, of what was only held."""

    def __init__(self, stages: list[Stage], pump: Pump, held: Held, *, waits: bool = False) -> None:
        self.stages = stages
        self.looks = any(stage.looks for stage in stages)
        """Whether anything on it looks at what a message says."""
        self.end = len(stages)
        self._last = -1 if waits else self.end - 1
        """The stage behind which nothing looks at what passes; -1: there is none."""
        self._last_entry = (stages[-1].name, stages[-1].fates) if stages else ("", Counter[str]())
        self._meet = _first_to_hit(stages, waits=waits)
        self.pump = pump
        self._hold = pump.timers.hold
        self.held = held
        self.fail: Callable[[Any, BaseException], object] = _raise
        """Called with the device if something is raised by the scenario when nobody is there to catch it."""
        self.on_lost: Callable[[Transit], object] = _nothing
        """Called with what never arrives as it was sent."""

    def arrive(self, transit: Transit) -> str:
        """It has passed; the outcome of the frame behind its datagram."""
        raise NotImplementedError

    def lose(self, transit: Transit) -> None:
        """It will not."""
        raise NotImplementedError

    def set_out(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        above: Any,
        luggage: Any,
        t: float,
        hit: Hit,
        *,
        untold: bool = False,
    ) -> tuple[Transit, str]:
        """`payload`, which shows `message`, sets out at `t` with what `hit` tells of its first stages; the
        outcome as of `go`."""
        at, fate = hit
        transit = Transit(
            device,
            message,
            payload,
            len(payload) + (OVERHEAD_IPV4 if datagram.peer < IPV4_END else OVERHEAD_IPV6),
            t,
            said=above,
            way=self,
            datagram=datagram,
            luggage=luggage,
            at=at + 1,
            untold=untold,
        )
        outcome = self._befall(transit, self.stages[at], fate) if fate is not None else None
        return transit, self.go(transit) if outcome is None else outcome

    def _delay(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        t: float,
        fate: Any,
        untold: bool = False,
        above: Any = None,
        luggage: Any = None,
    ) -> Befell:
        """Hold for `fate` seconds what then has only the way's end before it; what there is to tell."""
        name, fates = self._last_entry
        fates[DELAYED] += 1
        self.held.count += 1
        due = t + fate
        befell = name, DELAYED, fate
        self._hold(
            Delayed(device, message, payload, due, self, datagram, befell, untold, above, luggage)
        )
        if not datagram.frame:
            datagram.frame = self.pump.frames_received  # as `Pump.defer` does
        return befell

    def lighten(self, transit: Transit) -> None:
        """It is one of very many that are held, and past all stages: drop what its bytes can give again."""
        raise NotImplementedError

    def go(self, transit: Transit) -> str:
        """Let it pass the stages that are left; the outcome of the frame behind its datagram for now."""
        stages = self.stages
        while transit.at < self.end:
            stage = stages[transit.at]
            transit.at += 1
            if stage.fits is not None and not stage.fits(transit):
                continue
            scope = stage.scope
            message = transit.said if scope.spoken else transit.message
            if not scope.hits(transit.device, message, transit.t):
                continue
            fate = stage.effect(transit)
            if fate is None:
                continue
            outcome = self._befall(transit, stage, fate)
            if outcome is not None:
                return outcome
        return self.arrive(transit)

    def _befall(self, transit: Transit, stage: Stage, fate: Fate) -> str | None:
        """The `fate` that it has at `stage`; the outcome for now, None if it goes on at once."""
        fates, impaired = stage.fates, transit.impaired
        transit.impaired = names(impaired, stage.name) if impaired else stage.name
        if isinstance(fate, float):
            fates[DELAYED] += 1
            transit.fate = names(transit.fate, DELAYED) if transit.fate else DELAYED
            return self._held_for(transit, fate)
        if isinstance(fate, str):
            fates[fate] += 1
            return self._lost(transit, fate)
        assert fate is not None
        first, *more = fate
        for copy in more:
            fates[copy.fate] += 1
            self._copied(msgspec.structs.replace(transit), copy)
        fates[first.fate] += 1
        return self._changed(transit, first)

    def _copied(self, transit: Transit, copy: Copy) -> None:
        """A further one goes on by itself."""
        outcome = self._changed(transit, copy)
        if outcome is None:
            outcome = self.go(transit)
        if transit.late and outcome is not PENDING:
            self.pump.settle(transit.datagram, outcome)

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
        held = self.held
        if held.count >= MOST_HELD:
            held.refused += 1
            return self._lost(transit, TOO_MANY)
        held.count += 1
        transit.t += delay_s
        transit.delay_s += delay_s
        transit.late = True
        if held.count > MANY_HELD and transit.at >= self.end:
            self.lighten(transit)
        self._hold(transit)
        return PENDING if transit.datagram.frame else self.pump.defer(transit.datagram)

    def _lost(self, transit: Transit, fate: str) -> str:
        transit.fate = names(transit.fate, fate)
        self.lose(transit)
        return IMPAIRED


def _nothing(_transit: Transit) -> None:
    pass


def _raise(_device: Any, error: BaseException) -> None:
    raise error


def _first_to_hit(stages: list[Stage], *, waits: bool) -> Meet:
    """What tells of a datagram that sets out what befalls it first; None if that is nothing on its whole way,
    nor is what `waits` at the end. All is up to date as if it had passed those stages, which are the first
    that draw lots; if there are none further on, it is to go on behind them."""
    first = [
        (at, stage.scope, stage.lot)
        for at, stage in enumerate(takewhile(lambda stage: stage.lot, stages))
        if stage.lot is not None
    ]
    otherwise = (len(first) - 1, None) if waits or len(first) < len(stages) else None

    if len(first) == 1 and first[0][1].for_all:  # as below, in place: most are like this
        (at, scope, lot), *_ = first
        period = scope.period

        def meet_for_all(device: SimDevice, _message: Any, _above: Any, t: float) -> Hit | None:
            if period.begin <= t < period.end:
                scope.met = True
                fate = lot(device.index)
                if fate is not None:
                    return at, fate
            return otherwise

        return meet_for_all

    def meet(device: SimDevice, message: Any, above: Any, t: float) -> Hit | None:
        for at, scope, lot in first:
            if scope.hits(device, above if scope.spoken else message, t):
                fate = lot(device.index)
                if fate is not None:
                    return at, fate
        return otherwise

    return meet


class Inbound(Way):
    """From the link to the devices. `deliver` is how a service takes what something has befallen, or all if
    something `waits` there. There is no luggage."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        deliver: Callable[[Arriving], str],
        *,
        waits: bool = False,
    ) -> None:
        super().__init__(stages, pump, held, waits=waits)
        self._emit = journal.emit
        self._remark = journal.remark_in if journal.recording.packets else None
        self._recorded = journal.recording.messages
        self._deliver = deliver
        self.arrive_delayed = deliver

    def take(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        event: Received | Untold | None,
    ) -> str | None:
        """A datagram has come at the link, which `event` tells, if anything does. None: nothing befalls it,
        and it is at its device now."""
        now = datagram.time
        hit = self._meet(device, message, None, now)
        if hit is None:
            return None
        at, fate = hit
        if fate.__class__ is float and at == self._last and self.held.count < MANY_HELD:
            befell = self._delay(device, datagram, payload, message, now, fate)
            remark: Remark = device.fleet.name_of(device.index), befell
            outcome = PENDING
        else:
            transit, outcome = self.set_out(
                device, datagram, payload, message, None, None, now, hit
            )
            if not transit.impaired:
                return outcome
            befell = transit.befell
            remark = _remark_of(transit, befell)
        if self._remark is not None:
            self._remark(remark)
        if isinstance(event, Untold):
            event.befell = befell
        elif event is not None:
            note_what_befell(event, befell)
        return outcome

    def arrive(self, transit: Transit) -> str:
        if transit.flip >= 0:  # whose checksum the device's stack finds wrong
            return self._lost(transit, "")
        return self._deliver(transit)

    def lighten(self, transit: Transit) -> None:
        transit.message = None

    def lose(self, transit: Transit) -> None:
        self.on_lost(transit)
        if transit.late and self._recorded:
            impaired, fate, delay_s = transit.impaired, transit.fate, transit.delay_s
            number, name = transit.datagram.id, transit.device.name
            self._emit(Impaired(self.pump.clock(), name, impaired, fate, delay_s, number))


class Outbound(Way):
    """From the devices to the link. `leave` and `leave_corrupt` send what has passed, and `tell` tells of it
    and of what befell it; its luggage is what the device says with it. `codec` is how the other side reads
    it."""

    def __init__(
        self,
        stages: list[Stage],
        pump: Pump,
        held: Held,
        journal: Journal,
        leave: Callable[[Datagram, bytes], Sending],
        leave_corrupt: Callable[[Datagram, bytes, int], Sending],
        tell: Callable[[Arriving, Befell], object],
        codec: Codec,
    ) -> None:
        super().__init__(stages, pump, held)
        self._codec = codec
        self._journal = journal
        self._packets = journal.packets
        self._captured = journal.recording.packets
        self._leave = leave
        self._leave_corrupt = leave_corrupt
        self._tell = tell
        self.arrive_delayed = self._leave_delayed

    def send(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        message: Any,
        said: Any,
        above: Mapping[str, Any] | None = None,
        *,
        untold: bool = False,
    ) -> str | None:
        """`device` sends `payload`, which shows `message`, or was that, if it is `untold`; the outcome of
        what it answers. None: it has left, nothing befell it, and nobody was told. `above` is what the device
        says with it, if that is of another schema."""
        now = self.pump.clock()
        hit = self._meet(device, message, above, now)
        if hit is not None:
            at, fate = hit
            if fate.__class__ is float and at == self._last and self.held.count < MANY_HELD:
                self._delay(device, datagram, payload, message, now, fate, untold, above, said)
                return PENDING
            _, outcome = self.set_out(
                device, datagram, payload, message, above, said, now, hit, untold=untold
            )
            return outcome
        sending = self._leave(datagram, payload)
        if sending is None:
            return None
        transit = Transit(
            device,
            message,
            payload,
            len(payload),
            now,
            said=above,
            way=self,
            datagram=datagram,
            luggage=said,
            at=self.end,
            untold=untold,
        )
        return self._not_left_yet(transit, sending)

    def arrive(self, transit: Transit) -> str:
        packets = len(self._packets)
        if transit.flip >= 0:  # which the gateway's stack will not take
            self._leave_corrupt(transit.datagram, transit.payload, transit.flip)
            self._journal.remark_out(packets, _remark_of(transit, transit.befell))
            return self._lost(transit, "")
        sending = self._leave(transit.datagram, transit.payload)
        if sending is not None:
            return self._not_left_yet(transit, sending)
        befell = transit.befell
        if self._captured and transit.impaired:
            self._journal.remark_out(packets, _remark_of(transit, befell))
        self._tell(transit, befell)
        return ANSWERED

    def _leave_delayed(self, delayed: Delayed) -> str:
        packets = self._packets
        before = len(packets)
        sending = self._leave(delayed.datagram, delayed.payload)
        if sending is not None:
            return self._not_left_yet(delayed.in_full(), sending)
        befell = delayed.befell
        if before < len(packets):
            device = delayed.device
            name = device.fleet.name_of(device.index)
            self._journal.remarks[len(packets) - 1] = [(name, befell)]
        self._tell(delayed, befell)
        return ANSWERED

    def _not_left_yet(self, transit: Transit, sending: Sending) -> str:
        """What `sending` tells of it; the outcome for now."""
        if isinstance(sending, Waiting):
            sending.told = partial(self._told, transit)
            return self.pump.defer(transit.datagram)
        self._told(transit, sending or "")
        return NOT_SENT

    def _told(self, transit: Transit, reason: str) -> None:
        """It has left, unless there is a `reason`."""
        if reason:
            transit.fate = reason
            self.lose(transit)
        else:
            with suppress(Stalled):  # which its device is known for by now
                self._tell(transit, transit.befell)
        self.pump.settle(transit.datagram, NOT_SENT if reason else ANSWERED)

    def lighten(self, transit: Transit) -> None:
        # What is corrupt is told by its message, and a protocol may write what it does not read.
        if transit.flip >= 0 or transit.luggage is not None or transit.said is not None:
            return
        device: Any = transit.device
        with suppress(DecodeError):
            read = self._codec.decode(transit.payload, device)
            if transit.untold or read == transit.message:
                transit.message, transit.changed = None, True

    def lose(self, transit: Transit) -> None:
        self.on_lost(transit)
        name, number = transit.device.name, transit.datagram.id
        reason, message = transit.fate, transit.message
        if transit.untold and message is not None:
            message = self._codec.tell_bytes(transit.was or transit.payload, message)
        now = self.pump.clock()
        if transit.flip < 0 and not transit.late and transit.datagram.frame != NO_FRAME:
            self._journal.remark_in(f"the answer of {in_words((name, transit.befell))}")
        self._journal.emit(NotSent(now, name, reason, number, transit.impaired, message))


def _remark_of(transit: Transit, befell: Befell) -> Remark:
    """What there is to say of its packet in the capture, as it is on the link."""
    device: Any = transit.device
    if transit.flip < 0 and not transit.was:
        return device.name, befell
    text = in_words((device.name, befell))
    if transit.flip >= 0:
        text += "; one bit of the UDP datagram is wrong"
    if transit.was:
        inbound = isinstance(transit.way, Inbound)
        other = transit.payload if inbound else transit.was
        shown = other[:SHOWN_BYTES].hex() + ("…" if len(other) > SHOWN_BYTES else "")
        text += f"; as {'it reached the device' if inbound else 'the device sent it'}: {shown}"
    return text
