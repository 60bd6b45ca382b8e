"""Devices by number, and their fleet map: a cell for each device, or for several that follow each other.

Names in events are text of others: a device of no known fleet (a *stray*) has a number and a cell as well, as
long as there are not too many of them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim.results.html.rows import (
    BROKE,
    FAILED_SESSION,
    IMPAIRED_LATER,
    NOT_SENT,
    REBOOTED,
    RECEIVED,
    SENT,
    UNDECODABLE,
    UNDECODABLE_SENT,
    WHATS,
)
from iotsim.results.html.table import column, seconds, shown, shown_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iotsim.results.html.rows import Rows

MOST_CELLS = 20_000
MOST_FLEETS = 500
MOST_DEVICES = 1 << 24
"""Of more than these devices in all, it is not known one by one which ones are silent."""
MOST_STRAYS = 1000
MOST_NAMES = 200_000
LARGEST_COUNT = 1 << 40

STATES = ("broken", "failed", "in doubt", "warning", "troubled", "silent", "heard", "spoke")
"""Of a device, the worst first."""
BROKEN, FAILED, IN_DOUBT, WARNING, TROUBLED, SILENT, HEARD, SPOKE = range(len(STATES))
COUNTED = ("received", "sent", "undecodable", "not_sent", "impaired", "reboots", "unanswered")

_NEVER = -1.0


class Fleet(NamedTuple):
    """Devices ``name[0]`` on; the first has the number `first`, and lies in the cell `first_cell`."""

    name: str
    devices: int
    first: int
    per_cell: int
    first_cell: int
    cells: int
    told: Mapping[str, Any]
    """What the run says of it."""


class Roster:
    """The devices of a run. `fleets`: what the run says of each, by name, with its ``count``."""

    def __init__(self, fleets: Mapping[str, Mapping[str, Any]]) -> None:
        counts = {name: _count(told) for name, told in list(fleets.items())[:MOST_FLEETS]}
        self.total = sum(counts.values())
        per_cell = max(1, -(-self.total // (MOST_CELLS - len(counts))))
        self.fleets: dict[str, Fleet] = {}
        number = cell = 0
        for name, count in counts.items():
            cells = -(-count // per_cell)
            self.fleets[name] = Fleet(name, count, number, per_cell, cell, cells, fleets[name])
            number, cell = number + count, cell + cells
        self.cells = cell
        self.strays: dict[str, int] = {}
        self._firsts = [fleet.first for fleet in self.fleets.values()]
        self._in_order = list(self.fleets.values())
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of the device `name`, which is a stray from now on if it is of no fleet; -1 if it has no
        name, or is one stray too many."""
        try:
            return self._numbers[name]
        except KeyError:
            number = self.known(name)
            if number < 0 and name and len(self.strays) < MOST_STRAYS:
                number = self.total + self.strays.setdefault(name, len(self.strays))
            if len(self._numbers) < MOST_NAMES:
                self._numbers[name] = number
            return number

    def known(self, name: str) -> int:
        """The number of the device `name`; -1 if it has none."""
        fleet_name, bracket, index = name.rpartition("[")
        fleet, digits = self.fleets.get(fleet_name), index[:-1]
        if fleet and bracket and index[-1:] == "]" and digits.isdecimal() and len(digits) < 16:
            place = int(digits)
            if place < fleet.devices and digits == str(place):
                return fleet.first + place
        place = self.strays.get(name, -1)
        return -1 if place < 0 else self.total + place

    def cell(self, number: int) -> int:
        """The cell of the device with that number, which is not -1."""
        if number >= self.total:
            return self.cells + number - self.total
        # Of fleets without devices, several begin where the next one does.
        fleet = self._in_order[bisect_right(self._firsts, number) - 1]
        return fleet.first_cell + (number - fleet.first) // fleet.per_cell

    def name(self, number: int) -> str:
        """The name of the device with that number."""
        if number >= self.total:
            return list(self.strays)[number - self.total]
        fleet = self._in_order[bisect_right(self._firsts, number) - 1]
        return f"{fleet.name}[{number - fleet.first}]"

    def spans(self) -> Iterator[slice]:
        """Of each cell, the numbers of its devices."""
        for fleet in self._in_order:
            end = fleet.first + fleet.devices
            for first in range(fleet.first, end, fleet.per_cell):
                yield slice(first, min(end, first + fleet.per_cell))
        for stray in range(self.total, self.total + len(self.strays)):
            yield slice(stray, stray + 1)

    def all_fleets(self) -> list[Fleet]:
        """The fleets, and each stray as one of its own."""
        strays = [
            Fleet(name, 1, self.total + place, 1, self.cells + place, 1, {"stray": True})
            for name, place in self.strays.items()
        ]
        return [*self._in_order, *strays]


def _count(told: Mapping[str, Any]) -> int:
    count = told.get("count")
    return min(count, LARGEST_COUNT) if isinstance(count, int) and count > 0 else 0


_COUNTED_AS = {
    RECEIVED: "received",
    SENT: "sent",
    UNDECODABLE: "undecodable",
    UNDECODABLE_SENT: "undecodable",
    NOT_SENT: "not_sent",
    IMPAIRED_LATER: "impaired",
    REBOOTED: "reboots",
}
_TROUBLE = frozenset((UNDECODABLE, UNDECODABLE_SENT, NOT_SENT))
_HAS_HEARD, _HAS_SPOKEN, _HAS_TROUBLE, _HAS_BROKEN = 1, 2, 4, 8
_FLAGS = {
    RECEIVED: _HAS_HEARD,
    UNDECODABLE: _HAS_HEARD | _HAS_TROUBLE,
    SENT: _HAS_SPOKEN,
    UNDECODABLE_SENT: _HAS_SPOKEN | _HAS_TROUBLE,
    NOT_SENT: _HAS_TROUBLE,
    BROKE: _HAS_BROKEN,
    FAILED_SESSION: _HAS_BROKEN,
}


def _state(flags: int) -> int:
    if flags & _HAS_BROKEN:
        return BROKEN
    if flags & _HAS_TROUBLE:
        return TROUBLED
    if flags & _HAS_SPOKEN:
        return SPOKE
    return HEARD if flags & _HAS_HEARD else SILENT


_STATES = bytes(_state(flags) for flags in range(256))


def fleet_map(roster: Roster, rows: Rows, blamed: Mapping[str, int]) -> dict[str, Any]:
    """The document's ``devices``. `blamed`: the states of devices that expectations have named."""
    cells = roster.cells + len(roster.strays)
    devices = roster.total + len(roster.strays)
    # Of too many devices, there are only marks of their cells.
    each = devices <= MOST_DEVICES
    flags = bytearray(devices if each else cells)
    columns: dict[str, Any] = {name: [0] * cells for name in COUNTED}
    last, slowest = [_NEVER] * cells, [_NEVER] * cells
    by_code = [columns.get(_COUNTED_AS.get(what, "")) for what in range(len(WHATS))]
    flag_of = [_FLAGS.get(what, 0) for what in range(len(WHATS))]
    cell_of = roster.cell
    for number, what, t in zip(rows.devices, rows.whats, rows.times, strict=True):
        if number < 0:
            continue
        cell = cell_of(number)
        counted = by_code[what]
        if counted is not None:
            counted[cell] += 1
        flags[number if each else cell] |= flag_of[what]
        if t > last[cell]:
            last[cell] = t
    for row, took in zip(rows.pair_rows, rows.pair_times, strict=True):
        if (number := rows.devices[row]) >= 0 and took > slowest[cell_of(number)]:
            slowest[cell_of(number)] = took
    for number in rows.unanswered():
        columns["unanswered"][cell_of(number)] += 1
    states = flags.translate(_STATES)
    for name, state in blamed.items():
        if (number := roster.known(name)) >= 0:
            place = number if each else cell_of(number)
            states[place] = min(states[place], state)
    columns["silent"] = [states[span].count(SILENT) for span in roster.spans()] if each else [None]
    columns["state"] = [min(states[span]) for span in roster.spans()] if each else list(states)
    columns["last"] = [seconds(t) if t >= 0 else None for t in last]
    columns["slowest"] = [seconds(t) if t >= 0 else None for t in slowest]
    return {
        "total": devices,
        "fleets": [_told(fleet) for fleet in roster.all_fleets()],
        "states": list(STATES),
        "columns": {name: column(values) for name, values in columns.items()},
        "counts": {
            name: states.count(code) for code, name in enumerate(STATES) if states.count(code)
        }
        if each
        else {},
    }


def _texts(value: object) -> list[str]:
    """The texts in `value`, which foreign results may have made anything."""
    return (
        [text for text in shown_value(value) if isinstance(text, str)]
        if isinstance(value, list)
        else []
    )


def _told(fleet: Fleet) -> dict[str, Any]:
    told = {name: _texts(fleet.told.get(name)) for name in ("protocols", "addresses")}
    return {
        "name": shown(fleet.name),
        "count": fleet.devices,
        "per_cell": fleet.per_cell,
        "first_cell": fleet.first_cell,
        "cells": fleet.cells,
        **told,
        **({"stray": True} if fleet.told.get("stray") is True else {}),
    }
