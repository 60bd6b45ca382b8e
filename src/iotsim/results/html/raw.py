"""The bytes of messages, with the place of each field in them.

Events have the fields of a message and not its bytes. These are looked for in the capture, which has the
datagram at the very time of the event, between the same ends; where that was not recorded, the protocol's
codec makes them again. A field has a place only if the bytes decode to just the message that the event tells
of; bytes that were made again and do not are none.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from iotsim.events import Received, Sent, Undecodable
from iotsim.protocol.device import StandIn
from iotsim.results.html.captured import SAME_NS, Candidate, Carried, Wanted, find_datagrams
from iotsim.results.html.table import shown
from iotsim.results.jsonl import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from iotsim.capture.reader import Frame
    from iotsim.events import Event
    from iotsim.protocol.definition import Protocol

MOST_BYTES = 2048
"""Of a datagram, so many are shown."""
MOST_LAYOUTS = 500
MOST_PLACES = 300
APPLICATION = "application"


class Sources(NamedTuple):
    """Where bytes may come from, besides the events. ``captures``: the frames of each file of the capture,
    in the order of time. ``protocol``: that with a name, or None if it cannot be had."""

    captures: Sequence[Callable[[], Iterable[Frame]]] = ()
    protocol: Callable[[str], Protocol | None] | None = None


NO_SOURCES = Sources()


def carried_by_datagram(event: Event) -> Carried | None:
    """`event`, if it is of what a datagram carried."""
    if isinstance(event, Undecodable):
        return event
    if isinstance(event, Received | Sent) and event.layer != APPLICATION:
        return event
    return None


class AddressBook:
    """The addresses of devices, from what the run says of its fleets."""

    def __init__(self, fleets: Mapping[str, Mapping[str, Any]]) -> None:
        self._blocks: dict[str, list[tuple[int, int]]] = {}
        for name, told in fleets.items():
            texts = told.get("addresses", ())
            blocks = map(_block, texts if isinstance(texts, list) else ())
            self._blocks[name] = [block for block in blocks if block is not None]

    def addresses(self, device: str) -> frozenset[int]:
        """Those of a device: one of each block of its fleet."""
        fleet, _, index = device.rpartition("[")
        digits = index[:-1]
        if not digits.isdecimal() or len(digits) > 12:
            return frozenset()
        place = int(digits)
        return frozenset(
            first + place for first, count in self._blocks.get(fleet, ()) if place < count
        )


def _block(text: object) -> tuple[int, int] | None:
    try:
        first, _, last = str(text).partition("-")
        low = int(ip_address(first))
        return low, int(ip_address(last or first)) - low + 1
    except ValueError:
        return None


def raw_bytes(wanted: list[Wanted], sources: Sources, wall_time: float) -> dict[str, Any]:
    """The document's ``bytes`` and ``layouts``, of those that are `wanted`, in this order. `wall_time`: the
    Unix time of t = 0."""
    found = find_datagrams(wanted, sources.captures, wall_time)
    layouts = _Layouts(sources.protocol)
    table: dict[str, Any] = {"row": [], "hex": [], "from": [], "size": [], "layout": []}
    lacking = 0
    for place, one in enumerate(wanted):
        told = _bytes_of(one, found.get(place, ()), layouts)
        if told is None:
            lacking += 1
            continue
        source, data, layout = told
        table["row"].append(one.row)
        table["hex"].append(data[:MOST_BYTES].hex())
        table["size"].append(len(data))
        table["from"].append(source)
        table["layout"].append(layout)
    left = ""
    if lacking:
        why = "the capture does not have them" if sources.captures else "there is no capture"
        left = f"{lacking} messages: {why}, and their protocol does not give them back"
    return {"bytes": {**table, "lacking": lacking, "left_out": left}, "layouts": layouts.rows}


def _bytes_of(
    one: Wanted, candidates: Sequence[Candidate], layouts: _Layouts
) -> tuple[str, bytes, int] | None:
    """Where the bytes of a message come from, the bytes, and the number of their layout."""
    event = one.event
    if isinstance(event, Undecodable):
        try:
            return "event", bytes.fromhex(event.data), -1
        except ValueError:
            return None
    for _, data in candidates:
        if (layout := layouts.find(event, data)) >= 0:
            return "capture", data, layout
    # Others near that time may be of other messages.
    if candidates and candidates[0].distance < SAME_NS:
        return "capture", candidates[0].data, -1
    made = layouts.encode(event)
    if made is not None and (layout := layouts.find(event, made)) >= 0:
        return "encoded", made, layout
    return None


class _Layouts:
    """Where the fields of messages lie in their bytes; the same layout is told once."""

    def __init__(self, find_protocol: Callable[[str], Protocol | None] | None) -> None:
        self.rows: list[list[list[Any]]] = []
        self._numbers: dict[tuple[tuple[str, int, int], ...], int] = {}
        self._find_protocol = find_protocol
        self._protocols: dict[str, Protocol | None] = {}

    def _protocol(self, name: str) -> Protocol | None:
        if self._find_protocol is None:
            return None
        if name not in self._protocols:
            self._protocols[name] = self._find_protocol(name)
        return self._protocols[name]

    def find(self, event: Received | Sent, data: bytes) -> int:
        """The number of the layout of `data`, if it is the message of `event`; else -1."""
        protocol = self._protocol(event.protocol)
        if protocol is None:
            return -1
        from iotsim.protocol.dissection import dissect

        try:
            dissection = dissect(
                protocol, data, answer=isinstance(event, Sent), device=StandIn(name=event.device)
            )
            if dissection.message is None or _plain(dissection.message) != event.message:
                return -1
        except Exception:  # code of the protocol's
            return -1
        places = tuple(
            (shown(row.path), row.offset, row.size) for row in dissection.rows[:MOST_PLACES]
        )
        number = self._numbers.get(places)
        if number is None:
            if len(self.rows) >= MOST_LAYOUTS:
                return -1
            number = self._numbers[places] = len(self.rows)
            self.rows.append(list(map(list, places)))
        return number

    def encode(self, event: Received | Sent) -> bytes | None:
        """The bytes of the message of `event`, as its protocol makes them; None if it does not."""
        protocol = self._protocol(event.protocol)
        if protocol is None:
            return None
        codec = protocol.answer_codec if isinstance(event, Sent) else protocol.codec
        try:
            return codec.encode(_with_bytes(event.message), StandIn(name=event.device))
        except Exception:  # of the codec's kinds, or of code of the protocol's
            return None


def _plain(message: Mapping[str, Any]) -> Any:
    """`message` as an event has it, read back from JSON."""
    return msgspec.json.decode(msgspec.json.encode(printable(message)))


def _with_bytes(value: Any) -> Any:
    """`value` of an event, with bytes where these were."""
    if isinstance(value, str) and value.startswith("hex:"):
        try:
            return bytes.fromhex(value[4:])
        except ValueError:
            return value
    if isinstance(value, dict):
        return {name: _with_bytes(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_bytes(inner) for inner in value]
    return value
