"""What a service tells of the messages that pass: as events to the journal, and to whom expects something.

Where records are written later, of most messages only the bytes are kept (`iotsim.events.Untold`), or which
packet has them (`iotsim.events.Brief`), and what they say is told by whoever writes them down. That is so as
far as nobody looks at them sooner.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from iotsim.errors import DecodeError
from iotsim.events import OUT, Received, Sent, Undecodable, Untold, note_what_befell
from iotsim.simulation.journal import PLAIN_HEADERS, Teller
from iotsim.simulation.requests import answering
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim.device.fleet import Fleet, SimDevice
    from iotsim.device.schedule import Endpoint
    from iotsim.events import Befell
    from iotsim.expect.judge import Judge
    from iotsim.net.datagram import Datagram
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump
    from iotsim.simulation.transit import Arriving

EVENT_DATA_BYTES = 256


class Telling:
    """What service `index` of `fleet` tells; see `iotsim.simulation.exchange`."""

    def __init__(
        self, fleet: Fleet, index: int, *, pump: Pump, judge: Judge, journal: Journal
    ) -> None:
        self.protocol = fleet.spec.services[index].protocol
        self._name = self.protocol.name
        self._answer_codec = self.protocol.answer_codec
        self._pump = pump
        self._clock = pump.clock
        self._judge = judge
        self._heard = judge.observers(fleet.spec.name, "receives")
        self._told = judge.observers(fleet.spec.name, "sends")
        self._journal = journal
        self._emit = journal.emit
        self._remark = journal.remark_in
        self._remark_out = journal.remark_out
        self._packets = journal.packets
        self._ids = journal.message_ids
        self._recorded = journal.recording.messages
        self._name_of = fleet.name_of
        self._teller: int | None = None
        """Our number among the journal's tellers, once telling is left to it."""
        self._brief = False
        """Of what comes from the link, and is plain, and of the answers to that, a `Brief` is enough."""
        self._untold = False
        """What is sent need not be told at once, as nobody looks at it."""
        self._given: dict[str, Any] | None = {} if self._answer_codec.symmetric else None
        """What is kept of a message besides its bytes; None: that itself, in case nobody can read those."""
        # What nearly every message has in common with the one before: who sent it.
        self._peer: Endpoint = (0, 0)
        self._who = ""

    def _may_be_left_untold(self, *, seen: bool, straight: bool) -> None:
        """Messages may be told later, by their bytes: also those sent, unless these are `seen` on the way.
        `straight`: nothing is between the stack and the service."""
        read, codec = self.protocol.codec, self._answer_codec
        if not (read.tells_by_bytes and codec.tells_by_bytes):
            return
        if not self._recorded:
            self._untold = not seen
            return
        tellers = self._journal.tellers
        leave = partial(self._leave_telling, len(tellers), seen=seen, straight=straight)
        tellers.append(Teller(self._name, read.decode, codec.tell_bytes, self._name_of, leave))

    def _leave_telling(self, number: int, brief: bool, *, seen: bool, straight: bool) -> None:
        """From now on who writes records tells messages, by teller `number`."""
        self._teller, self._untold = number, not seen
        self._brief = brief and straight

    def _tell_received(
        self, datagram: Datagram, payload: bytes, message: Mapping[str, Any], layer: str = ""
    ) -> Received | Untold | None:
        """Tell that `payload`, which shows `message`, has come; the event, if there is one."""
        if not self._recorded:
            return None
        datagram.id = number = next(self._ids)
        now, index, peer, port = datagram.time, datagram.index, datagram.peer, datagram.peer_port
        event: Received | Untold
        if self._teller is not None:
            event = Untold(now, number, self._teller, index, peer, port, payload, 0, None, layer)
        else:
            name, who = self._name_of(index), self._endpoint(peer, port)
            event = Received(now, number, name, who, self._name, message, layer)
        self._emit(event)
        return event

    def _endpoint(self, address: int, port: int) -> str:
        if port != self._peer[1] or address != self._peer[0]:
            self._peer = address, port
            self._who = format_endpoint(address, port)
        return self._who

    def _tell_sent(
        self,
        device: SimDevice,
        datagram: Datagram,
        message: Mapping[str, Any],
        befell: Befell | None = None,
    ) -> None:
        """Tell whom it concerns that `message` has just left, as what the other side reads: with
        defaults, computed fields, and numbers of the wire."""
        now = self._pump.sent_at
        if self._recorded:
            name = self._name_of(datagram.index)
            who = self._endpoint(datagram.peer, datagram.peer_port)
            number = next(self._ids)
            sent = Sent(now, number, name, who, self._name, message, datagram.id)
            if befell is not None:
                note_what_befell(sent, befell)
            self._emit(sent)
        if not self._told:
            return
        if datagram.request is not None:
            with answering(device, datagram.request):
                for observe in self._told:
                    observe(device, message, now)
            return
        for observe in self._told:
            observe(device, message, now)

    def _emit_untold(
        self,
        datagram: Datagram,
        payload: bytes,
        message: Mapping[str, Any],
        layer: str = "",
        befell: Befell | None = None,
    ) -> None:
        """Whoever writes it down tells that `payload`, which is `message` encoded, has just left."""
        assert self._teller is not None
        if self._brief and not layer and datagram.flow is not None and self._journal.at_link:
            place = len(self._packets) - 1
            _, direction, frame = self._packets[place]
            if direction == OUT and len(frame) == PLAIN_HEADERS + len(payload):
                number = next(self._ids)
                kept = message if self._given is None else self._given
                self._emit((place, number, self._teller, datagram.index, datagram.id, kept))
                return
        self._emit(
            Untold(
                self._pump.sent_at,
                next(self._ids),
                self._teller,
                datagram.index,
                datagram.peer,
                datagram.peer_port,
                payload,
                datagram.id,
                message if self._given is None else self._given,
                layer,
                befell,
            )
        )

    def tell_departed(self, transit: Arriving, befell: Befell) -> None:
        """Tell of a datagram that has left for the link past entries, which may have changed it."""
        device: Any = transit.device
        message: Any = transit.message
        if transit.untold and not (transit.changed or self._told):
            if self._recorded:
                self._emit_untold(transit.datagram, transit.payload, message, "", befell)
            return
        if transit.changed:
            try:
                message = self._answer_codec.decode(transit.payload, device)
            except DecodeError as error:
                self._tell_garbled(device, transit.datagram, transit.payload, error)
                return
        elif transit.untold:
            message = self._answer_codec.tell_bytes(transit.payload, message)
        self._tell_sent(device, transit.datagram, message, befell)

    def _tell_garbled(
        self, device: SimDevice, datagram: Datagram, payload: bytes, error: DecodeError
    ) -> None:
        """`device` has sent what is no message of its protocol."""
        now = self._pump.sent_at
        number = next(self._ids)
        self._report_undecodable(device, datagram, payload, error, now, number, sent=True)
        self._judge.undecodable(device, now, error, "sends")

    def _report_undecodable(
        self,
        device: SimDevice,
        datagram: Datagram,
        payload: bytes,
        error: DecodeError,
        now: float,
        number: int,
        *,
        sent: bool = False,
    ) -> None:
        self._emit(
            Undecodable(
                now,
                number,
                device.name,
                format_endpoint(datagram.peer, datagram.peer_port),
                self._name,
                error.reason,
                error.path,
                error.offset,
                payload[:EVENT_DATA_BYTES].hex(),
                sent,
            )
        )
