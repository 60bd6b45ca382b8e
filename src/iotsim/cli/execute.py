"""``iotsim exec [RUN] -- COMMAND``: a tool inside the namespaces of a running scenario."""

from __future__ import annotations

import sys
from typing import Annotated

import cyclopts

from iotsim.cli.app import EXIT_ERROR, external_command


def execute(run: str = "", /, *misplaced: Annotated[str, cyclopts.Parameter(show=False)]) -> int:
    """Run a tool (ping, tcpdump, a shell) inside a running scenario: 'iotsim exec [RUN] -- COMMAND...'

    Parameters
    ----------
    run
        Which run, where there are several: its name, its results folder, or its init's pid.
    """
    from iotsim.testbed.runs import exec_in_run, find_run

    command = external_command()
    if not command or misplaced:
        hint = "write it behind `--`, as in: iotsim exec -- ping 10.77.1.1"
        print(f"iotsim: no command: {hint}", file=sys.stderr)
        return EXIT_ERROR
    return exec_in_run(find_run(run), command)
