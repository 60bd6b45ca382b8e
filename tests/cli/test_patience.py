"""Nobody waits for a reader of what is printed while a run goes on; nothing is lost by that in silence."""

from __future__ import annotations

import io
import os
import tty
from typing import TYPE_CHECKING

import pytest

from iotsim.cli import patience
from iotsim.cli.patience import PatientFile
from iotsim.cli.streams import Outlet

if TYPE_CHECKING:
    from collections.abc import Iterator


def lines(count: int, start: int = 0) -> str:
    return "".join(f"line {number} ü\n" for number in range(start, start + count))


def drain(fd: int) -> bytes:
    os.set_blocking(fd, False)
    data = b""
    try:
        while chunk := os.read(fd, 1 << 16):
            data += chunk
    except OSError:
        pass
    return data


@pytest.fixture(params=["pipe", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, PatientFile]]:
    """The descriptor that somebody may read, and the file that leads there."""
    if request.param == "pipe":
        ours, theirs = os.pipe()
    else:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        file = PatientFile(stream)
        yield ours, file
        file.close()
        drain(ours)
    os.close(ours)


def test_what_is_read_is_written_at_once(ends: tuple[int, PatientFile]) -> None:
    reader, file = ends
    file.write(lines(3))
    file.flush()
    assert not file.is_behind
    assert drain(reader).decode() == lines(3)


def test_who_does_not_read_makes_nobody_wait_and_gets_it_later(
    ends: tuple[int, PatientFile],
) -> None:
    reader, file = ends
    for number in range(20):
        file.write(lines(1000, 1000 * number))  # more than any pipe or terminal holds
        file.flush()
    assert file.is_behind
    data = b""
    while file.is_behind:
        data += drain(reader)
        file.flush()
    assert (data + drain(reader)).decode() == lines(20_000)


def test_what_is_too_much_is_left_out_and_that_is_told(
    ends: tuple[int, PatientFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "MOST_KEPT", 200_000)
    reader, file = ends
    for number in range(60):
        file.write(lines(1000, 1000 * number))
        file.flush()
    data = b""
    while file.is_behind:
        data += drain(reader)
        file.flush()
    told = (data + drain(reader)).decode().splitlines()
    assert told[-1].endswith(" lines were left out, as nobody read them)")
    whole = told[:-1]
    assert int(told[-1].split()[0].strip("(")) == 60_000 - len(whole)
    assert "\n".join(whole) + "\n" == lines(len(whole))


def test_the_rest_is_written_when_it_is_closed() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        file = PatientFile(stream)
        file.write(lines(10))
        file.close()
        assert drain(ours).decode() == lines(10)
    os.close(ours)


def test_a_reader_that_has_gone_ends_nothing() -> None:
    for ours, theirs in (os.openpty(), os.pipe()):
        # As `iotsim` makes its standard output.
        stream = io.TextIOWrapper(io.BufferedWriter(Outlet(theirs)))
        file = PatientFile(stream)
        os.close(ours)
        file.write(lines(3))
        file.flush()
        assert not file.is_behind
        file.close()
        stream.close()
        os.close(theirs)


def test_a_stream_without_a_descriptor_is_written_to_at_once() -> None:
    stream = io.StringIO()
    file = PatientFile(stream)
    file.write("text")
    assert stream.getvalue() == "text"
    file.flush()
    file.close()
    assert not file.isatty()
