"""Where events gather on their way to the sinks.

Making a record costs a fraction of a microsecond, encoding one several times that. So the packet's
way only appends to two lists, and `flush` hands them on in batches, when the pump has time.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.events import Event, EventSink, PacketRecord, PacketSink


class Recording(NamedTuple):
    """What a run keeps of what passes: each message as an event, each packet in the capture, or
    there only those of the devices that are selected by `only`."""

    messages: bool = True
    packets: bool = True
    only: Sequence[str] = ()


EVERYTHING = Recording()


class Journal:
    """The events and packets of a run. ``emit`` and ``packet`` are list appends.

    ``message_ids`` gives the numbers of messages: `first`, and then each `step` further, so that several
    processes never give the same.
    """

    def __init__(self, recording: Recording = EVERYTHING, *, first: int = 1, step: int = 1) -> None:
        self.recording = recording
        self.message_ids = count(first, step)
        self.events: list[Event] = []
        self.packets: list[PacketRecord] = []
        self.emit = self.events.append
        self.packet: Callable[[PacketRecord], None] = self.packets.append
        if not recording.packets:
            self.packet = _forget
        self.event_count = 0
        self.packet_count = 0
        self._event_sinks: list[EventSink] = []
        self._packet_sinks: list[PacketSink] = []

    def add_event_sink(self, sink: EventSink) -> None:
        self._event_sinks.append(sink)

    def add_packet_sink(self, sink: PacketSink) -> None:
        self._packet_sinks.append(sink)

    def close(self) -> None:
        """Hand nothing to sinks any more; what is emitted is only counted."""
        self._event_sinks.clear()
        self._packet_sinks.clear()

    def flush(self) -> None:
        """Hand everything gathered to the sinks. The lists stay the same objects, emptied."""
        if self.events:
            self.event_count += len(self.events)
            for sink in self._event_sinks:
                sink(self.events)
            self.events.clear()
        if self.packets:
            self.packet_count += len(self.packets)
            for packet_sink in self._packet_sinks:
                packet_sink(self.packets)
            self.packets.clear()


def _forget(_record: PacketRecord) -> None:
    pass
