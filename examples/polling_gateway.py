#!/usr/bin/env python3
"""A small, honest gateway: polls SensorNet meters over UDP and prints what it learns.

It is an ordinary program on the kernel's sockets, with nothing but the standard library, and
knows nothing of any simulator. Every ``--interval`` it asks each device for a reading. A device
that does not answer within ``--timeout`` is asked again, ``--retries`` times, waiting twice as long
each time. Many polls are outstanding at once, in one thread.

    polling_gateway.py --devices 10.77.1.1-10.77.1.14 --rounds 3

Ends with status 0 after its rounds or on SIGTERM, with 1 when some device never answered, and with
2 on wrong use.
"""

from __future__ import annotations

import argparse
import binascii
import heapq
import ipaddress
import itertools
import selectors
import signal
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

# ---------------------------------------------------------------- SensorNet, as it is on the wire
#
#   magic "SN" | version | kind | length (2) | device (4) | seq (2) | body | crc (2)
#
# All numbers are big-endian. `length` counts the bytes that follow it. The CRC over all before it
# is CRC-16/CCITT-FALSE. READ asks for one point; the answer is REPORT, READINGS (several) or ERROR.

HEADER = struct.Struct(">2sBBHIH")
REPORT = struct.Struct(">BBBf")  # point, unit, status, value
CRC = struct.Struct(">H")
VERSION = 1
KIND_READ, KIND_REPORT, KIND_READINGS, KIND_ERROR = 1, 2, 3, 6
UNITS = ["", " °C", " %", " Pa", " V", " A", " W", " Wh", " lx"]
QUALITY = ["good", "uncertain", "stale", "bad"]
ERRORS = {
    1: "malformed", 2: "bad length", 3: "bad CRC", 4: "unknown kind", 5: "unknown point",
    6: "unknown command", 7: "busy",
}  # fmt: skip
LENGTH_COUNTS_FROM = 6


@dataclass(frozen=True, slots=True)
class Reply:
    device: int
    number: int
    text: str
    is_reading: bool


def encode_read(device: int, number: int, point: int = 0) -> bytes:
    size = HEADER.size + 1 + CRC.size
    body = HEADER.pack(b"SN", VERSION, KIND_READ, size - LENGTH_COUNTS_FROM, device, number)
    body += bytes([point])
    return body + CRC.pack(binascii.crc_hqx(body, 0xFFFF))


def decode_reply(data: bytes) -> Reply:
    """ValueError says what is wrong with `data`."""
    if len(data) < HEADER.size + CRC.size:
        raise ValueError(f"only {len(data)} bytes")
    magic, version, kind, length, device, number = HEADER.unpack_from(data)
    if magic != b"SN" or version != VERSION:
        raise ValueError("no SensorNet message of version 1")
    if length != len(data) - LENGTH_COUNTS_FROM:
        raise ValueError(f"length {length}, but {len(data) - LENGTH_COUNTS_FROM} bytes follow")
    if CRC.unpack_from(data, len(data) - CRC.size)[0] != binascii.crc_hqx(data[:-2], 0xFFFF):
        raise ValueError("wrong CRC")
    body = data[HEADER.size : -CRC.size]
    try:
        if kind == KIND_REPORT:
            point, unit, status, value = REPORT.unpack(body)
            text = f"point={point} value={value:.2f}{unit_name(unit)} {QUALITY[status >> 6]}"
        elif kind == KIND_READINGS:
            text = decode_readings(body)
        elif kind == KIND_ERROR:
            (code,) = struct.unpack("B", body)
            text = f"error={ERRORS.get(code, code)}"
        else:
            raise ValueError(f"unexpected kind {kind}")
    except (struct.error, IndexError):
        raise ValueError(f"a body of {len(body)} bytes does not fit kind {kind}") from None
    return Reply(device, number, text, kind != KIND_ERROR)


def decode_readings(body: bytes) -> str:
    """Status, count, and for each reading point, type, unit and a value by its type."""
    parts = []
    at = 2
    for _ in range(body[1]):
        point, kind, unit = body[at : at + 3]
        at += 3
        value: object
        if kind == 0:
            value = round(struct.unpack_from(">f", body, at)[0], 2)
            at += 4
        elif kind == 1:
            (value,) = struct.unpack_from(">i", body, at)
            at += 4
        elif kind == 2:
            value = bool(body[at])
            at += 1
        elif kind == 3:
            size = body[at]
            value = body[at + 1 : at + 1 + size].decode("utf-8")
            at += 1 + size
        else:
            raise ValueError(f"unknown type {kind} of point {point}")
        parts.append(f"{point}={value}{unit_name(unit)}")
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes too many after the readings")
    return f"points {', '.join(parts)} {QUALITY[body[0] >> 6]}"


def unit_name(unit: int) -> str:
    return UNITS[unit] if unit < len(UNITS) else f" (unit {unit})"


# ---------------------------------------------------------------- polling


@dataclass(slots=True)
class Poll:
    """One request that has not been answered yet."""

    device: int  # position in the list of devices
    number: int  # sequence number on the wire
    first_sent: float
    deadline: float
    attempt: int = 0


@dataclass(slots=True)
class Counters:
    readings: int = 0
    retries: int = 0
    timeouts: int = 0
    late: int = 0
    bad: int = 0
    errors: int = 0
    unsent: int = 0


@dataclass
class Gateway:
    """Polls `addresses` in rounds; see the module's docstring for the schedule."""

    addresses: list[str]
    port: int
    interval: float
    rounds: int  # 0: until told to stop
    timeout: float
    retries: int
    window: int  # polls outstanding at once, at most
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self.positions = {address: position for position, address in enumerate(self.addresses)}
        self.answered: set[int] = set()
        self.waiting: dict[int, Poll] = {}  # device -> its outstanding poll
        self.queue: deque[int] = deque()  # devices whose turn has come
        self.deadlines: list[tuple[float, int, int]] = []  # heap of (time, device, number)
        self.numbers = itertools.count(1)
        self.stopping = False
        family = socket.AF_INET6 if ":" in self.addresses[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.wake, self.waker = socket.socketpair()

    def stop(self, _signal: int, _frame: object) -> None:
        self.stopping = True
        self.waker.send(b"x")

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        say("ready")
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self.wake, selectors.EVENT_READ)
            next_round, round_number = time.monotonic(), 0
            while not self.stopping:
                now = time.monotonic()
                rounds_left = not self.rounds or round_number < self.rounds
                if rounds_left and now >= next_round:
                    round_number += 1
                    next_round = max(next_round + self.interval, now)
                    self.start_round()
                self.expire(now)
                self.fill_window(now)
                if not rounds_left and not self.waiting and not self.queue:
                    break
                wake_at = [next_round] if not self.rounds or round_number < self.rounds else []
                if self.deadlines:
                    wake_at.append(self.deadlines[0][0])
                pause = max(0.0, min(wake_at) - time.monotonic()) if wake_at else None
                selector.select(pause)
                self.drain()
        return self.conclude()

    def start_round(self) -> None:
        """Queue every device that is not still being asked from the round before."""
        queued = set(self.queue)
        for device in range(len(self.addresses)):
            if device not in self.waiting and device not in queued:
                self.queue.append(device)

    def fill_window(self, now: float) -> None:
        while self.queue and len(self.waiting) < self.window:
            device = self.queue.popleft()
            poll = Poll(device, next(self.numbers) & 0xFFFF, now, now)
            self.waiting[device] = poll
            self.send(poll, now)

    def send(self, poll: Poll, now: float) -> None:
        # Wait twice as long after each attempt: a device that is slow needs time, not more load.
        poll.deadline = now + self.timeout * 2**poll.attempt
        heapq.heappush(self.deadlines, (poll.deadline, poll.device, poll.number))
        read = encode_read(device_id(poll.device), poll.number)
        try:
            self.socket.sendto(read, (self.addresses[poll.device], self.port))
        except OSError as error:  # a full buffer, no route: the retry will come
            self.counters.unsent += 1
            say(f"not sent {self.addresses[poll.device]}: {error.strerror}")

    def expire(self, now: float) -> None:
        """Ask again, or give up, where the time is over."""
        while self.deadlines and self.deadlines[0][0] <= now:
            _, device, number = heapq.heappop(self.deadlines)
            poll = self.waiting.get(device)
            if poll is None or poll.number != number or poll.deadline > now:
                continue  # answered meanwhile, or asked again
            address = self.addresses[device]
            if poll.attempt < self.retries:
                poll.attempt += 1
                self.counters.retries += 1
                say(f"retry {address} seq={number} attempt={poll.attempt}")
                self.send(poll, now)
            else:
                del self.waiting[device]
                self.counters.timeouts += 1
                say(f"timeout {address} seq={number} after {poll.attempt + 1} attempts")

    def drain(self) -> None:
        """Take every datagram that is there."""
        while True:
            try:
                data, (address, port, *_) = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error that the kernel passes on
                say(f"network error: {error.strerror}")
                continue
            self.take(data, address, port, time.monotonic())

    def take(self, data: bytes, address: str, port: int, now: float) -> None:
        device = self.positions.get(address)
        if device is None or port != self.port:
            self.bad_reply(address, f"nobody asked {address}:{port}")
            return
        try:
            reply = decode_reply(data)
        except ValueError as error:
            self.bad_reply(address, str(error))
            return
        if reply.device != device_id(device):
            self.bad_reply(address, f"it says it is device {reply.device}")
            return
        poll = self.waiting.get(device)
        if poll is None or reply.number != poll.number:
            self.counters.late += 1
            say(f"late {address} seq={reply.number}")
            return
        del self.waiting[device]
        self.answered.add(device)
        took_ms = (now - poll.first_sent) * 1000
        if reply.is_reading:
            self.counters.readings += 1
        else:
            self.counters.errors += 1
        what = "reading" if reply.is_reading else "refused"
        say(f"{what} {address} {reply.text} seq={reply.number} took={took_ms:.1f}ms")

    def bad_reply(self, address: str, why: str) -> None:
        self.counters.bad += 1
        say(f"bad reply from {address}: {why}")

    def conclude(self) -> int:
        counters = self.counters
        say(
            f"{len(self.answered)} of {len(self.addresses)} devices answered: "
            f"{counters.readings} readings, {counters.retries} retries, "
            f"{counters.timeouts} timeouts, {counters.errors} errors, "
            f"{counters.late} late, {counters.bad} bad"
        )
        if self.stopping:
            return 0
        silent = [a for n, a in enumerate(self.addresses) if n not in self.answered]
        for address in silent:
            say(f"never answered: {address}")
        return 1 if silent else 0


def device_id(position: int) -> int:
    """The id that the device at `position` in the list is asked under: it echoes it."""
    return position


def say(text: str) -> None:
    print(text, flush=True)


# ---------------------------------------------------------------- command line


def parse_devices(text: str) -> list[str]:
    """``10.77.1.1-10.77.1.14``, ``10.77.1.0/28``, addresses, or several of these with commas."""
    addresses: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if "/" in part:
            addresses += [str(host) for host in ipaddress.ip_network(part, strict=False).hosts()]
        elif "-" in part:
            first, last = (ipaddress.ip_address(end.strip()) for end in part.split("-", 1))
            if first.version != last.version or int(first) > int(last):
                raise ValueError(f"{part} is no range")
            make = type(first)
            addresses += [str(make(n)) for n in range(int(first), int(last) + 1)]
        else:
            addresses.append(str(ipaddress.ip_address(part)))
    if not addresses:
        raise ValueError("no device is named")
    if len({":" in address for address in addresses}) > 1:
        raise ValueError("IPv4 and IPv6 devices cannot be mixed")
    return list(dict.fromkeys(addresses))


def positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError
    return value


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Poll SensorNet devices over UDP.")
    parser.add_argument("--devices", required=True, help="a-b, a prefix, or a list with commas")
    parser.add_argument("--port", type=int, default=5600)
    parser.add_argument("--interval", type=positive, default=1.0, help="seconds between rounds")
    parser.add_argument("--rounds", type=int, default=0, help="0 (the default): until SIGTERM")
    parser.add_argument("--timeout", type=positive, default=0.5, help="seconds to the first retry")
    parser.add_argument("--retries", type=int, default=3)
    parser.add_argument("--window", type=int, default=64, help="polls outstanding at once")
    options = parser.parse_args(arguments)
    try:
        addresses = parse_devices(options.devices)
    except ValueError as error:
        parser.error(f"--devices: {error}")
    gateway = Gateway(
        addresses,
        options.port,
        options.interval,
        options.rounds,
        options.timeout,
        max(0, options.retries),
        max(1, options.window),
    )
    return gateway.run()


if __name__ == "__main__":
    sys.exit(main())
