#!/usr/bin/env python3
"""A small gateway that observes ``/temperature`` of CoAP devices (RFC 7641) and reports upwards by HTTP.

It registers with each device, takes notifications in the order in which they were sent, whatever order they
come in, and registers again when the value that it has is older than its Max-Age.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gateway import begin, parse
from outbox import Outbox, say

if TYPE_CHECKING:
    import argparse

CON, NON, ACK = 0, 1, 2
GET, CONTENT = 0x01, 0x45
OBSERVE, URI_PATH, MAX_AGE = 6, 11, 14
HEADER = struct.Struct(">BBH")
WRAP = 1 << 23  # of 24 bits, half are newer
ALWAYS_NEWER_S = 128.0


class Notification(NamedTuple):
    observe: int | None
    max_age: int
    value: float


@dataclass
class Resource:
    """The temperature of one device."""

    number: int
    address: str
    attempt: int = 0
    expires: float = 0.0  # when to register again
    observe: int | None = None
    heard: float = 0.0


class Observer:
    TIMEOUT, LONGEST = 0.3, 2.4

    def __init__(self, options: argparse.Namespace, outbox: Outbox) -> None:
        self.outbox = outbox
        self.resources = {
            bytes([number]): Resource(number, address)
            for number, address in enumerate(options.devices)
        }
        self.port = options.port
        self.seconds = options.seconds
        self.message_id = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.wake, self.waker = socket.socketpair()
        self.stopping = False

    def run(self) -> None:
        begin(self.stop, self.seconds)
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self.wake, selectors.EVENT_READ)
            while not self.stopping:
                now = time.monotonic()
                for resource in self.resources.values():
                    if now >= resource.expires:
                        self.expire(resource, now)
                soonest = min(resource.expires for resource in self.resources.values())
                selector.select(min(60.0, max(0.0, soonest - time.monotonic())))
                self.hear()

    def stop(self, _signal: int, _frame: object) -> None:
        self.stopping = True
        self.waker.send(b"x")

    def expire(self, resource: Resource, now: float) -> None:
        """No answer yet, or none that still holds: register, more and more seldom."""
        resource.expires = now + min(self.TIMEOUT * 2**resource.attempt, self.LONGEST)
        resource.attempt += 1
        resource.observe = None
        self.register(resource)

    def register(self, resource: Resource) -> None:
        self.message_id = self.message_id % 0xFFFF + 1
        token = bytes([resource.number])
        data = HEADER.pack(0x40 | CON << 4 | len(token), GET, self.message_id) + token
        path = b"temperature"
        data += bytes([OBSERVE << 4, URI_PATH - OBSERVE << 4 | len(path)]) + path
        self.send(data, resource.address)

    def send(self, data: bytes, address: str) -> None:
        try:
            self.socket.sendto(data, (address, self.port))
        except OSError as error:
            say(f"not sent to {address}: {error.strerror}")

    def hear(self) -> None:
        while True:
            try:
                data, (address, _) = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:
                say(f"network: {error.strerror}")
                continue
            try:
                self.take(data, address, time.monotonic())
            except (ValueError, struct.error, IndexError) as error:
                say(f"ignored, from {address}: {error}")

    def take(self, data: bytes, address: str, now: float) -> None:
        first, code, message_id = HEADER.unpack_from(data)
        kind, end = first >> 4 & 3, HEADER.size + (first & 15)
        if kind == CON:
            self.send(HEADER.pack(0x40 | ACK << 4, 0, message_id), address)
        resource = self.resources.get(data[HEADER.size : end])
        if code != CONTENT or resource is None:
            return
        notification = decode(data[end:])
        if self.is_fresh(resource, notification, now):
            resource.attempt = 0
            resource.observe, resource.heard = notification.observe, now
            resource.expires = now + notification.max_age
            self.outbox.put({"device": resource.number, "value": notification.value})

    def is_fresh(self, resource: Resource, notification: Notification, now: float) -> bool:
        """RFC 7641, 3.4: whether it was sent after what was heard before."""
        old, new = resource.observe, notification.observe
        if old is None or new is None or now > resource.heard + ALWAYS_NEWER_S:
            return True
        return 0 < new - old < WRAP or old - new > WRAP


def decode(data: bytes) -> Notification:
    """Options and payload of a response."""
    options: dict[int, bytes] = {}
    number = at = 0
    while at < len(data) and data[at] != 0xFF:
        delta, size = data[at] >> 4, data[at] & 15
        at += 1
        if delta == 13:
            delta, at = data[at] + 13, at + 1
        if size == 13:
            size, at = data[at] + 13, at + 1
        number += delta
        options[number] = data[at : at + size]
        at += size
    observe = int.from_bytes(options[OBSERVE], "big") if OBSERVE in options else None
    max_age = int.from_bytes(options.get(MAX_AGE, b"\x3c"), "big")
    return Notification(observe, max_age, float(data[at + 1 :]))


def main(words: list[str], observer: type[Observer] = Observer) -> None:
    options = parse(words)
    observer(options, Outbox(options)).run()


if __name__ == "__main__":
    main(sys.argv[1:])
