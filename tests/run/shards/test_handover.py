"""Frames come to the process that owns their device, each once, and none unseen."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.run.shards.handover import (
    COPIES,
    EVERYBODY,
    FROM_DEVICES,
    MESSAGE_BYTES,
    Owners,
    ShardLink,
    decode_frames,
    encode_frames,
)
from iotsim.run.shards.process import make_peers
from iotsim.simulation.shard import Shard
from iotsim.wire import icmpv6, ipv4, ipv6, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

GATEWAY, GATEWAY6 = parse_address("10.77.0.1"), parse_address("fd77::1")
METER, METER6 = parse_address("10.77.1.1"), parse_address("fd77::1:1")
BROADCAST = parse_address("10.77.255.255")
BLOCKS = [(METER, 10), (METER6, 10), (parse_address("10.77.2.1"), 3)]


def packet_to(destination: str, protocol: int = udp.PROTOCOL, payload: bytes = b"hello") -> bytes:
    address = parse_address(destination)
    if ":" in destination:
        packet = ipv6.build_ipv6(GATEWAY6, address, protocol, payload)
    else:
        packet = ipv4.build_ipv4(GATEWAY, address, protocol, payload)
    return virtio.PLAIN + packet


@pytest.mark.parametrize(
    ("destination", "owner"),
    [
        ("10.77.1.1", 0),
        ("10.77.1.2", 1),
        ("10.77.1.10", 0),
        ("10.77.1.11", 2),
        ("10.77.2.1", 0),
        ("10.77.2.3", 2),
        ("10.77.0.255", 2),
        ("fd77::1:2", 1),
        ("fd77::1:b", 2),
        ("10.77.255.255", EVERYBODY),
        ("255.255.255.255", EVERYBODY),
        ("224.0.1.187", EVERYBODY),
        ("ff02::fd", EVERYBODY),
    ],
)
def test_owners_of_datagrams(destination: str, owner: int) -> None:
    owners = Owners(BLOCKS, [BROADCAST], shards=3, own=2)
    assert owners.owner(packet_to(destination)) == owner


def test_an_address_that_a_device_may_have_besides_is_its_owners() -> None:
    owners = Owners(BLOCKS, [BROADCAST], 3, 2, {parse_address("10.77.9.9"): 4})
    assert owners.owner(packet_to("10.77.9.9")) == 1
    assert owners.owner(packet_to("10.77.9.10")) == 2


@pytest.mark.parametrize(
    ("destination", "protocol", "owner"),
    [
        ("10.77.1.2", ipv4.ICMP, 1),
        ("fd77::1:2", icmpv6.PROTOCOL, 1),
        ("10.77.255.255", ipv4.ICMP, 2),
        ("224.0.0.1", ipv4.IGMP, 2),
        ("ff02::1", icmpv6.PROTOCOL, 2),
        ("ff02::1", ipv6.FRAGMENT, EVERYBODY),
    ],
)
def test_whoever_reads_a_question_to_all_hosts_answers_for_them(
    destination: str, protocol: int, owner: int
) -> None:
    owners = Owners(BLOCKS, [BROADCAST], shards=3, own=2)
    assert owners.owner(packet_to(destination, protocol)) == owner


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x45", b"\x60"]))
def test_any_bytes_have_an_owner(data: bytes, version: bytes) -> None:
    owners = Owners(BLOCKS, [BROADCAST], shards=3, own=1)
    assert owners.owner(bytes(10)[: len(data)] + version + data) in (EVERYBODY, 0, 1, 2)


@given(
    st.lists(st.binary(max_size=300), max_size=20),
    st.sampled_from([0, COPIES, FROM_DEVICES, FROM_DEVICES | COPIES]),
)
def test_messages_hold_what_was_put_in(frames: list[bytes], flags: int) -> None:
    message = memoryview(bytearray(encode_frames(frames, flags)))
    assert decode_frames(message) == (flags, frames)


class Queue:
    """What `ShardLink` needs of a TUN's queue; `frames` wait in it."""

    kind, name, mtu = "tun", "test0", 1500

    def __init__(self) -> None:
        self.fds = (os.eventfd(0),)
        self.frames: list[bytes] = []
        self.received = 0

    def receive_nowait(self, limit: int) -> list[bytes]:
        taken, self.frames = self.frames[:limit], self.frames[limit:]
        self.received += len(taken)
        return taken

    def send_nowait(self, frame: bytes) -> bool:
        raise NotImplementedError

    def send_all(self, frames: Sequence[bytes]) -> int:
        raise NotImplementedError

    def statistics(self) -> dict[str, int]:
        return {"received": self.received, "sent": 0, "send_dropped": 0}

    def close(self) -> None:
        os.close(self.fds[0])


class Member:
    """One of the processes that share a link."""

    def __init__(self, number: int, shards: int, peers: dict[int, socket.socket]) -> None:
        self.queue = Queue()
        self.peers = peers
        self.copies: list[bytes] = []
        self.between: list[tuple[bytes, bool]] = []
        owners = Owners(BLOCKS, [BROADCAST], shards, number)
        queue: Any = self.queue
        self.link = ShardLink(queue, owners, Shard(number, shards), peers)
        self.link.on_copy = self.copies.append
        self.link.on_between = lambda *taken: self.between.append(taken)

    def close(self) -> None:
        self.queue.close()
        self.link._epoll.close()
        for peer in self.peers.values():
            peer.close()

    @property
    def counters(self) -> dict[str, int]:
        return {name: count for name, count in self.link.statistics().items() if count}


@pytest.fixture
def members() -> Iterator[list[Member]]:
    """Three, each with a socket to each other."""
    ends: dict[int, dict[int, socket.socket]] = {0: {}, 1: {}, 2: {}}
    for one, other in ((0, 1), (0, 2), (1, 2)):
        ends[one][other], ends[other][one] = make_peers()
    made = [Member(number, 3, ends[number]) for number in range(3)]
    yield made
    for member in made:
        member.close()


def test_frames_of_others_are_handed_over(members: list[Member]) -> None:
    frames = [packet_to(f"10.77.1.{n}", payload=b"x" * n) for n in range(1, 11)]
    members[0].queue.frames = list(frames)
    assert members[0].link.receive_nowait(64) == frames[0::3]
    assert members[1].link.receive_nowait(64) == frames[1::3]
    assert members[2].link.receive_nowait(64) == frames[2::3]
    assert members[1].link.receive_nowait(64) == []
    assert members[0].counters == {"received": 10, "handed_over": 6}
    assert not any(member.copies for member in members)


def test_a_datagram_to_a_group_is_received_once_and_copied_to_the_others(
    members: list[Member],
) -> None:
    group, own = packet_to("224.0.1.187"), packet_to("10.77.1.2")
    members[1].queue.frames = [group, own]
    assert members[1].link.receive_nowait(64) == [group, own]
    assert members[0].link.receive_nowait(64) == members[2].link.receive_nowait(64) == []
    assert [member.copies for member in members] == [[group], [], [group]]
    assert members[1].counters == {"received": 2, "copied": 2}


def test_what_a_device_sends_another_is_handed_over_at_once(members: list[Member]) -> None:
    theirs, own, group = packet_to("10.77.1.2"), packet_to("10.77.1.1"), packet_to("224.0.1.187")
    assert members[0].link.hand_over(theirs)
    assert not members[0].link.hand_over(own)
    assert not members[0].link.hand_over(group)
    assert all(member.link.receive_nowait(64) == [] for member in members)
    assert members[1].between == [(theirs, False), (group, True)]
    assert (members[0].between, members[2].between) == ([], [(group, True)])
    assert members[0].counters == {"handed_over": 1, "copied": 2}
    assert not any(member.copies for member in members)


def test_after_the_end_nothing_is_handed_over_any_more(members: list[Member]) -> None:
    members[0].link.seal()
    for destination in ("10.77.1.2", "224.0.1.187"):
        assert not members[0].link.hand_over(packet_to(destination))
    assert members[1].link.receive_nowait(64) == []
    assert (members[1].between, members[0].counters) == ([], {})


def test_a_short_list_means_that_every_source_was_seen_empty(members: list[Member]) -> None:
    foreign, own = packet_to("10.77.1.2"), packet_to("10.77.1.1")
    members[0].queue.frames = [*[foreign] * 200, own]
    assert members[0].link.receive_nowait(64) == [own]
    assert not members[0].queue.frames
    # What was handed over counts, though it came in several messages.
    members[1].queue.frames = [packet_to("10.77.1.5")] * 3
    received = []
    while len(taken := members[1].link.receive_nowait(64)) >= 64:
        received += taken
    assert len(received + taken) == 203


def test_what_is_handed_over_does_not_keep_the_own_queue_from_being_read(
    members: list[Member],
) -> None:
    own = packet_to("10.77.1.2")
    for _ in range(5):
        members[0].queue.frames = [packet_to("10.77.1.5")] * 64
        members[0].link.receive_nowait(64)
    members[1].queue.frames = [own] * 64
    taken = members[1].link.receive_nowait(64)
    assert taken.count(own) == 64
    assert 64 < len(taken) <= 128


def test_large_frames_need_several_messages(members: list[Member]) -> None:
    frames = [packet_to("10.77.1.2", payload=bytes([n]) * 60_000) for n in range(5)]
    assert sum(map(len, frames)) > 2 * MESSAGE_BYTES
    members[0].queue.frames = list(frames)
    members[0].link.receive_nowait(64)
    assert members[1].link.receive_nowait(64) == frames


def test_what_finds_no_room_is_dropped_and_counted(members: list[Member]) -> None:
    frames = [packet_to("10.77.1.2", payload=bytes(1000))] * 8000
    members[0].queue.frames = list(frames)
    members[0].link.receive_nowait(64)
    counters = members[0].counters
    assert counters["hand_over_dropped"] == counters["send_dropped"] > 0
    received = 0
    while taken := members[1].link.receive_nowait(64):
        received += len(taken)
    assert received == counters["handed_over"] == 8000 - counters["hand_over_dropped"]


def test_a_sealed_link_takes_only_what_is_handed_over(members: list[Member]) -> None:
    handed, own = packet_to("10.77.1.2"), packet_to("10.77.1.5")
    members[0].queue.frames = [handed]
    members[1].queue.frames = [own]
    members[1].link.seal()
    members[0].link.receive_nowait(64)
    assert members[1].link.receive_nowait(64) == [handed]
    assert members[1].queue.frames == [own]


def test_a_peer_that_has_died_is_no_reason_to_wake_up(members: list[Member]) -> None:
    for peer in members[1].peers.values():
        peer.close()
    members[0].queue.frames = [packet_to("10.77.1.2"), packet_to("10.77.1.1")]
    assert members[0].link.receive_nowait(64) == [packet_to("10.77.1.1")]
    assert members[0].counters["hand_over_dropped"] == 1
    assert select.select([members[0].link._epoll.fileno()], [], [], 0) == ([], [], [])
    # The others go on.
    members[2].queue.frames = [packet_to("10.77.1.4")]
    members[2].link.receive_nowait(64)
    assert select.select([members[0].link._epoll.fileno()], [], [], 0)[0]
    assert members[0].link.receive_nowait(64) == [packet_to("10.77.1.4")]


@pytest.mark.parametrize("source", ["its queue", "another worker"])
async def test_waiting_ends_with_a_frame_from_either_source(
    members: list[Member], source: str
) -> None:
    member, other = members[2], members[1]
    ended = trio.Event()

    async def wait() -> None:
        await member.link.wait_readable()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not ended.is_set()
        if source == "its queue":
            os.eventfd_write(member.queue.fds[0], 1)
        else:
            other.queue.frames = [packet_to("10.77.1.3")]
            other.link.receive_nowait(64)
        with trio.fail_after(5):
            await ended.wait()


steps = st.tuples(st.integers(0, 1), st.lists(st.integers(1, 10), max_size=40))


@settings(max_examples=30)
@given(st.lists(steps, max_size=8))
def test_no_frame_is_lost_or_doubled(traffic: list[tuple[int, list[int]]]) -> None:
    pair = make_peers()
    both = [Member(number, 2, {1 - number: pair[number]}) for number in range(2)]
    sent = []
    received: list[list[bytes]] = [[], []]
    for number, hosts in traffic:
        for host in hosts:
            frame = packet_to(f"10.77.1.{host}", payload=str(len(sent)).encode())
            sent.append((host, frame))
            both[number].queue.frames.append(frame)
        received[number] += both[number].link.receive_nowait(16)
    for number in (0, 1, 0):
        while taken := both[number].link.receive_nowait(16):
            received[number] += taken
    for member in both:
        member.close()
    for number in range(2):
        assert sorted(received[number]) == sorted(f for h, f in sent if (h - 1) % 2 == number)
