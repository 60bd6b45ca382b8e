"""What a run leaves on disk, kept readable at every moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec

from iotsim.events import (
    Brief,
    DeviceFailed,
    Event,
    ExpectationDecided,
    PacketRecord,
    Remark,
    Untold,
)
from iotsim.impair.fate import in_words
from iotsim.results.jsonl import REFUSALS, EventEncoder, essential_lines
from iotsim.results.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter, heading_blocks
from iotsim.run.capturefilter import make_filter
from iotsim.run.files import AppendFile
from iotsim.run.names import Names
from iotsim.run.scribe import Busy, Scribe, backlog_bytes, has_core_to_spare, may_have_scribe
from iotsim.run.segments import SEGMENTS, SegmentedFile
from iotsim.run.site import queue_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.device.fleet import Fleet
    from iotsim.events import RunEnded
    from iotsim.results.result import RunResult
    from iotsim.run.files import Writer
    from iotsim.run.folder import ResultsFolder
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.journal import Journal


SHARE_OF_NAME = 512
"""In a capture with a bound, for so many bytes of a segment there may be one name. Each has all of them."""
MOST_DEVICES = 100_000
"""With more, a process forked from the run would take much memory: little of it stays shared."""
EVENTS, CAPTURE = range(2)
"""The numbers of files, for a scribe."""
MOST_OF_BRIEF = 6
"""Values. An `Untold` is packed as more."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(
    tuple[bytes, list[PacketRecord], dict[int, list[Remark]], list[Any] | bytes]
).decode
"""A piece for a scribe: blocks of the capture, packets and what there is to say of them, and events or their
lines."""


class Record:
    """The files of one run in `results`: events, capture and log grow, results are replaced.

    `part` is the name of a shard that has files of its own, which are put together at the end. The
    scenario's bounds are for all of them together. The capture names the devices of `fleets`. With
    `may_fork`, what there is to record is encoded and written later, or by another process, while it is much.
    """

    log: AppendFile
    """The gateway's output; a shard has none."""

    def __init__(
        self,
        results: ResultsFolder,
        scenario: Scenario,
        journal: Journal,
        writer: Writer,
        *,
        wall_time: float,
        interface: str,
        part: str = "",
        capture: bool = True,
        fleets: Iterable[Fleet] = (),
        may_fork: bool = False,
    ) -> None:
        self._results = results
        self._files: list[AppendFile] = []
        folder, bounds = results.path, scenario.results
        middle = f".{part}" if part else ""
        queues = queue_count(scenario)
        parts = 1 if queues == 1 else queues + 1
        self._has_capture = capture
        if capture:
            linktype = LINKTYPE_ETHERNET if scenario.link.kind == "tap" else LINKTYPE_RAW
            description = f"{scenario.link.kind} link of {scenario.name}: its devices are in here"
            self._pcapng = PcapngWriter(
                linktype, name=interface, description=description, epoch=wall_time
            )
            path, head = folder / f"capture{middle}.pcapng", self._pcapng.header()
            if bounds.capture is None:
                self._names = Names(scenario, fleets)
                self._capture = AppendFile(path, writer)
                self._capture.append(head)
            else:
                bound = bounds.capture // parts
                self._names = Names(scenario, fleets, bound // SEGMENTS // SHARE_OF_NAME)
                self._capture = SegmentedFile(
                    path, writer, bound, head=head, heading=heading_blocks
                )
            self._files.append(self._capture)
        path = folder / f"events{middle}.jsonl"
        if bounds.events is None:
            self._events = AppendFile(path, writer)
        else:
            self._events = SegmentedFile(
                path, writer, bounds.events // parts, essence=essential_lines
            )
        self._files.append(self._events)
        if not part:
            self.log = AppendFile(folder / "gateway.log", writer)
            self._files.append(self.log)
        services = [service for fleet in scenario.fleets for service in fleet.services]
        self._encoder = EventEncoder(
            {service.protocol.name: service.protocol.odd_fields for service in services}
        )
        self._journal = journal
        only = journal.recording.only if capture else ()
        self._keep = make_filter(scenario, only) if only else None
        # Where the packets are those that the stack has.
        self._brief = capture and not only and scenario.link.kind != "tap"
        self.scribe: Scribe | None = None
        devices = sum(fleet.count for fleet in scenario.fleets)
        may_fork = may_fork and devices <= MOST_DEVICES and not self.has_bounds
        self._busy = Busy() if may_fork else None
        journal.add_batch_sink(self._write)

    @property
    def has_bounds(self) -> bool:
        return any(isinstance(file, SegmentedFile) for file in self._files)

    def mark(self) -> None:
        """Something failed: keep what surrounds this moment, where there are bounds."""
        for file in self._files:
            if isinstance(file, SegmentedFile):
                file.mark()

    @property
    def names(self) -> list[str]:
        """The files of the run, besides the result."""
        names = [file.path.name for file in self._files]
        return ["junit.xml", "report.html", *names, *self._results.folder_names]

    def close(self) -> list[str]:
        """Close the files that grow, once the writer is done; what they lack, and why, in words."""
        self._journal.close()
        if self.scribe is not None:
            self.scribe.close()
        for file in self._files:
            file.close()
        return [loss for file in self._files for loss in file.losses()]

    def finish(self, ended: RunEnded, result: RunResult) -> None:
        """Put the last event behind all others, also of shards, and `result` in its place."""
        self._results.free_room()
        with suppress(OSError):
            self._results.check()
            with self._events.path.open("ab") as file:
                file.write(self._encoder.encode([ended]))
        self._results.write(result)

    def _write(
        self, events: Sequence[Event | Untold | Brief], packets: Sequence[PacketRecord]
    ) -> None:
        remarks, names = self._journal.remarks, b""
        if not self._has_capture:
            packets = ()
        elif packets:
            names = self._names.new()
            if self._keep is not None:
                packets, remarks = _only(self._keep, packets, remarks)
        if self.scribe is not None:
            self._put_off(self.scribe, names, events, packets, remarks)
            return
        if events:
            self._events.append(self._encoder.encode(cast("Sequence[Event]", events)))  # as yet
            if self.has_bounds and any(map(_is_failure, events)):
                self.mark()
        if names:
            self._capture.append(names)
        if packets:
            self._capture.append(self._encode_packets(packets, remarks))
        if self._busy is not None and self._busy.now(len(events) + len(packets)):
            self.have_scribe()

    def _put_off(
        self,
        scribe: Scribe,
        blocks: bytes,
        events: Sequence[Event | Untold | Brief],
        packets: Sequence[PacketRecord],
        remarks: Mapping[int, Sequence[Remark]],
    ) -> None:
        """Have `blocks` in the capture, and behind them `packets`, and `events` among the events."""
        piece = self._pack_batch(blocks, events, packets, remarks)
        if len(piece) <= scribe.largest or len(events) + len(packets) < 2:
            scribe.append(piece, [EVENTS] * bool(events) + [CAPTURE] * bool(blocks or packets))
        elif events and packets:
            self._put_off(scribe, b"", self._journal.told(events, packets), (), {})
            self._put_off(scribe, blocks, (), packets, remarks)
        elif events:
            half = len(events) // 2
            self._put_off(scribe, blocks, events[:half], (), {})
            self._put_off(scribe, b"", events[half:], (), {})
        else:
            half = len(packets) // 2
            first = {place: said for place, said in remarks.items() if place < half}
            rest = {place - half: said for place, said in remarks.items() if place >= half}
            self._put_off(scribe, blocks, (), packets[:half], first)
            self._put_off(scribe, b"", (), packets[half:], rest)

    def _encode_packets(
        self, packets: Sequence[PacketRecord], remarks: Mapping[int, Sequence[Remark]]
    ) -> bytes:
        if remarks:
            words = {place: list(map(in_words, said)) for place, said in remarks.items()}
            return self._pcapng.encode_remarked(packets, words)
        return self._pcapng.encode(packets)

    def have_scribe(self) -> None:
        """Write later from now on, beside another process, if it can be."""
        if may_have_scribe():
            try:
                # By their numbers.
                files = [self._events, self._capture] if self._has_capture else [self._events]
                self.scribe = Scribe(
                    files, self._write_piece, at_once=has_core_to_spare(), size=backlog_bytes()
                )
            except OSError:
                self._busy = None
                return
            self._journal.leave_telling(brief=self._brief)
            self._journal.write_on = self.scribe.write_on
            self._journal.write_some = self.scribe.write_some

    def _pack_batch(
        self,
        blocks: bytes,
        events: Sequence[Event | Untold | Brief],
        packets: Sequence[PacketRecord],
        remarks: Mapping[int, Sequence[Remark]],
    ) -> bytes:
        """A piece for the scribe; where something cannot be packed, as what others have sent may be no text,
        with the very lines and blocks."""
        try:
            try:
                return _pack((blocks, packets, remarks, events))
            except OverflowError:
                events = [_with_address_as_bytes(event) for event in events]
                return _pack((blocks, packets, remarks, events))
        except REFUSALS:
            lines = self._encoder.encode(self._journal.told(events, packets))
            return _pack((blocks + self._encode_packets(packets, remarks), (), {}, lines))

    def _write_piece(self, piece: bytes) -> None:
        """For the scribe: write what is in `piece` to the files."""
        blocks, packets, remarks, events = _unpack(piece)
        if packets:
            blocks += self._encode_packets(packets, remarks)
        if blocks:
            self._capture.write_now(blocks)
        if not isinstance(events, bytes):
            events = self._encoder.encode_plain(
                [
                    one if one.__class__ is dict else self._tell_packed(one, packets)
                    for one in events
                ]
            )
        if events:
            self._events.write_now(events)

    def _tell_packed(self, one: list[Any], packets: Sequence[PacketRecord]) -> Event:
        untold = tuple(one) if len(one) <= MOST_OF_BRIEF else Untold(*one)
        return self._journal.tell(untold, packets)


def _only(
    keep: Callable[[int, bytes], bool],
    packets: Sequence[PacketRecord],
    remarks: Mapping[int, list[Remark]],
) -> tuple[list[PacketRecord], dict[int, list[Remark]]]:
    """Those of `packets` that are to be kept, and what there is to say of these."""
    kept = [place for place, record in enumerate(packets) if keep(record[1], record[2])]
    said = {now: remarks[old] for now, old in enumerate(kept) if old in remarks}
    return [packets[place] for place in kept], said


def _with_address_as_bytes(event: Event | Untold | Brief) -> Event | Untold | Brief:
    """`event` without an integer that is too large for MessagePack, as an address of IPv6 is."""
    if isinstance(event, Untold) and isinstance(event.peer, int):
        return msgspec.structs.replace(event, peer=event.peer.to_bytes(16, "big"))
    return event


def _is_failure(event: Event | Untold | Brief) -> bool:
    return isinstance(event, DeviceFailed) or (
        isinstance(event, ExpectationDecided) and not event.outcome.passed
    )
