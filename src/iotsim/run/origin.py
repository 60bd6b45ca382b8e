"""Where a run comes from: the commit of the project, and a digest of what decides the run but its seed."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from iotsim.results.result import RunResult

PATIENCE_S = 10.0
LARGEST_FILE = 64 << 20
"""Of a larger file its size and time are taken for its content."""


class Origin(NamedTuple):
    """A commit of a repository, "" where it is not known. ``changes`` is a digest of what was changed since
    in files that git knows, "" if nothing was."""

    commit: str = ""
    changes: str = ""


@cache
def origin_of(folder: Path) -> Origin:
    """The commit that `folder` is of; nothing where there is no repository, or git does not tell."""
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return Origin()
    changes = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
    if changes is None:
        return Origin()
    return Origin(
        commit.decode("ascii", "replace").strip(),
        hashlib.sha256(changes).hexdigest() if changes else "",
    )


def _git(folder: Path, *words: str) -> bytes | None:
    # No program that the repository's settings name is started.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *words]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def inputs_of(result: RunResult, origin: Origin) -> str:
    """A digest of what decides a run but its seed; "" where the commit is not known.

    It is of the commit and the changes since, of the line that repeats the run, of the scenario's file, and
    of the files that the gateway's command names. What else the gateway is made of, beside the repository,
    is not known. The command itself does not count: ports and folders in it may be others each time.
    """
    if not origin.commit:
        return ""
    command = list(result.gateway.command) if result.gateway is not None else []
    told = [
        origin,
        _without_seed(result),
        [_digest(word) for word in (result.path, *command)],
        sorted(result.parameters.items()),
        (result.scenario, result.link, result.tolerance),
        result.versions.get("iotsim", ""),
    ]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _without_seed(result: RunResult) -> list[str]:
    """The words of the line that repeats a run, but for the seed, and for the path, which depends on where it
    was called."""
    try:
        words = shlex.split(result.repeat)
    except ValueError:
        return [result.repeat]
    end = words.index("--") if "--" in words else len(words)
    if "--seed" in words[:end]:
        place = words.index("--seed")
        del words[place : place + 2]
    return [word for word in words if word != result.path]


def _digest(name: str) -> str:
    """What the file `name` holds, "" if there is none."""
    try:
        if not Path(name).is_file():  # a pipe would never end
            return ""
        with Path(name).open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_size > LARGEST_FILE:
                return f"{state.st_size} {state.st_mtime_ns}"
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
