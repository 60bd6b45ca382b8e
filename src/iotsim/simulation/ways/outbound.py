"""Ways from devices to the link."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.errors import DecodeError
from iotsim.events import NotSent
from iotsim.impair.fate import in_words
from iotsim.net.datagram import NO_FRAME, Waiting
from iotsim.net.outcome import ANSWERED, PENDING, consumed
from iotsim.simulation.transit import Delayed, Transit
from iotsim.simulation.watchdog import Stalled
from iotsim.simulation.ways.way import Stage, Way, remark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Befell
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.protocol.codec import Codec
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.transit import Arriving, Held

NOT_SENT = consumed("not-sent")
"""The answer could not leave."""


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
            if fate.__class__ is float and at == self._last and self.held.count < self.held.many:
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
            self._journal.remark_out(packets, remark_of(transit, transit.befell, transit.was))
            return self._lost(transit, "")
        sending = self._leave(transit.datagram, transit.payload)
        if sending is not None:
            return self._not_left_yet(transit, sending)
        befell = transit.befell
        if self._captured and transit.impaired:
            self._journal.remark_out(packets, remark_of(transit, befell, transit.was))
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
