from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iotsim.errors import MachineError
from iotsim.testbed import runs
from iotsim.testbed.runs import Run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Run]:
    found = [
        Run("quickstart", str(tmp_path / "a"), 100),
        Run("quickstart", str(tmp_path / "b"), 200),
        Run("other", "", 300),
    ]
    monkeypatch.setattr(runs, "list_runs", lambda: found)
    return found


def test_a_run_is_found_by_name_folder_or_pid(three: list[Run]) -> None:
    assert runs.find_run("other") is three[2]
    assert runs.find_run("200") is three[1]
    assert runs.find_run(three[0].results) is three[0]
    assert runs.find_run(os.path.relpath(three[0].results)) is three[0]


def test_an_ambiguous_name_lists_the_candidates(three: list[Run]) -> None:
    with pytest.raises(MachineError) as caught:
        runs.find_run("quickstart")
    assert "2 runs could be meant" in caught.value.reason
    assert three[0].results in caught.value.reason
    assert "other" not in caught.value.reason
    with pytest.raises(MachineError, match="3 runs"):
        runs.find_run()


def test_an_unknown_name_lists_what_there_is(three: list[Run]) -> None:
    with pytest.raises(MachineError, match="no run is called x; there is"):
        runs.find_run("x")
    three.clear()
    with pytest.raises(MachineError, match="no run of this user"):
        runs.find_run()


def test_other_processes_are_no_runs() -> None:
    assert runs.read_run(os.getpid()) is None
    assert runs.read_run(1) is None
    assert runs.read_run(2**22 + 1) is None
