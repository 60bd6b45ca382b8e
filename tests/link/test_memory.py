from __future__ import annotations

import trio

from iotsim.link.memory import QUEUE_FRAMES, MemoryLink


async def test_frames_arrive_in_order_at_the_other_end() -> None:
    one, other = MemoryLink.pair()
    assert one.send_nowait(b"a")
    assert one.send_nowait(b"b")
    assert other.receive_nowait(1) == [b"a"]
    assert other.receive_nowait(9) == [b"b"]
    assert other.receive_nowait(9) == []


async def test_a_waiting_end_is_woken(autojump_clock: trio.testing.MockClock) -> None:
    one, other = MemoryLink.pair()
    arrived: list[float] = []

    async def receiver() -> None:
        await other.wait_readable()
        arrived.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        start = trio.current_time()
        await trio.sleep(3600)
        one.send_nowait(b"x")
    assert arrived == [start + 3600]


async def test_a_full_queue_drops_and_counts() -> None:
    one, _other = MemoryLink.pair()
    for _ in range(QUEUE_FRAMES):
        assert one.send_nowait(b"x")
    assert not one.send_nowait(b"x")
    assert one.statistics() == {"sent": QUEUE_FRAMES, "send_dropped": 1}


async def test_an_end_alone_sends_into_the_void() -> None:
    link = MemoryLink()
    assert link.send_nowait(b"x")
    assert link.receive_nowait(1) == []


async def test_a_closed_peer_takes_nothing() -> None:
    one, other = MemoryLink.pair()
    other.close()
    assert not one.send_nowait(b"x")
