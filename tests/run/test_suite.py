from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.run.suite import name_folders, parse_jobs

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_are_named_by_what_differs(tmp_path: Path) -> None:
    base = tmp_path / ("x" * 100)
    files = [base / "a.toml", base / "deeper" / "a.toml", base / "deeper-a.toml"]
    assert list(name_folders(files).values()) == ["a", "deeper-a", "deeper-a_2"]


def test_the_same_names_in_different_folders(tmp_path: Path) -> None:
    files = [tmp_path / name / "x.toml" for name in ("one", "two")]
    assert list(name_folders(files).values()) == ["one-x", "two-x"]


def test_long_names_that_begin_alike(tmp_path: Path) -> None:
    files = [tmp_path / f"{'y' * 80}{end}.toml" for end in "ab"]
    names = list(name_folders(files).values())
    assert len(set(names)) == 2


def test_jobs() -> None:
    assert parse_jobs("3") == 3
    assert parse_jobs("auto") >= 1
    for text in ("0", "-1", "x", ""):
        with pytest.raises(ValueError):
            parse_jobs(text)
