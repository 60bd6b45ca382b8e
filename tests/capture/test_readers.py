"""Files of captures: what is read of them, in whichever form, and what is wrong with those that are none."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from struct import pack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.capture.files import EPOCH, FORMATS, LITTLE, SECOND, Format, packet

from iotsim.capture import CaptureError, Frame, is_capture, read_frames
from iotsim.capture.frames import ETHERNET, RAW
from iotsim.events import IN, OUT
from iotsim.results.pcapng import PcapngWriter
from iotsim.wire.virtio import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = [EPOCH * SECOND, EPOCH * SECOND + 123_456_789, (EPOCH + 3600) * SECOND]
RECORDS = [(time, packet(bytes([number]) * number)) for number, time in enumerate(TIMES)]


def read(data: bytes) -> list[Frame]:
    return [*read_frames(io.BytesIO(data))]


def attempt(data: bytes) -> tuple[list[Frame], CaptureError | None]:
    """The frames of a file that may be damaged, and what is said of the damage."""
    frames = []
    try:
        for frame in read_frames(io.BytesIO(data)):
            frames.append(frame)  # noqa: PERF402  # those before it are wanted
    except CaptureError as error:
        return frames, error
    return frames, None


def read_until_wrong(data: bytes) -> tuple[list[Frame], CaptureError]:
    """The same of one that is."""
    frames, error = attempt(data)
    assert error is not None
    return frames, error


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("make", [Format.pcap, Format.pcapng])
def test_frames_with_their_times(form: Format, make: Callable[..., bytes]) -> None:
    frames = read(make(form, RECORDS, RAW))
    assert [frame.number for frame in frames] == [1, 2, 3]
    assert [frame.data for frame in frames] == [data for _, data in RECORDS]
    assert [frame.length for frame in frames] == [len(data) for _, data in RECORDS]
    assert {frame.linktype for frame in frames} == {RAW}
    assert [frame.time_ns for frame in frames] == [time // form.unit * form.unit for time in TIMES]


@pytest.mark.parametrize("make", [Format.pcap, Format.pcapng])
def test_in_gzip(make: Callable[..., bytes]) -> None:
    plain = make(LITTLE, RECORDS)
    assert read(gzip.compress(plain)) == read(plain)
    assert is_capture(gzip.compress(plain)[:4])
    frames, error = read_until_wrong(gzip.compress(plain)[:-20])
    assert len(frames) <= 3
    assert "cannot be read" in error.reason or "ends within" in error.reason


def test_what_was_read_already_is_given_back() -> None:
    data = LITTLE.pcap(RECORDS)
    assert [*read_frames(io.BytesIO(data[7:]), data[:7])] == read(data)


def test_what_a_run_has_written() -> None:
    writer = PcapngWriter(RAW, epoch=EPOCH)
    frame = packet(b"hello")
    data = writer.header() + writer.encode([(0.25, IN, PLAIN + frame), (0.5, OUT, PLAIN + frame)])
    first, second = read(data)
    assert first == Frame(1, EPOCH * SECOND + SECOND // 4, RAW, frame, len(frame))
    assert second.time_ns - first.time_ns == SECOND // 4


def test_a_packet_that_was_cut_short_says_how_long_it_was() -> None:
    frames = read(LITTLE.pcap(RECORDS, limit=30))
    assert [(len(frame.data), frame.length) for frame in frames] == [(28, 28), (29, 29), (30, 30)]
    (frame,) = read(LITTLE.section() + LITTLE.interface(limit=20) + LITTLE.simple(bytes(20), 60))
    assert (len(frame.data), frame.length) == (20, 60)


@pytest.mark.parametrize("form", FORMATS[:3:2], ids=str)
def test_all_blocks_that_hold_packets_and_others_that_do_not(form: Format) -> None:
    name_resolution = form.block(4, pack(f"{form.order}HH", 0, 0))
    statistics = form.block(5, bytes(12))
    data = form.section() + name_resolution + form.interface()
    data += (
        form.enhanced(5_000_000, b"one")
        + statistics
        + form.simple(b"two")
        + form.obsolete(7_000_000, b"three")
    )
    data += form.block(0x0BAD, bytes(40)) + form.enhanced(8_000_000, b"four")
    assert [(frame.data, frame.time_ns // SECOND) for frame in read(data)] == [
        (b"one", 5), (b"two", 5), (b"three", 7), (b"four", 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "units", "time_ns"),
    [
        ([(9, b"\x03")], 1500, 1_500_000_000),
        ([(9, b"\x8a")], 1536, 1_500_000_000),  # 2 ** -10
        ([(9, b"\x0c")], 1_500_000_000_999, 1_500_000_000),  # picoseconds
        ([(9, b"\x00"), (14, pack("<q", 60))], 2, 62_000_000_000),
        ([(14, pack("<q", -1))], 1_500_000, 500_000_000),
        ([(9, b""), (2, b"name"), (0, b""), (9, b"\x00")], 1_000_000, 1_000_000_000),
    ],
)
def test_units_of_time(options: list[tuple[int, bytes]], units: int, time_ns: int) -> None:
    described = b"".join(LITTLE.option(*option) for option in options)
    data = LITTLE.section() + LITTLE.interface(options=described) + LITTLE.enhanced(units, b"x")
    (frame,) = read(data)
    assert frame.time_ns == time_ns


def test_each_interface_has_its_own_and_each_section_its_order_and_interfaces() -> None:
    little, big = FORMATS[1], FORMATS[3]
    data = little.section() + little.interface(RAW) + little.interface(ETHERNET)
    data += little.enhanced(1, b"a", interface=1) + little.enhanced(2, b"b")
    data += big.section() + big.interface(ETHERNET) + big.enhanced(3, b"c")
    assert [(f.linktype, f.time_ns, f.data) for f in read(data)] == [
        (ETHERNET, 1000, b"a"), (RAW, 2000, b"b"), (ETHERNET, 3000, b"c"),
    ]  # fmt: skip
    _, error = read_until_wrong(data + big.enhanced(4, b"d", interface=1))
    assert error.reason == "the interface 1 of a packet is not described"


START = LITTLE.section() + LITTLE.interface()
NO_BLOCK = LITTLE.enhanced(1, b"fine")


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "this is no capture", 0),
        (b"GIF89a", "this is no capture", 0),
        (LITTLE.pcap([])[:20], "the file ends within the header: of 20 bytes 16 are there", 4),
        (LITTLE.pcap([])[:4] + b"\x03" + bytes(19), "pcap of version 3", 4),
        (LITTLE.pcap([]) + bytes(15), "the file ends within the header of a packet", 24),
        (LITTLE.pcap([]) + pack("<IIII", 0, 0, 9, 9) + b"x", "of 9 bytes 1 are there", 40),
        (LITTLE.pcap([]) + pack("<IIII", 0, 0, 0xFFFFFFFF, 9), "a packet of 4294967295 bytes", 24),
        (b"\x0a\x0d\x0d\x0a" + bytes(24), "byte-order magic 00 00 00 00", 0),
        (LITTLE.section(major=2), "pcapng of version 2", 0),
        (START[:10], "the file ends within the header of a section", 8),
        (START + bytes(4), "the file ends within the head of a block", 48),
        (START + pack("<II", 6, 8), "a block of 8 bytes", 48),
        (START + pack("<II", 6, 14), "a block of 14 bytes", 48),
        (START + pack("<II", 6, 0xFFFFFFFC), "a block of 4294967292 bytes", 48),
        (START + pack("<II", 7, 0xFFFFFFFC), "the file ends within a block", 56),
        (START + NO_BLOCK[:-4] + bytes(4), "a block of 36 bytes says at its end that it has 0", 80),
        (START + LITTLE.block(6, bytes(16)), "a packet's block is too short", 48),
        (START + LITTLE.block(3, b""), "a packet's block is too short", 48),
        (START + LITTLE.block(6, pack("<IIIII", 0, 0, 0, 9, 9)), "a packet of 9 bytes is longer", 48),
        (START + LITTLE.simple(b"x", 60), "a packet of 60 bytes is longer", 48),
        (LITTLE.section() + LITTLE.simple(b"x"), "the interface 0 of a packet is not described", 28),
        (LITTLE.section() + LITTLE.block(1, bytes(4)), "an interface's description is too short", 28),
        (START + LITTLE.interface(options=b"\x09\0\xff\xff"), "an option of 65535 bytes", 48),
        (START + LITTLE.interface(options=LITTLE.option(9, b"\x7f")), "the exponent -127", 48),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(data: bytes, reason: str, offset: int) -> None:
    _, error = read_until_wrong(data)
    assert reason in error.reason
    assert error.offset == offset
    assert str(error) == f"{error.reason} (at byte {offset})"


@pytest.mark.parametrize("make", [Format.pcap, Format.pcapng])
def test_a_file_that_was_cut_off_is_read_up_to_there(make: Callable[..., bytes]) -> None:
    data = make(LITTLE, RECORDS)
    whole = read(data)
    ends = {len(make(LITTLE, RECORDS[:count])): count for count in range(4)}
    for length in range(min(ends), len(data)):
        if length in ends:
            assert read(data[:length]) == whole[: ends[length]]
            continue
        frames, error = read_until_wrong(data[:length])
        assert frames == whole[: max(count for end, count in ends.items() if end < length)]
        assert error.offset <= length


def test_many_interfaces_are_too_many() -> None:
    data = LITTLE.section() + LITTLE.interface() * 65_537
    _, error = read_until_wrong(data)
    assert error.reason == "more than 65536 interfaces"


class Endless(io.RawIOBase):
    """A file that begins as `head`, and goes on with zeros for a gigabyte."""

    def __init__(self, head: bytes) -> None:
        self.head, self.rest = head, 1 << 30

    def read(self, size: int = -1) -> bytes:
        data, self.head = self.head[:size], self.head[size:]
        zeros = min(size - len(data), self.rest)
        self.rest -= zeros
        return data + bytes(zeros)


def test_a_block_that_nobody_needs_is_passed_over_in_little_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CaptureError, match="ends within"):
            list(read_frames(Endless(START + pack("<II", 7, 0xFFFFFFF0))))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


SEEDS = [make(form, RECORDS) for form in FORMATS for make in (Format.pcap, Format.pcapng)]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 400),
)
def test_a_mutated_file_gives_frames_or_one_exception(
    seed: bytes, changes: list[tuple[int, bytes]], end: int
) -> None:
    data = bytearray(seed)
    for at, change in changes:
        data[at : at + len(change)] = change
    frames, error = attempt(bytes(data[:end]))
    assert sum(len(frame.data) for frame in frames) <= len(data)
    assert error is None or 0 <= error.offset <= len(data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([seed[:24] for seed in SEEDS] + [b"\x1f\x8b"]), st.binary(max_size=200))
def test_any_bytes_behind_a_head_give_frames_or_one_exception(head: bytes, rest: bytes) -> None:
    frames, _ = attempt(head + rest)
    assert sum(len(frame.data) for frame in frames) <= len(rest) or head[:2] == b"\x1f\x8b"
