"""What waits to be written comes out as it was put in, whoever takes it out."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.run.backlog import WORD, WORTH_RELEASING, Backlog
from iotsim.run.files import NO_THREAD, AppendFile, Writer

SIZE = 256
PIECES = st.binary(max_size=SIZE // 2 - WORD)


def files_in(folder: Path) -> list[AppendFile]:
    return [AppendFile(folder / str(number), Writer(NO_THREAD)) for number in range(2)]


def write_next(backlog: Backlog, files: list[AppendFile]) -> bytes | None:
    """Write the next piece: all of it to one file, and what is in upper case to the other, too."""
    piece = backlog.next(backlog.put_in)
    if piece is None:
        return None
    files[0].write_now(piece.data)
    if piece.data.isupper():
        files[1].write_now(piece.data)
    backlog.done(piece)
    return piece.data


@settings(deadline=None)
@given(st.lists(st.one_of(PIECES, st.none()), max_size=60))
def test_pieces_come_out_in_order_and_whole(steps: list[bytes | None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = files_in(Path(name))
        backlog, waiting = Backlog(files, SIZE), deque[bytes]()
        written = b""
        for step in [*steps, *[None] * len(steps)]:
            if step is None:
                took = write_next(backlog, files)
                assert took == (waiting.popleft() if waiting else None)
                written += took or b""
            elif backlog.put(step):
                waiting.append(step)
            else:
                assert waiting, "where nothing else is, each has room"
            held = sum(WORD + len(data) + -len(data) % WORD for data in waiting)
            assert held <= SIZE
        assert backlog.taken_out == backlog.put_in
        assert files[0].path.read_bytes() == written
        for file in files:
            file.close()


def test_only_as_much_is_taken_out_as_is_known(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    backlog = Backlog(files, SIZE)
    backlog.put(b"one")
    known = backlog.put_in
    backlog.put(b"two")
    assert write_next(backlog, files) == b"one"
    assert backlog.next(known) is None
    assert backlog.next(backlog.put_in) is not None


@settings(deadline=None)
@given(st.integers(0, SIZE // 2 - WORD), st.integers(SIZE // 2 - WORD + 1, 2 * SIZE))
def test_what_is_too_large_is_refused_and_spoils_nothing(before: int, large: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = files_in(Path(name))
        backlog = Backlog(files, SIZE)
        backlog.put(bytes(before))
        write_next(backlog, files)
        assert not backlog.put(b"\xff" * large)
        assert write_next(backlog, files) is None
        assert backlog.put(b"one")
        assert write_next(backlog, files) == b"one"
        for file in files:
            file.close()


def test_memory_that_was_never_needed_is_not_touched(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    backlog = Backlog(files, 64 << 20)
    before = resident_bytes()
    for _ in range(20_000):
        backlog.put(bytes(10_000))
        assert write_next(backlog, files) is not None
    assert resident_bytes() - before < 16 << 20


def test_who_takes_over_begins_where_the_files_are_known_to_be_whole(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files[0].append(b"from before.")
    backlog = Backlog(files, SIZE)
    for data in (b"ONE.", b"two.", b"THREE.", b"four."):
        backlog.put(data)
    write_next(backlog, files)
    child = os.fork()
    if child == 0:  # killed with a piece half in its file, and of another's that is lost it is told
        files[0].lost_appends, files[0].error = 3, "the disk was full"
        piece = backlog.next(backlog.put_in)
        assert piece is not None
        backlog.done(piece)
        files[0].write_now(b"THREE.")
        files[1].write_now(b"THR")
        os._exit(0)
    os.waitpid(child, 0)
    backlog.take_over()
    while write_next(backlog, files):
        pass
    assert files[0].path.read_bytes() == b"from before.ONE.THREE.four."
    assert files[1].path.read_bytes() == b"ONE.THREE."
    assert (files[0].lost_appends, files[0].error) == (3, "the disk was full")
    assert files[0].size == len(b"from before.ONE.THREE.four.")


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) << 10
    raise AssertionError


def test_memory_is_given_back_when_nothing_waits(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    backlog = Backlog(files, 4 * WORTH_RELEASING)
    data = bytes(range(256)) * 256
    for _ in range(2 * WORTH_RELEASING // len(data)):
        assert backlog.put(data)
    backlog.release()
    write_next(backlog, files)
    assert shared_bytes() >= WORTH_RELEASING, "what waits stays"
    while write_next(backlog, files):
        pass
    before = shared_bytes()
    backlog.release()
    assert before - shared_bytes() >= WORTH_RELEASING
    assert backlog.put(b"later")
    assert write_next(backlog, files) == b"later"
    assert files[0].path.read_bytes() == data * (2 * WORTH_RELEASING // len(data)) + b"later"
    for file in files:
        file.close()


def shared_bytes() -> int:
    """How much shared memory this process has touched."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("RssShmem:")[2].split()[0])
