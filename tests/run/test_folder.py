from __future__ import annotations

from pathlib import Path

import pytest

from iotsim.errors import MachineError
from iotsim.run.folder import make_results_folder, make_work_folder, slug


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Gateway polls every meter", "gateway-polls-every-meter"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "scenario"),
        ("ütf ☃", "tf"),
        ("x" * 500, "x" * 60),
    ],
)
def test_slug(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_two_runs_of_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {make_results_folder("same", None) for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.is_dir() and folder.parent == tmp_path / "results/same" for folder in folders)


def test_a_folder_that_cannot_be_made_is_the_machines_error() -> None:
    with pytest.raises(MachineError, match="cannot be made"):
        make_results_folder("x", Path("/proc/no/such"))


def test_the_files_of_an_earlier_run_go_and_nothing_else(tmp_path: Path) -> None:
    for name in ("result.json", "events.shard3.jsonl", "capture.pcapng", "mine.txt", "work/db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    assert make_results_folder("x", tmp_path) == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "work"}
    assert (tmp_path / "work" / "db").exists()


def test_the_working_folder_is_fresh(tmp_path: Path) -> None:
    folders = [make_work_folder(tmp_path) for _ in range(3)]
    assert [folder.name for folder in folders] == ["work", "work_2", "work_3"]
