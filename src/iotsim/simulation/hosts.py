"""The simulated hosts of a run, as pump and services need them, on whatever link.

`make_hosts` puts them behind a TUN, or on an Ethernet if the link is a TAP. What hosts have to do
later (give up fragments, ask for a neighbor again, renew a lease) becomes timers of the pump. On a
TUN only a packet that goes by the book can make that necessary, so the short cut of plain datagrams
never looks at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from iotsim.events import Note
from iotsim.net.ethernet import EthernetStack
from iotsim.net.stack import Stack
from iotsim.wire.address import format_address, is_ipv4
from iotsim.wire.ethernet import format_mac

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from iotsim.device import Fleet
    from iotsim.net.address_table import HostPool, PortHandler
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.scenario.model import LinkSpec, Scenario
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump

NEVER = float("inf")
MOST_NOTES = 100
"""So many conflicts and leases are told; further ones are only counted."""


class Hosts(Protocol):
    """What a simulation asks of its hosts, on whatever link."""

    @property
    def counters(self) -> Counter[str]: ...

    def receive(self, frame: bytes, now: float) -> str: ...

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending: ...

    def is_ours(self, address: int) -> bool:
        """Whether a device has `address`."""

    def add(self, fleet: Fleet, ports: dict[int, PortHandler]) -> None:
        """Put the devices of `fleet` on the link, with these services."""

    def start(self, now: float) -> None:
        """The link is up."""


class FleetHosts:
    """A fleet as the stack sees it: which UDP ports its hosts have."""

    def __init__(self, fleet: Fleet, ports: dict[int, PortHandler]) -> None:
        self.fleet = fleet
        self.ports = ports


class Alarm:
    """Keeps one timer of `pump` set for when the hosts next have something to do."""

    def __init__(
        self,
        pump: Pump,
        next_due: Callable[[], float | None],
        pop_due: Callable[[float], object],
    ) -> None:
        self._pump = pump
        self._next_due = next_due
        self._pop_due = pop_due
        self._set_for = NEVER

    def update(self) -> None:
        due = self._next_due()
        if due is not None and due < self._set_for:
            self._set_for = due
            self._pump.timers.call_at(due, self._fire, due)

    def _fire(self, due: float) -> None:
        if due == self._set_for:  # else another was set before this one
            self._set_for = NEVER
            self._pop_due(max(due, self._pump.clock()))
            self.update()


class TunHosts(Stack):
    """All hosts behind a link that carries IP packets."""

    def __init__(self, link: LinkSpec, mtu: int, pump: Pump) -> None:
        super().__init__(
            pump.transmit,
            router=link.router,
            router6=link.router6,
            mtu=mtu,
            broadcasts=link.broadcasts,
            loopback=link.kind == "loopback",
        )
        self._alarm = Alarm(pump, self.next_due, self.pop_due)

    def receive_by_the_book(self, frame: bytes, now: float) -> str:
        outcome = super().receive_by_the_book(frame, now)
        self._alarm.update()
        return outcome

    def is_ours(self, address: int) -> bool:
        return self.pool.find(address) is not None

    def add(self, fleet: Fleet, ports: dict[int, PortHandler]) -> None:
        network = fleet.spec.network
        hosts = FleetHosts(fleet, ports)
        for run in fleet.spec.runs:
            self.attach(
                run.first,
                run.count,
                hosts,
                hops=[hop for hop in network.hops if is_ipv4(hop) == is_ipv4(run.first)],
                path_mtu=network.path_mtu,
                silent=network.silent,
            )
        for group in network.groups:
            self.join(group, hosts)

    def start(self, now: float) -> None:
        pass


class TapHosts(EthernetStack):
    """All hosts on an Ethernet segment."""

    def __init__(
        self, scenario: Scenario, mtu: int, pump: Pump, seed: int, journal: Journal
    ) -> None:
        link = scenario.link
        own = link.address4[0] if link.address4 else 0
        leases = any(fleet.network.dhcp for fleet in scenario.fleets)
        super().__init__(
            pump.transmit,
            seed=seed,
            networks=[side for side in (link.address4, link.address6) if side],
            # The DHCP server knows better than a default.
            default_router=0 if leases and link.router == own else link.router,
            default_router6=link.router6,
            vlan=link.vlan,
            on_conflict=self._note_conflict,
            on_lease=self._note_lease,
            mtu=mtu,
            broadcasts=link.broadcasts,
        )
        self._receiving = False
        self._clock = pump.clock
        self._journal = journal
        self._notes = 0
        self._leasing: list[FleetHosts] = []
        self._alarm = Alarm(pump, self.next_due, self.pop_due)

    def receive(self, frame: bytes, now: float) -> str:
        self._receiving = True
        try:
            return super().receive(frame, now)
        finally:
            self._receiving = False
            self._alarm.update()

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending:
        self.now = self._clock()
        sending = super().send_udp(datagram, payload)
        if not self._receiving:  # else it is done when the packet has been dealt with
            self._alarm.update()
        return sending

    def is_ours(self, address: int) -> bool:
        return self.stack.pool.find(address) is not None

    def add(self, fleet: Fleet, ports: dict[int, PortHandler]) -> None:
        network = fleet.spec.network
        hosts = FleetHosts(fleet, ports)
        for run in fleet.spec.runs:
            self.attach(
                run.first,
                run.count,
                hosts,
                mac=network.mac,
                path_mtu=network.path_mtu,
                silent=network.silent,
            )
        if network.dhcp:
            self._leasing.append(hosts)
        for group in network.groups:
            self.join(group, hosts)

    def start(self, now: float) -> None:
        self.announce(now)
        for hosts in self._leasing:
            spec = hosts.fleet.spec
            self.lease(spec.count, hosts, now, mac=spec.network.mac)
        self._alarm.update()

    def _note_conflict(self, address: int, mac: int) -> None:
        by = f"by the host with the MAC address {format_mac(mac)}" if mac else "by another host"
        self._note(f"{format_address(address)} is a device's address, and is used {by}, too")

    def _note_lease(self, pool: HostPool, index: int, address: int) -> None:
        assert isinstance(pool, FleetHosts)
        device = pool.fleet.device(index)
        what = f"got the address {format_address(address)}" if address else "lost its address"
        self.counters["dhcp-leases" if address else "dhcp-leases-lost"] += 1
        group.fleet.leases[index] = address
        self._note(f"{device.name} {what} by DHCP")

    def _note(self, text: str) -> None:
        self._notes += 1
        if self._notes <= MOST_NOTES:
            self._journal.emit(Note(self._clock(), text))


def make_hosts(
    scenario: Scenario, mtu: int, pump: Pump, *, seed: int, journal: Journal
) -> TunHosts | TapHosts:
    """The hosts of `scenario`, still without fleets, which send by `pump`."""
    link = scenario.link
    if link.kind == "tap":
        return TapHosts(scenario, mtu, pump, seed, journal)
    return TunHosts(link, mtu, pump)
