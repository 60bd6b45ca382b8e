"""Absences: why the devices of a fleet are away, each for itself, and when.

Before it boots, while it is off, down or asleep, a device has no part in anything: its addresses are as if
nobody had them. Each reason is a function; the hosts are asked while there is any, and only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotsim.net.address_table import Absence
    from iotsim.simulation.hosts import FleetHosts, Hosts


class Absences:
    """Those of the devices that are `pool` in `hosts`."""

    def __init__(self, hosts: Hosts, pool: FleetHosts) -> None:
        self._hosts = hosts
        self._pool = pool
        self._reasons: list[Absence] = []

    def add(self, reason: Absence) -> None:
        """Devices of which `reason` says so are away; nothing happens if it is known."""
        if reason not in self._reasons:
            self._reasons.append(reason)
            self._changed()

    def remove(self, reason: Absence) -> None:
        """`reason` is none any more."""
        if reason in self._reasons:
            self._reasons.remove(reason)
            self._changed()

    @property
    def any(self) -> bool:
        return bool(self._reasons)

    def is_away(self, index: int, now: float) -> bool:
        return any(reason(index, now) for reason in self._reasons)

    def _changed(self) -> None:
        absence: Absence | None = self.is_away
        if len(self._reasons) < 2:
            absence = self._reasons[0] if self._reasons else None
        self._hosts.set_absence(self._pool, absence)
