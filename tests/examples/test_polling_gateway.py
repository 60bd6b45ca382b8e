"""The example gateway, as a process of its own, against devices on plain loopback sockets."""

from __future__ import annotations

import binascii
import importlib.util
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import processes

if TYPE_CHECKING:
    from types import ModuleType

GATEWAY = Path(__file__).resolve().parents[2] / "examples" / "polling_gateway.py"
FIRST = "127.77.3.1"


def load_gateway() -> ModuleType:
    spec = importlib.util.spec_from_file_location("polling_gateway", GATEWAY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


gateway = load_gateway()


def message(kind: int, device: int, seq: int, body: bytes) -> bytes:
    data = struct.pack(">2sBBHIH", b"SN", 1, kind, 8 + len(body), device, seq) + body
    return data + struct.pack(">H", binascii.crc_hqx(data, 0xFFFF))


def report(device: int, seq: int, value: float = 21.5) -> bytes:
    return message(2, device, seq, struct.pack(">BBBf", 0, 1, 0, value))


def answer(request: bytes, value: float = 21.5) -> bytes:
    _, _, _, _, device, seq = struct.unpack_from(">2sBBHIH", request)
    return report(device, seq, value)


Respond = Callable[[int, bytes], list[bytes]]


@contextmanager
def devices(count: int, respond: Respond) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """Devices at 127.77.3.1 and on; gives their port, and a list of what they have heard."""
    heard: list[tuple[int, bytes]] = []
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    sockets[0].bind((FIRST, 0))
    port = sockets[0].getsockname()[1]
    for index, sock in enumerate(sockets[1:], start=2):
        sock.bind((f"127.77.3.{index}", port))
    ending, end = socket.socketpair()

    def serve() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(ending, selectors.EVENT_READ)
            for index, sock in enumerate(sockets):
                selector.register(sock, selectors.EVENT_READ, index)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is ending:
                        return
                    sock = sockets[key.data]
                    data, peer = sock.recvfrom(2048)
                    heard.append((key.data, data))
                    for reply in respond(key.data, data):
                        sock.sendto(reply, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield port, heard
    finally:
        end.send(b"x")
        thread.join()
        for sock in [*sockets, ending, end]:
            sock.close()


def run(port: int, *options: str, count: int = 3) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(GATEWAY), "--devices", f"{FIRST}-127.77.3.{count}",
         "--port", str(port), *options],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_polls_every_device_each_round() -> None:
    with devices(3, lambda index, data: [answer(data, 20 + index)]) as (port, heard):
        status, output = run(port, "--rounds", "2", "--interval", "0.05")
    assert status == 0
    lines = output.splitlines()
    assert lines[0] == "ready"
    assert len([line for line in lines if line.startswith("reading ")]) == 6
    assert any(line.startswith("reading 127.77.3.2 point=0 value=21.00 °C good") for line in lines)
    assert lines[-1] == (
        "3 of 3 devices answered: 6 readings, 0 retries, 0 timeouts, 0 errors, 0 late, 0 bad"
    )
    assert sorted(index for index, _ in heard) == [0, 0, 1, 1, 2, 2]


def test_asks_again_after_growing_waits_with_the_same_number() -> None:
    tries = 0

    def respond(index: int, data: bytes) -> list[bytes]:
        nonlocal tries
        tries += 1
        return [answer(data)] if tries == 3 else []

    with devices(1, respond) as (port, heard):
        status, output = run(port, "--rounds", "1", "--timeout", "0.03", count=1)
    assert status == 0
    assert len({data for _, data in heard}) == 1
    assert "retry 127.77.3.1 seq=1 attempt=2" in output
    took = float(output.split("took=")[1].split("ms")[0])
    assert took >= 90  # 30 ms, then 60 ms


def test_a_device_that_never_answers_is_named_and_gives_status_1() -> None:
    def respond(index: int, data: bytes) -> list[bytes]:
        return [] if index == 1 else [answer(data)]

    with devices(3, respond) as (port, heard):
        status, output = run(port, "--rounds", "1", "--timeout", "0.02", "--retries", "1")
    assert status == 1
    assert "timeout 127.77.3.2" in output
    assert output.splitlines()[-1] == "never answered: 127.77.3.2"
    assert sum(index == 1 for index, _ in heard) == 2


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("respond", "complaint"),
    [
        (lambda index, data: [damaged(answer(data))], "wrong CRC"),
        (lambda index, data: [answer(data)[:10]], "only 10 bytes"),
        (lambda index, data: [report(77, 1)], "it says it is device 77"),
        (lambda index, data: [message(2, 0, 1, b"abc")], "a body of 3 bytes does not fit kind 2"),
        (lambda index, data: [message(9, 0, 1, b"")], "unexpected kind 9"),
        (lambda index, data: [answer(data) + b"x"], "length 15, but 16 bytes follow"),
        (lambda index, data: [b"XX" + answer(data)[2:]], "no SensorNet message"),
    ],
)
def test_bad_replies_are_told_and_not_believed(respond: Respond, complaint: str) -> None:
    with devices(1, respond) as (port, _):
        options = ("--rounds", "1", "--timeout", "0.05", "--retries", "0")
        status, output = run(port, *options, count=1)
    assert status == 1
    assert f"bad reply from 127.77.3.1: {complaint}" in output


def test_a_reply_to_an_earlier_request_is_late() -> None:
    with devices(1, lambda index, data: [answer(data), answer(data)]) as (port, _):
        status, output = run(port, "--rounds", "2", "--interval", "0.1", count=1)
    assert status == 0
    assert "late 127.77.3.1 seq=1" in output


def test_errors_and_several_readings_are_understood() -> None:
    readings = b"\x00\x02" + struct.pack(">BBBf", 1, 0, 1, 20.25) + b"\x02\x03\x00\x02ok"

    def respond(index: int, data: bytes) -> list[bytes]:
        seq = struct.unpack_from(">H", data, 10)[0]
        return [message(6, 0, seq, b"\x05") if index == 0 else message(3, 1, seq, readings)]

    with devices(2, respond) as (port, _):
        status, output = run(port, "--rounds", "1", count=2)
    assert status == 0
    assert "refused 127.77.3.1 error=unknown point" in output
    assert "reading 127.77.3.2 points 1=20.25 °C, 2=ok good" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_when_told_to(number: signal.Signals) -> None:
    with devices(1, lambda index, data: [answer(data)]) as (port, _):
        words = [sys.executable, str(GATEWAY), "--devices", FIRST, "--port", str(port)]
        with processes.started(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            assert process.stdout.readline().startswith("reading")
            process.send_signal(number)
            assert process.wait(10) == 0
            assert "1 of 1 devices answered" in process.stdout.read()


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("10.0.0.1", ["10.0.0.1"]),
        ("10.0.0.254-10.0.1.1", ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]),
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
        ("10.0.0.3, 10.0.0.1,10.0.0.3", ["10.0.0.3", "10.0.0.1"]),
        ("fd77::1:1-fd77::1:2", ["fd77::1:1", "fd77::1:2"]),
    ],
)
def test_device_lists(text: str, addresses: list[str]) -> None:
    assert gateway.parse_devices(text) == addresses


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.2-10.0.0.1", "10.0.0.1,fd77::1", "10.0.0.1-fd77::1"]
)
def test_wrong_device_lists_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        gateway.parse_devices(text)


def test_its_bytes_are_those_of_the_protocol_file() -> None:
    """The gateway speaks by hand-written struct code: the schema must read and write the same."""
    path = GATEWAY.parents[1] / "protocols" / "sensornet.py"
    spec = importlib.util.spec_from_file_location("sensornet_schema", path)
    assert spec is not None
    assert spec.loader is not None
    schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(schema)
    read = schema.MESSAGE.parse(gateway.encode_read(7, 300, point=2))
    assert (read.kind, read.device, read.seq, read.point) == ("READ", 7, 300, 2)
    fields = {"kind": "REPORT", "device": 7, "seq": 300, "unit": "CELSIUS", "value": 20.25}
    reply = gateway.decode_reply(schema.MESSAGE.build(fields))
    assert reply == gateway.Reply(7, 300, "point=0 value=20.25 °C good", is_reading=True)
