"""The second reading of a run's events: what was chosen, whole."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.events import GatewayOutput, Northbound
from iotsim.results.html.captured import Carried, Wanted
from iotsim.results.html.choice import choose_lines
from iotsim.results.html.index import code_of
from iotsim.results.html.messages import Messages
from iotsim.results.html.over_time import near
from iotsim.results.html.raw import carried_by_datagram
from iotsim.results.html.rows import NO_ROW
from iotsim.results.html.table import seconds, shown, shown_value
from iotsim.results.jsonl import event_decoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iotsim.results.html.choice import Choice
    from iotsim.results.html.index import Index
    from iotsim.results.html.raw import AddressBook
    from iotsim.results.html.table import Strings

MOST_OUTPUT, MOST_OUTPUT_BYTES = 5000, 1 << 20
MOST_NORTHBOUND, MOST_NORTHBOUND_BYTES = 2000, 1 << 20
OUTPUT_AROUND = 10
BYTES_OF_FAILURES, BYTES_OF_OTHERS = 1500, 200
"""Bytes are looked for of at most this many messages around failures, and this many others."""
_MESSAGE, _OUTPUT, _NORTHBOUND = 1, 2, 3
"""What a line is chosen as."""


class Second:
    """What is whole in the document. `moments`: around which other events are kept, if not all are."""

    def __init__(
        self, index: Index, choice: Choice, strings: Strings, moments: Sequence[float]
    ) -> None:
        self.messages = Messages(index, strings)
        self._index = index
        self._choice = choice
        self._output: list[tuple[float, GatewayOutput]] = []
        self._northbound: list[tuple[float, Northbound]] = []
        self._times: dict[int, float] = {}
        """Of other events, by line: those that the index has made of what they tell."""
        self._chosen = bytearray(index.lines)
        lines = index.rows.lines
        for row in choice.rows:
            self._chosen[lines[row]] = _MESSAGE
        for what, others, most, most_bytes in (
            (_OUTPUT, index.output, MOST_OUTPUT, MOST_OUTPUT_BYTES),
            (_NORTHBOUND, index.northbound, MOST_NORTHBOUND, MOST_NORTHBOUND_BYTES),
        ):
            for place in choose_lines(others.times, others.sizes, moments, most, most_bytes):
                self._chosen[others.lines[place]] = what
                self._times[others.lines[place]] = others.times[place]
        around = [row for found in choice.around for row in found]
        self._wanted = dict.fromkeys(around[:BYTES_OF_FAILURES])
        others_wanted = [
            row for row in choice.rows[: 2 * BYTES_OF_OTHERS] if row not in self._wanted
        ]
        self._wanted |= dict.fromkeys(others_wanted[:BYTES_OF_OTHERS])
        self._events: dict[int, Carried] = {}

    def read(self, lines: Iterable[bytes]) -> None:
        """Decode what was chosen; what is no longer as it was at the first reading is left out."""
        decode = event_decoder()
        rows = iter(self._choice.rows)
        whats = self._index.rows.whats
        for number, (line, chosen) in enumerate(zip(lines, self._chosen, strict=False)):
            if not chosen:
                continue
            row = next(rows) if chosen == _MESSAGE else NO_ROW
            try:
                event = decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if chosen == _MESSAGE:
                if code_of(event) == whats[row]:
                    self.messages.add(row, event)
                    if row in self._wanted and (carried := carried_by_datagram(event)) is not None:
                        self._events[row] = carried
            elif isinstance(event, GatewayOutput):
                self._output.append((self._times[number], event))
            elif isinstance(event, Northbound):
                self._northbound.append((self._times[number], event))

    def wanted(self, book: AddressBook) -> list[Wanted]:
        """The messages whose bytes are wanted, those around failures first."""
        here, events = self.messages.number_of, self._events
        return [
            Wanted(here[row], events[row], book.addresses(events[row].device))
            for row in self._wanted
            if row in events
        ]

    def names_of(self, devices: Iterable[int]) -> list[str]:
        """The names of devices with these numbers."""
        return [self._index.roster.name(number) for number in devices]

    def output_near(self, t: float) -> list[int]:
        """The places, in `output`, of what the gateway printed around `t`."""
        times = list(accumulate((t for t, _ in self._output), max))
        return list(near(times, t, OUTPUT_AROUND, OUTPUT_AROUND))

    def output(self) -> dict[str, Any]:
        """The document's ``output``."""
        return {
            "total": len(self._index.output.times),
            "count": len(self._output),
            "t": [seconds(t) for t, _ in self._output],
            "line": [shown(event.line) for _, event in self._output],
        }

    def northbound(self) -> dict[str, Any]:
        """The document's ``northbound``."""
        events = [event for _, event in self._northbound]
        return {
            "total": len(self._index.northbound.times),
            "count": len(events),
            "t": [seconds(t) for t, _ in self._northbound],
            "id": [shown_value(event.id) for event in events],
            "service": [shown(event.service) for event in events],
            "fields": [shown_value(event.fields) for event in events],
        }
