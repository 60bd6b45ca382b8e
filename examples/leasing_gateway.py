#!/usr/bin/env python3
"""A gateway that gives its meters their addresses by DHCP, as the router of a home does, and reads
each of them once.

An ordinary program on the kernel's sockets, with nothing but the standard library. It is a DHCP
server (RFC 2131) of the simplest kind: one pool, in order, nothing remembered.

    leasing_gateway.py --pool 10.77.5.10-10.77.5.200 --meters 10

Ends with status 0 when so many meters have answered, and with 1 after `--wait` seconds.
"""

from __future__ import annotations

import argparse
import binascii
import ipaddress
import select
import socket
import struct
import time

BOOTP = struct.Struct(">BBBBIHH4s4s4s4s16s64s128s4s")
COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
MASK, ROUTER, REQUESTED, LEASE, TYPE, SERVER, END = 1, 3, 50, 51, 53, 54, 255
SENSORNET = struct.Struct(">2sBBHIH")


def options_of(data: bytes) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    at = BOOTP.size
    while at + 1 < len(data) and data[at] != END:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        options[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return options


class Server:
    def __init__(self, first: int, last: int, own: str, lease_s: int) -> None:
        self.free = iter(range(first, last + 1))
        self.own = socket.inet_aton(own)
        self.lease_s = lease_s
        self.leases: dict[bytes, bytes] = {}

    def answer(self, data: bytes) -> tuple[bytes, str]:
        """The reply to a client's message, and the address leased with it; b"" for no reply."""
        if len(data) < BOOTP.size or data[0] != 1 or data[236:240] != COOKIE:
            return b"", ""
        hardware = data[28:44]
        options = options_of(data)
        kind = options.get(TYPE, b"\0")[0]
        if kind == DISCOVER and hardware not in self.leases:
            self.leases[hardware] = next(self.free).to_bytes(4, "big")
        leased = self.leases.get(hardware, b"")
        if kind == DISCOVER:
            reply = OFFER
        elif kind == REQUEST and options.get(SERVER, self.own) == self.own:
            wanted = options.get(REQUESTED) or data[12:16]
            reply = ACK if wanted == leased else NAK
        else:
            return b"", ""
        said = {TYPE: bytes([reply]), SERVER: self.own}
        if reply != NAK:
            said |= {
                LEASE: struct.pack(">I", self.lease_s),
                MASK: b"\xff\xff\0\0",
                ROUTER: self.own,
            }
        head = BOOTP.pack(
            2, 1, 6, 0, *struct.unpack_from(">I", data, 4), 0, *struct.unpack_from(">H", data, 10),
            data[12:16], leased if reply != NAK else bytes(4), self.own, bytes(4), hardware,
            bytes(64), bytes(128), COOKIE,
        )  # fmt: skip
        body = b"".join(bytes([code, len(value)]) + value for code, value in said.items())
        address = socket.inet_ntoa(leased) if reply == ACK else ""
        return head + body + bytes([END]), address


def encode_read(number: int) -> bytes:
    body = SENSORNET.pack(b"SN", 1, 1, SENSORNET.size - 6 + 1 + 2, 0, number) + b"\0"
    return body + struct.pack(">H", binascii.crc_hqx(body, 0xFFFF))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", required=True)
    parser.add_argument("--address", default="10.77.0.1")
    parser.add_argument("--meters", type=int, required=True)
    parser.add_argument("--lease", type=int, default=3600)
    parser.add_argument("--wait", type=float, default=20.0)
    arguments = parser.parse_args()
    first, last = (int(ipaddress.IPv4Address(text)) for text in arguments.pool.split("-"))
    server = Server(first, last, arguments.address, arguments.lease)
    dhcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dhcp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    dhcp.bind(("", 67))
    meters = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    meters.bind(("", 0))
    answered: set[str] = set()
    deadline = time.monotonic() + arguments.wait
    print("waiting for clients", flush=True)
    while len(answered) < arguments.meters:
        ready, _, _ = select.select([dhcp, meters], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            print(f"only {len(answered)} meters have answered", flush=True)
            return 1
        if dhcp in ready:
            data, peer = dhcp.recvfrom(2048)
            reply, address = server.answer(data)
            if reply:
                known = peer[0] != "0.0.0.0"
                dhcp.sendto(reply, (peer[0] if known else "255.255.255.255", 68))
            if address and address not in answered:
                print(f"leased {address}", flush=True)
                meters.sendto(encode_read(1), (address, 5600))
        if meters in ready:
            _, peer = meters.recvfrom(2048)
            answered.add(peer[0])
    print(f"{len(answered)} meters have answered", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
