"""A way: stages for what passes between link and device in one direction, one for each entry."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from iotsim.impair.fate import DELAYED, in_words, names
from iotsim.net.outcome import PENDING, consumed
from iotsim.simulation.transit import Delayed, Transit
from iotsim.wire.address import IPV4_END

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Befell, Remark
    from iotsim.impair import Copy, Effect, Fate, Lot, Passage, Scope
    from iotsim.net.datagram import Datagram
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.transit import Held

IMPAIRED = consumed("impaired")
"""What an impairment or a fault has kept from its destination."""
TOO_MANY = "too many datagrams were held already"
SHOWN_BYTES = 64
"""How many bytes of a datagram that was changed are shown as they were, beside the packet."""
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
        if held.count >= held.most:
            held.refused += 1
            return self._lost(transit, TOO_MANY)
        held.count += 1
        transit.t += delay_s
        transit.delay_s += delay_s
        transit.late = True
        if held.count > held.many and transit.at >= self.end:
            self.lighten(transit)
        self._hold(transit)
        return PENDING if transit.datagram.frame else self.pump.defer(transit.datagram)

    def _lost(self, transit: Transit, fate: str) -> str:
        transit.fate = names(transit.fate, fate)
        self.lose(transit)
        return IMPAIRED


def remark_of(transit: Transit, befell: Befell, at_device: bytes) -> Remark:
    """What there is to say of its packet in the capture, as it is on the link; `at_device` is what its device
    has had, or has sent."""
    device: Any = transit.device
    if transit.flip < 0 and not transit.was:
        return device.name, befell
    text = in_words((device.name, befell))
    if transit.flip >= 0:
        text += "; one bit of the UDP datagram is wrong"
    if transit.was:
        how = "as the device sent it" if at_device is transit.was else "as it reached the device"
        shown = at_device[:SHOWN_BYTES].hex() + ("…" if len(at_device) > SHOWN_BYTES else "")
        text += f"; {how}: {shown}"
    return text


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
