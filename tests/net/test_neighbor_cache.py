from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from iotsim.net.datagram import Waiting
from iotsim.net.neighbor_cache import WAITING_PER_NEIGHBOR, NeighborCache, State

if TYPE_CHECKING:
    from iotsim.net.datagram import Sending

PEER, ASKER, MAC, OTHER = 1, 2, 0x0200_0000_0001, 0x0200_0000_0002


class Cache:
    """A cache, what it asked, and what it delivered."""

    def __init__(self, **limits: int) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self.delivered: list[tuple[bytes, int]] = []
        self.link_drops = False
        self.told: list[tuple[bytes, str]] = []
        self.counters: Counter[str] = Counter()
        self.cache = NeighborCache(
            lambda *question: self.asked.append(question),
            self.deliver,
            self.counters,
            **limits,
        )

    def deliver(self, packet: bytes, mac: int) -> Sending:
        self.delivered.append((packet, mac))
        return "the link dropped it" if self.link_drops else None

    def send(self, now: float, address: int = PEER, packet: bytes = b"packet") -> Sending:
        """What has become of the packet; if it waits, what is told of it later is noted."""
        sending = self.cache.send(address, ASKER, packet, now)
        if isinstance(sending, Waiting):
            sending.told = lambda reason: self.told.append((packet, reason))
        return sending


def test_an_unknown_neighbor_is_asked_for_and_packets_wait() -> None:
    bench = Cache()
    assert isinstance(bench.send(0.0, packet=b"first"), Waiting)
    assert isinstance(bench.send(0.1, packet=b"second"), Waiting)
    assert bench.asked == [(PEER, ASKER, 0)]
    assert (bench.delivered, bench.told) == ([], [])
    bench.cache.learn(PEER, MAC, 0.2, solicited=True)
    assert bench.delivered == [(b"first", MAC), (b"second", MAC)]
    assert bench.told == [(b"first", ""), (b"second", "")]
    assert bench.cache.state(PEER) is State.REACHABLE
    assert bench.send(0.3, packet=b"third") is None
    assert bench.delivered[2:] == [(b"third", MAC)]
    assert bench.cache.mac(PEER) == MAC


def test_what_the_link_drops_has_not_left() -> None:
    bench = Cache()
    bench.send(0.0)
    bench.link_drops = True
    bench.cache.learn(PEER, MAC, 0.2, solicited=True)
    assert bench.told == [(b"packet", "the link dropped it")]
    assert bench.send(0.3) == "the link dropped it"


def test_who_does_not_answer_is_given_up() -> None:
    bench = Cache()
    bench.send(0.0)
    for second in (1.0, 2.0):
        assert bench.cache.next_due() == second
        bench.cache.pop_due(second)
    assert bench.asked == [(PEER, ASKER, 0)] * 3
    assert bench.told == []
    bench.cache.pop_due(3.0)
    assert bench.told == [(b"packet", "nobody answers ARP for 0.0.0.1")]
    assert bench.cache.state(PEER) is None
    assert bench.counters == {"neighbor-unreachable": 1}
    assert bench.cache.next_due() is None


def test_a_neighbor_that_is_used_is_probed_before_it_is_forgotten() -> None:
    bench = Cache()
    bench.send(0.0)
    bench.cache.learn(PEER, MAC, 0.0, solicited=True)
    bench.cache.pop_due(30.0)
    assert bench.cache.state(PEER) is State.STALE
    assert bench.cache.next_due() is None
    bench.asked.clear()
    assert bench.send(100.0) is None
    assert bench.cache.state(PEER) is State.DELAY
    bench.cache.pop_due(104.9)
    assert bench.asked == []
    for second in (105.0, 106.0, 107.0):
        bench.cache.pop_due(second)
        assert bench.cache.state(PEER) is State.PROBE
    assert bench.asked == [(PEER, ASKER, MAC)] * 3
    bench.cache.learn(PEER, MAC, 107.5, solicited=True)
    assert bench.cache.state(PEER) is State.REACHABLE
    assert bench.cache.next_due() == 137.5
    bench.cache.pop_due(137.5)
    bench.send(200.0)
    for second in (205.0, 206.0, 207.0, 208.0):
        bench.cache.pop_due(second)
    assert bench.cache.state(PEER) is None


def test_what_is_heard_without_a_question() -> None:
    bench = Cache()
    bench.cache.learn(PEER, MAC, 0.0)
    assert bench.cache.state(PEER) is None
    bench.cache.learn(PEER, MAC, 0.0, create=True)
    assert bench.cache.state(PEER) is State.STALE
    bench.cache.learn(PEER, MAC, 1.0, solicited=True)
    assert bench.cache.state(PEER) is State.REACHABLE
    bench.cache.learn(PEER, OTHER, 2.0, override=False)
    assert (bench.cache.state(PEER), bench.cache.mac(PEER)) == (State.STALE, MAC)
    bench.cache.learn(PEER, OTHER, 3.0, override=False)
    assert bench.cache.mac(PEER) == MAC
    bench.cache.learn(PEER, OTHER, 4.0)
    assert (bench.cache.state(PEER), bench.cache.mac(PEER)) == (State.STALE, OTHER)


def test_few_packets_wait_and_the_oldest_go_first() -> None:
    bench = Cache(waiting_limit=WAITING_PER_NEIGHBOR + 5)
    for number in range(WAITING_PER_NEIGHBOR + 3):
        bench.send(0.0, packet=b"%d" % number)
    for number in range(7):
        sending = bench.send(0.0, address=9, packet=b"%d" % number)
        full = "too many packets wait for an answer of 0.0.0.9"
        assert sending == full if number >= 5 else isinstance(sending, Waiting)
    assert bench.counters == {"neighbor-queue-full": 5}
    assert bench.told == [
        *(
            (b"%d" % number, "too many packets wait for an answer of 0.0.0.1")
            for number in range(3)
        ),
    ]
    bench.told.clear()
    bench.cache.learn(PEER, MAC, 0.1)
    assert len(bench.told) == WAITING_PER_NEIGHBOR
    assert bench.delivered[0] == (b"3", MAC)
    assert len(bench.delivered) == WAITING_PER_NEIGHBOR
    bench.delivered.clear()
    bench.cache.learn(9, MAC, 0.1)
    assert [packet for packet, _ in bench.delivered] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_flood_of_strangers_does_not_push_out_who_is_in_use() -> None:
    bench = Cache(capacity=10)
    bench.cache.learn(PEER, MAC, 0.0, create=True)
    for stranger in range(100, 400):
        bench.cache.learn(stranger, OTHER, 0.0, create=True)
        if stranger % 7 == 0:
            assert bench.send(0.0) is None
    assert bench.counters["neighbor-evicted"] == 291


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "learn", "answer", "wait"]),
            st.integers(0, 6),
            st.integers(1, 2),
            st.floats(0, 20),
        ),
        max_size=60,
    )
)
def test_any_history_keeps_its_bounds_and_loses_no_packet_unseen(
    steps: list[tuple[str, int, int, float]],
) -> None:
    bench = Cache(capacity=4, waiting_limit=5)
    now, given_away, refused = 0.0, 0, 0
    for step, address, mac, wait in steps:
        if step == "send":
            given_away += 1
            refused += isinstance(bench.send(now, address), str)
        elif step == "wait":
            now += wait
            bench.cache.pop_due(now)
        else:
            bench.cache.learn(address, mac, now, solicited=step == "answer", create=mac == 1)
        due = bench.cache.next_due()
        assert due is None or due > now
    for _ in range(12):
        now += 10
        bench.cache.pop_due(now)
    lost = bench.counters["neighbor-queue-full"] + bench.counters["neighbor-unreachable"]
    assert given_away == len(bench.delivered) + lost
    assert sum(bool(reason) for _, reason in bench.told) + refused == lost
