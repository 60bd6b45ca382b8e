"""Our own code in another process: nothing of the user's takes the place of a module of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import iotsim
from iotsim.interpreter import command

PROGRAM = """
import queue, sys, types, iotsim, trio
import theirs

def main():
    for module in (queue, types, iotsim, trio, theirs):
        print(module.__file__)
    print(sys.argv[1:])
"""
ENDS_WELL = "raise SystemExit(0)\n"


@pytest.mark.parametrize("site", [True, False], ids=["site", "no-site"])
def test_nothing_of_the_users_takes_the_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, site: bool
) -> None:
    here, named = tmp_path / "here", tmp_path / "named"
    for folder in (here, named):
        folder.mkdir()
        for name in ("queue", "types", "iotsim", "trio", "importlib", "usercustomize", "start"):
            (folder / f"{name}.py").write_text(ENDS_WELL)
    (named / "program.py").write_text(PROGRAM)
    (named / "theirs.py").write_text("")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{named}{os.pathsep}",
        "PYTHONSTARTUP": str(here / "start.py"),
        "PYTHONINSPECT": "1",
        "PYTHONHOME": str(here),
        "PYTHONUSERBASE": str(here),
    }
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    monkeypatch.setattr(sys, "path", ["", str(named), *sys.path])
    words = command("program", "one", "two words", site=site)
    done = subprocess.run(
        words, cwd=here, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.stderr == ""
    *files, arguments = done.stdout.splitlines()
    assert arguments == "['one', 'two words']"
    assert [Path(file).parent for file in files[:2]] == [Path(os.__file__).parent] * 2
    assert files[2] == iotsim.__file__
    assert "site-packages" in files[3]
    # What is nowhere else is found where PYTHONPATH has it: a package of protocols, say.
    assert files[4] == str(named / "theirs.py")


def test_another_iotsim_that_is_installed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iotsim").mkdir()
    (tmp_path / "iotsim" / "__init__.py").write_text(ENDS_WELL)
    (tmp_path / "program.py").write_text("import iotsim\ndef main(): print(iotsim.__file__)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    done = subprocess.run(command("program"), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == iotsim.__file__


def test_where_bytecode_goes_is_no_matter_of_isolation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "program.py").write_text(
        "import sys\ndef main(): print(sys.pycache_prefix, sys.dont_write_bytecode)"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    done = subprocess.run(command("program"), capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "cache"), "True"]
