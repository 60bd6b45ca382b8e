"""What `iotsim run` does with a run that has ended, where the project keeps a history."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from iotsim.run.project import may_be_project

if TYPE_CHECKING:
    from iotsim.run.report import RunReport


def remember_run(report: RunReport, *, serve: bool = False) -> None:
    """Add a run to the history of the project that this command is called in, if that has one.

    Not one that was served, or ended before its time: its verdict says nothing of the scenario. What goes
    wrong with the history is told, and changes nothing else.
    """
    if serve or report.stopped_by is not None or not may_be_project():
        return
    from iotsim.errors import ScenarioError
    from iotsim.run.project import find_project

    try:
        project = find_project()
    except ScenarioError as error:
        print(f"iotsim: this run is not in the history: {error}", file=sys.stderr)
        return
    if project.history is None:
        return
    from iotsim.run.history import remember

    keep = project.history_keep
    trouble = remember(project.history, report.result, report.folder, root=project.root, keep=keep)
    if trouble:
        print(f"iotsim: {trouble}", file=sys.stderr)
