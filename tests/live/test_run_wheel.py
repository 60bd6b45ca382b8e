"""What users install: the wheel, in an environment of its own, away from the repository."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

background = pytest.mark.background

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = {"protocols": "iotsim", "scenarios": "iotsim/bundled", "examples": "iotsim/bundled"}


def pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *map(str, words)], check=True, timeout=120)


def install_wheel(iotsim: CommandLine) -> tuple[Path, dict[str, Done]]:
    """The wheel, and what its command says in an empty folder."""
    folder = iotsim.folder
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPOSITORY)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    # The dependencies are those of the tests; a .pth file there, such as the one that makes the
    # repository importable, is not read.
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    iotsim.folder = folder / "empty"
    iotsim.folder.mkdir()
    iotsim.environment.pop("PYTHONPATH", None)
    iotsim.words = lambda *words: [str(python.parent / "iotsim"), *map(str, words)]  # type: ignore[method-assign]
    said = {
        "run": iotsim.run("quickstart", "--seed", "7"),
        "protocols": iotsim("protocols", "list"),
        "check": iotsim("check", "quickstart"),
        "schema": iotsim("schema"),
        "schema of events": iotsim("schema", "events"),
        "init": iotsim("init", "starter"),
        "wireshark": iotsim("protocols", "wireshark", "coap", "-o", "coap.lua"),
    }
    return wheel, said


@background(job=install_wheel)
def test_it_holds_what_it_should_and_nothing_else(done: tuple[Path, dict[str, Done]]) -> None:
    with zipfile.ZipFile(done[0]) as archive:
        names = set(archive.namelist())
    for folder, inside in FOLDERS.items():
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in (".py", ".toml", ".lua"):
                assert f"{inside}/{path.relative_to(REPOSITORY)}" in names
    for suffix in ("py", "lua"):
        for path in (REPOSITORY / "src" / "iotsim").rglob(f"*.{suffix}"):
            assert str(path.relative_to(REPOSITORY / "src")) in names
    assert "iotsim/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


@pytest.mark.needs("tun")
@background(job=install_wheel)
def test_the_quickstart_runs_from_an_empty_folder(done: tuple[Path, dict[str, Done]]) -> None:
    run = done[1]["run"]
    assert run.status == 0, run.text
    assert "PASSED" in run.text
    assert "/venv/lib/" in run.result["path"]
    assert str(REPOSITORY) not in run.text


@background(job=install_wheel)
def test_what_is_bundled_is_found_by_name(done: tuple[Path, dict[str, Done]]) -> None:
    said = done[1]
    assert said["protocols"].status == said["check"].status == said["init"].status == 0
    assert "sensornet  bundled" in said["protocols"].text
    assert "quickstart.toml: ok, 14 devices" in said["check"].text
    assert '"the longest that a run takes' in said["schema"].text
    assert "A line of events.jsonl, version 1" in said["schema of events"].text
    assert "wrote starter/scenario.toml" in said["init"].text
    assert said["wireshark"].status == 0, said["wireshark"].text
