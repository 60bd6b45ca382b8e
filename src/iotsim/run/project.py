"""The user's project that a command is called in: its ``iotsim.toml``, found upwards from the current folder.

In each folder ``iotsim.toml`` is looked for, and then ``pyproject.toml`` with a table ``[tool.iotsim]``. The
search ends with the first that is found, and at the top of a repository (a folder with ``.git``): what lies
above that is somebody else's. Nor does it go up into folders that everybody shares, such as /tmp; where it
begins in one, it takes no file of another user. A project may name protocols, which are code.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from iotsim.errors import Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.scenario.project import Project

OWN_FILE = "iotsim.toml"
SHARED_FILE = "pyproject.toml"
LARGEST_BYTES = 4 << 20
RESULTS = Path("results")


def find_project(start: Path | None = None) -> Project:
    """The project that `start` (the current folder) is in; one without a ``file`` where there is none.

    ScenarioError tells what is wrong with its file, by lines.
    """
    from iotsim.scenario.project import Project, read_project

    start = (start or Path()).absolute()
    for path, text in _files(start):
        project = read_project(text, path)
        if project is not None:
            return project
    return Project(start, results=RESULTS if start == Path().absolute() else start / RESULTS)


def may_be_project(start: Path | None = None) -> bool:
    """Whether `find_project` may find a file; cheap, since nothing is parsed or imported for it."""
    return any(True for _ in _files((start or Path()).absolute()))


def _files(start: Path) -> Iterator[tuple[Path, str]]:
    """The files that may be about a project that `start` is in, the nearest first, with what they say."""
    for folder in (start, *start.parents):
        everybodys = _is_everybodys(folder)
        if folder != start and everybodys:
            return
        own = folder / OWN_FILE
        if _is_there(own, everybodys=everybodys):
            yield own, _read(own)
        shared = folder / SHARED_FILE
        if _is_there(shared, everybodys=everybodys):
            text = _read(shared)
            if "iotsim" in text:
                yield shared, text
        if os.path.lexists(folder / ".git"):
            return


def _is_everybodys(folder: Path) -> bool:
    """Whether anybody may put files into `folder`, each his own."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH and mode & stat.S_ISVTX)


def _is_there(path: Path, *, everybodys: bool) -> bool:
    """Whether `path` is a file; in a folder of `everybodys`, one of this user, or of root."""
    try:
        found = path.stat()
        owners = {found.st_uid, path.lstat().st_uid}
    except (OSError, ValueError):  # what cannot be looked at is not there
        return False
    return stat.S_ISREG(found.st_mode) and not (everybodys and owners - _trusted())


def _trusted() -> set[int]:
    """The users whose files may be executed as this user: itself, root, and who called sudo."""
    from iotsim.testbed.users import sudo_user

    caller = sudo_user()
    return {0, os.geteuid(), *(() if caller is None else (caller.uid,))}


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise ScenarioError([Problem(f"larger than {LARGEST_BYTES} bytes", str(path))])
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ScenarioError([Problem(error.strerror or str(error), str(path))]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ScenarioError([Problem("not a text in UTF-8", str(path), line)]) from None
