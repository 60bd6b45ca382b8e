from __future__ import annotations

import errno
import os
import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest

from iotsim.run import files
from iotsim.run.files import NO_THREAD, AppendFile, Writer, open_file, read_file, replace_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("patience_s", [NO_THREAD, 0.0])
def test_appends_arrive_in_order(tmp_path: Path, patience_s: float) -> None:
    with Writer(patience_s) as writer:
        one = AppendFile(tmp_path / "one", writer)
        two = AppendFile(tmp_path / "two", writer)
        for number in range(100):
            one.append(b"%d\n" % number)
            two.append(b"x")
    one.close()
    two.close()
    assert (tmp_path / "one").read_bytes() == b"".join(b"%d\n" % number for number in range(100))
    assert (tmp_path / "two").read_bytes() == b"x" * 100
    assert one.lost_appends == two.lost_appends == 0


def test_what_passes_the_bound_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BACKLOG_BYTES", 10)
    monkeypatch.setattr(files, "waits", count().__next__)
    with Writer(0.0) as writer:
        file = AppendFile(tmp_path / "file", writer)
        file.append(b"in place")
        disk = threading.Event()
        write_now = file.write_now

        def slow(data: bytes) -> None:
            disk.wait()
            write_now(data)

        monkeypatch.setattr(file, "write_now", slow)
        for _ in range(5):
            file.append(b"12345678")
        assert file.lost_appends == 3
        disk.set()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"in place" + b"12345678" * 2


def test_a_thread_takes_over_only_from_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 0.001, 1.0, 1.5, 2.0, 2.5])
    monkeypatch.setattr(files.time, "perf_counter", lambda: next(seconds))
    waits = iter([0, 1, 1, 5, 6])
    monkeypatch.setattr(files, "waits", lambda: next(waits))
    with Writer(0.1) as writer:
        file = AppendFile(tmp_path / "file", writer)
        before = threading.active_count()
        file.append(b"quick ")
        assert threading.active_count() == before
        file.append(b"preempted ")
        assert threading.active_count() == before, "the disk was not waited for"
        file.append(b"slow ")
        assert threading.active_count() == before + 1
        file.append(b"by the thread")
    file.close()
    assert (tmp_path / "file").read_bytes() == b"quick preempted slow by the thread"


def test_a_full_disk_is_counted_and_named() -> None:
    from pathlib import Path

    with Writer(NO_THREAD) as writer:
        file = AppendFile(Path("/dev/full"), writer)
        file.append(b"x")
    file.close()
    assert file.lost_appends == 1
    assert "No space left" in file.error


def test_a_replaced_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_what_does_not_fit_leaves_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk with room for a part of an append; later somebody makes room."""
    room = 25
    write = os.write

    def write_some(fd: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = write(fd, data[:room])
        room -= written
        return written

    with Writer(NO_THREAD) as writer:
        file = AppendFile(tmp_path / "file", writer)
        monkeypatch.setattr(files.os, "write", write_some)
        for number in range(4):
            file.append(b"line %d....\n" % number)
        room = 100
        file.append(b"the last one\n")
    file.close()
    assert (tmp_path / "file").read_bytes() == b"line 0....\nline 1....\nthe last one\n"
    assert file.losses() == ["file lacks 2 batches: [Errno 28] No space left on device"]


@pytest.mark.parametrize("name", ["result.json", ".result.json.new"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / name).symlink_to(precious)
    replace_file(tmp_path / "result.json", b"new")
    assert (tmp_path / "result.json").read_bytes() == b"new"
    assert not (tmp_path / "result.json").is_symlink()
    assert precious.read_text() == "precious"


def test_a_file_that_grows_is_not_behind_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "events.jsonl").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        AppendFile(tmp_path / "events.jsonl", Writer(NO_THREAD))
    assert precious.read_text() == "precious"


def test_a_document_that_has_no_room_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "report.html"
    replace_file(path, b"old")
    monkeypatch.setattr(files, "give_to_caller", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_only_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert read_file(tmp_path / "file") == read_file(tmp_path / "link") == b"x" * 10
    for name in ("pipe", "endless", "."):
        with pytest.raises(OSError, match="it is no file"):
            open_file(tmp_path / name)
