from __future__ import annotations

import socket
import struct

import pytest
import trio

from iotsim.errors import MachineError
from iotsim.link.loopback import LoopbackLink


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def one_frame(link: LoopbackLink) -> bytes:
    with trio.fail_after(5):
        while not (frames := link.receive_nowait(10)):
            await link.wait_readable()
    assert len(frames) == 1
    return frames[0]


async def test_the_address_asked_is_in_the_frame_and_answers() -> None:
    port = free_port()
    link = LoopbackLink([port])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway:
        gateway.bind(("127.0.0.1", 0))
        gateway.settimeout(5)
        gateway.sendto(b"ping", ("127.77.3.9", port))
        frame = await one_frame(link)
        assert socket.inet_ntoa(frame[22:26]) == "127.0.0.1"
        assert socket.inet_ntoa(frame[26:30]) == "127.77.3.9"
        assert frame[38:] == b"ping"
        # The same headers with the two ends exchanged are the answer.
        swapped = frame[:22] + frame[26:30] + frame[22:26] + frame[32:34] + frame[30:32]
        assert link.send_nowait(swapped + frame[34:38] + b"pong")
        assert gateway.recvfrom(100) == (b"pong", ("127.77.3.9", port))
    assert link.statistics() == {"sent": 1, "send_dropped": 0, "send_unsupported": 0}
    link.close()


async def test_several_ports_wake_the_reader() -> None:
    first, second = free_port(), free_port()
    link = LoopbackLink([first, second])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway:
        gateway.sendto(b"x", ("127.0.0.2", second))
        frame = await one_frame(link)
    assert int.from_bytes(frame[32:34], "big") == second
    link.close()


def test_a_broadcast_cannot_leave_and_is_counted() -> None:
    port = free_port()
    link = LoopbackLink([port])
    header = struct.pack("!4s4sHHHH", b"\x7f\x4d\0\1", b"\xff" * 4, port, 5600, 13, 0)
    frame = bytes(10) + b"\x45" + bytes(8) + b"\x11" + bytes(2) + header + b"hello"
    assert not link.send_nowait(frame)
    assert link.statistics() == {"sent": 0, "send_dropped": 0, "send_unsupported": 1}
    link.close()


def test_icmp_cannot_leave_and_is_counted() -> None:
    link = LoopbackLink([free_port()])
    frame = bytes(10) + bytes([0x45]) + bytes(8) + b"\x01" + bytes(20)
    assert not link.send_nowait(frame)
    assert link.statistics()["send_unsupported"] == 1
    link.close()


def test_a_port_in_use_is_the_machines_error() -> None:
    port = free_port()
    link = LoopbackLink([port])
    with pytest.raises(MachineError, match=f"port {port} .* in use"):
        LoopbackLink([port])
    link.close()


def test_a_low_port_is_refused() -> None:
    with pytest.raises(MachineError, match="no ports below 1024"):
        LoopbackLink([683])
