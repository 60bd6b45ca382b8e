"""A report's document, read as the page reads it: columns back into rows."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from iotsim.results.fold import fold
from iotsim.results.html.data import encode_data, report_data
from iotsim.results.html.raw import NO_SOURCES
from iotsim.results.jsonl import EventEncoder, decode_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.events import Event
    from iotsim.results.html.raw import Sources


def document_of(events: Sequence[Event], sources: Sources = NO_SOURCES) -> dict[str, Any]:
    """The document of a run with these events, as it comes out of the page's JSON."""
    lines = [EventEncoder().encode([event]) for event in events]
    return document_of_lines(lines, sources)


def document_of_lines(lines: Sequence[bytes], sources: Sources = NO_SOURCES) -> dict[str, Any]:
    result = fold(decode_events(lines))
    text = encode_data(report_data(lambda: lines, result, sources))
    assert not set("<>&\u2028\u2029") & set(text)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


def values(column: Any, count: int) -> list[Any]:
    """A column, value by value."""
    found = [column["all"]] * count if isinstance(column, dict) else column
    assert len(found) == count
    return list(found)


def cells(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of the fleet map."""
    devices = document["devices"]
    count = sum(fleet["cells"] for fleet in devices["fleets"])
    columns = {name: values(column, count) for name, column in devices["columns"].items()}
    return [{name: column[cell] for name, column in columns.items()} for cell in range(count)]


def messages(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of messages, with names instead of numbers, and with their fields."""
    told, strings = document["messages"], [*document["strings"], ""]
    count = told["count"]
    columns = {name: values(column, count) for name, column in told["columns"].items()}
    columns["t"] = list(accumulate(columns["t"]))
    columns["id"] = list(accumulate(columns["id"]))
    shapes = document["shapes"]
    seen = [0] * len(shapes)
    sizes = [columns["shape"].count(number) for number in range(len(shapes))]
    fields = [
        [values(column, size) for column in shape["columns"]]
        for shape, size in zip(shapes, sizes, strict=True)
    ]
    rows = []
    for place in range(count):
        row = {name: column[place] for name, column in columns.items()}
        for name in ("device", "peer", "protocol", "kind", "layer", "impaired", "fate", "text"):
            row[name] = strings[row[name]]
        row["what"] = told["whats"][row["what"]]
        number = row.pop("shape")
        row["message"] = None
        if number >= 0:
            here = seen[number]
            seen[number] += 1
            row["message"] = {
                name: column[here]
                for name, column in zip(shapes[number]["fields"], fields[number], strict=True)
            }
        rows.append(row)
    return rows
