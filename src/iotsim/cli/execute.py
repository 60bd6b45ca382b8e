"""``iotsim exec [RUN] -- COMMAND``: a tool inside the namespaces of a running scenario."""

from __future__ import annotations

import sys
from typing import Annotated

import cyclopts


def execute(
    *words: Annotated[str, cyclopts.Parameter(allow_leading_hyphen=True)],
) -> int:
    """Run a tool (ping, tcpdump, a shell) inside a running scenario's namespaces.

    Parameters
    ----------
    words
        ``[RUN] -- COMMAND...``: which run, by name or the start of it (needed only where there
        are several), and what to run in it.
    """
    from iotsim.cli.app import external_command
    from iotsim.testbed.runs import exec_in_run, list_runs

    selectors, command = list(words), external_command()
    if not command:
        print("iotsim: no command: write it behind `--`, as in `iotsim exec -- ping 10.77.1.1`", file=sys.stderr)
        return 2
    wanted = selectors[0] if selectors else ""
    runs = [run for run in list_runs() if run.name.startswith(wanted)]
    if len(runs) != 1:
        found = ", ".join(run.name for run in runs) or "none"
        which = f" whose name begins with {wanted!r}" if wanted else ""
        print(f"iotsim: exactly one running scenario{which} is needed; found: {found}", file=sys.stderr)
        return 2
    return exec_in_run(runs[0], command)
