"""Where events gather on their way to the sinks.

Making a record costs a fraction of a microsecond, encoding one several times that. So the packet's
way only appends to two lists, and `flush` hands them on in batches, when the pump has time.

Where records are written later, what a message says can be left to that time: then events have `Untold` ones
among them, which a `Teller` makes whole from the bytes. Most of these bytes are in the capture, too: so of
most messages there is only where, a `Brief`. Both are for sinks of batches, which get events and packets
together.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, cast

from iotsim.events import IN, OUT, Event, Received, Sent, Untold, note_what_befell
from iotsim.wire.address import format_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from iotsim.events import (
        BatchSink,
        Brief,
        EventSink,
        PacketRecord,
        PacketSink,
        Remark,
    )

PLAIN_HEADERS = 38
"""Bytes before the payload in a frame that a `Brief` may be of: those of the link's, of IPv4 without options,
and of UDP."""
_unpack_ends = Struct("!22xIIHH").unpack_from
"""Source and destination of such a frame, and their ports."""


class Recording(NamedTuple):
    """What a run keeps of what passes: each message as an event, each packet in the capture, or
    there only those of the devices that are selected by `only`."""

    messages: bool = True
    packets: bool = True
    only: Sequence[str] = ()


EVERYTHING = Recording()


@lru_cache(1024)  # one has sent most messages, or a few have
def _endpoint(peer: int | bytes, port: int) -> str:
    return format_endpoint(peer if isinstance(peer, int) else int.from_bytes(peer, "big"), port)


class Teller(NamedTuple):
    """Who makes whole, in any process, what was left untold; `leave` is called once that may be.

    `read` says what a device reads in a payload; `tell` what the other side does, given that and what was
    encoded; `name` is that of the device at an index. `leave` is told whether there may be a `Brief`.
    """

    protocol: str
    read: Callable[[bytes], Mapping[str, Any]]
    tell: Callable[[bytes, Mapping[str, Any]], Mapping[str, Any]]
    name: Callable[[int], str]
    leave: Callable[[bool], object]


class Journal:
    """The events and packets of a run. ``emit`` and ``packet`` are list appends.

    ``remarks`` are what there is to say of packets, until these are handed on. ``message_ids`` gives the
    numbers of messages: `first`, and then each `step` further, so that several processes never give the same.
    """

    def __init__(self, recording: Recording = EVERYTHING, *, first: int = 1, step: int = 1) -> None:
        self.recording = recording
        self.message_ids = count(first, step)
        self.events: list[Event | Untold | Brief] = []
        self.packets: list[PacketRecord] = []
        self.emit = self.events.append
        self.remarks: dict[int, list[Remark]] = {}
        """What there is to say of a packet, by its place in ``packets``."""
        self.at_link = False
        """The last packet that came in is being handled now, and nothing else."""
        self.packet: Callable[[PacketRecord], None] = self.packets.append
        if not recording.packets:
            self.packet = _forget
        self.event_count = 0
        self.packet_count = 0
        self.write_on: Callable[[], bool] = _nothing_left
        """Has sinks see to what waits to be written; whether there is still more."""
        self.write_some: Callable[[], bool] = _nothing_left
        """Has sinks write some of it, as nothing else is to be done; False if there is none."""
        self.unwritten = False
        self.tellers: list[Teller] = []
        self._left = False
        self._event_sinks: list[EventSink] = []
        self._batch_sinks: list[BatchSink] = []
        self._packet_sinks: list[PacketSink] = []

    def add_event_sink(self, sink: EventSink) -> None:
        """Have `sink` given all events, whole."""
        self._event_sinks.append(sink)

    def add_packet_sink(self, sink: PacketSink) -> None:
        self._packet_sinks.append(sink)

    def add_batch_sink(self, sink: BatchSink) -> None:
        """Have `sink` given both together, events as they are: whole, `Untold`, or a `Brief`."""
        self._batch_sinks.append(sink)

    def remark_in(self, remark: Remark) -> None:
        """Say `remark` of the packet from the link that is being handled, if one is."""
        if not self.at_link:
            return
        packets = self.packets
        place = len(packets) - 1
        while place >= 0 and packets[place][1] != IN:
            place -= 1
        if place >= 0:
            self.remarks.setdefault(place, []).append(remark)

    def remark_out(self, before: int, remark: Remark) -> None:
        """Say `remark` of what has just left, if there were `before` packets before it did."""
        place = len(self.packets) - 1
        if place >= before and self.packets[place][1] == OUT:
            self.remarks.setdefault(place, []).append(remark)

    def leave_telling(self, *, brief: bool = False) -> bool:
        """Leave messages untold from now on, where `tellers` can tell; False: there are sinks of events that
        are whole. With `brief`, of some there may be a `Brief`: packets are as the link has them, which has
        IP packets."""
        if self._event_sinks:
            return False
        self._left = True
        for teller in self.tellers:
            teller.leave(brief and self.recording.packets)
        return True

    def told(
        self, events: Iterable[Event | Untold | Brief], packets: Sequence[PacketRecord]
    ) -> list[Event]:
        """`events` that are whole; `packets` were handed on with them."""
        return [one if isinstance(one, Event) else self.tell(one, packets) for one in events]

    def tell(self, untold: Untold | Brief, packets: Sequence[PacketRecord]) -> Received | Sent:
        """The event that `untold` stands for."""
        if not isinstance(untold, Untold):
            untold = _in_full(untold, packets)
        protocol, read, tell, name, _ = self.tellers[untold.teller]
        device, peer = name(untold.index), _endpoint(untold.peer, untold.peer_port)
        t, number, payload, layer = untold.t, untold.id, untold.payload, untold.layer
        event: Received | Sent
        if untold.message is None:
            event = Received(t, number, device, peer, protocol, read(payload), layer)
        else:
            message = tell(payload, untold.message)
            event = Sent(t, number, device, peer, protocol, message, untold.in_reply_to, layer)
        if untold.befell is not None:
            note_what_befell(event, untold.befell)
        return event

    def close(self) -> None:
        """Hand nothing to sinks any more; what is emitted is only counted."""
        self._event_sinks.clear()
        self._batch_sinks.clear()
        self._packet_sinks.clear()

    def flush(self) -> None:
        """Hand everything gathered to the sinks. The lists stay the same objects, emptied."""
        if self.events:
            self.event_count += len(self.events)
            if self._event_sinks:
                whole = cast("list[Event]", self.events)
                if self._left:
                    whole = self.told(self.events, self.packets)
                for sink in self._event_sinks:
                    sink(whole)
        if self.packets:
            self.packet_count += len(self.packets)
            for packet_sink in self._packet_sinks:
                packet_sink(self.packets)
        if self.events or self.packets:
            for batch_sink in self._batch_sinks:
                batch_sink(self.events, self.packets)
            self.events.clear()
            self.packets.clear()
            self.remarks.clear()
        self.unwritten = self.write_on()


def _in_full(brief: Brief, packets: Sequence[PacketRecord]) -> Untold:
    place, number, teller, index = brief[:4]
    t, direction, frame = packets[place]
    source, destination, source_port, destination_port = _unpack_ends(frame)
    told = Untold(t, number, teller, index, source, source_port, frame[PLAIN_HEADERS:])
    if direction == OUT:
        told.peer, told.peer_port = destination, destination_port
        told.in_reply_to, told.message = brief[4:]  # type: ignore[misc]
    return told


def _nothing_left() -> bool:
    return False


def _forget(_record: PacketRecord) -> None:
    pass
