"""A process that forks helpers, for whoever needs one after the other: imported once, and then cheap.

It is started by `helper.start_server` as a fresh interpreter whose standard input is a socket, before anybody
has run code of a user's or given up privileges, and does nothing but fork: each helper begins as a copy of a
process that has never made a namespace. A message asks for one: its descriptors are the helper's end of the
control socket, and what takes its error output. The server ends when nobody is left who could ask.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from iotsim.testbed import channel, init, rtnetlink

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    """The program of the server."""
    sock = socket.socket(fileno=os.dup(0))
    rtnetlink.load_messages()
    signal.signal(signal.SIGCHLD, _reap)
    while (message := channel.receive(sock)) is not None:
        if os.fork() == 0:
            _be_helper(sock, message)
        for fd in message.fds:
            os.close(fd)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _be_helper(server: socket.socket, message: channel.Message) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server.close()
        control, errors = message.fds
        os.dup2(control, 0)
        os.dup2(errors, 2)
        os.close(control)
        os.close(errors)
        os.setsid()
        set_command_line([init.MARK, message.values["run"], message.values["results"]])
        init.main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def set_command_line(words: Sequence[str]) -> None:
    """Let the command line of this process, which has to be longer, begin with `words`, and end there."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, see proc(5)
    data = b"".join(os.fsencode(word) + b"\0" for word in words)
    if len(data) >= end - begin:
        raise ValueError("no room for the command line")
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, data, len(data))
