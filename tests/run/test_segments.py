"""Bounded files: the newest is kept, and what failed, in whole records."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iotsim.run.files import NO_THREAD, Writer
from iotsim.run.segments import SEGMENTS, SegmentedFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BOUND = 16_000
LINE = 100
"""Bytes of a record; ten of them fill a segment."""
FAILS, MATTERS = "fails", "matters"


def line(number: int, what: str = "") -> bytes:
    return f"{number:<10}{what:<{LINE - 11}}\n".encode()


def essence(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines if MATTERS.encode() in line)


def write(
    path: Path, whats: dict[int, str], count: int, patience_s: float = NO_THREAD, head: bytes = b""
) -> SegmentedFile:
    with Writer(patience_s) as writer:
        file = SegmentedFile(path, writer, BOUND, essence=essence, head=head)
        for number in range(count):
            what = whats.get(number, "")
            file.append(line(number, what))
            if what == FAILS:
                file.mark()
    return file


def numbers(data: bytes) -> list[int]:
    assert data.endswith(b"\n")
    assert len(data) % LINE == 0, "no record is split"
    return [int(row[:10]) for row in data.splitlines()]


def spans(found: Iterable[int]) -> list[tuple[int, int]]:
    """The spans of consecutive numbers in `found`."""
    runs: list[tuple[int, int]] = []
    for number in found:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


@pytest.mark.parametrize("patience_s", [NO_THREAD, 0.0], ids=["in place", "by a thread"])
def test_the_newest_is_kept_and_what_surrounds_a_failure(tmp_path: Path, patience_s: float) -> None:
    path = tmp_path / "events.jsonl"
    file = write(path, {305: FAILS, 2: MATTERS, 777: MATTERS}, 1005, patience_s)
    file.close()
    found = spans(numbers(path.read_bytes()))
    assert found == [(2, 2), (290, 319), (777, 777), (890, 1004)]
    assert path.stat().st_size <= BOUND
    assert [entry.name for entry in tmp_path.iterdir()] == ["events.jsonl"]
    (told,) = file.losses()
    dropped = (1005 * LINE - path.stat().st_size) / 1000
    assert told == (
        f"events.jsonl is held to 16 kB: {dropped:.3g} kB were dropped, the oldest first, "
        "but for what surrounds a failure"
    )


@pytest.mark.parametrize("at", [100, 104, 109, 110, 115, 119])
def test_wherever_a_failure_falls_what_is_before_and_after_it_stays(
    tmp_path: Path, at: int
) -> None:
    path = tmp_path / "events.jsonl"
    write(path, {at: FAILS}, 1000).close()
    assert set(range(at - 10, at + 11)) <= set(numbers(path.read_bytes()))


def test_failures_take_half_of_the_room_and_the_first_count(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write(path, dict.fromkeys(range(0, 2000, 10), FAILS), 2000).close()
    (first, newest) = spans(numbers(path.read_bytes()))
    assert first == (0, 79)
    assert newest[1] == 1999
    assert 60 <= newest[1] - newest[0] <= 80
    assert path.stat().st_size <= BOUND


def test_what_stays_below_the_bound_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = write(path, {}, BOUND // LINE - 1)
    assert len(list(tmp_path.iterdir())) == SEGMENTS
    file.close()
    assert numbers(path.read_bytes()) == list(range(BOUND // LINE - 1))
    assert file.losses() == []


def test_while_it_grows_each_segment_is_readable_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    head = line(-1)
    file = write(path, {}, 500, head=head)
    segments = list(tmp_path.iterdir())
    assert len(segments) in (SEGMENTS - 1, SEGMENTS)
    assert path in segments
    for segment in segments:
        assert segment.read_bytes().startswith(head)
    assert sum(segment.stat().st_size for segment in segments) <= BOUND
    file.close()
    found = numbers(path.read_bytes())
    assert found[0] == -1
    assert found.count(-1) == 1
    assert len(spans(found[1:])) == 1


def test_no_trace_is_left_of_what_has_been_dropped_long_ago(tmp_path: Path) -> None:
    file = write(tmp_path / "events.jsonl", {}, 20_000)
    assert len(list(tmp_path.iterdir())) <= SEGMENTS
    file.close()


def test_an_append_larger_than_a_segment_is_not_split(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with Writer(NO_THREAD) as writer:
        file = SegmentedFile(path, writer, BOUND)
        for start in range(0, 1000, 50):
            file.append(b"".join(line(number) for number in range(start, start + 50)))
    file.close()
    ((first, last),) = spans(numbers(path.read_bytes()))
    assert (first % 50, last) == (0, 999)
    assert path.stat().st_size <= BOUND + 50 * LINE


def test_segments_that_cannot_be_put_together_stay_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    file = write(path, {}, 100)
    before = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}

    def full(target: int, _source: int, start: int, _size: int) -> int:
        if start:
            raise OSError(28, "No space left on device")
        return os.write(target, b"half of a rec")

    monkeypatch.setattr(os, "sendfile", full)
    file.close()
    assert {entry: entry.read_bytes() for entry in tmp_path.iterdir()} == before
    why = "its parts could not be put together: No space left on device"
    assert file.losses() == [f"events.jsonl: {why}"]


def test_where_no_segment_can_be_begun_the_file_grows_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    with Writer(NO_THREAD) as writer:
        file = SegmentedFile(path, writer, BOUND)

        def refuse(*_: object) -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(os, "open", refuse)
        for number in range(30):
            file.append(line(number))
    file.close()
    assert numbers(path.read_bytes()) == list(range(30))
    assert file.losses() == ["events.jsonl: [Errno 24] Too many open files"]
