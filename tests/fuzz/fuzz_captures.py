"""Captures: any file is read, or refused with one exception; its datagrams are decoded, and followed.

The first byte of an input chooses the protocol, the rest is the file.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

from driver import fuzz, instrumented

with instrumented():
    from io import BytesIO

    from iotsim.capture import CaptureError, Datagrams, Decoder, read_frames
    from iotsim.protocol.registry import list_protocols, load_protocol
    from iotsim.wire import ipv4, udp

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "protocols"
LOADED = [load_protocol(name, [FOLDER]) for name, _ in list_protocols([FOLDER])]
CLIENT, DEVICE = 0x0A4D0001, 0x0A4D0101


def target(data: bytes) -> None:
    if not data:
        return
    loaded = LOADED[data[0] % len(LOADED)]
    decoder = Decoder(loaded.protocol, device=loaded.vectors[-1].device)
    datagrams = Datagrams()
    frames = found = 0
    with suppress(CaptureError):
        for frame in read_frames(BytesIO(data[1:])):
            frames += 1
            datagram = datagrams.find(frame)
            if datagram is not None:
                found += 1
                decoder.decode(datagram)
    datagrams.end()
    assert found <= frames <= found + sum(datagrams.skipped.values())
    assert found == decoder.messages + decoder.undecodable + sum(decoder.skipped.values())
    assert not decoder.unfollowed


def seeds() -> Iterator[bytes]:
    """The vectors of each protocol, one at a time, asked and answered, in both formats."""
    for number, loaded in enumerate(LOADED):
        for vector in loaded.vectors:
            ends = (CLIENT, DEVICE, 40000, loaded.protocol.port)
            back = (DEVICE, CLIENT, loaded.protocol.port, 40000)
            packets = [ip(vector.data, *way) for way in (ends, back, ends)]
            pcap = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
            pcapng = block(0x0A0D0D0A, pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
            pcapng += block(1, pack("<HHI", 101, 0, 0))
            for data in packets:
                size = len(data)
                pcap += pack("<IIII", 1, 0, size, size) + data
                pcapng += block(6, pack("<IIIII", 0, 0, 0, size, size) + data)
            yield bytes([number]) + pcap
            yield bytes([number]) + pcapng


def ip(payload: bytes, source: int, destination: int, port: int, to_port: int) -> bytes:
    segment = udp.build_udp(source, destination, port, to_port, payload)
    return ipv4.build_ipv4(source, destination, ipv4.UDP, segment)


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return pack("<II", kind, 12 + len(body)) + body + pack("<I", 12 + len(body))


if __name__ == "__main__":
    fuzz(target)
