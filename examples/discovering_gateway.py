#!/usr/bin/env python3
"""Finds SensorNet meters by one request to a group or broadcast address, and lists who answers.

An ordinary program on the kernel's sockets, with nothing but the standard library.

    discovering_gateway.py --group 224.0.23.12 --wait 2 --expect 10
    discovering_gateway.py --group ff05::fd --interface iotsim0 --wait 2

Ends with status 0, with 1 when not `--expect` meters answered, and with 2 on wrong use.
"""

from __future__ import annotations

import argparse
import binascii
import ipaddress
import socket
import struct
import time

HEADER = struct.Struct(">2sBBHIH")  # magic, version, kind, length, device, seq
KIND_READ = 1
HOPS = 8


def encode_read(number: int) -> bytes:
    body = HEADER.pack(b"SN", 1, KIND_READ, HEADER.size - 6 + 1 + 2, 0, number) + b"\0"
    return body + struct.pack(">H", binascii.crc_hqx(body, 0xFFFF))


def open_socket(group: str, interface: str) -> socket.socket:
    """A socket from which `group`, a multicast or broadcast address, can be asked."""
    if ipaddress.ip_address(group).version == 6:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)
        if interface:
            index = socket.if_nametoindex(interface)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        return sock
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
    return sock


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--group", required=True)
    parser.add_argument("--interface", default="")
    parser.add_argument("--port", type=int, default=5600)
    parser.add_argument("--wait", type=float, default=2.0)
    parser.add_argument("--expect", type=int, default=None)
    arguments = parser.parse_args()
    sock = open_socket(arguments.group, arguments.interface)
    begun = time.monotonic()
    sock.sendto(encode_read(1), (arguments.group, arguments.port))
    found: set[str] = set()
    while (left := begun + arguments.wait - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            _, peer = sock.recvfrom(65535)
        except TimeoutError:
            break
        found.add(peer[0])
        print(f"{time.monotonic() - begun:.3f} s  {peer[0]}", flush=True)
    print(f"{len(found)} meters found", flush=True)
    return 0 if arguments.expect in (None, len(found)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
