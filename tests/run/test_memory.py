"""What a results folder remembers of runs."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import IotsimError
from iotsim.results.verdict import Verdict
from iotsim.run import memory
from iotsim.run.folder import open_results
from iotsim.run.memory import MOST_RUNS, Memory, Remembered

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_there_for_the_next(tmp_path: Path) -> None:
    Memory(tmp_path / "results").add(
        {"a": Remembered("passed", 2.0), "b": Remembered("failed", 3.0)}
    )
    memory = Memory(tmp_path / "results")
    assert memory.seconds == {"a": 2.0, "b": 3.0}
    assert memory.failed() == {"b"}


@pytest.mark.parametrize(
    ("verdict", "failed"),
    [
        *[("passed", False), ("skipped", False)],
        *[(verdict, True) for verdict in ("failed", "error", "inconclusive", "empty", "running")],
    ],
)
def test_what_failed_is_whatever_did_not_pass(tmp_path: Path, verdict: str, failed: bool) -> None:
    Memory(tmp_path).add({"a": Remembered(verdict)})
    assert Memory(tmp_path).failed() == ({"a"} if failed else set())


def test_a_run_that_did_not_end_keeps_the_duration_that_is_known(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.add({"a": Remembered("passed", 2.0)})
    memory.add({"a": Remembered("running")})
    assert Memory(tmp_path).runs["a"].seconds == 2.0
    assert Memory(tmp_path).failed() == {"a"}


def test_where_nothing_is_known_what_failed_is_no_question(tmp_path: Path) -> None:
    with pytest.raises(IotsimError, match=r"runs\.json does not say how runs have ended"):
        Memory(tmp_path).failed()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"runs": {"a": 3}}', b"null"])
def test_a_damaged_file_is_as_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "runs.json").write_bytes(data)
    memory = Memory(tmp_path)
    assert memory.runs == {}
    memory.add({"a": Remembered("failed")})
    assert Memory(tmp_path).failed() == {"a"}


def test_where_it_cannot_be_written_nothing_breaks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Memory(tmp_path / "file").add({"a": Remembered("failed")})
    (tmp_path / "runs.json").mkdir()
    Memory(tmp_path).add({"a": Remembered("failed")})


def _add(folder: Path, number: int) -> None:
    for turn in range(20):
        Memory(folder).add({f"{number}.{turn}": Remembered("passed", 1.0)})


def test_those_who_add_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_add, [tmp_path] * 4, range(4)))
    assert len(Memory(tmp_path).runs) == 80


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.add({f"old{number}": Remembered("passed", when=1.0) for number in range(MOST_RUNS)})
    memory.add({"new": Remembered("passed")})
    runs = Memory(tmp_path).runs
    assert len(runs) == MOST_RUNS
    assert "new" in runs
    assert "old0" not in runs
    assert json.loads((tmp_path / "runs.json").read_text())["format"] == 1


def test_nobody_waits_for_a_run_that_has_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LOCK_PATIENCE_S", 0.0)
    with open_results("x", tmp_path):
        Memory(tmp_path).add({"a": Remembered(Verdict.PASSED)})
    assert Memory(tmp_path).runs["a"].verdict == "passed"
