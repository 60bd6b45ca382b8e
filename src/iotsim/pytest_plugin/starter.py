"""The process that starts the runs of scenario files for pytest.

It is a fresh interpreter, in which nothing of pytest's process is: neither what tests have imported nor their
threads. It imports what runs need once, and forks the server whose children they are
(`iotsim.run.forkserver`); pytest gets the server's socket. On its standard input it is given the command
lines, by whose numbers pytest asks for runs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from iotsim.testbed import linux

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_ANSWER = 64


def main() -> None:
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
    with socket.socket(fileno=int(sys.argv[1])) as pytests:
        commands: list[list[str]] = json.load(sys.stdin)
        import iotsim.cli.doing
        import iotsim.cli.jobs
        import iotsim.cli.run  # noqa: F401 - each run is a copy of this process
        from iotsim.cli.app import run_command_line
        from iotsim.cli.streams import open_streams
        from iotsim.run.forkserver import start_server

        def do(number: int, out: Path | None) -> int:
            """The command of this number, in a process that is there for it alone."""
            open_streams()
            file, *words = commands[number]
            return run_command_line(["run", file, "--out", str(out), *words])

        server = start_server(do)
        socket.send_fds(pytests, [str(server.pid).encode()], [server.socket.fileno()])
    server.socket.close()  # the other end of it is pytest's alone
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest and for the runs
    os.waitpid(server.pid, 0)
