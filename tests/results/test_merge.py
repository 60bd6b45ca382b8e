"""Parts become one file in the order of time, with all that is whole in them."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsim.events import IN, OUT, Note, PacketRecord
from iotsim.results import merge
from iotsim.results.jsonl import EventEncoder
from iotsim.results.merge import merge_captures, merge_events
from iotsim.results.pcapng import LINKTYPE_RAW, PcapngWriter, encode_names
from iotsim.wire import ipv4, virtio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKET = virtio.PLAIN + ipv4.build_ipv4(0x0A4D0001, 0x0A4D0101, 99, b"payload")
# Multiples of what a capture's times can tell.
times = st.lists(st.integers(0, 50), max_size=30).map(lambda ts: [t * 1e-3 for t in ts])
parts_of_times = st.lists(times.map(sorted), max_size=4)


@pytest.fixture(
    autouse=True, params=[3, 4096], ids=["small chunks", "large chunks"], scope="module"
)
def _chunks(request: pytest.FixtureRequest) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(merge, "CHUNK_RECORDS", request.param)
    patch.setattr(merge, "CHUNK_BYTES", request.param * 64)
    yield
    patch.undo()


def lines(part: int, ts: Sequence[float]) -> bytes:
    return EventEncoder().encode([Note(t, f"{part}.{n}") for n, t in enumerate(ts)])


def capture(part: int, ts: Sequence[float], *, header: bool = True) -> bytes:
    writer = PcapngWriter(LINKTYPE_RAW, name="test0", epoch=1_700_000_000.0)
    packets: list[PacketRecord] = [(t, IN if part % 2 else OUT, PACKET + bytes([part])) for t in ts]
    return (writer.header() if header else b"") + writer.encode(packets)


def merged_lines(parts: Sequence[bytes]) -> list[dict[str, Any]]:
    whole = b"".join(merge_events([io.BytesIO(part) for part in parts]))
    return [json.loads(line) for line in whole.splitlines()]


def blocks(data: bytes) -> list[bytes]:
    found = []
    while data:
        (length,) = struct.unpack_from("<I", data, 4)
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        found.append(data[:length])
        data = data[length:]
    return found


def time_of(block: bytes) -> int:
    high, low = struct.unpack_from("<II", block, 12)
    stamp: int = high << 32 | low
    return stamp


@given(parts_of_times)
def test_events_are_in_the_order_of_time(parts: list[list[float]]) -> None:
    events = merged_lines([lines(number, part) for number, part in enumerate(parts)])
    assert [event["t"] for event in events] == sorted(t for part in parts for t in part)
    # Nothing has changed its place within its part.
    for number, part in enumerate(parts):
        texts = [e["text"] for e in events if e["text"].startswith(f"{number}.")]
        assert texts == [f"{number}.{n}" for n in range(len(part))]


@given(parts_of_times)
def test_packets_are_in_the_order_of_time(parts: list[list[float]]) -> None:
    files = [io.BytesIO(capture(number, part)) for number, part in enumerate(parts)]
    found = blocks(b"".join(merge_captures(files)))
    expected = [b for n, part in enumerate(parts) for b in blocks(capture(n, part, header=False))]
    assert sorted(found) == sorted(expected)
    stamps = list(map(time_of, found))
    assert stamps == sorted(stamps)


def test_what_is_out_of_order_stays_where_it_is() -> None:
    parts = [lines(0, [1.0, 5.0, 2.0, 6.0]), lines(1, [3.0, 5.5])]
    texts = [event["text"] for event in merged_lines(parts)]
    assert texts == ["0.0", "1.0", "0.1", "0.2", "1.1", "0.3"]
    packets = [io.BytesIO(capture(0, [1.0, 5.0, 2.0])), io.BytesIO(capture(1, [3.0, 6.0]))]
    stamps = [time_of(block) for block in blocks(b"".join(merge_captures(packets)))]
    assert [(stamp - stamps[0]) / 1e9 for stamp in stamps] == [0.0, 2.0, 4.0, 1.0, 5.0]


def test_the_first_part_comes_first_at_the_same_time() -> None:
    parts = [lines(0, [0.0, 0.0]), lines(1, [0.0]), lines(2, [0.0])]
    assert [event["text"] for event in merged_lines(parts)] == ["0.0", "0.1", "1.0", "2.0"]


@given(st.integers(0, 400))
def test_a_part_that_was_cut_off_keeps_its_whole_lines(cut: int) -> None:
    whole = lines(0, [1.0, 2.0, 3.0])
    kept = whole[:cut].count(b"\n")
    events = merged_lines([whole[:cut], lines(1, [1.5, 9.0])])
    assert [e["t"] for e in events] == sorted([*[1.0, 2.0, 3.0][:kept], 1.5, 9.0])


@given(st.integers(0, 400))
def test_a_part_that_was_cut_off_keeps_its_whole_packets(cut: int) -> None:
    header, whole = len(capture(0, [])), capture(0, [1.0, 2.0, 3.0])
    size = (len(whole) - header) // 3
    kept = min(3, max(0, (cut - header) // size))
    files = [io.BytesIO(whole[:cut]), io.BytesIO(capture(1, [1.5, 9.0]))]
    assert len(blocks(b"".join(merge_captures(files)))) == kept + 2


@given(st.binary(max_size=200))
def test_garbage_ends_a_part_and_harms_no_other(garbage: bytes) -> None:
    good = capture(1, [1.5, 9.0])
    files = [io.BytesIO(capture(0, [1.0]) + garbage), io.BytesIO(good)]
    merged = b"".join(merge_captures(files))
    for block in blocks(capture(1, [1.5, 9.0], header=False)):
        assert block in merged
    events = b"".join(merge_events([io.BytesIO(garbage), io.BytesIO(lines(1, [1.5]))]))
    assert b'"1.0"' in events


def test_the_time_of_an_event_is_its_own() -> None:
    # A message may hold a field of the same name.
    parts = [
        b'{"event":"received","t":5.0,"message":{"t":1.0}}\n',
        b'{"event":"received","t":2.0,"message":{"t":9.0}}\n',
    ]
    assert [event["t"] for event in merged_lines(parts)] == [2.0, 5.0]


def test_parts_without_anything() -> None:
    assert b"".join(merge_events([])) == b""
    assert b"".join(merge_events([io.BytesIO(), io.BytesIO()])) == b""
    assert b"".join(merge_captures([io.BytesIO(), io.BytesIO(capture(0, []))])) == b""


def test_names_stand_before_the_packets_of_those_they_name() -> None:
    names = encode_names([(bytes([10, 77, 1, 1]), "meter[0]")])
    late = capture(0, [5.0]) + names + capture(0, [6.0], header=False)
    whole = b"".join(merge_captures([io.BytesIO(capture(1, [1.0, 7.0])), io.BytesIO(late)]))
    kinds = [struct.unpack_from("<I", block)[0] for block in blocks(whole)]
    assert kinds == [6, 6, 4, 6, 6]


@pytest.mark.parametrize("time", ["1-2", "1.2.3", "e", "--1", "", "null", "1e999", "9" * 5000])
def test_a_line_whose_time_is_no_number_is_kept_where_it_is(time: str) -> None:
    damaged = f'{{"event":"note","t":{time},"text":"damaged"}}\n'.encode()
    before, after = (EventEncoder().encode([Note(t, "whole")]) for t in (1.0, 2.0))
    merged = b"".join(merge_events([[before, damaged, after], [before]]))
    assert sorted(merged.splitlines(True)) == sorted([before, damaged, after, before])
