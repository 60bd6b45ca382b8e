#!/usr/bin/env python3
"""The product of this sample project: a gateway that collects soil moisture and passes it on to a cloud.

Every --interval it polls each probe; one that does not answer is asked again, --retries times, waiting twice
as long each time. Each reading is posted to the cloud once; while the cloud is away, readings wait. It ends
on SIGTERM, with status 0.
"""

from __future__ import annotations

import argparse
import binascii
import collections
import http.client
import json
import selectors
import signal
import socket
import struct
import sys
import time
import urllib.parse

PORT = 4780
POLL, READING = 1, 2
HEAD = struct.Struct(">2sBH")  # sync, kind, number
BODY = struct.Struct(">HhH")  # moisture in 0.1 %, temperature in 0.1 degrees, battery in mV
MOST_WAITING = 10_000
"""Readings that wait for the cloud; beyond them, the oldest is given up."""


def encode_poll(number: int) -> bytes:
    head = HEAD.pack(b"\xa5\x5a", POLL, number)
    return head + binascii.crc_hqx(head, 0xFFFF).to_bytes(2, "big")


def decode_reading(data: bytes) -> tuple[int, dict[str, float]] | None:
    """The number of a reading and its values; None for anything else."""
    if len(data) != HEAD.size + BODY.size + 2:
        return None
    if binascii.crc_hqx(data[:-2], 0xFFFF) != int.from_bytes(data[-2:], "big"):
        return None
    sync, kind, number = HEAD.unpack_from(data)
    if sync != b"\xa5\x5a" or kind != READING:
        return None
    moisture, temperature, battery = BODY.unpack_from(data, HEAD.size)
    return number, {"moisture": moisture / 10, "temperature": temperature / 10, "battery": battery}


class Probe:
    """One probe: what was asked last, and when to ask again."""

    def __init__(self, address: str, due: float) -> None:
        self.address = address
        self.number = 0
        self.due = due
        self.attempt = 0
        """How often the current poll was sent; 0 between polls."""


class Collector:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        now = time.monotonic()
        self.probes = {address: Probe(address, now) for address in options.probes}
        self.waiting: collections.deque[dict[str, object]] = collections.deque(maxlen=MOST_WAITING)
        self.cloud_due = 0.0

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            print(f"collecting from {len(self.probes)} probes", flush=True)
            while True:
                due = min(probe.due for probe in self.probes.values())
                if self.waiting:
                    due = min(due, self.cloud_due)
                if selector.select(max(0.0, due - time.monotonic())):
                    self.take_readings()
                now = time.monotonic()
                for probe in self.probes.values():
                    if probe.due <= now:
                        self.ask(probe, now)
                if self.waiting and self.cloud_due <= now:
                    self.post(now)

    def ask(self, probe: Probe, now: float) -> None:
        options = self.options
        if probe.attempt > options.retries:
            print(f"{probe.address} does not answer", flush=True)
            probe.attempt, probe.due = 0, now + options.interval
            return
        if probe.attempt == 0:
            probe.number = (probe.number + 1) % 65536
        self.sock.sendto(encode_poll(probe.number), (probe.address, PORT))
        probe.due = now + options.timeout * 2**probe.attempt
        probe.attempt += 1

    def take_readings(self) -> None:
        while True:
            try:
                data, (address, _) = self.sock.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error: who does not answer is asked again anyway
            probe, reading = self.probes.get(address), decode_reading(data)
            if probe is None or reading is None:
                continue
            number, values = reading
            if number != probe.number or probe.attempt == 0:
                continue  # late, or twice
            probe.attempt, probe.due = 0, time.monotonic() + self.options.interval
            self.waiting.append({"probe": address, "number": number, **values})

    def post(self, now: float) -> None:
        """Post what waits; when the cloud is away, try again in a while."""
        cloud = urllib.parse.urlsplit(self.options.cloud)
        connection = http.client.HTTPConnection(cloud.hostname or "", cloud.port, timeout=0.5)
        try:
            while self.waiting:
                body = json.dumps(self.waiting[0])
                connection.request("POST", cloud.path, body, {"Content-Type": "application/json"})
                with connection.getresponse() as answer:
                    answer.read()
                    if answer.status // 100 != 2:
                        raise OSError(f"status {answer.status}")
                self.waiting.popleft()
        except (OSError, http.client.HTTPException) as error:
            print(f"the cloud is away: {error}", flush=True)
            self.cloud_due = now + 0.2
        finally:
            connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probes", type=lambda text: text.split(","))
    parser.add_argument("--cloud", required=True)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--timeout", type=float, default=0.1)
    parser.add_argument("--retries", type=int, default=4)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Collector(parser.parse_args()).run()


if __name__ == "__main__":
    main()
