from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.net.fragmentation import (
    OVERHEAD,
    FragmentKey,
    Reassembler,
    Whole,
    fragment_ipv4,
    fragment_ipv6,
)
from iotsim.wire import ipv4, ipv6
from iotsim.wire.errors import PacketError

KEY = FragmentKey(1, 2, 17, 99)


class Reassembly:
    """A reassembler to which fragments are written as (offset, payload, more)."""

    def __init__(self, **limits: int) -> None:
        self.counters: Counter[str] = Counter()
        self.reassembler = Reassembler(self.counters, 30.0, **limits)

    def add(
        self,
        offset: int,
        payload: bytes,
        more: bool = True,
        key: FragmentKey = KEY,
        now: float = 0.0,
    ) -> Whole | None:
        packet = b"packet at %d" % offset
        return self.reassembler.add(key, offset, payload, packet, now, more=more)


@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_order_gives_the_datagram(
    payload: bytes, words: int, random: st.DataObject, repeat: bool
) -> None:
    step = words * 8
    parts = [
        (offset, payload[offset : offset + step], offset + step < len(payload))
        for offset in range(0, len(payload), step)
    ]
    random.shuffle(parts)  # type: ignore[attr-defined]
    reassembly = Reassembly()
    for part in parts[:-1]:
        assert reassembly.add(*part) is None
        if repeat:
            with pytest.raises(PacketError, match="fragment-duplicate"):
                reassembly.add(*part)
    whole = reassembly.add(*parts[-1])
    assert whole == Whole(b"packet at 0", payload)
    assert reassembly.reassembler.held_bytes == 0
    assert reassembly.reassembler.next_due() is None


@pytest.mark.parametrize(
    "second",
    [
        (8, b"x" * 16, True),
        (0, b"x" * 16, True),
        (16, b"y" * 8, True),
        (0, b"x" * 24, True),
        (8, b"x" * 8, False),
        (0, b"x" * 8, False),
    ],
    ids=["runs into", "same start", "other bytes", "covers", "ends inside", "ends before"],
)
def test_an_overlap_condemns_the_datagram(second: tuple[int, bytes, bool]) -> None:
    reassembly = Reassembly()
    assert reassembly.add(16, b"x" * 8) is None
    assert reassembly.add(32, b"x" * 8) is None
    if second[1:] == (b"x" * 16, True) and second[0] == 0:
        assert reassembly.add(8, b"x" * 8) is None
    with pytest.raises(PacketError, match="fragment-overlap"):
        reassembly.add(*second)
    # What comes later is refused too, and no error is sent in the end.
    with pytest.raises(PacketError, match="fragment-overlap"):
        reassembly.add(24, b"x" * 8)
    assert reassembly.reassembler.held_bytes == OVERHEAD
    assert reassembly.reassembler.pop_due(30.0) == []
    assert reassembly.reassembler.held_bytes == 0


def test_two_ends_contradict_each_other() -> None:
    reassembly = Reassembly()
    assert reassembly.add(16, b"x" * 8, more=False) is None
    with pytest.raises(PacketError, match="fragment-overlap"):
        reassembly.add(24, b"x" * 8, more=True)


def test_time_runs_out_and_the_first_fragment_is_what_is_reported() -> None:
    reassembly = Reassembly()
    other = KEY._replace(identification=100)
    reassembly.add(0, b"x" * 8, now=1.0)
    reassembly.add(8, b"x" * 8, key=other, now=2.0)
    assert reassembly.reassembler.next_due() == 31.0
    assert reassembly.reassembler.pop_due(30.9) == []
    assert reassembly.reassembler.pop_due(31.0) == [b"packet at 0"]
    assert reassembly.reassembler.next_due() == 32.0
    assert reassembly.reassembler.pop_due(99.0) == []
    assert reassembly.counters == {"reassembly-timeouts": 2}
    assert reassembly.reassembler.held_bytes == 0


def test_a_source_has_its_share_and_others_have_theirs() -> None:
    reassembly = Reassembly(source_limit=20 * OVERHEAD, total_limit=1000 * OVERHEAD)
    refused = 0
    for number in range(100):
        try:
            reassembly.add(8, b"x" * 8, key=KEY._replace(identification=number))
        except PacketError as error:
            refused += error.reason == "fragment-source-limit"
    assert refused == 91
    assert reassembly.reassembler.held_bytes <= 20 * OVERHEAD
    assert reassembly.add(8, b"x" * 8, key=KEY._replace(source=7)) is None


def test_the_oldest_goes_when_all_room_is_used_up() -> None:
    reassembly = Reassembly(source_limit=100 * OVERHEAD, total_limit=10 * OVERHEAD)
    for source in range(100):
        reassembly.add(8, b"x" * 8, key=KEY._replace(source=source))
        assert reassembly.reassembler.held_bytes <= 10 * OVERHEAD
    assert reassembly.counters == {"reassembly-evicted": 96}
    newest = KEY._replace(source=99)
    assert reassembly.add(0, b"x" * 8, key=newest) is None
    assert reassembly.add(16, b"x", more=False, key=newest) is not None


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 6), st.integers(1, 3), st.booleans(), st.floats(0, 9)
        ),
        max_size=40,
    )
)
def test_any_fragments_leave_the_accounts_in_order(
    fragments: list[tuple[int, int, int, bool, float]],
) -> None:
    reassembly = Reassembly(source_limit=4000, total_limit=6000)
    now = 0.0
    for identification, offset, words, more, wait in fragments:
        now += wait
        key = KEY._replace(identification=identification, source=identification)
        reassembly.reassembler.pop_due(now)
        try:
            whole = reassembly.add(offset * 8, bytes(words * 8), more, key, now)
        except PacketError:
            continue
        assert whole is None or len(whole.payload) <= 72
        assert reassembly.reassembler.held_bytes <= 6000
    reassembly.reassembler.pop_due(now + 30.0)
    assert reassembly.reassembler.held_bytes == 0


@given(st.integers(1, 4000), st.integers(68, 1500))
def test_ipv4_fragments_fit_and_join(size: int, mtu: int) -> None:
    payload = bytes(number & 0xFF for number in range(size))
    packets = fragment_ipv4(1 << 24, 2 << 24, 17, payload, mtu, 77, ttl=9)
    reassembly = Reassembly()
    for packet in packets:
        assert len(packet) <= mtu
        header = ipv4.parse_ipv4(packet)
        assert (header.identification, header.ttl, header.dont_fragment) == (77, 9, False)
        whole = reassembly.add(header.fragment_offset, packet[20:], header.more_fragments)
    assert whole is not None
    assert whole.payload == payload


@given(st.integers(1, 9000), st.integers(1280, 1500))
def test_ipv6_fragments_fit_and_join(size: int, mtu: int) -> None:
    payload = bytes(number & 0xFF for number in range(size))
    packets = fragment_ipv6(1 << 64, 2 << 64, 17, payload, mtu, 0x12345678)
    reassembly = Reassembly()
    for packet in packets:
        assert len(packet) <= mtu
        assert ipv6.parse_ipv6(packet).next_header == ipv6.FRAGMENT
        header = ipv6.parse_fragment(packet, 40)
        assert (header.next_header, header.identification) == (17, 0x12345678)
        whole = reassembly.add(header.offset, packet[48:], header.more)
    assert whole is not None
    assert whole.payload == payload
