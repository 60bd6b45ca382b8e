"""Ways from the link to devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iotsim.events import Impaired, Untold, note_what_befell
from iotsim.net.outcome import PENDING
from iotsim.simulation.ways.way import Stage, Way, remark_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.device.fleet import SimDevice
    from iotsim.events import Received, Remark
    from iotsim.net.datagram import Datagram
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.transit import Arriving, Held, Transit


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
        if fate.__class__ is float and at == self._last and self.held.count < self.held.many:
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
            remark = remark_of(transit, befell, transit.payload)
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
