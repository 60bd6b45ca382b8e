"""Runs of scenario files, each in a process of its own that is forked from one that is warm."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iotsim import interpreter
from iotsim.errors import IotsimError
from iotsim.pytest_plugin.starter import LONGEST_ANSWER
from iotsim.run.forkserver import ForkServer, Gone
from iotsim.run.judging import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.results.result import RunResult
    from iotsim.run.suitejobs import Job

LONGEST_OUTPUT = 1 << 18


class Done(NamedTuple):
    """What a run came to, and what its process has printed besides."""

    result: RunResult
    output: str


class Runner:
    """Does `jobs`, in the folder `root`. `close` ends it, and whatever it still does."""

    def __init__(self, jobs: Sequence[Job], root: Path) -> None:
        self.jobs = list(jobs)
        self._tickets = itertools.count(1)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            self._starter = subprocess.Popen(
                interpreter.command("iotsim.pytest_plugin.starter", str(theirs.fileno())),
                cwd=root,
                stdin=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                text=True,
            )
            theirs.close()
            commands = [[str(job.file), *job.words] for job in self.jobs]
            assert self._starter.stdin is not None
            with self._starter.stdin as given:
                json.dump(commands, given)
            data, fds, _, _ = socket.recv_fds(ours, LONGEST_ANSWER, 1)
        if not fds:
            self._starter.wait()
            raise IotsimError("the process that starts runs has ended by itself")
        self._server = ForkServer(int(data), socket.socket(fileno=fds[0]))

    def run(self, number: int, out: Path) -> Done:
        """Do the job of this number, with its results in `out`. What interrupts this (Ctrl-C, a time limit)
        ends the run first."""
        job = self.jobs[number]
        with (
            os.fdopen(os.memfd_create("iotsim-result", os.MFD_CLOEXEC), "rb") as handed_over,
            tempfile.TemporaryFile() as printed,
            Path(os.devnull).open("wb") as news,
        ):
            ticket = next(self._tickets)
            fds = (handed_over.fileno(), news.fileno(), printed.fileno())
            self._server.begin(ticket, number, out, fds)
            try:
                status = self._status(ticket)
            except BaseException:
                self._end(ticket)
                raise
            printed.seek(0)
            output = printed.read(LONGEST_OUTPUT).decode(errors="replace")
            return Done(judge(job, handed_over.read(), status, output), output)

    def close(self) -> None:
        self._server.socket.close()
        self._starter.wait()

    def _status(self, ticket: int) -> int:
        """How the run of `ticket` has ended, once it has."""
        while True:
            news = self._server.receive()
            if news is None:
                return -signal.SIGKILL
            if isinstance(news, Gone) and news.ticket == ticket:
                return news.status

    def _end(self, ticket: int) -> None:
        """Let it end in order, and wait for that; if that is interrupted, too, at once."""
        self._server.signal(ticket, signal.SIGTERM)
        try:
            self._status(ticket)
        except BaseException:
            self._server.signal(ticket, signal.SIGKILL)
            raise
