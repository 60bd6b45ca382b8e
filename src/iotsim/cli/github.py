"""A command in a job of GitHub Actions: its annotations, its summary, and no orders from what it prints.

The runner takes each line that begins with ``::``, whatever space is before it, or that has ``##[`` anywhere
for a command, whoever has printed it. So `workflow` stops that while ours prints what a scenario or a gateway
says, by a token that nobody can guess, and lets it go on for the annotations at the end.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iotsim.results.context import ContextLine
    from iotsim.results.github import Entry
    from iotsim.results.result import RunResult

PART_OF_A_SUITE = "IOTSIM_SUITE"
"""Set where a run is one of several, of which the suite tells."""


class _Told(NamedTuple):
    result: RunResult
    folder: Path | None
    repetition: int = 0


_told: list[_Told] | None = None


def tell(result: RunResult, folder: Path | None, repetition: int = 0) -> None:
    """A run has come to `result`: `workflow` tells of it, where there is a job. `repetition` is which one it
    was of several (from 1), 0 if it was the only one."""
    if _told is not None:
        _told.append(_Told(result, folder, repetition))


@contextmanager
def workflow() -> Iterator[None]:
    """What is printed inside is text, whatever it looks like; then come the annotations and the summary of
    the runs that `tell` was given. Nothing is done outside of GitHub Actions, or by a part of a suite."""
    global _told
    if os.environ.get("GITHUB_ACTIONS") != "true" or os.environ.get(PART_OF_A_SUITE):
        yield
        return
    import secrets

    _told = []
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", flush=True)
    try:
        # Else what goes another way to the runner might arrive only after the token.
        with redirect_stderr(sys.stdout):
            yield
    finally:
        print(f"::{token}::", flush=True)
        told, _told = _told, None
        if told:
            from iotsim.results.github import Entry, annotations_of

            entries = [
                Entry(one.result, _shown(one.folder), _context(one), one.repetition) for one in told
            ]
            for annotation in annotations_of(entries, _in_repository):
                print(annotation, flush=True)
            _write_summary(entries)


def _write_summary(entries: Sequence[Entry]) -> None:
    from iotsim.results.github import SUMMARY_BYTES, step_summary

    path = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if not path:
        return
    try:
        known = Path(path).stat().st_size if Path(path).exists() else 0
        text = step_summary(entries, max(0, SUMMARY_BYTES - known - 1))
        with Path(path).open("ab") as file:
            file.write(b"\n" * bool(known) + text.encode(errors="backslashreplace"))
    except (OSError, ValueError) as error:  # it decides nothing
        why = error.strerror if isinstance(error, OSError) else str(error)
        told = f"iotsim: there is no summary of this step: {path} cannot be written: {why}"
        print(safe_line(told), file=sys.stderr, flush=True)


def _context(one: _Told) -> Mapping[str, Sequence[ContextLine]]:
    from iotsim.cli.render import context_of

    return context_of(one.result, one.folder)


def _shown(folder: Path | None) -> str:
    return "" if folder is None else _in_repository(str(folder)) or str(folder)


def _in_repository(path: str) -> str:
    """`path` as seen from the root of the repository, "" where it is not in there."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    try:
        return str(Path(path).resolve().relative_to(root)) if path else ""
    except (ValueError, OSError, RuntimeError):
        return ""
