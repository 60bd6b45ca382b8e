#!/usr/bin/env python3
"""A small gateway that does everything right: it polls SensorNet devices and reports upwards by HTTP.

An ordinary program on the kernel's sockets that knows nothing of a simulator. `bugs.py` has gateways
that differ from this one in one thing each.

South: each device is read once per ``--interval``, and asked again while it does not answer, waiting twice
as long each time. The numbers of requests are below 0x8000; what a device sends by itself has a number from
there on, is confirmed by ACK once it is stored, and repeated by the device until then. A device that has
booted says so by an ACK with number 0. Whoever proves by a CRC to be a device is found where it speaks from.

North: a reading is a POST of JSON to ``--cloud``, and stays in a file until the cloud has answered, so that
neither a cloud that is down nor an end of the gateway loses it. All attempts for a reading carry the same
Idempotency-Key.

It ends with status 0 on SIGTERM, after ``--rounds`` once all is reported, and after ``--seconds``.
"""

from __future__ import annotations

import argparse
import binascii
import ipaddress
import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from outbox import OWN_NUMBERS, Outbox, say

if TYPE_CHECKING:
    from collections.abc import Callable

READ, REPORT, READINGS, COMMAND, ACK, ERROR = 1, 2, 3, 4, 5, 6
SET_INTERVAL = 3
UNKNOWN_POINT, BUSY = 5, 7
UNITS = ["", "C", "%", "Pa", "V", "A", "W", "Wh", "lx"]
HEADER = struct.Struct(">2sBBHIH")  # magic, version, kind, length, device, number
LENGTH_COUNTS_FROM = 6
CRC = struct.Struct(">H")


class Reading(NamedTuple):
    point: int
    unit: int
    value: float | int | bool | str


class Message(NamedTuple):
    kind: int
    device: int
    number: int
    readings: list[Reading]
    code: int


@dataclass
class Request:
    """What a device has been asked and has not answered."""

    kind: int
    number: int
    body: bytes
    attempt: int = 0
    deadline: float = 0.0


@dataclass
class Device:
    number: int
    place: tuple[str, int]
    due: float = 0.0  # when it is read next
    reads: int = 0
    last: int = 0  # the last number of a request
    request: Request | None = None
    heard: deque[int] = field(default_factory=lambda: deque(maxlen=16))  # its own last numbers


# ---------------------------------------------------------------- south


class Gateway:
    """Reads devices and hands what they say to an `Outbox`; one thread, nothing blocks."""

    RETRIES = 3
    BUSY_WAIT = 0.5
    FLOAT, INT = struct.Struct(">f"), struct.Struct(">i")

    def __init__(self, options: argparse.Namespace, outbox: Outbox) -> None:
        self.options = options
        self.outbox = outbox
        self.list = Path(options.state) / "devices.json"
        self.devices: dict[int, Device] = {}
        for number, address in enumerate(options.devices):
            self.devices[number] = Device(number, (address, options.port))
        for number, place in self.load():
            self.devices[number] = Device(number, place)
        for device in self.devices.values():
            device.heard.extend(outbox.heard.get(device.number, []))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("", options.listen))
        self.socket.setblocking(False)
        self.wake, self.waker = socket.socketpair()
        self.stopping = False

    # What it knows survives its own end.

    def load(self) -> list[tuple[int, tuple[str, int]]]:
        if not self.list.exists():
            return []
        return [(number, (host, port)) for number, host, port in json.loads(self.list.read_text())]

    def save(self) -> None:
        new = self.list.with_suffix(".new")
        new.write_text(json.dumps([[n, *device.place] for n, device in self.devices.items()]))
        new.replace(self.list)

    # The loop.

    def run(self) -> None:
        begin(self.stop, self.options.seconds)
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self.wake, selectors.EVENT_READ)
            while not self.stopping and not self.is_done():
                selector.select(self.pause(time.monotonic()))
                self.hear()
                now = time.monotonic()
                for device in list(self.devices.values()):
                    self.attend(device, now)

    def stop(self, _signal: int, _frame: object) -> None:
        self.stopping = True
        self.waker.send(b"x")

    def is_done(self) -> bool:
        rounds = self.options.rounds
        return bool(rounds) and not self.outbox.waiting and all(
            device.reads >= rounds and device.request is None for device in self.devices.values()
        )  # fmt: skip

    def pause(self, now: float) -> float | None:
        """Until when there is nothing to do; None if only others can change that."""
        times = [
            device.request.deadline if device.request is not None else device.due
            for device in self.devices.values()
            if device.request is not None or self.is_to_be_read(device)
        ]
        if self.options.rounds and self.outbox.waiting:
            times.append(now + 0.05)  # the end is near, and the outbox wakes nobody
        return max(0.0, min(times) - now) if times else None

    def is_to_be_read(self, device: Device) -> bool:
        rounds = self.options.rounds
        return bool(self.options.interval) and (not rounds or device.reads < rounds)

    def attend(self, device: Device, now: float) -> None:
        if device.request is not None:
            if now >= device.request.deadline:
                self.ask_again(device, device.request, now)
        elif self.is_to_be_read(device) and now >= device.due:
            device.reads += 1
            device.due = now + self.options.interval
            self.ask(device, READ, bytes([self.options.point]), now)

    # Requests.

    def ask(self, device: Device, kind: int, body: bytes, now: float) -> None:
        device.last = device.last % (OWN_NUMBERS - 1) + 1
        device.request = Request(kind, device.last, body)
        self.send_request(device, device.request, now)

    def send_request(self, device: Device, request: Request, now: float) -> None:
        request.deadline = now + self.patience(request.attempt)
        self.send(device, request.kind, request.number, request.body)

    def patience(self, attempt: int) -> float:
        return float(self.options.timeout * 2**attempt)

    def ask_again(self, device: Device, request: Request, now: float) -> None:
        if request.attempt < self.RETRIES:
            request.attempt += 1
            self.send_request(device, request, now)
        else:
            device.request = None
            say(f"device {device.number} does not answer")

    def send(self, device: Device, kind: int, number: int, body: bytes) -> None:
        size = HEADER.size + len(body) + CRC.size - LENGTH_COUNTS_FROM
        data = HEADER.pack(b"SN", 1, kind, size, device.number, number) + body
        try:
            self.socket.sendto(data + CRC.pack(binascii.crc_hqx(data, 0xFFFF)), device.place)
        except OSError as error:  # no route, a full buffer: it is asked again
            say(f"not sent to {device.place[0]}: {error.strerror}")

    # Answers, and what devices say by themselves.

    def hear(self) -> None:
        while True:
            try:
                data, place = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error that the kernel passes on
                say(f"network: {error.strerror}")
                continue
            try:
                message = self.decode(data)
            except ValueError as error:
                say(f"ignored, from {place[0]}: {error}")
            else:
                self.take(message, place, time.monotonic())

    def take(self, message: Message, place: tuple[str, int], now: float) -> None:
        device = self.devices.get(message.device)
        if device is None:
            device = self.devices[message.device] = Device(message.device, place)
            self.save()
        elif device.place != place:
            self.moved(device, place)
        request = self.request_of(device, message)
        if message.kind == ACK and message.number == 0:
            self.booted(device)
        elif message.number >= OWN_NUMBERS:
            self.take_own(device, message)
        elif request is not None:
            device.request = None
            self.take_answer(device, message, request, now)
        else:
            say(f"device {device.number} answers {message.number} too late")

    def request_of(self, device: Device, message: Message) -> Request | None:
        """The request that this answers."""
        request = device.request
        return request if request is not None and request.number == message.number else None

    def moved(self, device: Device, place: tuple[str, int]) -> None:
        device.place = place
        self.save()

    def booted(self, device: Device) -> None:
        device.heard.clear()
        self.outbox.write({"booted": device.number})

    def take_own(self, device: Device, message: Message) -> None:
        if message.number not in device.heard:
            device.heard.append(message.number)
            self.report(device, message)
        self.send(device, ACK, message.number, b"\0")

    def take_answer(self, device: Device, message: Message, request: Request, now: float) -> None:
        if message.kind == ERROR:
            self.take_error(device, message.code, now)
        elif message.kind in (REPORT, READINGS):
            self.report(device, message)
        elif request.kind == COMMAND:
            self.ask(device, READ, bytes([self.options.point]), now)

    def take_error(self, device: Device, code: int, now: float) -> None:
        if code == BUSY:
            device.due = now + self.BUSY_WAIT
            device.reads -= 1
        elif code == UNKNOWN_POINT:  # it has forgotten what it measures: it must be set up again
            self.ask(device, COMMAND, struct.pack(">BI", SET_INTERVAL, 1), now)

    def report(self, device: Device, message: Message) -> None:
        for reading in message.readings:
            self.outbox.put(self.json_of(device, message, reading))

    def json_of(self, device: Device, message: Message, reading: Reading) -> dict[str, Any]:
        unit, value = UNITS[reading.unit], reading.value
        if unit == "Pa":
            unit, value = self.pressure(float(value))
        return {
            "device": device.number,
            "seq": message.number,
            "point": reading.point,
            "unit": unit,
            "value": value,
        }

    def pressure(self, pascal: float) -> tuple[str, float]:
        return "hPa", pascal / 100

    # Decoding: ValueError says what is wrong.

    def decode(self, data: bytes) -> Message:
        data = self.checked(data)
        magic, version, kind, _, device, number = HEADER.unpack_from(data)
        if magic != b"SN" or version != 1:
            raise ValueError("no SensorNet message of version 1")
        body = data[HEADER.size : -CRC.size]
        try:
            readings, code = self.decode_body(kind, body)
        except (struct.error, IndexError):
            raise ValueError(f"{len(body)} bytes are no body of kind {kind}") from None
        return Message(kind, device, number, readings, code)

    def checked(self, data: bytes) -> bytes:
        if len(data) < HEADER.size + CRC.size:
            raise ValueError(f"only {len(data)} bytes")
        self.check_length(data)
        self.check_crc(data)
        return data

    def check_length(self, data: bytes) -> None:
        (length,) = CRC.unpack_from(data, 4)
        if length != len(data) - LENGTH_COUNTS_FROM:
            raise ValueError(f"length {length}, and {len(data) - LENGTH_COUNTS_FROM} bytes")

    def check_crc(self, data: bytes) -> None:
        if CRC.unpack_from(data, len(data) - 2)[0] != binascii.crc_hqx(data[:-2], 0xFFFF):
            raise ValueError("wrong CRC")

    def decode_body(self, kind: int, body: bytes) -> tuple[list[Reading], int]:
        if kind == REPORT:
            return [Reading(body[0], body[1], self.FLOAT.unpack(body[3:])[0])], 0
        if kind == READINGS:
            return self.decode_readings(body), 0
        if kind in (ACK, ERROR):
            return [], body[0]
        return self.unknown(kind)

    def unknown(self, kind: int) -> tuple[list[Reading], int]:
        raise ValueError(f"unknown kind {kind}")

    def decode_readings(self, body: bytes) -> list[Reading]:
        readings, at = [], 2
        for _ in range(body[1]):
            point, kind, unit = body[at : at + 3]
            at += 3
            value: float | int | bool | str
            if kind == 0:
                (value,), size = self.FLOAT.unpack_from(body, at), 4
            elif kind == 1:
                (value,), size = self.INT.unpack_from(body, at), 4
            elif kind == 2:
                value, size = bool(body[at]), 1
            else:
                size = 1 + body[at]
                value = body[at + 1 : at + size].decode()
            readings.append(Reading(point, unit, value))
            at += size
        return readings


# ---------------------------------------------------------------- command line


def begin(stop: Callable[[int, Any], None], seconds: float) -> None:
    """Say that it is ready; `stop` is called on SIGTERM, and after as many seconds if that is not 0."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    say("ready")


def parse_devices(text: str) -> list[str]:
    """``10.77.1.1-10.77.1.14``, or addresses with commas."""
    addresses: list[str] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        begin, end = ipaddress.ip_address(first), ipaddress.ip_address(last or first)
        addresses += [str(begin + n) for n in range(int(end) - int(begin) + 1)]
    return addresses


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A gateway of SensorNet devices.")
    parser.add_argument("--devices", type=parse_devices, default=[])
    parser.add_argument("--port", type=int, default=5600)
    parser.add_argument("--listen", type=int, default=5600)
    parser.add_argument("--interval", type=float, default=0.0, help="0: devices are not polled")
    parser.add_argument("--rounds", type=int, default=0, help="0: until it is told to stop")
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until it is told to stop")
    parser.add_argument("--timeout", type=float, default=0.2, help="of the first attempt")
    parser.add_argument("--point", type=int, default=0, help="255: all of a device's")
    parser.add_argument("--cloud", default="", help="URL that readings are posted to")
    parser.add_argument("--state", default=".", help="folder for what it must not forget")
    return parser.parse_args(words)


def main(words: list[str], gateway: type[Gateway] = Gateway, outbox: type[Outbox] = Outbox) -> None:
    options = parse(words)
    gateway(options, outbox(options)).run()


if __name__ == "__main__":
    main(sys.argv[1:])
