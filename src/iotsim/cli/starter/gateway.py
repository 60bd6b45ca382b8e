"""A stand-in for your gateway: polls each device named on the command line, prints what it hears."""

import binascii
import socket
import struct
import sys
import time

devices = sys.argv[1].split(",")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)


def request(kind: int, number: int) -> bytes:
    body = b"T1" + struct.pack("!BB?", kind, number, False)
    return body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF))


for address in devices:
    sock.sendto(request(3, 0), (address, 7700))
number = 0
while True:
    number = number % 255 + 1
    for address in devices:
        sock.sendto(request(1, number), (address, 7700))
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            data, peer = sock.recvfrom(2048)
        except TimeoutError:
            continue
        if len(data) == 11 and binascii.crc_hqx(data[:-2], 0xFFFF) == int.from_bytes(data[-2:]):
            print(f"{peer[0]}: {struct.unpack_from('!f', data, 5)[0]:.2f} degrees", flush=True)
