"""TunLink over socket pairs, which keep packet boundaries as the queues of an interface do."""

from __future__ import annotations

import os
import socket

import pytest
import trio
import trio.testing

from iotsim.errors import MachineError
from iotsim.link.tun import TunLink
from iotsim.wire.virtio import NEEDS_CSUM, PLAIN, needs_checksum


class Bench:
    """A link of `queues` queues, and the kernel's ends of them."""

    def __init__(self, queues: int = 1, *, offload: bool = True) -> None:
        self.kernel: list[socket.socket] = []
        fds = []
        for _ in range(queues):
            theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            fds.append(ours.detach())
            self.kernel.append(theirs)
        self.link = TunLink(fds, name="test0", mtu=1500, offload=offload)

    def close(self) -> None:
        self.link.close()
        for sock in self.kernel:
            sock.close()


def test_a_drain_stops_at_its_limit_and_tells_an_empty_queue() -> None:
    bench = Bench()
    for number in range(5):
        bench.kernel[0].send(b"%d" % number)
    assert bench.link.receive_nowait(3) == [b"0", b"1", b"2"]
    assert bench.link.receive_nowait(3) == [b"3", b"4"]
    assert bench.link.receive_nowait(3) == []
    assert bench.link.statistics() == {"received": 5, "sent": 0, "send_dropped": 0}
    bench.close()


def test_several_queues_are_all_drained_and_none_starves() -> None:
    bench = Bench(2)
    for _ in range(4):
        bench.kernel[0].send(b"first")
    bench.kernel[1].send(b"second")
    # The first call fills its limit from the busy queue, the next starts with the other.
    assert bench.link.receive_nowait(2) == [b"first"] * 2
    assert bench.link.receive_nowait(2) == [b"second", b"first"]
    assert bench.link.receive_nowait(8) == [b"first"]
    bench.close()


@pytest.mark.parametrize("queues", [1, 3])
async def test_waiting_ends_when_any_queue_has_something(queues: int) -> None:
    bench = Bench(queues)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        bench.kernel[-1].send(b"frame")
    assert bench.link.receive_nowait(9) == [b"frame"]
    bench.close()


async def test_closing_wakes_who_waits() -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await bench.link.wait_readable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        bench.link.close()
    bench.close()


def test_frames_leave_as_they_are_when_the_kernel_does_checksums() -> None:
    bench = Bench()
    frame = needs_checksum(0, 2) + bytes(6)
    assert bench.link.send_nowait(frame)
    assert bench.kernel[0].recv(99) == frame
    assert bench.link.statistics()["sent"] == 1
    bench.close()


def test_without_offload_checksums_are_completed_in_software() -> None:
    bench = Bench(offload=False)
    assert bench.link.send_nowait(needs_checksum(0, 2) + bytes.fromhex("1234 0000 5678"))
    sent = bench.kernel[0].recv(99)
    assert not sent[0] & NEEDS_CSUM
    assert sent == PLAIN + bytes.fromhex("1234 9753 5678")  # ~(1234 + 5678)
    assert bench.link.send_nowait(PLAIN + b"done")
    assert bench.kernel[0].recv(99) == PLAIN + b"done"
    bench.close()


def test_what_the_kernel_refuses_is_counted_by_its_error() -> None:
    bench = Bench()
    while bench.link.send_nowait(PLAIN + bytes(1000)):
        pass
    assert not bench.link.send_nowait(PLAIN + bytes(1000))
    bench.kernel[0].close()
    assert not bench.link.send_nowait(PLAIN)
    counted = bench.link.statistics()
    assert counted["send_dropped"] == 3
    assert counted["send_dropped_eagain"] == 2
    assert counted["send_dropped_econnreset"] == 1
    bench.close()


def test_of_frames_that_are_sent_together_those_that_are_refused_are_told() -> None:
    bench = Bench(offload=False)
    frames = [PLAIN + b"one", needs_checksum(0, 2) + bytes.fromhex("1234 0000 5678"), PLAIN]
    assert bench.link.send_all(frames) == 0
    sent = [bench.kernel[0].recv(99) for _ in frames]
    assert sent == [frames[0], PLAIN + bytes.fromhex("1234 9753 5678"), PLAIN]
    bench.kernel[0].close()
    assert bench.link.send_all(frames) == 3
    counted = bench.link.statistics()
    assert (counted["sent"], counted["send_dropped"]) == (3, 3)
    bench.link.close()
    bench.close()


def test_an_interface_that_disappears_is_named() -> None:
    bench = Bench()
    os.close(bench.link.fds[0])
    with pytest.raises(MachineError, match="test0 has disappeared"):
        bench.link.receive_nowait(1)
    bench.kernel[0].close()


def test_closing_twice_and_outside_of_trio_does_no_harm() -> None:
    bench = Bench(2)
    bench.link.close()
    bench.close()


def test_a_link_needs_a_queue() -> None:
    with pytest.raises(ValueError, match="at least one queue"):
        TunLink([], name="test0")
