"""Doubts: what was lost and how late the simulator was, told to the judge and to people.

A verdict may blame the gateway only for what the simulator is sure of: see `iotsim.expect.lapses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotsim.events import SimulatorLag
from iotsim.expect.lapses import LEAST_BOUND_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.run.crew import Crew
    from iotsim.run.site import Site
    from iotsim.scenario.model import Scenario
    from iotsim.testbed.counters import InterfaceCounters


class Doubts:
    """What there is to doubt about one run of `scenario` by `crew` over `site`."""

    def __init__(self, scenario: Scenario, crew: Crew, site: Site) -> None:
        self._crew = crew
        self._site = site
        self._interface: InterfaceCounters | None = None
        self._udp_errors_before = self._udp_errors()
        ports = (
            f"{spec.name}: {', '.join(str(service.port) for service in spec.services)}"
            for spec in scenario.fleets
        )
        self._listening = f"they listen at {'; '.join(ports)}"
        self._entries = {
            one.entry.name: f"The {what} '{one.entry.name}' ({one.entry.place})"
            for what, entries in (("impairment", scenario.impairments), ("fault", scenario.faults))
            for one in entries
        }
        self._lag_reported = LEAST_BOUND_S * scenario.pace
        self._lost_before = 0
        self.lost_northbound: Callable[[], int] = lambda: 0
        """How many datagrams the services of the gateway's other side have not taken in time."""
        self._looked_at = 0.0

    @property
    def lost(self) -> int:
        """How many packets were dropped before they could be read, as of the last look."""
        return self._lost_before

    def look(self, now: float) -> None:
        """Read the kernel's counters, and report what has become worse since the last look.

        The kernel does not tell when it dropped a packet: only that it was between two looks.
        """
        if self._site.testbed is not None and self._site.testbed.interface:
            self._interface = self._site.testbed.interface_counters()
        emit = self._crew.journal.emit
        lag = self._worst_lag()
        if lag > self._lag_reported:
            self._lag_reported = 2 * lag
            emit(SimulatorLag(now, lag, "packets waited, or timers were late, for so long"))
        lost = self._lost()
        if lost > self._lost_before:
            what = f"{lost - self._lost_before} packets were dropped before they could be read"
            emit(SimulatorLag(now, lag, what))
            self._crew.judge.lapses.lost(self._looked_at, now, lost - self._lost_before)
            self._lost_before = lost
        self._looked_at = now

    def lag(self) -> dict[str, float]:
        """Upper bounds of how late the simulator was at worst, in seconds."""
        return self._crew.counters().lag

    def _worst_lag(self) -> float:
        return max(self.lag().values(), default=0.0)

    def counters(self) -> dict[str, int]:
        """Everything counted, by name. Packets by outcome add up to ``packets.received``."""
        counts = dict(self._crew.counters().counts)
        if self._interface is not None:
            counts |= {
                "interface.to_devices": self._interface.tx_packets,
                "interface.to_devices_dropped": self._interface.tx_dropped,
                "interface.from_devices": self._interface.rx_packets,
                "interface.from_devices_dropped": self._interface.rx_dropped,
            }
        return counts | self._gateway_errors()

    def errors(self) -> list[str]:
        """What makes the verdict error: what broke among ourselves, and devices that were stopped
        by a rule or behavior of the user's."""
        counters = self._crew.counters()
        failed = counters.failed_devices
        if not failed:
            return list(self._crew.errors)
        names = ", ".join(failed[:5]) + (" …" if len(failed) > 5 else "")
        why = f" ({counters.first_failure})" if counters.first_failure else ""
        told = f"{len(failed)} of the devices failed: {names}; events.jsonl has the tracebacks{why}"
        return [*self._crew.errors, told]

    def notes(self) -> list[str]:
        """What people should know of the run besides."""
        notes = list(self._crew.counters().notes)
        notes += [
            f"{self._entries.get(name, f'{name!r}')} touched no message."
            for name in self._crew.counters().idle
        ]
        full = self._gateway_errors().get("gateway.UdpRcvbufErrors", 0)
        if full:
            lost = f"it lost {full} datagrams there"
            notes.append(f"The gateway's own receive buffer was full: {lost}.")
        refused = self._crew.counters().counts.get("outcome.dropped.no-service", 0)
        if refused:
            what = "1 packet came" if refused == 1 else f"{refused} packets came"
            notes.append(f"{what} to UDP ports where no device listens; {self._listening}.")
        return notes

    def _lost(self) -> int:
        """Packets dropped by our queues, in either direction."""
        lost = self._crew.counters().lost + self.lost_northbound()
        if self._interface is not None:
            lost += self._interface.tx_dropped + self._interface.rx_dropped
        return lost

    def _udp_errors(self) -> dict[str, int]:
        testbed = self._site.testbed
        return {} if testbed is None else testbed.gateway_udp_errors()

    def _gateway_errors(self) -> dict[str, int]:
        before = self._udp_errors_before
        errors = {name: n - before[name] for name, n in self._udp_errors().items()}
        if lost := self.lost_northbound():
            # Services have their sockets in the gateway's network: what these have lost is ours.
            errors["UdpRcvbufErrors"] = max(0, errors.get("UdpRcvbufErrors", 0) - lost)
        return {f"gateway.{name}": n for name, n in errors.items()}
