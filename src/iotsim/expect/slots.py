"""Devices as small integers, so that what an expectation remembers of each is a byte in an array.

An expectation gives each of its devices a *slot*, 0 to n-1 in the order of the scenario. A *table*
leads from a device's index in its fleet to its slot with one subscription: a ``range`` where the
whole fleet is meant (no memory at all), else an array with -1 for the devices that are not meant.
The last element of every per-slot state array is a sentinel that slot -1 finds, which spares the
hot path a comparison.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from iotsim.expect.spec import NORTHBOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from iotsim.expect.spec import DeviceSelection
    from iotsim.match import DeviceView

Table: TypeAlias = "range | array[int] | bytes"


@dataclass(frozen=True, slots=True)
class FleetView:
    """What a judge knows of a fleet.

    ``owned``: the indexes that this judge sees, where a fleet is split over several judges; None
    means all. ``boot_time``: index -> the time at which the device boots, None where all are there
    from the start; ``booted_by`` tells when the last one has booted. Both are infinity while it is
    not known. ``device``: index -> the device, for expressions about it; None where there is none.
    """

    name: str
    count: int
    owned: range | None = None
    boot_time: Callable[[int], float] | None = None
    booted_by: Callable[[], float] | None = None
    device: Callable[[int], DeviceView] | None = None


@dataclass(frozen=True, slots=True)
class _Segment:
    """A run of slots, from ``base`` on, that belong to ``indexes`` of one fleet."""

    view: FleetView
    indexes: Sequence[int]
    base: int


class Slots:
    """The devices of one expectation. ``pooled``: all of them share slot 0."""

    def __init__(
        self,
        selections: Sequence[DeviceSelection],
        fleets: Mapping[str, FleetView],
        *,
        pooled: bool = False,
    ) -> None:
        self.pooled = pooled
        self.sharded = False
        self.devices = 0
        """How many devices are meant and owned."""
        self.selected = 0
        """How many are meant, in all shards together."""
        self._segments: list[_Segment] = []
        self._tables: dict[str, Table] = {}
        taken: dict[str, list[Sequence[int]]] = {}
        for selection in selections:
            view = fleets[selection.fleet]
            others = taken.setdefault(view.name, [])
            indexes = _without(selection.indexes, others)
            others.append(indexes)
            self.selected += len(indexes)
            if view.owned is not None:
                self.sharded = True
                indexes = _common(indexes, view)
            self._segments.append(_Segment(view, indexes, self.devices))
            self.devices += len(indexes)
        self.count = min(1, self.devices) if pooled else self.devices
        for name in taken:
            self._tables[name] = self._table(fleets[name])
        self._boots = [
            s.view.booted_by for s in self._segments if s.view.booted_by is not None and not pooled
        ]

    @property
    def tables(self) -> Mapping[str, Table]:
        """Fleet name -> table."""
        return self._tables

    @property
    def booted_by_s(self) -> float:
        """From this time on every device counts its windows from the same moment."""
        return max((booted_by() for booted_by in self._boots), default=0.0)

    def place(self, slot: int) -> tuple[int, str, int]:
        """(number of the selection, fleet, index): sorts devices as the scenario names them."""
        for number, segment in enumerate(self._segments):
            if slot < segment.base + len(segment.indexes):
                return number, segment.view.name, segment.indexes[slot - segment.base]
        raise IndexError(slot)

    def device(self, slot: int) -> DeviceView | None:
        """The device at `slot`; None of a pool, or where it is not known."""
        if self.pooled:
            return None
        for segment in self._segments:
            if slot < segment.base + len(segment.indexes):
                make = segment.view.device
                return None if make is None else make(segment.indexes[slot - segment.base])
        raise IndexError(slot)

    def boot_time(self, slot: int) -> float:
        """When the device at `slot` boots; 0.0 for the pool and for devices that are just there."""
        if not self._boots:
            return 0.0
        for segment in self._segments:
            if slot < segment.base + len(segment.indexes):
                boot_time = segment.view.boot_time
                return boot_time(segment.indexes[slot - segment.base]) if boot_time else 0.0
        raise IndexError(slot)

    def _table(self, view: FleetView) -> Table:
        segments = [s for s in self._segments if s.view.name == view.name]
        if len(segments) == 1 and segments[0].indexes == range(view.count):
            if self.pooled:
                return bytes(view.count)
            return range(segments[0].base, segments[0].base + view.count)
        table = array("i", [-1]) * view.count
        for segment in segments:
            indexes, base = segment.indexes, segment.base
            count = len(indexes)
            slots = array("i", bytes(4 * count) if self.pooled else range(base, base + count))
            if isinstance(indexes, range) and indexes.step > 0:  # a million devices, perhaps
                table[indexes.start : indexes.stop : indexes.step] = slots
            else:
                for index, slot in zip(indexes, slots, strict=True):
                    table[index] = slot
        return table


def device_text(fleet: str, index: int) -> str:
    """What one device is called: ``meter[3]``, or a northbound service by its name."""
    return fleet if fleet.startswith(NORTHBOUND) else f"{fleet}[{index}]"


def _without(indexes: range | tuple[int, ...], others: list[Sequence[int]]) -> Sequence[int]:
    """`indexes` without those that an earlier selection of the same expectation named."""
    if not others:
        return indexes
    seen = {index for other in others for index in other}
    return tuple(index for index in indexes if index not in seen)


def _common(indexes: Sequence[int], view: FleetView) -> Sequence[int]:
    """The owned ones among `indexes`."""
    owned = view.owned
    assert owned is not None
    if indexes == range(view.count):
        return owned
    return tuple(index for index in indexes if index in owned)


def selection_text(selections: Sequence[DeviceSelection], fleets: Mapping[str, FleetView]) -> str:
    """``meter (14 devices)``, ``meter[3]``, ``meter[0:10] (10 devices)``, ``10 of 100 meter``."""
    parts: list[str] = []
    for selection in selections:
        name, indexes = selection.fleet, selection.indexes
        count = fleets[name].count
        if len(indexes) == 1:
            parts.append(device_text(name, indexes[0]))
        elif indexes == range(count):
            parts.append(f"{name} ({count} devices)")
        elif isinstance(indexes, range):
            step = f":{indexes.step}" if indexes.step != 1 else ""
            parts.append(f"{name}[{indexes.start}:{indexes.stop}{step}] ({len(indexes)} devices)")
        else:
            parts.append(f"{len(indexes)} of the {count} devices of {name}")
    return ", ".join(parts)
