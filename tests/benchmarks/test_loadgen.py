"""The load generator must notice wrong replies: its word is what the benchmark rests on."""

from __future__ import annotations

import binascii
import json
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "loadgen.c"
DEVICES = 4

pytestmark = pytest.mark.needs("cc")


@pytest.fixture(scope="module")
def loadgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("loadgen") / "loadgen"
    flags = ["-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", program, SOURCE], check=True)
    return program


def report(device: int, seq: int, value: float) -> bytes:
    data = struct.pack(">2sBBHIHBBBf", b"SN", 1, 2, 15, device, seq, 0, 0, 0, value)
    return data + struct.pack(">H", binascii.crc_hqx(data, 0xFFFF))


def right(device: int, seq: int) -> bytes:
    return report(device, seq, device + 0.5)


Answer = Callable[[int, int], bytes]


@contextmanager
def fleet(answer: Answer, silent_first: int = 0, wrong_source: bool = False) -> Iterator[int]:
    """Four devices at 127.77.4.1 and on; the first `silent_first` requests get no reply.

    With ``wrong_source`` every reply comes from the first one's neighbor.
    """
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(DEVICES)]
    sockets[0].bind(("127.77.4.1", 0))
    port = sockets[0].getsockname()[1]
    for index, sock in enumerate(sockets[1:], start=2):
        sock.bind((f"127.77.4.{index}", port))
    ignored = [silent_first]

    def serve(sock: socket.socket) -> None:
        while True:
            data, peer = sock.recvfrom(2048)
            if data == b"end":
                return
            _, _, kind, _, device, seq = struct.unpack_from(">2sBBHIH", data)
            assert kind == 1
            if ignored[0]:
                ignored[0] -= 1
                continue
            (sockets[1] if wrong_source else sock).sendto(answer(device, seq), peer)

    threads = [threading.Thread(target=serve, args=(sock,)) for sock in sockets]
    for thread in threads:
        thread.start()
    try:
        yield port
    finally:
        for sock in sockets:
            sock.sendto(b"end", sock.getsockname())
        for thread in threads:
            thread.join()
        for sock in sockets:
            sock.close()


def run(loadgen: Path, port: int, *options: str) -> tuple[int, dict[str, Any]]:
    command = [
        str(loadgen), "--mode", "sensornet", "--first", "127.77.4.1", "--devices", str(DEVICES),
        "--port", str(port), "--outstanding", "3", "--timeout-ms", "20", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("order", ["sequential", "random"])
def test_right_replies_are_counted(loadgen: Path, order: str) -> None:
    with fleet(right) as port:
        status, result = run(loadgen, port, "--requests", "500", "--order", order)
    assert status == 0
    assert result["requests"] == result["replies"] == 500
    assert result["lost"] == sum(result["bad"].values()) == 0
    assert 0 < result["latency_us"]["p50"] <= result["latency_us"]["max"]


def test_a_lost_request_is_sent_again(loadgen: Path) -> None:
    with fleet(right, silent_first=2) as port:
        status, result = run(loadgen, port, "--requests", "20")
    assert status == 0
    assert result["replies"] == 20
    assert result["retransmits"] >= 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda device, seq: report(device, seq, device + 0.75), "value"),
        (lambda device, seq: report(device + 1, seq, device + 1.5), "device"),
        (lambda device, seq: right(device, seq)[:-1] + b"\0", "checksum"),
        (lambda device, seq: right(device, seq) + b"\0", "length"),
        (lambda device, seq: b"XX" + right(device, seq)[2:], "format"),
    ],
)
def test_wrong_replies_are_told_by_reason(loadgen: Path, answer: Answer, reason: str) -> None:
    with fleet(answer) as port:
        status, result = run(loadgen, port, "--requests", "2", "--seconds", "0.2")
    assert status == 1
    assert result["replies"] == 0
    assert result["bad"][reason] >= 2
    assert sum(result["bad"].values()) == result["bad"][reason]


def test_a_reply_with_another_number_is_no_reply(loadgen: Path) -> None:
    with fleet(lambda device, seq: right(device, seq ^ 0x4000)) as port:
        status, result = run(loadgen, port, "--requests", "2", "--seconds", "0.2")
    assert status == 1
    assert result["replies"] == 0
    assert result["late"] >= 2


def test_a_reply_from_another_address_is_bad(loadgen: Path) -> None:
    with fleet(right, wrong_source=True) as port:
        status, result = run(loadgen, port, "--requests", "1", "--seconds", "0.2")
    assert status == 1
    assert result["replies"] == 0
    assert result["bad"]["source"] >= 2
