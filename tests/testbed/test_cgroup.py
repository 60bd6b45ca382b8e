"""Limits of control groups, as files tell them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from iotsim.testbed import cgroup, doctor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where control groups are; ours is /a/b."""
    made = tmp_path / "cgroup"
    (made / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").write_text("1:name=systemd:/x\n0::/a/b\n")
    monkeypatch.setattr(cgroup, "ROOT", made)
    monkeypatch.setattr(cgroup, "OWN", tmp_path / "own")
    return made


def test_without_files_there_are_no_limits(root: Path) -> None:
    assert cgroup.limits("cpu.max") == []
    assert cgroup.cores() == cgroup.memory_bytes() == cgroup.least("pids.max") == math.inf


def test_the_least_limit_of_our_group_and_of_those_around_it_holds(root: Path) -> None:
    (root / "a" / "b" / "cpu.max").write_text("max 100000\n")
    (root / "a" / "cpu.max").write_text("150000 100000\n")
    (root / "cpu.max").write_text("400000 100000\n")
    (root.parent / "cpu.max").write_text("1 100000\n")
    assert cgroup.limits("cpu.max") == ["max 100000", "150000 100000", "400000 100000"]
    assert cgroup.cores() == 1.5
    (root / "a" / "b" / "memory.max").write_text("max")
    (root / "a" / "memory.max").write_text("1024")
    assert cgroup.memory_bytes() == 1024


@pytest.mark.parametrize(
    ("limit", "count"), [("max 100000", 4), ("150000 100000", 1), ("50000 100000", 1)]
)
def test_processors_are_those_that_we_can_keep_busy(
    root: Path, monkeypatch: pytest.MonkeyPatch, limit: str, count: int
) -> None:
    (root / "cpu.max").write_text(limit)
    monkeypatch.setattr(cgroup.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cgroup.processors() == count


@pytest.mark.parametrize("text", ["", "x", "1", "1 0", "1 2 3", "max"])
def test_what_makes_no_sense_is_no_limit(root: Path, text: str) -> None:
    (root / "cpu.max").write_text(text)
    assert cgroup.cores() == math.inf


@pytest.mark.parametrize(
    ("old", "new", "limit"),
    [
        ("9223372036854771712", "max", math.inf),
        ("134217728", "max", 134217728),
        ("134217728", "1024", 1024),
    ],
)
def test_version_1_has_a_file_of_its_own(root: Path, old: str, new: str, limit: float) -> None:
    (root / "memory").mkdir()
    (root / cgroup.OLD_MEMORY).write_text(old)
    (root / "memory.max").write_text(new)
    assert cgroup.memory_bytes() == limit


def test_of_a_group_that_we_are_not_shown_the_root_tells(root: Path, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/../../other\n")
    (root / "pids.max").write_text("20\n")
    assert cgroup.least("pids.max") == 20
    checks = {check.name: check for check in doctor.check_container()}
    assert "at most 20 processes" in checks["container"].detail
    assert not checks["processes"].ok
