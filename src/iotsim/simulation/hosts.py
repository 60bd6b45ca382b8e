"""The simulated hosts of a run, as pump and services need them, on whatever link.

`make_hosts` puts them behind a TUN, or on an Ethernet if the link is a TAP. What hosts have to do
later (give up fragments, ask for a neighbor again, renew a lease) becomes timers of the pump. On a
TUN only a packet that goes by the book can make that necessary, so the short cut of plain datagrams
never looks at it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from iotsim.events import Note
from iotsim.net.ethernet import EthernetStack
from iotsim.net.stack import Stack
from iotsim.scenario.addresses import within
from iotsim.wire.address import format_address, is_ipv4
from iotsim.wire.ethernet import format_mac

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from iotsim.device import Fleet
    from iotsim.device.spec import AddressBlock
    from iotsim.net.address_table import Absence, HostPool, PortHandler
    from iotsim.net.datagram import Datagram, Sending
    from iotsim.scenario.model import LinkSpec, Scenario
    from iotsim.simulation.between import BetweenDevices
    from iotsim.simulation.journal import Journal
    from iotsim.simulation.pump import Pump

NEVER = float("inf")
MOST_NOTES = 100
"""So many conflicts, leases and unknown addresses are told; further ones are only counted."""


class FleetHosts:
    """A fleet as the stack sees it: which UDP ports its hosts have, and who is told of what comes for a host
    that is away."""

    def __init__(self, fleet: Fleet, ports: dict[int, PortHandler]) -> None:
        self.fleet = fleet
        self.ports = ports
        self.missed: dict[int, PortHandler] = {}


class Hosts(Protocol):
    """What a simulation asks of its hosts, on whatever link."""

    @property
    def counters(self) -> Counter[str]: ...

    def receive(self, frame: bytes, now: float) -> str: ...

    def receive_from_host(self, frame: bytes, now: float) -> str: ...

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending: ...

    def send_corrupt(self, datagram: Datagram, payload: bytes, flip: int) -> Sending: ...

    def set_absence(self, pool: HostPool, absence: Absence | None) -> None: ...

    def move(
        self,
        pool: HostPool,
        index: int,
        old: int,
        new: int,
        ports: Mapping[int, PortHandler],
        missed: Mapping[int, PortHandler] | None = None,
    ) -> None: ...

    def move_back(self, old: int, new: int) -> None: ...

    def add(self, fleet: Fleet, ports: dict[int, PortHandler]) -> FleetHosts:
        """Put the devices of `fleet` on the link, with these services."""

    def start(self, now: float) -> None:
        """The link is up."""


class _Fleets(ABC):
    """How fleets come on a link, whatever link it is."""

    join: Callable[[int, HostPool], None]

    def add(self, fleet: Fleet, ports: dict[int, PortHandler]) -> FleetHosts:
        hosts = FleetHosts(fleet, ports)
        for block in fleet.spec.blocks:
            self.attach_block(block, hosts)
        for group in fleet.spec.network.groups:
            self.join(group, hosts)
        return hosts

    @abstractmethod
    def attach_block(self, block: AddressBlock, hosts: FleetHosts) -> None:
        """Give `hosts` these addresses."""


class Notes:
    """What hosts have to tell people, as events; no more than `MOST_NOTES`."""

    def __init__(self, clock: Callable[[], float], journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._count = 0

    def add(self, text: str) -> None:
        self._count += 1
        if self._count <= MOST_NOTES:
            self._journal.emit(Note(self._clock(), text))


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


class TunHosts(Stack, _Fleets):
    """All hosts behind a link that carries IP packets."""

    def __init__(
        self, link: LinkSpec, mtu: int, pump: Pump, between: BetweenDevices, notes: Notes
    ) -> None:
        super().__init__(
            pump.transmit,
            to_hosts=between.send,
            router=link.router,
            router6=link.router6,
            mtu=mtu,
            broadcasts=link.broadcasts,
            loopback=link.kind == "loopback",
        )
        self._loopback = link.kind == "loopback"
        # All of 127.0.0.0/8 is this machine, where anybody may listen.
        sides = () if self._loopback else (link.address4, link.address6)
        self._sides = [side for side in sides if side is not None]
        self._notes = notes
        self._strangers: set[int] = set()
        self._alarm = Alarm(pump, self.next_due, self.pop_due)

    def send_corrupt(self, datagram: Datagram, payload: bytes, flip: int) -> Sending:
        """As `Stack.send_corrupt`. The loopback link has no checksums: there it is as good as lost."""
        return None if self._loopback else super().send_corrupt(datagram, payload, flip)

    def leads_beyond(self, destination: int) -> bool:
        """As `Stack.leads_beyond`. What goes to an address that nobody on the link has, as far as the
        scenario tells, is counted and told: it may well be a mistake."""
        beyond = super().leads_beyond(destination)
        if beyond and any(
            within(destination, side) and side[0] != destination for side in self._sides
        ):
            self._beyond.discard(destination)
            self.counters["sent-to-nobody"] += 1
            if destination not in self._strangers and len(self._strangers) < MOST_NOTES:
                self._strangers.add(destination)
                text = (
                    f"{format_address(destination)} is neither a device's address nor the gateway's"
                )
                self._notes.add(f"{text}, and a device sends to it")
        return beyond

    def receive_by_the_book(self, frame: bytes, now: float) -> str:
        outcome = super().receive_by_the_book(frame, now)
        self._alarm.update()
        return outcome

    def attach_block(self, block: AddressBlock, hosts: FleetHosts) -> None:
        network = hosts.fleet.spec.network
        self.attach(
            block.first,
            block.count,
            hosts,
            hops=[hop for hop in network.hops if is_ipv4(hop) == is_ipv4(block.first)],
            path_mtu=network.path_mtu,
            silent=network.silent,
        )

    def start(self, now: float) -> None:
        pass


class TapHosts(EthernetStack, _Fleets):
    """All hosts on an Ethernet segment."""

    def __init__(
        self,
        scenario: Scenario,
        mtu: int,
        pump: Pump,
        between: BetweenDevices,
        seed: int,
        notes: Notes,
    ) -> None:
        link = scenario.link
        own = link.address4[0] if link.address4 else 0
        leases = any(fleet.network.dhcp for fleet in scenario.fleets)
        super().__init__(
            pump.transmit,
            to_hosts=between.send,
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
        self._busy = False
        self._clock = pump.clock
        self._notes = notes
        self._leasing: list[FleetHosts] = []
        self._alarm = Alarm(pump, self.next_due, self.pop_due)

    def receive(self, frame: bytes, now: float) -> str:
        return self._deal_with(super().receive, frame, now)

    def receive_from_host(self, frame: bytes, now: float) -> str:
        return self._deal_with(super().receive_from_host, frame, now)

    def _deal_with(self, receive: Callable[[bytes, float], str], frame: bytes, now: float) -> str:
        """What a frame makes necessary later is looked for once it has been dealt with."""
        self._busy = True
        try:
            return receive(frame, now)
        finally:
            self._busy = False
            self._alarm.update()

    def send_udp(self, datagram: Datagram, payload: bytes) -> Sending:
        self.now = self._clock()
        sending = super().send_udp(datagram, payload)
        if not self._busy:
            self._alarm.update()
        return sending

    def send_corrupt(self, datagram: Datagram, payload: bytes, flip: int) -> Sending:
        self.now = self._clock()
        sending = super().send_corrupt(datagram, payload, flip)
        if not self._busy:
            self._alarm.update()
        return sending

    def add(self, fleet: Fleet, ports: dict[int, PortHandler]) -> FleetHosts:
        hosts = super().add(fleet, ports)
        if fleet.spec.network.dhcp:
            self._leasing.append(hosts)
        return hosts

    def attach_block(self, block: AddressBlock, hosts: FleetHosts) -> None:
        network = hosts.fleet.spec.network
        self.attach(
            block.first,
            block.count,
            hosts,
            mac=network.mac,
            path_mtu=network.path_mtu,
            silent=network.silent,
        )

    def start(self, now: float) -> None:
        self.announce(now)
        for hosts in self._leasing:
            spec = hosts.fleet.spec
            self.lease(spec.count, hosts, now, mac=spec.network.mac)
        self._alarm.update()

    def _note_conflict(self, address: int, mac: int) -> None:
        by = f"by the host with the MAC address {format_mac(mac)}" if mac else "by another host"
        self._notes.add(f"{format_address(address)} is a device's address, and is used {by}, too")

    def _note_lease(self, pool: HostPool, index: int, address: int) -> None:
        assert isinstance(pool, FleetHosts)
        device = pool.fleet.device(index)
        what = f"got the address {format_address(address)}" if address else "lost its address"
        self.counters["dhcp-leases" if address else "dhcp-leases-lost"] += 1
        pool.fleet.leases[index] = address
        self._notes.add(f"{device.name} {what} by DHCP")


def make_hosts(
    scenario: Scenario,
    mtu: int,
    pump: Pump,
    between: BetweenDevices,
    *,
    seed: int,
    journal: Journal,
) -> TunHosts | TapHosts:
    """The hosts of `scenario`, still without fleets, which send by `pump` and each other by `between`."""
    link = scenario.link
    notes = Notes(pump.clock, journal)
    if link.kind == "tap":
        return TapHosts(scenario, mtu, pump, between, seed, notes)
    return TunHosts(link, mtu, pump, between, notes)
