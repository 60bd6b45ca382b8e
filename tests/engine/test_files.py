from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.engine import files
from iotsim.engine.files import AppendFile, Writer, replace_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("threaded", [True, False])
def test_appends_arrive_in_order(tmp_path: Path, threaded: bool) -> None:
    with Writer(threaded=threaded) as writer:
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
    writer = Writer(threaded=True)  # not entered: nothing is written yet
    file = AppendFile(tmp_path / "file", writer)
    for _ in range(5):
        file.append(b"12345678")
    assert file.lost_appends == 3
    with writer:
        pass
    file.close()
    assert (tmp_path / "file").read_bytes() == b"12345678" * 2


def test_a_full_disk_is_counted_and_named() -> None:
    from pathlib import Path

    with Writer(threaded=False) as writer:
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
