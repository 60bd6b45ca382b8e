"""What `iotsim run` does with a run that has ended, where the project keeps a history."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from iotsim.errors import ScenarioError
from iotsim.run.project import find_project, may_be_project

if TYPE_CHECKING:
    from iotsim.run.report import RunReport
    from iotsim.scenario.project import Project


def prepare_to_remember() -> None:
    """Before processes are forked that will remember a run each: find out once what is the same for all."""
    with suppress(ScenarioError):
        project = _project_with_history()
        if project is not None:
            from iotsim.run.origin import origin_of

            origin_of(project.root)


def _project_with_history() -> Project | None:
    """The project that we are in, if it keeps a history; ScenarioError if its file is wrong."""
    if not may_be_project():
        return None
    project = find_project()
    return None if project.history is None else project


def remember_run(report: RunReport, *, serve: bool = False) -> None:
    """Add a run to the history of the project that this command is called in, if that has one.

    Not one that was served, or ended before its time: its verdict says nothing of the scenario. What goes
    wrong with the history is told, and changes nothing else.
    """
    if serve or report.stopped_by is not None:
        return
    try:
        project = _project_with_history()
    except ScenarioError as error:
        print(f"iotsim: this run is not in the history: {error}", file=sys.stderr)
        return
    if project is None or project.history is None:
        return
    from iotsim.run.history import remember

    keep = project.history_keep
    trouble = remember(project.history, report.result, report.folder, root=project.root, keep=keep)
    if trouble:
        print(f"iotsim: {trouble}", file=sys.stderr)
