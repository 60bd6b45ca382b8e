from __future__ import annotations

import subprocess
from struct import unpack_from
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.events import IN, OUT
from iotsim.results.pcapng import (
    COMMENT_BYTES,
    LINKTYPE_ETHERNET,
    LINKTYPE_RAW,
    MOST_COMMENTS,
    PcapngWriter,
    encode_names,
    heading_blocks,
)
from iotsim.wire.checksum import checksum, pseudo_header_sum
from iotsim.wire.virtio import PLAIN, complete_checksum, needs_checksum

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = bytes([10, 77, 0, 1])
METER = bytes([10, 77, 1, 1])
EPOCH = 1_700_000_000.25


def udp4(source: bytes, destination: bytes, payload: bytes, *, partial: bool) -> bytes:
    """A frame with a UDP datagram and its checksum, or the sum that is to be completed."""
    length = 8 + len(payload)
    header = b"\x45\0" + (20 + length).to_bytes(2, "big") + b"\0\1\0\0\x40\x11\0\0"
    header += source + destination
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    pseudo = pseudo_header_sum(
        int.from_bytes(source, "big"), int.from_bytes(destination, "big"), 17, length
    )
    ports = b"\x9c\x40\x15\xe0" + length.to_bytes(2, "big")
    if partial:
        return (
            needs_checksum(20, 6) + header + ports + (pseudo % 65535).to_bytes(2, "big") + payload
        )
    total = checksum(ports + b"\0\0" + payload, pseudo) or 0xFFFF
    return PLAIN + header + ports + total.to_bytes(2, "big") + payload


def udp6(payload: bytes) -> bytes:
    """A frame with a UDP datagram over IPv6 whose checksum is left to complete."""
    source, destination = b"\xfd\x77" + bytes(13) + b"\1", b"\xfd\x77" + bytes(11) + b"\1\0\1"
    destination = destination.ljust(16, b"\0")
    length = 8 + len(payload)
    header = b"\x60\0\0\0" + length.to_bytes(2, "big") + b"\x11\x40" + source + destination
    pseudo = pseudo_header_sum(
        int.from_bytes(source, "big"), int.from_bytes(destination, "big"), 17, length
    )
    ports = b"\x9c\x40\x15\xe0" + length.to_bytes(2, "big")
    return needs_checksum(40, 6) + header + ports + (pseudo % 65535).to_bytes(2, "big") + payload


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """(type, body) of every block; both lengths of each must agree and fill `data`."""
    found = []
    offset = 0
    while offset < len(data):
        kind, length = unpack_from("<II", data, offset)
        assert length % 4 == 0
        assert unpack_from("<I", data, offset + length - 4)[0] == length
        found.append((kind, data[offset + 8 : offset + length - 4]))
        offset += length
    assert offset == len(data)
    return found


def packet_of(body: bytes) -> bytes:
    return body[20 : 20 + int.from_bytes(body[12:16], "little")]


def test_the_header_names_the_interface_and_the_unit_of_time() -> None:
    header = PcapngWriter(LINKTYPE_RAW, name="iotsim0").header()
    (section, section_body), (interface, body) = blocks(header)
    assert (section, interface) == (0x0A0D0D0A, 1)
    assert section_body[:4] == b"\x4d\x3c\x2b\x1a"
    assert int.from_bytes(body[:2], "little") == 101
    assert b"iotsim0" in body
    assert b"\x09\0\x01\0\x09" in body  # if_tsresol: 10^-9


def test_a_packet_block() -> None:
    frame = udp4(GATEWAY, METER, b"hello", partial=False)
    data = PcapngWriter(LINKTYPE_RAW, epoch=EPOCH).encode([(0.5, OUT, frame)])
    ((kind, body),) = blocks(data)
    assert kind == 6
    interface, high, low, captured, original = unpack_from("<IIIII", body)
    assert (high << 32 | low) / 1e9 == pytest.approx(EPOCH + 0.5, abs=1e-6)
    assert (interface, captured, original) == (0, 33, 33)
    assert packet_of(body) == frame[10:]
    assert body[20 + 36 :] == b"\2\0\4\0\2\0\0\0\0\0\0\0"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([IN, OUT]), st.binary(max_size=80)), max_size=6))
def test_any_frames_give_whole_blocks(frames: list[tuple[int, bytes]]) -> None:
    records = [(0.1, direction, frame) for direction, frame in frames]
    found = blocks(PcapngWriter(LINKTYPE_ETHERNET).encode(records))
    whole = [frame for _, frame in frames if len(frame) >= 10]
    assert [packet_of(body) for _, body in found] == [complete_checksum(frame) for frame in whole]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=70))
def test_a_partial_checksum_is_completed_as_the_kernel_would(payload: bytes) -> None:
    partial = udp4(GATEWAY, METER, payload, partial=True)
    ((_, body),) = blocks(PcapngWriter(LINKTYPE_RAW).encode([(0, IN, partial)]))
    assert packet_of(body) == udp4(GATEWAY, METER, payload, partial=False)[10:]
    assert packet_of(body) == complete_checksum(partial)


def test_a_stream_may_be_cut_anywhere_between_batches() -> None:
    writer = PcapngWriter(LINKTYPE_RAW)
    frame = udp4(METER, GATEWAY, b"x", partial=True)
    data = writer.header()
    for number in range(3):
        data += writer.encode([(number, IN, frame)] * number)
        assert len(blocks(data)) == 2 + number * (number + 1) // 2


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([IN, OUT]), st.binary(max_size=80)), max_size=6),
    st.dictionaries(st.integers(0, 5), st.lists(st.text(max_size=600), max_size=10)),
)
def test_any_remarks_leave_blocks_whole_and_packets_as_they_are(
    frames: list[tuple[int, bytes]], remarks: dict[int, list[str]]
) -> None:
    records = [(0.1, direction, frame) for direction, frame in frames]
    writer = PcapngWriter(LINKTYPE_ETHERNET)
    given_to = {place: texts for place, texts in remarks.items() if place < len(records)}
    found = blocks(writer.encode_remarked(records, given_to))
    plain = blocks(writer.encode(records))
    assert [packet_of(body) for _, body in found] == [packet_of(body) for _, body in plain]


def test_a_remark_is_an_option_and_is_bounded() -> None:
    frame = udp4(GATEWAY, METER, b"x", partial=True)
    writer = PcapngWriter(LINKTYPE_RAW)
    texts = ["lost\x1b[31m\n", "é" * COMMENT_BYTES, *["more"] * MOST_COMMENTS]
    data = writer.encode_remarked([(0, IN, frame)] * 3, {1: texts})
    first, remarked, last = blocks(data)
    assert first == last == blocks(writer.encode([(0, IN, frame)]))[0]
    body = remarked[1][20 + 32 :]
    options = []
    while body:
        code, length = unpack_from("<HH", body)
        options.append((code, body[4 : 4 + length]))
        body = body[4 + length + -length % 4 :]
    assert [code for code, _ in options] == [2, *[1] * MOST_COMMENTS, 0]
    assert options[1][1] == rb"lost\x1b[31m\n", "no control character is left"
    assert COMMENT_BYTES - 4 <= len(options[2][1]) <= COMMENT_BYTES
    assert options[2][1].decode().endswith("é…"), "it is cut between characters"


def test_names_are_blocks_of_their_own() -> None:
    names = [(METER, "meter[0]"), (bytes(15) + b"\1", "mete\0r"), *[(GATEWAY, "x" * 1000)] * 1500]
    data = encode_names(names)
    assert {kind for kind, _ in blocks(data)} == {4}
    assert blocks(data)[0][1].startswith(b"\1\0\x0d\0" + METER + b"meter[0]\0\0\0\0")
    frame = udp4(GATEWAY, METER, b"x", partial=True)
    packets = PcapngWriter(LINKTYPE_RAW).encode([(0, IN, frame)])
    assert heading_blocks(data + packets) == data
    assert heading_blocks(packets) == encode_names([]) == b""


@pytest.mark.needs("tshark")
def test_tshark_reads_names_and_remarks(tmp_path: Path) -> None:
    writer = PcapngWriter(LINKTYPE_RAW, name="iotsim0", description="devices", epoch=EPOCH)
    names = encode_names([(METER, "meter[0]"), (GATEWAY, "gateway")])
    records = [(0.1, IN, udp4(GATEWAY, METER, b"x", partial=True))] * 2
    remarked = writer.encode_remarked(records, {1: ["lost (lossy)", "an emoji: 🔥"]})
    path = tmp_path / "capture.pcapng"
    path.write_bytes(writer.header() + names + remarked)
    command = ["tshark", "-N", "n", "-r", str(path), "-T", "fields", "-E", "separator=;"]
    for name in ("ip.src_host", "ip.dst_host", "frame.comment", "frame.interface_description"):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "gateway;meter[0];;devices",
        "gateway;meter[0];lost (lossy),an emoji: 🔥;devices",
    ]


@pytest.mark.needs("tshark")
def test_tshark_finds_no_fault(tmp_path: Path) -> None:
    records = []
    for number in range(40):
        payload = bytes(range(number))
        records.append((number / 100, IN, udp4(GATEWAY, METER, payload, partial=True)))
        reply = udp4(METER, GATEWAY, payload, partial=bool(number % 2))
        records.append((number / 100 + 0.001, OUT, reply))
        records.append((number / 100 + 0.002, IN, udp6(payload)))
    writer = PcapngWriter(LINKTYPE_RAW, name="iotsim0", epoch=EPOCH)
    path = tmp_path / "capture.pcapng"
    path.write_bytes(writer.header() + writer.encode(records[:7]) + writer.encode(records[7:]))
    fields = ["ip.checksum.status", "udp.checksum.status", "frame.len", "frame.time_relative"]
    fields += ["_ws.expert.message", "frame.interface_name", "frame.packet_flags_direction"]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=;"]
    command += ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    for name in fields:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    rows = [line.split(";") for line in done.stdout.splitlines()]
    assert len(rows) == len(records)
    for row, (_, direction, frame) in zip(rows, records, strict=True):
        version = frame[10] >> 4
        assert row[0] == ("1" if version == 4 else "")  # 1: good
        assert row[1] == "1"
        assert int(row[2]) == len(frame) - 10
        assert row[4] == ""  # no expert has anything to say
        assert row[5] == "iotsim0"
        assert int(row[6], 0) == (2 if direction == OUT else 1)
    assert float(rows[1][3]) == pytest.approx(0.001, abs=1e-6)
