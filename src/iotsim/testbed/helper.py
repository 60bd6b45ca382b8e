"""Starting the helper process, without trio: as early in a run as its plan is known.

It is a fresh interpreter, or where there is a server (`start_server`), a copy of that server, which saves
the time to import our modules. Whoever can reach the server can have a helper do, as root, whatever helpers
can do: so a run asks once, and lets go of the server before it gives up its privileges.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from typing import TYPE_CHECKING

from iotsim import interpreter
from iotsim.testbed import channel
from iotsim.testbed.init import command_line
from iotsim.testbed.serverend import held, hold, leave_server

CLOSE_TIMEOUT_S = 5.0
ROOM_BYTES = 16 << 10
"""The length of the last word of the server's command line: room for the words of helpers, by which their
runs are found."""

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from iotsim.testbed.plan import TestbedPlan


class Helper:
    """A helper process that sets up a testbed. Ends, with all in it, when `sock` is closed.

    ``process`` is None if it is a server's child. ``errors_fd`` gives what it writes to its standard error.
    """

    def __init__(
        self, process: subprocess.Popen[bytes] | None, sock: socket.socket, errors_fd: int
    ) -> None:
        self.process = process
        self.sock = sock
        self.errors_fd = errors_fd
        os.set_blocking(self.errors_fd, False)
        self._errors = b""
        self._closed = False

    def read_errors(self) -> bool:
        """Read what the helper wrote to stderr so far; True at its end."""
        while True:
            try:
                data = os.read(self.errors_fd, 65536)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._errors = (self._errors + data)[-65536:]

    def take_errors(self) -> str:
        return self._errors.decode(errors="replace")

    def close(self) -> None:
        """Let go of a helper, used or not, and wait until it has ended."""
        self.sock.close()
        if self._closed:
            return
        self._closed = True
        if self.process is None:
            self._wait_for_errors_end()
            os.close(self.errors_fd)
            return
        assert self.process.stderr is not None
        self.process.stderr.close()
        try:
            self.process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(PermissionError):  # it is still root's, and we are not
                self.process.kill()
                self.process.wait()

    def _wait_for_errors_end(self) -> None:
        """Wait until all of its processes have ended, which hold that open; but not for ever."""
        give_up = time.monotonic() + CLOSE_TIMEOUT_S
        while not self.read_errors() and (left_s := give_up - time.monotonic()) > 0:
            select.select([self.errors_fd], [], [], left_s)


@contextlib.contextmanager
def start_server() -> Iterator[None]:
    """Have a server for as long as the block lasts, whose helpers this process and what it forks take."""
    ours, theirs = channel.make_pair()
    with theirs:
        process = subprocess.Popen(
            interpreter.command("iotsim.testbed.helperserver", "x" * ROOM_BYTES, site=False),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    hold(ours)
    try:
        yield
    finally:
        leave_server()
        try:
            process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spawn_helper(plan: TestbedPlan) -> Helper:
    """Start the helper; returns at once, while it works."""
    ours, theirs = channel.make_pair()
    try:
        with theirs:
            helper = _ask_server(plan, ours, theirs) or _spawn(plan, ours, theirs)
    except BaseException:
        ours.close()
        raise
    # If it has died already, whoever waits for it sees that, with its error output.
    with contextlib.suppress(OSError):
        channel.send(ours, {"plan": plan.to_json()})
    ours.setblocking(False)
    return helper


def _spawn(plan: TestbedPlan, ours: socket.socket, theirs: socket.socket) -> Helper:
    process = subprocess.Popen(
        command_line(plan.run_name, plan.results),
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        # Ctrl-C in the terminal is for the simulator to handle.
        start_new_session=True,
    )
    assert process.stderr is not None
    return Helper(process, ours, process.stderr.fileno())


def _ask_server(plan: TestbedPlan, ours: socket.socket, theirs: socket.socket) -> Helper | None:
    """A helper that the server forks; None where there is no server, or none that could."""
    server = held()
    length = len(os.fsencode(plan.run_name)) + len(os.fsencode(plan.results))
    if server is None or length > ROOM_BYTES // 2:
        return None
    errors, their_errors = os.pipe2(os.O_CLOEXEC)
    try:
        values = {"run": plan.run_name, "results": plan.results}
        channel.send(server, values, [theirs.fileno(), their_errors])
    except OSError:
        os.close(errors)
        return None
    finally:
        os.close(their_errors)
        leave_server()
    return Helper(None, ours, errors)
