"""What becomes of a datagram that a host sends: it has left, it waits, or there is a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.net.datagram import Datagram, Waiting
from iotsim.net.ethernet import EthernetStack
from iotsim.net.stack import Stack
from iotsim.wire import arp, ethernet, ipv4, ipv6, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.arp import ArpMessage
from iotsim.wire.ethernet import EthernetHeader

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Sending

ROUTER, GATEWAY, NEIGHBOR = map(parse_address, ("10.77.255.254", "10.77.0.1", "10.77.0.9"))
FIRST, FIRST6 = parse_address("10.77.1.1"), parse_address("fd77::1:1")
GROUP, BROADCAST = parse_address("239.1.2.3"), parse_address("10.77.255.255")
FIRST_MAC, NEIGHBOR_MAC = 0x020000000100, 0x020000000009
PORT = 5600


class Fleet:
    def __init__(self) -> None:
        self.heard: list[Datagram] = []
        self.payloads: list[bytes] = []
        self.ports: dict[int, PortHandler] = {PORT: self.hear}
        self.missed: dict[int, PortHandler] = {}

    def hear(self, datagram: Datagram, payload: bytes) -> str:
        self.heard.append(datagram)
        self.payloads.append(payload)
        return "answered"


class Bench:
    """Four hosts of one fleet, of both families, that can send each other."""

    def __init__(self, mtu: int = 1500, hops: tuple[int, ...] = (), path_mtu: int = 0) -> None:
        self.sent: list[bytes] = []
        self.local: list[bytes] = []
        self.verdict: Sending = None
        self.stack = Stack(
            self.transmit,
            to_hosts=self.to_hosts,
            router=ROUTER,
            mtu=mtu,
            broadcasts=[BROADCAST],
        )
        self.fleet = Fleet()
        self.stack.attach(FIRST, 4, self.fleet)
        self.stack.attach(FIRST6, 4, self.fleet)
        self.far = Fleet()
        self.stack.attach(FIRST + 0x100, 4, self.far, hops=hops, path_mtu=path_mtu)

    def transmit(self, frame: bytes) -> Sending:
        self.sent.append(frame)
        return self.verdict

    def to_hosts(self, frame: bytes) -> Sending:
        self.local.append(frame)
        return None

    def send(
        self, destination: int, payload: bytes = b"hello", *, source: int = FIRST, port: int = PORT
    ) -> Sending:
        return self.stack.send_udp(Datagram(0, source, PORT, destination, port, 0.0), payload)

    def deliver(self, now: float = 0.0) -> list[str]:
        """Let the hosts receive what they have sent each other, until there is no more."""
        outcomes = []
        while self.local:
            outcomes.append(self.stack.receive_from_host(self.local.pop(0), now))
        return outcomes


# Reasons.


@pytest.mark.parametrize(
    ("destination", "port", "reason", "counter"),
    [
        (GATEWAY, 0, "its peer has port 0, which nothing can be sent to", "no-port"),
        (FIRST, PORT, "it would send to itself", "to-itself"),
        (0x7F000001, PORT, "127.0.0.1 is no address that can be sent to", "no-destination"),
        (0x00000001, PORT, "0.0.0.1 is no address that can be sent to", "no-destination"),
        (
            0xFFFF << 32 | GATEWAY,
            PORT,
            "::ffff:a4d:1 is no address that can be sent to",
            "no-destination",
        ),
    ],
)
def test_what_cannot_be_sent_has_a_reason(
    destination: int, port: int, reason: str, counter: str
) -> None:
    bench = Bench()
    for _ in range(2):
        assert bench.send(destination, port=port) == reason
    assert bench.stack.counters == {counter: 2}
    assert (bench.sent, bench.local) == ([], [])


@pytest.mark.parametrize("length", [5, 5000])
@pytest.mark.parametrize(("source", "destination"), [(FIRST, GATEWAY), (FIRST6, FIRST6 - 0x10000)])
def test_what_the_link_says_of_a_frame_is_said_of_the_datagram(
    length: int, source: int, destination: int
) -> None:
    bench = Bench()
    assert bench.send(destination, bytes(length), source=source) is None
    bench.verdict = "the link dropped it"
    assert bench.send(destination, bytes(length), source=source) == "the link dropped it"


# Waiting for a neighbor.


class Segment:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.told: list[str] = []
        self.stack = EthernetStack(
            self.transmit,
            seed=1,
            networks=[(GATEWAY, 16), (FIRST6, 64)],
            mtu=600,
        )
        self.fleet = Fleet()
        self.stack.attach(FIRST, 4, self.fleet, mac=FIRST_MAC)

    def transmit(self, frame: bytes) -> None:
        self.sent.append(frame)

    def send(self, destination: int, payload: bytes = b"hello", *, source: int = FIRST) -> Sending:
        sending = self.stack.send_udp(Datagram(0, source, PORT, destination, PORT, 0.0), payload)
        if isinstance(sending, Waiting):
            sending.told = self.told.append
        return sending

    def answer_arp(self) -> None:
        reply = arp.build_arp(ArpMessage(arp.REPLY, NEIGHBOR_MAC, NEIGHBOR, FIRST_MAC, FIRST))
        header = EthernetHeader(FIRST_MAC, NEIGHBOR_MAC, ethernet.ARP)
        frame = virtio.PLAIN + ethernet.build_ethernet(header) + reply
        assert self.stack.receive(frame, 0.5) == "consumed.arp-reply"


@pytest.mark.parametrize("length", [5, 2000])
def test_a_datagram_waits_for_its_neighbor_in_one_piece_or_in_several(length: int) -> None:
    segment = Segment()
    assert isinstance(segment.send(NEIGHBOR, bytes(length)), Waiting)
    assert (len(segment.sent), segment.told) == (1, [])
    segment.answer_arp()
    assert segment.told == [""]
    assert segment.send(NEIGHBOR, bytes(length)) is None
    assert segment.told == [""]


@pytest.mark.parametrize("length", [5, 2000])
def test_a_datagram_to_a_neighbor_that_never_answers_is_told_once_why(length: int) -> None:
    segment = Segment()
    segment.send(NEIGHBOR, bytes(length))
    for now in (1.0, 2.0, 3.0):
        assert segment.told == []
        segment.stack.pop_due(now)
    assert segment.told == ["nobody answers ARP for 10.77.0.9"]


def test_a_datagram_of_which_a_part_finds_no_room_does_not_leave() -> None:
    segment = Segment()
    full = "too many packets wait for an answer of 10.77.0.9"
    # Of the 256 packets that may wait, the first datagram takes 64, the two others 105 each.
    assert isinstance(segment.send(NEIGHBOR, bytes(64 * 576 - 8)), Waiting)
    assert isinstance(segment.send(NEIGHBOR, bytes(60_000)), Waiting)
    assert segment.told == []
    assert isinstance(segment.send(NEIGHBOR, bytes(60_000)), Waiting)
    assert segment.told == [full]
    segment.answer_arp()
    assert segment.told == [full, "", ""]


def test_without_a_route_there_is_a_reason() -> None:
    segment = Segment()
    assert segment.send(parse_address("192.0.2.1")) == "there is no router to 192.0.2.1"
    assert segment.stack.counters == {"no-route": 1}


def test_a_link_local_source_reaches_nobody_beyond_the_link() -> None:
    segment = Segment()
    segment.stack.attach(FIRST6, 4, segment.fleet)
    segment.stack.default_router6 = FIRST6 + 0x1000
    local = next(b.first for b in segment.stack.ip.table if ipv6.is_link_local(b.first))
    far = parse_address("2001:db8::1")
    reason = "2001:db8::1 is beyond the reach of a link-local address"
    assert segment.send(far, source=local) == reason
    assert isinstance(segment.send(far, source=FIRST6), Waiting)


def test_a_host_that_lost_its_address_sends_nothing_from_it() -> None:
    segment = Segment()
    segment.send(NEIGHBOR, source=FIRST + 0x100)
    segment.answer_arp()
    assert segment.told == ["it has the address 10.77.2.1 no longer"]


# From host to host.


@pytest.mark.parametrize("length", [0, 5, 4000])
@pytest.mark.parametrize("first", [FIRST, FIRST6])
def test_what_is_for_another_host_does_not_go_to_the_link(first: int, length: int) -> None:
    bench = Bench()
    assert bench.send(first + 2, bytes(length), source=first) is None
    assert bench.sent == []
    assert bench.deliver()[-1] == "answered"
    (datagram,) = bench.fleet.heard
    assert (datagram.index, datagram.local, datagram.peer) == (2, first + 2, first)
    assert datagram.from_host
    assert bench.fleet.payloads == [bytes(length)]


def test_hosts_that_are_attached_later_are_found() -> None:
    bench = Bench()
    late = FIRST + 0x300
    assert bench.send(late) is None
    assert len(bench.sent) == 1
    bench.stack.attach(late, 1, bench.fleet)
    assert bench.send(late) is None
    assert (len(bench.sent), len(bench.local)) == (1, 1)
    bench.stack.detach(late)
    bench.send(late)
    assert len(bench.sent) == 2


@pytest.mark.parametrize("length", [5, 4000])
@pytest.mark.parametrize("group", [GROUP, BROADCAST, ipv4.LIMITED_BROADCAST])
def test_what_is_for_a_group_goes_to_the_link_and_to_all_others(group: int, length: int) -> None:
    bench = Bench()
    bench.stack.join(GROUP, bench.fleet)
    assert bench.send(group, bytes(length), source=FIRST + 1) is None
    assert bench.sent == bench.local
    assert bench.deliver()[-1] == "answered"
    assert [datagram.index for datagram in bench.fleet.heard] == [0, 2, 3]
    assert all(datagram.from_host for datagram in bench.fleet.heard)


def test_what_the_members_of_a_group_hear_has_left() -> None:
    bench = Bench()
    bench.verdict = "the link dropped it"
    assert bench.send(BROADCAST) is None
    assert bench.deliver() == ["answered"]
    assert bench.send(BROADCAST, port=PORT + 1) == "the link dropped it"


@pytest.mark.parametrize("length", [5, 4000])
def test_what_is_for_a_group_outside_is_the_link_s(length: int) -> None:
    bench = Bench()
    datagram = Datagram(0, FIRST, PORT, BROADCAST, PORT, 0.0, outside=True)
    assert bench.stack.send_udp(datagram, bytes(length)) is None
    assert bench.sent
    assert bench.local == []


def test_what_is_for_a_group_without_other_members_is_the_link_s() -> None:
    bench = Bench()
    alone = Fleet()
    bench.stack.attach(FIRST + 0x400, 1, alone)
    bench.stack.join(GROUP, alone)
    assert bench.send(GROUP, source=FIRST + 0x400) is None
    assert bench.send(GROUP + 1) is None
    assert bench.send(BROADCAST, port=PORT + 1) is None
    assert (len(bench.sent), bench.local) == (3, [])


def test_a_closed_port_is_refused_to_a_host_as_to_anybody() -> None:
    bench = Bench()
    bench.send(FIRST + 1, port=9)
    assert bench.deliver() == ["dropped.no-service", "consumed.icmp-unreachable"]
    bench.send(ROUTER)
    assert bench.deliver() == ["dropped.no-service", "consumed.icmp-unreachable"]
    assert bench.sent == []


def test_a_narrow_path_is_learned_from_the_router_before_it() -> None:
    bench = Bench(hops=(ROUTER - 1, ROUTER - 2), path_mtu=600)
    far = FIRST + 0x100
    assert bench.send(far, bytes(1000)) is None
    assert bench.deliver() == ["dropped.packet-too-big", "consumed.icmp-unreachable"]
    assert bench.send(far, bytes(1000)) is None
    assert bench.deliver() == ["consumed.fragment", "answered"]
    assert bench.far.payloads == [bytes(1000)]
    assert bench.sent == []


def test_addresses_beyond_the_hosts_are_not_remembered_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iotsim.net.stack.MOST_PEERS_KNOWN", 10)
    bench = Bench()
    for peer in range(100):
        assert bench.send(GATEWAY + 0x10000000 + peer) is None
        assert len(bench.stack._beyond) <= 10
    assert len(bench.sent) == 100
