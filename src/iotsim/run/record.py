"""What a run leaves on disk, kept readable at every moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from iotsim.results.jsonl import EventEncoder
from iotsim.results.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from iotsim.run.capturefilter import make_filter
from iotsim.run.files import AppendFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.events import Event, PacketRecord, RunEnded
    from iotsim.results.result import RunResult
    from iotsim.run.files import Writer
    from iotsim.run.folder import ResultsFolder
    from iotsim.scenario.model import Scenario
    from iotsim.simulation.journal import Journal


class Record:
    """The files of one run in `results`: events, capture and log grow, results are replaced.

    `part` is the name of a shard that has files of its own, which are put together at the end.
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
    ) -> None:
        self._results = results
        folder = results.path
        middle = f".{part}" if part else ""
        self._events = AppendFile(folder / f"events{middle}.jsonl", writer)
        self._files = [self._events]
        if not part:
            self.log = AppendFile(folder / "gateway.log", writer)
            self._files.append(self.log)
        services = [service for fleet in scenario.fleets for service in fleet.services]
        self._encoder = EventEncoder(
            {service.protocol.name: service.protocol.codec.odd_fields for service in services}
        )
        self._journal = journal
        journal.add_event_sink(self._write_events)
        if not capture:
            return
        self._capture = AppendFile(folder / f"capture{middle}.pcapng", writer)
        self._files.append(self._capture)
        linktype = LINKTYPE_ETHERNET if scenario.link.kind == "tap" else LINKTYPE_RAW
        self._pcapng = PcapngWriter(linktype, name=interface, epoch=wall_time)
        self._capture.append(self._pcapng.header())
        only = journal.recording.only
        self._keep = make_filter(scenario, only) if only else None
        journal.add_packet_sink(self._write_packets)

    @property
    def names(self) -> list[str]:
        """The files of the run, besides the result."""
        work = self._results.work
        folders = [] if work is None else [f"{work.name}/"]
        return ["junit.xml", *(file.path.name for file in self._files), *folders]

    def close(self) -> list[str]:
        """Close the files that grow, once the writer is done; what they lack, and why, in words."""
        self._journal.close()
        for file in self._files:
            file.close()
        return [
            f"{file.path.name} lacks {file.lost_appends} batches: "
            f"{file.error or 'the disk was too slow'}"
            for file in self._files
            if file.lost_appends
        ]

    def finish(self, ended: RunEnded, result: RunResult) -> None:
        """Put the last event behind all others, also of shards, and `result` in its place."""
        self._results.free_room()
        with suppress(OSError), self._events.path.open("ab") as file:
            file.write(self._encoder.encode([ended]))
        self._results.write(result)

    def _write_events(self, events: Sequence[Event]) -> None:
        self._events.append(self._encoder.encode(events))

    def _write_packets(self, packets: Sequence[PacketRecord]) -> None:
        keep = self._keep
        if keep is not None:
            packets = [record for record in packets if keep(record[1], record[2])]
        self._capture.append(self._pcapng.encode(packets))
